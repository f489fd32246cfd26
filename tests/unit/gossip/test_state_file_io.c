/* The state file: what was saved comes back, damage of any kind is noticed and set aside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>
#include <errno.h>

#include <cmocka.h>

#include <weave/gossip_io.h>

struct fixture {
	char folder[64], nested[80], file[100];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	snprintf(f->folder, sizeof f->folder, "/tmp/weave-state-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->nested, sizeof f->nested, "%s/a/b", f->folder);
	snprintf(f->file, sizeof f->file, "%s/router.state", f->nested);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char a[80];
	struct why why;

	state_remove(f->nested, &why);
	rmdir(f->nested);
	snprintf(a, sizeof a, "%s/a", f->folder);
	rmdir(a);
	rmdir(f->folder);
	free(f);
	return 0;
}

static const char *const two_targets[] = { "10.0.0.1", "host-b:6999" };

static void save_sample(const char *folder)
{
	struct router_state s;
	enum state_loaded how;
	struct why why;

	assert_int_equal(state_load(folder, &s, &how, &why), 0);
	s.name = 0x7a0000000001u;
	s.generation = 42;
	s.store_id = 0xfeedu;
	state_set_targets(&s, two_targets, 2);
	assert_int_equal(state_save(folder, &s, &why), 0);
	state_fini(&s);
}

static void what_is_saved_comes_back(void **state)
{
	struct fixture *f = *state;
	struct router_state s;
	enum state_loaded how;
	struct why why;

	assert_int_equal(state_load(f->nested, &s, &how, &why), 0);
	assert_int_equal(how, STATE_NEW);
	state_fini(&s);
	save_sample(f->nested);
	assert_int_equal(state_load(f->nested, &s, &how, &why), 0);
	assert_int_equal(how, STATE_FOUND);
	assert_int_equal(s.name, 0x7a0000000001u);
	assert_int_equal(s.generation, 42);
	assert_int_equal(s.store_id, 0xfeedu);
	assert_int_equal(s.targets_count, 2);
	assert_string_equal(s.targets[0], "10.0.0.1");
	assert_string_equal(s.targets[1], "host-b:6999");
	state_fini(&s);
}

static void damage_at_any_byte_is_noticed_and_set_aside(void **state)
{
	struct fixture *f = *state;
	char whole[1024], aside[128];
	size_t size;
	FILE *in;

	save_sample(f->nested);
	in = fopen(f->file, "r");
	size = fread(whole, 1, sizeof whole, in);
	fclose(in);
	snprintf(aside, sizeof aside, "%s.damaged", f->file);
	for (size_t i = 0; i < 2 * size; i++) {
		struct router_state s;
		enum state_loaded how;
		struct why why;
		FILE *out = fopen(f->file, "w");

		if (i < size) { /* one bit flipped */
			whole[i] ^= 4;
			fwrite(whole, 1, size, out);
			whole[i] ^= 4;
		} else { /* cut */
			fwrite(whole, 1, i - size, out);
		}
		fclose(out);
		assert_int_equal(state_load(f->nested, &s, &how, &why), 0);
		assert_int_equal(how, STATE_DAMAGED);
		assert_non_null(strstr(why.text, "damaged"));
		assert_int_equal(access(aside, F_OK), 0);
		assert_int_equal(access(f->file, F_OK), -1);
		assert_int_equal(s.name, 0);
		assert_int_equal(s.targets_count, 0);
		state_fini(&s);
		unlink(aside);
	}
}

static void a_failed_write_leaves_the_old_file(void **state)
{
	struct fixture *f = *state;
	struct rlimit none = { 16, RLIM_INFINITY }, old;
	struct router_state s;
	enum state_loaded how;
	struct why why;

	save_sample(f->nested);
	assert_int_equal(state_load(f->nested, &s, &how, &why), 0);
	s.generation = 43;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	none.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &none);
	assert_int_equal(state_save(f->nested, &s, &why), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_non_null(strstr(why.text, "router.state"));
	state_fini(&s);
	assert_int_equal(state_load(f->nested, &s, &how, &why), 0);
	assert_int_equal(how, STATE_FOUND);
	assert_int_equal(s.generation, 42);
	state_fini(&s);
}

static void a_folder_that_cannot_be_is_named(void **state)
{
	struct fixture *f = *state;
	struct router_state s;
	enum state_loaded how;
	struct why why;
	char bad[128];

	save_sample(f->nested);
	snprintf(bad, sizeof bad, "%s/sub", f->file);
	assert_int_equal(state_load(bad, &s, &how, &why), -ENOTDIR);
	assert_non_null(strstr(why.text, "router.state/sub"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_saved_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_at_any_byte_is_noticed_and_set_aside, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_is_named, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
