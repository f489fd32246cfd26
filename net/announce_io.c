#include <weave/net.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "announce_wire.h"

#define CLOSE_STACK_SIZE 65536u

static void *close_it(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

/* The kernel lets whoever closes a packet socket wait until no processor can see it any more: some
 * milliseconds, in which the loop would carry no frames. */
static void close_elsewhere(int fd)
{
	pthread_attr_t small;
	pthread_t thread;
	int rc = pthread_attr_init(&small);

	if (rc == 0) {
		pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&small, CLOSE_STACK_SIZE);
		rc = pthread_create(&thread, &small, close_it, (void *)(intptr_t)fd);
		pthread_attr_destroy(&small);
	}
	if (rc)
		close(fd);
}

int net_announce(int ifindex, struct mac mac, struct ip_addr ip)
{
	uint8_t frame[ANNOUNCE_SIZE_MAX];
	struct writer w = writer_over(frame, sizeof frame);
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };
	/* Protocol 0: the socket sends only and never queues what arrives. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	announce_write(mac, ip, &w);
	to.sll_protocol = htons(ip.family == 4 ? ETHERTYPE_ARP : ETHERTYPE_IPV6);
	if (sendto(fd, frame, writer_size(&w), 0, (const struct sockaddr *)&to, sizeof to) < 0)
		rc = -errno;
	close_elsewhere(fd);
	return rc;
}
