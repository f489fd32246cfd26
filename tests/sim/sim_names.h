/* Names of containers in the simulated world, and what each router would answer about them.
 *
 * A router's names go through its `struct names`, as in the daemon; the mirror is made of the
 * changes that it hands out, as the DNS server's table is.  A published text (key, value) is the
 * name <32 letters>.<key>.weave.local: the case of the letters tells the value, so that another
 * value is another version of the same entry.
 */
#ifndef WEAVE_SIM_NAMES_H
#define WEAVE_SIM_NAMES_H

#include "sim_router.h"

struct sim_mirror; /* what one router would answer; made by its first turn, NULL before */

void sim_mirror_free(struct sim_mirror *m);

/* Right after the engine's start. */
void sim_names_started(struct sim_router *r);
/* After each turn: takes the changes in. */
void sim_names_turned(struct sim_router *r);
/* Value "" removes. */
void sim_names_put(struct sim_router *r, const char *key, const char *value);

/* The entry of that writer in the store of 'r'; and the first live one of any, else a dead one. */
const struct entry *sim_names_find(const struct sim_router *r, peer_name writer, const char *key);
const struct entry *sim_names_find_any(const struct sim_router *r, const char *key);
/* Whether the entry is live and says this value. */
bool sim_names_says(const struct entry *e, const char *key, const char *value);

/* Can 'key' with this value of that writer be found at 'r'?  And how many names can. */
bool sim_names_found(const struct sim_router *r, peer_name writer, const char *key,
		     const char *value);
size_t sim_names_found_count(const struct sim_router *r);

#endif
