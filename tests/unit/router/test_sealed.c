/* Sealed paths between whole routers: what must not pass does not, what must does. */
#include <sodium.h>

#include "../../../router/aead.h"
#include "../../../router/sleeve_wire.h"
#include "lab.h"

static const struct mac broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

#define BOTH (AEAD_BIT(AEAD_AES_256_GCM) | AEAD_BIT(AEAD_CHACHA20_POLY1305))

static struct lab *sealed_lab(unsigned count, uint64_t seed, uint8_t ciphers)
{
	struct router_config c = { .datagram_max = 1472, .ciphers = ciphers };
	struct lab *l = lab_new_with(count, seed, &c, 1);

	l->sealed = true;
	return l;
}

static struct lab *pair(void)
{
	struct lab *l = sealed_lab(2, 1, BOTH);

	lab_connect(l, 0, 1, 5);
	return l;
}

static uint64_t all_drops(const struct lab *l, unsigned i)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < DROP_REASONS_COUNT; k++)
		sum += router_drops(l->routers[i])->count[k];
	return sum;
}

static void a_sealed_path_comes_up(void **state)
{
	struct lab *l = pair();
	struct path_info info;

	(void)state;
	lab_run(l, 150);
	for (unsigned i = 0; i < 2; i++) {
		info = lab_path(l, i, !i);
		assert_true(info.established && info.sealed);
		assert_string_equal(info.cipher, "AES-256-GCM");
		assert_int_equal(info.epoch, 0);
		assert_int_equal(info.datagram_size, 1472);
		assert_int_equal(info.mtu, 1472 - 16 - 21 - 14 - 16);
	}
	lab_free(l);
}

/* One end has no instructions for AES: both take the other cipher. */
static void ends_agree_on_the_cipher(void **state)
{
	struct router_config configs[2] = { { .datagram_max = 1472, .ciphers = BOTH },
					    { .datagram_max = 1472 } };
	struct lab *l = lab_new_with(2, 1, configs, 2);

	(void)state;
	l->sealed = true;
	lab_connect(l, 0, 1, 5);
	lab_run(l, 150);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(lab_path(l, i, !i).established);
		assert_string_equal(lab_path(l, i, !i).cipher, "ChaCha20-Poly1305");
	}
	lab_free(l);
}

static void connect_with(struct lab *l, struct path_secret a, struct path_secret b)
{
	l->wires[0][1] = l->wires[1][0] = (struct lab_wire){ .connected = true, .delay_ms = 5 };
	router_on_up(l->routers[0], lab_conn(1), 2, lab_address(1), &a, lab_now(l));
	router_on_up(l->routers[1], lab_conn(0), 1, lab_address(0), &b, lab_now(l));
	lab_run(l, 20000);
	assert_false(lab_path(l, 0, 1).established);
	assert_false(lab_path(l, 1, 0).established);
}

static void no_path_without_the_same_secret(void **state)
{
	struct lab *l = sealed_lab(2, 1, 0);
	struct path_secret one = { .sealed = true, .initiator = true, .secret = { 1 } };
	struct path_secret other = { .sealed = true, .secret = { 2 } };

	(void)state;
	connect_with(l, one, other);
	assert_true(lab_drops(l, 0, DROP_BAD_SEAL) > 10 && lab_drops(l, 1, DROP_BAD_SEAL) > 10);
	lab_disconnect(l, 0, 1);
	/* both took themselves for the one who dialled */
	connect_with(l, one, one);
	lab_disconnect(l, 0, 1);
	/* sealed at one end only */
	assert_int_equal(lab_drops(l, 0, DROP_NOT_SEALED), 0);
	assert_int_equal(lab_drops(l, 1, DROP_NOT_CLEAR), 0);
	connect_with(l, one, (struct path_secret){ .sealed = false });
	assert_true(lab_drops(l, 0, DROP_NOT_SEALED) > 10);
	assert_true(lab_drops(l, 1, DROP_NOT_CLEAR) > 10);
	lab_free(l);
}

/* The SETUP message of one end was changed on its way (which takes more than the network: it
 * travels encrypted): the keys differ, whatever was changed. */
