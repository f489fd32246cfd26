#include <weave/router_io.h>

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weave/alloc.h>

#define BATCH 64u

struct injector {
	int fd;
	struct mmsghdr out[BATCH];
	struct iovec at[BATCH];
};

int injector_new(const char *interface, struct injector **out, struct why *why)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct injector *i;
	int one = 1, fd, rc;

	to.sll_ifindex = (int)if_nametoindex(interface);
	/* Protocol 0: nothing is received, so nothing piles up. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || to.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		rc = errno ? -errno : -ENODEV;
		why_set(why, WHY_TRANSPORT, "cannot inject into %s: %s", interface, strerror(-rc));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
	i = mem_new(1, sizeof *i);
	i->fd = fd;
	for (unsigned n = 0; n < BATCH; n++)
		i->out[n].msg_hdr = (struct msghdr){ .msg_iov = &i->at[n], .msg_iovlen = 1 };
	*out = i;
	return 0;
}

void injector_free(struct injector *i)
{
	if (!i)
		return;
	close(i->fd);
	mem_free(i);
}

void injector_send(struct injector *i, const struct outbox_frame *frames, uint32_t count,
		   struct router *router)
{
	uint32_t at = 0;

	while (at < count) {
		unsigned n = count - at < BATCH ? count - at : BATCH;
		int sent;

		for (unsigned k = 0; k < n; k++)
			i->at[k] = (struct iovec){ (uint8_t *)(uintptr_t)frames[at + k].data,
						   frames[at + k].size };
		sent = sendmmsg(i->fd, i->out, n, MSG_DONTWAIT);
		if (sent > 0) {
			at += (uint32_t)sent;
		} else if (errno != EINTR) {
			struct pollfd p = { i->fd, POLLOUT, 0 };

			if (errno == ENOBUFS || errno == EAGAIN)
				poll(&p, 1, 1);
			router_count_drop(router, DROP_INJECT_FAILED, 1);
			at++;
		}
	}
}
