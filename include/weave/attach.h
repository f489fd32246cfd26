/* Containers on our bridge, and the host itself on it (expose).
 *
 * Attaching makes a veth pair: the host's end `vethwl<7 hex>` is a port of the bridge, the
 * container's end is called `ethwe` and holds the addresses.  All state is in the kernel: the alias
 * of the host's end keeps the container's id and the path of its namespace, so attachments are
 * found again after any restart of the daemon.
 *
 * Docker's endpoints (<weave/docker_io.h>) are attachments, too, and listed; but they are Docker's:
 * nobody attaches more to them or detaches them.
 *
 * Loop thread; every call may block for some milliseconds.  `net` is a handle in the router's own
 * namespace, `bridge` what net_bridge_ensure returned last.  On failure `why` is always filled and
 * everything made by that call is undone.  Results: -EINVAL the request is wrong, -EEXIST the
 * address is taken, -ENOENT no such container or address, -E2BIG too many; anything else is the
 * kernel's.
 */
#ifndef WEAVE_ATTACH_H
#define WEAVE_ATTACH_H

#include <weave/net.h>

#define ATTACH_CIDRS_MAX 64u	    /* addresses of one container, and of the host on the bridge */
#define ATTACH_ID_MAX 64u	    /* bytes: a full Docker id */
#define ATTACH_NETNS_MAX 160u	    /* bytes: with the id it must fit an alias of 255 */
#define ATTACH_UNKNOWN_ID "_"	    /* a namespace without a container id */
#define ATTACH_INTERFACE "ethwe"    /* in the container */
#define ATTACH_PORT_PREFIX "vethwl" /* names of the host's ends begin so */

struct attachment {
	char id[ATTACH_ID_MAX + 1];
	char netns[ATTACH_NETNS_MAX + 1]; /* path by which it was attached */
	struct netns_id netns_id;
	int ifindex;		  /* host's end */
	char name[NET_NAME_SIZE]; /* host's end */
	int container_ifindex;
	struct mac mac; /* container's end */
	uint32_t mtu;	/* container's end */
	uint32_t cidrs_count;
	struct cidr cidrs[ATTACH_CIDRS_MAX]; /* no link-local IPv6 addresses */
};

/* Can an interface have this address?  Refuses network and broadcast addresses, multicast,
 * loopback, unspecified and IPv6 link-local ones, IPv4 in the form of IPv6, and prefix 0. */
int attach_check_cidr(struct cidr cidr, struct why *why);

struct attach_hidden {
	int ifindex;
	char id[ATTACH_ID_MAX + 1];
};

/* What is known of the containers on one bridge, so that not all of them must be visited for each
 * request: what attach_refresh found, and what was done since.  The entries that a decision rests
 * on are read anew from the kernel; the rest may be old.  Zeroed is empty.  Read freely, change by
 * functions. */
struct attach_known {
	struct attachment *list; /* by ifindex */
	size_t count, room;
	/* Those that live, but whose path leads elsewhere by now; see attach_list. */
	struct attach_hidden *hidden;
	size_t hidden_count, hidden_room;
};

/* Lists everything anew; on failure nothing changes. */
int attach_refresh(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
		   struct why *why);
void attach_known_fini(struct attach_known *known);
/* The kernel says that this interface is gone: then so is what was attached by it. */
void attach_known_gone(struct attach_known *known, int ifindex);
const struct attachment *attach_known_port(const struct attach_known *known, int ifindex);
/* Looks at this one port anew; NULL: it is not in sight. */
const struct attachment *attach_look(struct net *net, const struct net_bridge *bridge,
				     struct attach_known *known, int ifindex);
/* Under which id the port is known, in or out of sight; NULL: it is not. */
const char *attach_known_id(const struct attach_known *known, int ifindex);
/* Whether a container of that id has an interface, in or out of sight. */
bool attach_known_lives(const struct attach_known *known, const char *id);
/* The same, of those out of sight only, and asks the kernel. */
bool attach_is_hidden(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
		      const char *id);

struct attach_request {
	const char *id;	   /* [A-Za-z0-9][A-Za-z0-9_.:-]*, or NULL or "_": none */
	const char *netns; /* absolute path */
	const struct cidr *cidrs;
	size_t cidrs_count;   /* 0 is fine: an interface without addresses */
	bool multicast_route; /* 224.0.0.0/4 goes out of ethwe */
	uint32_t mtu;	      /* 0: that of the bridge */
};

