#include <weave/ipam_io.h>

#include <cap-ng.h>
#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <weave/alloc.h>
#include <weave/limits.h>
#include <weave/must.h>
#include <weave/table.h>

#include "ipam_database_io.h"

#define REASON_SIZE sizeof(((struct why *)0)->text)

/* What is to be made durable: the last change of each row only, so that a disk that refuses for
 * days costs no more than the rows there are. It goes into one transaction, so what was in between
 * is never missed. */
struct change {
	struct table_link link;
	size_t universe;
	struct database_row row; /* its universe: of this file; its value: 'data' */
	bool put;
	uint8_t data[];
};

struct queue {
	struct table changes;
	uint64_t tickets[IPAM_STORE_UNIVERSES_MAX]; /* the highest of each universe */
};

/* Two locks, so that the loop never waits for the disk: 'lock' is held for moments only. Who needs
 * both takes 'disk' first. */
struct ipam_store {
	struct ipam_store_config config;
	struct log *log;
	struct ev_async async;
	pthread_t writer;

	pthread_mutex_t disk;
	struct database *database;
	uint64_t numbers[IPAM_STORE_UNIVERSES_MAX]; /* in the file; 0: not registered */
	struct cidr prefixes[IPAM_STORE_UNIVERSES_MAX];

	pthread_mutex_t lock;
	pthread_cond_t wake; /* of the writer; at the end, of who waits for its end */
	struct queue queue;
	uint64_t since_ms; /* the queue is not empty since */
	bool urgent, broken, stopping, finished;
	char reason[REASON_SIZE]; /* when broken */
	uint64_t failures;	  /* so many times it became broken */
	size_t lost;		  /* changes, at the end */
	uint64_t saved[IPAM_STORE_UNIVERSES_MAX];