static void a_changed_set_up_gives_no_path(void **state)
{
	(void)state;
	for (size_t at_byte = 1; at_byte < SLEEVE_SETUP_SIZE; at_byte++) {
		struct lab *l = sealed_lab(2, 1, BOTH);

		lab_connect(l, 0, 1, 5);
		assert_true(l->events->overlay && l->events->size == SLEEVE_SETUP_SIZE);
		l->events->data[at_byte] ^= at_byte == SLEEVE_SETUP_SIZE - 1 ? 1 : 0x10;
		lab_run(l, 5000);
		assert_false(lab_path(l, 0, 1).established);
		assert_false(lab_path(l, 1, 0).established);
		lab_free(l);
	}
}

static void set_up_happens_once(void **state)
{
	struct lab *l = pair();
	uint8_t copy[SLEEVE_SETUP_SIZE];
	struct made_frame f;

	(void)state;
	memcpy(copy, l->events->data, sizeof copy);
	assert_int_equal(l->events->to, 1);
	lab_run(l, 1000);
	make_raw(&f, broadcast, mac_of(1), 200, 7);
	for (unsigned i = 0; i < 3; i++) {
		router_on_overlay(l->routers[1], lab_conn(0), bytes_of(copy, sizeof copy),
				  lab_now(l));
		memcpy(f.data + 6, mac_of(1).b, 6);
		lab_frame(l, 0, &f);
		memcpy(f.data + 6, mac_of(2).b, 6);
		lab_frame(l, 1, &f);
		lab_run(l, 20000);
		copy[10] ^= 0x40; /* even when it differs */
	}
	assert_int_equal(l->gossips[0].changes[1], 1);
	assert_int_equal(l->gossips[1].changes[0], 1);
	assert_int_equal(l->frames[1], 3);
	assert_int_equal(l->frames[0], 3);
	assert_int_equal(all_drops(l, 0) + all_drops(l, 1), 0);
	lab_free(l);
}

/* ---- nothing readable on the wire ---- */

static unsigned wire_types[256];

static void look(struct lab *l, unsigned from, unsigned to, struct bytes d)
{
	static const char secret[] = "attack at dawn";

	(void)l;
	(void)from;
	(void)to;
	wire_types[d.data[0]]++;
	assert_true(d.size <= 1472);
	assert_null(memmem(d.data, d.size, secret, sizeof secret - 1));
	/* nor the MACs */
	assert_null(memmem(d.data, d.size, mac_of(1).b, 6));
	assert_null(memmem(d.data, d.size, mac_of(2).b, 6));
}

static void make_secret_frame(struct made_frame *f, size_t size)
{
	make_raw(f, mac_of(2), mac_of(1), size, 7);
	for (size_t i = 14; i + 14 < size; i += 14)
		memcpy(f->data + i, "attack at dawn", 14);
}

/* From before the first datagram to after the last, over a relay, whole and in fragments, while
 * connections go and come. */
