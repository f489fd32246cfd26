/* One simulated world: routers, the network between them, virtual time, and what is watched.
 *
 * A run is a seed: everything random comes from it, nothing from the machine.  Each router is a
 * `struct engine`, the object that the daemon runs.  One thread; several worlds may live in one
 * process, one after the other.
 */
#ifndef WEAVE_SIM_H
#define WEAVE_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <weave/rng.h>

#include "sim_clock.h"

#define SIM_ROUTERS_MAX 1000u
#define SIM_SCRATCH_SIZE 65536u

struct sim_router;
struct sim_stream;
struct sim_addresses;

/* Faults put into the world or the checker on purpose: each must turn a run red, which proves that
 * the check can fail (docs/why/simulator.md).
 * X(name, text, what it does) */
#define SIM_MUTATIONS(X)                                                                           \
	X(NONE, "none", "nothing")                                                                 \
	X(DOUBLE_FRAME, "double-frame", "a bridge gets each frame twice")                          \
	X(LOST_FRAME, "lost-frame", "one bridge gets no frames")                                   \
	X(LOST_ENTRY, "lost-entry", "an entry vanishes from one store before the check")           \
	X(HIDDEN_PEER, "hidden-peer", "the check sees one peer as unreachable")                    \
	X(WRONG_HOP, "wrong-hop", "the check walks a route one peer aside")                        \
	X(WRONG_PARENT, "wrong-parent", "the check reads another parent in a broadcast tree")      \
	X(DEAF_TIMER, "deaf-timer", "no timer fires any more")                                     \
	X(LOST_CLOSE, "lost-close", "a reason for closing is read as another one")                 \
	X(LEAK, "leak", "memory grows while a neighbour does not read")                            \
	X(RANDOM, "random", "the address of a variable enters the trace")                          \
	X(LOST_BYTES, "lost-bytes", "a stream loses a byte now and then")                          \
	X(STALE_NAME, "stale-name", "the check expects a name that was deleted")                   \
	X(LONE_LINK, "lone-link", "the check misses a published link")                             \
	X(SELF_DIAL, "self-dial", "the check takes one neighbour for the router itself")           \
	X(OTHER_BRIDGE, "other-bridge", "now and then a frame goes to another segment's bridge")   \
	X(OTHER_NETWORK, "other-network", "a number means the same to all, whatever they say")     \
	X(BLIND_KERNEL, "blind-kernel", "a kernel takes each frame for one of its own bridge's")   \
	X(LOOP, "loop", "each datagram with a frame is sent a hundred times")                      \
	X(LASTING_NAME, "lasting-name", "a name that cannot be found any more is answered still")  \
	X(EARLY_SYNC, "early-sync", "a disk says that rows are durable before they are")           \
	X(LOST_ROW, "lost-row", "a crash costs a disk one of the rows that were durable")          \
	X(WRONG_ADDRESS, "wrong-address", "the check reads another address in an answer")          \
	X(LOST_ANSWER, "lost-answer", "one answer in ten does not reach who asked")

enum sim_mutation {
#define X(name, text, what) SIM_MUTATE_##name,
	SIM_MUTATIONS(X)
#undef X
		SIM_MUTATIONS_COUNT
};

/* From here on they need a world that serves addresses. */
#define SIM_MUTATIONS_IPAM SIM_MUTATE_EARLY_SYNC

const char *sim_mutation_text(enum sim_mutation m);
const char *sim_mutation_what(enum sim_mutation m);

/* One direction between two routers. */
struct sim_link {
	uint32_t delay_us, jitter_us;
	uint32_t loss_ppm, dup_ppm, reorder_ppm;
	uint32_t tamper_ppm; /* sealed datagrams that somebody changes on their way */
	uint16_t mtu;	     /* larger datagrams vanish; 0 = no limit */
	bool cut;	     /* nothing passes */
	bool udp_cut;	     /* no datagrams */
	bool stalled;	     /* the receiver does not read its streams from there */
};

struct sim_stats {
	uint64_t events, bytes_tcp, bytes_udp, datagrams, segments, dials, closes, frames;
};

/* A frame on its way: what was sent, and how often it came out where. */
struct sim_frame {
	uint64_t id, sent_us;
	uint32_t from, to; /* router indexes; to = UINT32_MAX for everybody */
	uint32_t segment;
	const char *key; /* what the sender meant by it */
	uint32_t size;
	uint32_t hops; /* datagrams that arrived with it or a piece of it */
	uint8_t *delivered;
};

struct sim {
	uint64_t seed;
	struct sim_clock clock;
	struct rng rng;	    /* of the schedule */
	struct rng net_rng; /* of the network and the disks */
	struct rng kernel_rng;
	bool kernels; /* most routers have a data path in the kernel (sim_kernel.h) */
	enum sim_mutation mutation;

	struct sim_router **routers; /* by index from 0 */
	uint32_t count;
	uint32_t segments;	/* numbers from 0; 0: only the default one */
	struct sim_link *links; /* [from * count + to] */
	struct sim_stream *streams;
	uint64_t streams_made;
	uint32_t window_min, window_max; /* send windows of streams */

	struct sim_addresses *addresses; /* NULL: nobody serves any (sim_ipam.h) */

	struct sim_frame *frames;
	uint32_t frames_count, frames_room;
	uint64_t frames_first, frame_next; /* ids */
	uint32_t duplicates_max;	   /* of a frame at one bridge, while faults happen */

	uint32_t check_every; /* engine_check after each so many events of a router */
	bool check_goodbyes;
	uint64_t goodbyes; /* that were compared */
	uint64_t tampered; /* datagrams that were changed */

	bool failed;
	char failure[480];
	uint64_t hash; /* of the trace */
	FILE *trace;   /* NULL: no text */
	struct sim_stats stats;
	uint8_t *scratch; /* SIM_SCRATCH_SIZE */
};

void sim_init(struct sim *s, uint64_t seed, uint32_t routers);
void sim_fini(struct sim *s);

/* The first failure counts; the run then ends. */
void sim_fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Everything that happens goes through here: into the hash always, as text if wanted. */
void sim_trace(struct sim *s, const char *what, uint64_t a, uint64_t b, uint64_t c);

/* Lets time pass up to that moment; stops early when something failed. */
void sim_run_until(struct sim *s, uint64_t until_us);
static inline void sim_run(struct sim *s, uint64_t us)
{
	sim_run_until(s, s->clock.now_us + us);
}

struct sim_link *sim_link(struct sim *s, uint32_t from, uint32_t to);

/* Random in [low, high]. */
static inline uint64_t sim_between(struct rng *rng, uint64_t low, uint64_t high)
{
	return low + rng_below(rng, high - low + 1);
}
static inline bool sim_chance(struct rng *rng, uint32_t ppm)
{
	return ppm && rng_below(rng, 1000000) < ppm;
}

#endif
