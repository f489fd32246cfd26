/* Frames that leave the bridge by the capture pair are as they would be on a wire: no larger than
 * the MTU, with finished checksums, although the containers keep all their offloads.
 *
 * Two bridges, each with a container and a capture pair; the test itself carries frames from one
 * capture end to the other, looking at each, while TCP and UDP run between the containers.
 */
#include "testing.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MTU 1376u
#define TRANSFER_SIZE (4u << 20)

struct side {
	struct net_bridge bridge;
	int netns;   /* of the container */
	int capture; /* packet socket on the capture end */
};

struct fixture {
	struct net *net;
	struct side sides[2];
	size_t frames, full_frames; /* carried; of these, as large as the MTU allows */
};

static const char *const addresses[2] = { "10.2.1.1/24", "10.2.1.2/24" };

static int packet_socket(int ifindex)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	int size = 8 << 20;

	assert_true(fd >= 0);
	to.sll_protocol = htons(ETH_P_ALL);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static void open_side(struct net *net, struct side *s, const char *name, const char *port,
		      const char *address)
{
	struct net_veth veth = { port, "ethwe", -1, 0, MTU, NULL };
	struct net_link a, b;
	struct net *inside;
	struct why why;

	WHY_OK(why, net_bridge_ensure(net, name, mac_of("7a:00:11:22:33:44"), MTU, NET_PORT_VETH,
				      &s->bridge, &why));
	s->netns = veth.peer_netns = new_namespace();
	veth.master = s->bridge.bridge_ifindex;
	NET_OK(net, net_veth_create(net, &veth));
	NET_OK(net, net_link_find(net, veth.name, &a));
	NET_OK(net, net_link_set_up(net, a.ifindex, true));
	assert_int_equal(net_open_at(&inside, s->netns), 0);
	NET_OK(inside, net_link_find(inside, "ethwe", &b));
	NET_OK(inside, net_link_set_up(inside, b.ifindex, true));
	NET_OK(inside, net_address_add(inside, b.ifindex, cidr_of(address)));
	net_close(inside);
	NET_OK(net, net_port_wait(net, a.ifindex, 5000));
	s->capture = packet_socket(s->bridge.capture_ifindex);
}

static int open_all(void **state)
{
	struct fixture *f = mem_new(1, sizeof *f);

	assert_int_equal(net_open(&f->net), 0);
	open_side(f->net, &f->sides[0], "weave", "vethwl0", addresses[0]);
	open_side(f->net, &f->sides[1], "weave2", "vethwl1", addresses[1]);
	*state = f;
	return 0;
}

static int close_all(void **state)
{
	struct fixture *f = *state;
	struct why why;

	for (int i = 0; i < 2; i++) {
		close(f->sides[i].capture);
		close(f->sides[i].netns);
		WHY_OK(why, net_bridge_remove(f->net, f->sides[i].bridge.names.bridge, &why));
	}
	net_close(f->net);
	mem_free(f);
	return 0;
}

/* ---- looking at frames ---- */

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (n % 2)
		s += (uint32_t)p[n - 1] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

/* Only whole IPv4 packets are sent in these tests. */
static void check_frame(struct fixture *f, const uint8_t *p, size_t size)
{
	size_t header, total;
	const uint8_t *ip = p + 14;

	assert_true(size <= MTU + 14);
	if (size < 34 || p[12] != 8 || p[13] != 0)
		return; /* ARP, IPv6 neighbour discovery */
	header = (ip[0] & 15u) * 4u;
	total = (size_t)(ip[2] << 8 | ip[3]);
	assert_true(total + 14 <= size);
	assert_int_equal(sum(0, ip, header), 0xffff);
	if (ip[9] != IPPROTO_TCP && ip[9] != IPPROTO_UDP)
		return;
	assert_int_equal((ip[6] & 0x3f) << 8 | ip[7], 0); /* no fragment */
	assert_int_equal(sum(sum(ip[9] + (uint32_t)(total - header), ip + 12, 8), ip + header,
			     total - header),
			 0xffff);
	f->frames++;
	f->full_frames += total == MTU;
}

/* All that waits at one capture end goes to the other. */
static void carry(struct fixture *f, int from)
{
	static uint8_t frame[70000];

	for (int i = 0; i < 1000; i++) {
		struct sockaddr_ll where;
		socklen_t where_size = sizeof where;
		ssize_t n = recvfrom(f->sides[from].capture, frame, sizeof frame, MSG_TRUNC,
				     (struct sockaddr *)&where, &where_size);

		if (n < 0)
			return;
		if (where.sll_pkttype == PACKET_OUTGOING)
			continue;
		check_frame(f, frame, (size_t)n);
		if (send(f->sides[1 - from].capture, frame, (size_t)n, 0) < 0)
			assert_int_equal(errno, ENOBUFS);
	}
}

