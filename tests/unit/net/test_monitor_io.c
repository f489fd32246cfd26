#include "testing.h"

#include <net/if.h>
#include <poll.h>

struct fixture {
	struct net *net;
	struct net_bridge bridge;
	struct net_monitor *monitor;
};

static int open_all(void **state)
{
	struct fixture *f = mem_new(1, sizeof *f);
	struct why why;

	assert_int_equal(net_open(&f->net), 0);
	WHY_OK(why, net_bridge_ensure(f->net, "weave", mac_of("7a:00:11:22:33:44"), 1376,
				      NET_PORT_VETH, &f->bridge, &why));
	assert_int_equal(net_monitor_open(&f->monitor), 0);
	*state = f;
	return 0;
}

static int close_all(void **state)
{
	struct fixture *f = *state;
	struct why why;

	net_monitor_close(f->monitor);
	WHY_OK(why, net_bridge_remove(f->net, "weave", &why));
	net_close(f->net);
	mem_free(f);
	return 0;
}

static bool matches(const struct net_event *e, enum net_event_kind kind, int ifindex)
{
	if (e->kind != kind)
		return false;
	if (kind == NET_EVENT_RESYNC || kind == NET_EVENT_ADDRESS)
		return true;
	if (kind == NET_EVENT_FDB || kind == NET_EVENT_FDB_GONE)
		return e->fdb.ifindex == ifindex && !e->fdb.is_local;
	return e->link.ifindex == ifindex;
}

/* Waits up to 5 s for an event of that kind about that interface. */
static bool await_event(struct fixture *f, enum net_event_kind kind, int ifindex,
			struct net_event *event)
{
	for (int waits = 0; waits < 50; waits++) {
		struct pollfd p = { net_monitor_fd(f->monitor), POLLIN, 0 };

		for (int i = 0; i < 10000; i++) {
			int rc = net_monitor_next(f->monitor, event);

			assert_true(rc >= 0);
			if (rc == 0)
				break;
			if (matches(event, kind, ifindex))
				return true;
		}
		poll(&p, 1, 100);
	}
	return false;
}

static void links_are_told(void **state)
{
	static const struct net_veth pair = { "va", "vb", -1, 0, 0, NULL };
	struct fixture *f = *state;
	struct net_event e;
	struct net_link a;

	NET_OK(f->net, net_veth_create(f->net, &pair));
	NET_OK(f->net, net_link_find(f->net, "va", &a));
	assert_true(await_event(f, NET_EVENT_LINK, a.ifindex, &e));
	assert_string_equal(e.link.name, "va");
	assert_string_equal(e.link.kind, "veth");
	assert_false(e.link.flags & IFF_UP);
	NET_OK(f->net, net_link_set_up(f->net, a.ifindex, true));
	assert_true(await_event(f, NET_EVENT_LINK, a.ifindex, &e));
	assert_true(e.link.flags & IFF_UP);
	NET_OK(f->net, net_link_set_up(f->net, a.ifindex, false));
	do
		assert_true(await_event(f, NET_EVENT_LINK, a.ifindex, &e));
	while (e.link.flags & IFF_UP);
	NET_OK(f->net, net_link_set_name(f->net, a.ifindex, "vc"));
	do
		assert_true(await_event(f, NET_EVENT_LINK, a.ifindex, &e));
	while (strcmp(e.link.name, "vc") != 0);
	NET_OK(f->net, net_link_delete(f->net, a.ifindex));
	assert_true(await_event(f, NET_EVENT_LINK_GONE, a.ifindex, &e));
	assert_string_equal(e.link.name, "vc");
}

/* Leaving a bridge must not look like leaving the host. */
static void leaving_the_bridge_is_no_end(void **state)
{
	struct fixture *f = *state;
	struct net_event e;

	NET_OK(f->net, net_link_set_master(f->net, f->bridge.port_ifindex, 0));
	for (int i = 0; i < 100; i++) {
		if (net_monitor_next(f->monitor, &e) <= 0)
			break;
		assert_int_not_equal(e.kind, NET_EVENT_LINK_GONE);
	}
}

