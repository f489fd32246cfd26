/* WeaveDNS in the daemon: names of what lives here, and where questions are answered.
 *
 * Loop thread.  Nothing of this does anything with --no-dns.
 */
#ifndef WEAVE_CMD_DNS_H
#define WEAVE_CMD_DNS_H

#include "daemon.h"

/* Starts the server and opens the addresses that the options name; false if one cannot be had. */
bool dns_start(struct daemon *d, struct why *why);
/* After the first listing of containers: names that were there before, of those who live still. */
bool dns_restore(struct daemon *d, struct why *why);
void dns_stop(struct daemon *d);

/* After all actions of a turn. */
void dns_turn(struct daemon *d);
/* The addresses to answer on may be others now. */
void dns_follow_addresses(struct daemon *d);

/* The container of this id may be gone. */
void dns_container(struct daemon *d, const char *id);
void dns_status(struct daemon *d, struct status *s);

/* --- operations of <weave/api.h> --- */
bool control_has_dns(void *ctx);
bool control_put_name(void *ctx, const char *id, const char *fqdn, struct ip_addr address,
		      struct why *why);
void control_remove_names(void *ctx, const char *id, const char *fqdn,
			  const struct ip_addr *address);

#endif
