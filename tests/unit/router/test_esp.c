/* Two ends of sealed paths, each with a model of its kernel: what one sends the other must be able
 * to open, at every moment, whatever the order and delay of what they tell each other. */
#include "../../../router/esp.h"

#include "router_test.h"

#define LIFE 120000u
#define SPI_A 0x11111100u
#define SPI_B 0x22222200u
#define MODEL_MAX 32u
#define MESSAGES_MAX 64u

struct kernel {
	struct fastdp_op sas[MODEL_MAX];
	uint8_t keys[MODEL_MAX][FASTDP_SA_KEY_SIZE];
	unsigned sas_count;
	struct fastdp_op guards[MODEL_MAX];
	unsigned guards_count;
};

struct end {
	struct esp *esp;
	struct kernel kernel;
	struct esp_message due[MESSAGES_MAX]; /* on their way here, in order */
	unsigned due_count;
	enum fastdp_op_type refuse; /* that kind of order; MODEL_MAX: none */
	bool refused;
};

struct pair {
	struct end a, b;
	uint64_t now_ms;
};

static const struct ip_addr ip_a = { 4, { 10, 0, 0, 1 } }, ip_b = { 4, { 10, 0, 0, 2 } },
			    ip_c = { 4, { 10, 0, 0, 3 } };

/* What is given out once is never given out again: a key used twice would repeat nonces. */
static void never_twice(struct kernel *k, const struct fastdp_op *op)
{
	for (unsigned i = 0; i < k->sas_count; i++)
		assert_true(k->sas[i].out != op->out || k->sas[i].spi != op->spi);
}

static void do_sa(struct kernel *k, const struct fastdp_op *op)
{
	unsigned i = 0;

	if (!op->remove) {
		never_twice(k, op);
		assert_true(k->sas_count < MODEL_MAX);
		memcpy(k->keys[k->sas_count], op->sa_key, FASTDP_SA_KEY_SIZE);
		k->sas[k->sas_count++] = *op;
		return;
	}
	while (i < k->sas_count && (k->sas[i].out != op->out || k->sas[i].spi != op->spi))
		i++;
	assert_true(i < k->sas_count);
	k->sas_count--;
	k->sas[i] = k->sas[k->sas_count];
	memcpy(k->keys[i], k->keys[k->sas_count], FASTDP_SA_KEY_SIZE);
}

static struct fastdp_op *guard_of(struct kernel *k, struct ip_addr remote)
{
	for (unsigned i = 0; i < k->guards_count; i++)
		if (ip_compare(k->guards[i].remote, remote) == 0)
			return &k->guards[i];
	return NULL;
}

static int sa_at(const struct kernel *k, bool out, uint32_t spi)
{
	for (unsigned i = 0; i < k->sas_count; i++)
		if (k->sas[i].out == out && k->sas[i].spi == spi)
			return (int)i;
	return -1;
}

static void do_guard(struct kernel *k, const struct fastdp_op *op)
{
	struct fastdp_op *known = guard_of(k, op->remote);

	if (op->remove) {
		assert_non_null(known);
		*known = k->guards[--k->guards_count];
		return;
	}
	/* It names what is there. */
	assert_true(!op->spi || sa_at(k, true, op->spi) >= 0);
	for (unsigned i = 0; i < k->guards_count; i++)
		assert_true((k->guards[i].guard == op->guard) ==
			    (ip_compare(k->guards[i].remote, op->remote) == 0));
	if (known)
		*known = *op;
	else
		k->guards[k->guards_count++] = *op;
}

static void flush(struct pair *p, struct end *e)
{
	struct fastdp_op op;

	for (unsigned orders = ESP_ADDS; orders <= ESP_REMOVALS; orders++) {
		while (esp_next(e->esp, (enum esp_orders)orders, &op, at(p->now_ms))) {
			if (!op.remove && op.type == e->refuse) {
				e->refused = true;
				esp_on_failed(e->esp, &op);
			} else if (op.type == FASTDP_OP_SA) {
				do_sa(&e->kernel, &op);
			} else {
				do_guard(&e->kernel, &op);
			}
		}
	}
	esp_check(e->esp);
}

static void talk(struct pair *p, struct end *from, struct end *to)
{
	uint32_t session;

	(void)p;
	while (esp_next_message(from->esp, &session, &to->due[to->due_count]))
		assert_true(++to->due_count < MESSAGES_MAX);
}

static void hear(struct pair *p, struct end *e)
{
	for (unsigned i = 0; i < e->due_count; i++)
		assert_null(esp_on_message(e->esp, 1, &e->due[i], at(p->now_ms)));
	e->due_count = 0;
}

