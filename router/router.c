#include <weave/router.h>

#include <sodium.h>
#include <stdio.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/rng.h>

#include "router_state.h"

struct router *router_new(const struct router_config *config, struct gossip *gossip,
			  struct mono now, struct log *log)
{
	struct router *r = mem_new(1, sizeof *r);
	struct rng rng = { config->seed };

	MUST(config->datagram_max <= SLEEVE_DATAGRAM_SIZE_MAX);
	r->config = *config;
	r->config.ciphers |= AEAD_MANDATORY;
	if (!r->config.epoch_ms)
		r->config.epoch_ms = SLEEVE_EPOCH_MS;
	if (!r->config.epoch_packets)
		r->config.epoch_packets = SLEEVE_EPOCH_PACKETS;
	r->gossip = gossip;
	r->topology = gossip_topology(gossip);
	r->log = log;
	r->secret.k0 = rng_u64(&rng);
	r->secret.k1 = rng_u64(&rng);
	r->due = MONO_NEVER;
	outbox_init(&r->outbox);
	r->part = mem_new(1, FRAME_DATA_MAX);
	r->finished = mem_new(1, FRAME_DATA_MAX);
	r->networks = networks_new(config->self, gossip_store(gossip), r->topology, rng_u64(&rng));
	r->endpoints = endpoints_new(config->self, gossip_store(gossip), r->topology, r->networks,
				     rng_u64(&rng));
	endpoints_now(r->endpoints, now);
	r->snapshot_stale = true;
	r->now = now;
	router_fastdp_init(r);
	return r;
}

static void free_path(struct router *r, struct sleeve_path *p)
{
	struct sleeve_path *last = r->paths[--r->paths_count];

	r->paths[p->slot] = last;
	last->slot = p->slot;
	table_remove(&r->by_conn, &p->by_conn);
	table_remove(&r->by_index, &p->by_index);
	r->snapshot_stale = true;
	if (r->last_heard == p)
		r->last_heard = NULL;
	outbox_own(&r->outbox);
	/* While there are keys to seal it with. */
	if (r->open.path == p)
		router_close_datagram(r);
	path_fini(p);
	mem_free(p);
}

void router_free(struct router *r)
{
	if (!r)
		return;
	while (r->paths_count)
		free_path(r, r->paths[0]);
	mem_free(r->paths);
	table_fini(&r->by_conn);
	table_fini(&r->by_index);
	snapshot_free(r->snapshot);
	fastdp_free(r->fastdp);
	endpoints_free(r->endpoints);
	networks_free(r->networks);
	outbox_fini(&r->outbox);
	mem_free(r->part);
	mem_free(r->finished);
	mem_free(r);
}

struct outbox *router_outbox(struct router *r)
{
	router_close_datagram(r);
	return &r->outbox;
}

bool router_outbox_nearly_full(const struct router *r)
{
	return outbox_nearly_full(&r->outbox) || outbox_worth_a_flush(&r->outbox);
}

void router_refresh(struct router *r)
{
	uint64_t version = topology_version(r->topology);
	struct snapshot_hop *live;
	size_t count = 0;

	networks_settle(r->networks);
	if (!r->snapshot_stale && r->snapshot_version == version) {
		if (r->snapshot_networks != networks_version(r->networks))
			snapshot_forget_segments(r->snapshot);
		r->snapshot_networks = networks_version(r->networks);
		return;
	}
	r->snapshot_networks = networks_version(r->networks);
	live = mem_new(r->paths_count + 1, sizeof *live);
	for (uint32_t i = 0; i < r->paths_count; i++)
		if (path_is_up(r->paths[i]))
			live[count++] = (struct snapshot_hop){ r->paths[i]->peer, i };
	snapshot_free(r->snapshot);
	r->snapshot = snapshot_new(r->config.self, r->topology, live, count,
				   r->secret.k0 ^ version);
	r->snapshot_version = version;
	r->snapshot_stale = false;
	mem_free(live);
}

