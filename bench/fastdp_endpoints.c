/* How long it takes to tell the kernel of many endpoints: of new ones, of as many that moved to
 * another peer, of their disappearance.
 *
 *	make build/release/bench/fastdp_endpoints && build/release/bench/fastdp_endpoints [count]
 *[rounds]
 *
 * In a network namespace of its own, with the router object, the store and the kernel's maps as the
 * daemon has them; as root.  Each endpoint has an IPv4 address.
 */
#include <ev.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weave/alloc.h>
#include <weave/engine.h>
#include <weave/fastdp_io.h>
#include <weave/must.h>
#include <weave/sockaddr_io.h>

#include "../router/kind_endpoint.h"

#define SELF 1u

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void merge(struct engine *e, uint8_t kind, peer_name writer, uint64_t version,
		  struct writer *key, struct writer *value)
{
	struct entry_view v = {
		.kind = kind, .writer = writer, .generation = 1, .version = version
	};

	v.key = writer_bytes(key);
	v.value = value ? writer_bytes(value) : bytes_of(NULL, 0);
	v.flags = value ? 0 : ENTRY_TOMBSTONE;
	MUST(!store_check(gossip_store(engine_gossip(e)), &v));
	store_merge(gossip_store(engine_gossip(e)), &v, 1, mono_now());
}

static void add_peer(struct engine *e, peer_name name)
{
	struct topology *t = gossip_topology(engine_gossip(e));
	struct peer_info p = { .name = name, .protocol_min = 3, .protocol_max = 3, .port = 6783 };
	uint8_t k[ENTRY_KEY_MAX], b[ENTRY_SIZE_MAX];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);

	strcpy(p.nickname, "n");
	strcpy(p.software, "s");
	peer_info_key(name, &key);
	peer_info_encode(&p, &value);
	merge(e, KIND_PEER, name, 1, &key, &value);
	topology_direct(t, name, true);
	topology_update(t);
}

/* 'claim' 0: gone. */
static void put(struct engine *e, peer_name peer, uint32_t number, uint32_t claim, uint64_t version)
{
	struct endpoint_entry entry = {
		.mac = mac_from_u64(UINT64_C(0x020000000000) + number),
		.peer = peer,
		.claim = claim,
		.ips_count = 1,
	};
	uint8_t k[ENDPOINT_KEY_SIZE], b[ENDPOINT_VALUE_MAX];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);

	entry.ips[0] = (struct ip_addr){
		4, { 10, (uint8_t)(32 + (number >> 16)), (uint8_t)(number >> 8), (uint8_t)number }
	};
	endpoint_entry_key(&entry, &key);
	endpoint_entry_value(&entry, &value);
	merge(e, KIND_ENDPOINT, peer, version, &key, claim ? &value : NULL);
}

static double flush(struct fastdp_io *f)
{
	double start = now_ms();

	fastdp_io_flush(f);
	return now_ms() - start;
}

int main(int argc, char **argv)
{
	uint32_t count = argc > 1 ? (uint32_t)atol(argv[1]) : 10000;
	int rounds = argc > 2 ? atoi(argv[2]) : 5;
	struct fastdp_io_config io = { .self = SELF, .bridge = "weave", .port = 6784, .mtu = 1376 };
	struct engine_config config = { 0 };
	struct fastdp_io *f;
	struct engine *e;
	struct net *net;
	struct why why;

	MUST(unshare(CLONE_NEWNET) == 0);
	MUST(net_open(&net) == 0);
	if (fastdp_io_new(&io, net, NULL, &f, &why)) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	config.gossip.name = SELF;
	strcpy(config.gossip.nickname, "bench");
	config.gossip.port = 6783;
	config.gossip.instance = config.gossip.store_id = config.gossip.generation = 1;
	config.gossip.protocol_min = config.gossip.protocol_max = 3;
	config.router.mtu = io.mtu;
	config.router.datagram_max = 1472;
	config.router.fastdp_port = io.port;
	e = engine_new(&config, mono_now(), NULL);
	fastdp_io_start(f, ev_default_loop(EVFLAG_AUTO), engine_router(e));
	add_peer(e, 2);
	add_peer(e, 3);
	flush(f);
	printf("%u endpoints: ms to tell the kernel of new ones, moved ones, and that they are "
	       "gone\n",
	       count);
	for (int round = 0; round < rounds; round++) {
		uint64_t version = (uint64_t)round * 10 + 10;
		double added, moved, gone;

		for (uint32_t i = 0; i < count; i++)
			put(e, 2, i, 1, version);
		added = flush(f);
		for (uint32_t i = 0; i < count; i++)
			put(e, 3, i, 2, version);
		moved = flush(f);
		for (uint32_t i = 0; i < count; i++) {
			put(e, 2, i, 0, version + 1);
			put(e, 3, i, 0, version + 1);
		}
		gone = flush(f);
		printf("%8.1f %8.1f %8.1f\n", added, moved, gone);
	}
	return 0;
}
