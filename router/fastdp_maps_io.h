/* The kernel's programs and maps: loading them, taking over those of an earlier life, reading and
 * writing the maps.
 *
 * Loop thread.  Programs and maps live in the kernel as long as something there holds them: an
 * interface the programs, the programs the maps.  So they outlive the daemon, and the next one
 * finds the maps through the program at its VXLAN device.
 */
#ifndef WEAVE_ROUTER_FASTDP_MAPS_IO_H
#define WEAVE_ROUTER_FASTDP_MAPS_IO_H

#include <weave/bpf_maps.h>
#include <weave/drop.h>
#include <weave/fastdp.h>
#include <weave/net_tunnel.h>
#include <weave/why.h>

struct fastdp_bpf;

enum fastdp_map {
	MAP_CONFIG,
	MAP_PORTS,
	MAP_ENDPOINTS,
	MAP_SEGMENTS,
	MAP_ADDRESSES,
	MAP_PEERS,
	MAP_SOURCES,
	MAP_SESSIONS,
	MAP_TRAFFIC,
	MAP_DROPS,
	MAP_EVENTS,
	MAPS_COUNT
};

struct fastdp_maps {
	struct fastdp_bpf *programs;
	int fds[MAPS_COUNT];
	bool taken_over; /* what an earlier life knew is in them */
	int cpus;
	void *scratch; /* a value of each CPU */
};

/* Loads, with the maps of the program that is at 'ifindex' under 'mark' if they fit. */
int fastdp_maps_load(struct fastdp_maps *m, int ifindex, uint32_t mark, struct why *why);
void fastdp_maps_unload(struct fastdp_maps *m); /* what is attached stays */

enum fastdp_program {
	PROGRAM_CONTAINER,
	PROGRAM_HOST,
	PROGRAM_ROUTER,
	PROGRAM_UNDERLAY,
	PROGRAM_VXLAN,
	PROGRAM_PING
};
int fastdp_program_fd(const struct fastdp_maps *m, enum fastdp_program program);

/* 0 or a negative errno; removing what is not there: 0. */
int fastdp_map_set(const struct fastdp_maps *m, enum fastdp_map map, const void *key,
		   const void *value);
int fastdp_map_remove(const struct fastdp_maps *m, enum fastdp_map map, const void *key);
bool fastdp_map_get(const struct fastdp_maps *m, enum fastdp_map map, const void *key, void *value);
/* The key after 'after' (NULL: the first) in no particular order; false at the end. */
bool fastdp_map_next(const struct fastdp_maps *m, enum fastdp_map map, const void *after,
		     void *key);

/* Sums over all CPUs. */
struct fastdp_counters fastdp_maps_traffic(const struct fastdp_maps *m, uint32_t slot);
/* A peer's slot goes to another: from zero. */
void fastdp_maps_reset_traffic(const struct fastdp_maps *m, uint32_t slot);
void fastdp_maps_drops(const struct fastdp_maps *m, struct drop_counters *drops);

struct fastdp_address fastdp_address_of(struct ip_addr ip);
struct ip_addr fastdp_ip_of(const struct fastdp_address *a);

#endif
