#include "lab.h"

static const struct mac broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

static struct lab *pair(uint32_t datagram_max)
{
	struct lab *l = lab_new(2, 1, datagram_max);

	lab_connect(l, 0, 1, 5);
	return l;
}

static void a_path_comes_up_in_a_few_round_trips(void **state)
{
	struct lab *l = pair(1472);
	struct path_info info;

	(void)state;
	lab_run(l, 60);
	info = lab_path(l, 0, 1);
	assert_true(info.established);
	assert_int_equal(info.overlay, OVERLAY_SLEEVE);
	assert_int_equal(info.datagram_size, 1472);
	assert_int_equal(info.mtu, 1472 - 16 - 21 - 14);
	assert_int_equal(info.rtt_us, 10000);
	assert_int_equal(l->gossips[0].overlay[1], OVERLAY_SLEEVE);
	assert_int_equal(l->gossips[1].overlay[0], OVERLAY_SLEEVE);
	assert_non_null(strstr(info.why, "fastdp"));
	lab_free(l);
}

static void idle_costs_little_and_stays_up(void **state)
{
	struct lab *l = pair(1472);
	uint64_t before;

	(void)state;
	lab_run(l, 2000);
	before = l->datagrams;
	lab_run(l, 50000);
	/* Both ends, each 5 s. */
	assert_in_range(l->datagrams - before, 18, 24);
	lab_run(l, 200000);
	assert_int_equal(l->gossips[0].changes[1], 1);
	assert_int_equal(l->gossips[1].changes[0], 1);
	lab_free(l);
}

static void frames_travel_and_macs_are_known(void **state)
{
	struct lab *l = pair(1472);
	struct made_frame f;

	(void)state;
	router_add_endpoint(l->routers[1], 0, mac_of(2), NULL, 0, lab_now(l));
	lab_run(l, 1000);
	make_raw(&f, mac_of(2), mac_of(1), 1000, 7);
	lab_frame(l, 0, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[1], 1);
	assert_int_equal(lab_last(l, 1)->size, f.size);
	assert_memory_equal(lab_last(l, 1)->data, f.data, f.size);
	/* back: the first frame's source was published meanwhile */
	make_raw(&f, mac_of(1), mac_of(2), 64, 8);
	lab_frame(l, 1, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[0], 1);
	/* between containers of one bridge nothing leaves */
	make_raw(&f, mac_of(1), mac_of(3), 64, 8);
	lab_frame(l, 0, &f);
	assert_int_equal(lab_drops(l, 0, DROP_LOCAL), 1);
	/* a bridge's own control frames stay */
	make_raw(&f, (struct mac){ { 1, 0x80, 0xc2, 0, 0, 0 } }, mac_of(3), 64, 8);
	lab_frame(l, 0, &f);
	assert_int_equal(lab_drops(l, 0, DROP_LINK_LOCAL), 1);
	lab_free(l);
}

static void unknown_and_group_frames_are_flooded(void **state)
{
	struct lab *l = lab_new(4, 2, 1472);
	struct made_frame f;

	(void)state;
	/* a line 0 - 1 - 2 and a branch 1 - 3 */
	lab_connect(l, 0, 1, 5);
	lab_connect(l, 1, 2, 5);
	lab_connect(l, 1, 3, 5);
	lab_run(l, 1000);
	make_raw(&f, broadcast, mac_of(1), 200, 7);
	lab_frame(l, 0, &f);
	lab_run(l, 100);
	make_raw(&f, mac_of(99), mac_of(1), 200, 7);
	lab_frame(l, 0, &f);
	lab_run(l, 100);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(l->frames[i], 2);
	assert_int_equal(l->frames[0], 0);
	/* the far one answers: relayed */
	make_raw(&f, mac_of(1), mac_of(2), 300, 7);
	lab_frame(l, 2, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[0], 1);
	assert_int_equal(l->frames[3], 2);
	assert_int_equal(router_counters(l->routers[1])->relayed, 3);
	lab_free(l);
}

