/* Automatic addresses in the daemon, in the order in which the daemon calls.  Loop thread.
 *
 * Who may say no: nobody here starts a router whose addresses could not be trusted.  A disk that
 * fails later stops the giving of addresses, not the router.
 */
#ifndef WEAVE_CMD_ADDRESSES_H
#define WEAVE_CMD_ADDRESSES_H

#include "daemon.h"

/* Opens the store; the peer name it was made for, NONE if new (or without IPAM). */
bool addresses_name(struct daemon *d, peer_name *name, struct why *why);
/* Once d->state.name is decided: d->state.store_id is what the store says. */
bool addresses_open(struct daemon *d, struct why *why);
/* The universes, into d->config. Refuses a range that would hide the host's own networks. */
bool addresses_configure(struct daemon *d, struct why *why);
/* Rows into a new engine that has not started.  -EAGAIN: the store was damaged and set aside, and
 * d->state.store_id is another one: begin with another engine.  Else 0 or a negative errno. */
int addresses_load(struct daemon *d, struct why *why);
/* What is left to be saved is; before engine_free. */
void addresses_close(struct daemon *d);

/* Carries out one of IPAM's actions. */
void addresses_do(struct daemon *d, const struct engine_action *action);
/* After all actions of a turn. */
void addresses_turn(struct daemon *d);
/* d->attached was listed anew. */
void addresses_relisted(struct daemon *d);
/* This one was attached, or has other addresses than before. */
void addresses_attached(struct daemon *d, const struct attachment *a);
/* What d->attached says about this id may be something else than before. */
void addresses_container(struct daemon *d, const char *id);
void addresses_exposed(struct daemon *d); /* so may d->exposed */

#endif
