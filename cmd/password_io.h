/* The router's passwords: where they come from, and the guarded memory in which they stay.
 *
 * Loop thread.  A set of passwords lives in memory of libsodium's own (sodium_malloc): locked, so
 * that it is never swapped out, left out of core dumps, between pages that cannot be touched,
 * read-only once filled, wiped when freed.  Nothing here prints or copies one anywhere else.
 */
#ifndef WEAVE_CMD_PASSWORD_IO_H
#define WEAVE_CMD_PASSWORD_IO_H

#include <stdbool.h>

#include <weave/bytes.h>
#include <weave/password.h>
#include <weave/why.h>

#include "options.h"

/* From the options: *out is owned by the caller, or NULL when none is set.  What the options
 * borrowed from argv and environ is wiped there, whether it was used or not.  A file has one
 * password a line, at most PASSWORDS_MAX of them, the preferred one first.  False with 'why';
 * '*exposed' is set when others than the owner may read the file. */
bool passwords_load(struct weaver_options *o, struct passwords **out, bool *exposed,
		    struct why *why);

/* The same text as in a password file; wiped by the caller. */
bool passwords_parse(struct bytes text, struct passwords **out, struct why *why);

/* One set of 'first' and then as much of 'more' (may be NULL) as there is room for and is not the
 * same; ids are kept.  NULL when there are no locked pages left. */
struct passwords *passwords_join(const struct passwords *first, const struct passwords *more);

/* Only number 'index'. */
struct passwords *passwords_only(const struct passwords *p, unsigned index);

void passwords_free(struct passwords *p);

/* Wipes WEAVE_PASSWORD in the environment that the kernel shows, and takes it out. */
void passwords_wipe_environment(void);

#endif