static void the_wire_tells_nothing(void **state)
{
	struct lab *l = sealed_lab(3, 2, 0);
	struct made_frame f;

	(void)state;
	memset(wire_types, 0, sizeof wire_types);
	l->on_wire = look;
	router_add_endpoint(l->routers[0], 0, mac_of(1), NULL, 0, lab_now(l));
	router_add_endpoint(l->routers[2], 0, mac_of(2), NULL, 0, lab_now(l));
	for (unsigned round = 0; round < 5; round++) {
		uint64_t before = l->frames[2];

		lab_connect(l, 0, 1, 5);
		lab_connect(l, 1, 2, 5);
		for (unsigned i = 0; i < 200; i++) {
			make_secret_frame(&f, i % 5 ? 100 + i * 6 : 60000);
			lab_frame(l, 0, &f);
			lab_run(l, 10);
		}
		assert_true(l->frames[2] - before > 150);
		/* a datagram is open while its connection goes down */
		router_on_frame(l->routers[0], SEGMENT_DEFAULT, bytes_of(f.data, 100), OFFLOAD_NONE,
				lab_now(l));
		lab_disconnect(l, 0, 1);
		lab_run(l, 100);
		lab_disconnect(l, 1, 2);
	}
	assert_true(router_counters(l->routers[1])->relayed > 750);
	assert_true(wire_types[SLEEVE_SEALED] > 10000);
	for (unsigned type = 0; type < 256; type++)
		assert_true(type == SLEEVE_SEALED || wire_types[type] == 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(lab_drops(l, i, DROP_BAD_SEAL), 0);
	lab_free(l);
}

/* Many small frames share a datagram that its tag still fits into. */
static void frames_share_a_sealed_datagram(void **state)
{
	struct lab *l = pair();
	struct outbox *o;
	struct made_frame f;

	(void)state;
	router_add_endpoint(l->routers[1], 0, mac_of(2), NULL, 0, lab_now(l));
	lab_run(l, 1000);
	for (size_t size = 60; size < 1460; size++) {
		make_raw(&f, mac_of(2), mac_of(1), size, 7);
		for (unsigned i = 0; i < 9; i++)
			router_on_frame(l->routers[0], SEGMENT_DEFAULT, bytes_of(f.data, f.size),
					OFFLOAD_NONE, lab_now(l));
		o = router_outbox(l->routers[0]);
		for (uint32_t i = 0; i < o->datagrams_count; i++)
			assert_true(o->datagrams[i].size <= 1472);
		if (size < 90)
			/* the first frame makes a heartbeat go out, which travels alone */
			assert_int_equal(o->datagrams_count, size == 60 ? 3 : 1);
		lab_flush(l, 0);
		lab_run(l, 20);
	}
	assert_int_equal(l->frames[1], 9 * 1400);
	assert_int_equal(all_drops(l, 1), 0);
	lab_free(l);
}

/* ---- an attacker on the path ---- */

struct caught {
	uint8_t data[2048];
	size_t size;
};

/* A datagram of router 0 with one frame, which has not arrived. */
static struct caught catch_frame(struct lab *l, size_t size)
{
	struct outbox *o;
	struct made_frame f;
	struct caught c;

	make_raw(&f, broadcast, mac_of(1), size, 7);
	router_on_frame(l->routers[0], SEGMENT_DEFAULT, bytes_of(f.data, f.size), OFFLOAD_NONE,
			lab_now(l));
	o = router_outbox(l->routers[0]);
	assert_true(o->datagrams_count >= 1);
	c.size = o->datagrams[0].size;
	memcpy(c.data, o->datagrams[0].data, c.size);
	outbox_clear(o);
	return c;
}

static enum drop_reason inject(struct lab *l, const struct caught *c, struct netaddr from)
{
	struct drop_counters before = *router_drops(l->routers[1]);
	struct caught copy = *c;
	const struct drop_counters *after;

	router_on_datagram(l->routers[1], from, copy.data, copy.size, lab_now(l));
	lab_flush(l, 1);
	after = router_drops(l->routers[1]);
	for (unsigned k = 0; k < DROP_REASONS_COUNT; k++)
		if (after->count[k] != before.count[k])
			return (enum drop_reason)k;
	return DROP_NONE;
}

/* All that a router shows of its path. */
static void assert_same_path(const struct path_info *a, const struct path_info *b)
{
	assert_int_equal(netaddr_compare(a->address, b->address), 0);
	assert_int_equal(a->established, b->established);
	assert_int_equal(a->overlay, b->overlay);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->datagram_size, b->datagram_size);
	assert_int_equal(a->rtt_us, b->rtt_us);
	assert_string_equal(a->why, b->why);
	assert_true(a->frames_out == b->frames_out && a->frames_in == b->frames_in);
	assert_true(a->bytes_out == b->bytes_out && a->bytes_in == b->bytes_in);
}

