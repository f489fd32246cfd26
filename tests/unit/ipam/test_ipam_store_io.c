/* The address database: what was acknowledged is there, and what is not whole is noticed. */
#include "../../budget.h"
#include "store_test.h"

#include <sqlite3.h>
#include <sys/wait.h>

/* ---- keeping ---- */

static void rows_come_back(void **state)
{
	struct store_test *t = *state;

	assert_int_equal(open_store(t), 0);
	assert_int_equal(t->found, IPAM_STORE_NEW);
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(prefix_of(t, 0, 0), 0);
	issue_and_wait(t, 500);
	close_store(t);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(t->found, IPAM_STORE_KEPT);
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(prefix_of(t, 500, 500), 500);
}

struct one_row {
	unsigned count;
	enum ipam_table table;
	uint64_t key;
	uint8_t value[ENTRY_SIZE_MAX];
	size_t size;
};

static const char *keep_row(void *ctx, enum ipam_table table, uint64_t key, struct bytes value)
{
	struct one_row *o = ctx;

	o->count++;
	o->table = table;
	o->key = key;
	o->size = value.size;
	if (value.size)
		memcpy(o->value, value.data, value.size);
	return NULL;
}

static void keys_and_values_of_any_size(void **state)
{
	static const uint64_t keys[] = { 0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };
	static const size_t sizes[] = { 0, 1, ENTRY_SIZE_MAX };
	struct store_test *t = *state;
	uint8_t value[ENTRY_SIZE_MAX];
	uint64_t ticket = 0;

	memset(value, 0xa5, sizeof value);
	for (size_t k = 0; k < ARRAY_COUNT(keys); k++)
		for (size_t s = 0; s < ARRAY_COUNT(sizes); s++) {
			struct one_row row = { 0 };

			assert_int_equal(open_store(t), 0);
			assert_int_equal(ipam_store_universe(t->store, 0, test_prefix(0), &t->why),
					 0);
			t->issued = ++ticket;
			ipam_store_save(t->store, 0, IPAM_TABLE_ADDRESS, keys[k],
					bytes_of(value, sizes[s]), true, ticket);
			close_store(t);
			assert_int_equal(open_store(t), 0);
			assert_int_equal(ipam_store_universe(t->store, 0, test_prefix(0), &t->why),
					 0);
			assert_int_equal(ipam_store_load(t->store, 0, keep_row, &row, &t->why), 0);
			assert_int_equal(row.count, 1);
			assert_int_equal(row.table, IPAM_TABLE_ADDRESS);
			assert_true(row.key == keys[k]);
			assert_true(bytes_equal(bytes_of(row.value, row.size),
						bytes_of(value, sizes[s])));
			ipam_store_save(t->store, 0, IPAM_TABLE_ADDRESS, keys[k], bytes_of(NULL, 0),
					false, ++ticket);
			close_store(t);
		}
}

static void nobody_waits_and_rows_are_written_all_the_same(void **state)
{
	struct store_test *t = *state;

	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	for (unsigned n = 0; n < 100; n++)
		issue(t);
	RUN_UNTIL(t, acked_all(t) == t->issued);
	assert_int_equal(t->acked[0], 100);
	assert_int_equal(t->acked[1], 99);
}

static void closing_writes_what_waits(void **state)
{
	struct store_test *t = *state;

	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	for (unsigned n = 0; n < 100; n++)
		issue(t);
	close_store(t);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(prefix_of(t, 100, 100), 100);
	ipam_store_close(NULL);
}

