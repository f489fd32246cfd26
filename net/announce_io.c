#include <weave/net.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "announce_wire.h"

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
	close(fd);
	return rc;
}