static void any_changed_byte_is_refused_and_changes_nothing(void **state)
{
	struct lab *l = pair();
	struct path_info before;
	struct caught good, bad;
	struct mono due;
	size_t memory;

	(void)state;
	lab_run(l, 1000);
	catch_frame(l, 100); /* its path goes fast */
	lab_run(l, 100);
	good = catch_frame(l, 100);
	assert_int_equal(good.size, 16 + 19 + 100 + 16);
	before = lab_path(l, 1, 0);
	due = router_deadline(l->routers[1]);
	memory = mem_in_use();
	for (size_t i = 0; i < good.size; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct path_info after;
			enum drop_reason reason;

			bad = good;
			bad.data[i] ^= (uint8_t)(1u << bit);
			reason = inject(l, &bad, lab_address(0));
			if (i == 0) /* type: 2 becomes 3, 0, 6 ... */
				assert_int_equal(reason, DROP_BAD_DATAGRAM);
			else if (i == 1)
				assert_int_equal(reason, bit ? DROP_BAD_EPOCH : DROP_BAD_SEAL);
			else if (i < 4)
				assert_int_equal(reason, DROP_BAD_DATAGRAM);
			else if (i < 8)
				assert_int_equal(reason, DROP_NO_CONNECTION);
			else if (i < 16) /* a counter that was seen, or another nonce */
				assert_true(reason == DROP_REPLAY || reason == DROP_BAD_SEAL);
			else
				assert_int_equal(reason, DROP_BAD_SEAL);
			after = lab_path(l, 1, 0);
			assert_same_path(&after, &before);
		}
	}
	/* cut to every length, and longer */
	for (size_t size = 0; size < good.size + 40; size++) {
		bad = good;
		bad.size = size;
		if (size == good.size)
			continue;
		assert_int_equal(inject(l, &bad, lab_address(0)),
				 size < 16 ? DROP_BAD_DATAGRAM : DROP_BAD_SEAL);
	}
	/* in clear */
	bad = good;
	bad.data[0] = SLEEVE_CLEAR;
	assert_int_equal(inject(l, &bad, lab_address(0)), DROP_NOT_SEALED);
	assert_int_equal(mem_in_use(), memory);
	assert_true(router_deadline(l->routers[1]).ms == due.ms);
	assert_int_equal(l->frames[1], 0);
	/* the window has not moved: the true one is still new, once */
	assert_int_equal(inject(l, &good, lab_address(0)), DROP_NONE);
	assert_int_equal(l->frames[1], 1);
	assert_int_equal(inject(l, &good, lab_address(0)), DROP_REPLAY);
	assert_int_equal(l->frames[1], 1);
	lab_free(l);
}

static void addresses_are_told_by_heartbeats_only(void **state)
{
	struct lab *l = pair();
	struct netaddr other = lab_address(7);
	struct caught data, beat;
	struct outbox *o;

	(void)state;
	lab_run(l, 1000);
	/* a datagram with frames is good from anywhere, but tells nothing */
	data = catch_frame(l, 100);
	assert_int_equal(inject(l, &data, other), DROP_NONE);
	assert_int_equal(l->frames[1], 1);
	assert_int_equal(netaddr_compare(lab_path(l, 1, 0).address, lab_address(0)), 0);
	/* a heartbeat tells it */
	router_on_suspect(l->routers[0], 2, lab_now(l));
	o = router_outbox(l->routers[0]);
	beat.size = o->datagrams[0].size;
	assert_int_equal(beat.size, 16 + 22 + 16);
	memcpy(beat.data, o->datagrams[0].data, beat.size);
	outbox_clear(o);
	beat.data[30] ^= 1;
	assert_int_equal(inject(l, &beat, other), DROP_BAD_SEAL);
	assert_int_equal(netaddr_compare(lab_path(l, 1, 0).address, lab_address(0)), 0);
	beat.data[30] ^= 1;
	assert_int_equal(inject(l, &beat, other), DROP_NONE);
	assert_int_equal(netaddr_compare(lab_path(l, 1, 0).address, other), 0);
	/* the next one tells the true one again */
	lab_run(l, 10000);
	assert_int_equal(netaddr_compare(lab_path(l, 1, 0).address, lab_address(0)), 0);
	assert_true(lab_path(l, 1, 0).established);
	lab_free(l);
}