static void ranges_are_kept_apart_and_found_again(void **state)
{
	struct store_test *t = *state;
	struct one_row row = { 0 };
	struct cidr other;

	assert_true(cidr_parse("192.168.7.9/24", &other));
	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	issue_and_wait(t, 200);
	close_store(t);

	assert_int_equal(open_store(t), 0);
	assert_int_equal(ipam_store_universe(t->store, 0, other, &t->why), 0);
	assert_int_equal(ipam_store_load(t->store, 0, keep_row, &row, &t->why), 0);
	assert_int_equal(row.count, 0);
	ipam_store_save(t->store, 0, IPAM_TABLE_RING, 0, bytes_of("new", 3), true, t->issued += 2);
	close_store(t);

	/* Host bits do not make another range. */
	assert_int_equal(open_store(t), 0);
	other = cidr_network(other);
	assert_int_equal(ipam_store_universe(t->store, 0, other, &t->why), 0);
	assert_int_equal(ipam_store_load(t->store, 0, keep_row, &row, &t->why), 0);
	assert_int_equal(row.count, 1);
	close_store(t);

	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(prefix_of(t, 200, 200), 200);
}

static void the_store_id_is_durable_when_it_returns(void **state)
{
	struct store_test *t = *state;
	peer_name name = 1;

	assert_int_equal(open_store(t), 0);
	assert_int_equal(ipam_store_id(t->store, &name), 0);
	assert_int_equal(name, PEER_NAME_NONE);
	assert_int_equal(load_universes(t), 0);
	issue_and_wait(t, 20);
	assert_int_equal(ipam_store_set_id(t->store, 0x7a0000000001u, 0xfeedbeefu, &t->why), 0);
	close_store(t);
	assert_int_equal(open_store(t), 0);
	assert_true(ipam_store_id(t->store, &name) == 0xfeedbeefu);
	assert_true(name == 0x7a0000000001u);
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(prefix_of(t, 20, 20), 20);
}

