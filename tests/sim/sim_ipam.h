/* Addresses in the simulated world: on each host a disk with rows, containers, and what operators
 * ask for; over all of them what the world knows and no router does.
 *
 * Does for the engine what the daemon's store and plugin do.  Containers live on hosts: they go on
 * while the router is down, and die with the machine.  A container counts as having an address
 * from the answer that told it until it dies.
 */
#ifndef WEAVE_SIM_IPAM_H
#define WEAVE_SIM_IPAM_H

#include <weave/engine.h>

#include "sim.h"
#include "sim_rows.h"

#define SIM_UNIVERSES ENGINE_UNIVERSES_MAX
#define SIM_RINGS_MAX 8u /* different ones that a world keeps apart in one universe */
#define SIM_LATE_MAX 64u
#define SIM_IPAM_ROUTERS_MAX 16u

struct sim_router;

/* Where a container lives in one universe. */
struct sim_home {
	bool has;
	uint64_t offset, ring_id;
	/* Somebody else may rightly be told this address: control-plane.md 6.6, exceptions of
	 * invariant 1. Then it must be reported. */
	bool excused;
};

struct sim_container {
	uint64_t id;
	bool alive;
	struct sim_home home[SIM_UNIVERSES];
};

enum sim_request_kind { SIM_ALLOCATE, SIM_CLAIM, SIM_PRIME, SIM_REMOVE, SIM_RESET };

struct sim_request {
	uint64_t number;
	enum sim_request_kind kind;
	size_t universe;
	uint64_t container;
	uint64_t offset;  /* CLAIM */
	peer_name victim; /* REMOVE */
	uint64_t asked_us;
};

/* What is looked at again only when it changed. */
struct sim_seen {
	struct hash128 published, ring;
	uint64_t published_us; /* when it changed */
	uint64_t ring_id, owned_size;
	size_t owned_count;
	bool ready, in_sync;
	uint64_t met_us[SIM_IPAM_ROUTERS_MAX]; /* since when that one is a neighbour; 0: is not */
};

/* Part of a struct sim_router in a world that serves addresses. */
struct sim_ipam {
	struct ipam_config config[SIM_UNIVERSES]; /* what every start begins from */
	struct sim_rows rows, snapshot;
	bool has_snapshot;
	uint64_t snapshot_generation, snapshot_store;
	struct sim_container *containers;
	size_t containers_count, containers_room;
	struct sim_request *requests;
	size_t requests_count, requests_room;
	bool syncing, lazy; /* a sync is under way; one will be, sooner or later */
	bool disk_fails, disk_told;
	bool dead; /* the machine never comes back */
	/* What may make it believe for a while what is not so any more: 'stale' until it has caught
	 * up with all. */
	bool removed, restored, lost;
	bool stale;
	bool said_dead;			    /* by somebody who could not reach it, or insisted */
	uint64_t looked_us;		    /* whether it has */
	bool forced[SIM_IPAM_ROUTERS_MAX];  /* its operator took that one over by force once, */
	bool insists[SIM_IPAM_ROUTERS_MAX]; /* and that is what goes on now */
	bool erase;			    /* reset has been answered with yes */
	unsigned orphans;		    /* stores of this name that are gone for good */
	struct sim_seen seen[SIM_UNIVERSES];
};

/* The newest value that is, or was, durable anywhere. */
struct sim_truth {
	uint64_t ring_id;
	struct run *at; /* by offset; start == end: nothing was ever written */
	/* Somebody who was removed, restored or erased believed to own it after it was another's
	 * already, or it was taken over by force: what then was told and given away there is
	 * excused. */
	bool *tainted;
};

struct sim_late {
	bool used;
	peer_name from, to;	/* message */
	struct entry_view view; /* entry: borrows from 'bytes' */
	uint8_t *bytes;
	size_t size;
};

