/* What each implementation of <weave/router_io.h>'s capture begins with and brings.  Private to
 * capture*_io.c.
 *
 * Loop thread.
 */
#ifndef WEAVE_ROUTER_CAPTURE_IO_H
#define WEAVE_ROUTER_CAPTURE_IO_H

#include <weave/router_io.h>

struct capture_ops {
	void (*start)(struct capture *c);
	void (*free)(struct capture *c); /* frees 'c' too */
	void (*send)(struct capture *c, const struct outbox_frame *frames, uint32_t count);
	void (*counters)(const struct capture *c, struct capture_counters *counters);
};

/* Begins every implementation's own object. */
struct capture {
	const struct capture_ops *ops;
	struct ev_loop *loop;
	struct log *log;
	struct router *router;
	uint32_t segment;
	void (*flush)(void *ctx);
	void (*gone)(void *ctx);
	void *ctx;
};

int capture_pcap_new(const struct capture_config *config, struct capture **out, struct why *why);
int capture_tap_new(const struct capture_config *config, struct capture **out, struct why *why);

#endif
