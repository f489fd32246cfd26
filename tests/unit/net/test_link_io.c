#include "testing.h"

#include <net/if.h>

static const struct net_veth pair = { "va", "vb", -1, 0, 1400, NULL };

static int open_net(void **state)
{
	struct net *net;

	assert_int_equal(net_open(&net), 0);
	*state = net;
	return 0;
}

static int close_net(void **state)
{
	struct net_link *links;
	size_t count;

	assert_int_equal(net_links(*state, 0, &links, &count), 0);
	for (size_t i = 0; i < count; i++)
		if (*links[i].kind)
			net_link_delete(*state, links[i].ifindex);
	mem_free(links);
	net_close(*state);
	return 0;
}

static void bridge_is_made_as_wanted(void **state)
{
	struct net *net = *state;
	struct mac mac = mac_of("7a:00:11:22:33:44");
	struct net_link link;

	NET_OK(net, net_bridge_create(net, "br1", mac, 1376));
	NET_OK(net, net_link_find(net, "br1", &link));
	assert_string_equal(link.kind, "bridge");
	assert_true(mac_equal(link.mac, mac));
	assert_int_equal(link.mtu, 1376);
	assert_int_equal(net_bridge_create(net, "br1", mac, 0), -EEXIST);
	assert_non_null(strstr(net_error(net), "create bridge br1"));
	NET_OK(net, net_link_delete(net, link.ifindex));
	NET_OK(net, net_link_delete(net, link.ifindex));
	assert_int_equal(net_link_find(net, "br1", &link), -ENODEV);
}

static void veth_has_two_ends(void **state)
{
	struct mac mac = mac_of("02:00:00:00:00:99");
	struct net_veth veth = pair;
	struct net *net = *state;
	struct net_link a, b;

	veth.mac_peer = &mac;
	NET_OK(net, net_veth_create(net, &veth));
	NET_OK(net, net_link_find(net, "va", &a));
	NET_OK(net, net_link_find(net, "vb", &b));
	assert_string_equal(a.kind, "veth");
	assert_int_equal(a.peer, b.ifindex);
	assert_int_equal(b.peer, a.ifindex);
	assert_int_equal(a.mtu, 1400);
	assert_int_equal(b.mtu, 1400);
	assert_true(mac_equal(b.mac, mac));
	assert_false(a.flags & IFF_UP);
	NET_OK(net, net_link_set_up(net, a.ifindex, true));
	NET_OK(net, net_link_get(net, a.ifindex, &a));
	assert_true(a.flags & IFF_UP);
}

static void attributes_are_changed(void **state)
{
	struct net *net = *state;
	struct net_link a;
	char longest[NET_ALIAS_SIZE];

	NET_OK(net, net_veth_create(net, &pair));
	NET_OK(net, net_link_find(net, "va", &a));
	memset(longest, 'x', sizeof longest);
	longest[255] = 0;
	NET_OK(net, net_link_set_alias(net, a.ifindex, longest));
	NET_OK(net, net_link_set_mac(net, a.ifindex, mac_of("02:00:00:00:00:01")));
	NET_OK(net, net_link_set_mtu(net, a.ifindex, 9000));
	NET_OK(net, net_link_set_name(net, a.ifindex, "vc"));
	NET_OK(net, net_link_set_no_ipv6_addresses(net, a.ifindex));
	NET_OK(net, net_link_find(net, "vc", &a));
	assert_string_equal(a.alias, longest);
	assert_true(mac_equal(a.mac, mac_of("02:00:00:00:00:01")));
	assert_int_equal(a.mtu, 9000);
	/* The kernel's own sentence reaches the caller. */
	assert_int_equal(net_link_set_mtu(net, a.ifindex, 1u << 20), -EINVAL);
	assert_non_null(strstr(net_error(net), "mtu greater than device maximum"));
}

static void peer_is_born_in_another_namespace(void **state)
{
	struct net_veth veth = { "va", "ethwe", new_namespace(), 0, 0, NULL };
	struct net *net = *state, *inside;
	struct net_link a, b;

	NET_OK(net, net_veth_create(net, &veth));
	NET_OK(net, net_link_find(net, "va", &a));
	assert_int_equal(net_link_find(net, "ethwe", &b), -ENODEV);
	assert_int_equal(net_open_at(&inside, veth.peer_netns), 0);
	NET_OK(inside, net_link_find(inside, "ethwe", &b));
	assert_int_equal(a.peer, b.ifindex);
	assert_int_equal(b.peer, a.ifindex);
	net_close(inside);
	close(veth.peer_netns);
}

