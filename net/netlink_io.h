/* Requests to rtnetlink and their answers: checked building, acknowledgements, dumps.
 *
 * The messages of this folder are built with the putters here: one that does not fit marks the
 * request, and sending it fails with -EMSGSIZE.  Answers are taken apart with attrs_parse, which
 * keeps only attributes of plausible size, so that the getters need no further checks.
 */
#ifndef WEAVE_NET_NETLINK_IO_H
#define WEAVE_NET_NETLINK_IO_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <weave/net.h>

#define REQUEST_SIZE 4096u
/* Rows of one dump: above any table that makes sense on a host that runs containers. */
#define NET_ROWS_MAX (1u << 20)

struct net {
	struct mnl_socket *socket;
	unsigned portid;
	uint32_t sequence;
	char *buffer; /* for answers */
	char error[320];
};

struct request {
	union {
		struct nlmsghdr head;
		char buffer[REQUEST_SIZE];
	} u;
	bool full;
};

/* Starts a message of 'type' with its fixed part; NLM_F_REQUEST is added to 'flags'. */
void request_init(struct request *r, uint16_t type, uint16_t flags, const void *fixed, size_t size);
void request_put(struct request *r, uint16_t type, const void *data, size_t size);
void request_put_u8(struct request *r, uint16_t type, uint8_t v);
void request_put_u32(struct request *r, uint16_t type, uint32_t v);
void request_put_text(struct request *r, uint16_t type, const char *text);
/* A fixed part without attribute header, inside a nest (the peer of a veth). */
void request_put_raw(struct request *r, const void *data, size_t size);
struct nlattr *request_nest(struct request *r, uint16_t type); /* NULL when full */
void request_nest_end(struct request *r, struct nlattr *nest);

/* Remembers "what: errno text (kernel's text)" and returns 'error', a negative errno. */
int net_fail(struct net *net, int error, const char *detail, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Sends and waits for the acknowledgement; the error text stays in net->error, where net_tried
 * puts what was being done in front of it. */
int net_execute(struct net *net, struct request *r);
/* 'rc' as it is; a failure gets "what: " before its text. */
int net_tried(struct net *net, int rc, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Rows of an answer. 'parse' fills one zeroed item and returns 1, or 0 to skip the message. */
struct rows {
	int (*parse)(const struct nlmsghdr *h, void *item, const void *filter);
	const void *filter;
	size_t item_size;
	uint8_t *items; /* mem_free */
	size_t count, room;
};

/* One answer (no NLM_F_DUMP in the request) or a whole dump. An interrupted dump is begun anew.
 * On failure there are no items. */
int net_query(struct net *net, struct request *r, struct rows *rows);

/* Attributes up to type 'max', indexed by type; what is unknown or cut is left out. */
void attrs_parse(const struct nlattr **attrs, uint16_t max, const struct nlmsghdr *h,
		 size_t fixed_size);
void attrs_parse_nested(const struct nlattr **attrs, uint16_t max, const struct nlattr *nest);
/* 0, false or "" when missing or of the wrong size. */
uint32_t attr_u32(const struct nlattr *a);
uint16_t attr_u16(const struct nlattr *a);
uint8_t attr_u8(const struct nlattr *a);
void attr_text(const struct nlattr *a, char *text, size_t size);
bool attr_mac(const struct nlattr *a, struct mac *mac);
bool attr_ip(const struct nlattr *a, uint8_t family, struct ip_addr *ip); /* AF_INET, AF_INET6 */

/* A handle of that family (NETLINK_ROUTE, NETLINK_XFRM), in the calling thread's namespace. */
int net_open_bus(int bus, struct net **net);
/* For the monitor: the socket options and buffer of a handle without its request side. */
struct mnl_socket *netlink_socket(int bus, int extra_flags);

/* Fills 'link' from RTM_NEWLINK or RTM_DELLINK. False for messages of a bridge's port family. */
bool link_parse(const struct nlmsghdr *h, struct net_link *link);
/* Container veths, the router's port and the bridge itself, as far as they are there. */
int bridge_take_down(struct net *net, const struct net_bridge_names *names, bool tunnel);
/* No spanning tree, no delay, no multicast snooping. */
int bridge_set_options(struct net *net, int ifindex);
/* Fills 'fdb' from RTM_NEWNEIGH or RTM_DELNEIGH if it is of that bridge; 0: of any. */
bool fdb_parse(const struct nlmsghdr *h, int bridge, struct net_fdb *fdb);

#endif
