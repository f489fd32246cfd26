#include <fcntl.h>

#include "../net/testing.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <weave/attach.h>

#define CONTAINERS 3

struct fixture {
	struct net *net;
	struct net_bridge bridge;
	struct attach_known known; /* as the daemon keeps it */
	struct {
		int fd;
		char path[64];
	} containers[CONTAINERS];
};

static int open_all(void **state)
{
	struct fixture *f = mem_new(1, sizeof *f);
	struct why why;

	assert_int_equal(net_open(&f->net), 0);
	WHY_OK(why, net_bridge_ensure(f->net, "weave", mac_of("7a:00:11:22:33:44"), 1376,
				      NET_PORT_VETH, &f->bridge, &why));
	for (int i = 0; i < CONTAINERS; i++) {
		f->containers[i].fd = new_namespace();
		namespace_path(f->containers[i].fd, f->containers[i].path,
			       sizeof f->containers[i].path);
	}
	*state = f;
	return 0;
}

static int close_all(void **state)
{
	struct fixture *f = *state;
	struct why why;

	WHY_OK(why, net_bridge_remove(f->net, "weave", &why));
	for (int i = 0; i < CONTAINERS; i++)
		if (f->containers[i].fd >= 0)
			close(f->containers[i].fd);
	attach_known_fini(&f->known);
	net_close(f->net);
	mem_free(f);
	return 0;
}

/* Attaches container 'index' with up to two addresses (NULL: none). */
static int attach(struct fixture *f, int index, const char *id, const char *first,
		  const char *second, struct attachment *a, struct why *why)
{
	struct cidr cidrs[2];
	struct attach_request r = { .id = id,
				    .netns = f->containers[index].path,
				    .cidrs = cidrs,
				    .multicast_route = true };

	if (first)
		cidrs[r.cidrs_count++] = cidr_of(first);
	if (second)
		cidrs[r.cidrs_count++] = cidr_of(second);
	return attach_add(f->net, &f->bridge, &f->known, &r, a, why);
}

static int detach(struct fixture *f, const char *id, const char *cidr, struct detached *d,
		  struct why *why)
{
	struct cidr c;
	struct detach_request r = { .id = id };

	if (cidr) {
		c = cidr_of(cidr);
		r.cidrs = &c;
		r.cidrs_count = 1;
	}
	return attach_remove(f->net, &f->bridge, &f->known, &r, d, why);
}

static size_t ports_count(struct fixture *f)
{
	struct net_link *links;
	size_t count;

	NET_OK(f->net, net_links(f->net, f->bridge.bridge_ifindex, &links, &count));
	mem_free(links);
	return count - 1; /* the capture pair's */
}

/* What is there; and what the table says after it was told of interfaces that are gone. */
static size_t list(struct fixture *f, struct attachment **list)
{
	struct why why;
	size_t count;

	WHY_OK(why, attach_list(f->net, &f->bridge, list, &count, &why));
	assert_int_equal(f->known.count, count);
	for (size_t i = 0; i < count; i++) {
		const struct attachment *a = &f->known.list[i], *b = &(*list)[i];

		assert_int_equal(a->ifindex, b->ifindex);
		assert_int_equal(a->container_ifindex, b->container_ifindex);
		assert_string_equal(a->id, b->id);
		assert_string_equal(a->netns, b->netns);
		assert_true(mac_equal(a->mac, b->mac));
		assert_int_equal(a->mtu, b->mtu);
		assert_int_equal(a->cidrs_count, b->cidrs_count);
		for (uint32_t k = 0; k < a->cidrs_count; k++) {
			assert_int_equal(a->cidrs[k].prefix, b->cidrs[k].prefix);
			assert_int_equal(ip_compare(a->cidrs[k].ip, b->cidrs[k].ip), 0);
		}
	}
	return count;
}

/* "10.2.1.1/24 10.2.1.2/24" as the container itself has them; "-" without interface. */
static const char *inside(struct fixture *f, int index, char *text, size_t size)
{
	struct net_address *addresses;
	struct net_link link;
	struct net *net;
	size_t count, at = 0;

	assert_int_equal(net_open_at(&net, f->containers[index].fd), 0);
	snprintf(text, size, "-");
	if (net_link_find(net, "ethwe", &link) == 0) {
		NET_OK(net, net_addresses(net, link.ifindex, &addresses, &count));
		text[0] = 0;
		for (size_t i = 0; i < count; i++) {
			char c[CIDR_TEXT_SIZE];

			if (addresses[i].scope != 0)
				continue;
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " " : "",
					       cidr_text(addresses[i].cidr, c));
		}
		mem_free(addresses);
	}
	net_close(net);
	return text;
}