/* Attaches, or adds addresses to the container that is attached already; what is there already is
 * success.  Another namespace under the same id replaces the attachment of the old one (the
 * container was restarted).  'result' may be NULL; so may 'known', here and below: then all
 * containers are visited. */
int attach_add(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
	       const struct attach_request *req, struct attachment *result, struct why *why);

/* Announces the addresses once more, as far as the container still has them.  attach_add has done
 * it once; RFC 5227 2.3 wants it twice, since who has learned the address in the second before
 * keeps what it knows (neighbours' locktime in Linux), for half a minute. */
#define ATTACH_ANNOUNCE_INTERVAL_MS 2000u
void attach_announce(const struct attachment *a);

/* Under which id the container of the request is known, of ATTACH_ID_MAX + 1 bytes: a namespace
 * that is attached keeps the id that it has, whatever it is called in further requests.  Refuses
 * what attach_add would refuse whatever the addresses. */
int attach_identity(struct net *net, const struct net_bridge *bridge,
		    const struct attach_request *req, char *id, struct why *why);

/* By namespace if 'netns' is given, else by id. */
struct detach_request {
	const char *id;
	const char *netns;
	const struct cidr *cidrs;
	size_t cidrs_count; /* 0: all */
};

struct detached {
	struct attachment left; /* what remains; cidrs_count 0 and ifindex 0: nothing */
	int ifindex;		/* of the host's end */
	struct mac mac;		/* of the container's end */
	uint32_t cidrs_count;
	struct cidr cidrs[ATTACH_CIDRS_MAX]; /* removed */
};

/* Removes addresses, all or none of those named; with the last one the interface goes. */
int attach_remove(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
		  const struct detach_request *req, struct detached *result, struct why *why);

/* The attachment that such a request is about; -ENOENT: there is none. */
int attach_find(struct net *net, const struct net_bridge *bridge, struct attach_known *known,
		const struct detach_request *who, struct attachment *out, struct why *why);

/* All attachments, in order of host interface index; mem_free(*list).  On the way
 * veths that were never finished are removed, and those that lost the bridge plugged in again.  A
 * container whose path leads elsewhere by now keeps its network, but is not listed until its
 * namespace is named anew, by attach_add or attach_remove. */
int attach_list(struct net *net, const struct net_bridge *bridge, struct attachment **list,
		size_t *count, struct why *why);

/* Gives both ends of all attachments this MTU; goes on after a failure and reports the first. */
int attach_set_mtu(struct net *net, const struct net_bridge *bridge, uint32_t mtu, struct why *why);

/* ---- expose: addresses of the host on the bridge ---- */
struct exposed {
	struct cidr cidr;
	bool masquerade; /* outside hosts and containers see each other's traffic as from here */
};

/* What is exposed now: the daemon keeps one, filled by expose_load. Change by functions only. */
struct expose_set {
	uint32_t count;
	struct exposed items[ATTACH_CIDRS_MAX];
};

/* From the kernel at the start: the bridge's addresses and the marks in our nftables table. */
int expose_load(struct net *net, const struct net_bridge *bridge, struct expose_set *set,
		struct why *why);
/* Already exposed is success, and changes 'masquerade' if it differs. */
int expose_add(struct net *net, const struct net_bridge *bridge, struct expose_set *set,
	       const struct exposed *items, size_t count, struct why *why);
/* 'count' 0: all. What is not exposed is ignored; 'removed' (NULL: not wanted) tells what was. */
int expose_remove(struct net *net, const struct net_bridge *bridge, struct expose_set *set,
		  const struct cidr *cidrs, size_t count, struct expose_set *removed,
		  struct why *why);
/* The same as attach_announce, for the host's addresses. */
void expose_announce(const struct net_bridge *bridge, const struct expose_set *set);
/* Puts back addresses and rules that somebody took away (a recreated bridge, a flushed firewall).
 * Writes the table in one transaction, without a moment in which rules are missing. */
int expose_assert(struct net *net, const struct net_bridge *bridge, const struct expose_set *set,
		  struct why *why);

#endif
