/* simulate: many routers in one process on a virtual clock.  See docs/why/simulator.md. */
#include <dirent.h>
#include <malloc.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "sim_jobs.h"
#include "sim_scenarios.h"
#include "sim_script.h"
#include "sim_selftest.h"

#define CI_RUNS 60u
#define CI_PEERS 50u
#define CI_MIDDLE_RUNS 140u
#define CI_MIDDLE_PEERS 16u
#define CI_SMALL_RUNS 300u
#define CI_CHECK_EVERY 4000u
#define SOAK_SECONDS 3600u
#define FILES_MAX 256u
#define CI_IPAM_RUNS 2000u
#define CI_REMOVALS_RUNS 300u
#define IPAM_CHECK_EVERY 100u
#define MUTATION_SEEDS 30u
#define MUTATION_SEEDS_IPAM 400u

static const char usage[] =
	"simulate --ci [--jobs J]                 everything, in minutes\n"
	"simulate --soak [--seconds N] [--jobs J] random schedules of growing worlds, for so long\n"
	"simulate --seed S [--peers N]            one random run\n"
	"simulate --seeds A-B [--peers N] [--jobs J]\n"
	"simulate --ipam --seed S | --seeds A-B   small worlds that serve addresses\n"
	"simulate --removals --seed(s) ...        the same; one peer is removed again and again\n"
	"simulate --scenario NAME|FILE            one scenario; of a file, --seed(s): its worlds\n"
	"simulate --scenarios | --self-tests | --mutations\n"
	"simulate --mutate NAME ...               with a fault in the world or the checker\n"
	"simulate --list | --statements           names; the language of scenarios\n"
	"options: --trace FILE, --check N (engine_check after every so many events of a router)\n";

struct options {
	const char *mode, *scenario, *trace, *program;
	uint64_t seed, last;
	uint32_t peers, jobs, seconds, check_every;
	bool ipam, removals;
	enum sim_mutation mutation;
};

struct tally {
	uint32_t passed, failed;
	uint64_t runs; /* random ones */
};

static void report(struct tally *t, const char *name, bool ok, const char *why, const char *replay)
{
	if (ok)
		printf("PASS %s\n", name);
	else
		printf("FAIL %s: %s (replay: simulate %s)\n", name, why, replay);
	fflush(stdout);
	t->passed += ok;
	t->failed += !ok;
}

static FILE *open_trace(const struct options *o)
{
	FILE *f = o->trace ? fopen(o->trace, "w") : NULL;

	if (o->trace && !f)
		perror(o->trace);
	return f;
}

static void close_trace(FILE *f)
{
	if (f)
		fclose(f);
}

/* ---- self tests ---- */

static void self_tests(const struct options *o, struct tally *t)
{
	const struct sim_selftest *test;

	for (size_t i = 0; (test = sim_selftest_at(i)); i++) {
		char why[SIM_SCRIPT_WHY] = "", name[96];

		snprintf(name, sizeof name, "self:%s", test->name);
		report(t, name, test->run(o->program, why), why, "--self-tests");
	}
}

/* ---- scenarios ---- */

