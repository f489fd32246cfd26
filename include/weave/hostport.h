/* "host[:port]" as people write peers: an IP address or a name, with or without a port.
 *
 * Pure: nothing is resolved here.  "1.2.3.4", "1.2.3.4:99", "::1", "[::1]:99", "host-2",
 * "host-2.example.org:99".
 */
#ifndef WEAVE_HOSTPORT_H
#define WEAVE_HOSTPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <weave/addr.h>
#include <weave/why.h>

#define HOSTPORT_NAME_SIZE 254 /* longest DNS name (RFC 1035, 2.3.4) and NUL */

struct hostport {
	char host[HOSTPORT_NAME_SIZE]; /* the name, or the text of the address */
	bool literal;		       /* 'ip' holds; else 'host' must be resolved */
	struct ip_addr ip;
	uint16_t port; /* 0: none was given */
};

/* False, with the reason in 'why', when 'text' is neither. */
bool hostport_parse(const char *text, struct hostport *out, struct why *why);

#endif
