/* The host on its bridge, with a container inside and another host outside:
 *
 *   outside 192.0.2.2 ── underlay ── 192.0.2.1 host 10.2.1.100 (exposed) ── bridge ── 10.2.1.5
 *
 * The outside host is told that 10.2.1.0/24 is on its link, and the host answers ARP for it.
 */
#include "../net/testing.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <weave/attach.h>

struct fixture {
	struct net *net;
	struct net_bridge bridge;
	int container, outside; /* namespaces */
	char container_path[64];
	struct net_link underlay;
};

static void open_outside(struct fixture *f)
{
	struct net_veth veth = { "underlay", "eth0", -1, 0, 0, NULL };
	struct net_link end;
	struct net *net;

	veth.peer_netns = f->outside = new_namespace();
	NET_OK(f->net, net_veth_create(f->net, &veth));
	NET_OK(f->net, net_link_find(f->net, "underlay", &f->underlay));
	NET_OK(f->net, net_link_set_up(f->net, f->underlay.ifindex, true));
	NET_OK(f->net, net_address_add(f->net, f->underlay.ifindex, cidr_of("192.0.2.1/24")));
	assert_int_equal(net_sysctl("ipv4/ip_forward", "1"), 0);
	assert_int_equal(net_sysctl("ipv4/conf/underlay/proxy_arp", "1"), 0);
	assert_int_equal(net_sysctl("ipv4/neigh/underlay/proxy_delay", "0"), 0);
	assert_int_equal(net_open_at(&net, f->outside), 0);
	NET_OK(net, net_link_find(net, "eth0", &end));
	NET_OK(net, net_link_set_up(net, end.ifindex, true));
	NET_OK(net, net_address_add(net, end.ifindex, cidr_of("192.0.2.2/24")));
	NET_OK(net, net_route_add(net, cidr_of("10.2.1.0/24"), end.ifindex));
	net_close(net);
}

/* Without a default route the container answers only to its own subnet, as after weave attach. */
static void open_container(struct fixture *f)
{
	struct cidr cidr = cidr_of("10.2.1.5/24");
	struct attach_request r = {
		.id = "c1", .netns = f->container_path, .cidrs = &cidr, .cidrs_count = 1
	};
	struct why why;

	f->container = new_namespace();
	namespace_path(f->container, f->container_path, sizeof f->container_path);
	WHY_OK(why, attach_add(f->net, &f->bridge, NULL, &r, NULL, &why));
}

static int open_all(void **state)
{
	struct fixture *f = mem_new(1, sizeof *f);
	struct why why;

	assert_int_equal(net_open(&f->net), 0);
	WHY_OK(why, net_bridge_ensure(f->net, "weave", mac_of("7a:00:11:22:33:44"), 1376,
				      NET_PORT_VETH, &f->bridge, &why));
	open_outside(f);
	open_container(f);
	*state = f;
	return 0;
}

static int close_all(void **state)
{
	struct fixture *f = *state;
	struct why why;

	WHY_OK(why, net_bridge_remove(f->net, "weave", &why));
	NET_OK(f->net, net_link_delete(f->net, f->underlay.ifindex));
	close(f->container);
	close(f->outside);
	net_close(f->net);
	mem_free(f);
	return 0;
}

static int expose(struct fixture *f, struct expose_set *set, const char *cidr, bool masquerade,
		  struct why *why)
{
	struct exposed item = { cidr_of(cidr), masquerade };

	return expose_add(f->net, &f->bridge, set, &item, 1, why);
}

static bool on_bridge(struct fixture *f, const char *text)
{
	struct net_address *list;
	bool found = false;
	size_t count;

	NET_OK(f->net, net_addresses(f->net, f->bridge.bridge_ifindex, &list, &count));
	for (size_t i = 0; i < count; i++) {
		char is[CIDR_TEXT_SIZE];

		found |= strcmp(cidr_text(list[i].cidr, is), text) == 0;
	}
	mem_free(list);
	return found;
}

