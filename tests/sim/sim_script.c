#include "sim_script.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "sim_conditions.h"
#include "sim_frames.h"
#include "sim_invariants.h"
#include "sim_kernel.h"
#include "sim_net.h"
#include "sim_router.h"

#define UNKNOWN_KIND 77
#define POLL_US (50 * SIM_MS)
#define TEXT_MAX (1u << 20)

struct script {
	const char *name;
	uint64_t seed;
	FILE *trace;
	enum sim_mutation mutation;
	char *why;
	unsigned line;
	bool dry; /* only looks for mistakes */
	uint32_t routers;
	struct sim *s; /* NULL until "routers", and in a dry run */
	uint64_t start_us;
	struct sim_marks marks;
	char context[160];
};

struct statement {
	const char *name, *types, *help;
	void (*run)(struct script *x, const struct script_value *v);
};

static bool mistake(struct script *x, const char *what, const char *word)
{
	snprintf(x->why, SIM_SCRIPT_WHY, "%.100s:%u: %s \"%.60s\"", x->name, x->line, what, word);
	return false;
}

/* ---- statements ---- */

static void set_delay(struct script *x, const struct script_value *v)
{
	for (uint32_t i = 0; i < x->s->count * x->s->count; i++) {
		x->s->links[i].delay_us = (uint32_t)sim_between(&x->s->rng, v[0].number,
								v[1].number);
		x->s->links[i].jitter_us = x->s->links[i].delay_us / 4;
	}
}

static void set_loss(struct script *x, const struct script_value *v)
{
	for (uint32_t i = 0; i < x->s->count * x->s->count; i++)
		x->s->links[i].loss_ppm = (uint32_t)v[0].number;
}

static void set_odd(struct script *x, const struct script_value *v)
{
	for (uint32_t i = 0; i < x->s->count * x->s->count; i++)
		x->s->links[i].dup_ppm = x->s->links[i].reorder_ppm = (uint32_t)v[0].number;
}

static void set_window(struct script *x, const struct script_value *v)
{
	x->s->window_min = x->s->window_max = (uint32_t)v[0].number;
}

static void set_discovery_off(struct script *x, const struct script_value *v)
{
	(void)v;
	for (uint32_t i = 0; i < x->s->count; i++)
		x->s->routers[i]->config.discovery = false;
}

static void set_kernels_off(struct script *x, const struct script_value *v)
{
	(void)v;
	sim_kernels_off(x->s);
}

static void set_conn_limit(struct script *x, const struct script_value *v)
{
	for (uint32_t i = 0; i < x->s->count; i++)
		x->s->routers[i]->config.conn_limit = (uint32_t)v[0].number;
}

static void set_check(struct script *x, const struct script_value *v)
{
	x->s->check_every = (uint32_t)v[0].number;
}

static void add_target(struct script *x, const struct script_value *v)
{
	struct sim_disk *d = &x->s->routers[v[0].number]->disk;

	if (d->targets_count < SIM_DISK_TARGETS_MAX)
		d->targets[d->targets_count++] = (uint32_t)v[1].number;
}

static void targets_first(struct script *x, const struct script_value *v)
{
	(void)v;
	for (uint32_t i = 1; i < x->s->count; i++)
		x->s->routers[i]->disk.targets[x->s->routers[i]->disk.targets_count++] = 0;
}

static void targets_chain(struct script *x, const struct script_value *v)
{
	(void)v;
	for (uint32_t i = 1; i < x->s->count; i++)
		x->s->routers[i]->disk.targets[x->s->routers[i]->disk.targets_count++] = i - 1;
}

static void same_name(struct script *x, const struct script_value *v)
{
	x->s->routers[v[0].number]->name = x->s->routers[v[1].number]->name;
	x->s->routers[v[1].number]->instance_top = 1ull << 63;
}

static void set_clock(struct script *x, const struct script_value *v)
{
	int64_t s = (int64_t)(v[1].number / SIM_S);

	x->s->routers[v[0].number]->wall_offset_s = v[1].negative ? -s : s;
}

static void start(struct script *x, const struct script_value *v)
{
	if (!sim_router_runs(x->s->routers[v[0].number]))
		sim_router_start(x->s->routers[v[0].number]);
}

