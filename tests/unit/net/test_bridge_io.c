#include "testing.h"

#include <net/if.h>

#include <weave/net_segment.h>

static const struct mac bridge_mac = { { 0x7a, 0, 0x11, 0x22, 0x33, 0x44 } };

static int open_net(void **state)
{
	struct net *net;

	assert_int_equal(net_open(&net), 0);
	*state = net;
	return 0;
}

static int close_net(void **state)
{
	struct why why;

	WHY_OK(why, net_bridge_remove(*state, "weave", &why));
	WHY_OK(why, net_bridge_remove(*state, "weave2", &why));
	net_close(*state);
	return 0;
}

static struct net_bridge ensure(struct net *net, const char *name, uint32_t mtu)
{
	struct net_bridge bridge;
	struct why why;

	WHY_OK(why, net_bridge_ensure(net, name, bridge_mac, mtu, NET_PORT_VETH, &bridge, &why));
	return bridge;
}

static size_t links_count(struct net *net)
{
	struct net_link *links;
	size_t count;

	NET_OK(net, net_links(net, 0, &links, &count));
	mem_free(links);
	return count;
}

static bool has_address(struct net *net, int ifindex)
{
	struct net_address *list;
	size_t count;

	NET_OK(net, net_addresses(net, ifindex, &list, &count));
	mem_free(list);
	return count > 0;
}

/* All that the data path relies on. */
static void check_bridge(struct net *net, const struct net_bridge *b, uint32_t mtu)
{
	struct net_link bridge, port, capture;

	NET_OK(net, net_link_find(net, b->names.bridge, &bridge));
	NET_OK(net, net_link_find(net, b->names.port, &port));
	NET_OK(net, net_link_find(net, b->names.capture, &capture));
	assert_int_equal(bridge.ifindex, b->bridge_ifindex);
	assert_int_equal(port.ifindex, b->port_ifindex);
	assert_int_equal(capture.ifindex, b->capture_ifindex);
	assert_true(mac_equal(bridge.mac, bridge_mac));
	assert_int_equal(bridge.mtu, mtu);
	assert_int_equal(port.mtu, mtu);
	assert_int_equal(capture.mtu, mtu);
	assert_true(bridge.flags & port.flags & capture.flags & IFF_UP);
	assert_int_equal(port.master, bridge.ifindex);
	assert_int_equal(port.peer, capture.ifindex);
	assert_true(port.forwarding && port.learning && !port.hairpin);
	assert_false(has_address(net, port.ifindex));
	assert_false(has_address(net, capture.ifindex));
}

static void ensure_makes_and_keeps(void **state)
{
	struct net *net = *state;
	struct net_bridge first = ensure(net, "weave", 1376), second;
	char value[16];

	check_bridge(net, &first, 1376);
	assert_string_equal(sysctl_read("ipv6/conf/weave/accept_ra", value, sizeof value), "0");
	assert_string_equal(
		sysctl_read("ipv4/neigh/weave/base_reachable_time_ms", value, sizeof value),
		"5000");
	second = ensure(net, "weave", 1376);
	assert_memory_equal(&first, &second, sizeof first);
}

static void ensure_repairs(void **state)
{
	struct net *net = *state;
	struct net_bridge b = ensure(net, "weave", 1376);

	NET_OK(net, net_link_set_up(net, b.bridge_ifindex, false));
	NET_OK(net, net_link_set_mac(net, b.bridge_ifindex, mac_of("02:00:00:00:00:01")));
	NET_OK(net, net_link_set_master(net, b.port_ifindex, 0));
	NET_OK(net, net_link_set_up(net, b.capture_ifindex, false));
	b = ensure(net, "weave", 1376);
	check_bridge(net, &b, 1376);
	NET_OK(net, net_port_set(net, b.port_ifindex, true, false));
	b = ensure(net, "weave", 1400);
	check_bridge(net, &b, 1400);
	NET_OK(net, net_link_delete(net, b.capture_ifindex));
	b = ensure(net, "weave", 1400);
	check_bridge(net, &b, 1400);
	NET_OK(net, net_link_delete(net, b.bridge_ifindex));
	b = ensure(net, "weave", 1400);
	check_bridge(net, &b, 1400);
}

/* A crash between any two steps leaves a part; whatever it is, ensure completes it. */
static void ensure_completes_halves(void **state)
{
	const struct net_veth wrong = { "vethwe-bridge", "other", -1, 0, 0, NULL };
	struct net *net = *state;
	struct net_bridge b;
	struct net_link link;

	NET_OK(net, net_bridge_create(net, "weave", mac_of("02:00:00:00:00:01"), 0));
	NET_OK(net, net_veth_create(net, &wrong));
	b = ensure(net, "weave", 1500);
	check_bridge(net, &b, 1500);
	assert_int_equal(net_link_find(net, "other", &link), -ENODEV);
}

