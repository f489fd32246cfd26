/* The address database under faults: whatever happens to the process, the disk or the power, what
 * was acknowledged is there, and what is there is what was saved up to some point. */
#include "store_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <weave/rng.h>

#include "faulty_disk.h"

#define KILLS 40u
#define POWER_CUTS 60u

static int teardown(void **state)
{
	struct store_test *t = *state;

	close_store(t);
	if (disk.on) /* the test failed */
		faulty_disk_back();
	return store_teardown(state);
}

static void start(struct store_test *t)
{
	if (open_store(t))
		fail_msg("does not start: %s", t->why.text);
	assert_int_equal(load_universes(t), 0);
}

/* After a fault: at least what was acknowledged, and nothing that was not issued. */
static void start_and_check(struct store_test *t, uint64_t acked, uint64_t issued)
{
	enum ipam_store_found expected = exists(t, "") ? IPAM_STORE_KEPT : IPAM_STORE_NEW;

	if (open_store(t))
		fail_msg("does not start: %s", t->why.text);
	if (t->found != expected)
		fail_msg("not kept: %s", t->why.text);
	assert_int_equal(load_universes(t), 0);
	t->issued = prefix_of(t, acked, issued);
	if (t->issued == UINT64_MAX)
		fail_msg("rows are no prefix between %llu and %llu", (unsigned long long)acked,
			 (unsigned long long)issued);
}

/* ---- kill -9 ---- */

_Noreturn static void save_for_ever(struct store_test *t, int fd, uint64_t seed)
{
	struct rng rng = { seed };

	t->loop = ev_loop_new(0);
	t->report_fd = fd;
	start(t);
	for (;;) {
		for (uint64_t n = 1 + rng_below(&rng, 40); n > 0; n--)
			issue(t);
		if (rng_below(&rng, 2))
			ipam_store_sync(t->store);
		if (rng_below(&rng, 3) == 0)
			RUN_UNTIL(t, acked_all(t) == t->issued);
		ev_run(t->loop, EVRUN_NOWAIT);
	}
}

static void killed_at_any_moment(void **state)
{
	struct store_test *t = *state;
	struct rng rng = { (uint64_t)time(NULL) };
	uint64_t total = 0;

	printf("seed %llu\n", (unsigned long long)rng.state);
	for (unsigned n = 0; n < KILLS; n++) {
		uint64_t acked = t->issued, ticket, seed = rng_u64(&rng);
		struct timespec pause = { 0, (long)rng_below(&rng, 40000000) };
		int fds[2], status;
		pid_t child;

		assert_int_equal(pipe(fds), 0);
		fflush(NULL);
		child = fork();
		if (child == 0)
			save_for_ever(t, fds[1], seed);
		close(fds[1]);
		/* Not before it has begun; then at a moment that nobody chooses. */
		assert_int_equal(read(fds[0], &ticket, sizeof ticket), sizeof ticket);
		nanosleep(&pause, NULL);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		do
			acked = ticket > acked ? ticket : acked;
		while (read(fds[0], &ticket, sizeof ticket) == sizeof ticket);
		close(fds[0]);
		start_and_check(t, acked, acked + 100000);
		total += t->issued;
		close_store(t);
	}
	printf("%llu changes survived %u kills\n", (unsigned long long)t->issued, KILLS);
	assert_true(total > KILLS);
}

/* ---- no power ---- */

static void power_fails_at_any_moment(void **state)
{
	struct store_test *t = *state;
	struct rng rng = { (uint64_t)time(NULL) };

	printf("seed %llu\n", (unsigned long long)rng.state);
	start(t);
	issue_and_wait(t, 10);
	close_store(t);
	for (unsigned n = 0; n < POWER_CUTS; n++) {
		uint64_t acked, issued, more = rng_below(&rng, 3000);

		faulty_disk_on(rng_u64(&rng));
		start_and_check(t, t->issued, t->issued);
		acked = t->issued;
		for (uint64_t k = 0; k < more; k++) {
			issue(t);
			if (rng_below(&rng, 20) == 0)
				ipam_store_sync(t->store);
			if (rng_below(&rng, 400) == 0)
				RUN_UNTIL(t, acked_all(t) == t->issued);
			ev_run(t->loop, EVRUN_NOWAIT);
		}
		faulty_disk_cut_power();
		ev_run(t->loop, EVRUN_NOWAIT);
		acked = acked_all(t) > acked ? acked_all(t) : acked;
		issued = t->issued;
		close_store(t);
		faulty_disk_back();
		start_and_check(t, acked, issued);
		close_store(t);
	}
}

/* ---- a disk that fails ---- */

enum fault { LOG_SYNC, MAIN_SYNC, ANY_WRITE };