static void link_moves_to_another_namespace(void **state)
{
	struct net *net = *state, *inside;
	int fd = new_namespace();
	struct net_link b;

	NET_OK(net, net_veth_create(net, &pair));
	NET_OK(net, net_link_find(net, "vb", &b));
	NET_OK(net, net_link_set_netns(net, b.ifindex, fd));
	assert_int_equal(net_link_find(net, "vb", &b), -ENODEV);
	assert_int_equal(net_open_at(&inside, fd), 0);
	NET_OK(inside, net_link_find(inside, "vb", &b));
	net_close(inside);
	close(fd);
}

static void ports_are_listed_and_set(void **state)
{
	struct net *net = *state;
	struct net_link br, a, b, *ports;
	size_t count;

	NET_OK(net, net_bridge_create(net, "br1", mac_of("7a:00:11:22:33:44"), 0));
	NET_OK(net, net_link_find(net, "br1", &br));
	NET_OK(net, net_veth_create(net, &pair));
	NET_OK(net, net_link_find(net, "va", &a));
	NET_OK(net, net_link_find(net, "vb", &b));
	NET_OK(net, net_links(net, br.ifindex, &ports, &count));
	assert_int_equal(count, 0);
	mem_free(ports);
	NET_OK(net, net_link_set_master(net, a.ifindex, br.ifindex));
	NET_OK(net, net_links(net, br.ifindex, &ports, &count));
	assert_int_equal(count, 1);
	assert_string_equal(ports[0].name, "va");
	assert_true(ports[0].port && ports[0].learning && !ports[0].hairpin);
	assert_false(ports[0].forwarding);
	mem_free(ports);
	NET_OK(net, net_port_set(net, a.ifindex, true, false));
	NET_OK(net, net_link_get(net, a.ifindex, &a));
	assert_true(a.hairpin && !a.learning);
	assert_int_equal(net_port_wait(net, a.ifindex, 5), -ETIMEDOUT);
	NET_OK(net, net_link_set_up(net, br.ifindex, true));
	NET_OK(net, net_link_set_up(net, a.ifindex, true));
	NET_OK(net, net_link_set_up(net, b.ifindex, true));
	NET_OK(net, net_port_wait(net, a.ifindex, 5000));
	NET_OK(net, net_link_set_master(net, a.ifindex, 0));
	NET_OK(net, net_link_get(net, a.ifindex, &a));
	assert_int_equal(a.master, 0);
	assert_false(a.port);
}

/* More than one buffer of answers, so that a dump has several parts. */
static void many_links_are_listed(void **state)
{
	struct net *net = *state;
	struct net_link *links;
	size_t count;

	for (int i = 0; i < 40; i++) {
		char a[NET_NAME_SIZE], b[NET_NAME_SIZE];
		struct net_veth veth = { a, b, -1, 0, 0, NULL };

		snprintf(a, sizeof a, "a%d", i);
		snprintf(b, sizeof b, "b%d", i);
		NET_OK(net, net_veth_create(net, &veth));
	}
	NET_OK(net, net_links(net, 0, &links, &count));
	assert_true(count >= 81);
	mem_free(links);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bridge_is_made_as_wanted, open_net, close_net),
		cmocka_unit_test_setup_teardown(veth_has_two_ends, open_net, close_net),
		cmocka_unit_test_setup_teardown(attributes_are_changed, open_net, close_net),
		cmocka_unit_test_setup_teardown(peer_is_born_in_another_namespace, open_net,
						close_net),
		cmocka_unit_test_setup_teardown(link_moves_to_another_namespace, open_net,
						close_net),
		cmocka_unit_test_setup_teardown(ports_are_listed_and_set, open_net, close_net),
		cmocka_unit_test_setup_teardown(many_links_are_listed, open_net, close_net),
	};

	enter_fresh_namespace("test_link_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
