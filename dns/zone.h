/* What DNS answers from: all names that can be found now, by name and by address.
 *
 * Pure; owned by the thread that answers.  Fed with the changes of <weave/dns.h>.  Names are looked
 * up in the form they have on the wire, in lower case: labels with their lengths, ended by 0.
 */
#ifndef WEAVE_DNS_ZONE_H
#define WEAVE_DNS_ZONE_H

#include <weave/dns.h>
#include <weave/rng.h>

#define DNS_NAME_MAX 255u /* on the wire, with the last 0 */

struct dns_name {
	uint8_t size;
	uint8_t wire[DNS_NAME_MAX];
};

/* A checked host name as it is on the wire; in lower case unless 'keep_case'. */
void dns_name_from_text(struct dns_name *out, const char *text, bool keep_case);

struct zone;

/* 'domain' is checked and without the last dot. */
struct zone *zone_new(const char *domain, uint64_t seed);
void zone_free(struct zone *z);
void zone_apply(struct zone *z, const struct name_change *c); /* 'c' is borrowed */

const struct dns_name *zone_domain(const struct zone *z);
uint32_t zone_serial(const struct zone *z); /* changes with its content; never 0 */
size_t zone_count(const struct zone *z);

enum zone_is {
	ZONE_NOTHING,
	ZONE_BRANCH, /* no name itself, but there are names below it (RFC 8020) */
	ZONE_NAME,
};

/* The addresses of one family, each once; the lookup that made it owns them: use at once. */
struct zone_addresses {
	size_t count;
	struct zone_address *list;
};

enum zone_is zone_find(struct zone *z, const uint8_t *name, size_t size);
/* After ZONE_NAME of the same name. */
struct zone_addresses zone_addresses(struct zone *z, const uint8_t *name, size_t size, int family);
/* Draws the next of them that was not drawn yet: call with drawn = 0, 1, 2 ... */
struct ip_addr zone_draw(struct zone_addresses *a, size_t drawn, struct rng *rng);

/* The first in order of those names that have this address, as it was written; NULL: none. */
const char *zone_reverse(const struct zone *z, struct ip_addr ip);

void zone_check(const struct zone *z);

#endif
