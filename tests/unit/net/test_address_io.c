#include "testing.h"

struct fixture {
	struct net *net;
	int ifindex;
};

static int open_net(void **state)
{
	static const struct net_veth pair = { "va", "vb", -1, 0, 1400, NULL };
	struct fixture *f = mem_new(1, sizeof *f);
	struct net_link a, b;

	assert_int_equal(net_open(&f->net), 0);
	NET_OK(f->net, net_veth_create(f->net, &pair));
	NET_OK(f->net, net_link_find(f->net, "va", &a));
	NET_OK(f->net, net_link_find(f->net, "vb", &b));
	NET_OK(f->net, net_link_set_up(f->net, a.ifindex, true));
	NET_OK(f->net, net_link_set_up(f->net, b.ifindex, true));
	f->ifindex = a.ifindex;
	*state = f;
	return 0;
}

static int close_net(void **state)
{
	struct fixture *f = *state;

	net_link_delete(f->net, f->ifindex);
	net_close(f->net);
	mem_free(f);
	return 0;
}

static bool has(struct fixture *f, const char *text)
{
	struct net_address *list;
	bool found = false;
	size_t count;

	NET_OK(f->net, net_addresses(f->net, f->ifindex, &list, &count));
	for (size_t i = 0; i < count; i++) {
		char is[CIDR_TEXT_SIZE];

		assert_int_equal(list[i].ifindex, f->ifindex);
		found |= strcmp(cidr_text(list[i].cidr, is), text) == 0;
	}
	mem_free(list);
	return found;
}

static void addresses_come_and_go(void **state)
{
	static const char *const texts[] = { "10.2.1.5/24", "10.2.1.6/24", "10.9.0.1/32",
					     "fd00:7::5/64" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		assert_false(has(f, texts[i]));
		NET_OK(f->net, net_address_add(f->net, f->ifindex, cidr_of(texts[i])));
		assert_int_equal(net_address_add(f->net, f->ifindex, cidr_of(texts[i])), -EEXIST);
		assert_true(has(f, texts[i]));
	}
	for (size_t i = ARRAY_COUNT(texts); i-- > 0;) {
		NET_OK(f->net, net_address_remove(f->net, f->ifindex, cidr_of(texts[i])));
		assert_int_equal(net_address_remove(f->net, f->ifindex, cidr_of(texts[i])),
				 -EADDRNOTAVAIL);
		assert_false(has(f, texts[i]));
	}
}

static bool routed(struct fixture *f, const char *text)
{
	struct net_route *list;
	bool found = false;
	size_t count;

	NET_OK(f->net, net_routes(f->net, &list, &count));
	for (size_t i = 0; i < count; i++) {
		char is[CIDR_TEXT_SIZE];

		found |= strcmp(cidr_text(list[i].dst, is), text) == 0 &&
			 list[i].ifindex == f->ifindex;
	}
	mem_free(list);
	return found;
}

static void routes_come_and_go(void **state)
{
	struct fixture *f = *state;

	NET_OK(f->net, net_address_add(f->net, f->ifindex, cidr_of("10.2.1.5/24")));
	NET_OK(f->net, net_address_add(f->net, f->ifindex, cidr_of("fd00:7::5/64")));
	assert_true(routed(f, "10.2.1.0/24"));
	assert_true(routed(f, "fd00:7::/64"));
	assert_false(routed(f, "224.0.0.0/4"));
	NET_OK(f->net, net_route_add(f->net, cidr_of("224.0.0.0/4"), f->ifindex));
	assert_int_equal(net_route_add(f->net, cidr_of("224.0.0.0/4"), f->ifindex), -EEXIST);
	assert_true(routed(f, "224.0.0.0/4"));
	NET_OK(f->net, net_route_remove(f->net, cidr_of("224.0.0.0/4"), f->ifindex));
	assert_false(routed(f, "224.0.0.0/4"));
	assert_int_equal(net_route_remove(f->net, cidr_of("224.0.0.0/4"), f->ifindex), -ESRCH);
}

static void underlay_is_what_has_global_addresses(void **state)
{
	struct fixture *f = *state;
	uint32_t mtu;

	NET_OK(f->net, net_underlay_mtu(f->net, NULL, 0, &mtu));
	assert_int_equal(mtu, 0); /* link-local addresses do not count */
	NET_OK(f->net, net_address_add(f->net, f->ifindex, cidr_of("10.2.1.5/24")));
	NET_OK(f->net, net_underlay_mtu(f->net, NULL, 0, &mtu));
	assert_int_equal(mtu, 1400);
	NET_OK(f->net, net_underlay_mtu(f->net, &f->ifindex, 1, &mtu));
	assert_int_equal(mtu, 0);
	NET_OK(f->net, net_link_set_up(f->net, f->ifindex, false));
	NET_OK(f->net, net_underlay_mtu(f->net, NULL, 0, &mtu));
	assert_int_equal(mtu, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(addresses_come_and_go, open_net, close_net),
		cmocka_unit_test_setup_teardown(routes_come_and_go, open_net, close_net),
		cmocka_unit_test_setup_teardown(underlay_is_what_has_global_addresses, open_net,
						close_net),
	};

	enter_fresh_namespace("test_address_io");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