static void large_frames_are_cut_and_joined(void **state)
{
	struct lab *l = lab_new(3, 3, 1472);
	struct made_frame f;

	(void)state;
	lab_connect(l, 0, 1, 5);
	lab_connect(l, 1, 2, 5);
	l->wires[1][2].mtu = l->wires[2][1].mtu = 700;
	lab_run(l, 3000);
	assert_int_equal(lab_path(l, 1, 2).datagram_size, 700);
	make_raw(&f, broadcast, mac_of(1), 9000, 7);
	lab_frame(l, 0, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[2], 1);
	assert_memory_equal(lab_last(l, 2)->data, f.data, f.size);
	make_ipv4(&f, broadcast, mac_of(1), 60000, true, 17);
	lab_frame(l, 0, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[2], 2);
	assert_memory_equal(lab_last(l, 2)->data, f.data, f.size);
	assert_int_equal(router_counters(l->routers[0])->icmp_sent, 0);
	lab_free(l);
}

static void senders_of_large_packets_are_told(void **state)
{
	struct lab *l = pair(1472);
	struct made_frame f;

	(void)state;
	router_add_endpoint(l->routers[1], 0, mac_of(2), NULL, 0, lab_now(l));
	lab_run(l, 1000);
	make_ipv4(&f, mac_of(2), mac_of(1), 1500, true, 17);
	lab_frame(l, 0, &f);
	assert_int_equal(l->frames[0], 1);
	assert_int_equal(lab_last(l, 0)->data[40] << 8 | lab_last(l, 0)->data[41], 1421);
	make_ipv4(&f, mac_of(2), mac_of(1), 1421, true, 17);
	lab_frame(l, 0, &f);
	make_ipv4(&f, mac_of(2), mac_of(1), 1500, false, 17);
	lab_frame(l, 0, &f);
	lab_run(l, 100);
	/* the one that was too big has arrived all the same */
	assert_int_equal(l->frames[1], 3);
	assert_int_equal(l->frames[0], 1);
	make_ipv4(&f, mac_of(2), mac_of(1), 1500, true, 17);
	for (unsigned i = 0; i < 100; i++)
		lab_frame(l, 0, &f);
	lab_run(l, 100);
	assert_int_equal(l->frames[1], 103);
	assert_in_range(router_counters(l->routers[0])->icmp_sent, 20, 50);
	lab_free(l);
}

static void small_frames_share_a_datagram(void **state)
{
	struct lab *l = pair(1472);
	struct outbox *o;
	struct made_frame f;

	(void)state;
	router_add_endpoint(l->routers[1], 0, mac_of(2), NULL, 0, lab_now(l));
	router_add_endpoint(l->routers[0], 0, mac_of(1), NULL, 0, lab_now(l));
	lab_run(l, 1000);
	make_raw(&f, mac_of(2), mac_of(1), 100, 7);
	lab_frame(l, 0, &f); /* goes fast: its heartbeat leaves too */
	lab_run(l, 10);
	for (unsigned i = 0; i < 24; i++)
		router_on_frame(l->routers[0], SEGMENT_DEFAULT, bytes_of(f.data, f.size),
				OFFLOAD_NONE, lab_now(l));
	o = router_outbox(l->routers[0]);
	assert_int_equal(o->datagrams_count, 2); /* 12 in each */
	assert_in_range(o->datagrams[0].size, 1472 - 119, 1472);
	lab_flush(l, 0);
	router_on_frame(l->routers[0], SEGMENT_DEFAULT, bytes_of(f.data, f.size), OFFLOAD_NONE,
			lab_now(l));
	assert_int_equal(router_outbox(l->routers[0])->datagrams_count, 1);
	lab_flush(l, 0);
	lab_run(l, 100);
	assert_int_equal(l->frames[1], 26);
	lab_free(l);
}

/* How long until router 0 gives up its path to 1. */
static uint64_t time_until_down(struct lab *l)
{
	uint64_t start = l->now_ms;

	while (lab_path(l, 0, 1).established && l->now_ms - start < 60000)
		lab_run(l, 10);
	return l->now_ms - start;
}

static void keep_busy(struct lab *l)
{
	struct made_frame f;

	make_raw(&f, broadcast, mac_of(1), 200, 7);
	lab_frame(l, 0, &f);
	lab_run(l, 500);
}

static void a_cut_is_noticed(void **state)
{
	(void)state;
	/* both ways, only there, only back; while busy and while idle */
	for (unsigned c = 1; c < 4; c++) {
		for (unsigned busy = 0; busy < 2; busy++) {
			struct lab *l = pair(1472);

			lab_run(l, 15000);
			if (busy)
				keep_busy(l);
			l->wires[0][1].cut = c & 1;
			l->wires[1][0].cut = c & 2;
			assert_in_range(time_until_down(l), 1, busy ? 1600 : 16000);
			assert_int_equal(l->gossips[0].overlay[1], 0);
			lab_run(l, 20000);
			assert_false(lab_path(l, 1, 0).established);
			l->wires[0][1].cut = l->wires[1][0].cut = false;
			lab_run(l, 3000);
			assert_true(lab_path(l, 0, 1).established);
			assert_true(lab_path(l, 1, 0).established);
			assert_int_equal(lab_path(l, 0, 1).datagram_size, 1472);
			lab_free(l);
		}
	}
}