static bool has_multicast_route(struct fixture *f, int index)
{
	struct net_route *routes;
	struct net *net;
	bool found = false;
	size_t count;

	assert_int_equal(net_open_at(&net, f->containers[index].fd), 0);
	NET_OK(net, net_routes(net, &routes, &count));
	for (size_t i = 0; i < count; i++)
		found |= routes[i].dst.ip.b[0] == 224 && routes[i].dst.prefix == 4;
	mem_free(routes);
	net_close(net);
	return found;
}

static void attach_gives_an_interface(void **state)
{
	struct fixture *f = *state;
	struct netns_visit visit;
	struct attachment a;
	struct net_link port, end;
	struct net *net;
	char text[200];
	struct why why;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", "fd00:1::1/64", &a, &why));
	assert_string_equal(a.id, "c1");
	assert_string_equal(a.netns, f->containers[0].path);
	assert_int_equal(a.cidrs_count, 2);
	assert_int_equal(a.mtu, 1376);
	assert_int_equal(a.mac.b[0] & 3, 2);
	assert_string_equal(inside(f, 0, text, sizeof text), "10.2.1.1/24 fd00:1::1/64");
	assert_true(has_multicast_route(f, 0));
	NET_OK(f->net, net_link_find(f->net, a.name, &port));
	assert_memory_equal(port.name, "vethwl", 6);
	assert_int_equal(port.master, f->bridge.bridge_ifindex);
	assert_true(port.forwarding && !port.hairpin);
	assert_int_equal(port.mtu, 1376);
	assert_int_equal(net_open_at(&net, f->containers[0].fd), 0);
	NET_OK(net, net_link_find(net, "ethwe", &end));
	assert_true(end.flags & IFF_UP);
	assert_true(mac_equal(end.mac, a.mac));
	assert_int_equal(end.ifindex, a.container_ifindex);
	net_close(net);
	assert_int_equal(netns_enter(f->containers[0].fd, &visit), 0);
	assert_string_equal(sysctl_read("ipv4/neigh/ethwe/ucast_solicit", text, sizeof text), "1");
	assert_string_equal(sysctl_read("ipv6/conf/ethwe/accept_ra", text, sizeof text), "0");
	netns_leave(&visit);
}

static void second_attach_adds(void **state)
{
	struct fixture *f = *state;
	struct attachment a, b;
	char text[200];
	struct why why;

	WHY_OK(why, attach(f, 0, NULL, "10.2.1.1/24", NULL, &a, &why));
	assert_string_equal(a.id, ATTACH_UNKNOWN_ID);
	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", "10.2.2.1/24", &b, &why));
	assert_int_equal(a.ifindex, b.ifindex);
	assert_string_equal(b.id, "c1");
	WHY_OK(why, attach(f, 0, "c1", "10.2.2.1/24", NULL, &b, &why));
	assert_int_equal(b.cidrs_count, 2);
	assert_string_equal(inside(f, 0, text, sizeof text), "10.2.1.1/24 10.2.2.1/24");
	assert_int_equal(ports_count(f), 1);
}

static void route_and_mtu_as_asked(void **state)
{
	struct fixture *f = *state;
	struct attach_request r = { .id = "c1", .netns = f->containers[0].path, .mtu = 1300 };
	struct attachment a;
	char text[200];
	struct why why;

	WHY_OK(why, attach_add(f->net, &f->bridge, &f->known, &r, &a, &why));
	assert_int_equal(a.mtu, 1300);
	assert_int_equal(a.cidrs_count, 0);
	assert_false(has_multicast_route(f, 0));
	assert_string_equal(inside(f, 0, text, sizeof text), "");
	WHY_OK(why, attach_set_mtu(f->net, &f->bridge, 1200, &why));
	WHY_OK(why, attach(f, 0, "c1", NULL, NULL, &a, &why));
	assert_int_equal(a.mtu, 1200);
	assert_true(has_multicast_route(f, 0));
}

