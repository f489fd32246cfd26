/* Control connections on real sockets, in a network namespace of their own. */
#include "gossip_test.h"

#include <ev.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weave/gossip_io.h>

#define PORT 6783
#define CLIENTS 100

static void lo_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

/* A child that connects many times and holds on. */
static pid_t crowd(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	pid_t child = fork();

	if (child)
		return child;
	for (int i = 0; i < CLIENTS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		connect(fd, (struct sockaddr *)&to, sizeof to);
	}
	sleep(20);
	_exit(0);
}

static void on_end(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)w;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

/* Milliseconds of processor time that 'seconds' of the loop take. */
static long run_for(struct ev_loop *loop, double seconds)
{
	clock_t before = clock();
	struct ev_timer end;

	ev_timer_init(&end, on_end, seconds, 0.);
	ev_timer_start(loop, &end);
	ev_run(loop, 0);
	return (long)(clock() - before) * 1000 / CLOCKS_PER_SEC;
}

static void when_descriptors_run_out_the_loop_still_sleeps(void **state)
{
	struct connections_config config = { .port = PORT };
	struct gossip_config g = { .name = 1,
				   .nickname = "one",
				   .port = PORT,
				   .generation = 1,
				   .protocol_min = 3,
				   .protocol_max = 3,
				   .conn_limit = 100,
				   .discovery = true };
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct gossip *gossip = gossip_new(&g, at(1000), NULL);
	struct connections *c;
	struct rlimit before, few;
	struct why why;
	pid_t child;
	long used;

	(void)state;
	assert_int_equal(connections_new(loop, &config, NULL, &c, &why), 0);
	connections_start(c, gossip);
	child = crowd();
	assert_true(child > 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 32;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	used = run_for(loop, 1.);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	connections_free(c);
	gossip_free(gossip);
	ev_loop_destroy(loop);
	assert_true(used < 300);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(when_descriptors_run_out_the_loop_still_sleeps),
	};

	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: no right to make a network namespace\n");
		return 0;
	}
	lo_up();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
