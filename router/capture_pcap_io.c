/* Any Ethernet interface: frames come by libpcap and go by a packet socket, whole and finished. */
#include <errno.h>
#include <ev.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

#include "capture_io.h"

#define BATCH 64u
#define BATCHES_PER_TURN 8
/* Two thousand frames of usual size: 60 ms at what one loop turns over. All of it is resident. */
#define RING_SIZE (3 << 20)
#define DROPS_POLL_S 10.

struct capture_pcap {
	struct capture c;
	pcap_t *pcap;
	struct ev_io readable;
	struct ev_timer drops;
	struct mono now; /* of the batch in hand */
	struct pcap_stat last;
	int out_fd;
	struct mmsghdr out[BATCH];
	struct iovec at[BATCH];
};

static struct capture_pcap *pcap_of(struct capture *c)
{
	return (struct capture_pcap *)(void *)c;
}

static void on_frame(uint8_t *user, const struct pcap_pkthdr *header, const uint8_t *data)
{
	struct capture_pcap *p = (struct capture_pcap *)(void *)user;
	struct router *r = p->c.router;

	if (header->caplen < header->len)
		router_count_drop(r, DROP_MALFORMED, 1);
	else
		router_on_frame(r, p->c.segment, bytes_of(data, header->caplen), OFFLOAD_NONE,
				p->now);
	if (router_outbox_nearly_full(r))
		p->c.flush(p->c.ctx);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct capture_pcap *p = w->data;
	struct capture *c = &p->c;

	(void)events;
	for (int i = 0; i < BATCHES_PER_TURN; i++) {
		int n;

		p->now = mono_now();
		n = pcap_dispatch(p->pcap, (int)BATCH, on_frame, (uint8_t *)p);
		c->flush(c->ctx);
		if (n < 0) {
			ev_io_stop(loop, &p->readable);
			ev_timer_stop(loop, &p->drops);
			c->gone(c->ctx);
			return;
		}
		if (n < (int)BATCH)
			return;
	}
}

static void on_drops_poll(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct capture_pcap *p = w->data;
	struct pcap_stat now;

	(void)loop;
	(void)events;
	if (pcap_stats(p->pcap, &now) == 0) {
		/* libpcap counts in 32 bits that wrap. */
		router_count_drop(p->c.router, DROP_CAPTURE_LOST, now.ps_drop - p->last.ps_drop);
		p->last = now;
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

/* ---- sending ---- */

static int open_out(const char *interface, struct why *why)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	int one = 1, fd, rc;

	to.sll_ifindex = (int)if_nametoindex(interface);
	/* Protocol 0: nothing is received, so nothing piles up. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || to.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		rc = errno ? -errno : -ENODEV;
		why_set(why, WHY_TRANSPORT, "cannot inject into %s: %s", interface, strerror(-rc));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	return fd;
}

/* The router hands over nothing undone (router_config.bridge_offloads). */
static void send_frames(struct capture *c, const struct outbox_frame *frames, uint32_t count)
{
	struct capture_pcap *p = pcap_of(c);
	uint32_t at = 0;

	while (at < count) {
		unsigned n = count - at < BATCH ? count - at : BATCH;
		int sent;

		for (unsigned k = 0; k < n; k++)
			p->at[k] = (struct iovec){ (uint8_t *)(uintptr_t)frames[at + k].data,
						   frames[at + k].size };
		sent = sendmmsg(p->out_fd, p->out, n, MSG_DONTWAIT);
		if (sent > 0) {
			at += (uint32_t)sent;
		} else if (errno != EINTR) {
			struct pollfd wait = { p->out_fd, POLLOUT, 0 };

			if (errno == ENOBUFS || errno == EAGAIN)
				poll(&wait, 1, 1);
			router_count_drop(c->router, DROP_INJECT_FAILED, 1);
			at++;
		}
	}
}

/* ---- life ---- */

static void start(struct capture *c)
{
	struct capture_pcap *p = pcap_of(c);

	ev_io_start(c->loop, &p->readable);
	ev_timer_start(c->loop, &p->drops);
}

static void free_pcap(struct capture *c)
{
	struct capture_pcap *p = pcap_of(c);

	ev_io_stop(c->loop, &p->readable);
	ev_timer_stop(c->loop, &p->drops);
	pcap_close(p->pcap);
	close(p->out_fd);
	mem_free(p);
}

static void counters(const struct capture *c, struct capture_counters *out)
{
	const struct capture_pcap *p = (const struct capture_pcap *)(const void *)c;
	struct pcap_stat s;

	*out = (struct capture_counters){ 0 };
	if (pcap_stats(p->pcap, &s) == 0)
		*out = (struct capture_counters){ s.ps_recv, s.ps_drop, s.ps_ifdrop };
}

static const struct capture_ops ops = { start, free_pcap, send_frames, counters };

int capture_pcap_new(const struct capture_config *config, struct capture **out, struct why *why)
{
	char error[PCAP_ERRBUF_SIZE] = "";
	int out_fd = open_out(config->interface, why), fd;
	struct capture_pcap *c;
	pcap_t *p;

	if (out_fd < 0)
		return out_fd;
	p = pcap_create(config->interface, error);
	if (!p || configure(p, config) < 0 || pcap_setdirection(p, PCAP_D_IN) < 0 ||
	    pcap_setnonblock(p, 1, error) < 0 || (fd = pcap_get_selectable_fd(p)) < 0) {
		why_set(why, WHY_TRANSPORT, "cannot capture on %s: %s", config->interface,
			p && !error[0] ? pcap_geterr(p) : error);
		if (p)
			pcap_close(p);
		close(out_fd);
		return -EIO;
	}
	c = mem_new(1, sizeof *c);
	c->c.ops = &ops;
	c->pcap = p;
	c->out_fd = out_fd;
	for (unsigned n = 0; n < BATCH; n++)
		c->out[n].msg_hdr = (struct msghdr){ .msg_iov = &c->at[n], .msg_iovlen = 1 };
	ev_io_init(&c->readable, on_readable, fd, EV_READ);
	ev_timer_init(&c->drops, on_drops_poll, DROPS_POLL_S, DROPS_POLL_S);
	c->readable.data = c->drops.data = c;
	*out = &c->c;
	return 0;
}