static void refusals_change_nothing(void **state)
{
	struct fixture *f = *state;
	char own[64], text[200];
	struct attach_request r = { .id = "c9", .netns = own };
	struct attachment a;
	struct why why;
	int fd;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	snprintf(own, sizeof own, "/proc/self/ns/net");
	assert_int_equal(attach_add(f->net, &f->bridge, &f->known, &r, &a, &why), -EINVAL);
	assert_non_null(strstr(why.text, "host's own"));
	snprintf(own, sizeof own, "/etc/passwd");
	assert_int_equal(attach_add(f->net, &f->bridge, &f->known, &r, &a, &why), -EINVAL);
	assert_non_null(strstr(why.text, "/etc/passwd is not a network namespace"));
	snprintf(own, sizeof own, "/nowhere");
	assert_int_equal(attach_add(f->net, &f->bridge, &f->known, &r, &a, &why), -ENOENT);
	assert_int_equal(attach(f, 1, "c2", "10.2.1.2/24", "10.2.1.1/24", &a, &why), -EEXIST);
	assert_string_equal(why.text, "10.2.1.1 is taken already, by c1");
	assert_int_equal(attach(f, 1, "c2", "10.2.1.2/24", "10.2.1.0/24", &a, &why), -EINVAL);
	assert_int_equal(ports_count(f), 1);
	assert_string_equal(inside(f, 1, text, sizeof text), "-");
	/* And the path of a file that is open for something else. */
	fd = open("/dev/null", O_RDONLY);
	namespace_path(fd, own, sizeof own);
	assert_int_equal(attach_add(f->net, &f->bridge, &f->known, &r, &a, &why), -EINVAL);
	close(fd);
}

static void foreign_interface_is_left_alone(void **state)
{
	struct fixture *f = *state;
	const struct net_veth foreign = { "ethwe", "other", -1, 0, 0, NULL };
	struct net *net;
	struct net_link link;
	struct attachment a;
	struct why why;

	assert_int_equal(net_open_at(&net, f->containers[0].fd), 0);
	NET_OK(net, net_veth_create(net, &foreign));
	assert_int_equal(attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why), -EEXIST);
	assert_non_null(strstr(why.text, "ethwe"));
	NET_OK(net, net_link_find(net, "ethwe", &link));
	assert_int_equal(ports_count(f), 0);
	net_close(net);
}

/* An address that the kernel refuses half-way takes everything back. */
static void failure_half_way_is_undone(void **state)
{
	struct fixture *f = *state;
	struct attach_request r = { .id = "c1", .netns = f->containers[0].path, .mtu = 1000 };
	struct cidr cidrs[2] = { cidr_of("10.2.1.1/24"), cidr_of("fd00::1/64") };
	struct attachment a;
	char text[200];
	struct why why;

	/* Below 1280 bytes there is no IPv6. */
	r.cidrs = cidrs;
	r.cidrs_count = 2;
	assert_true(attach_add(f->net, &f->bridge, &f->known, &r, &a, &why) < 0);
	assert_non_null(strstr(why.text, "fd00::1/64"));
	assert_int_equal(ports_count(f), 0);
	assert_string_equal(inside(f, 0, text, sizeof text), "-");
	r.cidrs_count = 1;
	WHY_OK(why, attach_add(f->net, &f->bridge, &f->known, &r, &a, &why));
	r.cidrs_count = 2;
	cidrs[0] = cidr_of("10.2.1.2/24");
	assert_true(attach_add(f->net, &f->bridge, &f->known, &r, &a, &why) < 0);
	assert_string_equal(inside(f, 0, text, sizeof text), "10.2.1.1/24");
}

static void detach_takes_away(void **state)
{
	struct fixture *f = *state;
	struct attachment a;
	struct detached d;
	char text[200];
	struct why why;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", "10.2.1.2/24", &a, &why));
	WHY_OK(why, attach(f, 0, "c1", "10.2.1.3/24", NULL, &a, &why));
	assert_int_equal(detach(f, "c1", "10.2.1.9/24", &d, &why), -ENOENT);
	assert_string_equal(why.text, "c1 does not have the address 10.2.1.9/24");
	assert_int_equal(detach(f, "c2", NULL, &d, &why), -ENOENT);
	/* The first address of a subnet goes; the others must not go with it. */
	WHY_OK(why, detach(f, "c1", "10.2.1.1/24", &d, &why));
	assert_int_equal(d.cidrs_count, 1);
	assert_int_equal(d.left.cidrs_count, 2);
	assert_true(mac_equal(d.mac, a.mac));
	assert_string_equal(inside(f, 0, text, sizeof text), "10.2.1.2/24 10.2.1.3/24");
	WHY_OK(why, detach(f, "c1", NULL, &d, &why));
	assert_int_equal(d.cidrs_count, 2);
	assert_int_equal(d.left.ifindex, 0);
	assert_string_equal(inside(f, 0, text, sizeof text), "-");
	assert_int_equal(ports_count(f), 0);
	assert_int_equal(detach(f, "c1", NULL, &d, &why), -ENOENT);
	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	WHY_OK(why, detach(f, "c1", "10.2.1.1/24", &d, &why));
	assert_string_equal(inside(f, 0, text, sizeof text), "-");
}

