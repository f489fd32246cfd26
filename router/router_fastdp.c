#include "router_state.h"

void router_fastdp_init(struct router *r)
{
	struct fastdp_limits limits = {
		.self = r->config.self,
		.port = r->config.fastdp_port,
		.frame_size = r->config.mtu + FRAME_HEADER_SIZE,
		.keep = r->config.fastdp_keep,
	};

	if (!limits.port)
		return;
	r->fastdp = fastdp_new(&limits, r->endpoints, r->topology, r->config.seed ^ 0x666173u);
	networks_track(r->networks);
}

uint8_t router_overlays(const struct router *r, bool sealed)
{
	/* Never in clear what the other overlay seals. */
	return OVERLAY_SLEEVE | SLEEVE_TAKES_PARTIAL | (r->fastdp && !sealed ? OVERLAY_FASTDP : 0);
}

void router_fastdp_begin(struct router *r, const struct sleeve_path *p, struct mono now)
{
	uint8_t buffer[FASTDP_SETUP_SIZE];
	struct writer w = writer_over(buffer, sizeof buffer);
	struct fastdp_setup mine;

	if (!(p->mine.overlays & p->theirs.overlays & OVERLAY_FASTDP) ||
	    fastdp_path_of(r->fastdp, p->conn))
		return;
	mine = fastdp_on_up(r->fastdp, p->conn, p->peer, p->address.ip, now);
	fastdp_setup_write(&mine, &w);
	gossip_send_overlay(r->gossip, p->conn, writer_bytes(&w));
}

void router_fastdp_on_setup(struct router *r, const struct sleeve_path *p, struct bytes message,
			    struct mono now)
{
	char name[PEER_NAME_TEXT_SIZE];
	struct fastdp_setup theirs;
	const char *bad = fastdp_setup_read(&theirs, message);

	if (bad)
		log_warning(r->log, "fastdp set-up refused peer=%s field=%s",
			    peer_name_text(p->peer, name), bad);
	else if (r->fastdp)
		fastdp_on_setup(r->fastdp, p->conn, &theirs, now);
}

struct overlay_choice router_choice(const struct router *r, const struct sleeve_path *p)
{
	char why[OVERLAY_WHY_SIZE] = "";
	struct overlay_facts facts = {
		.theirs = p->theirs.overlays,
		.sleeve_proven = path_is_up(p),
		.sealed = path_is_sealed(p),
		.no_fastdp = r->fastdp ? NULL : r->config.no_fastdp,
		.fastdp_why = why,
	};

	if (r->fastdp)
		facts.fastdp_carries = fastdp_carries(r->fastdp, p->conn, r->now, why, sizeof why);
	else if (!facts.no_fastdp)
		facts.no_fastdp = "not used by this router";
	return overlay_choose(&facts);
}

static bool next_segment(struct router *r, struct fastdp_op *op)
{
	bool carried;

	*op = (struct fastdp_op){ .type = FASTDP_OP_SEGMENT };
	if (!networks_next_carried(r->networks, &op->segment, &carried))
		return false;
	op->remove = !carried;
	return true;
}

bool router_is_relayed_by(const struct router *r, const struct sleeve_path *p)
{
	const struct fastdp_path *path = r->fastdp ? fastdp_path_of(r->fastdp, p->conn) : NULL;

	return path && path->relays;
}

bool router_next_fastdp(struct router *r, struct fastdp_op *op, struct mono now)
{
	r->now = now;
	endpoints_now(r->endpoints, now);
	return r->fastdp && (next_segment(r, op) || fastdp_next(r->fastdp, op, now));
}

void router_on_pong(struct router *r, uint32_t session, uint32_t token, bool by_hand, unsigned says,
		    struct ip_addr from, struct mono now)
{
	struct sleeve_path *p;

	r->now = now;
	if (!r->fastdp)
		return;
	p = router_path_of(r, fastdp_on_pong(r->fastdp, session, token, by_hand, says, from, now));
	if (p)
		router_tell(r, p, now);
}

peer_name router_kept_peer(const struct router *r, size_t index)
{
	return r->fastdp ? fastdp_kept_peer(r->fastdp, index) : PEER_NAME_NONE;
}

void router_forget_peer(struct router *r, peer_name peer, struct mono now)
{
	r->now = now;
	if (r->fastdp)
		fastdp_forget(r->fastdp, peer);
}

void router_on_fastdp_counters(struct router *r, peer_name peer, const struct fastdp_counters *c,
			       struct mono now)
{
	if (r->fastdp)
		fastdp_on_counters(r->fastdp, peer, c, now);
}

void router_on_local_mac(struct router *r, uint32_t segment, struct mac mac, struct mono now)
{
	if (mac_is_group(mac))
		return;
	endpoints_now(r->endpoints, now);
	endpoints_learn_local(r->endpoints, segment, mac);
	router_publish(r, now);
}
