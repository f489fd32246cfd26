#include "sim_net.h"

#include <string.h>

#include <weave/alloc.h>

#include "../../router/sleeve_wire.h"
#include "sim_frames.h"
#include "sim_router.h"

#define HEADERS_SIZE 28u /* IPv4 and UDP */
#define HOST_MTU 1500u
#define REORDER_US (20 * SIM_MS)

struct datagram {
	struct netaddr from;
	uint32_t to;
	uint32_t size;
	uint8_t data[];
};

static void arrives(struct sim *s, void *what, uint64_t number)
{
	struct datagram *d = what;
	struct sim_router *r = s->routers[d->to];

	if (sim_router_runs(r) && !r->frozen) {
		sim_trace(s, "datagram", number, d->to, d->size);
		router_on_datagram(engine_router(r->engine), d->from, d->data, d->size,
				   sim_router_now(r));
		/* Opened by now, if it was sealed. */
		sim_frame_in_datagram(s, bytes_of(d->data, d->size));
		sim_router_turn(r);
	}
	mem_free(d);
}

/* Somebody on the path flips a bit or cuts the end off.  Only what is sealed is out for that: in
 * clear there is but the checksum of UDP, which an attacker would put right. */
static void tamper(struct sim *s, const struct sim_link *l, struct datagram *d)
{
	uint64_t bit;

	if (d->size == 0 || d->data[0] != SLEEVE_SEALED || !sim_chance(&s->net_rng, l->tamper_ppm))
		return;
	s->tampered++;
	if (sim_chance(&s->net_rng, 100000)) {
		d->size = (uint32_t)rng_below(&s->net_rng, d->size);
		return;
	}
	bit = rng_below(&s->net_rng, d->size * UINT64_C(8));
	d->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void send_copy(struct sim_router *r, const struct sim_link *l, uint32_t to,
		      const uint8_t *data, size_t size)
{
	struct sim *s = r->sim;
	struct datagram *d = mem_new(1, sizeof *d + size);
	uint64_t at = s->clock.now_us + l->delay_us + rng_below(&s->net_rng, l->jitter_us + 1);

	if (sim_chance(&s->net_rng, l->reorder_ppm))
		at += rng_below(&s->net_rng, REORDER_US);
	d->from = (struct netaddr){ sim_router_ip(r->index), SIM_PORT };
	d->to = to;
	d->size = (uint32_t)size;
	memcpy(d->data, data, size);
	tamper(s, l, d);
	sim_clock_add_owned(&s->clock, at, arrives, d, s->stats.datagrams);
}

void sim_datagram_send(struct sim_router *r, struct netaddr to, const uint8_t *data, size_t size)
{
	struct sim *s = r->sim;
	uint32_t index = sim_router_of_ip(s, to.ip);
	const struct sim_link *l;

	s->stats.datagrams++;
	s->stats.bytes_udp += size;
	r->bytes_out += size;
	if (index == UINT32_MAX || to.port != SIM_PORT)
		return;
	if (size + HEADERS_SIZE > HOST_MTU) {
		router_on_too_big(engine_router(r->engine), to, size, sim_router_now(r));
		return;
	}
	l = sim_link(s, r->index, index);
	if (l->cut || l->udp_cut || (l->mtu && size + HEADERS_SIZE > l->mtu) ||
	    sim_chance(&s->net_rng, l->loss_ppm))
		return;
	send_copy(r, l, index, data, size);
	if (sim_chance(&s->net_rng, l->dup_ppm))
		send_copy(r, l, index, data, size);
}

void sim_net_cut(struct sim *s, uint32_t a, uint32_t b, bool cut)
{
	sim_link(s, a, b)->cut = sim_link(s, b, a)->cut = cut;
	if (!cut)
		sim_net_resume(s);
}

void sim_net_heal(struct sim *s)
{
	for (uint32_t i = 0; i < s->count * s->count; i++)
		s->links[i].cut = s->links[i].udp_cut = s->links[i].stalled = false;
	sim_net_resume(s);
}
