#include "testing.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <weave/net_tunnel.h>

static int open_net(void **state)
{
	struct net *net;

	assert_int_equal(net_open(&net), 0);
	*state = net;
	return 0;
}

static int close_net(void **state)
{
	struct net_link link;
	struct why why;

	WHY_OK(why, net_bridge_remove(*state, "weave", &why));
	if (net_link_find(*state, "u0", &link) == 0)
		NET_OK(*state, net_link_delete(*state, link.ifindex));
	net_close(*state);
	return 0;
}

static struct net_link make_underlay(struct net *net)
{
	struct net_veth veth = { .name = "u0", .peer_name = "u1", .peer_netns = -1, .mtu = 1400 };
	struct net_link link;

	NET_OK(net, net_veth_create(net, &veth));
	NET_OK(net, net_link_find(net, "u1", &link));
	NET_OK(net, net_link_set_up(net, link.ifindex, true));
	NET_OK(net, net_link_find(net, "u0", &link));
	NET_OK(net, net_link_set_up(net, link.ifindex, true));
	return link;
}

static void vxlan_device_is_made_once(void **state)
{
	struct net_link link;
	int first, again, other;
	struct why why;

	NET_OK(*state, net_vxlan_ensure(*state, "vxlan-6784", "weave", 6784, &first));
	NET_OK(*state, net_vxlan_ensure(*state, "vxlan-6784", "weave", 6784, &again));
	assert_int_equal(first, again);
	NET_OK(*state, net_link_get(*state, first, &link));
	assert_string_equal(link.kind, "vxlan");
	assert_int_equal(link.vxlan_port, 6784);
	assert_true(link.flags & 1);
	assert_true(link.mtu > 60000);
	/* Somebody put it down. */
	NET_OK(*state, net_link_set_up(*state, first, false));
	NET_OK(*state, net_vxlan_ensure(*state, "vxlan-6784", "weave", 6784, &again));
	NET_OK(*state, net_link_get(*state, again, &link));
	assert_true(link.flags & 1);
	/* Another port needs another device. */
	NET_OK(*state, net_vxlan_ensure(*state, "vxlan-6784", "weave", 7000, &other));
	assert_int_not_equal(first, other);
	NET_OK(*state, net_link_get(*state, other, &link));
	assert_int_equal(link.vxlan_port, 7000);
	/* Reset takes it, of this bridge only. */
	WHY_OK(why, net_bridge_remove(*state, "weave2", &why));
	NET_OK(*state, net_link_get(*state, other, &link));
	WHY_OK(why, net_bridge_remove(*state, "weave", &why));
	assert_int_equal(net_link_get(*state, other, &link), -ENODEV);
}

static void others_devices_and_ports_are_left_alone(void **state)
{
	struct net_link link = make_underlay(*state);
	int ifindex;

	assert_int_equal(net_vxlan_ensure(*state, "u0", "weave", 6784, &ifindex), -EEXIST);
	NET_OK(*state, net_link_get(*state, link.ifindex, &link));
	NET_OK(*state, net_vxlan_ensure(*state, "vxlan-1", "weave", 6784, &ifindex));
	assert_int_equal(net_vxlan_ensure(*state, "vxlan-1", "weave2", 6784, &ifindex), -EEXIST);
	/* The kernel says EEXIST for another one like it, EADDRINUSE for a socket on the port. */
	assert_true(net_vxlan_ensure(*state, "vxlan-2", "weave", 6784, &ifindex) < 0);
}

static void way_to_an_address(void **state)
{
	struct net_link link = make_underlay(*state);
	struct net_way way;
	char text[IP_TEXT_SIZE];

	assert_int_equal(net_way_to(*state, cidr_of("10.9.0.2/32").ip, &way), -ENETUNREACH);
	NET_OK(*state, net_address_add(*state, link.ifindex, cidr_of("10.9.0.1/24")));
	NET_OK(*state, net_address_add(*state, link.ifindex, cidr_of("fd09::1/64")));
	NET_OK(*state, net_way_to(*state, cidr_of("10.9.0.2/32").ip, &way));
	assert_int_equal(way.ifindex, link.ifindex);
	assert_string_equal(ip_text(way.local, text), "10.9.0.1");
	assert_true(way.ethernet);
	assert_int_equal(way.mtu, 1400);
	NET_OK(*state, net_way_to(*state, cidr_of("fd09::2/128").ip, &way));
	assert_string_equal(ip_text(way.local, text), "fd09::1");
	assert_int_equal(net_way_to(*state, cidr_of("10.9.0.1/32").ip, &way), -EINVAL);
}

