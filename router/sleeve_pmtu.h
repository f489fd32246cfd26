/* How large a datagram the path of one connection carries: packetization-layer path MTU discovery
 * in the manner of RFC 8899.  Sizes are UDP payloads; all datagrams carry DF.
 *
 * Pure.  The path pulls probes and sends them; acknowledged ones raise the verified size.
 *
 *              start                nothing left to try
 *   STOPPED ---------> SEARCHING -------------------------> DONE
 *      ^                 ^    ^                              |
 *      | stop            |    | size confirmed, smaller      | 60 s, or large datagrams
 *    (any)               |    | than the most: try to raise  | reported missing
 *                        |    |                              v
 *                        |    +------------------------- VERIFYING
 *                        |  refused by the kernel, lost:     |
 *                        +---- back to the base size --------+
 *
 * A round sends several sizes at once, spread over what is left between the largest verified and
 * the smallest refused, so four rounds settle any range; each size gets three tries, each twice as
 * patient as the one before.  An acknowledgement that still comes later than that counts: it
 * proves that the size passes, and that what was taken as refused was only slow.
 *
 * Black holes: each heartbeat reports the largest datagram that arrived.  When larger ones were
 * sent and none came, the size is verified at once; confirmed by the next heartbeat, or not
 * verified in time, the path falls back to the base size and searches again.
 */
#ifndef WEAVE_ROUTER_SLEEVE_PMTU_H
#define WEAVE_ROUTER_SLEEVE_PMTU_H

#include <stdbool.h>

#include <weave/time.h>

/* 576, which every IPv4 path is taken to carry, less IPv4 and UDP headers. */
#define PMTU_BASE 548u
#define PMTU_PARALLEL 8u
#define PMTU_TRIES 3u
#define PMTU_SENT_RING 64u
#define PMTU_VERIFY_MS 60000u
#define PMTU_TIMEOUT_MIN_MS 20u
#define PMTU_TIMEOUT_MAX_MS 1000u

enum pmtu_state { PMTU_STOPPED, PMTU_SEARCHING, PMTU_DONE, PMTU_VERIFYING };

struct pmtu_probe {
	uint32_t id, size;
	bool acked, unsent;
};

struct pmtu {
	enum pmtu_state state;
	uint32_t base, max;
	uint32_t size;	  /* verified: what data may use */
	uint32_t refused; /* smallest size taken as too large; max + 1 while none is known */
	bool settled;	  /* 'size' is the result of a finished search, not a guess on the way */
	struct pmtu_probe probes[PMTU_PARALLEL]; /* this round's, by growing size */
	uint32_t probes_count, tries;
	uint32_t next_id;
	/* Sizes by id modulo the ring, of probes whose acknowledgement may come late.  Those before
	 * 'sent_first' tell of the path as it was before it came up or was suspected. */
	uint32_t sent[PMTU_SENT_RING];
	uint32_t sent_first;
	uint32_t timeout_ms; /* of the first try */
	uint32_t strikes;    /* reports in a row that missed our large datagrams */
	struct mono due;
	uint64_t black_holes; /* falls back to the base size */
};

void pmtu_init(struct pmtu *p, uint32_t max);

/* The first link carries more or less than before. */
void pmtu_set_max(struct pmtu *p, uint32_t max, struct mono now);

/* The path came up or changed: from the base size upwards. */
void pmtu_start(struct pmtu *p, uint32_t rtt_ms, struct mono now);
/* The path is down: nothing is known any more. */
void pmtu_stop(struct pmtu *p);

/* Learns the round-trip time, which sets the patience of later tries. */
void pmtu_rtt(struct pmtu *p, uint32_t rtt_ms);

/* A probe arrived as a datagram of 'size' bytes. */
void pmtu_on_ack(struct pmtu *p, uint32_t id, uint32_t size, struct mono now);
/* The kernel refused a datagram of 'size' bytes. */
void pmtu_on_too_big(struct pmtu *p, uint32_t size, struct mono now);
/* Of the datagrams sent between two heartbeats the largest had 'sent' bytes; the largest that
 * arrived had 'arrived'. */
void pmtu_on_report(struct pmtu *p, uint32_t sent, uint32_t arrived, struct mono now);

/* The next probe to send now; false when there is none (yet). */
bool pmtu_pull(struct pmtu *p, struct mono now, uint32_t *id, uint32_t *size);
struct mono pmtu_deadline(const struct pmtu *p);

void pmtu_check(const struct pmtu *p);

#endif
