#include "sim_kernel.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/engine.h>
#include <weave/must.h>

#include "../../bpf/decide.bpf.h"
#include "sim_frames.h"
#include "sim_router.h"

#define KERNEL_PORT 6784u
#define WORLD_MAX 12u /* routers: pings are many events */
#define SESSIONS_MAX 64u
#define FRAME_MAX (1376u + 14u) /* of sim_router.c's bridges */
#define OUTER_SIZE (20u + 8u + 8u)
#define HOLD_US (30 * SIM_S)
#define BRIDGE 1u /* any number */
#define TRAFFIC 6u

struct session {
	uint32_t number; /* 0: none */
	uint32_t peer;	 /* index of router: its slot */
	uint32_t remote; /* of host */
	uint32_t their_session;
	struct hash_key mine, theirs;
	bool accepted, inherited;
};

/* Slots are indexes of routers. */
struct sim_kernel {
	struct session sessions[SESSIONS_MAX];
	struct {
		struct fastdp_peer value; /* flags 0: not told */
		uint32_t remote;
		bool inherited;
	} peers[WORLD_MAX];
	struct {
		struct fastdp_endpoint value; /* where 0: not known */
		bool inherited;
	} endpoints[SIM_SEGMENTS_MAX][WORLD_MAX]; /* by who has that MAC */
	bool carried[SIM_SEGMENTS_MAX];
	struct fastdp_counters counters[WORLD_MAX];
};

enum packet_type { PACKET_PING, PACKET_PONG, PACKET_FRAME };

struct packet {
	enum packet_type type;
	uint32_t from, to; /* hosts */
	uint32_t session, their_session, token, frame_size;
	struct hash_key proof; /* the receiver's key */
	bool by_hand;
	unsigned says;
	uint32_t segment;
	uint8_t ttl;
	uint32_t size; /* of 'data' */
	uint8_t data[];
};

void sim_kernel_init(struct sim *s)
{
	s->kernels = s->count <= WORLD_MAX && s->seed % 3 != 0;
	s->kernel_rng = (struct rng){ s->seed ^ 0x6b65726e656cu };
}

struct sim_kernel *sim_kernel_new(const struct sim *s, uint32_t index)
{
	return s->kernels && (s->seed + index) % 5 != 4 ? mem_new(1, sizeof(struct sim_kernel))
							: NULL;
}

void sim_kernels_off(struct sim *s)
{
	s->kernels = false;
	for (uint32_t i = 0; i < s->count; i++) {
		sim_kernel_free(s->routers[i]->kernel);
		s->routers[i]->kernel = NULL;
	}
}

void sim_kernel_free(struct sim_kernel *k)
{
	mem_free(k);
}

static uint32_t index_of_name(const struct sim *s, peer_name name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->routers[i]->name == name)
			return i;
	return UINT32_MAX;
}

static uint32_t index_of_mac(const struct sim *s, uint32_t segment, const uint8_t *mac)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (memcmp(sim_segment_mac(s, segment, i).b, mac, 6) == 0)
			return i;
	return UINT32_MAX;
}

static bool tell(const struct sim_router *r)
{
	return sim_router_runs(r) && !r->frozen;
}

/* ---- packets ---- */

static void arrives(struct sim *s, void *what, uint64_t number);

static bool is_blocked(const struct sim *s, uint32_t a, uint32_t b)
{
	uint64_t pair = a < b ? a * UINT64_C(1009) + b : b * UINT64_C(1009) + a;
	struct rng rng = { s->seed * 31 + pair };

	return rng_below(&rng, 6) == 0;
}

static void send_copy(struct sim *s, const struct sim_link *l, const struct packet *p)
{
	struct packet *copy = mem_new(1, sizeof *p + p->size);
	uint64_t at = s->clock.now_us + l->delay_us + rng_below(&s->kernel_rng, l->jitter_us + 1);

	memcpy(copy, p, sizeof *p + p->size);
	if (sim_chance(&s->kernel_rng, l->reorder_ppm))
		at += rng_below(&s->kernel_rng, 20 * SIM_MS);
	sim_clock_add_owned(&s->clock, at, arrives, copy, 0);
}

static bool is_sealed(const struct sim *s, uint32_t a, uint32_t b)
{
	const struct gossip_config *x = &s->routers[a]->config, *y = &s->routers[b]->config;

	return x->passwords && !(x->trusted_count && y->trusted_count);
}