static void start_all(struct script *x, const struct script_value *v)
{
	(void)v;
	for (uint32_t i = 0; i < x->s->count; i++)
		if (!sim_router_runs(x->s->routers[i]))
			sim_router_start(x->s->routers[i]);
}

static void crash(struct script *x, const struct script_value *v)
{
	if (sim_router_runs(x->s->routers[v[0].number]))
		sim_router_crash(x->s->routers[v[0].number], false);
}

static void crash_host(struct script *x, const struct script_value *v)
{
	if (sim_router_runs(x->s->routers[v[0].number]))
		sim_router_crash(x->s->routers[v[0].number], true);
}

static void stop(struct script *x, const struct script_value *v)
{
	if (sim_router_runs(x->s->routers[v[0].number]))
		sim_router_stop(x->s->routers[v[0].number]);
}

static void lose_disk(struct script *x, const struct script_value *v)
{
	sim_disk_lose(&x->s->routers[v[0].number]->disk);
}

static void freeze(struct script *x, const struct script_value *v)
{
	sim_router_freeze(x->s->routers[v[0].number], true);
}

static void thaw(struct script *x, const struct script_value *v)
{
	sim_router_freeze(x->s->routers[v[0].number], false);
}

static void each_way(struct script *x, const struct script_value *v,
		     void (*change)(struct sim_link *l, bool on), bool on)
{
	change(sim_link(x->s, v->a, v->b), on);
	if (v->both)
		change(sim_link(x->s, v->b, v->a), on);
	sim_net_resume(x->s);
}

static void change_cut(struct sim_link *l, bool on)
{
	l->cut = on;
}

static void change_udp(struct sim_link *l, bool on)
{
	l->udp_cut = on;
}

static void change_stall(struct sim_link *l, bool on)
{
	l->stalled = on;
}

static void cut(struct script *x, const struct script_value *v)
{
	each_way(x, v, change_cut, true);
}

static void mend(struct script *x, const struct script_value *v)
{
	each_way(x, v, change_cut, false);
	each_way(x, v, change_udp, false);
	each_way(x, v, change_stall, false);
}

static void udp_cut(struct script *x, const struct script_value *v)
{
	each_way(x, v, change_udp, true);
}

static void stall(struct script *x, const struct script_value *v)
{
	each_way(x, v, change_stall, true);
}

static void set_mtu(struct script *x, const struct script_value *v)
{
	sim_link(x->s, v[0].a, v[0].b)->mtu = (uint16_t)v[1].number;
	if (v[0].both)
		sim_link(x->s, v[0].b, v[0].a)->mtu = (uint16_t)v[1].number;
}

static void reset(struct script *x, const struct script_value *v)
{
	sim_net_reset(x->s, v->a, v->b);
}

static void partition(struct script *x, const struct script_value *v)
{
	for (uint32_t a = 0; a < x->s->count; a++)
		for (uint32_t b = 0; b < x->s->count; b++)
			if ((v->number >> (a % 64) & 1) != (v->number >> (b % 64) & 1))
				sim_link(x->s, a, b)->cut = true;
}

static void heal(struct script *x, const struct script_value *v)
{
	(void)v;
	sim_net_heal(x->s);
}

static void put(struct script *x, const struct script_value *v)
{
	sim_router_put(x->s->routers[v[0].number], KIND_NAME, v[1].text, v[2].text);
}

static void put_unknown(struct script *x, const struct script_value *v)
{
	sim_router_put(x->s->routers[v[0].number], UNKNOWN_KIND, v[1].text, v[2].text);
}

static void delete (struct script *x, const struct script_value *v)
{
	sim_router_put(x->s->routers[v[0].number], KIND_NAME, v[1].text, "");
}

/* An entry vanishes from one store behind the engine's back. */
static void drop(struct script *x, const struct script_value *v)
{
	struct sim_router *r = x->s->routers[v[0].number];
	const struct entry *e = sim_router_find(r, KIND_NAME, v[1].text);

	if (e)
		store_drop(gossip_store(sim_router_gossip(r)), e);
	else
		sim_fail(x->s, "nothing to drop: \"%s\"", v[1].text);
}

