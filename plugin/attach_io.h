/* What attach_io.c, attach_find_io.c and expose_io.c share: looking into containers' namespaces. */
#ifndef WEAVE_PLUGIN_ATTACH_IO_H
#define WEAVE_PLUGIN_ATTACH_IO_H

#include <weave/attach.h>

/* A container's namespace while we work in it. */
struct inside {
	int fd;
	struct net *net;
	struct netns_id id;
};

#define INSIDE_NONE ((struct inside){ .fd = -1 })

/* 0 or a negative errno; on failure nothing stays open. */
int inside_open(struct inside *in, const char *path);
void inside_close(struct inside *in);
/* Says why the path could not be opened; returns rc. */
int refuse_open(const char *path, int rc, struct why *why);

/* Addresses of a link that an operator or we gave it (no IPv6 link-local), at most 'max'.
 * 0 or a negative errno (net_error). */
int link_cidrs(struct net *net, int ifindex, struct cidr *list, uint32_t *count, uint32_t max);

/* The container's end of a port. -ENODEV: it is not there, or is not this port's other end. */
int read_container_end(struct inside *in, const struct net_link *port, struct attachment *a);

/* The port whose other end is in this namespace, whatever that is called there by now, and which is
 * no endpoint of Docker's; 'a' gets what its alias says. */
bool find_port(struct net *net, const struct net_bridge *bridge, struct inside *in,
	       struct net_link *port, struct attachment *a);

/* ---- the few entries that a decision rests on, read anew; 0 or a negative errno ---- */

/* What is in this namespace.  A container that is out of sight is seen again when somebody names
 * its namespace anew: its port takes 'path' for the one that leads elsewhere. */
int look_inside(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		struct inside *in, const char *path, struct why *why);
/* Those that are called 'id' (NULL: none), or hold one of the addresses, or have this namespace
 * (NULL: none). */
int look_at(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
	    const char *id, const struct netns_id *netns, const struct cidr *cidrs, size_t count,
	    struct why *why);
int look_at_port(struct net *net, const struct net_bridge *bridge, struct attach_known *k,
		 int ifindex, struct why *why);

/* Fills 'why' from net_error when rc is negative; returns rc. */
int explain(struct net *net, int rc, struct why *why);

#endif
