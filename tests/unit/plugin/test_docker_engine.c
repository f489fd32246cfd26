#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weave/containers.h>
#include <weave/must.h>

#define ID "65540dab8b92784bae7ab5ef918f7bc6f9f82dd2a2fe0d9b61e08d31f27a3206"

static struct bytes text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static void a_version_that_both_speak_is_chosen(void **state)
{
	static const struct {
		const char *answer, *version;
	} cases[] = {
		{ "{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}", "1.40" }, /* 20.10 */
		{ "{\"ApiVersion\":\"1.45\",\"MinAPIVersion\":\"1.24\"}", "1.40" }, /* 26.1 */
		{ "{\"ApiVersion\":\"1.52\",\"MinAPIVersion\":\"1.44\"}", "1.44" }, /* 29.0 */
		{ "{\"ApiVersion\":\"1.54\",\"MinAPIVersion\":\"1.40\"}", "1.40" }, /* 29.5 */
		{ "{\"ApiVersion\":\"1.30\"}", "1.30" },
		{ "{\"ApiVersion\":\"2.0\"}", "" },
		{ "{}", "" },
		{ "<html>", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char version[CONTAINER_VERSION_SIZE];

		engine_choose_version(text(cases[i].answer), version);
		assert_string_equal(version, cases[i].version);
	}
}

static void a_container_is_read(void **state)
{
	struct container c;
	char ip[IP_TEXT_SIZE];

	(void)state;
	assert_true(container_decode(
		text("{\"Id\":\"" ID "\",\"Name\":\"/one\",\"State\":{\"Running\":true,\"Pid\":7},"
		     "\"Config\":{\"Hostname\":\"first\",\"Domainname\":\"weave.local\"},"
		     "\"NetworkSettings\":{\"Networks\":{"
		     "\"weave\":{\"NetworkID\":\"n1\",\"EndpointID\":\"e1\",\"IPAddress\":"
		     "\"10.32.0.1\",\"GlobalIPv6Address\":\"fd32::1\",\"Aliases\":[\"web\","
		     "\"65540dab8b92\",\"web\",7,\"\"],\"DNSNames\":[\"one\",\"web\"]},"
		     "\"left\":{\"NetworkID\":\"n2\",\"EndpointID\":\"\",\"IPAddress\":\"\"}}}}"),
		&c));
	assert_string_equal(c.id, ID);
	assert_string_equal(c.name, "one");
	assert_string_equal(c.hostname, "first");
	assert_string_equal(c.domainname, "weave.local");
	assert_true(c.running);
	assert_int_equal(c.endpoints_count, 1);
	assert_int_equal(c.endpoints[0].ips_count, 2);
	assert_string_equal(ip_text(c.endpoints[0].ips[1], ip), "fd32::1");
	assert_int_equal(c.endpoints[0].aliases_count, 3);
	assert_string_equal(c.endpoints[0].aliases[2], "one");
}

static void what_is_no_container_is_none(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "7", "{\"message\":\"No such container\"}", "{\"Id\":7}"
	};
	struct container c;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_false(container_decode(text(bad[i]), &c));
}

/* Never cut: half a name is somebody else's. */
static void names_that_are_too_long_are_left_out(void **state)
{
	char answer[2000], name[600];
	struct container c;

	(void)state;
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	snprintf(answer, sizeof answer,
		 "{\"Id\":\"" ID "\",\"Name\":\"/%s\",\"Config\":{\"Hostname\":\"%s\"},"
		 "\"NetworkSettings\":{\"Networks\":{\"w\":{\"NetworkID\":\"n\",\"EndpointID\":"
		 "\"e\","
		 "\"Aliases\":[\"%s\",\"ok\"]}}}}",
		 name, name, name);
	assert_true(container_decode(text(answer), &c));
	assert_string_equal(c.name, "");
	assert_string_equal(c.hostname, "");
	assert_int_equal(c.endpoints[0].aliases_count, 1);
}