/* What 'from' sends now opens at 'to'; false: it sends nothing. */
static bool opens(struct end *from, struct end *to, struct ip_addr ip_to)
{
	const struct fastdp_op *guard = guard_of(&from->kernel, ip_to);
	int out, in;

	if (!guard || !guard->spi)
		return false;
	out = sa_at(&from->kernel, true, guard->spi);
	in = sa_at(&to->kernel, false, guard->spi);
	assert_true(out >= 0 && in >= 0);
	assert_memory_equal(from->kernel.keys[out], to->kernel.keys[in], FASTDP_SA_KEY_SIZE);
	return true;
}

static struct pair *pair_new(uint64_t life_ms)
{
	struct pair *p = mem_new(1, sizeof *p);
	struct esp_chains a, b;

	memset(a.out, 0xa1, sizeof a.out);
	memset(a.in, 0xb2, sizeof a.in);
	memcpy(b.out, a.in, sizeof b.out);
	memcpy(b.in, a.out, sizeof b.in);
	p->now_ms = 1000;
	p->a.refuse = p->b.refuse = FASTDP_OP_PING;
	p->a.esp = esp_new(life_ms);
	p->b.esp = esp_new(life_ms);
	esp_begin(p->a.esp, 1, SPI_A, &a, ip_b, at(p->now_ms));
	esp_begin(p->b.esp, 1, SPI_B, &b, ip_a, at(p->now_ms));
	return p;
}

static void pair_free(struct pair *p)
{
	esp_free(p->a.esp);
	esp_free(p->b.esp);
	mem_free(p);
}

static void set_up(struct pair *p)
{
	esp_on_setup(p->a.esp, 1, SPI_B, at(p->now_ms));
	esp_on_setup(p->b.esp, 1, SPI_A, at(p->now_ms));
}

static void exchange(struct pair *p)
{
	flush(p, &p->a);
	flush(p, &p->b);
	talk(p, &p->a, &p->b);
	talk(p, &p->b, &p->a);
	hear(p, &p->a);
	hear(p, &p->b);
}

/* Obeys the deadlines. */
static void run(struct pair *p, uint64_t ms)
{
	uint64_t end = p->now_ms + ms;

	while (p->now_ms < end) {
		uint64_t due;

		for (unsigned i = 0; i < 4; i++)
			exchange(p);
		due = mono_min(esp_deadline(p->a.esp, at(p->now_ms)),
			       esp_deadline(p->b.esp, at(p->now_ms)))
			      .ms;
		assert_true(due > p->now_ms);
		p->now_ms = due < end ? due : end;
	}
	exchange(p);
}

static void the_guard_stands_before_anything_is_sent(void **state)
{
	struct pair *p = pair_new(LIFE);

	(void)state;
	assert_false(esp_ready(p->a.esp, 1));
	/* The other end's SPI is not known: nothing may go there. */
	flush(p, &p->a);
	assert_true(esp_ready(p->a.esp, 1));
	assert_int_equal(p->a.kernel.guards_count, 1);
	assert_int_equal(p->a.kernel.guards[0].spi, 0);
	assert_int_equal(p->a.kernel.sas_count, 2);
	set_up(p);
	flush(p, &p->a);
	assert_int_equal(p->a.kernel.guards[0].spi, SPI_B);
	flush(p, &p->b);
	assert_true(opens(&p->a, &p->b, ip_b));
	assert_true(opens(&p->b, &p->a, ip_a));
	/* out; this epoch and the next in */
	assert_int_equal(p->a.kernel.sas_count, 3);
	pair_free(p);
}

static void keys_change_in_time_and_old_ones_go(void **state)
{
	struct pair *p = pair_new(LIFE);
	uint8_t first[FASTDP_SA_KEY_SIZE];

	(void)state;
	set_up(p);
	run(p, LIFE / 2);
	memcpy(first, p->a.kernel.keys[sa_at(&p->a.kernel, true, SPI_B)], sizeof first);
	run(p, LIFE / 2 + 100);
	assert_int_equal(guard_of(&p->a.kernel, ip_b)->spi, SPI_B + 1);
	assert_true(opens(&p->a, &p->b, ip_b));
	assert_memory_not_equal(p->a.kernel.keys[sa_at(&p->a.kernel, true, SPI_B + 1)], first,
				sizeof first);
	/* What was overtaken is still taken, for a while. */
	assert_true(sa_at(&p->b.kernel, false, SPI_B) >= 0);
	run(p, ESP_LINGER_MS);
	assert_int_equal(sa_at(&p->b.kernel, false, SPI_B), -1);
	assert_int_equal(sa_at(&p->a.kernel, true, SPI_B), -1);
	assert_int_equal(p->a.kernel.sas_count, 3);
	/* Past the wrap of the SPI's epochs. */
	for (unsigned i = 0; i < 600; i++) {
		run(p, LIFE / 2);
		assert_true(opens(&p->a, &p->b, ip_b) && opens(&p->b, &p->a, ip_a));
		assert_in_range(p->a.kernel.sas_count, 3, 6);
	}
	pair_free(p);
}

