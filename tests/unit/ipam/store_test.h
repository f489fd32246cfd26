/* Shared by the tests of the address database: a folder, an open store with its loop, and a stream
 * of changes of which every prefix is known, so that what a file holds can be told to be one.
 *
 * Change n (1, 2, ...) belongs to universe n % 2 and has ticket n. It puts or deletes one of
 * STREAM_KEYS rows; the value holds n. */
#ifndef WEAVE_STORE_TEST_H
#define WEAVE_STORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <weave/ipam_io.h>
#include <weave/limits.h>
#include <weave/must.h>

#define STREAM_KEYS 61u
#define STREAM_VALUE_MAX 400u
#define PATIENCE_S 30.

struct store_test {
	char folder[64], file[96];
	struct ev_loop *loop;
	struct ipam_store *store;
	enum ipam_store_found found;
	struct why why;
	uint64_t acked[2], issued;
	uint64_t rows[2][STREAM_KEYS]; /* as loaded: n of the change, 0: no row */
	unsigned failures, recoveries;
	char reason[200];
	bool timed_out;
	int report_fd; /* -1; else each acknowledged ticket is written there */
};

static inline struct cidr test_prefix(size_t universe)
{
	struct cidr c;

	MUST(cidr_parse(universe ? "fd00::/64" : "10.32.0.0/12", &c));
	return c;
}

static inline enum ipam_table change_table(uint64_t n)
{
	return (enum ipam_table)(1 + (n * 7919 % STREAM_KEYS) % 8);
}

static inline uint64_t change_index(uint64_t n)
{
	return n * 7919 % STREAM_KEYS;
}

static inline uint64_t change_key(uint64_t n)
{
	return change_index(n) * 0x0507050705070507u; /* the larger ones above 2^63 */
}

static inline bool change_puts(uint64_t n)
{
	return n * 2654435761u / 7 % 4 != 0;
}

static inline size_t change_value(uint64_t n, uint8_t *value)
{
	size_t size = 8 + n * 31 % (STREAM_VALUE_MAX - 8);

	memset(value, (int)(n % 251), size);
	memcpy(value, &n, 8);
	return size;
}

static inline void issue(struct store_test *t)
{
	uint8_t value[STREAM_VALUE_MAX];
	uint64_t n = ++t->issued;
	size_t size = change_value(n, value);

	ipam_store_save(t->store, n % 2, change_table(n), change_key(n), bytes_of(value, size),
			change_puts(n), n);
}

static inline void on_saved(void *ctx, size_t universe, uint64_t ticket)
{
	struct store_test *t = ctx;

	assert_true(universe < 2 && ticket > t->acked[universe] && ticket <= t->issued);
	t->acked[universe] = ticket;
	if (t->report_fd >= 0 && write(t->report_fd, &ticket, sizeof ticket) != sizeof ticket)
		_exit(3);
}

static inline void on_state(void *ctx, const char *reason)
{
	struct store_test *t = ctx;

	if (reason)
		snprintf(t->reason, sizeof t->reason, "%s", reason);
	*(reason ? &t->failures : &t->recoveries) += 1;
	assert_true(t->failures - t->recoveries <= 1);
}

static inline int open_store(struct store_test *t)
{
	struct ipam_store_config c = {
		.directory = t->folder,
		.loop = t->loop,
		.saved = on_saved,
		.state = on_state,
		.ctx = t,
	};

	t->acked[0] = t->acked[1] = 0;
	t->failures = t->recoveries = 0;
	t->why.text[0] = 0;
	return ipam_store_open(&c, NULL, &t->store, &t->found, &t->why);
}

static inline void close_store(struct store_test *t)
{
	ipam_store_close(t->store);
	t->store = NULL;
}

static inline const char *load_change(void *ctx, enum ipam_table table, uint64_t key,
				      struct bytes value)
{
	uint64_t *rows = ctx, n;
	uint8_t expected[STREAM_VALUE_MAX];

	if (value.size < 8)
		return "size";
	memcpy(&n, value.data, 8);
	if (table != change_table(n) || key != change_key(n) || rows[change_index(n)])
		return "key";
	if (!bytes_equal(value, bytes_of(expected, change_value(n, expected))))
		return "value";
	rows[change_index(n)] = n;
	return NULL;
}

static inline int load_universes(struct store_test *t)
{
	int rc = 0;

	memset(t->rows, 0, sizeof t->rows);
	for (size_t u = 0; u < 2; u++)
		assert_int_equal(ipam_store_universe(t->store, u, test_prefix(u), &t->why), 0);
	for (size_t u = 0; u < 2 && !rc; u++)
		rc = ipam_store_load(t->store, u, load_change, t->rows[u], &t->why);
	return rc;
}