/* So many changes a second for so long, of ten names in turn. */
static void churn(struct script *x, const struct script_value *v)
{
	uint64_t changes = v[1].number * v[2].number / SIM_S;

	for (uint64_t i = 0; i < changes && !x->s->failed; i++) {
		char key[32], value[32];

		snprintf(key, sizeof key, "churn-%u", (unsigned)(i % 10));
		snprintf(value, sizeof value, "%u", (unsigned)i);
		sim_router_put(x->s->routers[v[0].number], KIND_NAME, key, value);
		sim_run(x->s, SIM_S / v[1].number);
	}
}

static void connect_to(struct script *x, const struct script_value *v)
{
	if (!sim_router_connect(x->s->routers[v[0].number], (uint32_t)v[1].number))
		sim_fail(x->s, "connect was refused");
}

static void mark(struct script *x, const struct script_value *v)
{
	(void)v;
	sim_marks_set(x->s, &x->marks);
}

static void frames(struct script *x, const struct script_value *v)
{
	sim_check_frames(x->s, (uint32_t)v[0].number);
}

static void run_for(struct script *x, const struct script_value *v)
{
	sim_run(x->s, v[0].number);
}

static const struct statement table[] = {
	{ "delay", "tt", "of all links, from .. to", set_delay },
	{ "loss", "p", "of all links", set_loss },
	{ "odd", "p", "datagrams of all links that are doubled or overtaken", set_odd },
	{ "window", "n", "send window of new streams, bytes", set_window },
	{ "no-discovery", "", "of all routers", set_discovery_off },
	{ "no-fastdp", "", "kernels carry nothing by themselves", set_kernels_off },
	{ "conn-limit", "n", "of all routers", set_conn_limit },
	{ "check", "n", "engine_check after every so many events", set_check },
	{ "target", "rr", "the first knows the second from its start on", add_target },
	{ "targets-first", "", "everybody knows router 1", targets_first },
	{ "targets-chain", "", "everybody knows the one before", targets_chain },
	{ "same-name", "rr", "the first has the name of the second, and the lower instance",
	  same_name },
	{ "clock", "rt", "the router's time of day is off by so much", set_clock },
	{ "start", "r", "", start },
	{ "start-all", "", "who does not run yet", start_all },
	{ "crash", "r", "the process dies", crash },
	{ "crash-host", "r", "the machine dies: nobody is told", crash_host },
	{ "stop", "r", "says goodbye", stop },
	{ "lose-disk", "r", "for the next start", lose_disk },
	{ "freeze", "r", "the process does nothing", freeze },
	{ "thaw", "r", "", thaw },
	{ "cut", "l", "nothing passes", cut },
	{ "mend", "l", "ends cut, udp-cut and stall", mend },
	{ "udp-cut", "l", "no datagrams", udp_cut },
	{ "stall", "l", "the receiver does not read its streams", stall },
	{ "mtu", "ln", "larger packets vanish", set_mtu },
	{ "reset", "l", "all streams between the two", reset },
	{ "partition", "m", "these from the others", partition },
	{ "heal", "", "all links", heal },
	{ "put", "rww", "the router publishes a name", put },
	{ "put-unknown", "rww", "the same of a kind that nobody knows", put_unknown },
	{ "delete", "rw", "the router deletes its name", delete },
	{ "drop", "rw", "the entry vanishes from the router's store unnoticed", drop },
	{ "churn", "rnt", "so many changes a second for so long", churn },
	{ "connect", "rr", "as weave connect does", connect_to },
	{ "mark", "", "counters count from here", mark },
	{ "frames", "n", "so many random frames and broadcasts come out exactly once", frames },
	{ "run", "t", "time passes", run_for },
};

/* ---- lines ---- */

static bool parse_values(struct script *x, char words[][SCRIPT_WORD_SIZE], size_t count,
			 const char *types, struct script_value *values)
{
	size_t wanted = strlen(types);

	for (size_t i = 0; i < wanted; i++) {
		if (i == count)
			return mistake(x, "something is missing after",
				       words[count - 1 + (count == 0)]);
		if (!script_value_parse(words[i], types[i], x->routers, &values[i]))
			return mistake(x, "cannot read", words[i]);
	}
	return count == wanted || mistake(x, "one word too many:", words[wanted]);
}