/* Even in a container that switched promoting off again. */
static void secondary_addresses_survive(void **state)
{
	struct fixture *f = *state;
	struct netns_visit visit;
	struct attachment a;
	struct detached d;
	char text[200];
	struct why why;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", "10.2.1.2/24", &a, &why));
	assert_int_equal(netns_enter(f->containers[0].fd, &visit), 0);
	assert_int_equal(net_sysctl("ipv4/conf/ethwe/promote_secondaries", "0"), 0);
	netns_leave(&visit);
	WHY_OK(why, detach(f, "c1", "10.2.1.1/24", &d, &why));
	assert_string_equal(inside(f, 0, text, sizeof text), "10.2.1.2/24");
}

static void attachments_are_found_again(void **state)
{
	struct fixture *f = *state;
	struct detach_request by_path = { .netns = f->containers[1].path };
	struct attachment a, *found;
	struct detached d;
	struct why why;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	WHY_OK(why, attach(f, 1, NULL, "10.2.1.2/24", NULL, &a, &why));
	assert_int_equal(list(f, &found), 2);
	assert_string_equal(found[0].id, "c1");
	assert_string_equal(found[1].id, "_");
	assert_string_equal(found[1].netns, f->containers[1].path);
	assert_int_equal(found[1].ifindex, a.ifindex);
	assert_true(mac_equal(found[1].mac, a.mac));
	assert_int_equal(found[1].cidrs_count, 1);
	mem_free(found);
	WHY_OK(why, attach_remove(f->net, &f->bridge, &f->known, &by_path, &d, &why));
	assert_int_equal(list(f, &found), 1);
	mem_free(found);
}

static const char *identity(struct fixture *f, int index, const char *id)
{
	static char known[ATTACH_ID_MAX + 1];
	struct attach_request r = { .id = id, .netns = f->containers[index].path };
	struct why why;

	WHY_OK(why, attach_identity(f->net, &f->bridge, &r, known, &why));
	return known;
}

