/* One router of the simulated world: its engine, its clock, its disk, its bridge.
 *
 * Does for the engine what cmd/daemon.c and the `_io` files do: feeds events, carries out actions,
 * flushes the outbox, arms the deadline.  A crash forgets the engine; the disk stays.
 */
#ifndef WEAVE_SIM_ROUTER_H
#define WEAVE_SIM_ROUTER_H

#include <weave/engine.h>
#include <weave/table.h>

#include "sim.h"
#include "sim_disk.h"
#include "sim_segments.h"

#define SIM_PORT 6783u
#define SIM_WALL_START UINT64_C(1790000000)
#define SIM_NAMES_MAX 64u

/* A name that this router published: the model that the stores are compared with. */
struct sim_name {
	uint8_t kind;
	char key[32];
	char value[32]; /* empty: deleted */
};

struct sim_ipam;
struct sim_kernel;
struct sim_mirror;

struct sim_router {
	struct sim *sim;
	uint32_t index;
	peer_name name;
	uint64_t instance_top; /* highest bit of every instance id: 0 unless a scenario says more */
	struct rng secrets;
	struct gossip_config config; /* what every start begins from */
	struct sim_disk disk;
	struct sim_ipam *ipam;	   /* NULL: this world serves no addresses */
	struct sim_kernel *kernel; /* NULL: no fastdp here */
	int64_t wall_offset_s;
	uint64_t mono_offset_us; /* new at each start */

	struct engine *engine;	      /* NULL while not running */
	uint64_t incarnation;	      /* starts so far */
	bool host_up;		      /* the machine answers (with a refusal when nothing runs) */
	bool open[SIM_SEGMENTS_MAX];  /* by number, but for 0 */
	bool apart[SIM_SEGMENTS_MAX]; /* means another network by that number */
	bool frozen;		      /* the process does nothing, the kernel still takes bytes */
	struct table halves;	      /* of streams, by connection number */
	uint64_t armed_us;	      /* time of the timer event that counts */
	uint64_t last_deadline_us;
	uint32_t spins; /* turns in a row that left a deadline in the past */
	uint32_t events_to_check;
	uint64_t bytes_out;
	struct log log;

	struct sim_name names[SIM_NAMES_MAX];
	uint32_t names_count;
	struct sim_mirror *mirror; /* of the names that it would answer with */
};

struct sim_router *sim_router_new(struct sim *s, uint32_t index);
void sim_router_free(struct sim_router *r);

/* A world that changes its password goes from left to right. */
enum sim_passwords { SIM_OLD_PASSWORD, SIM_BOTH_PASSWORDS, SIM_NEW_PASSWORD };
/* What it accepts from now on, also after restarts; nothing where there is no password. */
void sim_router_set_passwords(struct sim_router *r, enum sim_passwords which);

void sim_router_start(struct sim_router *r);
/* The process dies; with 'host' the machine too, so that nobody is told. */
void sim_router_crash(struct sim_router *r, bool host);
/* Says goodbye, dies a second later. */
void sim_router_stop(struct sim_router *r);
void sim_router_freeze(struct sim_router *r, bool frozen);

static inline bool sim_router_runs(const struct sim_router *r)
{
	return r->engine != NULL;
}

struct mono sim_router_now(const struct sim_router *r);
struct gossip *sim_router_gossip(const struct sim_router *r);
struct ip_addr sim_router_ip(uint32_t index);
/* UINT32_MAX when the address is nobody's. */
uint32_t sim_router_of_ip(const struct sim *s, struct ip_addr ip);

/* After each event that was fed in: actions, outbox, timer, checks. */
void sim_router_turn(struct sim_router *r);

/* Publishes or (value "" ) deletes an entry of its own; kept in the model.  Names of containers
 * (kind NAME) are published as such, others as raw texts. */
void sim_router_put(struct sim_router *r, uint8_t kind, const char *key, const char *value);
/* Of kind NAME: of any writer. */
const struct entry *sim_router_find(const struct sim_router *r, uint8_t kind, const char *key);
bool sim_router_connect(struct sim_router *r, uint32_t to);

struct mac sim_router_mac(uint32_t index);

#endif