static bool make_routers(struct script *x, char words[][SCRIPT_WORD_SIZE], size_t count)
{
	struct script_value v;

	if (x->routers)
		return mistake(x, "only once:", words[0]);
	if (count != 2 || !script_value_parse(words[1], 'n', 0, &v) || v.number < 1 ||
	    v.number > SIM_ROUTERS_MAX)
		return mistake(x, "cannot read the number after", words[0]);
	x->routers = (uint32_t)v.number;
	if (x->dry)
		return true;
	x->s = mem_new(1, sizeof *x->s);
	sim_init(x->s, x->seed, x->routers);
	x->s->trace = x->trace;
	x->s->mutation = x->mutation;
	x->start_us = x->s->clock.now_us;
	return true;
}

struct expectation {
	const struct sim_condition *c;
	struct script_value v[SCRIPT_WORDS_MAX];
	bool wanted; /* false: "not" */
	char text[128];
};

static bool is_met(struct script *x, const struct expectation *e)
{
	return e->c->holds(x->s, &x->marks, e->v) == e->wanted;
}

static void fail_unmet(struct script *x, const struct expectation *e, const char *how)
{
	char why[SIM_WHY_SIZE] = "";

	if (strcmp(e->c->name, "converged") == 0)
		sim_converged(x->s, why);
	sim_fail(x->s, "line %u: %s%s %s%s%s", x->line, e->wanted ? "" : "not ", e->text, how,
		 *why ? ": " : "", why);
}

static void await(struct script *x, const struct expectation *e, uint64_t limit_us)
{
	uint64_t end = x->s->clock.now_us + limit_us;

	x->marks.flow_first = x->s->frame_next;
	while (!x->s->failed && !is_met(x, e)) {
		if (x->s->clock.now_us >= end)
			fail_unmet(x, e, "did not become true");
		else
			sim_run(x->s, POLL_US);
	}
}

static void hold(struct script *x, const struct expectation *e, uint64_t time_us)
{
	uint64_t end = x->s->clock.now_us + time_us;

	do {
		if (!is_met(x, e))
			fail_unmet(x, e, "did not stay true");
		else
			sim_run(x->s, POLL_US);
	} while (!x->s->failed && x->s->clock.now_us < end);
}

/* expect [not] CONDITION / until [not] CONDITION within TIME / hold [not] CONDITION for TIME */
static bool expectation(struct script *x, char words[][SCRIPT_WORD_SIZE], size_t count)
{
	bool now = strcmp(words[0], "expect") == 0, until = strcmp(words[0], "until") == 0;
	struct expectation e = { .wanted = true };
	struct script_value time;
	size_t at = 1;

	if (at < count && strcmp(words[at], "not") == 0) {
		e.wanted = false;
		at++;
	}
	if (at == count || !(e.c = sim_condition_find(words[at])))
		return mistake(x, "no such condition:", at == count ? "" : words[at]);
	for (size_t i = at; i < count && strlen(e.text) + SCRIPT_WORD_SIZE < sizeof e.text; i++) {
		strcat(e.text, i == at ? "" : " ");
		strcat(e.text, words[i]);
	}
	if (!now) {
		if (count < at + 3 || strcmp(words[count - 2], until ? "within" : "for") != 0)
			return mistake(x, "\"within TIME\" or \"for TIME\" is missing after",
				       words[count - 1]);
		if (!script_value_parse(words[count - 1], 't', 0, &time))
			return mistake(x, "cannot read", words[count - 1]);
		count -= 2;
	}
	if (!parse_values(x, words + at + 1, count - at - 1, e.c->types, e.v))
		return false;
	if (x->dry)
		return true;
	if (now && !is_met(x, &e))
		fail_unmet(x, &e, "is not true");
	else if (until)
		await(x, &e, time.number);
	else if (!now)
		hold(x, &e, time.number);
	return true;
}

static bool statement(struct script *x, char words[][SCRIPT_WORD_SIZE], size_t count)
{
	struct script_value values[SCRIPT_WORDS_MAX];

	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		if (strcmp(table[i].name, words[0]) != 0)
			continue;
		if (!parse_values(x, words + 1, count - 1, table[i].types, values))
			return false;
		if (!x->dry)
			table[i].run(x, values);
		return true;
	}
	return mistake(x, "no such statement:", words[0]);
}

/* "at TIME" and "after TIME" in front of a statement. */
static bool moment(struct script *x, char words[][SCRIPT_WORD_SIZE], size_t count)
{
	struct script_value time;

	if (count < 3 || !script_value_parse(words[1], 't', 0, &time))
		return mistake(x, "cannot read the time after", words[0]);
	if (x->dry)
		return true;
	sim_run_until(x->s, (strcmp(words[0], "at") == 0 ? x->start_us : x->s->clock.now_us) +
				    time.number);
	return true;
}