static void send_packet(struct sim *s, const struct packet *p)
{
	const struct sim_link *l = sim_link(s, p->from, p->to);

	if (l->cut || l->udp_cut || (l->mtu && p->frame_size + OUTER_SIZE > l->mtu) ||
	    is_blocked(s, p->from, p->to) || sim_chance(&s->kernel_rng, l->loss_ppm))
		return;
	send_copy(s, l, p);
	/* ESP takes each packet once. */
	if (!is_sealed(s, p->from, p->to) && sim_chance(&s->kernel_rng, l->dup_ppm))
		send_copy(s, l, p);
}

static void send_frame(struct sim *s, uint32_t from, uint32_t to, uint32_t segment, uint8_t ttl,
		       struct bytes frame)
{
	struct packet *p = mem_new(1, sizeof *p + frame.size);

	*p = (struct packet){ .type = PACKET_FRAME, .from = from, .to = to, .segment = segment };
	p->ttl = ttl;
	p->size = p->frame_size = (uint32_t)frame.size;
	memcpy(p->data, frame.data, frame.size);
	send_packet(s, p);
	mem_free(p);
}

/* ---- what the router wants ---- */

static struct session *find_session(struct sim_kernel *k, uint32_t number)
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		if (k->sessions[i].number == number)
			return &k->sessions[i];
	return NULL;
}

static void do_session(struct sim_router *r, const struct fastdp_op *op)
{
	struct session *found = find_session(r->kernel, op->session);

	if (op->remove) {
		if (found)
			*found = (struct session){ 0 };
		return;
	}
	if (!found)
		found = find_session(r->kernel, 0);
	MUST(found);
	*found = (struct session){
		.number = op->session,
		.peer = index_of_name(r->sim, op->peer),
		.remote = sim_router_of_ip(r->sim, op->remote),
		.their_session = op->their_session,
		.mine = op->mine,
		.theirs = op->theirs,
		.accepted = op->accepted,
	};
}

static void do_peer(struct sim_router *r, const struct fastdp_op *op)
{
	uint32_t slot = index_of_name(r->sim, op->peer);
	struct fastdp_peer value = { .flags = FASTDP_PEER_RELAY };

	MUST(slot != UINT32_MAX);
	if (op->remove) {
		r->kernel->peers[slot].value = (struct fastdp_peer){ 0 };
		return;
	}
	value.flags |= op->relays ? 0 : FASTDP_PEER_UP;
	value.flags |= op->direct ? FASTDP_PEER_DIRECT : 0;
	value.via = index_of_name(r->sim, op->via);
	r->kernel->peers[slot].value = value;
	r->kernel->peers[slot].remote = sim_router_of_ip(r->sim, op->remote);
	r->kernel->peers[slot].inherited = false;
}

static void do_endpoint(struct sim_router *r, const struct fastdp_op *op)
{
	uint32_t owner = index_of_mac(r->sim, op->segment, op->mac.b);
	struct fastdp_endpoint value = { 0 };

	if (owner == UINT32_MAX || op->segment >= SIM_SEGMENTS_MAX)
		return;
	if (!op->remove && op->peer == r->name)
		value.where = FASTDP_AT_PORT;
	else if (!op->remove)
		value = (struct fastdp_endpoint){ FASTDP_AT_PEER, index_of_name(r->sim, op->peer) };
	r->kernel->endpoints[op->segment][owner].value = value;
	r->kernel->endpoints[op->segment][owner].inherited = false;
}

static void do_ping(struct sim_router *r, const struct fastdp_op *op)
{
	const struct session *session = find_session(r->kernel, op->session);
	struct packet p = {
		.type = PACKET_PING,
		.from = r->index,
		.session = op->their_session,
		.their_session = op->session,
		.token = op->token,
		.frame_size = op->size,
		.proof = op->theirs,
		.by_hand = op->by_hand,
	};

	if (!session || session->remote == UINT32_MAX)
		return;
	p.to = session->remote;
	send_packet(r->sim, &p);
}

void sim_kernel_flush(struct sim_router *r)
{
	struct fastdp_op op;

	while (r->kernel && router_next_fastdp(engine_router(r->engine), &op, sim_router_now(r))) {
		switch (op.type) {
		case FASTDP_OP_SESSION:
			do_session(r, &op);
			break;
		case FASTDP_OP_PEER:
			do_peer(r, &op);
			break;
		case FASTDP_OP_ENDPOINT:
			do_endpoint(r, &op);
			break;
		case FASTDP_OP_SEGMENT:
			r->kernel->carried[op.segment] = !op.remove;
			break;
		/* Nobody listens in on these kernels. */
		case FASTDP_OP_SA:
		case FASTDP_OP_GUARD:
			break;
		case FASTDP_OP_PING:
			do_ping(r, &op);
			break;
		case FASTDP_OP_ADDRESS:
			break;
		}
	}
}

