/* What the API can ask of the daemon: the operations of <weave/api.h>, ctx is the daemon.
 *
 * Loop thread.  cmd/control.c has those that answer at once, cmd/control_addresses.c those that may
 * wait for addresses.
 */
#ifndef WEAVE_CMD_CONTROL_H
#define WEAVE_CMD_CONTROL_H

#include "daemon.h"

void control_attach(void *ctx, const struct api_attach *request, struct api_reply *reply);
void control_detach(void *ctx, const struct api_attach *request, struct api_reply *reply);
void control_expose(void *ctx, const struct api_wants *wants, bool masquerade, const char *fqdn,
		    struct api_reply *reply);
void control_hide(void *ctx, const struct api_wants *wants, struct api_reply *reply);

bool control_has_ipam(void *ctx);
void control_allocate(void *ctx, const char *id, const struct cidr *subnet,
		      struct api_reply *reply);
void control_claim(void *ctx, const char *id, struct cidr address, bool no_error_on_unknown,
		   struct api_reply *reply);
bool control_lookup(void *ctx, const char *id, const struct cidr *subnet, struct api_addresses *out,
		    struct why *why);
bool control_release(void *ctx, const char *id, const struct ip_addr *address, struct why *why);
void control_owned(void *ctx, struct api_attachments *out);
void control_default_subnets(void *ctx, struct api_addresses *out);
void control_prime(void *ctx, struct api_reply *reply);
void control_remove_peer(void *ctx, const char *peer, bool force, struct api_reply *reply);
void control_hand_over(void *ctx, bool force, struct api_reply *reply);

/* Gets one address that 'id' keeps until it is given back.  'done' is called once: with the job,
 * DONE or FAILED, or with NULL when whoever waits for 'reply' has gone away; only in the first two
 * cases it ends the reply. */
void control_get_address(struct daemon *d, const char *id, const struct api_want *want,
			 struct api_reply *reply,
			 void (*done)(void *ctx, const struct address_job *job), void *ctx);

/* Before anything else of these. */
void control_addresses_init(struct daemon *d);
/* Ends what goes on although nobody waits for it. */
void control_addresses_stop(struct daemon *d);
/* A job of one of the above waits no more. */
void control_addresses_ready(struct daemon *d, struct address_job *job);

#endif
