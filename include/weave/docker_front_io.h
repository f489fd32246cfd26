/* What Docker talks to, always: the plugin sockets, answered whether or not a router runs.
 *
 *	 dockerd ──▶ socket ──▶ ALONE:  answered here
 *	                        ROUTER: handed on to the router; when it does not answer within
 *	                                10 s, or is not there (at once), an error for the user
 *	                        LATER:  handed on; when it does not answer within 2 s, written to
 *	                                <state-dir>/plugin.later and promised
 *
 * What was promised is done, in its order, before anything else is handed on, and otherwise as soon
 * as the router answers.  Docker waits for ever for a plugin and holds locks meanwhile, so nothing
 * here waits longer than that, and nothing waits for what Docker does.
 *
 * Threads of libmicrohttpd, one per connection of Docker's, and one that keeps promises.
 */
#ifndef WEAVE_DOCKER_FRONT_IO_H
#define WEAVE_DOCKER_FRONT_IO_H

#include <stddef.h>

#include <weave/log.h>
#include <weave/why.h>

#define DOCKER_FRONT_WAIT_MS 10000
#define DOCKER_FRONT_LATER_MS 2000
#define DOCKER_FRONT_SOCKETS_MAX 8u
#define DOCKER_FRONT_PROMISES_MAX 100000u

struct docker_front_config {
	const char *router;			       /* its control socket */
	const char *promises;			       /* the file */
	const char *sockets[DOCKER_FRONT_SOCKETS_MAX]; /* to be made; stale ones are removed */
	size_t sockets_count;
	int fds[DOCKER_FRONT_SOCKETS_MAX]; /* listening already, from systemd; taken */
	size_t fds_count;
};

struct docker_front;

/* 0 or a negative errno with 'why'; -EADDRINUSE: somebody answers on a socket already.  'config'
 * and 'log' are borrowed until docker_front_free; 'log' is written to by several threads. */
int docker_front_new(const struct docker_front_config *config, struct log *log,
		     struct docker_front **out, struct why *why);
/* Removes the sockets that were made here. */
void docker_front_free(struct docker_front *f);

#endif