static void macs_are_told(void **state)
{
	struct mac mac = mac_of("02:00:00:00:00:77");
	struct ip_addr ip = cidr_of("10.0.0.1/8").ip;
	struct fixture *f = *state;
	struct net_event e;

	net_monitor_watch(f->monitor, &f->bridge.bridge_ifindex, 1);
	assert_int_equal(net_announce(f->bridge.capture_ifindex, mac, ip), 0);
	assert_true(await_event(f, NET_EVENT_FDB, f->bridge.port_ifindex, &e));
	assert_true(mac_equal(e.fdb.mac, mac));
	assert_int_equal(e.fdb.vlan, 0);
	/* Taking the port out flushes what was learned behind it. */
	NET_OK(f->net, net_link_set_master(f->net, f->bridge.port_ifindex, 0));
	assert_true(await_event(f, NET_EVENT_FDB_GONE, f->bridge.port_ifindex, &e));
	assert_true(mac_equal(e.fdb.mac, mac));
}

static void addresses_are_told(void **state)
{
	struct cidr v4 = cidr_of("10.0.0.1/8"), v6 = cidr_of("fd00:1::1/64");
	struct fixture *f = *state;
	int ifindex = f->bridge.bridge_ifindex;
	struct net_event e;

	while (net_monitor_next(f->monitor, &e) > 0)
		;
	NET_OK(f->net, net_address_add(f->net, ifindex, v4));
	assert_true(await_event(f, NET_EVENT_ADDRESS, 0, &e));
	NET_OK(f->net, net_address_remove(f->net, ifindex, v4));
	assert_true(await_event(f, NET_EVENT_ADDRESS, 0, &e));
	NET_OK(f->net, net_address_add(f->net, ifindex, v6));
	assert_true(await_event(f, NET_EVENT_ADDRESS, 0, &e));
}

static void unwatched_macs_are_not_told(void **state)
{
	struct fixture *f = *state;
	struct net_event e;

	assert_int_equal(net_announce(f->bridge.capture_ifindex, mac_of("02:00:00:00:00:77"),
				      cidr_of("10.0.0.1/8").ip),
			 0);
	/* The change of MTU comes after it, so all before it has been read. */
	NET_OK(f->net, net_link_set_mtu(f->net, f->bridge.capture_ifindex, 1300));
	for (int i = 0; i < 1000; i++) {
		assert_true(await_event(f, NET_EVENT_LINK, f->bridge.capture_ifindex, &e));
		assert_int_not_equal(e.kind, NET_EVENT_FDB);
		if (e.link.mtu == 1300)
			break;
	}
	assert_int_equal(e.link.mtu, 1300);
}

static void overflow_asks_for_a_new_look(void **state)
{
	int small = 4096;
	struct fixture *f = *state;
	struct net_event e;

	assert_int_equal(
		setsockopt(net_monitor_fd(f->monitor), SOL_SOCKET, SO_RCVBUF, &small, sizeof small),
		0);
	for (uint32_t i = 0; i < 200; i++)
		NET_OK(f->net, net_link_set_mtu(f->net, f->bridge.capture_ifindex, 1300 + i));
	assert_true(await_event(f, NET_EVENT_RESYNC, 0, &e));
	/* And events go on. */
	NET_OK(f->net, net_link_set_mtu(f->net, f->bridge.capture_ifindex, 1299));
	do
		assert_true(await_event(f, NET_EVENT_LINK, f->bridge.capture_ifindex, &e));
	while (e.link.mtu != 1299);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links_are_told, open_all, close_all),
		cmocka_unit_test_setup_teardown(leaving_the_bridge_is_no_end, open_all, close_all),
		cmocka_unit_test_setup_teardown(macs_are_told, open_all, close_all),
		cmocka_unit_test_setup_teardown(addresses_are_told, open_all, close_all),
		cmocka_unit_test_setup_teardown(unwatched_macs_are_not_told, open_all, close_all),
		cmocka_unit_test_setup_teardown(overflow_asks_for_a_new_look, open_all, close_all),
	};

	enter_fresh_namespace("test_monitor_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
