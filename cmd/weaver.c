/* The router daemon's main: options in, exit code out. */
#include <ev.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include <weave/alloc.h>

#include <weave/docker_io.h>

#include "daemon.h"
#include "privileges_io.h"

static void write_line(void *ctx, enum log_level level, const char *line)
{
	static const char *const names[] = { "DEBU", "INFO", "WARN", "ERRO" };
	struct timespec now;
	struct tm utc;
	char stamp[32];

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
	fprintf(stderr, "%s: %s.%03ldZ %s\n", names[level], stamp, now.tv_nsec / 1000000, line);
}

/* Tells `weave launch`, which waits on this pipe, how it went. */
static void report(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void report(int fd, const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	if (fd < 0)
		return;
	va_start(args, format);
	n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	/* Nobody may be listening any more; that is theirs to know. */
	if (n > 0 && write(fd, line, (size_t)n) < 0)
		fprintf(stderr, "weaver: nobody waits for us to start\n");
	close(fd);
}

/* Each connection is a descriptor; the customary 1024 are few for a mesh without a limit. */
static void raise_descriptors_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Before anything else is done, so that the password is where others can see it for as short as can
 * be. */
static bool load_passwords(struct daemon *d, struct weaver_options *o, struct why *why)
{
	bool exposed;

	if (!passwords_load(o, &d->passwords, &exposed, why))
		return false;
	if (exposed)
		log_warning(&d->log, "others than its owner may read %s: chmod 600 it",
			    o->password_file);
	if (d->passwords)
		/* No core dump shows keys, and nobody else of our user looks into us. */
		prctl(PR_SET_DUMPABLE, 0);
	return true;
}

static int run(struct weaver_options *o)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
	struct daemon *d = mem_new(1, sizeof *d);
	char name[PEER_NAME_TEXT_SIZE];
	struct why why;
	int rc = 0;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	raise_descriptors_limit();
	d->log = (struct log){ .level = o->log_level, .write = write_line };
	if (load_passwords(d, o, &why) && daemon_start(d, o, loop, &why)) {
		peer_name_text(d->state.name, name);
		log_info(&d->log, "weave %s router %s(%s) ready on port %u, generation %llu, %s",
			 WEAVE_VERSION, name, d->config.gossip.nickname, o->port,
			 (unsigned long long)d->state.generation,
			 d->passwords ? "encrypted" : "in clear");
		privileges_drop(&d->log);
		report(o->ready_fd, "ready %s\n", name);
		ev_run(loop, 0);
		log_info(&d->log, "router %s stopped", name);
	} else {
		log_error(&d->log, "cannot start: %s", why.text);
		report(o->ready_fd, "error %s\n", why.text);
		rc = 1;
	}
	if (d->loop)
		daemon_fini(d);
	else
		passwords_free(d->passwords);
	mem_free(d);
	ev_loop_destroy(loop);
	return rc;
}

/* Removes every kernel object and file of a router that does not run any more. */
static int reset(const struct weaver_options *o)
{
	struct run_dir *lock = NULL;
	struct net *net = NULL;
	char bridge[NET_NAME_SIZE];
	struct why why;
	int rc = run_dir_open(o->run_dir, &lock, &why);

	if (!rc && !run_dir_bridge(lock, bridge, sizeof bridge))
		snprintf(bridge, sizeof bridge, "%s", o->bridge);
	if (!rc) {
		rc = net_open(&net);
		if (rc)
			why_set(&why, WHY_TRANSPORT, "cannot talk to the kernel's network: %s",
				strerror(-rc));
	}
	if (!rc)
		rc = net_bridge_remove(net, bridge, &why);
	if (!rc)
		rc = docker_networks_remove_file(o->state_dir, &why);
	if (!rc)
		rc = ipam_store_remove(o->state_dir, &why);
	if (!rc)
		rc = state_remove(o->state_dir, &why);
	net_close(net);
	run_dir_close(lock);
	if (rc) {
		fprintf(stderr, "weaver: %s\n", why.text);
		return 1;
	}
	run_dir_remove(o->run_dir);
	return 0;
}

static int usage(void)
{
	struct text text = { 0 };

	weaver_options_usage(&text);
	fputs(text_string(&text), stderr);
	text_fini(&text);
	return 0;
}

int main(int argc, char **argv)
{
	struct weaver_options o;
	struct why why;
	int rc;

	if (sodium_init() < 0) {
		fprintf(stderr, "weaver: libsodium does not work here\n");
		return 1;
	}
	if (!weaver_options_parse(&o, argc - 1, (const char *const *)(void *)(argv + 1),
				  (const char *const *)(void *)environ, &why)) {
		fprintf(stderr, "weaver: %s\n", why.text);
		return 1;
	}
	switch (o.mode) {
	case WEAVER_VERSION:
		printf("weave %s\n", WEAVE_VERSION);
		rc = 0;
		break;
	case WEAVER_HELP:
		rc = usage();
		break;
	case WEAVER_RESET:
		rc = reset(&o);
		break;
	case WEAVER_RUN:
		rc = run(&o);
		break;
	default:
		rc = 1;
	}
	weaver_options_fini(&o);
	return rc;
}