static bool table_exists(void)
{
	struct why why;
	bool exists;

	WHY_OK(why, net_nft_table_exists("weave", &exists, &why));
	return exists;
}

static int socket_in(int netns)
{
	struct netns_visit visit;
	int fd;

	assert_int_equal(netns_enter(netns, &visit), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	netns_leave(&visit);
	assert_true(fd >= 0);
	return fd;
}

/* Whom the container sees when the outside host sends it something; "" if nothing comes. */
static const char *seen_by_container(struct fixture *f, char *text)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(5000) }, from;
	int in = socket_in(f->container), out = socket_in(f->outside);
	socklen_t size = sizeof from;
	char got[8];

	inet_pton(AF_INET, "10.2.1.5", &at.sin_addr);
	text[0] = 0;
	assert_int_equal(bind(in, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(sendto(out, "hello", 5, 0, (struct sockaddr *)&at, sizeof at), 5);
	if (poll(&(struct pollfd){ in, POLLIN, 0 }, 1, 3000) == 1) {
		assert_int_equal(recvfrom(in, got, sizeof got, 0, (struct sockaddr *)&from, &size),
				 5);
		inet_ntop(AF_INET, &from.sin_addr, text, INET_ADDRSTRLEN);
	}
	close(in);
	close(out);
	return text;
}

static void exposed_host_masquerades(void **state)
{
	struct fixture *f = *state;
	struct expose_set set = { 0 };
	char text[INET_ADDRSTRLEN];
	struct why why;

	WHY_OK(why, expose(f, &set, "10.2.1.100/24", true, &why));
	assert_int_equal(set.count, 1);
	assert_true(on_bridge(f, "10.2.1.100/24"));
	assert_string_equal(seen_by_container(f, text), "10.2.1.100");
	/* Asked again without: rules follow. */
	WHY_OK(why, expose(f, &set, "10.2.1.100/24", false, &why));
	assert_string_equal(seen_by_container(f, text), "192.0.2.2");
	WHY_OK(why, expose(f, &set, "10.2.1.100/24", true, &why));
	assert_string_equal(seen_by_container(f, text), "10.2.1.100");
	assert_int_equal(set.count, 1);
}

static void hide_takes_all_away(void **state)
{
	struct fixture *f = *state;
	struct expose_set set = { 0 }, removed;
	struct cidr two[2] = { cidr_of("10.2.1.100/24"), cidr_of("10.77.0.1/16") };
	struct why why;

	WHY_OK(why, expose(f, &set, "10.2.1.100/24", true, &why));
	WHY_OK(why, expose(f, &set, "10.2.1.101/24", true, &why));
	WHY_OK(why, expose(f, &set, "fd00:2::1/64", true, &why));
	/* The first of a subnet goes, the second stays; what was never exposed is no error. */
	WHY_OK(why, expose_remove(f->net, &f->bridge, &set, two, 2, &removed, &why));
	assert_int_equal(removed.count, 1);
	assert_int_equal(set.count, 2);
	assert_false(on_bridge(f, "10.2.1.100/24"));
	assert_true(on_bridge(f, "10.2.1.101/24"));
	assert_true(table_exists());
	WHY_OK(why, expose_remove(f->net, &f->bridge, &set, NULL, 0, &removed, &why));
	assert_int_equal(removed.count, 2);
	assert_int_equal(set.count, 0);
	assert_false(on_bridge(f, "10.2.1.101/24"));
	assert_false(table_exists());
	WHY_OK(why, expose_remove(f->net, &f->bridge, &set, NULL, 0, NULL, &why));
}

/* Weave Net forgot after a restart that an address was exposed without masquerading. */
static void restart_remembers_the_marks(void **state)
{
	struct fixture *f = *state;
	struct expose_set set = { 0 }, again = { 0 };
	char text[INET_ADDRSTRLEN];
	struct why why;

	WHY_OK(why, expose(f, &set, "10.2.1.100/24", false, &why));
	WHY_OK(why, expose(f, &set, "10.3.1.100/24", true, &why));
	WHY_OK(why, expose(f, &set, "fd00:2::1/64", false, &why));
	WHY_OK(why, expose_load(f->net, &f->bridge, &again, &why));
	assert_int_equal(again.count, 3);
	for (uint32_t i = 0; i < again.count; i++)
		assert_int_equal(again.items[i].masquerade,
				 again.items[i].cidr.ip.b[1] == 3 &&
					 again.items[i].cidr.ip.family == 4);
	assert_string_equal(seen_by_container(f, text), "192.0.2.2");
}

static void flushed_rules_come_back(void **state)
{
	struct fixture *f = *state;
	struct expose_set set = { 0 };
	char text[INET_ADDRSTRLEN];
	struct why why;

	WHY_OK(why, expose(f, &set, "10.2.1.100/24", true, &why));
	WHY_OK(why, net_nft("flush ruleset", NULL, &why));
	NET_OK(f->net,
	       net_address_remove(f->net, f->bridge.bridge_ifindex, cidr_of("10.2.1.100/24")));
	assert_false(table_exists());
	WHY_OK(why, expose_assert(f->net, &f->bridge, &set, &why));
	assert_true(on_bridge(f, "10.2.1.100/24"));
	assert_string_equal(seen_by_container(f, text), "10.2.1.100");
}

static void refusals_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct expose_set set = { 0 };
	struct exposed two[2] = { { cidr_of("10.2.1.100/24"), true },
				  { cidr_of("10.2.1.5/24"), true } };
	struct cidr taken = cidr_of("10.2.1.100/24");
	struct attach_request r = {
		.id = "c1", .netns = f->container_path, .cidrs = &taken, .cidrs_count = 1
	};
	struct why why;

	assert_int_equal(expose_add(f->net, &f->bridge, &set, two, 2, &why), -EEXIST);
	assert_string_equal(why.text, "10.2.1.5/24 is taken already, by c1");
	assert_int_equal(set.count, 0);
	assert_false(on_bridge(f, "10.2.1.100/24"));
	assert_false(table_exists());
	WHY_OK(why, expose_add(f->net, &f->bridge, &set, two, 1, &why));
	assert_int_equal(attach_add(f->net, &f->bridge, NULL, &r, NULL, &why), -EEXIST);
}