/* Beside the sources, wherever the program was built. */
static const char *scenario_folder(void)
{
	static const char source[] = __FILE__;
	static char folder[sizeof source + 16];
	const char *slash = strrchr(source, '/');

	snprintf(folder, sizeof folder, "%.*sscenarios", slash ? (int)(slash - source + 1) : 0,
		 source);
	return folder;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list_files(char **names)
{
	DIR *d = opendir(scenario_folder());
	struct dirent *e;
	size_t count = 0;

	while (d && (e = readdir(d)) && count < FILES_MAX) {
		size_t n = strlen(e->d_name);

		if (n > 4 && strcmp(e->d_name + n - 4, ".sim") == 0)
			names[count++] = mem_copy_text(e->d_name);
	}
	if (d)
		closedir(d);
	qsort(names, count, sizeof *names, by_text);
	return count;
}

static void run_file(const struct options *o, struct tally *t, const char *path, uint64_t seed)
{
	char why[SIM_SCRIPT_WHY] = "", name[160], replay[300];
	const char *slash = strrchr(path, '/');
	FILE *trace = open_trace(o);
	bool ok = sim_script_run_file(path, seed, trace, o->mutation, why);

	close_trace(trace);
	snprintf(name, sizeof name, "scenario:%.*s", (int)strcspn(slash ? slash + 1 : path, "."),
		 slash ? slash + 1 : path);
	snprintf(replay, sizeof replay, "--scenario %.250s --seed %llu", path,
		 (unsigned long long)seed);
	report(t, name, ok, why, replay);
}

static void run_function(const struct options *o, struct tally *t, const struct sim_scenario *c)
{
	char why[SIM_SCRIPT_WHY] = "", name[160], replay[160];
	FILE *trace = open_trace(o);
	bool ok;

	snprintf(name, sizeof name, "scenario:%s", c->name);
	snprintf(replay, sizeof replay, "--scenario %s", c->name);
	must_set_context(replay);
	ok = c->run(trace, o->mutation, why);
	must_set_context("");
	close_trace(trace);
	report(t, name, ok, why, replay);
}

static void scenarios(const struct options *o, struct tally *t)
{
	char *names[FILES_MAX];
	size_t count = list_files(names);
	const struct sim_scenario *c;

	if (count == 0)
		report(t, "scenarios", false, "there are none in", scenario_folder());
	for (size_t i = 0; i < count; i++) {
		char path[512];

		snprintf(path, sizeof path, "%.200s/%.200s", scenario_folder(), names[i]);
		run_file(o, t, path, 1);
		mem_free(names[i]);
	}
	for (size_t i = 0; (c = sim_scenario_at(i)); i++)
		run_function(o, t, c);
}

static void one_scenario(const struct options *o, struct tally *t)
{
	const struct sim_scenario *c;
	char path[512];

	for (size_t i = 0; (c = sim_scenario_at(i)); i++)
		if (strcmp(c->name, o->scenario) == 0) {
			run_function(o, t, c);
			return;
		}
	snprintf(path, sizeof path, "%.200s/%.200s.sim", scenario_folder(), o->scenario);
	for (uint64_t seed = o->seed; seed <= o->last || seed == o->seed; seed++)
		run_file(o, t, access(path, R_OK) == 0 ? path : o->scenario, seed);
}

/* ---- random runs ---- */

static void one_run(const struct options *o, struct tally *t)
{
	FILE *trace = open_trace(o);
	struct sim_plan plan = { .seed = o->seed,
				 .peers = o->peers,
				 .check_every = o->check_every,
				 .mutation = o->mutation,
				 .trace = trace,
				 .ipam = o->ipam,
				 .removals = o->removals };
	struct sim_result r;
	char name[64], replay[96];

	sim_run_plan(&plan, &r);
	close_trace(trace);
	snprintf(name, sizeof name, "%s-%llu",
		 o->removals ? "removals"
		 : o->ipam   ? "ipam"
			     : "random",
		 (unsigned long long)o->seed);
	snprintf(replay, sizeof replay, "%s--seed %llu --peers %u",
		 o->removals ? "--removals "
		 : o->ipam   ? "--ipam "
			     : "",
		 (unsigned long long)o->seed, o->peers);
	report(t, name, r.passed, r.failure, replay);
	printf("%llu events, %.1f virtual s, converged in %.1f s, %.0f KB per peer, trace "
	       "%016llx\n",
	       (unsigned long long)r.events, (double)r.virtual_us / 1e6,
	       (double)r.converge_us / 1e6, (double)r.bytes_per_peer / 1e3,
	       (unsigned long long)r.hash);
}

static void many_runs(const struct options *o, struct tally *t, uint32_t seconds)
{
	struct sim_jobs jobs = { .first = o->seed,
				 .last = o->last,
				 .peers = o->peers,
				 .jobs = o->jobs,
				 .check_every = o->check_every,
				 .seconds = seconds,
				 .block = o->ipam ? 1000 : 100,
				 .ipam = o->ipam,
				 .removals = o->removals };

	t->runs += sim_jobs_run(&jobs, &t->passed, &t->failed);
}

static void soak(const struct options *o, struct tally *t)
{
	static const uint32_t sizes[] = { 3, 9, 25, 50, 120 };
	struct options ipam;
	/* Schedules that nobody has seen yet, unless some are asked for. */
	uint64_t first = o->seed > 1 ? o->seed : (uint64_t)time(NULL) * 100000;

	printf("soak: seeds from %llu on\n", (unsigned long long)first);

	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		struct options part = *o;

		part.peers = sizes[i];
		part.check_every = sizes[i] < 20 ? 1 : 500;
		part.seed = first;
		part.last = UINT64_MAX - 1000;
		/* A third of the time is for addresses, below. */
		many_runs(&part, t, o->seconds * 2 / 3 / (uint32_t)ARRAY_COUNT(sizes) + 1);
	}
	ipam = *o;
	ipam.ipam = true;
	ipam.peers = 0;
	ipam.check_every = IPAM_CHECK_EVERY;
	ipam.seed = first;
	ipam.last = UINT64_MAX - 1000;
	many_runs(&ipam, t, o->seconds / 3 + 1);
	printf("soak: %llu random runs, %u failures\n", (unsigned long long)t->runs, t->failed);
}

/* ---- mutations ---- */

