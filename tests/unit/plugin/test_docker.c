#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weave/alloc.h>
#include <weave/docker.h>
#include <weave/must.h>

#define NETWORK "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ENDPOINT "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static unsigned decode(struct docker_request *r, const char *call, const char *body,
		       struct why *why)
{
	*why = (struct why){ .reason = WHY_NONE };
	return docker_decode(r, call, bytes_of(body, strlen(body)), why);
}

/* Bodies as engine 20.10.24 and 26.1.5 sent them. */
static void requests_of_real_engines_are_understood(void **state)
{
	struct docker_request r;
	struct why why;
	char text[CIDR_TEXT_SIZE];

	(void)state;
	assert_int_equal(decode(&r, "Plugin.Activate", "", &why), 0);
	assert_int_equal(r.call, DOCKER_ACTIVATE);

	assert_int_equal(
		decode(&r, "NetworkDriver.CreateNetwork",
		       "{\"NetworkID\":\"" NETWORK "\",\"Options\":{"
		       "\"com.docker.network.enable_ipv4\":true,"
		       "\"com.docker.network.enable_ipv6\":true,"
		       "\"com.docker.network.internal\":true,\"com.docker.network.generic\":{"
		       "\"works.weave.multicast\":\"\",\"works.weave.segment\":\"blue\","
		       "\"com.docker.network.driver.mtu\":\"1400\"}},"
		       "\"IPv4Data\":[{\"AddressSpace\":\"weavelocal\",\"Pool\":\"10.40.0.0/16\","
		       "\"Gateway\":\"10.40.0.0/16\",\"AuxAddresses\":{\"a\":\"10.40.0.9/16\"}}],"
		       "\"IPv6Data\":[{\"AddressSpace\":\"weavelocal\",\"Pool\":\"fd00::/64\","
		       "\"Gateway\":\"fd00::/64\",\"AuxAddresses\":null}],\"Future\":[1,{}]}",
		       &why),
		0);
	assert_string_equal(r.network, NETWORK);
	assert_true(r.internal && r.ipv6 && r.options.multicast);
	assert_string_equal(r.options.segment, "blue");
	assert_int_equal(r.pools_count, 2);
	assert_string_equal(cidr_text(r.pools[1], text), "fd00::/64");
	docker_request_fini(&r);

	assert_int_equal(
		decode(&r, "NetworkDriver.CreateEndpoint",
		       "{\"NetworkID\":\"" NETWORK "\",\"EndpointID\":\"" ENDPOINT
		       "\",\"Interface\":{\"Address\":\"10.40.0.1/16\",\"AddressIPv6\":"
		       "\"fd00::1/64\",\"MacAddress\":\"02:42:0a:28:00:01\"},\"Options\":{"
		       "\"com.docker.network.endpoint.exposedports\":[{\"Proto\":6,\"Port\":80}],"
		       "\"com.docker.network.portmap\":[]}}",
		       &why),
		0);
	assert_int_equal(r.addresses_count, 2);
	assert_true(r.has_mac);
	docker_request_fini(&r);

	assert_int_equal(decode(&r, "NetworkDriver.Join",
				"{\"NetworkID\":\"" NETWORK "\",\"EndpointID\":\"" ENDPOINT
				"\",\"SandboxKey\":\"/var/run/docker/netns/0123456789ab\","
				"\"Options\":null}",
				&why),
			 0);
	assert_string_equal(r.sandbox, "/var/run/docker/netns/0123456789ab");
	docker_request_fini(&r);

	assert_int_equal(decode(&r, "IpamDriver.RequestPool",
				"{\"AddressSpace\":\"weavelocal\",\"Pool\":\"10.40.0.0/16\","
				"\"SubPool\":\"10.40.1.0/24\",\"Options\":{},\"V6\":false}",
				&why),
			 0);
	assert_string_equal(cidr_text(r.pool.range, text), "10.40.1.0/24");
	docker_request_fini(&r);

	assert_int_equal(decode(&r, "IpamDriver.RequestAddress",
				"{\"PoolID\":\"weave-10.40.0.0/16-10.40.1.0/24\",\"Address\":\"\","
				"\"Options\":null}",
				&why),
			 0);
	assert_int_equal(r.address.family, 0);
	assert_string_equal(cidr_text(r.pool.subnet, text), "10.40.0.0/16");
	docker_request_fini(&r);

	assert_int_equal(
		decode(&r, "IpamDriver.RequestAddress",
		       "{\"PoolID\":\"weave-fd00::/64-fd00::/64\",\"Address\":\"fd00::5\","
		       "\"Options\":{\"RequestAddressType\":\"com.docker.network.gateway\"}"
		       "}",
		       &why),
		0);
	assert_true(r.gateway);
	assert_int_equal(r.address.family, 6);
	docker_request_fini(&r);
}

