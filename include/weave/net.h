/* The kernel's network objects: links, addresses, routes, namespaces, our bridge, and events.
 *
 * Talks rtnetlink (libmnl), ethtool and nftables itself; runs no programs.  Blocking, but every
 * answer is waited for at most 5 s.  Loop thread, except that a handle may live in any one thread.
 *
 * A `struct net` is one netlink socket: all its calls act in the network namespace in which it was
 * opened.  Functions return 0 or a negative errno; net_error() then tells, with the kernel's own
 * words, what was tried and why it failed.  Arrays handed out are the caller's: mem_free.
 */
#ifndef WEAVE_NET_H
#define WEAVE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weave/addr.h>
#include <weave/why.h>

struct net;

int net_open(struct net **net);			 /* in the calling thread's namespace */
int net_open_at(struct net **net, int netns_fd); /* in another; the thread comes back at once */
void net_close(struct net *net);		 /* NULL is fine */
const char *net_error(const struct net *net);	 /* of the last failed call; borrowed */

/* ---- network namespaces ---- */
struct netns_id {
	uint64_t device, inode;
};

struct netns_visit {
	int home; /* fd, or -1 outside a visit */
};

/* -EINVAL when the path is no network namespace; nothing is opened for real before that is known.
 * The caller closes *fd. */
int netns_open(const char *path, int *fd);
int netns_open_pid(pid_t pid, int *fd);
int netns_identify(int fd, struct netns_id *id);
int netns_identify_own(struct netns_id *id); /* of the calling thread */
static inline bool netns_equal(struct netns_id a, struct netns_id b)
{
	return a.device == b.device && a.inode == b.inode;
}

/* Moves the calling thread into a namespace, for sockets and /proc/sys/net, and back.  Not coming
 * back would act on the wrong host: netns_leave aborts instead. */
int netns_enter(int fd, struct netns_visit *visit);
void netns_leave(struct netns_visit *visit);

/* ---- links ---- */
#define NET_NAME_SIZE 16
#define NET_ALIAS_SIZE 256
#define NET_MTU_MIN 68u
#define NET_MTU_MAX 65535u

struct net_link {
	int ifindex, master; /* master: the bridge it is a port of, 0 none */
	int peer;	     /* veth: ifindex of the other end, in the other end's namespace */
	int peer_netns;	     /* and that namespace's number in ours; -1: it is ours */
	char name[NET_NAME_SIZE], kind[NET_NAME_SIZE]; /* kind: "veth", "bridge", "" */
	char alias[NET_ALIAS_SIZE];
	struct mac mac;
	uint32_t mtu, flags;	/* IFF_* */
	uint16_t hardware;	/* ARPHRD_* */
	uint16_t vxlan_port;	/* of a VXLAN device */
	bool port, forwarding;	/* is a bridge's port; and that port forwards */
	bool hairpin, learning; /* of a bridge's port */
};

struct net_veth {
	const char *name, *peer_name;
	int peer_netns;		    /* fd; -1: the same namespace */
	int master;		    /* of 'name': bridge, 0 none */
	uint32_t mtu;		    /* of both, 0: the kernel's choice */
	const struct mac *mac_peer; /* NULL: the kernel's choice */
};

bool net_name_valid(const char *name); /* [A-Za-z][A-Za-z0-9._-]*, 15 bytes at most */
int net_link_find(struct net *net, const char *name, struct net_link *link); /* -ENODEV */
int net_link_get(struct net *net, int ifindex, struct net_link *link);
/* All links, or the ports of a bridge when 'master' is not 0. */
int net_links(struct net *net, int master, struct net_link **links, size_t *count);
int net_bridge_create(struct net *net, const char *name, struct mac mac, uint32_t mtu);
int net_veth_create(struct net *net, const struct net_veth *veth);
int net_link_delete(struct net *net, int ifindex); /* both ends of a veth; gone already: 0 */
int net_link_set_up(struct net *net, int ifindex, bool up);
int net_link_set_master(struct net *net, int ifindex, int master);
int net_link_set_mac(struct net *net, int ifindex, struct mac mac);
int net_link_set_mtu(struct net *net, int ifindex, uint32_t mtu);
int net_link_set_alias(struct net *net, int ifindex, const char *alias);
int net_link_set_name(struct net *net, int ifindex, const char *name);
int net_link_set_netns(struct net *net, int ifindex, int netns_fd);
int net_link_set_no_ipv6_addresses(struct net *net, int ifindex); /* no link-local of its own */
int net_port_set(struct net *net, int ifindex, bool hairpin, bool learning);
/* Until the bridge forwards to it: some milliseconds after both ends of the veth came up. */
int net_port_wait(struct net *net, int ifindex, unsigned limit_ms);

/* Switches off, for frames leaving through this interface, all that would leave checksums or
 * segmentation to somebody behind it.  In the calling thread's namespace, like the next. */
int net_offloads_off(const char *name);
/* Writes /proc/sys/net/<path>, e.g. "ipv6/conf/weave/accept_ra". No such file: satisfied. */
int net_sysctl(const char *path, const char *value);
/* For an interface with overlay addresses: no router advertisements, moved neighbours are noticed
 * within seconds, further addresses of a subnet outlive the first. */
int net_tune(const char *name);

/* ---- addresses and routes ---- */
struct net_address {
	struct cidr cidr;
	int ifindex;
	uint8_t scope; /* RT_SCOPE_*; 0 is global */
};