static int load_program(int verdict)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "verdict", "GPL", code, 2, NULL);
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof info;

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	return info.id;
}

static void programs_are_replaced_and_removed_by_their_mark(void **state)
{
	struct net_link link = make_underlay(*state);
	int one = load_program(0), two = load_program(-1), other = load_program(0);
	int egress = load_program(-1), i = link.ifindex;
	uint32_t ours = net_bridge_mark("weave"), theirs = net_bridge_mark("weave2"), id;
	struct why why;

	if (one < 0)
		skip(); /* not allowed to load programs */
	assert_int_not_equal(ours, theirs);
	assert_int_equal(net_program_find(i, NET_INGRESS, ours, &id), -ENOENT);
	assert_int_equal(net_program_detach(i, NET_INGRESS, ours), 0);
	assert_int_equal(net_program_attach(i, NET_INGRESS, ours, one), 0);
	assert_int_equal(net_program_attach(i, NET_INGRESS, theirs, other), 0);
	assert_int_equal(net_program_attach(i, NET_EGRESS, ours, egress), 0);
	assert_int_equal(net_program_find(i, NET_INGRESS, ours, &id), 0);
	assert_int_equal(id, program_id(one));
	assert_int_equal(net_program_attach(i, NET_INGRESS, ours, two), 0);
	assert_int_equal(net_program_find(i, NET_INGRESS, ours, &id), 0);
	assert_int_equal(id, program_id(two));
	/* The same once more changes nothing. */
	assert_int_equal(net_program_attach(i, NET_INGRESS, ours, two), 0);
	assert_int_equal(net_program_find(i, NET_INGRESS, theirs, &id), 0);
	assert_int_equal(id, program_id(other));
	/* Reset: ours go, theirs stay. */
	WHY_OK(why, net_bridge_remove(*state, "weave", &why));
	assert_int_equal(net_program_find(i, NET_INGRESS, ours, &id), -ENOENT);
	assert_int_equal(net_program_find(i, NET_INGRESS, theirs, &id), 0);
	close(one);
	close(two);
	close(other);
	close(egress);
}

/* As a router before the kernel was updated left it. */
static void a_program_at_clsact_gives_way(void **state)
{
	struct net_link link = make_underlay(*state);
	int old = load_program(-1), new = load_program(-1);
	uint32_t mark = net_bridge_mark("weave"), id;
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;

	if (old < 0)
		skip(); /* not allowed to load programs */
	memset(&hook, 0, sizeof hook);
	memset(&options, 0, sizeof options);
	hook.sz = sizeof hook;
	hook.ifindex = link.ifindex;
	hook.attach_point = BPF_TC_INGRESS;
	options.sz = sizeof options;
	options.handle = mark;
	options.priority = 49;
	options.prog_fd = old;
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &options), 0);
	assert_int_equal(net_program_find(link.ifindex, NET_INGRESS, mark, &id), 0);
	assert_int_equal(id, program_id(old));
	assert_int_equal(net_program_attach(link.ifindex, NET_INGRESS, mark, new), 0);
	assert_int_equal(net_program_find(link.ifindex, NET_INGRESS, mark, &id), 0);
	assert_int_equal(id, program_id(new));
	assert_int_equal(net_program_detach(link.ifindex, NET_INGRESS, mark), 0);
	assert_int_equal(net_program_find(link.ifindex, NET_INGRESS, mark, &id), -ENOENT);
	close(old);
	close(new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(vxlan_device_is_made_once, open_net, close_net),
		cmocka_unit_test_setup_teardown(others_devices_and_ports_are_left_alone, open_net,
						close_net),
		cmocka_unit_test_setup_teardown(way_to_an_address, open_net, close_net),
		cmocka_unit_test_setup_teardown(programs_are_replaced_and_removed_by_their_mark,
						open_net, close_net),
		cmocka_unit_test_setup_teardown(a_program_at_clsact_gives_way, open_net, close_net),
	};

	enter_fresh_namespace("test_tunnel_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
