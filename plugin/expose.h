/* Deciding about exposed addresses, and the nftables rules for them.  Pure.
 *
 * The rules are all in one table of our own that is replaced whole.  Sets `plain4` and `plain6` in
 * it hold the addresses exposed without masquerading, so that a restarted daemon knows.
 */
#ifndef WEAVE_PLUGIN_EXPOSE_H
#define WEAVE_PLUGIN_EXPOSE_H

#include <weave/attach.h>
#include <weave/text.h>

#define EXPOSE_SET_V4 "plain4"
#define EXPOSE_SET_V6 "plain6"

/* The set after adding; on failure 'after' is of no use.
 * 'list' are the attachments here, whose addresses are taken. */
int expose_plan(const struct expose_set *before, const struct exposed *items, size_t count,
		const struct attachment *list, size_t list_count, struct expose_set *after,
		struct why *why);

/* Splits 'before' into what stays and what goes; 'count' 0: all goes. */
void expose_split(const struct expose_set *before, const struct cidr *cidrs, size_t count,
		  struct expose_set *stays, struct expose_set *goes);

/* NULL when the address is not in the set. */
struct exposed *expose_find(struct expose_set *set, struct ip_addr ip);

/* Commands that replace the table in one transaction; for an empty set they only remove it. */
void expose_rules(const char *table, const struct expose_set *set, struct text *out);

#endif