static void nobody_turns_before_the_other_end_takes_it(void **state)
{
	struct pair *p = pair_new(LIFE);

	(void)state;
	set_up(p);
	/* a is never told what b takes. */
	for (unsigned i = 0; i < 100; i++) {
		p->now_ms += LIFE;
		flush(p, &p->a);
		flush(p, &p->b);
		talk(p, &p->a, &p->b);
		hear(p, &p->b);
		assert_int_equal(guard_of(&p->a.kernel, ip_b)->spi, SPI_B);
		assert_true(opens(&p->a, &p->b, ip_b));
	}
	pair_free(p);
}

static void any_order_and_delay_loses_nothing(void **state)
{
	struct rng rng = { test_seed(7) };

	(void)state;
	for (unsigned world = 0; world < 200; world++) {
		uint64_t life = 1 + rng_below(&rng, 60000);
		struct pair *p = pair_new(life);
		uint64_t turned = 0;

		/* Each SETUP arrives when the other end has told its own kernel: it was sent
		 * before, so the first packets of who is faster may be lost, no later ones. */
		flush(p, &p->a);
		flush(p, &p->b);
		set_up(p);
		for (unsigned step = 0; step < 300; step++) {
			switch (rng_below(&rng, 7)) {
			case 0:
				flush(p, &p->a);
				break;
			case 1:
				flush(p, &p->b);
				break;
			case 2:
				talk(p, &p->a, &p->b);
				break;
			case 3:
				talk(p, &p->b, &p->a);
				break;
			case 4:
				hear(p, &p->a);
				break;
			case 5:
				hear(p, &p->b);
				break;
			default:
				p->now_ms += rng_below(&rng, life);
			}
			opens(&p->a, &p->b, ip_b);
			opens(&p->b, &p->a, ip_a);
			if (guard_of(&p->a.kernel, ip_b)->spi > turned)
				turned = guard_of(&p->a.kernel, ip_b)->spi;
		}
		assert_true(turned > SPI_B);
		pair_free(p);
	}
}

static void the_end_leaves_a_guard_and_then_nothing(void **state)
{
	struct pair *p = pair_new(LIFE);

	(void)state;
	set_up(p);
	run(p, 1000);
	esp_end(p->a.esp, 1, at(p->now_ms));
	assert_false(esp_ready(p->a.esp, 1));
	flush(p, &p->a);
	assert_int_equal(p->a.kernel.sas_count, 0);
	/* For whoever still sends by what the maps said. */
	assert_int_equal(p->a.kernel.guards_count, 1);
	assert_int_equal(p->a.kernel.guards[0].spi, 0);
	assert_int_equal(esp_deadline(p->a.esp, at(p->now_ms)).ms, p->now_ms + ESP_LINGER_MS);
	p->now_ms += ESP_LINGER_MS;
	flush(p, &p->a);
	assert_int_equal(p->a.kernel.guards_count, 0);
	assert_true(esp_deadline(p->a.esp, at(p->now_ms)).ms == MONO_NEVER.ms);
	pair_free(p);
}

static void the_newest_path_to_an_address_is_used(void **state)
{
	struct pair *p = pair_new(LIFE);
	struct esp_chains chains = { { 1 }, { 2 } };

	(void)state;
	set_up(p);
	run(p, 1000);
	esp_begin(p->a.esp, 2, 0x33333300, &chains, ip_b, at(p->now_ms));
	flush(p, &p->a);
	assert_int_equal(guard_of(&p->a.kernel, ip_b)->spi, SPI_B);
	esp_on_setup(p->a.esp, 2, 0x44444400, at(p->now_ms));
	flush(p, &p->a);
	assert_int_equal(guard_of(&p->a.kernel, ip_b)->spi, 0x44444400);
	assert_int_equal(p->a.kernel.guards_count, 1);
	esp_end(p->a.esp, 1, at(p->now_ms));
	flush(p, &p->a);
	assert_int_equal(p->a.kernel.sas_count, 3);
	assert_int_equal(guard_of(&p->a.kernel, ip_b)->spi, 0x44444400);
	/* Or what is left of it. */
	esp_begin(p->a.esp, 3, 0x55555500, &chains, ip_b, at(p->now_ms));
	esp_on_setup(p->a.esp, 3, 0x66666600, at(p->now_ms));
	flush(p, &p->a);
	esp_end(p->a.esp, 3, at(p->now_ms));
	flush(p, &p->a);
	assert_int_equal(guard_of(&p->a.kernel, ip_b)->spi, 0x44444400);
	pair_free(p);
}