	/* loop thread */
	peer_name name;
	uint64_t store_id;
	uint64_t tickets[IPAM_STORE_UNIVERSES_MAX], told[IPAM_STORE_UNIVERSES_MAX];
	uint64_t told_failures;
	bool told_broken;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct timespec at_ms(uint64_t ms)
{
	return (struct timespec){ .tv_sec = (time_t)(ms / 1000),
				  .tv_nsec = (long)(ms % 1000) * 1000000 };
}

/* ---- changes that wait ---- */

/* Splitmix's mixing (rng.h): keys are offsets and hashes, chosen by nobody outside. */
static uint64_t row_hash(size_t universe, uint64_t kind, uint64_t key)
{
	uint64_t z = key + 0x9e3779b97f4a7c15u * (kind + 16 * universe + 1);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static struct change *find_change(const struct table *t, const struct change *like)
{
	uint64_t hash = row_hash(like->universe, like->row.kind, like->row.key);

	for (struct table_link *l = table_first(t, hash); l; l = table_next(l, hash)) {
		struct change *c = table_entry(l, struct change, link);

		if (c->universe == like->universe && c->row.kind == like->row.kind &&
		    c->row.key == like->row.key)
			return c;
	}
	return NULL;
}

/* Owns 'c' from now on; it takes the place of an older one. */
static void add_change(struct table *t, struct change *c)
{
	struct change *older = find_change(t, c);

	if (older) {
		table_remove(t, &older->link);
		mem_free(older);
	}
	table_insert(t, &c->link, row_hash(c->universe, c->row.kind, c->row.key));
}

static void clear_queue(struct queue *q)
{
	TABLE_EACH(&q->changes, l) {
		table_remove(&q->changes, l);
		mem_free(table_entry(l, struct change, link));
	}
	table_fini(&q->changes);
	*q = (struct queue){ 0 };
}

/* Behind what is there; 'newer' is empty then. */
static void append_queue(struct queue *q, struct queue *newer)
{
	if (!q->changes.count) {
		table_fini(&q->changes);
		q->changes = newer->changes;
		newer->changes = (struct table){ 0 };
	}
	TABLE_EACH(&newer->changes, l) {
		table_remove(&newer->changes, l);
		add_change(&q->changes, table_entry(l, struct change, link));
	}
	for (size_t u = 0; u < IPAM_STORE_UNIVERSES_MAX; u++)
		if (newer->tickets[u])
			q->tickets[u] = newer->tickets[u];
	clear_queue(newer);
}

/* ---- the writer thread ---- */

static int write_queue(struct ipam_store *s, const struct queue *q, struct why *why)
{
	int rc = database_begin(s->database, why);

	if (rc)
		return rc;
	for (struct table_link *l = table_each(&q->changes, NULL); l && !rc;
	     l = table_each(&q->changes, l)) {
		struct change *c = table_entry(l, struct change, link);

		MUST(s->numbers[c->universe]);
		c->row.universe = s->numbers[c->universe];
		rc = c->put ? database_put(s->database, &c->row, why)
			    : database_delete(s->database, &c->row, why);
	}
	return rc ? rc : database_commit(s->database, why);
}

/* 'lock' is held. */
static void set_broken(struct ipam_store *s, const struct why *why)
{
	if (!s->broken)
		s->failures++;
	s->broken = true;
	memcpy(s->reason, why->text, sizeof s->reason);
}

static void report(struct ipam_store *s, struct queue *done, int rc, const struct why *why)
{
	pthread_mutex_lock(&s->lock);
	if (rc)
		set_broken(s, why);
	else
		s->broken = false;
	for (size_t u = 0; !rc && u < IPAM_STORE_UNIVERSES_MAX; u++)
		if (done->tickets[u])
			s->saved[u] = done->tickets[u];
	if (!s->stopping)
		ev_async_send(s->config.loop, &s->async);
	pthread_mutex_unlock(&s->lock);
	if (!rc)
		clear_queue(done);
}

/* What was written is reported before the log is tidied, which takes its time. */
static void work(struct ipam_store *s, struct queue *pending)
{
	bool wrote = pending->changes.count != 0;
	struct why why = { 0 };
	int rc = 0;

	pthread_mutex_lock(&s->disk);
	if (wrote) {
		rc = write_queue(s, pending, &why);
		report(s, pending, rc, &why);
	}
	if (!rc) {
		rc = database_tidy(s->database, &why);
		if (rc || !wrote)
			report(s, pending, rc, &why);
	}
	pthread_mutex_unlock(&s->disk);
}

/* Waits until there is something to do, and takes it behind what is pending. 'retry_ms': after a
 * failure, not before then. False at the end, when nothing more is to be done. Lock is held. */
static bool wait_for_work(struct ipam_store *s, struct queue *pending, uint64_t retry_ms)
{
	uint64_t due;

	while (!s->stopping) {
		if (s->broken)
			due = retry_ms;
		else if (s->queue.changes.count)
			due = s->urgent ? 0 : s->since_ms + IPAM_STORE_DELAY_MS;
		else
			due = UINT64_MAX;
		if (now_ms() >= due)
			break;
		if (due == UINT64_MAX) {
			pthread_cond_wait(&s->wake, &s->lock);
		} else {
			struct timespec t = at_ms(due);

			pthread_cond_timedwait(&s->wake, &s->lock, &t);
		}
	}
	s->urgent = false;
	append_queue(pending, &s->queue);
	return !s->stopping || pending->changes.count;
}

/* Capabilities belong to threads: what the process gives up later this one would keep.  It opens
 * files, and the folder may be another user's. */
static void give_up_capabilities(void)
{
	bool opens_all;

	capng_get_caps_process();
	opens_all = capng_have_capability(CAPNG_EFFECTIVE, CAP_DAC_OVERRIDE);
	capng_clear(CAPNG_SELECT_CAPS);
	if (opens_all)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
	capng_apply(CAPNG_SELECT_CAPS);
}

static void *write_all(void *arg)
{
	struct ipam_store *s = arg;
	struct queue pending = { 0 };
	uint64_t retry_ms = IPAM_STORE_RETRY_MIN_MS;
	bool stopping = false;

	give_up_capabilities();
	pthread_mutex_lock(&s->lock);
	while (!stopping && wait_for_work(s, &pending, now_ms() + retry_ms)) {
		bool again = s->broken;

		stopping = s->stopping; /* one last try */
		pthread_mutex_unlock(&s->lock);
		work(s, &pending);
		pthread_mutex_lock(&s->lock);
		if (!again || !s->broken)
			retry_ms = IPAM_STORE_RETRY_MIN_MS;
		else if (retry_ms < IPAM_STORE_RETRY_MAX_MS)
			retry_ms *= 2;
	}
	s->lost = pending.changes.count;
	pthread_mutex_unlock(&s->lock);
	clear_queue(&pending);
	database_close(s->database);
	pthread_mutex_lock(&s->lock);
	s->finished = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the loop thread ---- */

/* A failure that is over already is told all the same: somebody may have been refused by it. */
static void tell_state(struct ipam_store *s, uint64_t failures, bool broken, const char *reason)
{
	if (failures != s->told_failures && !s->told_broken) {
		s->told_broken = true;
		s->config.state(s->config.ctx, reason);
	}
	s->told_failures = failures;
	if (s->told_broken && !broken) {
		s->told_broken = false;
		s->config.state(s->config.ctx, NULL);
	}
}

static void on_async(struct ev_loop *loop, struct ev_async *w, int events)
{
	struct ipam_store *s = w->data;
	uint64_t saved[IPAM_STORE_UNIVERSES_MAX], failures;
	char reason[sizeof s->reason];
	bool broken;

	(void)loop;
	(void)events;
	pthread_mutex_lock(&s->lock);
	memcpy(saved, s->saved, sizeof saved);
	memcpy(reason, s->reason, sizeof reason);
	failures = s->failures;
	broken = s->broken;
	pthread_mutex_unlock(&s->lock);
	for (size_t u = 0; u < IPAM_STORE_UNIVERSES_MAX; u++) {
		if (saved[u] == s->told[u])
			continue;
		s->told[u] = saved[u];
		s->config.saved(s->config.ctx, u, saved[u]);
	}
	tell_state(s, failures, broken, reason);
}

/* Signals are the loop's. */
static int start_writer(struct ipam_store *s)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->writer, NULL, write_all, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

static void init_locks(struct ipam_store *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->disk, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
}

static void free_store(struct ipam_store *s)
{
	clear_queue(&s->queue);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->disk);
	mem_free(s);
}

int ipam_store_open(const struct ipam_store_config *config, struct log *log,
		    struct ipam_store **out, enum ipam_store_found *found, struct why *why)
{
	struct ipam_store *s = mem_new(1, sizeof *s);
	int rc;

	*out = NULL;
	s->config = *config;
	s->config.directory = NULL; /* borrowed for the call */
	s->log = log;
	init_locks(s);
	rc = database_open(config->directory, &s->database, found, why);
	if (rc) {
		free_store(s);
		return rc;
	}
	rc = start_writer(s);
	if (rc) {
		why_set(why, WHY_LIMIT, "cannot start a thread: %s", strerror(-rc));
		database_close(s->database);
		free_store(s);
		return rc;
	}
	s->store_id = database_store_id(s->database, &s->name);
	ev_async_init(&s->async, on_async);
	s->async.data = s;
	ev_async_start(config->loop, &s->async);
	*out = s;
	return 0;
}

static bool wait_for_end(struct ipam_store *s)
{
	struct timespec limit = at_ms(now_ms() + IPAM_STORE_CLOSE_MS);
	bool finished;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	while (!s->finished && rc == 0)
		rc = pthread_cond_timedwait(&s->wake, &s->lock, &limit);
	finished = s->finished;
	pthread_mutex_unlock(&s->lock);
	return finished;
}

void ipam_store_close(struct ipam_store *s)
{
	if (!s)
		return;
	ev_async_stop(s->config.loop, &s->async);
	if (!wait_for_end(s)) {
		log_error(s->log, "the disk does not answer: changes of addresses may be lost");
		pthread_detach(s->writer);
		return; /* the thread may come back to this memory */
	}
	pthread_join(s->writer, NULL);
	if (s->lost)
		log_error(s->log, "%zu changes of addresses were not made durable: %s", s->lost,
			  s->reason);
	free_store(s);
}

uint64_t ipam_store_id(const struct ipam_store *s, peer_name *name)
{
	*name = s->name;
	return s->store_id;
}

/* The writer sees to it that it is told when the disk works again. 'disk' is held. */
static void report_failure(struct ipam_store *s, const struct why *why)
{
	pthread_mutex_lock(&s->lock);
	set_broken(s, why);
	ev_async_send(s->config.loop, &s->async);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

int ipam_store_set_id(struct ipam_store *s, peer_name name, uint64_t store_id, struct why *why)
{
	int rc;

	MUST(name != PEER_NAME_NONE && name <= PEER_NAME_MAX && store_id != 0);
	pthread_mutex_lock(&s->disk);
	rc = database_set_store_id(s->database, name, store_id, why);
	if (rc)
		report_failure(s, why);
	pthread_mutex_unlock(&s->disk);
	if (!rc) {
		s->name = name;
		s->store_id = store_id;
	}
	return rc;
}

/* 'disk' is held. What cannot be read is set aside; then all begins anew. */
static int start_over(struct ipam_store *s, const char *wrong, struct why *why)
{
	struct why failed;
	int rc = database_set_aside(s->database, wrong, why);

	s->store_id = database_store_id(s->database, &s->name);
	for (size_t u = 0; rc == -EBADMSG && u < IPAM_STORE_UNIVERSES_MAX; u++) {
		if (!s->numbers[u])
			continue;
		s->numbers[u] = 0;
		if (database_universe(s->database, s->prefixes[u], &s->numbers[u], &failed)) {
			*why = failed;
			rc = -EIO;
		}
	}
	return rc;
}

int ipam_store_universe(struct ipam_store *s, size_t universe, struct cidr prefix, struct why *why)
{
	uint64_t number = 0;
	int rc;

	MUST(universe < IPAM_STORE_UNIVERSES_MAX && !s->numbers[universe]);
	pthread_mutex_lock(&s->disk);
	rc = database_universe(s->database, prefix, &number, why);
	if (!rc) {
		s->numbers[universe] = number;
		s->prefixes[universe] = prefix;
	}
	pthread_mutex_unlock(&s->disk);
	return rc;
}

struct loading {
	const char *(*row)(void *ctx, enum ipam_table table, uint64_t key, struct bytes value);
	void *ctx;
};

static const char *load_row(void *ctx, const struct database_row *row)
{
	const struct loading *l = ctx;

	return l->row(l->ctx, (enum ipam_table)row->kind, row->key, row->value);
}

int ipam_store_load(struct ipam_store *s, size_t universe,
		    const char *(*row)(void *ctx, enum ipam_table table, uint64_t key,
				       struct bytes value),
		    void *ctx, struct why *why)
{
	struct loading loading = { row, ctx };
	const char *wrong = NULL;
	char copy[REASON_SIZE];
	int rc;

	MUST(universe < IPAM_STORE_UNIVERSES_MAX && s->numbers[universe] && !s->tickets[universe]);
	pthread_mutex_lock(&s->disk);
	rc = database_load(s->database, s->numbers[universe], load_row, &loading, &wrong, why);
	if (rc == -EBADMSG) {
		snprintf(copy, sizeof copy, "%s", wrong ? wrong : why->text);
		rc = start_over(s, copy, why);
	}
	pthread_mutex_unlock(&s->disk);
	return rc;
}

void ipam_store_save(struct ipam_store *s, size_t universe, enum ipam_table table, uint64_t key,
		     struct bytes value, bool put, uint64_t ticket)
{
	struct change *c = mem_new(1, sizeof *c + value.size);

	MUST(universe < IPAM_STORE_UNIVERSES_MAX && ticket > s->tickets[universe]);
	MUST(value.size <= ENTRY_SIZE_MAX);
	s->tickets[universe] = ticket;
	c->universe = universe;
	c->row.kind = table;
	c->row.key = key;
	c->put = put;
	if (value.size)
		memcpy(c->data, value.data, value.size);
	c->row.value = bytes_of(c->data, value.size);
	pthread_mutex_lock(&s->lock);
	if (!s->queue.changes.count) {
		s->since_ms = now_ms();
		pthread_cond_signal(&s->wake);
	}
	add_change(&s->queue.changes, c);
	s->queue.tickets[universe] = ticket;
	pthread_mutex_unlock(&s->lock);
}

void ipam_store_sync(struct ipam_store *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->queue.changes.count && !s->urgent) {
		s->urgent = true;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
}

int ipam_store_remove(const char *directory, struct why *why)
{
	return database_remove(directory, why);
}
