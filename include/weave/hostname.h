/* Host names as people write them, and domains.  Pure.
 *
 * Compared without regard to case (RFC 4343).
 */
#ifndef WEAVE_HOSTNAME_H
#define WEAVE_HOSTNAME_H

#include <stdbool.h>

#define HOSTNAME_MAX 253u	      /* 255 bytes on the wire of DNS (RFC 1035 2.3.4) */
#define HOSTNAME_DOMAIN "weave.local" /* of containers' names, unless somebody chose another */

/* NULL, or what is wrong with it: labels of 1 to 63 letters, digits, '-' and '_', one last dot is
 * fine.  'out' (HOSTNAME_MAX + 1 bytes, may be NULL) gets it without the last dot. */
const char *hostname_check(const char *text, char *out);
/* 'name' is 'domain' or below it; both without the last dot. */
bool hostname_is_within(const char *name, const char *domain);
bool hostname_equal(const char *a, const char *b);

#endif