static bool line(struct script *x, const char *text)
{
	char words[SCRIPT_WORDS_MAX + 1][SCRIPT_WORD_SIZE] = { "" };
	char(*at)[SCRIPT_WORD_SIZE] = words;
	size_t count = script_words(text, words);

	if (count == SIZE_MAX)
		return mistake(x, "too long:", "line");
	if (count == 0)
		return true;
	if (strcmp(at[0], "routers") == 0)
		return make_routers(x, at, count);
	if (!x->routers)
		return mistake(x, "\"routers\" must come first, before", at[0]);
	if (strcmp(at[0], "at") == 0 || strcmp(at[0], "after") == 0) {
		if (!moment(x, at, count))
			return false;
		at += 2;
		count -= 2;
	}
	if (!x->dry && x->s->failed)
		return true;
	if (strcmp(at[0], "expect") == 0 || strcmp(at[0], "until") == 0 ||
	    strcmp(at[0], "hold") == 0)
		return expectation(x, at, count);
	return statement(x, at, count);
}

static bool all_lines(struct script *x, const char *text)
{
	char buffer[512];

	x->routers = 0;
	for (x->line = 1; *text; x->line++) {
		size_t n = strcspn(text, "\n");

		if (n >= sizeof buffer)
			return mistake(x, "too long:", "line");
		memcpy(buffer, text, n);
		buffer[n] = 0;
		if (!line(x, buffer))
			return false;
		if (!x->dry && x->s && x->s->failed)
			break;
		text += n + (text[n] == '\n');
	}
	return x->routers > 0 || mistake(x, "there is no", "routers");
}

static bool run_text(const char *name, const char *text, uint64_t seed, FILE *trace,
		     enum sim_mutation mutation, char *why)
{
	struct script x = {
		.name = name, .seed = seed, .trace = trace, .mutation = mutation, .why = why
	};
	bool ok;

	x.dry = true;
	if (!all_lines(&x, text))
		return false;
	x.dry = false;
	snprintf(x.context, sizeof x.context, "(replay: simulate --scenario %s --seed %llu)", name,
		 (unsigned long long)seed);
	must_set_context(x.context);
	all_lines(&x, text);
	ok = !x.s->failed;
	if (!ok)
		snprintf(why, SIM_SCRIPT_WHY, "%s", x.s->failure);
	sim_marks_fini(&x.marks);
	sim_fini(x.s);
	mem_free(x.s);
	must_set_context("");
	return ok;
}

bool sim_script_run(const char *name, const char *text, FILE *trace, enum sim_mutation mutation,
		    char *why)
{
	return run_text(name, text, 1, trace, mutation, why);
}

bool sim_script_run_file(const char *path, uint64_t seed, FILE *trace, enum sim_mutation mutation,
			 char *why)
{
	FILE *f = fopen(path, "r");
	char *text;
	size_t size;
	bool ok;

	if (!f) {
		snprintf(why, SIM_SCRIPT_WHY, "cannot read %s", path);
		return false;
	}
	text = mem_new(1, TEXT_MAX);
	size = fread(text, 1, TEXT_MAX - 1, f);
	text[size] = 0;
	fclose(f);
	ok = run_text(path, text, seed, trace, mutation, why);
	mem_free(text);
	return ok;
}

void sim_script_list(FILE *out)
{
	const struct sim_condition *c;

	fprintf(out, "statements: routers N; [at TIME | after TIME] and one of\n");
	for (size_t i = 0; i < ARRAY_COUNT(table); i++)
		fprintf(out, "  %-16s %-4s %s\n", table[i].name, table[i].types, table[i].help);
	fprintf(out, "  expect [not] C | until [not] C within TIME | hold [not] C for TIME\n"
		     "conditions C:\n");
	for (size_t i = 0; (c = sim_condition_at(i)); i++)
		fprintf(out, "  %-16s %-4s %s\n", c->name, c->types, c->help);
	fprintf(out, "types: r router, l link (1-2 both ways, 1>2 one way), t time, n number, "
		     "p percent, w word, m members (1,3,5-7)\n");
}