struct sim_addresses {
	size_t universes;
	struct universe universe[SIM_UNIVERSES];
	struct sim_truth truths[SIM_UNIVERSES][SIM_RINGS_MAX];
	uint64_t ring_id[SIM_UNIVERSES]; /* of the first ring, 0: none yet */
	bool rings_may_differ;		 /* wrong N, other seeds, or too many erased voters */
	bool ring_is_due;		 /* all voters are there, and somebody has asked */
	bool space_may_be_lost; /* erased before others knew, or owners that nobody removed */
	bool probing;		/* peace: a refusal must be true */
	uint64_t containers, requests; /* made so far */
	struct sim_late messages[SIM_LATE_MAX], entries[SIM_LATE_MAX];
	/* for the summary */
	uint64_t told, refused, cancelled, takeovers, resets, restores, losses, crashes, excused,
		late, disputes;
};

/* 'universes' of them; the configuration of each router is made by the caller. */
void sim_ipam_init(struct sim *s, const struct universe *universes, size_t count);
void sim_ipam_fini(struct sim *s);

/* ---- called by the router's world ---- */
void sim_ipam_configure(struct sim_router *r, struct engine_config *config);
/* Loads the rows; engine_start follows. */
void sim_ipam_load(struct sim_router *r);
/* What the daemon does first: frees what does not live, finds what lives. */
void sim_ipam_started(struct sim_router *r);
void sim_ipam_crashed(struct sim_router *r, bool host); /* the engine is still there */
void sim_ipam_act(struct sim_router *r, const struct engine_action *a);
void sim_ipam_turned(struct sim_router *r); /* all actions were carried out */
/* What goes out on a stream. */
void sim_ipam_watch(struct sim_router *r, struct bytes bytes);

/* ---- what users and operators do; each ends in sim_router_turn ---- */
void sim_ipam_allocate(struct sim_router *r, struct sim_container *c, size_t universe);
void sim_ipam_claim(struct sim_router *r, struct sim_container *c, size_t universe,
		    uint64_t offset);
void sim_ipam_prime(struct sim_router *r, size_t universe);
void sim_ipam_remove(struct sim_router *r, size_t universe, uint32_t victim, uint64_t store_id,
		     bool force);
void sim_ipam_reset(struct sim_router *r, bool force);
void sim_ipam_cancel(struct sim_router *r, size_t request);
struct sim_container *sim_container_new(struct sim_router *r);
/* Frees at once, or after the grace. */
void sim_container_kill(struct sim_router *r, struct sim_container *c, bool grace);
/* It is seen running again, with the address that is kept for it. */
void sim_container_revive(struct sim_router *r, struct sim_container *c);
bool sim_container_waits(const struct sim_router *r, const struct sim_container *c,
			 size_t universe);
void sim_ipam_forget_dead(struct sim_router *r);

/* ---- disks ---- */
/* Of what only disks knew that are gone, nobody can know anything: notes it. */
void sim_ipam_look_for_losses(struct sim *s);
void sim_ipam_lose_disk(struct sim_router *r);
void sim_ipam_snapshot(struct sim_router *r);
bool sim_ipam_restore(struct sim_router *r);
void sim_ipam_disk_fails(struct sim_router *r, bool fails);

/* ---- the past ---- */
void sim_ipam_remember_entries(struct sim *s, struct sim_router *r);
void sim_ipam_replay(struct sim *s);

/* The newest durable value at the offset; NULL when there is none. */
const struct run *sim_ipam_truth(const struct sim *s, size_t universe, uint64_t ring_id,
				 uint64_t offset);
bool sim_ipam_is_tainted(const struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset);
void sim_ipam_taint(struct sim *s, size_t universe, uint64_t ring_id, uint64_t offset);
/* The ring that its disk knows; 0: none. */
uint64_t sim_ipam_disk_ring(const struct sim_router *r, size_t universe);
bool sim_ipam_disk_has_ring(const struct sim_router *r, size_t universe, uint64_t ring_id);
struct ipam *sim_ipam_of(const struct sim_router *r, size_t universe); /* NULL: not running */
uint32_t sim_ipam_index(const struct sim *s, peer_name name);	       /* UINT32_MAX: nobody */

#endif