static void count_id(void *ctx, const char *id)
{
	assert_true(id[0]);
	++*(size_t *)ctx;
}

static void running_containers_are_listed(void **state)
{
	size_t count = 0;

	(void)state;
	assert_true(container_list_decode(
		text("[{\"Id\":\"a\"},{\"Id\":\"b\"},{\"Id\":null},{},3]"), count_id, &count));
	assert_int_equal(count, 2);
	assert_false(container_list_decode(text("{}"), count_id, &count));
}

struct seen {
	size_t count;
	struct engine_network last;
};

static void see(void *ctx, const struct engine_network *n)
{
	struct seen *s = ctx;

	s->count++;
	s->last = *n;
}

static void only_our_networks_are_read(void **state)
{
	struct seen seen = { 0 };
	char cidr[CIDR_TEXT_SIZE];

	(void)state;
	assert_true(network_list_decode(
		text("[{\"Name\":\"bridge\",\"Id\":\"b\",\"Driver\":\"bridge\"},"
		     "{\"Name\":\"blue\",\"Id\":\"n1\",\"Driver\":\"weavemesh\",\"EnableIPv6\":"
		     "true,"
		     "\"Internal\":true,\"IPAM\":{\"Config\":[{\"Subnet\":\"10.40.0.0/16\","
		     "\"Gateway\":\"10.40.0.1\",\"AuxiliaryAddresses\":{\"x\":\"10.40.0.9\"}},"
		     "{\"Subnet\":\"fd00::/64\"}]},\"Options\":{\"works.weave.multicast\":\"\","
		     "\"works.weave.segment\":\"shared\"}}]"),
		see, &seen));
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.last.network.name, "blue");
	assert_string_equal(seen.last.network.options.segment, "shared");
	assert_true(seen.last.network.options.multicast && seen.last.network.internal);
	assert_int_equal(seen.last.network.pools_count, 2);
	assert_string_equal(cidr_text(seen.last.network.pools[0], cidr), "10.40.0.0/16");
	assert_int_equal(seen.last.kept_count, 2);
}

static void events_are_told_apart(void **state)
{
	static const struct {
		const char *line;
		enum engine_event event;
		const char *id;
	} cases[] = {
		{ "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"c\"}}",
		  ENGINE_CONTAINER_CHANGED, "c" },
		{ "{\"Type\":\"container\",\"Action\":\"rename\",\"Actor\":{\"ID\":\"c\"}}",
		  ENGINE_CONTAINER_CHANGED, "c" },
		{ "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"c\"}}",
		  ENGINE_CONTAINER_GONE, "c" },
		{ "{\"Type\":\"container\",\"Action\":\"exec_start: sh\",\"Actor\":{\"ID\":\"c\"}}",
		  ENGINE_OTHER, "c" },
		{ "{\"Type\":\"container\",\"Action\":\"start\"}", ENGINE_OTHER, "" },
		{ "{\"Type\":\"network\",\"Action\":\"create\",\"Actor\":{\"ID\":\"n\"}}",
		  ENGINE_NETWORKS_CHANGED, "" },
		{ "{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"n\","
		  "\"Attributes\":{\"container\":\"c\"}}}",
		  ENGINE_CONTAINER_CHANGED, "c" },
		{ "{\"Type\":\"image\",\"Action\":\"pull\"}", ENGINE_OTHER, "" },
		{ "nonsense", ENGINE_OTHER, "" },
		{ "", ENGINE_OTHER, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char id[DOCKER_ID_SIZE];

		assert_int_equal(engine_event_decode(text(cases[i].line), id), cases[i].event);
		assert_string_equal(id, cases[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_that_both_speak_is_chosen),
		cmocka_unit_test(a_container_is_read),
		cmocka_unit_test(what_is_no_container_is_none),
		cmocka_unit_test(names_that_are_too_long_are_left_out),
		cmocka_unit_test(running_containers_are_listed),
		cmocka_unit_test(only_our_networks_are_read),
		cmocka_unit_test(events_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
