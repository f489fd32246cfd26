/* Deciding about attachments: what a request means given what is attached already.  Pure.
 *
 * attach_io.c reads the kernel's state, asks here, and carries out the plan.
 */
#ifndef WEAVE_PLUGIN_ATTACH_H
#define WEAVE_PLUGIN_ATTACH_H

#include <weave/attach.h>

/* The request by itself: id, path, addresses, MTU (against that of the bridge). */
int attach_check(const struct attach_request *req, uint32_t bridge_mtu, struct why *why);

/* Alias of the host's end and back; 'id' and 'netns' as in struct attachment. The request was
 * checked, so it fits. */
void attach_alias(const char *bridge, const char *id, const char *netns, char *alias);
bool attach_alias_parse(const char *alias, const char *bridge, struct attachment *a);

/* The name of the host's end; another one for each attempt, should it be taken. */
void attach_port_name(const char *id, struct netns_id netns, unsigned attempt, char *name);

struct attach_plan {
	const struct attachment *existing; /* add to this one; NULL: make a new one */
	const struct attachment *stale;	   /* same id in another namespace: goes */
	uint32_t cidrs_count;		   /* to add, each once */
	struct cidr cidrs[ATTACH_CIDRS_MAX];
};

/* 'exposed' are the host's own addresses on the bridge. */
int attach_plan(const struct attach_request *req, struct netns_id netns,
		const struct attachment *list, size_t count, const struct cidr *exposed,
		size_t exposed_count, struct attach_plan *plan, struct why *why);

struct detach_plan {
	const struct attachment *target;
	bool all; /* nothing is left: the interface goes */
	uint32_t cidrs_count;
	struct cidr cidrs[ATTACH_CIDRS_MAX]; /* to remove */
};

/* 'netns' is the identity of req->netns if that is given. */
int detach_plan(const struct detach_request *req, struct netns_id netns,
		const struct attachment *list, size_t count, struct detach_plan *plan,
		struct why *why);

/* Entries of the table; a port is either in sight or hidden. */
void attach_known_put(struct attach_known *k, const struct attachment *a);
void attach_known_hide(struct attach_known *k, int ifindex, const char *id);

/* "10.2.1.5/24" in the list: same address and same prefix. */
bool cidr_listed(struct cidr cidr, const struct cidr *list, size_t count);
/* The entry with this address, whatever its prefix; NULL if none. */
const struct cidr *cidr_with_ip(struct ip_addr ip, const struct cidr *list, size_t count);
/* The attachment that holds the address, passing over 'except' (may be NULL). */
const struct attachment *attachment_with_ip(struct ip_addr ip, const struct attachment *list,
					    size_t count, const struct attachment *except);

#endif