static struct net_bridge ensure_segment(struct net *net, uint32_t number, const char *key)
{
	struct net_bridge b;
	struct why why;

	WHY_OK(why, net_segment_ensure(net, "weave", number, key, bridge_mac, 1376, NET_PORT_VETH,
				       &b, &why));
	return b;
}

/* Found again by their aliases; the host is kept off; they go with the main bridge. */
static void segments_stand_beside_the_bridge(void **state)
{
	static const char *const settings[][2] = {
		{ "ipv4/conf/weave-000007/rp_filter", "1" },
		{ "ipv4/conf/weave-000007/forwarding", "0" },
		{ "ipv4/conf/weave-000007/arp_ignore", "8" },
		{ "ipv6/conf/weave-000007/disable_ipv6", "1" },
	};
	struct net *net = *state;
	struct net_segment *list;
	struct net_bridge b, again;
	struct net_link link;
	struct why why;
	char value[16];
	size_t count;

	ensure(net, "weave", 1376);
	b = ensure_segment(net, 7, "red");
	check_bridge(net, &b, 1376);
	for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
		assert_string_equal(sysctl_read(settings[i][0], value, sizeof value),
				    settings[i][1]);
	again = ensure_segment(net, 7, "red");
	assert_memory_equal(&b, &again, sizeof b);
	NET_OK(net, net_link_find(net, "weave-000007", &link));
	assert_string_equal(link.alias, "weave/1 weave-000007 segment red");
	ensure_segment(net, 8, "blue");
	NET_OK(net, net_segments(net, "weave", &list, &count));
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(list[i].key, list[i].number == 7 ? "red" : "blue");
	mem_free(list);
	WHY_OK(why, net_segment_remove(net, "weave", 8, &why));
	WHY_OK(why, net_segment_remove(net, "weave", 8, &why));
	assert_int_equal(net_link_find(net, "weave-000008", &link), -ENODEV);
	assert_int_equal(net_link_find(net, "vethwe-b000008", &link), -ENODEV);
	NET_OK(net, net_link_find(net, "weave-000007", &link));
	WHY_OK(why, net_bridge_remove(net, "weave", &why));
	assert_int_equal(net_link_find(net, "weave-000007", &link), -ENODEV);
	assert_int_equal(net_link_find(net, "vethwe-b000007", &link), -ENODEV);
}

static void mtu_does_not_follow_ports(void **state)
{
	static const uint32_t mtus[] = { 1500, 1376, 65535, NET_MTU_MIN };
	struct net_veth small = { "va", "vb", -1, 0, NET_MTU_MIN, NULL };
	struct net *net = *state;
	struct net_link link;

	for (size_t i = 0; i < ARRAY_COUNT(mtus); i++) {
		struct net_bridge b = ensure(net, "weave", mtus[i]);
		struct why why;

		small.master = b.bridge_ifindex;
		NET_OK(net, net_veth_create(net, &small));
		NET_OK(net, net_link_find(net, "weave", &link));
		assert_int_equal(link.mtu, mtus[i]);
		NET_OK(net, net_link_find(net, "va", &link));
		NET_OK(net, net_link_delete(net, link.ifindex));
		WHY_OK(why, net_bridge_remove(net, "weave", &why));
	}
}

static void refuses_what_cannot_be(void **state)
{
	static const struct net_veth pair = { "weave", "vb", -1, 0, 0, NULL };
	struct mac group = bridge_mac;
	struct net *net = *state;
	struct net_bridge b;
	struct net_link link;
	struct why why;

	group.b[0] |= 1;
	assert_int_equal(
		net_bridge_ensure(net, "no good", bridge_mac, 1500, NET_PORT_VETH, &b, &why),
		-EINVAL);
	assert_int_equal(net_bridge_ensure(net, "weave", bridge_mac, 67, NET_PORT_VETH, &b, &why),
			 -EINVAL);
	assert_int_equal(
		net_bridge_ensure(net, "weave", bridge_mac, 65536, NET_PORT_VETH, &b, &why),
		-EINVAL);
	assert_int_equal(net_bridge_ensure(net, "weave", group, 1500, NET_PORT_VETH, &b, &why),
			 -EINVAL);
	assert_int_equal(links_count(net), 1);
	NET_OK(net, net_veth_create(net, &pair));
	assert_int_equal(net_bridge_ensure(net, "weave", bridge_mac, 1500, NET_PORT_VETH, &b, &why),
			 -EEXIST);
	assert_non_null(strstr(why.text, "weave is not a bridge"));
	/* Removing our bridge leaves alone what only has its name. */
	WHY_OK(why, net_bridge_remove(net, "weave", &why));
	NET_OK(net, net_link_find(net, "weave", &link));
	NET_OK(net, net_link_delete(net, link.ifindex));
}