/* The next 'count' such operations but 'from' fail. */
static void fail_and_recover(struct store_test *t, enum fault fault, unsigned from, unsigned count)
{
	uint64_t acked, issued;

	faulty_disk_on(from);
	start_and_check(t, t->issued, t->issued);
	if (fault == ANY_WRITE)
		faulty_disk_fail_writes(from, from + count);
	else
		faulty_disk_fail_syncs(from, from + count, fault == MAIN_SYNC);
	for (unsigned n = 0; faulty_disk_failed() < count && n < 1000; n++) {
		for (unsigned k = 0; k < 5; k++)
			issue(t);
		ipam_store_sync(t->store);
		/* Until it is durable; or was refused, and is durable all the same. */
		RUN_UNTIL(t, acked_all(t) == t->issued);
	}
	assert_int_equal(faulty_disk_failed(), count);
	RUN_UNTIL(t, t->failures && t->failures == t->recoveries);
	assert_non_null(strstr(t->reason, t->file));
	/* Going on is as safe as it was before. */
	for (unsigned n = 0; n < 3; n++) {
		issue_and_wait(t, 20);
		issue(t);
	}
	acked = acked_all(t);
	issued = t->issued;
	faulty_disk_cut_power();
	close_store(t);
	faulty_disk_back();
	start_and_check(t, acked, issued);
	close_store(t);
}

static void a_sync_that_failed_is_not_believed(void **state)
{
	struct store_test *t = *state;

	for (unsigned from = 0; from < 4; from++)
		fail_and_recover(t, LOG_SYNC, from, 1);
	fail_and_recover(t, LOG_SYNC, 1, 4);
}

static size_t log_size(const struct store_test *t)
{
	struct file_copy log = read_copy_of(t, "-wal");

	free(log.data);
	return log.size;
}

static void after_a_sync_that_failed_all_is_written_anew(void **state)
{
	struct store_test *t = *state;
	size_t before;

	faulty_disk_on(1);
	start(t);
	for (unsigned n = 0; n < 20; n++)
		issue_and_wait(t, 20);
	before = log_size(t);
	faulty_disk_fail_syncs(0, 1, false);
	issue_and_wait(t, 1);
	assert_int_equal(faulty_disk_failed(), 1);
	assert_true(before > 200000 && log_size(t) < before / 4);
	close_store(t);
	faulty_disk_back();
}

/* The log that the next start reads is in the cache, and was never on the disk. */
static void killed_after_a_sync_that_failed(void **state)
{
	struct store_test *t = *state;
	uint64_t acked;

	for (unsigned from = 0; from < 8; from++) {
		faulty_disk_on(from);
		start_and_check(t, t->issued, t->issued);
		faulty_disk_fail_syncs(from, from + 1, false);
		for (unsigned n = 0; n < 10 && !t->failures; n++) {
			for (unsigned k = 0; k < 20; k++)
				issue(t);
			ipam_store_sync(t->store);
			RUN_UNTIL(t, acked_all(t) == t->issued || t->failures);
		}
		assert_int_equal(t->failures, 1);
		acked = acked_all(t);
		faulty_disk_kill(true);
		close_store(t);
		faulty_disk_kill(false);
		start_and_check(t, acked, t->issued);
		issue_and_wait(t, 20);
		acked = t->issued;
		faulty_disk_cut_power();
		close_store(t);
		faulty_disk_back();
		start_and_check(t, acked, acked);
		close_store(t);
	}
}

/* When the log has grown long and goes into the main file: nothing waits for that. */
static void a_sync_of_the_main_file_fails(void **state)
{
	struct store_test *t = *state;

	fail_and_recover(t, MAIN_SYNC, 0, 1);
	fail_and_recover(t, MAIN_SYNC, 1, 1);
	fail_and_recover(t, MAIN_SYNC, 0, 3);
}

static void a_write_that_failed_is_repeated(void **state)
{
	struct store_test *t = *state;

	for (unsigned from = 0; from < 6; from++)
		fail_and_recover(t, ANY_WRITE, from, 1);
	fail_and_recover(t, ANY_WRITE, 3, 3);
}

static void a_refusal_is_told_once_and_nothing_is_acknowledged(void **state)
{
	struct store_test *t = *state;
	peer_name name;

	faulty_disk_on(1);
	start(t);
	issue_and_wait(t, 10);
	faulty_disk_fail_syncs(0, 1000000, false);
	issue(t);
	ipam_store_sync(t->store);
	RUN_UNTIL(t, t->failures == 1);
	assert_non_null(strstr(t->reason, t->file));
	RUN_UNTIL(t, faulty_disk_failed() >= 3); /* tries again, and says nothing */
	ev_run(t->loop, EVRUN_NOWAIT);
	assert_int_equal(t->failures, 1);
	assert_int_equal(t->recoveries, 0);
	assert_int_equal(acked_all(t), 10);
	assert_int_equal(ipam_store_set_id(t->store, 3, 4, &t->why), -EIO);
	assert_int_equal(ipam_store_id(t->store, &name), 0);
	faulty_disk_fail_syncs(0, 0, false);
	RUN_UNTIL(t, t->recoveries == 1);
	RUN_UNTIL(t, acked_all(t) == t->issued);
	assert_int_equal(ipam_store_set_id(t->store, 3, 4, &t->why), 0);
	close_store(t);
	faulty_disk_back();
	start_and_check(t, 11, 11);
}

