/* What a router must remember over restarts: its name, generation, store id and targets.
 *
 * A small text file `router.state` in the state folder, one "key value" a line, closed by a hash
 * of all before it; written to a new file, synced, renamed over the old one, folder synced.  A
 * file that was cut or changed is set aside as `router.state.damaged` and reported: the router then
 * starts like a new one under the name it is given, and learns from its peers.  Loop thread;
 * writing blocks for one or two syncs.
 */
#ifndef WEAVE_GOSSIP_STATE_FILE_IO_H
#define WEAVE_GOSSIP_STATE_FILE_IO_H

#include <weave/addr.h>
#include <weave/limits.h>
#include <weave/why.h>

struct router_state {
	peer_name name;	     /* NONE in a new state */
	uint64_t generation; /* of the latest start; 0 in a new state */
	uint64_t store_id;
	char **targets; /* operator's, as typed; owned */
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