static void a_suspicion_makes_it_quick(void **state)
{
	struct lab *l = pair(1472);

	(void)state;
	lab_run(l, 30000);
	router_on_suspect(l->routers[0], 2, lab_now(l));
	lab_run(l, 30000);
	assert_int_equal(l->gossips[0].changes[1], 1);
	l->wires[0][1].cut = l->wires[1][0].cut = true;
	router_on_suspect(l->routers[0], 2, lab_now(l));
	assert_in_range(time_until_down(l), 1000, 1600);
	lab_free(l);
}

static void loss_does_not_bring_a_path_down(void **state)
{
	struct lab *l = pair(1472);

	(void)state;
	lab_run(l, 1000);
	l->wires[0][1].loss_percent = l->wires[1][0].loss_percent = 20;
	l->wires[0][1].double_percent = 10;
	for (unsigned i = 0; i < 600; i++)
		keep_busy(l);
	lab_run(l, 60000);
	assert_int_equal(l->gossips[0].changes[1], 1);
	assert_true(lab_drops(l, 1, DROP_REPLAY) > 0);
	lab_free(l);
}

static void a_smaller_path_is_noticed(void **state)
{
	struct lab *l = pair(1472);
	struct made_frame f;
	unsigned lost = 0;

	(void)state;
	router_add_endpoint(l->routers[1], 0, mac_of(2), NULL, 0, lab_now(l));
	lab_run(l, 5000);
	l->wires[0][1].mtu = 1300;
	make_raw(&f, mac_of(2), mac_of(1), 1400, 7);
	for (unsigned i = 0; i < 40; i++) {
		uint64_t before = l->frames[1];

		lab_frame(l, 0, &f);
		lab_run(l, 100);
		lost += l->frames[1] == before;
	}
	assert_in_range(lost, 1, 15); /* two fast heartbeats and a round of probes */
	assert_int_equal(lab_path(l, 0, 1).datagram_size, 1300);
	assert_int_equal(lab_path(l, 1, 0).datagram_size, 1472);
	/* grows again within a minute */
	l->wires[0][1].mtu = 0;
	lab_run(l, 70000);
	assert_int_equal(lab_path(l, 0, 1).datagram_size, 1472);
	/* what the kernel itself refuses counts at once */
	router_on_too_big(l->routers[0], lab_address(1), 1472, lab_now(l));
	assert_int_equal(lab_path(l, 0, 1).datagram_size, 548);
	l->wires[0][1].mtu = 1471;
	lab_run(l, 1000);
	assert_int_equal(lab_path(l, 0, 1).datagram_size, 1471);
	lab_free(l);
}

static void strangers_are_refused(void **state)
{
	struct lab *l = pair(1472);
	struct outbox *o;
	struct netaddr other = lab_address(7);
	struct made_frame f;
	uint8_t copy[2048];
	size_t size;

	(void)state;
	lab_run(l, 1000);
	make_raw(&f, broadcast, mac_of(1), 200, 7);
	lab_frame(l, 0, &f);
	lab_run(l, 10);
	router_on_frame(l->routers[0], SEGMENT_DEFAULT, bytes_of(f.data, f.size), OFFLOAD_NONE,
			lab_now(l));
	o = router_outbox(l->routers[0]);
	size = o->datagrams[0].size;
	memcpy(copy, o->datagrams[0].data, size);
	lab_flush(l, 0);
	/* from elsewhere, ahead of the true one: refused and not taken for seen */
	router_on_datagram(l->routers[1], other, copy, size, lab_now(l));
	assert_int_equal(lab_drops(l, 1, DROP_BAD_SOURCE), 1);
	assert_int_equal(lab_path(l, 1, 0).address.port, 6783);
	lab_run(l, 10);
	assert_int_equal(l->frames[1], 2);
	/* again */
	router_on_datagram(l->routers[1], lab_address(0), copy, size, lab_now(l));
	assert_int_equal(lab_drops(l, 1, DROP_REPLAY), 1);
	copy[5] ^= 1;
	router_on_datagram(l->routers[1], lab_address(0), copy, size, lab_now(l));
	assert_int_equal(lab_drops(l, 1, DROP_NO_CONNECTION), 1);
	copy[5] ^= 1;
	router_on_datagram(l->routers[1], lab_address(0), copy, size - 1, lab_now(l));
	router_on_datagram(l->routers[1], lab_address(0), copy, 16, lab_now(l));
	router_on_datagram(l->routers[1], lab_address(0), copy, 0, lab_now(l));
	assert_int_equal(lab_drops(l, 1, DROP_BAD_DATAGRAM), 3);
	lab_free(l);
}

