#include "../../../router/sleeve_path.h"

#include "router_test.h"

/* One end in clear, against a far one that echoes each heartbeat it gets. */
struct world {
	struct sleeve_path path;
	uint64_t now_ms;
	bool cut;
	uint32_t unread; /* newest token of ours whose echo nobody has read yet; 0 none */
	uint32_t token;	 /* of the far end's last heartbeat */
	unsigned downs;
};

static struct world world_new(void)
{
	struct sleeve_setup mine = { .overlays = OVERLAY_SLEEVE, .port = 6783, .index = 1 };
	struct sleeve_setup theirs = { .overlays = OVERLAY_SLEEVE, .port = 6783, .index = 2 };
	struct path_config config = { .conn = 5,
				      .peer = 2,
				      .remote = { 4, { 10, 0, 0, 2 } },
				      .mine = mine,
				      .datagram_max = 1472 };
	struct world w = { .now_ms = 1000 };

	path_init(&w.path, &config, at(w.now_ms));
	assert_null(path_on_setup(&w.path, &theirs, at(w.now_ms)));
	return w;
}

static void read_echo(struct world *w)
{
	struct sleeve_heartbeat h = { .token = w->token + 1, .echo = w->unread };

	if (!w->unread)
		return;
	w->token++;
	w->unread = 0;
	path_on_heartbeat(&w->path, &h, at(w->now_ms));
}

static void let_time_pass(struct world *w)
{
	bool up = path_is_up(&w->path);

	path_tick(&w->path, at(w->now_ms));
	w->downs += up && !path_is_up(&w->path);
}

static void send_all(struct world *w)
{
	struct sleeve_record record;
	uint32_t size;

	while (path_pull(&w->path, at(w->now_ms), &record, &size))
		if (record.type == SLEEVE_HEARTBEAT && !w->cut)
			w->unread = record.heartbeat.token;
	path_check(&w->path);
}

static void run(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->now_ms + ms; w->now_ms < end; w->now_ms += 10) {
		read_echo(w);
		let_time_pass(w);
		send_all(w);
	}
}

static void run_used(struct world *w, uint64_t ms)
{
	for (; ms >= 1000; ms -= 1000) {
		path_on_data(&w->path, at(w->now_ms));
		run(w, 1000);
	}
}

static void check_silence(void (*run_before)(struct world *w, uint64_t ms), uint32_t heartbeat_ms,
			  uint32_t dead_ms)
{
	struct world w = world_new();

	run_before(&w, 30000);
	assert_true(path_is_up(&w.path));
	w.cut = true;
	run(&w, dead_ms - heartbeat_ms);
	assert_true(path_is_up(&w.path));
	run(&w, heartbeat_ms + 20);
	assert_false(path_is_up(&w.path));
	path_fini(&w.path);
}

static void silence_ends_it(void **state)
{
	(void)state;
	check_silence(run_used, PATH_HEARTBEAT_FAST_MS, PATH_DEAD_FAST_MS);
	check_silence(run, PATH_HEARTBEAT_IDLE_MS, PATH_DEAD_IDLE_MS);
}

/* The patience of seconds is used up, but the answers may be waiting to be read: ask first. */
static void who_was_held_up_asks_first(void **state)
{
	struct world w = world_new();

	(void)state;
	run_used(&w, 5000);
	for (int i = 0; i < 2; i++) {
		w.now_ms += 20000;
		let_time_pass(&w);
		assert_true(path_is_up(&w.path));
		send_all(&w);
	}
	run_used(&w, 1000);
	assert_int_equal(w.downs, 0);
	w.cut = true;
	w.unread = 0;
	w.now_ms += 5000;
	run(&w, 600);
	assert_false(path_is_up(&w.path));
	path_fini(&w.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_ends_it),
		cmocka_unit_test(who_was_held_up_asks_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