/* The kernel takes the addresses but refuses the rules: here because of the table's name,
 * elsewhere because it lacks nftables. */
static void refused_rules_take_addresses_back(void **state)
{
	struct fixture *f = *state;
	struct net_bridge broken = f->bridge;
	struct expose_set set = { 0 };
	struct exposed item = { cidr_of("10.2.1.100/24"), true };
	struct why why;

	snprintf(broken.names.table, sizeof broken.names.table, "no table");
	assert_true(expose_add(f->net, &broken, &set, &item, 1, &why) < 0);
	assert_non_null(strstr(why.text, "nftables"));
	assert_int_equal(set.count, 0);
	assert_false(on_bridge(f, "10.2.1.100/24"));
}

static void other_tables_are_left_alone(void **state)
{
	struct fixture *f = *state;
	struct expose_set set = { 0 };
	struct why why;
	bool exists;

	WHY_OK(why, net_nft("table inet theirs { }", NULL, &why));
	WHY_OK(why, expose(f, &set, "10.2.1.100/24", true, &why));
	WHY_OK(why, expose_remove(f->net, &f->bridge, &set, NULL, 0, NULL, &why));
	WHY_OK(why, net_nft_table_exists("theirs", &exists, &why));
	assert_true(exists);
	WHY_OK(why, net_nft("delete table inet theirs", NULL, &why));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exposed_host_masquerades),	   TEST(hide_takes_all_away),
		TEST(restart_remembers_the_marks), TEST(flushed_rules_come_back),
		TEST(refusals_change_nothing),	   TEST(refused_rules_take_addresses_back),
		TEST(other_tables_are_left_alone),
	};

	enter_fresh_namespace("test_expose_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