static void only_its_owner_may_read_it(void **state)
{
	static const char *const suffixes[] = { "", "-wal", ".seen" };
	struct store_test *t = *state;
	struct stat st;
	char path[128];

	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	issue_and_wait(t, 20);
	for (size_t n = 0; n < ARRAY_COUNT(suffixes); n++) {
		snprintf(path, sizeof path, "%s%s", t->file, suffixes[n]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void a_long_life_makes_no_large_file(void **state)
{
	struct store_test *t = *state;
	char container[64];
	struct stat st;
	uint64_t ticket = 0;
	off_t largest = 0;

	memset(container, 'c', sizeof container);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned n = 0; n < 500; n++)
			ipam_store_save(t->store, 0, IPAM_TABLE_ADDRESS, round * 250 + n,
					bytes_of(container, sizeof container), true, ++ticket);
		for (unsigned n = 0; n < 500 && round; n++)
			ipam_store_save(t->store, 0, IPAM_TABLE_ADDRESS, round * 250 - 250 + n,
					bytes_of(NULL, 0), false, ++ticket);
		t->issued = ticket;
		ipam_store_sync(t->store);
		RUN_UNTIL(t, t->acked[0] == ticket);
		for (unsigned n = 0; n < 2; n++) {
			char path[128];

			snprintf(path, sizeof path, "%s%s", t->file, n ? "-wal" : "");
			if (stat(path, &st) == 0 && st.st_size > largest)
				largest = st.st_size;
		}
	}
	assert_true(largest < 8 << 20);
	close_store(t);
	assert_int_equal(stat(t->file, &st), 0);
	assert_true(st.st_size < 1 << 20);
	assert_false(exists(t, "-wal"));
}

/* ---- refusing ---- */

static void a_missing_folder_is_named(void **state)
{
	struct store_test *t = *state;
	char kept[sizeof t->folder];

	memcpy(kept, t->folder, sizeof kept);
	snprintf(t->folder, sizeof t->folder, "/tmp/weave-ipam-not-there");
	assert_int_equal(open_store(t), -ENOENT);
	assert_non_null(strstr(t->why.text, t->folder));
	assert_null(t->store);
	assert_int_equal(ipam_store_remove(t->folder, &t->why), 0);
	memcpy(t->folder, kept, sizeof kept);
}

static void two_routers_cannot_share_a_file(void **state)
{
	struct store_test *t = *state, second = *t;
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		/* The child has the file first, and until it is told to end. */
		second.loop = ev_loop_new(0);
		_exit(open_store(&second) == 0 && raise(SIGSTOP) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(open_store(t), -EBUSY);
	assert_non_null(strstr(t->why.text, "in use"));
	assert_int_equal(ipam_store_remove(t->folder, &t->why), -EBUSY);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(t->found, IPAM_STORE_KEPT);
}

static void execute(const struct store_test *t, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(t->file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void make_sample(struct store_test *t)
{
	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	issue_and_wait(t, 100);
	close_store(t);
}

static void a_newer_format_is_refused_and_left_alone(void **state)
{
	struct store_test *t = *state;
	struct file_copy before, after;

	make_sample(t);
	execute(t, "PRAGMA user_version = 2; ALTER TABLE row ADD COLUMN more INTEGER");
	before = read_copy_of(t, "");
	assert_int_equal(open_store(t), -ENOTSUP);
	assert_non_null(strstr(t->why.text, "newer"));
	after = read_copy_of(t, "");
	assert_int_equal(before.size, after.size);
	assert_memory_equal(before.data, after.data, after.size);
	assert_false(exists(t, ".damaged"));
	free(before.data);
	free(after.data);
}

static void expect_damaged(struct store_test *t, const char *wrong)
{
	assert_int_equal(open_store(t), 0);
	assert_int_equal(t->found, IPAM_STORE_DAMAGED);
	if (!strstr(t->why.text, wrong))
		fail_msg("'%s' does not say '%s'", t->why.text, wrong);
	assert_non_null(strstr(t->why.text, "ipam.db.damaged"));
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(prefix_of(t, 0, 0), 0);
	t->issued = 0;
	issue_and_wait(t, 10);
	close_store(t);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(t->found, IPAM_STORE_KEPT);
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(prefix_of(t, 10, 10), 10);
	close_store(t);
	t->issued = 0;
}

static void what_is_no_database_of_ours_is_set_aside(void **state)
{
	struct store_test *t = *state;
	uint8_t text[600] = "no database at all";
	struct file_copy junk = { text, sizeof text }, aside;

	write_copy_of(t, "", junk);
	expect_damaged(t, "not a database");
	aside = read_copy_of(t, ".damaged");
	assert_int_equal(aside.size, junk.size);
	assert_memory_equal(aside.data, junk.data, junk.size);
	free(aside.data);

	junk.size = 0;
	write_copy_of(t, "", junk);
	expect_damaged(t, "");

	unlink(t->file);
	execute(t, "CREATE TABLE x (y)");
	expect_damaged(t, "not a database of weave");

	make_sample(t);
	execute(t, "DELETE FROM row WHERE universe = 1 AND kind = 3");
	expect_damaged(t, "rows are missing");

	make_sample(t);
	execute(t, "UPDATE row SET key = key + 1 WHERE kind = 3 AND universe = 1 AND key = "
		   "(SELECT max(key) FROM row WHERE kind = 3 AND universe = 1)");
	expect_damaged(t, "checksum");

	make_sample(t);
	unlink(t->file);
	expect_damaged(t, "missing");
}

static const char *refuse_third(void *ctx, enum ipam_table table, uint64_t key, struct bytes value)
{
	unsigned *count = ctx;

	(void)table;
	(void)key;
	(void)value;
	return ++*count == 3 ? "run.owner" : NULL;
}

static void a_row_that_makes_no_sense_sets_all_aside(void **state)
{
	struct store_test *t = *state;
	unsigned count = 0;
	peer_name name;

	make_sample(t);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(ipam_store_set_id(t->store, 5, 6, &t->why), 0);
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(ipam_store_load(t->store, 1, refuse_third, &count, &t->why), -EBADMSG);
	assert_non_null(strstr(t->why.text, "run.owner"));
	assert_true(exists(t, ".damaged"));
	assert_int_equal(ipam_store_id(t->store, &name), 0);
	/* The universes are registered already. */
	memset(t->rows, 0, sizeof t->rows);
	for (size_t u = 0; u < 2; u++)
		assert_int_equal(ipam_store_load(t->store, u, load_change, t->rows[u], &t->why), 0);
	assert_int_equal(prefix_of(t, 0, 0), 0);
	t->issued = 0;
	issue_and_wait(t, 50);
	close_store(t);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	assert_int_equal(prefix_of(t, 50, 50), 50);
}

/* ---- damage at any byte ---- */

static const char *const parts[] = { "", "-wal", ".seen" };

struct whole {
	struct file_copy part[ARRAY_COUNT(parts)];
};

/* As a crash leaves it: rows in the main file and rows in the log; or as it was closed, without a
 * log. */
static struct whole make_whole(struct store_test *t, bool crash)
{
	struct whole w;

	t->issued = 0;
	make_sample(t);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	for (unsigned n = 0; n < 8; n++)
		issue_and_wait(t, 7);
	if (!crash)
		close_store(t);
	for (size_t n = 0; n < ARRAY_COUNT(parts); n++)
		w.part[n] = read_copy_of(t, parts[n]);
	if (crash)
		close_store(t);
	assert_true(w.part[0].size > 16384 && (!crash || w.part[1].size > 16384));
	return w;
}

static void free_whole(struct whole *w)
{
	for (size_t n = 0; n < ARRAY_COUNT(parts); n++)
		free(w->part[n].data);
}

/* Starts with these files: all that was acknowledged is there, or the damage is noticed. */
static bool start_notices(struct store_test *t, const struct whole *w)
{
	bool noticed;

	unlink(t->file);
	for (size_t n = 0; n < ARRAY_COUNT(parts); n++)
		write_copy_of(t, parts[n], w->part[n]);
	if (open_store(t))
		fail_msg("does not start: %s", t->why.text);
	assert_int_not_equal(t->found, IPAM_STORE_NEW);
	noticed = t->found == IPAM_STORE_DAMAGED;
	assert_int_equal(noticed, t->why.text[0] != 0);
	assert_int_equal(load_universes(t), 0);
	if (noticed) {
		assert_true(exists(t, ".damaged") || !w->part[0].data);
		assert_true(exists(t, ".damaged-wal") || !w->part[1].data);
		assert_int_equal(prefix_of(t, 0, 0), 0);
	} else if (prefix_of(t, t->issued, t->issued) != t->issued) {
		fail_msg("a damaged file was taken for whole, and has wrong rows");
	}
	close_store(t);
	return noticed;
}

static void a_crash_leaves_it_whole(void **state)
{
	struct store_test *t = *state;
	struct whole w = make_whole(t, true);

	assert_false(start_notices(t, &w));
	free_whole(&w);
}

/* Every byte of the headers, and samples of the rest; the step is odd, to meet all columns. */
static size_t next_sample(size_t at)
{
	size_t step = tests_run_again() ? 1467 : 163;

	return at + (at < 128 ? 1 : step);
}

struct tally {
	unsigned tried, noticed;
};

static struct tally flip(struct store_test *t, struct whole *w, size_t part)
{
	struct file_copy *f = &w->part[part];
	struct tally tally = { 0 };

	for (size_t at = 0; at < f->size; at = next_sample(at)) {
		f->data[at] ^= (uint8_t)(1u << at % 8);
		tally.noticed += start_notices(t, w);
		tally.tried++;
		f->data[at] ^= (uint8_t)(1u << at % 8);
	}
	return tally;
}

static struct tally cut(struct store_test *t, struct whole *w, size_t part)
{
	struct file_copy *f = &w->part[part], whole = *f;
	struct tally tally = { 0 };

	for (f->size = 0; f->size < whole.size; f->size = next_sample(f->size)) {
		tally.noticed += start_notices(t, w);
		tally.tried++;
	}
	*f = (struct file_copy){ 0 };
	assert_true(start_notices(t, w));
	*f = whole;
	return tally;
}

static void damage_in_a_closed_file_is_noticed_or_harmless(void **state)
{
	struct store_test *t = *state;
	struct whole w = make_whole(t, false);
	struct tally flips = flip(t, &w, 0), cuts = cut(t, &w, 0);

	printf("flips: %u of %u noticed\n", flips.noticed, flips.tried);
	/* Harmless: what lies between the rows, and hints in the header, which samples of the rest
	 * outweigh less. */
	assert_true(flips.noticed > flips.tried / (tests_run_again() ? 3 : 2));
	assert_int_equal(cuts.noticed, cuts.tried);
	assert_int_equal(flip(t, &w, 2).noticed, 0);
	free_whole(&w);
}

static void damage_in_the_log_is_noticed_or_harmless(void **state)
{
	struct store_test *t = *state;
	struct whole w = make_whole(t, true);
	struct tally flips = flip(t, &w, 1), cuts = cut(t, &w, 1);

	printf("flips: %u of %u noticed; cuts: %u of %u noticed\n", flips.noticed, flips.tried,
	       cuts.noticed, cuts.tried);
	assert_int_equal(flips.noticed, flips.tried);
	assert_int_equal(cuts.noticed, cuts.tried);
	/* Of nearly all pages the log has newer copies. */
	flip(t, &w, 0);
	cut(t, &w, 0);
	free_whole(&w);
}

static void an_old_copy_is_noticed(void **state)
{
	struct store_test *t = *state;
	struct whole w = make_whole(t, true);
	struct file_copy newer;

	assert_int_equal(open_store(t), 0);
	assert_int_equal(load_universes(t), 0);
	issue_and_wait(t, 1);
	newer = read_copy_of(t, ".seen");
	close_store(t);
	free(w.part[2].data);
	w.part[2] = newer;
	assert_true(start_notices(t, &w));
	free_whole(&w);
}

/* ---- leaving ---- */

static void reset_leaves_nothing(void **state)
{
	struct store_test *t = *state;
	uint8_t text[] = "junk";
	struct file_copy junk = { text, sizeof text };

	make_sample(t);
	write_copy_of(t, "", junk);
	expect_damaged(t, "");
	assert_int_equal(ipam_store_remove(t->folder, &t->why), 0);
	assert_int_equal(rmdir(t->folder), 0);
	assert_int_equal(mkdir(t->folder, 0700), 0);
	assert_int_equal(open_store(t), 0);
	assert_int_equal(t->found, IPAM_STORE_NEW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
#define TEST_IN_MEMORY(f) cmocka_unit_test_setup_teardown(f, store_setup_in_memory, store_teardown)
		TEST(rows_come_back),
		TEST(keys_and_values_of_any_size),
		TEST(nobody_waits_and_rows_are_written_all_the_same),
		TEST(closing_writes_what_waits),
		TEST(ranges_are_kept_apart_and_found_again),
		TEST(the_store_id_is_durable_when_it_returns),
		TEST(only_its_owner_may_read_it),
		TEST(a_long_life_makes_no_large_file),
		TEST(a_missing_folder_is_named),
		TEST(two_routers_cannot_share_a_file),
		TEST(a_newer_format_is_refused_and_left_alone),
		TEST(what_is_no_database_of_ours_is_set_aside),
		TEST(a_row_that_makes_no_sense_sets_all_aside),
		TEST(a_crash_leaves_it_whole),
		TEST_IN_MEMORY(damage_in_a_closed_file_is_noticed_or_harmless),
		TEST_IN_MEMORY(damage_in_the_log_is_noticed_or_harmless),
		TEST(an_old_copy_is_noticed),
		TEST(reset_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
