#include "fastdp_state_io.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

#include "fastdp_wire.h"

#define POLL_S 1. /* counters; how soon data makes the pings fast */

/* ---- maps ---- */

void fastdp_map_full(struct fastdp_io *f, int rc, const char *what)
{
	uint32_t swallowed;

	if (log_limit_allows(&f->full, mono_now(), FASTDP_LOG_APART_MS, &swallowed))
		log_warning(f->log,
			    "the kernel takes no more %s: %s; what is missing goes by sleeve", what,
			    strerror(-rc));
}

void fastdp_set(struct fastdp_io *f, enum fastdp_map map, const void *key, const void *value,
		const char *what)
{
	int rc = fastdp_map_set(&f->maps, map, key, value);

	if (rc)
		fastdp_map_full(f, rc, what);
}

static void write_config(struct fastdp_io *f)
{
	struct fastdp_config c = {
		.layout = FASTDP_LAYOUT,
		.vxlan_ifindex = (uint32_t)f->vxlan_ifindex,
		.bridge_port_ifindex = (uint32_t)f->config.bridge_port_ifindex,
		.frame_max = f->config.mtu + ETH_HLEN,
		.udp_port = f->config.port,
	};
	uint32_t zero = 0;

	fastdp_set(f, MAP_CONFIG, &zero, &c, "settings");
}

/* ---- peers ---- */

uint32_t fastdp_hold_slot(struct fastdp_io *f, peer_name peer)
{
	bool fresh;
	uint32_t slot = fastdp_slot_hold(&f->slots, peer, &fresh);

	if (slot == FASTDP_NO_SLOT)
		fastdp_map_full(f, -ENOSPC, "peers");
	else if (fresh)
		fastdp_maps_reset_traffic(&f->maps, slot);
	return slot;
}

/* ---- the device ---- */

static int make_device(struct fastdp_io *f, struct why *why)
{
	char name[NET_NAME_SIZE];
	int rc;

	snprintf(name, sizeof name, "vxlan-%u", f->config.port);
	rc = net_vxlan_ensure(f->net, name, f->config.bridge, f->config.port, &f->vxlan_ifindex);
	if (rc)
		why_set(why, WHY_ABSENT, "%.150s", net_error(f->net));
	return rc;
}

static int attach_device(struct fastdp_io *f, struct why *why)
{
	int rc = net_program_attach(f->vxlan_ifindex, NET_INGRESS, f->mark,
				    fastdp_program_fd(&f->maps, PROGRAM_VXLAN));

	if (rc == 0)
		rc = net_program_attach(f->vxlan_ifindex, NET_EGRESS, f->mark,
					fastdp_program_fd(&f->maps, PROGRAM_PING));
	if (rc)
		why_set(why, WHY_ABSENT, "cannot attach programs to the VXLAN device: %s",
			strerror(-rc));
	return rc;
}
void fastdp_io_bridge_port(struct fastdp_io *f, int ifindex)
{
	f->config.bridge_port_ifindex = ifindex;
	write_config(f);
	fastdp_add_router_port(f, ifindex, SEGMENT_DEFAULT);
}

void fastdp_io_mtu(struct fastdp_io *f, uint32_t mtu)
{
	f->config.mtu = mtu;
	f->frame = mem_resize(f->frame, mtu + ETH_HLEN, 1);
	write_config(f);
}

bool fastdp_io_is_device(const struct fastdp_io *f, int ifindex)
{
	return f->vxlan_ifindex == ifindex;
}

int fastdp_io_repair(struct fastdp_io *f, struct why *why)
{
	int rc = make_device(f, why);

	if (rc == 0)
		rc = attach_device(f, why);
	if (rc == 0)
		write_config(f);
	return rc;
}

/* ---- pings ---- */

static void do_ping(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct fastdp_ping_frame ping = {
		.session = op->session,
		.their_session = op->their_session,
		.token = op->token,
		.theirs = op->theirs,
		.by_hand = op->by_hand,
		.size = op->size,
	};
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = f->vxlan_ifindex,
		.sll_halen = ETH_ALEN,
	};

	/* One of before the MTU changed: it would prove nothing. */
	if (op->size > f->config.mtu + ETH_HLEN)
		return;
	fastdp_ping_write(&ping, f->frame);
	memcpy(to.sll_addr, f->frame, ETH_ALEN);
	/* What the kernel refuses is one ping that is not answered. */
	(void)sendto(f->socket, f->frame, op->size, MSG_DONTWAIT, (struct sockaddr *)&to,
		     sizeof to);
}

static int on_pong(void *ctx, void *data, size_t size)
{
	struct fastdp_io *f = ctx;
	struct fastdp_pong pong;
	unsigned says;

	MUST(size >= sizeof pong);
	memcpy(&pong, data, sizeof pong);
	says = (pong.flags & FASTDP_PONG_ACCEPTED ? FASTDP_ACCEPTS : 0u) |
	       (pong.flags & FASTDP_PONG_RELAYS ? FASTDP_RELAYS : 0u);
	router_on_pong(f->router, pong.session, pong.token, pong.flags & FASTDP_PING_BY_HAND, says,
		       fastdp_ip_of(&pong.from), mono_now());
	return 0;
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct fastdp_io *f = w->data;

	(void)loop;
	(void)events;
	ring_buffer__consume(f->ring);
}

/* ---- carrying out ---- */