static void remove_takes_ours_only(void **state)
{
	struct net *net = *state;
	struct net_bridge one = ensure(net, "weave", 1376), two = ensure(net, "weave2", 1400);
	struct net_veth ours = { "vethwl0000001", "x1", -1, one.bridge_ifindex, 0, NULL };
	struct net_veth theirs = { "foreign", "x2", -1, one.bridge_ifindex, 0, NULL };
	struct net_link link;
	struct why why;

	check_bridge(net, &one, 1376);
	check_bridge(net, &two, 1400);
	NET_OK(net, net_veth_create(net, &ours));
	NET_OK(net, net_veth_create(net, &theirs));
	WHY_OK(why, net_nft("table inet weave { }", NULL, &why));
	WHY_OK(why, net_bridge_remove(net, "weave", &why));
	check_bridge(net, &two, 1400);
	assert_int_equal(net_link_find(net, "vethwl0000001", &link), -ENODEV);
	assert_int_equal(net_link_find(net, "vethwe-pcap", &link), -ENODEV);
	assert_int_equal(net_link_find(net, "weave", &link), -ENODEV);
	NET_OK(net, net_link_find(net, "foreign", &link));
	NET_OK(net, net_link_delete(net, link.ifindex));
	WHY_OK(why, net_bridge_remove(net, "weave2", &why));
	WHY_OK(why, net_bridge_remove(net, "weave2", &why));
	assert_int_equal(links_count(net), 1);
}

static void remove_takes_the_table(void **state)
{
	struct net *net = *state;
	struct why why;
	bool exists;

	WHY_OK(why, net_nft("table inet weave { }\ntable inet other { }", NULL, &why));
	WHY_OK(why, net_bridge_remove(net, "weave", &why));
	WHY_OK(why, net_nft_table_exists("weave", &exists, &why));
	assert_false(exists);
	WHY_OK(why, net_nft_table_exists("other", &exists, &why));
	assert_true(exists);
	WHY_OK(why, net_nft("delete table inet other", NULL, &why));
	assert_true(net_nft("delete table inet other", NULL, &why) < 0);
	assert_non_null(strstr(why.text, "nftables: "));
	assert_true(net_nft("nonsense", NULL, &why) < 0);
}

static void fdb_lists_own_and_learned(void **state)
{
	struct mac learned = mac_of("02:00:00:00:00:77");
	struct net *net = *state;
	struct net_bridge b = ensure(net, "weave", 1376);
	bool own = false, found = false;
	struct net_fdb *list;
	size_t count;

	/* Whatever leaves by the capture end comes in by the port. */
	assert_int_equal(net_announce(b.capture_ifindex, learned, cidr_of("10.0.0.1/8").ip), 0);
	for (int tries = 0; tries < 200 && !found; tries++) {
		NET_OK(net, net_bridge_fdb(net, b.bridge_ifindex, &list, &count));
		for (size_t i = 0; i < count; i++) {
			own |= list[i].is_local && mac_equal(list[i].mac, bridge_mac);
			found |= !list[i].is_local && mac_equal(list[i].mac, learned) &&
				 list[i].ifindex == b.port_ifindex && list[i].vlan == 0;
		}
		mem_free(list);
		sleep_ms(5);
	}
	assert_true(own);
	assert_true(found);
	NET_OK(net, net_bridge_fdb(net, b.capture_ifindex, &list, &count));
	assert_int_equal(count, 0);
	mem_free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ensure_makes_and_keeps, open_net, close_net),
		cmocka_unit_test_setup_teardown(ensure_repairs, open_net, close_net),
		cmocka_unit_test_setup_teardown(ensure_completes_halves, open_net, close_net),
		cmocka_unit_test_setup_teardown(segments_stand_beside_the_bridge, open_net,
						close_net),
		cmocka_unit_test_setup_teardown(mtu_does_not_follow_ports, open_net, close_net),
		cmocka_unit_test_setup_teardown(refuses_what_cannot_be, open_net, close_net),
		cmocka_unit_test_setup_teardown(remove_takes_ours_only, open_net, close_net),
		cmocka_unit_test_setup_teardown(remove_takes_the_table, open_net, close_net),
		cmocka_unit_test_setup_teardown(fdb_lists_own_and_learned, open_net, close_net),
	};

	enter_fresh_namespace("test_bridge_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