static void malformed_requests_are_named(void **state)
{
	static const struct {
		const char *call, *body;
		unsigned status;
		const char *says;
	} cases[] = {
		{ "NetworkDriver.Nothing", "{}", 404, "NetworkDriver.Nothing" },
		{ "", "", 404, "no method" },
		{ "NetworkDriver.Join", "{", 400, "malformed" },
		{ "NetworkDriver.Join", "[]", 400, "no JSON object" },
		{ "NetworkDriver.Join", "\"x\"", 400, "malformed" },
		{ "NetworkDriver.Join", "{}", 400, "NetworkID" },
		{ "NetworkDriver.Join", "{\"NetworkID\":7}", 400, "NetworkID" },
		{ "NetworkDriver.Join", "{\"NetworkID\":\"a/b\",\"EndpointID\":\"e\"}", 400,
		  "NetworkID" },
		{ "NetworkDriver.Join", "{\"NetworkID\":\"a\",\"EndpointID\":\"" ENDPOINT "0\"}",
		  400, "EndpointID" },
		{ "NetworkDriver.Join", "{\"NetworkID\":\"a\",\"EndpointID\":\"e\"}", 400,
		  "SandboxKey" },
		{ "NetworkDriver.Join",
		  "{\"NetworkID\":\"a\",\"EndpointID\":\"e\",\"SandboxKey\":\"x\"}", 400,
		  "SandboxKey" },
		{ "NetworkDriver.Leave", "{\"NetworkID\":\"a\",\"NetworkID\":\"b\"}", 400,
		  "malformed" },
		{ "NetworkDriver.CreateEndpoint", "{\"NetworkID\":\"a\",\"EndpointID\":\"e\"}", 400,
		  "Interface" },
		{ "NetworkDriver.CreateEndpoint",
		  "{\"NetworkID\":\"a\",\"EndpointID\":\"e\",\"Interface\":{\"Address\":\"1.2.3\"}"
		  "}",
		  400, "Address" },
		{ "NetworkDriver.CreateEndpoint",
		  "{\"NetworkID\":\"a\",\"EndpointID\":\"e\",\"Interface\":{\"Address\":"
		  "\"fd00::1/64\"}}",
		  400, "Address" },
		{ "NetworkDriver.CreateEndpoint",
		  "{\"NetworkID\":\"a\",\"EndpointID\":\"e\",\"Interface\":{\"MacAddress\":"
		  "\"01:00:5e:00:00:01\"}}",
		  400, "MacAddress" },
		{ "NetworkDriver.CreateNetwork",
		  "{\"NetworkID\":\"a\",\"Options\":{\"com.docker.network.generic\":{"
		  "\"works.weave.multicast\":\"perhaps\"}}}",
		  400, "works.weave.multicast" },
		{ "NetworkDriver.CreateNetwork",
		  "{\"NetworkID\":\"a\",\"Options\":{\"com.docker.network.generic\":{"
		  "\"works.weave.segment\":\"\"}}}",
		  400, "works.weave.segment" },
		{ "NetworkDriver.CreateNetwork",
		  "{\"NetworkID\":\"a\",\"Options\":{\"com.docker.network.generic\":{"
		  "\"works.weave.mutlicast\":\"\"}}}",
		  400, "works.weave.mutlicast" },
		{ "NetworkDriver.CreateNetwork", "{\"NetworkID\":\"a\",\"Options\":[]}", 400,
		  "Options" },
		{ "NetworkDriver.CreateNetwork", "{\"NetworkID\":\"a\",\"IPv4Data\":{}}", 400,
		  "IPv4Data" },
		{ "NetworkDriver.CreateNetwork", "{\"NetworkID\":\"a\",\"IPv4Data\":[7]}", 400,
		  "IPv4Data" },
		{ "IpamDriver.RequestPool", "{\"Pool\":\"10.40.0.0\"}", 400, "Pool" },
		{ "IpamDriver.RequestPool", "{\"SubPool\":\"10.40.0.0/24\"}", 400, "Pool" },
		{ "IpamDriver.RequestPool",
		  "{\"Pool\":\"10.40.0.0/24\",\"SubPool\":\"10.41.0.0/24\"}", 400, "SubPool" },
		{ "IpamDriver.RequestPool", "{\"Pool\":\"10.40.0.0/24\",\"V6\":true}", 400,
		  "IPv6" },
		{ "IpamDriver.RequestPool", "{\"Pool\":\"10.40.0.0/24\",\"V6\":1}", 400, "V6" },
		{ "IpamDriver.RequestAddress", "{\"PoolID\":\"other\"}", 400, "PoolID" },
		{ "IpamDriver.RequestAddress", "{\"PoolID\":\"weave-10.40.0.0/16\"}", 400,
		  "PoolID" },
		{ "IpamDriver.RequestAddress", "{\"PoolID\":\"weave-10.40.0.0/16-10.41.0.0/24\"}",
		  400, "Pool" },
		{ "IpamDriver.RequestAddress",
		  "{\"PoolID\":\"weave-10.40.0.0/16-10.40.0.0/16\",\"Address\":\"10.50.0.1\"}", 400,
		  "Address" },
		{ "IpamDriver.ReleaseAddress",
		  "{\"PoolID\":\"weave-10.40.0.0/16-10.40.0.0/16\",\"Address\":\"\"}", 400,
		  "Address" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct docker_request r;
		struct why why;

		assert_int_equal(decode(&r, cases[i].call, cases[i].body, &why), cases[i].status);
		if (!strstr(why.text, cases[i].says))
			fail_msg("%s %s: '%s' does not name %s", cases[i].call, cases[i].body,
				 why.text, cases[i].says);
	}
}

static void nesting_is_limited(void **state)
{
	char body[5000];
	struct docker_request r;
	struct why why;

	(void)state;
	memset(body, '[', sizeof body - 1);
	body[sizeof body - 1] = '\0';
	assert_int_equal(decode(&r, "Plugin.Activate", body, &why), 400);
	assert_non_null(strstr(why.text, "nested"));
}

static void every_call_answers(void **state)
{
	(void)state;
	for (int i = 0; i < DOCKER_CALLS_COUNT; i++) {
		struct docker_request r = { .call = (enum docker_call)i };
		enum docker_call found;
		struct text json = { 0 };

		assert_true(docker_call_find(docker_call_path(r.call), &found));
		assert_int_equal(found, r.call);
		docker_answer_alone(&r, &json);
		assert_int_equal(text_string(&json)[0], '{');
		text_fini(&json);
	}
}

static void errors_stand_where_both_drivers_look(void **state)
{
	struct text json = { 0 };

	(void)state;
	docker_answer_error(&json, "a \"quoted\" word");
	assert_string_equal(text_string(&json), "{\"Err\":\"a \\\"quoted\\\" word\","
						"\"Error\":\"a \\\"quoted\\\" word\"}");
	text_fini(&json);
	docker_answer_error(&json, "no UTF-8: \xff");
	assert_non_null(strstr(text_string(&json), "Err"));
	text_fini(&json);
}

static void answers_are_what_docker_reads(void **state)
{
	const struct docker_pool pool = { { { 4, { 10, 40, 0, 0 } }, 16 },
					  { { 4, { 10, 40, 1, 0 } }, 24 } };
	const struct mac mac = { { 2, 0, 0, 0, 0, 1 } };
	struct text json = { 0 };

	(void)state;
	docker_answer_pool(&pool, &json);
	assert_string_equal(text_string(&json),
			    "{\"PoolID\":\"weave-10.40.0.0/16-10.40.1.0/24\",\"Pool\":"
			    "\"10.40.0.0/16\",\"Data\":{\"com.docker.network.gateway\":"
			    "\"10.40.0.0/16\"}}");
	text_fini(&json);
	docker_answer_endpoint(&mac, &json);
	assert_string_equal(text_string(&json),
			    "{\"Interface\":{\"MacAddress\":\"02:00:00:00:00:01\"}}");
	text_fini(&json);
	docker_answer_endpoint(NULL, &json);
	assert_string_equal(text_string(&json), "{\"Interface\":{}}");
	text_fini(&json);
	docker_answer_join("vethwg1", true, &json);
	assert_string_equal(
		text_string(&json),
		"{\"InterfaceName\":{\"SrcName\":\"vethwg1\",\"DstPrefix\":\"ethwe\"},"
		"\"StaticRoutes\":[{\"Destination\":\"224.0.0.0/4\",\"RouteType\":1}]}");
	text_fini(&json);
}

/* ---- deciding ---- */

static const struct docker_range ranges[] = {
	{ { { 4, { 10, 32, 0, 0 } }, 12 }, { { 4, { 10, 40, 0, 0 } }, 16 } },
};

static bool decide(struct docker_networks *n, const char *call, const char *body,
		   struct docker_plan *plan, struct why *why)
{
	struct docker_request r;
	bool ok;

	assert_int_equal(decode(&r, call, body, why), 0);
	ok = docker_decide(n, ranges, ARRAY_COUNT(ranges), &r, plan, why);
	docker_request_fini(&r);
	return ok;
}

static void networks_come_and_go(void **state)
{
	static const char create[] = "{\"NetworkID\":\"n1\",\"Options\":{"
				     "\"com.docker.network.generic\":{"
				     "\"works.weave.multicast\":\"true\"}},"
				     "\"IPv4Data\":[{\"Pool\":\"10.40.0.0/16\"}]}";
	static const char endpoint[] =
		"{\"NetworkID\":\"n1\",\"EndpointID\":\"e1\",\"Interface\":{}}";
	struct docker_networks n = { 0 };
	struct docker_plan plan;
	struct why why;

	(void)state;
	assert_false(decide(&n, "NetworkDriver.CreateEndpoint", endpoint, &plan, &why));
	assert_non_null(strstr(why.text, "n1"));
	assert_true(decide(&n, "NetworkDriver.CreateNetwork", create, &plan, &why));
	assert_int_equal(plan.step, DOCKER_SAVE);
	assert_null(docker_network_segment(&n.list[0]));
	strcpy(n.list[0].name, "blue");
	assert_string_equal(docker_network_segment(&n.list[0]), "blue");
	/* Said again it keeps what was learned. */
	assert_true(decide(&n, "NetworkDriver.CreateNetwork", create, &plan, &why));
	assert_int_equal(n.count, 1);
	assert_string_equal(n.list[0].name, "blue");
	assert_true(decide(&n, "NetworkDriver.CreateEndpoint", endpoint, &plan, &why));
	assert_int_equal(plan.step, DOCKER_MAKE);
	assert_true(plan.network->options.multicast);
	strcpy(n.list[0].options.segment, "default");
	assert_string_equal(docker_network_segment(&n.list[0]), "weave");
	assert_true(
		decide(&n, "NetworkDriver.DeleteNetwork", "{\"NetworkID\":\"n1\"}", &plan, &why));
	assert_int_equal(plan.step, DOCKER_SAVE);
	assert_true(
		decide(&n, "NetworkDriver.DeleteNetwork", "{\"NetworkID\":\"n1\"}", &plan, &why));
	assert_int_equal(plan.step, DOCKER_ANSWER);
	docker_networks_fini(&n);
}

static void there_is_a_limit_to_networks(void **state)
{
	struct docker_network network = { .id = "" };
	struct docker_networks n = { 0 };
	struct why why = { 0 };

	(void)state;
	for (unsigned i = 0; i < DOCKER_NETWORKS_MAX; i++) {
		snprintf(network.id, sizeof network.id, "n%u", i);
		assert_true(docker_network_add(&n, &network, &why));
	}
	strcpy(network.id, "one more");
	assert_false(docker_network_add(&n, &network, &why));
	assert_true(why.text[0]);
	docker_networks_fini(&n);
}

static void pools_lie_in_the_range(void **state)
{
	static const char *const outside[] = {
		"{\"Pool\":\"192.168.7.0/24\"}",
		"{\"Pool\":\"10.0.0.0/8\"}",
		"{\"Pool\":\"10.40.0.0/31\"}",
		"{\"Pool\":\"fd00::/64\",\"V6\":true}",
		"{\"V6\":true}",
	};
	struct docker_networks n = { 0 };
	struct docker_plan plan;
	struct why why;
	char text[CIDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(outside); i++) {
		assert_false(decide(&n, "IpamDriver.RequestPool", outside[i], &plan, &why));
		assert_non_null(strstr(why.text, "--ipalloc-range"));
	}
	assert_true(decide(&n, "IpamDriver.RequestPool", "{}", &plan, &why));
	assert_true(plan.automatic);
	assert_string_equal(cidr_text(plan.pool.subnet, text), "10.40.0.0/16");
	assert_true(
		decide(&n, "IpamDriver.RequestPool", "{\"Pool\":\"10.33.0.0/16\"}", &plan, &why));
	assert_false(plan.automatic);
}

static void the_stand_in_for_a_gateway_is_nobodys(void **state)
{
#define POOL "\"PoolID\":\"weave-10.40.0.0/16-10.40.0.0/16\""
	struct docker_networks n = { 0 };
	struct docker_plan plan;
	struct why why;

	(void)state;
	assert_true(decide(&n, "IpamDriver.ReleaseAddress", "{" POOL ",\"Address\":\"10.40.0.0\"}",
			   &plan, &why));
	assert_int_equal(plan.step, DOCKER_ANSWER);
	assert_true(decide(&n, "IpamDriver.ReleaseAddress", "{" POOL ",\"Address\":\"10.40.0.7\"}",
			   &plan, &why));
	assert_int_equal(plan.step, DOCKER_GIVE_BACK);
	assert_false(decide(&n, "IpamDriver.RequestAddress", "{" POOL ",\"Address\":\"10.40.0.0\"}",
			    &plan, &why));
	assert_true(decide(&n, "IpamDriver.RequestAddress",
			   "{" POOL ",\"Address\":\"10.40.0.0\",\"Options\":{"
			   "\"RequestAddressType\":\"com.docker.network.gateway\"}}",
			   &plan, &why));
	assert_int_equal(plan.step, DOCKER_STAND_IN);
	assert_true(decide(&n, "IpamDriver.RequestAddress", "{" POOL "}", &plan, &why));
	assert_int_equal(plan.step, DOCKER_GIVE);
	/* The range was another one when the network was made. */
	assert_false(decide(&n, "IpamDriver.RequestAddress",
			    "{\"PoolID\":\"weave-10.0.0.0/16-10.0.0.0/16\"}", &plan, &why));
#undef POOL
}

/* ---- durable ---- */

static void sample(struct docker_networks *n)
{
	struct docker_network network = {
		.id = NETWORK,
		.name = "blue",
		.options = { .multicast = true, .segment = "shared" },
		.ipv6 = true,
		.pools_count = 2,
		.pools = { { { 4, { 10, 40, 0, 0 } }, 16 }, { { 6, { 0xfd } }, 64 } },
	};
	struct why why;

	*n = (struct docker_networks){ 0 };
	assert_true(docker_network_add(n, &network, &why));
	network = (struct docker_network){ .id = "n2", .internal = true };
	assert_true(docker_network_add(n, &network, &why));
}

static void networks_survive_as_text(void **state)
{
	struct docker_networks n, back;
	struct text text = { 0 }, again = { 0 };

	(void)state;
	sample(&n);
	docker_networks_encode(&n, &text);
	assert_null(docker_networks_decode(&back, bytes_of(text_string(&text), text.size)));
	assert_int_equal(back.count, 2);
	assert_string_equal(back.list[0].options.segment, "shared");
	assert_true(back.list[1].internal && !back.list[1].ipv6);
	docker_networks_encode(&back, &again);
	assert_string_equal(text_string(&text), text_string(&again));
	/* No byte can be changed, and none cut off, without being noticed. */
	for (size_t i = 0; i < text.size; i++) {
		struct docker_networks bad;

		assert_non_null(docker_networks_decode(&bad, bytes_of(text_string(&text), i)));
		text.data[i] ^= 1;
		assert_non_null(
			docker_networks_decode(&bad, bytes_of(text_string(&text), text.size)));
		text.data[i] ^= 1;
	}
	text_fini(&text);
	text_fini(&again);
	docker_networks_fini(&n);
	docker_networks_fini(&back);
}

static void the_mac_follows_from_the_address(void **state)
{
	struct cidr v4, one, other;
	char text[PEER_NAME_TEXT_SIZE];

	(void)state;
	assert_true(cidr_parse("10.40.0.1/16", &v4));
	assert_string_equal(mac_text(docker_mac_of(v4.ip), text), "02:42:0a:28:00:01");
	assert_true(cidr_parse("fd00:1::1/64", &one));
	assert_true(cidr_parse("fd00:2::1/64", &other));
	assert_false(mac_is_group(docker_mac_of(one.ip)));
	assert_false(mac_equal(docker_mac_of(one.ip), docker_mac_of(other.ip)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mac_follows_from_the_address),
		cmocka_unit_test(requests_of_real_engines_are_understood),
		cmocka_unit_test(malformed_requests_are_named),
		cmocka_unit_test(nesting_is_limited),
		cmocka_unit_test(every_call_answers),
		cmocka_unit_test(errors_stand_where_both_drivers_look),
		cmocka_unit_test(answers_are_what_docker_reads),
		cmocka_unit_test(networks_come_and_go),
		cmocka_unit_test(there_is_a_limit_to_networks),
		cmocka_unit_test(pools_lie_in_the_range),
		cmocka_unit_test(the_stand_in_for_a_gateway_is_nobodys),
		cmocka_unit_test(networks_survive_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