void fastdp_io_flush(struct fastdp_io *f)
{
	struct fastdp_op op;

	while (router_next_fastdp(f->router, &op, mono_now())) {
		switch (op.type) {
		case FASTDP_OP_SA:
			fastdp_do_sa(f, &op);
			break;
		case FASTDP_OP_GUARD:
			fastdp_do_guard(f, &op);
			break;
		case FASTDP_OP_SESSION:
			fastdp_do_session(f, &op);
			break;
		case FASTDP_OP_PEER:
			fastdp_do_peer(f, &op);
			break;
		case FASTDP_OP_ENDPOINT:
			fastdp_do_endpoint(f, &op);
			break;
		case FASTDP_OP_ADDRESS:
			fastdp_do_address(f, &op);
			break;
		case FASTDP_OP_SEGMENT:
			fastdp_do_segment(f, &op);
			break;
		case FASTDP_OP_PING:
			do_ping(f, &op);
			break;
		}
	}
}

/* ---- now and then ---- */

static void tell_counters(struct fastdp_io *f)
{
	struct drop_counters drops;

	for (uint32_t slot = 0; slot < f->slots.count; slot++) {
		struct fastdp_counters c;

		if (f->slots.slots[slot].peer == PEER_NAME_NONE)
			continue;
		c = fastdp_maps_traffic(&f->maps, slot);
		router_on_fastdp_counters(f->router, f->slots.slots[slot].peer, &c, mono_now());
	}
	fastdp_maps_drops(&f->maps, &drops);
	for (int i = 0; i < DROP_REASONS_COUNT; i++)
		if (drops.count[i] > f->drops.count[i])
			router_count_drop(f->router, (enum drop_reason)i,
					  drops.count[i] - f->drops.count[i]);
	f->drops = drops;
}

static void on_poll(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct fastdp_io *f = w->data;

	(void)loop;
	(void)events;
	tell_counters(f);
	fastdp_renew_ways(f);
}

static void on_hold(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	fastdp_forget_inherited(w->data);
	fastdp_forget_segments(w->data);
}

/* ---- life ---- */

static int open_socket(struct fastdp_io *f, struct why *why)
{
	int mark = (int)FASTDP_PING_MARK, rc;

	/* Protocol 0: it receives nothing. */
	f->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->socket >= 0 && setsockopt(f->socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0)
		return 0;
	rc = -errno;
	why_set(why, WHY_TRANSPORT, "cannot open a packet socket: %s", strerror(-rc));
	return rc;
}

int fastdp_io_new(const struct fastdp_io_config *config, struct net *net, struct log *log,
		  struct fastdp_io **out, struct why *why)
{
	struct fastdp_io *f = mem_new(1, sizeof *f);
	int rc;

	f->config = *config;
	f->net = net;
	f->log = log;
	f->socket = -1;
	f->mark = net_bridge_mark(config->bridge);
	f->frame = mem_new(1, config->mtu + ETH_HLEN);
	fastdp_slots_init(&f->slots, FASTDP_PEERS_MAX);
	rc = config->port ? make_device(f, why) : 0;
	if (rc == 0)
		rc = fastdp_maps_load(&f->maps, f->vxlan_ifindex, f->mark, why);
	if (rc == 0 && config->port)
		rc = open_socket(f, why);
	if (rc == 0) {
		f->ring = ring_buffer__new(f->maps.fds[MAP_EVENTS], on_pong, f, NULL);
		if (!f->ring) {
			rc = -errno;
			why_set(why, WHY_ABSENT, "cannot map the kernel's events: %s",
				strerror(-rc));
		}
	}
	if (rc == 0) {
		write_config(f);
		fastdp_add_router_port(f, config->bridge_port_ifindex, SEGMENT_DEFAULT);
		rc = config->port ? attach_device(f, why) : 0;
	}
	if (rc) {
		fastdp_io_free(f);
		return rc;
	}
	if (f->maps.taken_over) {
		fastdp_inherit(f);
		log_info(log,
			 "took over fastdp of the router that ran before sessions=%zu "
			 "endpoints=%zu",
			 f->sessions_count, f->inherited_count);
	}
	fastdp_maps_drops(&f->maps, &f->drops);
	*out = f;
	return 0;
}

bool fastdp_io_seal(struct fastdp_io *f, struct why *why)
{
	return fastdp_open_esp(f, why);
}

void fastdp_io_start(struct fastdp_io *f, struct ev_loop *loop, struct router *router)
{
	f->loop = loop;
	f->router = router;
	ev_io_init(&f->readable, on_readable, ring_buffer__epoll_fd(f->ring), EV_READ);
	ev_timer_init(&f->poll, on_poll, POLL_S, POLL_S);
	ev_timer_init(&f->hold, on_hold, FASTDP_HOLD_S, 0.);
	f->readable.data = f->poll.data = f->hold.data = f;
	ev_io_start(loop, &f->readable);
	ev_timer_start(loop, &f->poll);
	ev_timer_start(loop, &f->hold);
}

void fastdp_io_free(struct fastdp_io *f)
{
	if (!f)
		return;
	if (f->loop) {
		ev_io_stop(f->loop, &f->readable);
		ev_timer_stop(f->loop, &f->poll);
		ev_timer_stop(f->loop, &f->hold);
	}
	ring_buffer__free(f->ring);
	if (f->socket >= 0)
		close(f->socket);
	for (uint32_t slot = 0; slot < FASTDP_PEERS_MAX; slot++)
		mem_free(f->peers[slot]);
	fastdp_maps_unload(&f->maps);
	fastdp_slots_fini(&f->slots);
	mem_free(f->sessions);
	mem_free(f->ports);
	mem_free(f->behind);
	mem_free(f->segments);
	mem_free(f->underlay);
	mem_free(f->inherited);
	mem_free(f->frame);
	fastdp_close_esp(f);
	mem_free(f);
}