/* Some scenario or random run must notice it. */
static bool is_caught(const struct options *o, enum sim_mutation m, char *by, size_t size)
{
	char why[SIM_SCRIPT_WHY];
	const struct sim_scenario *never_reads = sim_scenario_at(0);
	bool ipam = m >= SIM_MUTATIONS_IPAM;

	if (m == SIM_MUTATE_LEAK) {
		snprintf(by, size, "scenario %s", never_reads->name);
		return !never_reads->run(NULL, m, why);
	}
	for (uint64_t seed = 1; seed <= (ipam ? MUTATION_SEEDS_IPAM : MUTATION_SEEDS); seed++) {
		struct sim_plan plan = { .seed = seed,
					 .peers = ipam ? 0 : 7,
					 .check_every = 50,
					 .mutation = m,
					 .ipam = ipam };
		struct sim_result r, again;

		sim_run_plan(&plan, &r);
		snprintf(by, size, "seed %llu: %s", (unsigned long long)seed, r.failure);
		if (m == SIM_MUTATE_RANDOM) {
			plan.mutation = SIM_MUTATE_NONE;
			sim_random_run(&plan, &again);
			return r.hash != again.hash;
		}
		if (!r.passed)
			return true;
	}
	(void)o;
	return false;
}

static void mutations(const struct options *o, struct tally *t)
{
	for (int m = SIM_MUTATE_NONE + 1; m < SIM_MUTATIONS_COUNT; m++) {
		char name[96], by[600] = "", replay[96];
		bool caught = is_caught(o, (enum sim_mutation)m, by, sizeof by);

		snprintf(name, sizeof name, "mutation:%s", sim_mutation_text((enum sim_mutation)m));
		snprintf(replay, sizeof replay, "--mutate %s --seed 1%s",
			 sim_mutation_text((enum sim_mutation)m),
			 m >= SIM_MUTATIONS_IPAM ? " --ipam" : " --peers 7");
		report(t, name, caught, "nothing noticed it", replay);
		if (caught && o->trace)
			printf("  caught by %s\n", by);
	}
}

/* ---- command line ---- */

static bool parse_mutation(const char *text, enum sim_mutation *m)
{
	for (int i = 0; i < SIM_MUTATIONS_COUNT; i++)
		if (strcmp(sim_mutation_text((enum sim_mutation)i), text) == 0) {
			*m = (enum sim_mutation)i;
			return true;
		}
	return false;
}

static bool parse_seeds(const char *text, struct options *o)
{
	unsigned long long first, last;

	if (sscanf(text, "%llu-%llu", &first, &last) != 2 || last < first)
		return false;
	o->seed = first;
	o->last = last;
	return true;
}

/* Options that take a value. */
static bool take_value(struct options *o, const char *name, const char *value)
{
	if (strcmp(name, "--seed") == 0)
		o->seed = strtoull(value, NULL, 10);
	else if (strcmp(name, "--seeds") == 0)
		return parse_seeds(value, o);
	else if (strcmp(name, "--peers") == 0)
		o->peers = (uint32_t)strtoul(value, NULL, 10);
	else if (strcmp(name, "--jobs") == 0)
		o->jobs = (uint32_t)strtoul(value, NULL, 10);
	else if (strcmp(name, "--seconds") == 0)
		o->seconds = (uint32_t)strtoul(value, NULL, 10);
	else if (strcmp(name, "--check") == 0)
		o->check_every = (uint32_t)strtoul(value, NULL, 10);
	else if (strcmp(name, "--trace") == 0)
		o->trace = value;
	else if (strcmp(name, "--scenario") == 0)
		o->scenario = value;
	else if (strcmp(name, "--mutate") == 0)
		return parse_mutation(value, &o->mutation);
	else
		return false;
	return o->peers <= SIM_ROUTERS_MAX;
}

static bool parse(struct options *o, int argc, char **argv)
{
	static const char *const modes[] = { "--ci",	     "--soak",	    "--scenarios",
					     "--self-tests", "--mutations", "--list",
					     "--statements", "--hash",	    "--must" };

	for (int i = 1; i < argc; i++) {
		bool mode = false;

		for (size_t k = 0; k < ARRAY_COUNT(modes); k++)
			mode = mode || strcmp(argv[i], modes[k]) == 0;
		if (strcmp(argv[i], "--ipam") == 0)
			o->ipam = true;
		else if (strcmp(argv[i], "--removals") == 0)
			o->ipam = o->removals = true;
		else if (mode)
			o->mode = argv[i];
		else if (i + 1 == argc || !take_value(o, argv[i], argv[i + 1]))
			return false;
		else
			i++;
	}
	if (!o->ipam && o->peers == 0)
		o->peers = CI_PEERS;
	return argc > 1;
}