static void a_store_id_that_is_refused_can_be_tried_again(void **state)
{
	struct store_test *t = *state;
	peer_name name;

	faulty_disk_on(1);
	start(t);
	assert_int_equal(ipam_store_set_id(t->store, 3, 4, &t->why), 0);
	faulty_disk_fail_syncs(0, 1, false);
	assert_int_equal(ipam_store_set_id(t->store, 3, 5, &t->why), -EIO);
	assert_int_equal(ipam_store_id(t->store, &name), 4);
	RUN_UNTIL(t, t->failures == 1 && t->recoveries == 1);
	assert_int_equal(ipam_store_set_id(t->store, 3, 5, &t->why), 0);
	faulty_disk_cut_power();
	close_store(t);
	faulty_disk_back();
	start(t);
	assert_int_equal(ipam_store_id(t->store, &name), 5);
}

static void closing_on_a_dead_disk_ends(void **state)
{
	struct store_test *t = *state;

	faulty_disk_on(1);
	start(t);
	issue_and_wait(t, 10);
	faulty_disk_cut_power();
	issue(t);
	close_store(t);
	faulty_disk_back();
	start_and_check(t, 10, 11);
}

/* ---- a disk that is full ---- */

static void a_full_disk_is_survived(void **state)
{
	struct store_test *t = *state;
	char ballast[128], block[65536];
	int fd;

	if (!mount_disk(t, "size=2m"))
		skip();
	memset(block, 1, sizeof block);
	start(t);
	issue_and_wait(t, 100);
	snprintf(ballast, sizeof ballast, "%s/ballast", t->folder);
	fd = open(ballast, O_WRONLY | O_CREAT, 0600);
	for (size_t size = sizeof block; size >= 512; size /= 2)
		while (write(fd, block, size) == (ssize_t)size)
			;
	close(fd);

	/* What the log has room for may still succeed. */
	for (unsigned n = 0; n < 1000 && !t->failures; n++) {
		for (unsigned k = 0; k < 20; k++)
			issue(t);
		ipam_store_sync(t->store);
		RUN_UNTIL(t, acked_all(t) == t->issued || t->failures);
	}
	assert_int_equal(t->failures, 1);
	assert_non_null(strstr(t->reason, "full"));
	for (unsigned k = 0; k < 20; k++)
		issue(t);
	assert_true(acked_all(t) < t->issued);

	assert_int_equal(unlink(ballast), 0);
	RUN_UNTIL(t, t->recoveries == 1 && acked_all(t) == t->issued);
	issue_and_wait(t, 50);
	close_store(t);
	start_and_check(t, t->issued, t->issued);
}

static void a_start_on_a_full_disk_says_so(void **state)
{
	struct store_test *t = *state;
	char ballast[128], block[512] = { 1 };
	int fd;

	if (!mount_disk(t, "size=128k"))
		skip();
	snprintf(ballast, sizeof ballast, "%s/ballast", t->folder);
	fd = open(ballast, O_WRONLY | O_CREAT, 0600);
	while (write(fd, block, sizeof block) == sizeof block)
		;
	close(fd);
	assert_int_equal(open_store(t), -ENOSPC);
	assert_non_null(strstr(t->why.text, t->folder));
	assert_int_equal(unlink(ballast), 0);
	start(t);
	assert_int_equal(t->found, IPAM_STORE_NEW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, teardown)
#define TEST_IN_MEMORY(f) cmocka_unit_test_setup_teardown(f, store_setup_in_memory, teardown)
		TEST_IN_MEMORY(killed_at_any_moment),
		TEST_IN_MEMORY(power_fails_at_any_moment),
		TEST_IN_MEMORY(a_sync_that_failed_is_not_believed),
		TEST_IN_MEMORY(after_a_sync_that_failed_all_is_written_anew),
		TEST_IN_MEMORY(killed_after_a_sync_that_failed),
		TEST_IN_MEMORY(a_sync_of_the_main_file_fails),
		TEST_IN_MEMORY(a_write_that_failed_is_repeated),
		TEST(a_refusal_is_told_once_and_nothing_is_acknowledged),
		TEST(a_store_id_that_is_refused_can_be_tried_again),
		TEST(closing_on_a_dead_disk_ends),
		TEST(a_full_disk_is_survived),
		TEST(a_start_on_a_full_disk_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