void router_publish(struct router *r, struct mono now)
{
	struct bytes key, value;

	/* First: frames of a segment are taken only from who is known to have it. */
	while (networks_next_publish(r->networks, &key, &value))
		gossip_put(r->gossip, KIND_NETWORK, key, value, now);
	while (endpoints_next_publish(r->endpoints, &key, &value))
		gossip_put(r->gossip, KIND_ENDPOINT, key, value, now);
}

/* ---- paths ---- */

static uint64_t draw(struct router *r)
{
	r->drawn++;
	return hash64(&r->secret, &r->drawn, sizeof r->drawn);
}

static uint64_t hash_of_index(const struct router *r, uint32_t index)
{
	return hash64(&r->secret, &index, sizeof index);
}

static uint64_t hash_of_conn(const struct router *r, conn_id conn)
{
	return hash64(&r->secret, &conn, sizeof conn);
}

struct sleeve_path *router_path_of(const struct router *r, conn_id conn)
{
	uint64_t hash = hash_of_conn(r, conn);
	struct table_link *l = table_first(&r->by_conn, hash);

	for (; l; l = table_next(l, hash)) {
		struct sleeve_path *p = table_entry(l, struct sleeve_path, by_conn);

		if (p->conn == conn)
			return p;
	}
	return NULL;
}

static uint32_t draw_index(struct router *r)
{
	for (;;) {
		uint32_t index = (uint32_t)draw(r);

		if (index && !table_first(&r->by_index, hash_of_index(r, index)))
			return index;
	}
}

static void send_setup(struct router *r, const struct sleeve_path *p)
{
	uint8_t buffer[SLEEVE_SETUP_SIZE];
	struct writer w = writer_over(buffer, sizeof buffer);

	sleeve_setup_write(&p->mine, &w);
	MUST(!w.full);
	gossip_send_overlay(r->gossip, p->conn, writer_bytes(&w));
}

void router_on_up(struct router *r, conn_id conn, peer_name peer, struct netaddr remote,
		  const struct path_secret *secret, struct mono now)
{
	struct path_config config = {
		.conn = conn,
		.peer = peer,
		.slot = (uint32_t)r->paths_count,
		.remote = remote.ip,
		.datagram_max = r->config.datagram_max,
		.secret = *secret,
		.limits = { r->config.epoch_ms, r->config.epoch_packets },
	};
	struct sleeve_path *p;

	if (router_path_of(r, conn))
		return;
	config.mine = (struct sleeve_setup){
		.overlays = router_overlays(r, secret->sealed),
		.port = r->config.port,
		.index = draw_index(r),
		.proof = draw(r),
		.ciphers = r->config.ciphers,
	};
	p = mem_new(1, sizeof *p);
	path_init(p, &config, now);
	sodium_memzero(&config.secret, sizeof config.secret);
	if (r->paths_count == r->paths_room) {
		r->paths_room = r->paths_room ? r->paths_room * 2 : 16;
		r->paths = mem_resize(r->paths, r->paths_room, sizeof(struct sleeve_path *));
	}
	r->paths[r->paths_count++] = p;
	table_insert(&r->by_conn, &p->by_conn, hash_of_conn(r, conn));
	table_insert(&r->by_index, &p->by_index, hash_of_index(r, p->mine.index));
	send_setup(r, p);
}

void router_on_down(struct router *r, conn_id conn, struct mono now)
{
	struct sleeve_path *p = router_path_of(r, conn);

	if (r->fastdp)
		fastdp_on_down(r->fastdp, conn, now);
	if (p)
		free_path(r, p);
}