/* The window's far edge, with datagrams in an order that only an attacker makes. */
static void the_replay_window_holds(void **state)
{
	struct lab *l = pair();
	struct caught *all = mem_new(20000, sizeof *all);
	const unsigned count = 16321; /* one more than the window */

	(void)state;
	lab_run(l, 1000);
	for (unsigned i = 0; i < count; i++)
		all[i] = catch_frame(l, 60);
	assert_int_equal(inject(l, &all[count - 1], lab_address(0)), DROP_NONE); /* far jump */
	assert_int_equal(inject(l, &all[0], lab_address(0)), DROP_REPLAY);	 /* too old */
	for (unsigned i = 1; i < count - 1; i++)
		assert_int_equal(inject(l, &all[i], lab_address(0)), DROP_NONE);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(inject(l, &all[i], lab_address(0)), DROP_REPLAY);
	assert_int_equal(l->frames[1], count - 1);
	mem_free(all);
	lab_free(l);
}

static void garbage_costs_nothing(void **state)
{
	struct lab *l = pair();
	struct rng rng = { test_seed(0x5eed0502) };
	struct caught index_of, c;
	uint64_t counted;
	size_t memory;

	(void)state;
	lab_run(l, 1000);
	index_of = catch_frame(l, 60);
	lab_run(l, 1000);
	memory = mem_in_use();
	counted = all_drops(l, 1);
	for (unsigned i = 0; i < 50000; i++) {
		c.size = rng_below(&rng, 1500);
		for (size_t k = 0; k < c.size; k++)
			c.data[k] = (uint8_t)rng_u64(&rng);
		/* half of them with a header that fits in all but the seal */
		if (i & 1 && c.size >= 16) {
			memcpy(c.data, index_of.data, 8);
			c.data[1] = (uint8_t)(rng_below(&rng, 3) - 1);
		}
		assert_true(inject(l, &c, lab_address((unsigned)rng_below(&rng, 9))) != DROP_NONE);
	}
	assert_int_equal(all_drops(l, 1) - counted, 50000);
	assert_int_equal(mem_in_use(), memory);
	lab_run(l, 10000);
	assert_int_equal(l->gossips[1].changes[0], 1);
	lab_free(l);
}

/* ---- epochs ---- */

static void epochs_follow_the_clock(void **state)
{
	struct lab *l = pair();

	(void)state;
	lab_run(l, 15 * 60 * 1000);
	for (unsigned i = 0; i < 2; i++) {
		assert_in_range(lab_path(l, i, !i).epoch, 6, 7);
		assert_int_equal(all_drops(l, i), 0);
		assert_int_equal(l->gossips[i].changes[!i], 1);
	}
	lab_free(l);
}

/* However long nothing passes in one direction, both are in reach of each other afterwards. */
static void a_long_cut_does_not_part_the_keys(void **state)
{
	(void)state;
	for (unsigned c = 1; c < 4; c++) {
		struct lab *l = pair();

		lab_run(l, 119000); /* just before new keys are due */
		l->wires[0][1].cut = c & 1;
		l->wires[1][0].cut = c & 2;
		lab_run(l, 20 * 60 * 1000);
		assert_false(lab_path(l, 0, 1).established);
		l->wires[0][1].cut = l->wires[1][0].cut = false;
		lab_run(l, 5000);
		assert_true(lab_path(l, 0, 1).established);
		assert_true(lab_path(l, 1, 0).established);
		assert_int_equal(lab_drops(l, 0, DROP_BAD_EPOCH), 0);
		assert_int_equal(lab_drops(l, 1, DROP_BAD_EPOCH), 0);
		lab_run(l, 10 * 60 * 1000);
		assert_true(lab_path(l, 0, 1).epoch >= 4);
		lab_free(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sealed_path_comes_up),
		cmocka_unit_test(ends_agree_on_the_cipher),
		cmocka_unit_test(no_path_without_the_same_secret),
		cmocka_unit_test(a_changed_set_up_gives_no_path),
		cmocka_unit_test(set_up_happens_once),
		cmocka_unit_test(the_wire_tells_nothing),
		cmocka_unit_test(frames_share_a_sealed_datagram),
		cmocka_unit_test(any_changed_byte_is_refused_and_changes_nothing),
		cmocka_unit_test(addresses_are_told_by_heartbeats_only),
		cmocka_unit_test(the_replay_window_holds),
		cmocka_unit_test(garbage_costs_nothing),
		cmocka_unit_test(epochs_follow_the_clock),
		cmocka_unit_test(a_long_cut_does_not_part_the_keys),
	};

	MUST(sodium_init() >= 0); /* finds out what the processor can do */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
