#include "netlink_io.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <weave/alloc.h>
#include <weave/must.h>

/* The kernel answers at once; this bounds a turn of the loop should it ever not. */
#define ANSWER_TIMEOUT_S 5
/* The kernel fills dumps up to the size of the reader's buffer, at most 32 KiB. */
#define ANSWER_SIZE 32768u
/* Somebody changes interfaces faster than we can list them: give up, the caller tries later. */
#define DUMP_TRIES 20

static size_t align(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

/* ---- building ---- */

void request_init(struct request *r, uint16_t type, uint16_t flags, const void *fixed, size_t size)
{
	MUST(size <= REQUEST_SIZE / 2);
	memset(r, 0, sizeof *r);
	mnl_nlmsg_put_header(r->u.buffer);
	r->u.head.nlmsg_type = type;
	r->u.head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	memcpy(mnl_nlmsg_put_extra_header(&r->u.head, size), fixed, size);
}

void request_put(struct request *r, uint16_t type, const void *data, size_t size)
{
	if (r->full || !mnl_attr_put_check(&r->u.head, REQUEST_SIZE, type, size, data))
		r->full = true;
}

void request_put_u8(struct request *r, uint16_t type, uint8_t v)
{
	request_put(r, type, &v, sizeof v);
}

void request_put_u32(struct request *r, uint16_t type, uint32_t v)
{
	request_put(r, type, &v, sizeof v);
}

void request_put_text(struct request *r, uint16_t type, const char *text)
{
	request_put(r, type, text, strlen(text) + 1);
}

void request_put_raw(struct request *r, const void *data, size_t size)
{
	size_t at = align(r->u.head.nlmsg_len);

	if (r->full || size > REQUEST_SIZE / 2 || align(size) > REQUEST_SIZE - at) {
		r->full = true;
		return;
	}
	memcpy(r->u.buffer + at, data, size);
	r->u.head.nlmsg_len = (uint32_t)(at + align(size));
}

struct nlattr *request_nest(struct request *r, uint16_t type)
{
	struct nlattr *nest = r->full ? NULL
				      : mnl_attr_nest_start_check(&r->u.head, REQUEST_SIZE, type);

	if (!nest)
		r->full = true;
	return nest;
}

void request_nest_end(struct request *r, struct nlattr *nest)
{
	if (nest)
		mnl_attr_nest_end(&r->u.head, nest);
}

/* ---- taking apart ---- */

struct attr_table {
	const struct nlattr **attrs;
	uint16_t max;
};

static int attr_keep(const struct nlattr *a, void *data)
{
	struct attr_table *t = data;

	if (mnl_attr_get_type(a) <= t->max)
		t->attrs[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

void attrs_parse(const struct nlattr **attrs, uint16_t max, const struct nlmsghdr *h,
		 size_t fixed_size)
{
	struct attr_table t = { attrs, max };

	memset(attrs, 0, (max + 1u) * sizeof *attrs);
	if (mnl_nlmsg_get_payload_len(h) >= fixed_size)
		mnl_attr_parse(h, (unsigned)fixed_size, attr_keep, &t);
}

void attrs_parse_nested(const struct nlattr **attrs, uint16_t max, const struct nlattr *nest)
{
	struct attr_table t = { attrs, max };

	memset(attrs, 0, (max + 1u) * sizeof *attrs);
	if (nest)
		mnl_attr_parse_nested(nest, attr_keep, &t);
}

static bool attr_copy(const struct nlattr *a, void *to, size_t size)
{
	if (!a || mnl_attr_get_payload_len(a) != size)
		return false;
	memcpy(to, mnl_attr_get_payload(a), size);
	return true;
}

uint32_t attr_u32(const struct nlattr *a)
{
	uint32_t v;

	return attr_copy(a, &v, sizeof v) ? v : 0;
}

uint16_t attr_u16(const struct nlattr *a)
{
	uint16_t v;

	return attr_copy(a, &v, sizeof v) ? v : 0;
}

uint8_t attr_u8(const struct nlattr *a)
{
	uint8_t v;

	return attr_copy(a, &v, sizeof v) ? v : 0;
}

void attr_text(const struct nlattr *a, char *text, size_t size)
{
	size_t n = a ? strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a)) : 0;

	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(text, mnl_attr_get_payload(a), n);
	text[n] = 0;
}

bool attr_mac(const struct nlattr *a, struct mac *mac)
{
	return attr_copy(a, mac->b, sizeof mac->b);
}

bool attr_ip(const struct nlattr *a, uint8_t family, struct ip_addr *ip)
{
	memset(ip, 0, sizeof *ip);
	if (family == AF_INET && attr_copy(a, ip->b, 4))
		ip->family = 4;
	else if (family == AF_INET6 && attr_copy(a, ip->b, 16))
		ip->family = 6;
	return ip->family != 0;
}

/* ---- errors ---- */

int net_fail(struct net *net, int error, const char *detail, const char *format, ...)
{
	char what[160];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	snprintf(net->error, sizeof net->error, detail && *detail ? "%s: %s (%s)" : "%s: %s", what,
		 strerror(-error), detail ? detail : "");
	return error;
}

int net_tried(struct net *net, int rc, const char *format, ...)
{
	char what[160], before[sizeof net->error];
	va_list args;

	if (rc >= 0)
		return rc;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	memcpy(before, net->error, sizeof before);
	snprintf(net->error, sizeof net->error, "%s: %.150s", what, before);
	return rc;
}

/* The result of an NLMSG_ERROR or NLMSG_DONE: 0 or a negative errno, with the kernel's text. */
static int answer_result(struct net *net, const struct nlmsghdr *h)
{
	const struct nlattr *attrs[NLMSGERR_ATTR_MAX + 1];
	size_t fixed = sizeof(int);
	char text[160] = "";
	int error = 0;

	if (mnl_nlmsg_get_payload_len(h) < sizeof error)
		return h->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	memcpy(&error, mnl_nlmsg_get_payload(h), sizeof error);
	if (error >= 0)
		return 0;
	if (h->nlmsg_type == NLMSG_ERROR) {
		struct nlmsgerr e = { 0 };

		if (mnl_nlmsg_get_payload_len(h) >= sizeof e)
			memcpy(&e, mnl_nlmsg_get_payload(h), sizeof e);
		fixed = sizeof e;
		/* An error without NETLINK_CAP_ACK carries the request as well. */
		if (!(h->nlmsg_flags & NLM_F_CAPPED) && e.msg.nlmsg_len > sizeof e.msg)
			fixed += align(e.msg.nlmsg_len - sizeof e.msg);
	}
	if (h->nlmsg_flags & NLM_F_ACK_TLVS) {
		attrs_parse(attrs, NLMSGERR_ATTR_MAX, h, fixed);
		attr_text(attrs[NLMSGERR_ATTR_MSG], text, sizeof text);
	}
	snprintf(net->error, sizeof net->error, *text ? "%s (%s)" : "%s", strerror(-error), text);
	return error;
}

/* ---- talking ---- */

static int net_send(struct net *net, struct request *r)
{
	if (r->full) {
		snprintf(net->error, sizeof net->error, "%s", strerror(EMSGSIZE));
		return -EMSGSIZE;
	}
	r->u.head.nlmsg_seq = ++net->sequence;
	if (mnl_socket_sendto(net->socket, r->u.buffer, r->u.head.nlmsg_len) < 0) {
		int error = -errno;

		snprintf(net->error, sizeof net->error, "netlink send: %s", strerror(-error));
		return error;
	}
	return 0;
}

static int net_receive(struct net *net, size_t *size)
{
	ssize_t n;
	int error;

	do
		n = mnl_socket_recvfrom(net->socket, net->buffer, ANSWER_SIZE);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		*size = (size_t)n;
		return 0;
	}
	error = errno == EAGAIN ? -ETIMEDOUT : -errno;
	snprintf(net->error, sizeof net->error, "netlink receive: %s", strerror(-error));
	return error;
}

