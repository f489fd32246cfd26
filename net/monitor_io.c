#include "netlink_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weave/alloc.h>

#define MONITOR_BUFFER_SIZE 32768u
/* Bursts such as a hundred containers starting; what does not fit becomes a RESYNC. */
#define MONITOR_SOCKET_BUFFER (1 << 20)
/* Reads per call that bring nothing for the caller; the fd stays readable and the loop comes back.
 */
#define MONITOR_READS 64

struct net_monitor {
	struct mnl_socket *socket;
	int *bridges; /* in order */
	size_t bridges_count;
	bool lost; /* events were dropped, and that was not told yet */
	int left;  /* bytes of the buffer not looked at yet, from 'next' on */
	const struct nlmsghdr *next;
	char *buffer;
};

int net_monitor_open(struct net_monitor **out)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
				      RTNLGRP_IPV6_IFADDR };
	struct net_monitor *m = mem_new(1, sizeof *m);
	int size = MONITOR_SOCKET_BUFFER, rc = 0;

	m->buffer = mem_new(1, MONITOR_BUFFER_SIZE);
	m->socket = netlink_socket(NETLINK_ROUTE, SOCK_NONBLOCK);
	if (!m->socket || mnl_socket_bind(m->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = -errno;
	for (size_t i = 0; rc == 0 && i < sizeof groups / sizeof groups[0]; i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(m->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) <
		    0)
			rc = -errno;
	}
	if (rc) {
		net_monitor_close(m);
		return rc;
	}
	/* A smaller buffer only means RESYNC earlier. */
	setsockopt(mnl_socket_get_fd(m->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	*out = m;
	return 0;
}

void net_monitor_close(struct net_monitor *m)
{
	if (!m)
		return;
	if (m->socket)
		mnl_socket_close(m->socket);
	mem_free(m->bridges);
	mem_free(m->buffer);
	mem_free(m);
}

int net_monitor_fd(const struct net_monitor *m)
{
	return mnl_socket_get_fd(m->socket);
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void net_monitor_watch(struct net_monitor *m, const int *bridges, size_t count)
{
	mem_free(m->bridges);
	m->bridges = count ? mem_copy(bridges, count * sizeof *bridges) : NULL;
	m->bridges_count = count;
	if (count)
		qsort(m->bridges, count, sizeof *bridges, compare);
}

static bool read_fdb(const struct net_monitor *m, const struct nlmsghdr *h, struct net_fdb *fdb)
{
	return m->bridges_count && fdb_parse(h, 0, fdb) &&
	       bsearch(&fdb->bridge, m->bridges, m->bridges_count, sizeof *m->bridges, compare);
}

/* True when the message is an event for the caller. */
static bool event_parse(const struct net_monitor *m, const struct nlmsghdr *h,
			struct net_event *event)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
		event->kind = NET_EVENT_LINK;
		return link_parse(h, &event->link);
	case RTM_DELLINK:
		event->kind = NET_EVENT_LINK_GONE;
		return link_parse(h, &event->link);
	case RTM_NEWNEIGH:
		event->kind = NET_EVENT_FDB;
		return read_fdb(m, h, &event->fdb);
	case RTM_DELNEIGH:
		event->kind = NET_EVENT_FDB_GONE;
		return read_fdb(m, h, &event->fdb);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		event->kind = NET_EVENT_ADDRESS;
		return true;
	default:
		return false;
	}
}

/* 1: the buffer holds messages; 0: nothing there; -ENOBUFS: some were lost. */
static int monitor_fill(struct net_monitor *m)
{
	ssize_t n;

	do
		n = mnl_socket_recvfrom(m->socket, m->buffer, MONITOR_BUFFER_SIZE);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	/* Too long for the buffer (ENOSPC) is a message lost as well. */
	if (n < 0)
		return errno == ENOSPC ? -ENOBUFS : -errno;
	m->next = (const void *)m->buffer;
	m->left = (int)n;
	return 1;
}

/* After an overflow the kernel drops everything until the queue was empty once, without another
 * error.  So it is emptied before the caller is told to list anew: what changes after that listing
 * arrives again. */
static int monitor_drain(struct net_monitor *m, struct net_event *event)
{
	for (int reads = 0; reads < MONITOR_READS; reads++) {
		int rc = monitor_fill(m);

		m->left = 0;
		if (rc < 0 && rc != -ENOBUFS)
			return rc;
		if (rc == 0) {
			m->lost = false;
			event->kind = NET_EVENT_RESYNC;
			return 1;
		}
	}
	return 0;
}

int net_monitor_next(struct net_monitor *m, struct net_event *event)
{
	memset(event, 0, sizeof *event);
	for (int reads = 0; reads < MONITOR_READS && !m->lost; reads++) {
		int rc;

		while (mnl_nlmsg_ok(m->next, m->left)) {
			const struct nlmsghdr *h = m->next;

			m->next = mnl_nlmsg_next(h, &m->left);
			if (event_parse(m, h, event))
				return 1;
		}
		m->left = 0;
		rc = monitor_fill(m);
		if (rc == -ENOBUFS)
			m->lost = true;
		else if (rc <= 0)
			return rc;
	}
	return m->lost ? monitor_drain(m, event) : 0;
}