void router_on_overlay(struct router *r, conn_id conn, struct bytes message, struct mono now)
{
	struct sleeve_path *p = router_path_of(r, conn);
	struct sleeve_setup theirs;
	const char *bad;

	if (!p)
		return;
	if (message.size && message.data[0] == FASTDP_SETUP_TYPE) {
		router_fastdp_on_setup(r, p, message, now);
		return;
	}
	if (message.size && message.data[0] == FASTDP_EPOCHS_TYPE) {
		router_fastdp_on_epochs(r, p, message, now);
		return;
	}
	bad = sleeve_setup_read(&theirs, message);
	if (!bad)
		bad = path_on_setup(p, &theirs, now);
	if (bad) {
		char name[PEER_NAME_TEXT_SIZE];

		log_warning(r->log, "data path set-up refused peer=%s field=%s",
			    peer_name_text(p->peer, name), bad);
		return;
	}
	router_fastdp_begin(r, p, now);
	router_path_run(r, p, now);
}

void router_on_suspect(struct router *r, peer_name peer, struct mono now)
{
	if (r->fastdp)
		fastdp_on_suspect(r->fastdp, peer, now);
	for (size_t i = 0; i < r->paths_count; i++) {
		if (r->paths[i]->peer != peer)
			continue;
		path_on_suspect(r->paths[i], now);
		router_path_run(r, r->paths[i], now);
	}
}

void router_on_routes(struct router *r, struct mono now)
{
	/* The snapshot notices the new version by itself, when next a frame needs it. */
	endpoints_now(r->endpoints, now);
}

static void log_change(struct router *r, const struct sleeve_path *p,
		       const struct overlay_choice *choice, struct mono now)
{
	char name[PEER_NAME_TEXT_SIZE], address[ENDPOINT_TEXT_SIZE], why[96];

	peer_name_text(p->peer, name);
	if (p->told == OVERLAY_FASTDP && choice->overlay == OVERLAY_SLEEVE) {
		log_warning(r->log, "sleeve takes over peer=%s why=\"%s\"", name,
			    choice->not_better);
		return;
	}
	if (choice->overlay) {
		log_info(r->log, "data path up peer=%s overlay=%s address=%s rtt_ms=%u %s%s", name,
			 choice->overlay == OVERLAY_FASTDP ? "fastdp" : "sleeve",
			 netaddr_text(p->address, address), p->rtt_us / 1000,
			 path_is_sealed(p) ? "cipher=" : "in clear", aead_name(p->keys.cipher));
		return;
	}
	path_explain(p, now, why, sizeof why);
	log_warning(r->log, "data path down peer=%s why=\"%s\"; trying again", name, why);
}

void router_tell(struct router *r, struct sleeve_path *p, struct mono now)
{
	struct overlay_choice choice = router_choice(r, p);
	uint8_t published = choice.overlay;

	if (choice.overlay != p->told) {
		log_change(r, p, &choice, now);
		p->told = choice.overlay;
		r->snapshot_stale = true;
		if (r->fastdp)
			fastdp_on_doubt(r->fastdp, p->conn, !choice.overlay, now);
	}
	/* Who is sent through that peer must not lose what it does not hand on: sleeve cuts it. */
	if (published == OVERLAY_FASTDP && !router_is_relayed_by(r, p))
		published = OVERLAY_SLEEVE;
	if (published != p->published) {
		p->published = published;
		gossip_set_data_path(r->gossip, p->conn, published, now);
	}
}

static void send_record(struct router *r, struct sleeve_path *p, struct sleeve_record *record,
			uint32_t probe_size)
{
	bool probe = record->type == SLEEVE_PROBE;
	size_t size = probe ? probe_size - p->seal_size
			    : SLEEVE_HEADER_SIZE + SLEEVE_HEARTBEAT_SIZE;
	uint8_t *data = router_datagram(r, p, size);
	struct writer w;

	if (!data)
		return;
	w = writer_over(data + SLEEVE_HEADER_SIZE, size - SLEEVE_HEADER_SIZE);
	if (probe) {
		outbox_alone(&r->outbox);
		sleeve_probe_write(&record->probe, &w);
	} else {
		record->heartbeat.proof = heartbeat_proof(&p->theirs, r->open.counter,
							  &record->heartbeat);
		sleeve_heartbeat_write(&record->heartbeat, &w);
	}
	MUST(!w.full);
}

