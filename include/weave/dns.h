/* Names of containers (WeaveDNS): what we publish, and what can be found now.
 *
 * Pure; loop thread.  A name is (host name, address, container, peer), an entry of kind NAME that
 * its peer alone writes.  `struct names` holds our own, writes them through gossip, and follows
 * everybody's: a name can be found while its peer can be reached, down to the floor that the peer
 * announces.  What can be found is handed out as changes, for whoever answers questions; DNS itself
 * is in <weave/dns_io.h>.
 *
 * Host names are held as they were given, without the last dot, and compared without regard to case
 * (RFC 4343): two that differ in case only are one name, and the later spelling counts.
 */
#ifndef WEAVE_DNS_H
#define WEAVE_DNS_H

#include <weave/gossip.h>
#include <weave/hostname.h>

#define NAME_HOSTNAME_MAX HOSTNAME_MAX
#define NAME_CONTAINER_MAX 64u /* a full Docker id */
#define NAME_KEY_SIZE 22u
/* Names of one router; others take WRITER_ENTRIES_MAX entries of ours, tombstones among them. */
#define NAMES_OWN_MAX 16384u
#define NAMES_DOMAIN "weave.local"  /* the usual one */
#define NAMES_EXTERN "weave:extern" /* the container of names that belong to none */

struct name_entry {
	peer_name peer;
	struct ip_addr address;
	char hostname[NAME_HOSTNAME_MAX + 1];
	char container[NAME_CONTAINER_MAX + 1];
};

struct names;

struct names_config {
	peer_name self;
	const char *domain; /* without the last dot, checked; copied.  NULL: NAMES_DOMAIN */
	uint64_t seed;
};

/* Registers the kind with the store of 'gossip', which must outlive it. */
struct names *names_new(const struct names_config *config, struct gossip *gossip);
void names_free(struct names *n);
const char *names_domain(const struct names *n);

/* ---- our own ---- */

/* From now on 'hostname' leads to 'address' of 'container', everywhere; a name that is there
 * already is success.  False with 'why': not a host name, outside of the domain, or too many. */
bool names_put(struct names *n, const char *container, const char *hostname, struct ip_addr address,
	       struct mono now, struct why *why);
/* All of ours that fit; NULL fits all.  Returns how many. */
size_t names_remove(struct names *n, const char *container, const char *hostname,
		    const struct ip_addr *address, struct mono now);
/* All of ours, in no particular order: NULL gives the first.  Borrowed until the next change. */
struct name_own;
const struct name_own *names_next_own(const struct names *n, const struct name_own *after,
				      struct name_entry *out);
size_t names_own_count(const struct names *n);
uint64_t names_own_version(const struct names *n); /* changes with them */
/* All that lives here is registered: what an earlier life of ours said and we do not is taken back
 * at once, not only when the floor is raised. */
void names_settled(struct names *n, struct mono now);

/* ---- what can be found ---- */

/* After the engine's action ROUTES: who can be reached has changed. */
void names_update(struct names *n);
/* What changes the store and was only noted while it told us; after all else in a turn. */
void names_step(struct names *n, struct mono now);

/* All that can be found now, ours too, in no particular order: NULL gives the first. */
const struct entry *names_next(const struct names *n, const struct entry *after,
			       struct name_entry *out);

size_t names_count(const struct names *n); /* of them */

/* A name that can be found now, in place of what had its key; or one that cannot be any more. */
struct name_change {
	struct name_change *next;
	bool present;
	uint8_t key[NAME_KEY_SIZE]; /* of its entry: the same for one name of one peer */
	struct ip_addr address;	    /* present only, like the rest */
	char hostname[];	    /* NUL-terminated */
};

/* Keeps account of changes from now on; all that can be found now counts as changed. */
void names_track(struct names *n);
/* The changes since the last call, in their order; the caller frees each with mem_free, on any
 * thread.  NULL: none. */
struct name_change *names_take_changes(struct names *n);

void names_verify(const struct names *n); /* asserts invariants; for tests */

#endif