static void rename_inside(struct fixture *f, int index, const char *name)
{
	struct ifreq rename = { .ifr_name = ATTACH_INTERFACE };
	struct netns_visit visit;
	struct net_link end;
	struct net *net;
	int fd;

	assert_int_equal(net_open_at(&net, f->containers[index].fd), 0);
	NET_OK(net, net_link_find(net, ATTACH_INTERFACE, &end));
	NET_OK(net, net_link_set_up(net, end.ifindex, false));
	assert_int_equal(netns_enter(f->containers[index].fd, &visit), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	snprintf(rename.ifr_newname, sizeof rename.ifr_newname, "%s", name);
	assert_int_equal(ioctl(fd, SIOCSIFNAME, &rename), 0);
	close(fd);
	netns_leave(&visit);
	net_close(net);
}

/* Whoever names a namespace anew, by the number of a process, say: it is one container. */
static void a_namespace_keeps_its_id(void **state)
{
	struct fixture *f = *state;
	struct attachment a;
	struct detach_request who = { .id = "other", .netns = f->containers[0].path };
	struct attach_request bad = { .id = "a b", .netns = f->containers[0].path };
	char known[ATTACH_ID_MAX + 1];
	struct why why;

	assert_string_equal(identity(f, 0, "c1"), "c1");
	assert_string_equal(identity(f, 0, NULL), "_");
	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	WHY_OK(why, attach(f, 1, NULL, "10.2.1.2/24", NULL, &a, &why));
	assert_string_equal(identity(f, 0, "other"), "c1");
	assert_string_equal(identity(f, 0, NULL), "c1");
	assert_string_equal(identity(f, 1, "c2"), "c2"); /* it had none */
	WHY_OK(why, attach_find(f->net, &f->bridge, &f->known, &who, &a, &why));
	assert_string_equal(a.id, "c1");
	assert_int_equal(a.cidrs_count, 1);
	who = (struct detach_request){ .id = "c1" };
	WHY_OK(why, attach_find(f->net, &f->bridge, &f->known, &who, &a, &why));
	assert_string_equal(a.netns, f->containers[0].path);
	who.id = "other";
	assert_int_equal(attach_find(f->net, &f->bridge, &f->known, &who, &a, &why), -ENOENT);
	assert_non_null(strstr(why.text, "other is not attached"));
	assert_int_equal(attach_identity(f->net, &f->bridge, &bad, known, &why), -EINVAL);
	bad = (struct attach_request){ .id = "c1", .netns = "/nowhere" };
	assert_int_equal(attach_identity(f->net, &f->bridge, &bad, known, &why), -ENOENT);
	/* Its own administrator calls the interface as he likes. */
	rename_inside(f, 0, "eth7");
	assert_string_equal(identity(f, 0, "other"), "c1");
}

static void leftovers_are_cleaned(void **state)
{
	struct fixture *f = *state;
	/* As after a crash between making the pair and naming its owner. */
	struct net_veth half = { "vethwl0000001", "ethwe", -1, 0, 0, NULL };
	struct net_veth foreign = { "veth1", "veth2", -1, 0, 0, NULL };
	struct attachment a, *found;
	struct why why;

	half.master = foreign.master = f->bridge.bridge_ifindex;
	half.peer_netns = f->containers[1].fd;
	NET_OK(f->net, net_veth_create(f->net, &half));
	NET_OK(f->net, net_veth_create(f->net, &foreign));
	WHY_OK(why, attach_refresh(f->net, &f->bridge, &f->known, &why));
	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	assert_int_equal(ports_count(f), 2);
	assert_int_equal(list(f, &found), 1);
	mem_free(found);
}

/* The path of container 0 leads to no namespace any more; container 2 is another way to it. */
static void lose_path_of_first(struct fixture *f)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(dup2(f->containers[0].fd, f->containers[2].fd) >= 0);
	/* The number stays in use, or the next namespace that is opened would get it. */
	assert_true(dup2(nothing, f->containers[0].fd) >= 0);
	close(nothing);
}

static void container_whose_path_is_gone_keeps_its_network(void **state)
{
	struct fixture *f = *state;
	struct attachment a, *found;
	struct detach_request by_path = { 0 };
	struct detached d;
	struct why why;
	int port;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	port = a.ifindex;
	/* As when the process by whose number it was attached has ended, and others live on. */
	lose_path_of_first(f);
	/* It lives: its addresses are not free. */
	assert_true(attach_is_hidden(f->net, &f->bridge, &f->known, "c1"));
	assert_true(attach_known_lives(&f->known, "c1"));
	assert_string_equal(attach_known_id(&f->known, port), "c1");
	assert_int_equal(list(f, &found), 0);
	mem_free(found);
	assert_int_equal(ports_count(f), 1);
	/* Named anew it is seen again, with its addresses ... */
	WHY_OK(why, attach(f, 2, "c1", "10.2.1.1/24", NULL, &a, &why));
	assert_int_equal(a.ifindex, port);
	assert_int_equal(list(f, &found), 1);
	assert_string_equal(found[0].netns, f->containers[2].path);
	mem_free(found);
	/* ... and can be detached. */
	by_path.netns = f->containers[2].path;
	WHY_OK(why, attach_remove(f->net, &f->bridge, &f->known, &by_path, &d, &why));
	assert_int_equal(ports_count(f), 0);
}

static void restarted_container_replaces_one_out_of_sight(void **state)
{
	struct fixture *f = *state;
	struct attachment a, *found;
	struct why why;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	lose_path_of_first(f);
	WHY_OK(why, attach(f, 1, "c1", "10.2.1.1/24", NULL, &a, &why));
	assert_int_equal(ports_count(f), 1);
	assert_int_equal(list(f, &found), 1);
	assert_int_equal(found[0].ifindex, a.ifindex);
	mem_free(found);
}

static void path_of_another_namespace_is_not_ours(void **state)
{
	struct fixture *f = *state;
	struct detach_request who = { .id = "c1" };
	struct attachment a, *found;
	struct why why;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	/* The path now leads to a younger namespace. */
	assert_true(dup2(f->containers[1].fd, f->containers[0].fd) >= 0);
	assert_int_equal(f->known.count, 1);
	assert_int_equal(attach_find(f->net, &f->bridge, &f->known, &who, &a, &why), -ENOENT);
	assert_true(attach_is_hidden(f->net, &f->bridge, &f->known, "c1"));
	assert_int_equal(list(f, &found), 0);
	mem_free(found);
}

