#include "router_state.h"

#include <sodium.h>

#include <weave/must.h>

void router_fastdp_init(struct router *r)
{
	struct fastdp_limits limits = {
		.self = r->config.self,
		.port = r->config.fastdp_port,
		.frame_size = r->config.mtu + FRAME_HEADER_SIZE,
		.keep = r->config.fastdp_keep,
		.key_life_ms = r->config.epoch_ms,
	};

	if (!limits.port && !r->config.tells_kernel)
		return;
	r->fastdp = fastdp_new(&limits, r->endpoints, r->topology, r->config.seed ^ 0x666173u);
	networks_track(r->networks);
}

uint8_t router_overlays(const struct router *r, bool sealed)
{
	/* Never in clear what the other overlay seals. */
	return OVERLAY_SLEEVE | SLEEVE_TAKES_PARTIAL |
	       (r->config.fastdp_port && (!sealed || !r->config.no_esp) ? OVERLAY_FASTDP : 0);
}

void router_fastdp_begin(struct router *r, struct sleeve_path *p, struct mono now)
{
	struct esp_chains chains;
	uint8_t buffer[FASTDP_SETUP_SIZE];
	struct writer w = writer_over(buffer, sizeof buffer);
	struct fastdp_setup mine;

	if (!(p->mine.overlays & p->theirs.overlays & OVERLAY_FASTDP) ||
	    fastdp_path_of(r->fastdp, p->conn))
		return;
	keys_take_esp(&p->keys, &chains);
	mine = fastdp_on_up(r->fastdp, p->conn, p->peer, p->address.ip,
			    path_is_sealed(p) ? &chains : NULL, now);
	sodium_memzero(&chains, sizeof chains);
	fastdp_setup_write(&mine, &w);
	gossip_send_overlay(r->gossip, p->conn, writer_bytes(&w));
}

void router_fastdp_on_setup(struct router *r, const struct sleeve_path *p, struct bytes message,
			    struct mono now)
{
	char name[PEER_NAME_TEXT_SIZE];
	struct fastdp_setup theirs;
	const char *bad = fastdp_setup_read(&theirs, message);

	if (!bad && r->fastdp)
		bad = fastdp_on_setup(r->fastdp, p->conn, &theirs, now);
	if (bad)
		log_warning(r->log, "fastdp set-up refused peer=%s field=%s",
			    peer_name_text(p->peer, name), bad);
}

void router_fastdp_on_epochs(struct router *r, const struct sleeve_path *p, struct bytes message,
			     struct mono now)
{
	char name[PEER_NAME_TEXT_SIZE];
	struct esp_message m;
	const char *bad = fastdp_epochs_read(&m, message);

	if (!bad && r->fastdp)
		bad = fastdp_on_epochs(r->fastdp, p->conn, &m, now);
	/* The kernel goes on with the keys it has until they expire, and then sleeve carries. */
	if (bad)
		log_warning(r->log, "change of keys refused peer=%s field=%s",
			    peer_name_text(p->peer, name), bad);
}

void router_fastdp_tell_epochs(struct router *r)
{
	uint8_t buffer[FASTDP_EPOCHS_SIZE];
	struct esp_message m;
	conn_id conn;

	while (r->fastdp && fastdp_next_epochs(r->fastdp, &conn, &m)) {
		struct writer w = writer_over(buffer, sizeof buffer);

		fastdp_epochs_write(&m, &w);
		MUST(!w.full);
		gossip_send_overlay(r->gossip, conn, writer_bytes(&w));
	}
}

void router_on_fastdp_refused(struct router *r, const struct fastdp_op *op, const char *why,
			      struct mono now)
{
	if (!r->fastdp)
		return;
	fastdp_on_refused(r->fastdp, op, why, now);
	for (size_t i = 0; i < r->paths_count; i++)
		router_tell(r, r->paths[i], now);
}

struct overlay_choice router_choice(const struct router *r, const struct sleeve_path *p)
{
	char why[OVERLAY_WHY_SIZE] = "";
	struct overlay_facts facts = {
		.theirs = p->theirs.overlays,
		.sleeve_proven = path_is_up(p),
		.sealed = path_is_sealed(p),
		.no_fastdp = r->config.fastdp_port ? NULL : r->config.no_fastdp,
		.no_esp = r->config.no_esp,
		.fastdp_why = why,
	};

	if (r->config.fastdp_port)
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
		fastdp_forget(r->fastdp, peer, now);
}

void router_on_fastdp_counters(struct router *r, peer_name peer, const struct fastdp_counters *c,
			       struct mono now)
{
	r->now = now;
	peer = r->fastdp ? fastdp_on_counters(r->fastdp, peer, c, now) : PEER_NAME_NONE;
	if (peer == PEER_NAME_NONE)
		return;
	/* Sleeve has to be as watchful: where both have lost the peer, frames go around at once,
	 * and not only when it, too, was tried in vain. */
	for (size_t i = 0; i < r->paths_count; i++) {
		if (r->paths[i]->peer != peer)
			continue;
		path_on_data(r->paths[i], now);
		r->due = mono_min(r->due, path_deadline(r->paths[i], now));
	}
}

void router_on_local_mac(struct router *r, uint32_t segment, struct mac mac, struct mono now)
{
	if (mac_is_group(mac))
		return;
	endpoints_now(r->endpoints, now);
	endpoints_learn_local(r->endpoints, segment, mac);
	router_publish(r, now);
}