struct net_route {
	struct cidr dst; /* prefix 0: default route */
	struct ip_addr gateway;
	int ifindex;
};

/* 'ifindex' 0: of all links. */
int net_addresses(struct net *net, int ifindex, struct net_address **list, size_t *count);
int net_address_add(struct net *net, int ifindex, struct cidr cidr);	/* -EEXIST */
int net_address_remove(struct net *net, int ifindex, struct cidr cidr); /* -EADDRNOTAVAIL */
/* Unicast routes of the main table, IPv4 and IPv6. */
int net_routes(struct net *net, struct net_route **list, size_t *count);
int net_route_add(struct net *net, struct cidr dst, int ifindex); /* -EEXIST */
int net_route_remove(struct net *net, struct cidr dst, int ifindex);
/* Smallest MTU of the links that are up, not loopback, have a global address and are not in
 * 'except'; 0 when there is none. */
int net_underlay_mtu(struct net *net, const int *except, size_t except_count, uint32_t *mtu);
/* Tells the link that 'ip' lives here: gratuitous ARP, or an unsolicited neighbour advertisement.
 * In the calling thread's namespace. */
int net_announce(int ifindex, struct mac mac, struct ip_addr ip);

/* ---- our bridge and the router's port of it ---- */
/* How the router has its port: as a TAP that it opens, or as a pair of veths at whose other end it
 * captures. */
enum net_port_kind { NET_PORT_TAP, NET_PORT_VETH };

/* 0, or why this machine has no TAPs: a negative errno. */
int net_tap_works(void);
/* One that stays, with virtio headers of 10 bytes; in the calling thread's namespace. */
int net_tap_create(struct net *net, const char *name);

struct net_bridge_names {
	char bridge[NET_NAME_SIZE];  /* "weave" */
	char port[NET_NAME_SIZE];    /* "vethwe-bridge": port of the bridge */
	char capture[NET_NAME_SIZE]; /* "vethwe-pcap": other end of a port that is a veth */
	char table[32];		     /* of nftables, family inet */
};

struct net_bridge {
	struct net_bridge_names names;
	int bridge_ifindex, port_ifindex;
	int capture_ifindex; /* 0: the port is a TAP */
	struct mac mac;
	uint32_t mtu;
};

/* False when it cannot be a bridge's name. Other bridges than "weave" get other names for the rest,
 * so that several routers can share a namespace. */
bool net_bridge_names(const char *bridge, struct net_bridge_names *names);
/* Our objects carry the alias "weave/1 <bridge> <rest>". False when it is too long; and the rest,
 * or NULL when the alias is not that bridge's. */
bool net_alias(const char *bridge, const char *rest, char *alias); /* NET_ALIAS_SIZE bytes */
const char *net_alias_rest(const char *alias, const char *bridge);
/* Makes it, or repairs what is missing or wrong; ports and addresses stay. 'bridge' holds what is
 * there now.  A TAP forwards only after somebody has opened it (net_port_wait).  In the calling
 * thread's namespace. */
int net_bridge_ensure(struct net *net, const char *name, struct mac mac, uint32_t mtu,
		      enum net_port_kind kind, struct net_bridge *bridge, struct why *why);
/* All of ours: container veths, the router's port, VXLAN device, programs at other interfaces,
 * bridge, nftables table, and the bridges of segments beside it. Nothing there: 0. */
int net_bridge_remove(struct net *net, const char *name, struct why *why);

struct net_fdb {
	struct mac mac;
	int ifindex;   /* of the port */
	int bridge;    /* its ifindex */
	uint16_t vlan; /* 0 untagged */
	bool is_local; /* a MAC of the bridge or a port itself */
};
int net_bridge_fdb(struct net *net, int bridge_ifindex, struct net_fdb **list, size_t *count);

/* ---- events of the namespace in which the monitor was opened ---- */
enum net_event_kind {
	NET_EVENT_LINK,	     /* made or changed: 'link' is its present state (up, down, renamed) */
	NET_EVENT_LINK_GONE, /* 'link': ifindex and name */
	NET_EVENT_FDB,	     /* our bridge learned or refreshed 'fdb', or it moved to this port */
	NET_EVENT_FDB_GONE,
	NET_EVENT_ADDRESS, /* an interface got an address, or lost one; which one is not told */
	NET_EVENT_RESYNC,  /* events were lost: list links, addresses and fdb anew */
};

struct net_event {
	enum net_event_kind kind;
	struct net_link link;
	struct net_fdb fdb;
};

struct net_monitor;
int net_monitor_open(struct net_monitor **m);
void net_monitor_close(struct net_monitor *m);
int net_monitor_fd(const struct net_monitor *m); /* readable: call net_monitor_next until 0 */
/* fdb events are of these bridges only; at the start: of none.  Copied. */
void net_monitor_watch(struct net_monitor *m, const int *bridges, size_t count);
/* 1: *event is filled; 0: no more for now; or a negative errno. */
int net_monitor_next(struct net_monitor *m, struct net_event *event);

/* ---- nftables, in the calling thread's namespace ---- */
/* Runs commands in nft's own language as one transaction; 'output' (NULL: not wanted) gets what it
 * prints, as JSON; mem_free. -EIO: refused, also where the kernel has no nftables; nft's words are
 * in why. */
int net_nft(const char *commands, char **output, struct why *why);
/* Of family inet. */
int net_nft_table_exists(const char *table, bool *exists, struct why *why);

#endif