static void restarted_container_comes_back(void **state)
{
	struct fixture *f = *state;
	struct attachment a, b, *found;
	char text[200];
	struct why why;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	WHY_OK(why, attach(f, 1, "c1", "10.2.1.1/24", NULL, &b, &why));
	assert_string_equal(inside(f, 1, text, sizeof text), "10.2.1.1/24");
	assert_string_equal(inside(f, 0, text, sizeof text), "-");
	assert_int_equal(list(f, &found), 1);
	assert_int_equal(found[0].ifindex, b.ifindex);
	mem_free(found);
}

/* Packets that the bridge hands to the capture port. */
static int watch_bridge(const struct fixture *f)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_ifindex = f->bridge.capture_ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);

	at.sll_protocol = htons(ETH_P_ALL);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

/* The addresses of 'a' that are announced before 'want' of them were, or within 'ms'. */
static uint32_t announced(int fd, const struct attachment *a, uint32_t want, int ms)
{
	uint32_t seen = 0;

	for (int tries = 0; tries < ms / 10 && seen != want; tries++) {
		struct pollfd p = { fd, POLLIN, 0 };
		uint8_t frame[2000];
		ssize_t n;

		poll(&p, 1, 10);
		n = recv(fd, frame, sizeof frame, 0);
		if (n < 42 || memcmp(frame + 6, a->mac.b, 6) != 0)
			continue;
		for (uint32_t i = 0; i < a->cidrs_count; i++) {
			const struct ip_addr *ip = &a->cidrs[i].ip;

			if (ip->family == 4 ? frame[13] == 6 && memcmp(frame + 28, ip->b, 4) == 0
					    : n >= 86 && frame[20] == 58 && frame[54] == 136 &&
						      memcmp(frame + 62, ip->b, 16) == 0)
				seen |= 1u << i;
		}
	}
	return seen;
}

static void attach_announces(void **state)
{
	struct fixture *f = *state;
	int fd = watch_bridge(f);
	struct attachment a;
	struct why why;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", "fd00:1::1/64", &a, &why));
	assert_int_equal(announced(fd, &a, 3, 10000), 3);
	close(fd);
}

/* Only what the container still has. */
static void announced_once_more(void **state)
{
	struct fixture *f = *state;
	struct attachment a, gone;
	struct net *net;
	struct why why;
	int fd;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", "10.2.1.2/24", &a, &why));
	assert_int_equal(net_open_at(&net, f->containers[0].fd), 0);
	NET_OK(net, net_address_remove(net, a.container_ifindex, a.cidrs[0]));
	/* Under the MAC that it has by now. */
	NET_OK(net, net_link_set_mac(net, a.container_ifindex, mac_of("02:00:00:00:00:42")));
	net_close(net);
	gone = a;
	a.mac = mac_of("02:00:00:00:00:42");
	fd = watch_bridge(f);
	attach_announce(&gone);
	assert_int_equal(announced(fd, &a, 2, 10000), 2);
	assert_int_equal(announced(fd, &a, 1, 300), 0);
	/* Nor in the name of a container that is gone, whoever has its place. */
	WHY_OK(why, attach(f, 1, "c2", "10.2.1.7/24", NULL, &a, &why));
	assert_int_equal(announced(fd, &a, 1, 10000), 1);
	gone = a;
	gone.netns_id.inode++;
	attach_announce(&gone);
	snprintf(gone.netns, sizeof gone.netns, "/nowhere");
	attach_announce(&gone);
	assert_int_equal(announced(fd, &a, 1, 300), 0);
	close(fd);
}