void router_path_run(struct router *r, struct sleeve_path *p, struct mono now)
{
	struct sleeve_record record;
	uint32_t size;

	r->now = now;
	if (r->fastdp)
		fastdp_on_remote(r->fastdp, p->conn, p->address.ip, now);
	router_tell(r, p, now);
	while (!outbox_nearly_full(&r->outbox) && path_pull(p, now, &record, &size))
		send_record(r, p, &record, size);
	r->due = mono_min(r->due, path_deadline(p, now));
}

void router_on_too_big(struct router *r, struct netaddr to, size_t size, struct mono now)
{
	/* Called while the outbox is being flushed: only notes what to do at the next tick. */
	for (size_t i = 0; i < r->paths_count; i++) {
		struct sleeve_path *p = r->paths[i];

		if (netaddr_compare(p->address, to) == 0 && size <= SLEEVE_DATAGRAM_SIZE_MAX)
			pmtu_on_too_big(&p->pmtu, (uint32_t)size, now);
	}
	r->due = now;
}

void router_count_drop(struct router *r, enum drop_reason reason, uint64_t count)
{
	MUST((unsigned)reason < DROP_REASONS_COUNT);
	r->drops.count[reason] += count;
}

void router_tick(struct router *r, struct mono now)
{
	r->now = now;
	networks_settle(r->networks);
	endpoints_now(r->endpoints, now);
	endpoints_tick(r->endpoints);
	router_publish(r, now);
	router_fastdp_tell_epochs(r);
	if (r->fastdp && fastdp_tick(r->fastdp, now))
		for (size_t i = 0; i < r->paths_count; i++)
			router_tell(r, r->paths[i], now);
	if (!mono_reached(now, r->due))
		return;
	r->due = MONO_NEVER;
	for (size_t i = 0; i < r->paths_count; i++) {
		struct sleeve_path *p = r->paths[i];

		router_take_back(r, p);
		path_tick(p, now);
		router_path_joined(r, p, now);
		router_path_run(r, p, now);
	}
}

struct mono router_deadline(const struct router *r)
{
	struct mono due = mono_min(r->due, endpoints_deadline(r->endpoints));

	return r->fastdp ? mono_min(due, fastdp_deadline(r->fastdp, r->now)) : due;
}

void router_set_mtu(struct router *r, uint32_t mtu, uint32_t datagram_max, struct mono now)
{
	MUST(datagram_max <= SLEEVE_DATAGRAM_SIZE_MAX);
	r->config.datagram_max = datagram_max;
	for (size_t i = 0; i < r->paths_count; i++)
		pmtu_set_max(&r->paths[i]->pmtu, datagram_max, now);
	if (r->fastdp && r->config.mtu != mtu)
		fastdp_set_size(r->fastdp, mtu + FRAME_HEADER_SIZE, now);
	r->config.mtu = mtu;
	r->due = now;
}

/* ---- segments ---- */

bool router_open_segment(struct router *r, uint32_t segment, const char *key, struct mono now,
			 struct why *why)
{
	if (!networks_open(r->networks, segment, key, why))
		return false;
	router_publish(r, now);
	return true;
}

void router_close_segment(struct router *r, uint32_t segment, struct mono now)
{
	endpoints_now(r->endpoints, now);
	endpoints_leave(r->endpoints, segment);
	networks_close(r->networks, segment);
	router_publish(r, now);
}

bool router_network_at(const struct router *r, size_t index, struct network_info *info)
{
	return networks_at(r->networks, index, info);
}

peer_name router_network_peer(const struct router *r, size_t index, size_t *at)
{
	return networks_next_peer(r->networks, index, at);
}

/* ---- containers ---- */

void router_add_endpoint(struct router *r, uint32_t segment, struct mac mac,
			 const struct ip_addr *ips, size_t ips_count, struct mono now)
{
	char text[PEER_NAME_TEXT_SIZE];

	if (mac_is_group(mac))
		return;
	endpoints_now(r->endpoints, now);
	if (!endpoints_attach(r->endpoints, segment, mac, ips, ips_count))
		log_error(r->log, "endpoint not published mac=%s: limit of %u reached",
			  mac_text(mac, text), ENDPOINTS_LOCAL_MAX);
	router_publish(r, now);
}

