#include <weave/router_io.h>

#include <errno.h>
#include <ev.h>
#include <pcap/pcap.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

#define BATCH 64
#define BATCHES_PER_TURN 8
/* Two thousand frames of usual size: 60 ms at what one loop turns over. All of it is resident. */
#define RING_SIZE (3 << 20)
#define DROPS_POLL_S 10.

struct capture {
	struct ev_loop *loop;
	struct log *log;
	pcap_t *pcap;
	struct ev_io readable;
	struct ev_timer drops;
	struct router *router;
	uint32_t segment;
	void (*flush)(void *ctx);
	void (*gone)(void *ctx);
	void *ctx;
	struct mono now; /* of the batch in hand */
	struct pcap_stat last;
};

static void on_frame(uint8_t *user, const struct pcap_pkthdr *header, const uint8_t *data)
{
	struct capture *c = (struct capture *)(void *)user;

	if (header->caplen < header->len)
		router_count_drop(c->router, DROP_MALFORMED, 1);
	else
		router_on_frame(c->router, c->segment, bytes_of(data, header->caplen), c->now);
	if (router_outbox_nearly_full(c->router))
		c->flush(c->ctx);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct capture *c = w->data;

	(void)events;
	for (int i = 0; i < BATCHES_PER_TURN; i++) {
		int n;

		c->now = mono_now();
		n = pcap_dispatch(c->pcap, BATCH, on_frame, (uint8_t *)c);
		c->flush(c->ctx);
		if (n < 0) {
			ev_io_stop(loop, &c->readable);
			ev_timer_stop(loop, &c->drops);
			c->gone(c->ctx);
			return;
		}
		if (n < BATCH)
			return;
	}
}

static void on_drops_poll(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct capture *c = w->data;
	struct pcap_stat now;

	(void)loop;
	(void)events;
	if (pcap_stats(c->pcap, &now) == 0) {
		/* libpcap counts in 32 bits that wrap. */
		router_count_drop(c->router, DROP_CAPTURE_LOST, now.ps_drop - c->last.ps_drop);
		c->last = now;
	}
}

static int configure(pcap_t *p, const struct capture_config *config)
{
	/* The ring's slots are as large as the snapshot length: a needlessly large one would leave
	 * room for a few dozen frames only. */
	pcap_set_snaplen(p, (int)config->frame_max);
	pcap_set_promisc(p, 1);
	pcap_set_immediate_mode(p, 1);
	pcap_set_buffer_size(p, config->buffer_size ? (int)config->buffer_size : RING_SIZE);
	return pcap_activate(p);
}

int capture_new(struct ev_loop *loop, const struct capture_config *config, struct log *log,
		struct capture **out, struct why *why)
{
	char error[PCAP_ERRBUF_SIZE] = "";
	pcap_t *p = pcap_create(config->interface, error);
	struct capture *c;
	int fd;

	if (!p || configure(p, config) < 0 || pcap_setdirection(p, PCAP_D_IN) < 0 ||
	    pcap_setnonblock(p, 1, error) < 0 || (fd = pcap_get_selectable_fd(p)) < 0) {
		why_set(why, WHY_TRANSPORT, "cannot capture on %s: %s", config->interface,
			p && !error[0] ? pcap_geterr(p) : error);
		if (p)
			pcap_close(p);
		return -EIO;
	}
	c = mem_new(1, sizeof *c);
	c->loop = loop;
	c->log = log;
	c->segment = config->segment;
	c->pcap = p;
	ev_io_init(&c->readable, on_readable, fd, EV_READ);
	ev_timer_init(&c->drops, on_drops_poll, DROPS_POLL_S, DROPS_POLL_S);
	c->readable.data = c->drops.data = c;
	*out = c;
	return 0;
}

void capture_start(struct capture *c, struct router *router, void (*flush)(void *ctx),
		   void (*gone)(void *ctx), void *ctx)
{
	c->router = router;
	c->flush = flush;
	c->gone = gone;
	c->ctx = ctx;
	ev_io_start(c->loop, &c->readable);
	ev_timer_start(c->loop, &c->drops);
}

void capture_free(struct capture *c)
{
	if (!c)
		return;
	ev_io_stop(c->loop, &c->readable);
	ev_timer_stop(c->loop, &c->drops);
	pcap_close(c->pcap);
	mem_free(c);
}

void capture_counters(const struct capture *c, struct capture_counters *counters)
{
	struct pcap_stat s;

	*counters = (struct capture_counters){ 0 };
	if (pcap_stats(c->pcap, &s) == 0)
		*counters = (struct capture_counters){ s.ps_recv, s.ps_drop, s.ps_ifdrop };
}
