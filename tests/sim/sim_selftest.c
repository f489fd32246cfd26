#include "sim_selftest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "sim_disk.h"
#include "sim_frames.h"
#include "sim_ipam_found.h"
#include "sim_net.h"
#include "sim_random.h"
#include "sim_router.h"
#include "sim_scenarios.h"
#include "sim_script.h"
#include "sim_script_parse.h"

#define SMALL 8u /* routers in the runs below */

static bool bad(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool bad(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, SIM_SCRIPT_WHY, format, args);
	va_end(args);
	return false;
}

/* ---- parts ---- */

static void nothing(struct sim *s, void *what, uint64_t argument)
{
	(void)s;
	(void)what;
	(void)argument;
}

static bool clock_orders(const char *program, char *why)
{
	struct sim_clock c;
	struct sim_event e;
	struct rng rng = { 7 };
	uint64_t last_us = 0, last_sequence = 0;
	unsigned taken = 0;

	(void)program;
	sim_clock_init(&c);
	for (unsigned i = 0; i < 1000; i++)
		sim_clock_add(&c, 2 * SIM_S + rng_below(&rng, 50), nothing, NULL, i);
	for (; sim_clock_take(&c, UINT64_MAX - 1, &e); taken++) {
		if (e.at_us < last_us ||
		    (e.at_us == last_us && taken && e.sequence < last_sequence))
			bad(why, "event %llu fired out of order", (unsigned long long)e.sequence);
		last_us = e.at_us;
		last_sequence = e.sequence;
	}
	sim_clock_fini(&c);
	return taken == 1000 ? !*why : bad(why, "%u of 1000 events fired", taken);
}

static bool disk_keeps_what_was_synced(const char *program, char *why)
{
	struct sim_disk d = { 0 };
	struct rng rng = { 1 };
	uint64_t store;

	(void)program;
	sim_disk_start(&d, (struct wall){ 100 }, &rng);
	store = d.store_id;
	sim_disk_write(&d, 500, 1);
	sim_disk_crash(&d);
	if (sim_disk_synced(&d, 1))
		return bad(why, "a crash did not lose the write in the air");
	sim_disk_start(&d, (struct wall){ 9 }, &rng);
	if (d.generation != 102 || d.store_id != store)
		return bad(why, "a restart gave generation %llu", (unsigned long long)d.generation);
	sim_disk_write(&d, 600, 2);
	sim_disk_write(&d, 700, 3);
	if (sim_disk_synced(&d, 2) || !sim_disk_synced(&d, 3) || d.generation != 700)
		return bad(why, "an overwritten write came back");
	sim_disk_lose(&d);
	sim_disk_start(&d, (struct wall){ 50 }, &rng);
	if (d.generation != 51 || d.store_id == store)
		return bad(why, "a lost disk remembers");
	return true;
}

static bool script_mistakes_are_named(const char *program, char *why)
{
	static const struct {
		const char *text, *says;
	} table[] = {
		{ "routers 3\nfly 1\n", ":2: no such statement: \"fly\"" },
		{ "routers 3\ncut 1-9\n", ":2: cannot read \"1-9\"" },
		{ "routers 3\n\nuntil converged\n", ":3: \"within TIME\"" },
		{ "routers 3\nuntil lucky within 1s\n", ":2: no such condition: \"lucky\"" },
		{ "start 1\n", ":1: \"routers\" must come first" },
		{ "routers 3\nrun 10 s\n", ":2: cannot read \"10\"" },
		{ "routers 3\nrun\n", ":2: something is missing" },
		{ "routers 3\nheal now\n", ":2: one word too many: \"now\"" },
		{ "routers 0\n", ":1: cannot read the number" },
		{ "# nothing\n", "there is no \"routers\"" },
	};
	char said[SIM_SCRIPT_WHY];

	(void)program;
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		if (sim_script_run("test", table[i].text, NULL, SIM_MUTATE_NONE, said))
			return bad(why, "accepted: %s", table[i].text);
		if (!strstr(said, table[i].says))
			return bad(why, "said %s", said);
	}
	return true;
}

static bool script_values(const char *program, char *why)
{
	struct script_value v;

	(void)program;
	if (!script_value_parse("150ms", 't', 3, &v) || v.number != 150 * SIM_MS ||
	    !script_value_parse("-2h", 't', 3, &v) || !v.negative || v.number != 2 * SIM_HOUR)
		return bad(why, "times");
	if (!script_value_parse("2>3", 'l', 3, &v) || v.a != 1 || v.b != 2 || v.both ||
	    script_value_parse("2-2", 'l', 3, &v))
		return bad(why, "links");
	if (!script_value_parse("0.5%", 'p', 3, &v) || v.number != 5000 ||
	    script_value_parse("101%", 'p', 3, &v))
		return bad(why, "percentages");
	if (!script_value_parse("1,3-4", 'm', 4, &v) || v.number != 13)
		return bad(why, "members");
	return true;
}