void router_remove_endpoint(struct router *r, uint32_t segment, struct mac mac, struct mono now)
{
	endpoints_now(r->endpoints, now);
	endpoints_detach(r->endpoints, segment, mac);
	router_publish(r, now);
}

/* ---- looking in ---- */

static void add_fastdp_counters(const struct router *r, struct path_info *info)
{
	struct fastdp_counters c;

	if (!r->fastdp)
		return;
	c = fastdp_counters(r->fastdp, info->peer);
	info->frames_out += c.frames_out;
	info->frames_in += c.frames_in;
	info->bytes_out += c.bytes_out;
	info->bytes_in += c.bytes_in;
}

static void fill_path_info(const struct router *r, const struct sleeve_path *p,
			   struct path_info *info)
{
	struct overlay_choice choice = router_choice(r, p);

	*info = (struct path_info){
		.conn = p->conn,
		.peer = p->peer,
		.address = p->address,
		.established = path_is_up(p),
		.overlay = choice.overlay,
		.sealed = path_is_sealed(p),
		.cipher = aead_name(p->keys.cipher),
		.epoch = p->keys.out.epoch,
		.mtu = choice.overlay == OVERLAY_FASTDP ? r->config.mtu : path_mtu(p),
		.datagram_size = p->pmtu.size,
		.settled = p->pmtu.settled,
		.rtt_us = p->rtt_us,
		.frames_out = p->frames_out,
		.frames_in = p->frames_in,
		.bytes_out = p->bytes_out,
		.bytes_in = p->bytes_in,
	};
	add_fastdp_counters(r, info);
	if (path_is_up(p))
		snprintf(info->why, sizeof info->why, "%s", choice.not_better);
	else
		path_explain(p, r->now, info->why, sizeof info->why);
}

bool router_path_at(const struct router *r, size_t index, struct path_info *info)
{
	if (index >= r->paths_count)
		return false;
	fill_path_info(r, r->paths[index], info);
	return true;
}

bool router_path_find(const struct router *r, conn_id conn, struct path_info *info)
{
	const struct sleeve_path *p = router_path_of(r, conn);

	if (!p)
		return false;
	fill_path_info(r, p, info);
	return true;
}

peer_name router_endpoint_find(const struct router *r, uint32_t segment, struct mac mac)
{
	return endpoints_find(r->endpoints, segment, mac);
}

bool router_endpoint_at(const struct router *r, size_t index, struct mono now,
			struct endpoint_info *info)
{
	struct endpoint_view view;

	if (!endpoints_at(r->endpoints, index, &view))
		return false;
	*info = (struct endpoint_info){
		.segment = view.segment,
		.mac = view.mac,
		.peer = view.peer,
		.attached = view.attached,
		.published = view.published,
		.frozen = view.frozen,
		.idle_ms = mono_elapsed(view.changed, now),
		.ips_count = view.ips_count,
	};
	if (view.ips_count)
		memcpy(info->ips, view.ips, view.ips_count * sizeof info->ips[0]);
	return true;
}

const struct drop_counters *router_drops(const struct router *r)
{
	return &r->drops;
}

const struct router_counters *router_counters(const struct router *r)
{
	return &r->counters;
}

void router_check(struct router *r)
{
	MUST(r->by_conn.count == r->paths_count);
	MUST(r->by_index.count == r->paths_count);
	for (size_t i = 0; i < r->paths_count; i++) {
		const struct sleeve_path *p = r->paths[i];

		MUST(p->slot == i);
		MUST(router_path_of(r, p->conn) == p);
		path_check(p);
	}
	networks_check(r->networks);
	endpoints_check(r->endpoints);
	if (r->fastdp)
		fastdp_check(r->fastdp);
}
