/* The control plane's way to the world: its sockets and its state file.
 *
 * Control connections on real sockets: listens, dials, moves bytes between TCP and the gossip
 * object, resolves target names.
 *
 * Loop thread.  Owns the sockets; the gossip object is borrowed and must outlive it.  Callbacks of
 * libev only feed events into gossip; the owner of the loop drains gossip's actions once per turn
 * and hands DIAL, CLOSE, WRITE and RESOLVE to the functions below.
 */
#ifndef WEAVE_GOSSIP_IO_H
#define WEAVE_GOSSIP_IO_H

#include <weave/gossip.h>
#include <weave/limits.h>

struct ev_loop;
struct connections;

struct connections_config {
	struct ip_addr host; /* listen and dial from here; family 0 = any address */
	uint16_t port;
};

/* 0 or a negative errno with 'why' naming the address. On success *out is owned by the caller. */
int connections_new(struct ev_loop *loop, const struct connections_config *config, struct log *log,
		    struct connections **out, struct why *why);
/* Starts to accept; 'gossip' gets all events from now on. */
void connections_start(struct connections *c, struct gossip *gossip);
void connections_free(struct connections *c);

/* Carry out one of gossip's actions (DIAL, CLOSE, WRITE, RESOLVE). */
void connections_do(struct connections *c, const struct gossip_action *action);

/* True while closing connections still have bytes to send (at most a second each). */
bool connections_draining(const struct connections *c);

/* ---- the state file ---- */

/* What a router must remember over restarts: its name, generation, store id and targets.
 *
 * A small text file `router.state` in the state folder, one "key value" a line, closed by a hash
 * of all before it; written to a new file, synced, renamed over the old one, folder synced.  A
 * file that was cut or changed is set aside as `router.state.damaged` and reported: the router then
 * starts like a new one under the name it is given, and learns from its peers.  Loop thread;
 * writing blocks for one or two syncs.
 */
struct router_state {
	peer_name name;	     /* NONE in a new state */
	uint64_t generation; /* of the latest start; 0 in a new state */
	uint64_t store_id;   /* of the addresses (<weave/ipam_io.h>) made last; 0: none yet */
	char **targets;	     /* operator's, as typed; owned */
	size_t targets_count;
};

enum state_loaded { STATE_FOUND, STATE_NEW, STATE_DAMAGED };

/* Reads 'folder'/router.state, making the folder if it is not there.  0 with *how; DAMAGED fills
 * 'why' too (what was wrong, where the file went). Negative errno with 'why' when the folder cannot
 * be used at all. On success the caller frees with state_fini. */
int state_load(const char *folder, struct router_state *state, enum state_loaded *how,
	       struct why *why);
void state_fini(struct router_state *state);

/* Replaces the list by copies of 'texts'. */
void state_set_targets(struct router_state *state, const char *const *texts, size_t count);

/* Durable when it returns 0; else a negative errno with 'why', and the old file is untouched. */
int state_save(const char *folder, const struct router_state *state, struct why *why);

/* Removes what state_load and state_save made; the folder too if it is then empty. */
int state_remove(const char *folder, struct why *why);

#endif