/* Decisions rest on what is so, not on what was so when somebody looked last. */
static void old_knowledge_is_looked_at_again(void **state)
{
	struct fixture *f = *state;
	struct attachment a, *found;
	struct net_link port;
	struct detached d;
	char text[200];
	struct why why;
	struct net *net;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	/* Its administrator gave up one address for another: one is free, nobody holds two. */
	assert_int_equal(net_open_at(&net, f->containers[0].fd), 0);
	NET_OK(net, net_address_remove(net, a.container_ifindex, cidr_of("10.2.1.1/24")));
	NET_OK(net, net_address_add(net, a.container_ifindex, cidr_of("10.2.1.9/24")));
	net_close(net);
	WHY_OK(why, attach(f, 1, "c2", "10.2.1.1/24", NULL, &a, &why));
	assert_int_equal(attach(f, 1, "c2", "10.2.1.9/24", NULL, &a, &why), -EEXIST);
	assert_int_equal(list(f, &found), 2);
	mem_free(found);
	/* The port of one is gone, and nobody has told us yet. */
	NET_OK(f->net, net_link_get(f->net, f->known.list[0].ifindex, &port));
	NET_OK(f->net, net_link_delete(f->net, port.ifindex));
	assert_int_equal(detach(f, "c1", NULL, &d, &why), -ENOENT);
	assert_false(attach_known_lives(&f->known, "c1"));
	WHY_OK(why, attach(f, 0, "c1", "10.2.1.9/24", NULL, &a, &why));
	assert_string_equal(inside(f, 0, text, sizeof text), "10.2.1.9/24");
	/* Somebody else attached it: then we hear of it by its namespace. */
	attach_known_fini(&f->known);
	WHY_OK(why, attach(f, 0, "other", "10.2.1.8/24", NULL, &a, &why));
	assert_string_equal(a.id, "c1");
	assert_int_equal(a.cidrs_count, 2);
}

/* Two containers really reach each other the moment both calls are back. */
static void containers_talk(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(5000) };
	struct netns_visit visit;
	struct attachment a, b;
	char got[8] = "";
	struct why why;
	int in, out;

	WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
	WHY_OK(why, attach(f, 1, "c2", "10.2.1.2/24", NULL, &b, &why));
	inet_pton(AF_INET, "10.2.1.2", &to.sin_addr);
	assert_int_equal(netns_enter(f->containers[0].fd, &visit), 0);
	out = socket(AF_INET, SOCK_DGRAM, 0);
	netns_leave(&visit);
	assert_int_equal(netns_enter(f->containers[1].fd, &visit), 0);
	in = socket(AF_INET, SOCK_DGRAM, 0);
	netns_leave(&visit);
	assert_int_equal(bind(in, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(sendto(out, "hello", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
	assert_int_equal(poll(&(struct pollfd){ in, POLLIN, 0 }, 1, 5000), 1);
	assert_int_equal(recv(in, got, sizeof got, 0), 5);
	assert_string_equal(got, "hello");
	close(in);
	close(out);
}

static void calls_leak_nothing(void **state)
{
	struct fixture *f = *state;
	size_t memory = mem_in_use();
	int fd_before = dup(0), fd_after;
	struct attachment a;
	struct detached d;
	struct why why;

	close(fd_before);
	for (int i = 0; i < 10; i++) {
		WHY_OK(why, attach(f, 0, "c1", "10.2.1.1/24", NULL, &a, &why));
		assert_int_equal(attach(f, 1, "c2", "10.2.1.1/24", NULL, &a, &why), -EEXIST);
		WHY_OK(why, detach(f, "c1", NULL, &d, &why));
	}
	/* Some are closed by a thread of their own. */
	for (int tries = 0; tries < 5000; tries++) {
		fd_after = dup(0);
		close(fd_after);
		if (fd_after == fd_before)
			break;
		usleep(1000);
	}
	assert_int_equal(fd_before, fd_after);
	attach_known_fini(&f->known);
	assert_int_equal(mem_in_use(), memory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attach_gives_an_interface),
		TEST(second_attach_adds),
		TEST(route_and_mtu_as_asked),
		TEST(refusals_change_nothing),
		TEST(foreign_interface_is_left_alone),
		TEST(failure_half_way_is_undone),
		TEST(detach_takes_away),
		TEST(secondary_addresses_survive),
		TEST(attachments_are_found_again),
		TEST(a_namespace_keeps_its_id),
		TEST(leftovers_are_cleaned),
		TEST(container_whose_path_is_gone_keeps_its_network),
		TEST(restarted_container_replaces_one_out_of_sight),
		TEST(path_of_another_namespace_is_not_ours),
		TEST(restarted_container_comes_back),
		TEST(attach_announces),
		TEST(announced_once_more),
		TEST(old_knowledge_is_looked_at_again),
		TEST(containers_talk),
		TEST(calls_leak_nothing),
	};

	enter_fresh_namespace("test_attach_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