static void rows_clear(struct rows *rows)
{
	mem_free(rows->items);
	rows->items = NULL;
	rows->count = rows->room = 0;
}

/* Lets 'parse' look at one message; 0, or -E2BIG. */
static int rows_take(struct rows *rows, const struct nlmsghdr *h)
{
	uint8_t *item;

	if (rows->count == NET_ROWS_MAX)
		return -E2BIG;
	if (rows->count == rows->room) {
		rows->room = rows->room ? rows->room * 2 : 16;
		rows->items = mem_resize(rows->items, rows->room, rows->item_size);
	}
	item = rows->items + rows->count * rows->item_size;
	memset(item, 0, rows->item_size);
	if (rows->parse(h, item, rows->filter))
		rows->count++;
	return 0;
}

/* What is known of one exchange while its answers come in. */
struct exchange {
	struct rows *rows; /* NULL: only the acknowledgement counts */
	bool done, interrupted;
	int result;
};

static void exchange_message(struct net *net, struct exchange *x, const struct nlmsghdr *h)
{
	int rc;

	/* Late answers to an exchange that we gave up carry an older number. */
	if (h->nlmsg_seq != net->sequence || h->nlmsg_pid != net->portid)
		return;
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		x->interrupted = true;
	if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
		rc = answer_result(net, h);
		x->done = true;
		if (!x->result)
			x->result = rc;
		return;
	}
	/* After a failure the rest is only read away: the kernel refuses a second dump before. */
	rc = x->rows && !x->result ? rows_take(x->rows, h) : 0;
	if (rc) {
		snprintf(net->error, sizeof net->error, "more than %u rows", NET_ROWS_MAX);
		x->result = rc;
	}
	if (!(h->nlmsg_flags & NLM_F_MULTI) && x->rows)
		x->done = true;
}