static void a_path_that_moves_sends_nothing_until_it_has_new_keys(void **state)
{
	struct pair *p = pair_new(LIFE);

	(void)state;
	set_up(p);
	run(p, 1000);
	esp_set_remote(p->a.esp, 1, ip_c, at(p->now_ms));
	flush(p, &p->a);
	assert_int_equal(guard_of(&p->a.kernel, ip_c)->spi, 0);
	assert_int_equal(guard_of(&p->a.kernel, ip_b)->spi, 0);
	run(p, LIFE + 100);
	assert_int_equal(guard_of(&p->a.kernel, ip_c)->spi, SPI_B + 1);
	assert_true(opens(&p->a, &p->b, ip_c));
	assert_null(guard_of(&p->a.kernel, ip_b));
	pair_free(p);
}

static void what_the_kernel_refuses_is_not_ready(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		struct pair *p = pair_new(LIFE);
		struct esp_chains chains = { { 1 }, { 2 } };

		p->a.refuse = kind ? FASTDP_OP_GUARD : FASTDP_OP_SA;
		set_up(p);
		flush(p, &p->a);
		assert_true(p->a.refused);
		assert_false(esp_ready(p->a.esp, 1));
		/* Another connection's path is tried anew once nobody stands on the refused. */
		p->a.refuse = FASTDP_OP_PING;
		esp_end(p->a.esp, 1, at(p->now_ms));
		p->a.kernel = (struct kernel){ .sas_count = 0 };
		pair_free(p);

		p = pair_new(LIFE);
		p->a.refuse = FASTDP_OP_GUARD;
		flush(p, &p->a);
		p->a.refuse = FASTDP_OP_PING;
		esp_end(p->a.esp, 1, at(p->now_ms));
		esp_begin(p->a.esp, 2, 0x33333300, &chains, ip_b, at(p->now_ms));
		flush(p, &p->a);
		assert_true(esp_ready(p->a.esp, 2));
		pair_free(p);
	}
}

static void impossible_messages_are_refused(void **state)
{
	static const struct {
		struct esp_message m;
		const char *field;
	} rows[] = {
		{ { 0, 1 }, NULL },
		{ { 0, 2 }, "esp.takes" },
		{ { 2, 1 }, "esp.sends" },
		{ { UINT32_MAX, 1 }, "esp.sends" },
		{ { 0, UINT32_MAX }, "esp.takes" },
		{ { 0, 0 }, "esp.takes" }, /* it took more */
		{ { 1, 1 }, NULL },
		{ { 0, 1 }, "esp.sends" }, /* back */
		{ { 2, 1 }, "esp.sends" }, /* not told to the kernel yet */
	};
	struct pair *p = pair_new(LIFE);

	(void)state;
	set_up(p);
	flush(p, &p->a);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *field = esp_on_message(p->a.esp, 1, &rows[i].m, at(p->now_ms));

		if (rows[i].field)
			assert_string_equal(field, rows[i].field);
		else
			assert_null(field);
		esp_check(p->a.esp);
	}
	/* Of a path that is over. */
	assert_null(esp_on_message(p->a.esp, 9, &rows[0].m, at(p->now_ms)));
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guard_stands_before_anything_is_sent),
		cmocka_unit_test(keys_change_in_time_and_old_ones_go),
		cmocka_unit_test(nobody_turns_before_the_other_end_takes_it),
		cmocka_unit_test(any_order_and_delay_loses_nothing),
		cmocka_unit_test(the_end_leaves_a_guard_and_then_nothing),
		cmocka_unit_test(the_newest_path_to_an_address_is_used),
		cmocka_unit_test(a_path_that_moves_sends_nothing_until_it_has_new_keys),
		cmocka_unit_test(what_the_kernel_refuses_is_not_ready),
		cmocka_unit_test(impossible_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
