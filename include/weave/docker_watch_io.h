/* Follows a Docker engine by its API: which containers live, what they are called, and our
 * networks.
 *
 * A thread of its own talks to the engine (libcurl, its unix socket), since an engine may take its
 * time; what it sees comes to the loop thread in order.  When the engine comes, or comes back,
 * everything is listed; then its events are followed from a moment before that, so that nothing is
 * missed; and all is listed again now and then.
 */
#ifndef WEAVE_DOCKER_WATCH_IO_H
#define WEAVE_DOCKER_WATCH_IO_H

#include <weave/containers.h>
#include <weave/log.h>

#define DOCKER_WATCH_RETRY_MS 1000    /* while there is no engine */
#define DOCKER_WATCH_RELIST_MS 300000 /* also when nothing happens */

struct ev_loop;
struct docker_watch;

/* All called on the loop thread; arguments are borrowed for the call. */
struct docker_watch_ops {
	void *ctx;
	void (*network)(void *ctx, const struct engine_network *n);
	void (*container)(void *ctx, const struct container *c);
	void (*gone)(void *ctx, const char *id);
	/* Everything that there is was told since the last call of this or of lost. */
	void (*listed)(void *ctx);
	void (*lost)(void *ctx, const char *why);
};

struct docker_watch_config {
	const char *socket;	     /* of the engine */
	const char *default_network; /* JSON for POST /networks/create when none is called so; or
					NULL */
};

/* 'config', its texts, 'ops' and 'log' are borrowed until docker_watch_free; 'log' is used on the
 * loop thread only.  NULL: no thread is to be had. */
struct docker_watch *docker_watch_new(const struct docker_watch_config *config,
				      const struct docker_watch_ops *ops, struct ev_loop *loop,
				      struct log *log);
/* At once, also when the engine hangs. */
void docker_watch_free(struct docker_watch *w);

#endif
