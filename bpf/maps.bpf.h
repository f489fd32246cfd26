/* The maps of all kernel programs; <weave/bpf_maps.h> says what is in them.
 *
 * Every object defines the same ones; linking makes them one.  The peers are in a hash table, not
 * in an array, so that replacing one is atomic: no packet ever goes half by the old way.
 */
#ifndef WEAVE_BPF_MAPS_BPF_H
#define WEAVE_BPF_MAPS_BPF_H

#include <stdint.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <weave/bpf_maps.h>
#include <weave/drop.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct fastdp_config);
} config __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FASTDP_PORTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, uint32_t);
	__type(value, struct fastdp_port);
} ports __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FASTDP_ENDPOINTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fastdp_mac);
	__type(value, struct fastdp_endpoint);
} endpoints __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FASTDP_SEGMENTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, uint32_t);
	__type(value, struct fastdp_bridge);
} segments __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FASTDP_ADDRESSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fastdp_ip);
	__type(value, struct fastdp_ip_mac);
} addresses __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FASTDP_PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, uint32_t);
	__type(value, struct fastdp_peer);
} peers __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FASTDP_PEERS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct fastdp_address);
	__type(value, struct fastdp_source);
} sources __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FASTDP_SESSIONS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, uint32_t);
	__type(value, struct fastdp_session);
} sessions __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FASTDP_PEERS_MAX);
	__type(key, uint32_t);
	__type(value, struct fastdp_traffic);
} traffic __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_REASONS_COUNT);
	__type(key, uint32_t);
	__type(value, uint64_t);
} drops __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, FASTDP_EVENTS_SIZE);
} events __weak SEC(".maps");

static __always_inline struct fastdp_config *get_config(void)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

/* The router's port at that segment's bridge; 0: we do not have it. */
static __always_inline uint32_t find_bridge(const struct fastdp_config *c, uint32_t segment)
{
	struct fastdp_bridge *bridge;

	if (segment == 0)
		return c->bridge_port_ifindex;
	bridge = bpf_map_lookup_elem(&segments, &segment);
	return bridge ? bridge->port_ifindex : 0;
}

static __always_inline struct fastdp_endpoint *find_endpoint(uint32_t segment, const uint8_t *mac)
{
	struct fastdp_mac key = { .segment = segment };

	__builtin_memcpy(key.mac, mac, sizeof key.mac);
	return bpf_map_lookup_elem(&endpoints, &key);
}

static __always_inline void count_out(uint32_t slot, uint32_t bytes)
{
	struct fastdp_traffic *t = bpf_map_lookup_elem(&traffic, &slot);

	if (t) {
		t->frames_out++;
		t->bytes_out += bytes;
	}
}

static __always_inline void count_in(uint32_t slot, uint32_t bytes)
{
	struct fastdp_traffic *t = bpf_map_lookup_elem(&traffic, &slot);

	if (t) {
		t->frames_in++;
		t->bytes_in += bytes;
	}
}

static __always_inline void count_drop(uint32_t reason)
{
	uint64_t *n = bpf_map_lookup_elem(&drops, &reason);

	if (n)
		(*n)++;
}

#endif
