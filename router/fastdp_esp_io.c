/* Associations and guards of sealed paths (esp.h), as the kernel's XFRM has them. */
#include "fastdp_state_io.h"

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/net_xfrm.h>
#include <weave/sockaddr_io.h>

static struct net_guard guard_of(const struct fastdp_io *f, const struct fastdp_op *op)
{
	return (struct net_guard){
		.bridge = f->config.bridge,
		.number = op->guard,
		.remote = op->remote,
		.port = f->config.port,
	};
}

/* Our address on the way there; while there is no way, what it was when there was one. */
static bool local_of(struct fastdp_io *f, struct ip_addr remote, struct ip_addr *local)
{
	struct net_way way;

	if (net_way_to(f->net, remote, &way) == 0 && way.local.family == remote.family) {
		*local = way.local;
		return true;
	}
	for (size_t i = 0; i < f->sessions_count; i++) {
		if (ip_compare(f->sessions[i].remote, remote) != 0)
			continue;
		*local = fastdp_ip_of(&f->sessions[i].value.way.local);
		return local->family == remote.family;
	}
	return false;
}

static size_t local_at(const struct fastdp_io *f, uint32_t spi)
{
	size_t i = 0;

	while (i < f->inbound_count && f->inbound[i].spi != spi)
		i++;
	return i;
}

/* To remove it, the address that it was added with is wanted. */
static void note_inbound(struct fastdp_io *f, uint32_t spi, struct ip_addr local)
{
	if (f->inbound_count == f->inbound_room) {
		f->inbound_room = f->inbound_room ? f->inbound_room * 2 : 16;
		f->inbound = mem_resize(f->inbound, f->inbound_room, sizeof *f->inbound);
	}
	f->inbound[f->inbound_count++] = (struct fastdp_inbound){ spi, local };
}

static void refuse(struct fastdp_io *f, const struct fastdp_op *op, const char *why)
{
	char text[IP_TEXT_SIZE];

	log_warning(f->log, "no sealed fastdp to %s: %s", ip_text(op->remote, text), why);
	router_on_fastdp_refused(f->router, op, why, mono_now());
}

static void add(struct fastdp_io *f, struct net_sa *sa, const struct fastdp_op *op)
{
	if (!sa->out && !local_of(f, op->remote, &sa->local)) {
		refuse(f, op, "no route to the other end");
		return;
	}
	if (net_sa_add(f->xfrm, sa))
		refuse(f, op, net_error(f->xfrm));
	else if (!sa->out)
		note_inbound(f, sa->spi, sa->local);
}

static void remove_sa(struct fastdp_io *f, struct net_sa *sa)
{
	if (!sa->out) {
		size_t i = local_at(f, sa->spi);

		if (i == f->inbound_count)
			return;
		sa->local = f->inbound[i].local;
		f->inbound[i] = f->inbound[--f->inbound_count];
	}
	/* It expires by itself. */
	if (net_sa_remove(f->xfrm, sa))
		log_warning(f->log, "%s", net_error(f->xfrm));
}

void fastdp_do_sa(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct net_sa sa = {
		.guard = guard_of(f, op),
		.out = op->out,
		.spi = op->spi,
		.expires_s = op->expires_s,
		.key = op->sa_key,
	};

	if (op->remove)
		remove_sa(f, &sa);
	else
		add(f, &sa, op);
}

static size_t guard_at(const struct fastdp_io *f, struct ip_addr remote)
{
	size_t i = 0;

	while (i < f->guards_count && ip_compare(f->guards[i], remote) != 0)
		i++;
	return i;
}

bool fastdp_is_guarded(const struct fastdp_io *f, struct ip_addr remote)
{
	return guard_at(f, remote) < f->guards_count;
}

void fastdp_do_guard(struct fastdp_io *f, const struct fastdp_op *op)
{
	struct net_guard guard = guard_of(f, op);
	size_t i = guard_at(f, op->remote);

	if (op->remove) {
		if (net_guard_remove(f->xfrm, &guard))
			log_warning(f->log, "%s", net_error(f->xfrm));
		if (i < f->guards_count)
			f->guards[i] = f->guards[--f->guards_count];
		return;
	}
	if (op->guard > NET_GUARDS_MAX) {
		refuse(f, op, "too many addresses");
		return;
	}
	if (net_guard_set(f->xfrm, &guard, op->spi)) {
		refuse(f, op, net_error(f->xfrm));
		return;
	}
	if (i < f->guards_count)
		return;
	if (f->guards_count == f->guards_room) {
		f->guards_room = f->guards_room ? f->guards_room * 2 : 16;
		f->guards = mem_resize(f->guards, f->guards_room, sizeof *f->guards);
	}
	f->guards[f->guards_count++] = op->remote;
}

/* A kernel without IPv6's ESP refuses each of its paths, which then says so. */
bool fastdp_open_esp(struct fastdp_io *f, struct why *why)
{
	int rc = net_xfrm_open(&f->xfrm);

	if (rc) {
		why_set(why, WHY_ABSENT, "this kernel has no IPsec: %s", strerror(-rc));
		return false;
	}
	if (net_xfrm_probe(f->xfrm, 4)) {
		why_set(why, WHY_ABSENT, "this kernel has no ESP: %.150s", net_error(f->xfrm));
		return false;
	}
	return true;
}

void fastdp_close_esp(struct fastdp_io *f)
{
	net_close(f->xfrm);
	mem_free(f->inbound);
	mem_free(f->guards);
}