/* One turn: carries frames both ways, waiting up to 10 ms for the first. */
static void carry_both(struct fixture *f, int extra)
{
	struct pollfd p[3] = { { f->sides[0].capture, POLLIN, 0 },
			       { f->sides[1].capture, POLLIN, 0 },
			       { extra, POLLIN, 0 } };

	poll(p, 3, 10);
	carry(f, 0);
	carry(f, 1);
}

static int socket_in(int netns, int type)
{
	struct netns_visit visit;
	int fd;

	assert_int_equal(netns_enter(netns, &visit), 0);
	fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	netns_leave(&visit);
	assert_true(fd >= 0);
	return fd;
}

static struct sockaddr_in address_of(int side, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	memcpy(&a.sin_addr, cidr_of(addresses[side]).ip.b, 4);
	a.sin_port = htons(port);
	return a;
}

static void bind_to(int fd, int side, uint16_t port)
{
	struct sockaddr_in a = address_of(side, port);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

/* ---- tests ---- */

static void push(int fd, size_t *sent)
{
	uint8_t block[65536];
	size_t n = TRANSFER_SIZE - *sent < sizeof block ? TRANSFER_SIZE - *sent : sizeof block;
	ssize_t rc;

	for (size_t i = 0; i < n; i++)
		block[i] = pattern(*sent + i);
	rc = send(fd, block, n, MSG_NOSIGNAL);
	if (rc > 0)
		*sent += (size_t)rc;
}

static void pull(int fd, size_t *received)
{
	uint8_t block[65536];
	ssize_t n = recv(fd, block, sizeof block, 0);

	for (ssize_t i = 0; i < n; i++)
		if (block[i] != pattern(*received + (size_t)i))
			fail_msg("byte %zu differs", *received + (size_t)i);
	if (n > 0)
		*received += (size_t)n;
}

static void tcp_is_segmented_and_whole(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in to = address_of(1, 4000);
	int listener = socket_in(f->sides[1].netns, SOCK_STREAM), in = -1;
	int out = socket_in(f->sides[0].netns, SOCK_STREAM);
	size_t sent = 0, received = 0;

	bind_to(listener, 1, 4000);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(out, (struct sockaddr *)&to, sizeof to), -1);
	assert_int_equal(errno, EINPROGRESS);
	for (int turns = 0; turns < 20000 && received < TRANSFER_SIZE; turns++) {
		carry_both(f, in >= 0 ? in : listener);
		if (in < 0)
			in = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		if (in < 0)
			continue;
		if (sent < TRANSFER_SIZE)
			push(out, &sent);
		pull(in, &received);
	}
	assert_int_equal(received, TRANSFER_SIZE);
	/* The sender did hand over more than one segment at a time, or nothing was proved. */
	assert_true(f->full_frames > TRANSFER_SIZE / MTU / 2);
	close(in);
	close(out);
	close(listener);
}

/* UDP_SEGMENT makes super-frames that only the newer offload flags know. */
static void udp_trains_are_segmented(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in to = address_of(1, 4001);
	int in = socket_in(f->sides[1].netns, SOCK_DGRAM), segment = 1200, count = 0;
	int out = socket_in(f->sides[0].netns, SOCK_DGRAM);
	uint8_t train[12000], datagram[2000];

	bind_to(in, 1, 4001);
	for (size_t i = 0; i < sizeof train; i++)
		train[i] = pattern(i);
	assert_int_equal(setsockopt(out, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
	assert_int_equal(sendto(out, train, sizeof train, 0, (struct sockaddr *)&to, sizeof to),
			 sizeof train);
	for (int turns = 0; turns < 500 && count < 10; turns++) {
		carry_both(f, in);
		while (recv(in, datagram, sizeof datagram, 0) == segment) {
			assert_memory_equal(datagram, train + count * segment, (size_t)segment);
			count++;
		}
	}
	assert_int_equal(count, 10);
	assert_int_equal(f->frames, 10);
	close(in);
	close(out);
}

static unsigned feature(const char *name, uint32_t command)
{
	struct ethtool_value value = { .cmd = command };
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	request.ifr_data = (void *)&value;
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &request), 0);
	close(fd);
	return value.data;
}

static void features_are_off_at_the_port_only(void **state)
{
	static const uint32_t commands[] = { ETHTOOL_GTXCSUM, ETHTOOL_GTSO, ETHTOOL_GGSO,
					     ETHTOOL_GSG, ETHTOOL_GGRO };
	struct fixture *f = *state;
	struct netns_visit visit;

	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		assert_int_equal(feature("vethwe-bridge", commands[i]), 0);
		assert_int_equal(feature("vethwe-pcap", commands[i]), 0);
	}
	assert_int_equal(netns_enter(f->sides[0].netns, &visit), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(feature("ethwe", commands[i]), 1);
	netns_leave(&visit);
	assert_int_equal(net_offloads_off("nowhere"), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tcp_is_segmented_and_whole, open_all, close_all),
		cmocka_unit_test_setup_teardown(udp_trains_are_segmented, open_all, close_all),
		cmocka_unit_test_setup_teardown(features_are_off_at_the_port_only, open_all,
						close_all),
	};

	enter_fresh_namespace("test_offload_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