static bool expectations_can_fail(const char *program, char *why)
{
	static const char *const texts[] = {
		"routers 2\nstart-all\nuntil converged within 3s\n",
		"routers 2\ntargets-first\nstart-all\nrun 5s\nexpect not connected 1-2\n",
		"routers 2\ntargets-first\nstart-all\nrun 5s\nhold has 1 nothing for 1s\n",
		"routers 2\ntargets-first\nstart-all\nrun 5s\ncut 1-2\nuntil flows 1 2 within 2s\n",
		"routers 2\nstart-all\nexpect silent 1\n",
	};
	char said[SIM_SCRIPT_WHY];

	(void)program;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
		if (sim_script_run("test", texts[i], NULL, SIM_MUTATE_NONE, said))
			return bad(why, "passed: %s", texts[i]);
	return true;
}

/* ---- one seed, one run ---- */

static uint64_t hash_here(uint64_t seed, enum sim_mutation mutation)
{
	struct sim_plan plan = {
		.seed = seed, .peers = SMALL, .check_every = 100, .mutation = mutation
	};
	struct sim_result r;

	sim_random_run(&plan, &r);
	return r.hash;
}

/* In a process of its own, so at other addresses. 0 when that failed. */
static uint64_t hash_elsewhere(const char *program, uint64_t seed)
{
	char command[512], line[64] = "";
	FILE *f;

	snprintf(command, sizeof command, "'%.400s' --hash --seed %llu --peers %u", program,
		 (unsigned long long)seed, SMALL);
	f = popen(command, "r");
	if (!f)
		return 0;
	if (!fgets(line, sizeof line, f))
		line[0] = 0;
	pclose(f);
	return strtoull(line, NULL, 16);
}

static bool a_seed_is_a_run(const char *program, char *why)
{
	uint64_t others = 0;

	for (uint64_t seed = 1; seed <= 5; seed++) {
		uint64_t first = hash_here(seed, SIM_MUTATE_NONE);

		if (first != hash_here(seed, SIM_MUTATE_NONE))
			return bad(why, "seed %llu twice gives two traces",
				   (unsigned long long)seed);
		if (first != hash_elsewhere(program, seed))
			return bad(why, "seed %llu gives another trace in another process",
				   (unsigned long long)seed);
		if (first == others)
			return bad(why, "two seeds give one trace");
		others = first;
	}
	return true;
}

/* Text, too: byte for byte. */
static char *trace_text(uint64_t seed, size_t *size)
{
	char *text = NULL;
	struct sim_plan plan = {
		.seed = seed, .peers = 4, .check_every = 100, .trace = open_memstream(&text, size)
	};
	struct sim_result r;

	sim_random_run(&plan, &r);
	fclose(plan.trace);
	return text;
}

static bool traces_are_equal(const char *program, char *why)
{
	size_t a_size, b_size;
	char *a = trace_text(3, &a_size), *b = trace_text(3, &b_size);
	bool equal = a_size == b_size && memcmp(a, b, a_size) == 0;

	(void)program;
	free(a);
	free(b);
	return equal || bad(why, "two traces of one seed differ");
}

/* ---- a failed MUST names the seed ---- */

static bool must_names_the_seed(const char *program, char *why)
{
	char command[512], text[1024] = "";
	FILE *f;

	snprintf(command, sizeof command, "'%.400s' --must --seed 42 --peers 3 2>&1 >/dev/null",
		 program);
	f = popen(command, "r");
	if (!f)
		return bad(why, "cannot run %s", program);
	text[fread(text, 1, sizeof text - 1, f)] = 0;
	pclose(f);
	return strstr(text, "simulate --seed 42 --peers 3") || bad(why, "it said: %s", text);
}

const struct sim_selftest *sim_selftest_at(size_t index)
{
	static const struct sim_selftest table[] = {
		{ "clock_orders", clock_orders },
		{ "disk_keeps_what_was_synced", disk_keeps_what_was_synced },
		{ "script_values", script_values },
		{ "script_mistakes_are_named", script_mistakes_are_named },
		{ "expectations_can_fail", expectations_can_fail },
		{ "a_seed_is_a_run", a_seed_is_a_run },
		{ "traces_are_equal", traces_are_equal },
		{ "must_names_the_seed", must_names_the_seed },
		{ "ipam_excuse_is_exact", sim_ipam_excuse_is_exact },
	};

	return index < ARRAY_COUNT(table) ? &table[index] : NULL;
}