static void a_peer_may_move_to_another_address(void **state)
{
	struct lab *l = pair(1472);

	(void)state;
	/* a translator changes the port from the beginning */
	l->wires[0][1].rewrite = lab_address(0);
	l->wires[0][1].rewrite.port = 40000;
	lab_run(l, 1000);
	assert_int_equal(lab_path(l, 1, 0).address.port, 40000);
	l->wires[0][1].rewrite.port = 6783;
	lab_run(l, 20000);
	assert_int_equal(lab_path(l, 1, 0).address.port, 6783);
	assert_true(lab_path(l, 1, 0).established);
	lab_free(l);
}

static void a_mac_that_moves_is_claimed_back(void **state)
{
	struct lab *l = pair(1472);
	struct made_frame f;
	struct endpoint_info e;

	(void)state;
	lab_run(l, 1000);
	make_raw(&f, broadcast, mac_of(5), 100, 1);
	lab_frame(l, 0, &f);
	lab_run(l, 2000);
	assert_true(router_endpoint_at(l->routers[1], 0, lab_now(l), &e));
	assert_int_equal(e.peer, 1);
	lab_frame(l, 1, &f); /* now behind the other */
	lab_run(l, 100);
	assert_true(router_endpoint_at(l->routers[0], 0, lab_now(l), &e));
	assert_int_equal(e.peer, 2);
	/* at once back is too soon */
	lab_frame(l, 0, &f);
	assert_int_equal(lab_drops(l, 0, DROP_FOREIGN_SOURCE), 1);
	for (unsigned i = 0; i < 10; i++) {
		lab_run(l, 1100);
		lab_frame(l, i & 1, &f);
	}
	assert_true(lab_drops(l, 0, DROP_FROZEN) + lab_drops(l, 1, DROP_FROZEN) > 0);
	assert_true(router_endpoint_at(l->routers[0], 0, lab_now(l), &e));
	assert_true(e.frozen);
	lab_free(l);
}

static void a_peer_that_goes_takes_its_macs_out_of_sight(void **state)
{
	struct lab *l = pair(1472);
	struct endpoint_info e;

	(void)state;
	router_add_endpoint(l->routers[1], 0, mac_of(2), NULL, 0, lab_now(l));
	lab_run(l, 1000);
	assert_true(router_endpoint_at(l->routers[0], 0, lab_now(l), &e));
	assert_int_equal(e.peer, 2);
	l->wires[0][1].cut = true;
	lab_run(l, 20000);
	assert_true(router_endpoint_at(l->routers[0], 0, lab_now(l), &e));
	assert_int_equal(e.peer, PEER_NAME_NONE);
	router_on_down(l->routers[0], lab_conn(1), lab_now(l));
	assert_int_equal(router_deadline(l->routers[0]).ms >= lab_now(l).ms, true);
	lab_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_comes_up_in_a_few_round_trips),
		cmocka_unit_test(idle_costs_little_and_stays_up),
		cmocka_unit_test(frames_travel_and_macs_are_known),
		cmocka_unit_test(unknown_and_group_frames_are_flooded),
		cmocka_unit_test(large_frames_are_cut_and_joined),
		cmocka_unit_test(senders_of_large_packets_are_told),
		cmocka_unit_test(small_frames_share_a_datagram),
		cmocka_unit_test(a_cut_is_noticed),
		cmocka_unit_test(a_suspicion_makes_it_quick),
		cmocka_unit_test(loss_does_not_bring_a_path_down),
		cmocka_unit_test(a_smaller_path_is_noticed),
		cmocka_unit_test(strangers_are_refused),
		cmocka_unit_test(a_peer_may_move_to_another_address),
		cmocka_unit_test(a_mac_that_moves_is_claimed_back),
		cmocka_unit_test(a_peer_that_goes_takes_its_macs_out_of_sight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