static int net_exchange(struct net *net, struct request *r, struct exchange *x)
{
	/* More answers than rows plus control messages cannot be; a second bound beside time. */
	size_t left = (size_t)NET_ROWS_MAX * 2;
	int rc = net_send(net, r);

	while (!rc && !x->done && left-- > 0) {
		const struct nlmsghdr *h;
		size_t size = 0;
		int rest;

		rc = net_receive(net, &size);
		if (rc)
			break;
		h = (const void *)net->buffer;
		for (rest = (int)size; mnl_nlmsg_ok(h, rest); h = mnl_nlmsg_next(h, &rest))
			exchange_message(net, x, h);
	}
	return rc ? rc : x->result;
}

int net_execute(struct net *net, struct request *r)
{
	struct exchange x = { 0 };

	r->u.head.nlmsg_flags |= NLM_F_ACK;
	return net_exchange(net, r, &x);
}

int net_query(struct net *net, struct request *r, struct rows *rows)
{
	for (int i = 0; i < DUMP_TRIES; i++) {
		struct exchange x = { .rows = rows };
		int rc;

		rows->count = 0;
		rc = net_exchange(net, r, &x);
		if (rc == 0 && !x.interrupted)
			return 0;
		if (rc != 0 && rc != -EINTR) {
			rows_clear(rows);
			return rc;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 1000000L * i }, NULL);
	}
	rows_clear(rows);
	snprintf(net->error, sizeof net->error, "the list changed while it was read, %d times",
		 DUMP_TRIES);
	return -EAGAIN;
}

/* ---- handle ---- */

static int socket_option(struct mnl_socket *s, int option)
{
	int on = 1;

	return mnl_socket_setsockopt(s, option, &on, sizeof on) < 0 ? -errno : 0;
}

struct mnl_socket *netlink_socket(int bus, int extra_flags)
{
	struct mnl_socket *s = mnl_socket_open2(bus, SOCK_CLOEXEC | extra_flags);

	if (!s)
		return NULL;
	/* All three only make answers better; older kernels do without. */
	socket_option(s, NETLINK_EXT_ACK);
	socket_option(s, NETLINK_CAP_ACK);
	socket_option(s, NETLINK_GET_STRICT_CHK);
	return s;
}

int net_open(struct net **out)
{
	return net_open_bus(NETLINK_ROUTE, out);
}

int net_open_bus(int bus, struct net **out)
{
	struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	struct net *net = mem_new(1, sizeof *net);
	int rc;

	net->buffer = mem_new(1, ANSWER_SIZE);
	net->socket = netlink_socket(bus, 0);
	if (!net->socket || mnl_socket_bind(net->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(net->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof timeout) < 0) {
		rc = -errno;
		net_close(net);
		return rc;
	}
	net->portid = mnl_socket_get_portid(net->socket);
	*out = net;
	return 0;
}

int net_open_at(struct net **net, int netns_fd)
{
	struct netns_visit visit;
	int rc = netns_enter(netns_fd, &visit);

	if (rc)
		return rc;
	rc = net_open(net);
	netns_leave(&visit);
	return rc;
}

void net_close(struct net *net)
{
	if (!net)
		return;
	if (net->socket)
		mnl_socket_close(net->socket);
	mem_free(net->buffer);
	mem_free(net);
}

const char *net_error(const struct net *net)
{
	return net->error;
}
