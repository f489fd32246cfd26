#include "sim_jobs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>

#define JOBS_MAX 64u
#define RUN_LIMIT_S 120u

/* A worker takes every jobs-th seed. */
struct worker {
	pid_t pid;
	int fd;
	uint64_t next; /* seed that it works on; above 'last' when done */
};

struct pool {
	const struct sim_jobs *jobs;
	struct worker workers[JOBS_MAX];
	struct sim_totals totals;
	uint64_t block_runs, block_bad, blocks, failures;
	double started;
};

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is_over(const struct pool *p)
{
	return p->jobs->seconds && seconds_now() - p->started > p->jobs->seconds;
}

/* Of this process's own time: a busy machine, or one that was stopped for a while, is no fault. */
static void limit_cpu(void)
{
	setitimer(ITIMER_PROF, &(struct itimerval){ .it_value.tv_sec = RUN_LIMIT_S }, NULL);
}

static void work(const struct pool *p, uint64_t seed, int fd)
{
	for (; seed <= p->jobs->last && !is_over(p); seed += p->jobs->jobs) {
		struct sim_plan plan = { .seed = seed,
					 .peers = p->jobs->peers,
					 .check_every = p->jobs->check_every,
					 .ipam = p->jobs->ipam,
					 .removals = p->jobs->removals };
		struct sim_result r;

		limit_cpu();
		sim_run_plan(&plan, &r);
		if (write(fd, &r, sizeof r) != sizeof r)
			_exit(1);
	}
	_exit(0);
}

static void spawn(struct pool *p, struct worker *w)
{
	int fds[2];

	w->pid = 0;
	w->fd = -1;
	if (w->next > p->jobs->last || is_over(p))
		return;
	fflush(NULL);
	if (pipe(fds) < 0 || (w->pid = fork()) < 0) {
		perror("simulate");
		exit(2);
	}
	if (w->pid == 0) {
		close(fds[0]);
		work(p, w->next, fds[1]);
	}
	close(fds[1]);
	w->fd = fds[0];
}

static const char *sort_of(const struct pool *p)
{
	return p->jobs->removals ? "removals" : p->jobs->ipam ? "ipam" : "random";
}

static void end_block(struct pool *p)
{
	if (p->block_runs && !p->block_bad) {
		printf("PASS %s: %llu runs of %u peers\n", sort_of(p),
		       (unsigned long long)p->block_runs, p->jobs->peers);
		p->blocks++;
	}
	p->block_runs = p->block_bad = 0;
	fflush(stdout);
}

static void count(struct pool *p, bool passed)
{
	p->totals.runs++;
	p->totals.passed += passed;
	p->block_bad += !passed;
	if (++p->block_runs == p->jobs->block)
		end_block(p);
}

static void report_failure(struct pool *p, uint64_t seed, const char *reason)
{
	p->failures++;
	printf("FAIL %s-%llu: %s (replay: simulate%s --seed %llu --peers %u)\n", sort_of(p),
	       (unsigned long long)seed, reason,
	       p->jobs->removals ? " --removals"
	       : p->jobs->ipam	 ? " --ipam"
				 : "",
	       (unsigned long long)seed, p->jobs->peers);
	fflush(stdout);
	count(p, false);
}

static void add_sums(struct sim_ipam_sums *to, const struct sim_ipam_sums *from)
{
	to->told += from->told;
	to->refused += from->refused;
	to->takeovers += from->takeovers;
	to->resets += from->resets;
	to->restores += from->restores;
	to->losses += from->losses;
	to->crashes += from->crashes;
	to->excused += from->excused;
	to->late += from->late;
	to->disputes += from->disputes;
}

static void take_result(struct pool *p, struct worker *w, const struct sim_result *r)
{
	struct sim_totals *t = &p->totals;

	w->next = r->seed + p->jobs->jobs;
	t->events += r->events;
	t->virtual_us += r->virtual_us;
	t->frames += r->frames;
	t->goodbyes += r->goodbyes;
	add_sums(&t->ipam, &r->ipam);
	if (!r->passed) {
		report_failure(p, r->seed, r->failure);
		return;
	}
	t->converge_us = mem_resize(t->converge_us, t->passed + 1, sizeof *t->converge_us);
	t->bytes_per_peer = mem_resize(t->bytes_per_peer, t->passed + 1, sizeof *t->bytes_per_peer);
	t->converge_us[t->passed] = r->converge_us;
	t->bytes_per_peer[t->passed] = r->bytes_per_peer;
	count(p, true);
}