/* The rows as they are after the first 'count' changes. */
static inline void rows_after(uint64_t count, uint64_t rows[2][STREAM_KEYS])
{
	memset(rows, 0, sizeof(uint64_t) * 2 * STREAM_KEYS);
	for (uint64_t n = 1; n <= count; n++)
		rows[n % 2][change_index(n)] = change_puts(n) ? n : 0;
}

/* So many changes the loaded rows stand for, at least 'least', at most 'most'; UINT64_MAX: they are
 * not the result of any such prefix. */
static inline uint64_t prefix_of(struct store_test *t, uint64_t least, uint64_t most)
{
	uint64_t rows[2][STREAM_KEYS];

	rows_after(least, rows);
	for (uint64_t n = least;; n++) {
		if (memcmp(rows, t->rows, sizeof rows) == 0)
			return n;
		if (n >= most)
			return UINT64_MAX;
		rows[(n + 1) % 2][change_index(n + 1)] = change_puts(n + 1) ? n + 1 : 0;
	}
}

static inline uint64_t acked_all(const struct store_test *t)
{
	return t->acked[0] > t->acked[1] ? t->acked[0] : t->acked[1];
}

static inline void on_timeout(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	((struct store_test *)w->data)->timed_out = true;
}

/* Turns the loop once, with a limit for a test that hangs. */
static inline void turn(struct store_test *t)
{
	struct ev_timer timer;

	ev_now_update(t->loop);
	ev_timer_init(&timer, on_timeout, PATIENCE_S, 0.);
	timer.data = t;
	ev_timer_start(t->loop, &timer);
	ev_run(t->loop, EVRUN_ONCE);
	ev_timer_stop(t->loop, &timer);
	assert_false(t->timed_out);
}

#define RUN_UNTIL(t, condition)                                                                    \
	do {                                                                                       \
		while (!(condition))                                                               \
			turn(t);                                                                   \
	} while (0)

static inline void issue_and_wait(struct store_test *t, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		issue(t);
	ipam_store_sync(t->store);
	RUN_UNTIL(t, acked_all(t) == t->issued);
}

static inline int store_setup(void **state)
{
	struct store_test *t = calloc(1, sizeof *t);

	snprintf(t->folder, sizeof t->folder, "/tmp/weave-ipam-XXXXXX");
	assert_non_null(mkdtemp(t->folder));
	snprintf(t->file, sizeof t->file, "%s/ipam.db", t->folder);
	t->loop = ev_loop_new(0);
	t->report_fd = -1;
	*state = t;
	return 0;
}

static inline int store_teardown(void **state)
{
	struct store_test *t = *state;
	struct why why;

	close_store(t);
	ipam_store_remove(t->folder, &why);
	umount(t->folder);
	assert_int_equal(rmdir(t->folder), 0); /* nothing is left */
	ev_loop_destroy(t->loop);
	free(t);
	return 0;
}

/* On a disk of its own, in memory: a test that starts a thousand times does not wait for a thousand
 * syncs, and a small one can be filled. False when we are not root. */
static inline bool mount_disk(struct store_test *t, const char *options)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("weave-test", t->folder, "tmpfs", 0, options) == 0;
}

static inline int store_setup_in_memory(void **state)
{
	int rc = store_setup(state);
	struct store_test *t = *state;

	mount_disk(t, "size=64m");
	return rc;
}

/* ---- whole files ---- */

struct file_copy {
	uint8_t *data;
	size_t size;
};

static inline struct file_copy read_copy_of(const struct store_test *t, const char *suffix)
{
	char path[128];
	struct stat st;
	struct file_copy c = { 0 };
	int fd;

	snprintf(path, sizeof path, "%s%s", t->file, suffix);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return c;
	assert_int_equal(fstat(fd, &st), 0);
	c.size = (size_t)st.st_size;
	c.data = malloc(c.size + 1);
	assert_int_equal(read(fd, c.data, c.size), (ssize_t)c.size);
	close(fd);
	return c;
}

static inline void write_copy_of(const struct store_test *t, const char *suffix, struct file_copy c)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s%s", t->file, suffix);
	if (!c.data) {
		unlink(path);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, c.data, c.size), (ssize_t)c.size);
	close(fd);
}

static inline bool exists(const struct store_test *t, const char *suffix)
{
	char path[128];

	snprintf(path, sizeof path, "%s%s", t->file, suffix);
	return access(path, F_OK) == 0;
}

#endif