/* ---- life ---- */

void sim_kernel_configure(struct sim_router *r, struct engine_config *config)
{
	config->router.no_fastdp = "not in this world";
	if (!r->kernel)
		return;
	config->gossip.overlays |= OVERLAY_FASTDP;
	config->router.fastdp_port = KERNEL_PORT;
	config->router.fastdp_keep = !config->gossip.passwords;
	config->router.no_fastdp = NULL;
}

/* What the earlier process knew and this one has not spoken of. */
static void forget(struct sim *s, void *what, uint64_t incarnation)
{
	struct sim_router *r = what;
	struct sim_kernel *k = r->kernel;

	if (r->incarnation != incarnation || !r->engine)
		return;
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		if (k->sessions[i].inherited)
			k->sessions[i] = (struct session){ 0 };
	for (uint32_t i = 0; i < s->count; i++) {
		if (k->peers[i].inherited)
			k->peers[i].value = (struct fastdp_peer){ 0 };
		for (uint32_t n = 0; n < SIM_SEGMENTS_MAX; n++)
			if (k->endpoints[n][i].inherited)
				k->endpoints[n][i].value = (struct fastdp_endpoint){ 0 };
	}
}

void sim_kernel_started(struct sim_router *r)
{
	struct sim_kernel *k = r->kernel;

	if (!k)
		return;
	/* With a password each connection decides anew. */
	if (r->config.passwords)
		*k = (struct sim_kernel){ 0 };
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		k->sessions[i].inherited = k->sessions[i].number != 0;
	for (uint32_t i = 0; i < r->sim->count; i++) {
		k->peers[i].inherited = k->peers[i].value.flags != 0;
		for (uint32_t n = 0; n < SIM_SEGMENTS_MAX; n++)
			k->endpoints[n][i].inherited = k->endpoints[n][i].value.where != 0;
	}
	sim_clock_add(&r->sim->clock, r->sim->clock.now_us + HOLD_US, forget, r, r->incarnation);
}

void sim_kernel_lost(struct sim_router *r)
{
	if (r->kernel)
		*r->kernel = (struct sim_kernel){ 0 };
}

/* ---- frames ---- */

static void count(struct sim_router *r, uint32_t slot, uint32_t out, uint32_t in)
{
	struct fastdp_counters *c = &r->kernel->counters[slot];

	c->frames_out += out;
	c->frames_in += in;
	if (tell(r))
		router_on_fastdp_counters(engine_router(r->engine), r->sim->routers[slot]->name, c,
					  sim_router_now(r));
}

static const struct fastdp_endpoint *endpoint(const struct sim_router *r, uint32_t segment,
					      const uint8_t *mac)
{
	uint32_t owner = index_of_mac(r->sim, segment, mac);

	if (owner == UINT32_MAX || !r->kernel->endpoints[segment][owner].value.where)
		return NULL;
	return &r->kernel->endpoints[segment][owner].value;
}

static const struct fastdp_peer *peer_at(const struct sim_router *r,
					 const struct fastdp_endpoint *e)
{
	if (!e || e->where != FASTDP_AT_PEER || !r->kernel->peers[e->number].value.flags)
		return NULL;
	return &r->kernel->peers[e->number].value;
}

static bool carries(const struct sim_router *r, uint32_t segment)
{
	return segment == SEGMENT_DEFAULT || r->kernel->carried[segment];
}

bool sim_kernel_takes(struct sim_router *r, uint32_t segment, struct bytes frame)
{
	const struct fastdp_endpoint *to;

	if (!r->kernel || is_group(frame.data) || !carries(r, segment))
		return false;
	to = endpoint(r, segment, frame.data);
	if (decide_from_container(true, to, peer_at(r, to), frame.size <= FRAME_MAX) != TO_PEER)
		return false;
	count(r, to->number, 1, 0);
	sim_trace(r->sim, "kernel", r->index, to->number, r->kernel->peers[to->number].remote);
	send_frame(r->sim, r->index, r->kernel->peers[to->number].remote, segment, FASTDP_TTL,
		   frame);
	return true;
}

