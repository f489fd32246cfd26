#include "capture_io.h"

const char *capture_kind_name(enum capture_kind kind)
{
	return kind == CAPTURE_VNET ? "vnet" : "pcap";
}

int capture_new(struct ev_loop *loop, const struct capture_config *config, struct log *log,
		struct capture **out, struct why *why)
{
	int rc = config->kind == CAPTURE_VNET ? capture_tap_new(config, out, why)
					      : capture_pcap_new(config, out, why);

	if (rc < 0)
		return rc;
	(*out)->loop = loop;
	(*out)->log = log;
	(*out)->segment = config->segment;
	return 0;
}

void capture_start(struct capture *c, struct router *router, void (*flush)(void *ctx),
		   void (*gone)(void *ctx), void *ctx)
{
	c->router = router;
	c->flush = flush;
	c->gone = gone;
	c->ctx = ctx;
	c->ops->start(c);
}

void capture_free(struct capture *c)
{
	if (c)
		c->ops->free(c);
}

void capture_send(struct capture *c, const struct outbox_frame *frames, uint32_t count)
{
	c->ops->send(c, frames, count);
}

void capture_counters(const struct capture *c, struct capture_counters *counters)
{
	c->ops->counters(c, counters);
}