/* The worker's pipe ended: it is done, or it died in the middle of a run. */
static void reap(struct pool *p, struct worker *w)
{
	int status = 0;

	close(w->fd);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		w->fd = -1;
		return;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
		report_failure(p, w->next, "took too long");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		report_failure(p, w->next, "aborted: see the line of the failed MUST above");
	else
		report_failure(p, w->next, "the process died");
	w->next += p->jobs->jobs;
	spawn(p, w);
}

static void listen_to(struct pool *p, struct worker *w)
{
	struct sim_result r;
	size_t got = 0;

	while (got < sizeof r) {
		ssize_t n = read(w->fd, (char *)&r + got, sizeof r - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			reap(p, w);
			return;
		}
		got += (size_t)n;
	}
	take_result(p, w, &r);
}

static bool wait_for_any(struct pool *p)
{
	struct pollfd fds[JOBS_MAX];
	uint32_t which[JOBS_MAX], n = 0;

	for (uint32_t i = 0; i < p->jobs->jobs; i++)
		if (p->workers[i].fd >= 0) {
			which[n] = i;
			fds[n++] = (struct pollfd){ p->workers[i].fd, POLLIN, 0 };
		}
	if (n == 0)
		return false;
	if (poll(fds, n, -1) > 0)
		for (uint32_t i = 0; i < n; i++)
			if (fds[i].revents)
				listen_to(p, &p->workers[which[i]]);
	return true;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t percentile(uint64_t *values, uint64_t count, unsigned percent)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof *values, by_value);
	return values[(count - 1) * percent / 100];
}

static void print_ipam_totals(struct sim_totals *t, double took)
{
	const struct sim_ipam_sums *n = &t->ipam;

	printf("ipam: %.0f s, %.0f events/s, %.0f virtual s; at rest after %.1f s (p50), %.1f s "
	       "(max)\n",
	       took, (double)t->events / (took > 0 ? took : 1), (double)t->virtual_us / 1e6,
	       (double)percentile(t->converge_us, t->passed, 50) / 1e6,
	       (double)percentile(t->converge_us, t->passed, 100) / 1e6);
	printf("ipam: %llu addresses told, %llu refused, %llu crashes, %llu lost disks, %llu old "
	       "copies, %llu takeovers, %llu resets, %llu late messages, %llu offsets taken away, "
	       "%llu doubles of the excused\n",
	       (unsigned long long)n->told, (unsigned long long)n->refused,
	       (unsigned long long)n->crashes, (unsigned long long)n->losses,
	       (unsigned long long)n->restores, (unsigned long long)n->takeovers,
	       (unsigned long long)n->resets, (unsigned long long)n->late,
	       (unsigned long long)n->disputes, (unsigned long long)n->excused);
}

static void print_totals(struct pool *p)
{
	struct sim_totals *t = &p->totals;
	double took = seconds_now() - p->started;

	printf("RUNS %llu passed %llu failed %llu\n", (unsigned long long)t->runs,
	       (unsigned long long)t->passed, (unsigned long long)(t->runs - t->passed));
	if (p->jobs->ipam) {
		print_ipam_totals(t, took);
		return;
	}
	printf("random: %u peers, %.0f s, %.0f events/s, %.0f virtual s, %llu frames, %llu "
	       "goodbyes compared\n",
	       p->jobs->peers, took, (double)t->events / (took > 0 ? took : 1),
	       (double)t->virtual_us / 1e6, (unsigned long long)t->frames,
	       (unsigned long long)t->goodbyes);
	printf("random: converged after the last fault in %.1f s (p50), %.1f s (p99), %.1f s "
	       "(max); "
	       "%.0f KB sent per peer (p50)\n",
	       (double)percentile(t->converge_us, t->passed, 50) / 1e6,
	       (double)percentile(t->converge_us, t->passed, 99) / 1e6,
	       (double)percentile(t->converge_us, t->passed, 100) / 1e6,
	       (double)percentile(t->bytes_per_peer, t->passed, 50) / 1e3);
}

uint64_t sim_jobs_run(const struct sim_jobs *jobs, uint32_t *passed, uint32_t *failed)
{
	struct sim_jobs own = *jobs;
	struct pool p = { .jobs = &own, .started = seconds_now() };

	if (own.jobs == 0 || own.jobs > JOBS_MAX)
		own.jobs = 1;
	for (uint32_t i = 0; i < own.jobs; i++) {
		p.workers[i].next = own.first + i;
		spawn(&p, &p.workers[i]);
	}
	while (wait_for_any(&p))
		;
	end_block(&p);
	print_totals(&p);
	mem_free(p.totals.converge_us);
	mem_free(p.totals.bytes_per_peer);
	*passed += (uint32_t)p.blocks;
	*failed += (uint32_t)p.failures;
	return p.totals.runs;
}