void sim_kernel_traffic(struct sim *s)
{
	for (unsigned i = 0; s->kernels && i < TRAFFIC && !s->failed; i++) {
		uint32_t a = (uint32_t)rng_below(&s->kernel_rng, s->count);
		uint32_t b = (uint32_t)rng_below(&s->kernel_rng, s->count);
		uint32_t segment = (uint32_t)rng_below(&s->kernel_rng,
						       s->segments ? s->segments : 1);

		if (a != b && tell(s->routers[a]) && sim_segment_key(s->routers[a], segment))
			sim_frame_send(s, a, b, segment,
				       (uint32_t)sim_between(&s->kernel_rng, 64, FRAME_MAX));
	}
}

/* Whose frames are taken from that host; UINT32_MAX: nobody's. */
static uint32_t source_of(const struct sim_kernel *k, uint32_t host)
{
	uint32_t found = UINT32_MAX;

	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		if (k->sessions[i].number && k->sessions[i].accepted &&
		    k->sessions[i].remote == host) {
			found = k->sessions[i].peer;
			if (!k->sessions[i].inherited)
				break;
		}
	return found;
}

static void deliver(struct sim_router *r, uint32_t segment, struct bytes frame)
{
	uint32_t owner = index_of_mac(r->sim, segment, frame.data);

	/* For one that nobody is known to have any more it is the unknown unicast of its sender's
	 * belief: the bridge floods it. */
	if (owner != r->index && endpoint(r, segment, frame.data))
		sim_fail(r->sim, "a kernel's frame for router %u came out at router %u", owner + 1,
			 r->index + 1);
	sim_frame_arrived(r, segment, frame);
}

static void frame_arrives(struct sim_router *r, const struct packet *p)
{
	struct bytes frame = bytes_of(p->data, p->size);
	struct from_peer in = { .via = source_of(r->kernel, p->from), .segment = p->segment };
	enum drop_reason why;

	sim_frame_in_datagram(r->sim, frame);
	if (in.via == UINT32_MAX)
		return;
	in.ttl = p->ttl;
	in.bridge = carries(r, p->segment) ? BRIDGE : 0;
	in.to_mac = p->data;
	in.from_mac = p->data + 6;
	in.to = endpoint(r, p->segment, in.to_mac);
	in.from = endpoint(r, p->segment, in.from_mac);
	in.to_peer = peer_at(r, in.to);
	in.from_peer = peer_at(r, in.from);
	if (r->sim->mutation == SIM_MUTATE_BLIND_KERNEL)
		in.to = NULL;
	switch (decide_from_peer(&in, &why)) {
	case TO_PEER:
		count(r, in.via, 0, 1);
		count(r, in.to->number, 1, 0);
		send_frame(r->sim, r->index, r->kernel->peers[in.to->number].remote, p->segment,
			   (uint8_t)(p->ttl - FASTDP_RELAY_COST), frame);
		break;
	case TO_PORT:
	case TO_BRIDGE:
		count(r, in.via, 0, 1);
		deliver(r, p->segment, frame);
		break;
	default:
		sim_trace(r->sim, "kernel dropped", r->index, p->from, why);
	}
}

/* ---- pings ---- */

static bool same_key(struct hash_key a, struct hash_key b)
{
	return a.k0 == b.k0 && a.k1 == b.k1;
}

static void answer(struct sim_router *r, const struct packet *ping, const struct session *session)
{
	struct packet p = {
		.type = PACKET_PONG,
		.from = r->index,
		.to = ping->from,
		.session = session->their_session,
		.token = ping->token,
		.frame_size = ping->frame_size,
		.proof = session->theirs,
		.by_hand = ping->by_hand,
		.says = (session->accepted ? FASTDP_ACCEPTS : 0u) |
			(ping->frame_size <= FRAME_MAX ? FASTDP_RELAYS : 0u),
	};

	send_packet(r->sim, &p);
}

static void arrives(struct sim *s, void *what, uint64_t number)
{
	struct packet *p = what;
	struct sim_router *r = s->routers[p->to];
	const struct session *session = NULL;

	(void)number;
	if (r->host_up && r->kernel && p->type == PACKET_FRAME)
		frame_arrives(r, p);
	else if (r->host_up && r->kernel)
		session = find_session(r->kernel, p->session);
	if (session && same_key(session->mine, p->proof)) {
		if (p->type == PACKET_PING) {
			answer(r, p, session);
		} else if (tell(r)) {
			router_on_pong(engine_router(r->engine), p->session, p->token, p->by_hand,
				       p->says, sim_router_ip(p->from), sim_router_now(r));
			sim_router_turn(r);
		}
	}
	mem_free(p);
}