static void list(void)
{
	char *names[FILES_MAX];
	size_t count = list_files(names);

	for (size_t i = 0; i < count; i++) {
		printf("scenario %.*s\n", (int)(strlen(names[i]) - 4), names[i]);
		mem_free(names[i]);
	}
	for (size_t i = 0; sim_scenario_at(i); i++)
		printf("scenario %s\n", sim_scenario_at(i)->name);
	for (int m = 1; m < SIM_MUTATIONS_COUNT; m++)
		printf("mutation %-14s %s\n", sim_mutation_text((enum sim_mutation)m),
		       sim_mutation_what((enum sim_mutation)m));
}

/* All but the random runs, in a process of its own: *pid and the pipe that its tally comes from. */
static int start_the_rest(const struct options *o, pid_t *pid)
{
	struct tally t = { 0 };
	int fds[2];

	fflush(NULL);
	if (pipe(fds) < 0 || (*pid = fork()) < 0) {
		perror("simulate");
		exit(2);
	}
	if (*pid > 0) {
		close(fds[1]);
		return fds[0];
	}
	self_tests(o, &t);
	mutations(o, &t);
	scenarios(o, &t);
	_exit(write(fds[1], &t, sizeof t) != sizeof t);
}

static void await_the_rest(pid_t pid, int fd, struct tally *t)
{
	struct tally rest;

	if (read(fd, &rest, sizeof rest) == sizeof rest) {
		t->passed += rest.passed;
		t->failed += rest.failed;
	} else {
		report(t, "scenarios", false, "the process died in one of them", "--scenarios");
	}
	close(fd);
	waitpid(pid, NULL, 0);
}

static void ci(const struct options *o, struct tally *t)
{
	struct options runs = *o;
	pid_t pid;
	int fd = start_the_rest(o, &pid);

	runs.seed = 1;
	runs.last = CI_RUNS;
	runs.peers = CI_PEERS;
	runs.check_every = CI_CHECK_EVERY;
	many_runs(&runs, t, 0);
	runs.last = CI_MIDDLE_RUNS;
	runs.peers = CI_MIDDLE_PEERS;
	many_runs(&runs, t, 0);
	/* Small worlds cost little, so everything is checked after each event. */
	runs.last = CI_SMALL_RUNS;
	runs.peers = 6;
	runs.check_every = 1;
	many_runs(&runs, t, 0);
	runs.ipam = true;
	runs.last = CI_IPAM_RUNS;
	runs.peers = 0;
	runs.check_every = IPAM_CHECK_EVERY;
	many_runs(&runs, t, 0);
	runs.removals = true;
	runs.last = CI_REMOVALS_RUNS;
	many_runs(&runs, t, 0);
	await_the_rest(pid, fd, t);
}

static void print_hash(const struct options *o)
{
	struct sim_plan plan = { .seed = o->seed, .peers = o->peers, .check_every = 100 };
	struct sim_result r;

	sim_random_run(&plan, &r);
	printf("%llx\n", (unsigned long long)r.hash);
}

/* Breaks a promise of a running engine, to show what a failed MUST prints. */
static void break_a_must(const struct options *o)
{
	char context[96];

	snprintf(context, sizeof context, "(replay: simulate --seed %llu --peers %u)",
		 (unsigned long long)o->seed, o->peers);
	must_set_context(context);
	NOT_REACHED("asked for");
}

static int run_mode(const struct options *o, struct tally *t)
{
	if (!o->mode) {
		if (o->scenario)
			one_scenario(o, t);
		else if (o->last)
			many_runs(o, t, 0);
		else
			one_run(o, t);
	} else if (strcmp(o->mode, "--ci") == 0) {
		ci(o, t);
	} else if (strcmp(o->mode, "--soak") == 0) {
		soak(o, t);
	} else if (strcmp(o->mode, "--scenarios") == 0) {
		scenarios(o, t);
	} else if (strcmp(o->mode, "--self-tests") == 0) {
		self_tests(o, t);
	} else if (strcmp(o->mode, "--mutations") == 0) {
		mutations(o, t);
	} else {
		if (strcmp(o->mode, "--list") == 0)
			list();
		else if (strcmp(o->mode, "--statements") == 0)
			sim_script_list(stdout);
		else if (strcmp(o->mode, "--hash") == 0)
			print_hash(o);
		else
			break_a_must(o);
		return 0;
	}
	printf("sim: %u passed, %u failed\n", t->passed, t->failed);
	return t->failed || !t->passed ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options o = { .program = argv[0],
			     .seed = 1,
			     .jobs = 1,
			     .seconds = SOAK_SECONDS,
			     .check_every = 100 };
	struct tally t = { 0 };

	/* Each engine has megabytes of buffers that it hardly touches: fresh pages cost nothing,
	 * used ones would have to be cleared. */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	if (!parse(&o, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	MUST(sodium_init() >= 0);
	return run_mode(&o, &t);
}
