#include "../net/testing.h"

#include "../../../plugin/attach.h"

static const struct netns_id ns1 = { 4, 100 }, ns2 = { 4, 200 }, ns3 = { 4, 300 };

static struct attachment attached(const char *id, struct netns_id netns, const char *cidr)
{
	struct attachment a = { .netns_id = netns, .ifindex = (int)netns.inode };

	strcpy(a.id, id);
	snprintf(a.netns, sizeof a.netns, "/run/netns/%s", id);
	if (cidr)
		a.cidrs[a.cidrs_count++] = cidr_of(cidr);
	return a;
}

static void addresses_are_checked(void **state)
{
	static const char *const good[] = { "10.2.1.1/24",
					    "10.2.1.254/24",
					    "10.2.1.0/31",
					    "10.2.1.1/31",
					    "10.2.1.0/32",
					    "10.2.1.255/32",
					    "10.2.1.0/23" /* a host of it is 10.2.1.0 */,
					    "169.254.1.1/16",
					    "fd00::1/64",
					    "fd00::/127",
					    "fd00::/128",
					    "10.2.0.255/16",
					    "1.0.0.1/1" };
	static const char *const bad[] = {
		"10.2.1.0/24", "10.2.1.255/24", "10.2.1.3/30", "224.0.0.1/24",	     "239.1.1.1/32",
		"127.0.0.1/8", "0.0.0.0/0",	"0.1.2.3/8",   "255.255.255.255/32", "10.2.1.1/0",
		"240.0.0.1/8", "::/64",		"::1/128",     "ff02::1/64",	     "fe80::1/64",
		"fd00:1::/64", "fd00::1/0",	"febf::1/10",  "::ffff:10.2.1.1/120"
	};
	struct cidr nothing = { 0 };
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		WHY_OK(why, attach_check_cidr(cidr_of(good[i]), &why));
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		if (attach_check_cidr(cidr_of(bad[i]), &why) != -EINVAL)
			fail_msg("%s was accepted", bad[i]);
		assert_memory_equal(why.text, bad[i], strcspn(bad[i], "/"));
	}
	assert_int_equal(attach_check_cidr(nothing, &why), -EINVAL);
}

static void requests_are_checked(void **state)
{
	struct cidr cidrs[ATTACH_CIDRS_MAX + 1];
	struct attach_request r = { .netns = "/run/netns/a" };
	char text[300];
	struct why why;

	(void)state;
	WHY_OK(why, attach_check(&r, 1500, &why));
	r.id = "_";
	WHY_OK(why, attach_check(&r, 1500, &why));
	memset(text, 'a', sizeof text);
	text[ATTACH_ID_MAX] = 0;
	r.id = text;
	WHY_OK(why, attach_check(&r, 1500, &why));
	text[ATTACH_ID_MAX] = 'a';
	text[ATTACH_ID_MAX + 1] = 0;
	assert_int_equal(attach_check(&r, 1500, &why), -EINVAL);
	for (const char *const *id =
		     (const char *const[]){ "", "a b", "-a", "a/b", "a\n", "__", NULL };
	     *id; id++) {
		r.id = *id;
		assert_int_equal(attach_check(&r, 1500, &why), -EINVAL);
	}
	r.id = "web.1";
	for (const char *const *path =
		     (const char *const[]){ "", "relative", "/a b", "/a\n", NULL };
	     *path; path++) {
		r.netns = *path;
		assert_int_equal(attach_check(&r, 1500, &why), -EINVAL);
	}
	r.netns = NULL;
	assert_int_equal(attach_check(&r, 1500, &why), -EINVAL);
	memset(text, 'a', sizeof text);
	text[0] = '/';
	text[ATTACH_NETNS_MAX] = 0;
	r.netns = text;
	WHY_OK(why, attach_check(&r, 1500, &why));
	text[ATTACH_NETNS_MAX] = 'a';
	text[ATTACH_NETNS_MAX + 1] = 0;
	assert_int_equal(attach_check(&r, 1500, &why), -EINVAL);
	r.netns = "/x";
	r.mtu = 1500;
	WHY_OK(why, attach_check(&r, 1500, &why));
	assert_int_equal(attach_check(&r, 1499, &why), -EINVAL);
	r.mtu = NET_MTU_MIN - 1;
	assert_int_equal(attach_check(&r, 1500, &why), -EINVAL);
	r.mtu = 0;
	for (size_t i = 0; i < ARRAY_COUNT(cidrs); i++) {
		cidrs[i] = cidr_of("10.2.1.1/16");
		cidrs[i].ip.b[3] = (uint8_t)(i + 1);
	}
	r.cidrs = cidrs;
	r.cidrs_count = ATTACH_CIDRS_MAX;
	WHY_OK(why, attach_check(&r, 1500, &why));
	r.cidrs_count++;
	assert_int_equal(attach_check(&r, 1500, &why), -E2BIG);
	r.cidrs_count = 2;
	cidrs[1] = cidrs[0];
	WHY_OK(why, attach_check(&r, 1500, &why));
	cidrs[1].prefix = 24;
	assert_int_equal(attach_check(&r, 1500, &why), -EINVAL);
}

static void alias_gives_back_what_it_holds(void **state)
{
	char alias[NET_ALIAS_SIZE], id[ATTACH_ID_MAX + 1], path[ATTACH_NETNS_MAX + 1];
	static const char *const wrong[] = { "",
					     "weave/1 weave ",
					     "weave/1 weave c1",
					     "weave/1 weave c1 ",
					     "weave/1 weave  /x",
					     "weave/1 weave c1 relative",
					     "weave/1 weave c1 /x y",
					     "weave/1 weave c1\x01 /x",
					     "weave/1 other c1 /x",
					     "weave/2 weave c1 /x",
					     "weave/1 weave port" };
	struct attachment a = { 0 };

	(void)state;
	memset(id, 'i', sizeof id);
	id[ATTACH_ID_MAX] = 0;
	memset(path, 'p', sizeof path);
	path[0] = '/';
	path[ATTACH_NETNS_MAX] = 0;
	attach_alias("abcdefghijklmno", id, path, alias);
	assert_true(attach_alias_parse(alias, "abcdefghijklmno", &a));
	assert_string_equal(a.id, id);
	assert_string_equal(a.netns, path);
	attach_alias("weave", NULL, "/x", alias);
	assert_true(attach_alias_parse(alias, "weave", &a));
	assert_string_equal(a.id, ATTACH_UNKNOWN_ID);
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
		assert_false(attach_alias_parse(wrong[i], "weave", &a));
}

static void port_names_differ(void **state)
{
	char a[NET_NAME_SIZE], b[NET_NAME_SIZE];

	(void)state;
	attach_port_name("c1", ns1, 0, a);
	assert_int_equal(strlen(a), 13);
	attach_port_name("c1", ns1, 0, b);
	assert_string_equal(a, b);
	attach_port_name("c1", ns1, 1, b);
	assert_string_not_equal(a, b);
	attach_port_name("c1", ns2, 0, b);
	assert_string_not_equal(a, b);
	attach_port_name(NULL, ns1, 0, b);
	assert_string_not_equal(a, b);
}

/* Plans for container `id` in `netns` with two addresses against a fixed world. */
static int plan(struct attach_plan *p, struct why *why, const char *id, struct netns_id netns,
		const char *first, const char *second)
{
	static struct attachment world[2];
	struct cidr cidrs[2] = { cidr_of(first), cidr_of(second) },
		    exposed = cidr_of("10.2.1.100/24");
	struct attach_request r = { .id = id, .cidrs = cidrs, .cidrs_count = 2 };

	world[0] = attached("c1", ns1, "10.2.1.1/24");
	world[1] = attached("c2", ns2, "10.2.1.2/24");
	return attach_plan(&r, netns, world, 2, &exposed, 1, p, why);
}

static void plan_finds_what_to_add(void **state)
{
	struct attach_plan p;
	struct why why;

	(void)state;
	WHY_OK(why, plan(&p, &why, "c3", ns3, "10.2.1.3/24", "10.2.1.3/24"));
	assert_null(p.existing);
	assert_null(p.stale);
	assert_int_equal(p.cidrs_count, 1);
	WHY_OK(why, plan(&p, &why, "c1", ns1, "10.2.1.1/24", "10.2.1.4/24"));
	assert_string_equal(p.existing->id, "c1");
	assert_int_equal(p.cidrs_count, 1);
	assert_int_equal(p.cidrs[0].ip.b[3], 4);
	/* By namespace, whatever the id. */
	WHY_OK(why, plan(&p, &why, NULL, ns1, "10.2.1.1/24", "10.2.1.1/24"));
	assert_string_equal(p.existing->id, "c1");
	assert_int_equal(p.cidrs_count, 0);
}

static void restarted_container_takes_over(void **state)
{
	struct attach_plan p;
	struct why why;

	(void)state;
	WHY_OK(why, plan(&p, &why, "c1", ns3, "10.2.1.1/24", "10.2.1.4/24"));
	assert_null(p.existing);
	assert_string_equal(p.stale->id, "c1");
	assert_int_equal(p.cidrs_count, 2);
	assert_int_equal(plan(&p, &why, "_", ns3, "10.2.1.1/24", "10.2.1.4/24"), -EEXIST);
}

static void taken_addresses_are_refused(void **state)
{
	struct attach_plan p;
	struct why why;

	(void)state;
	assert_int_equal(plan(&p, &why, "c3", ns3, "10.2.1.9/24", "10.2.1.1/24"), -EEXIST);
	assert_string_equal(why.text, "10.2.1.1 is taken already, by c1");
	assert_int_equal(plan(&p, &why, "c3", ns3, "10.2.1.9/24", "10.2.1.2/16"), -EEXIST);
	assert_int_equal(plan(&p, &why, "c3", ns3, "10.2.1.9/24", "10.2.1.100/24"), -EEXIST);
	assert_non_null(strstr(why.text, "host itself"));
	assert_int_equal(plan(&p, &why, "c1", ns1, "10.2.1.9/24", "10.2.1.1/16"), -EEXIST);
}

static void addresses_of_a_container_are_bounded(void **state)
{
	struct attachment a = attached("c1", ns1, NULL);
	struct cidr more[2] = { cidr_of("10.3.0.1/16"), cidr_of("10.3.0.2/16") };
	struct attach_request r = { .id = "c1", .cidrs = more, .cidrs_count = 1 };
	struct attach_plan p;
	struct why why;

	(void)state;
	for (uint8_t i = 0; i < ATTACH_CIDRS_MAX - 1; i++) {
		a.cidrs[i] = cidr_of("10.2.1.1/16");
		a.cidrs[i].ip.b[3] = (uint8_t)(i + 1);
	}
	a.cidrs_count = ATTACH_CIDRS_MAX - 1;
	WHY_OK(why, attach_plan(&r, ns1, &a, 1, NULL, 0, &p, &why));
	r.cidrs_count = 2;
	assert_int_equal(attach_plan(&r, ns1, &a, 1, NULL, 0, &p, &why), -E2BIG);
}

static void detach_is_planned(void **state)
{
	struct attachment world[2] = { attached("c1", ns1, "10.2.1.1/24"),
				       attached("_", ns2, "10.2.1.2/24") };
	struct cidr cidrs[2] = { cidr_of("10.2.1.1/24"), cidr_of("10.2.1.1/24") };
	struct detach_request r = { .id = "c1", .cidrs = cidrs, .cidrs_count = 2 };
	struct detach_plan p;
	struct why why;

	(void)state;
	world[0].cidrs[world[0].cidrs_count++] = cidr_of("10.2.1.3/24");
	WHY_OK(why, detach_plan(&r, (struct netns_id){ 0, 0 }, world, 2, &p, &why));
	assert_ptr_equal(p.target, &world[0]);
	assert_int_equal(p.cidrs_count, 1);
	assert_false(p.all);
	cidrs[1] = cidr_of("10.2.1.3/24");
	WHY_OK(why, detach_plan(&r, (struct netns_id){ 0, 0 }, world, 2, &p, &why));
	assert_true(p.all);
	cidrs[1] = cidr_of("10.2.1.3/25");
	assert_int_equal(detach_plan(&r, (struct netns_id){ 0, 0 }, world, 2, &p, &why), -ENOENT);
	assert_string_equal(why.text, "c1 does not have the address 10.2.1.3/25");
	r.cidrs_count = 0;
	WHY_OK(why, detach_plan(&r, (struct netns_id){ 0, 0 }, world, 2, &p, &why));
	assert_true(p.all);
	assert_int_equal(p.cidrs_count, 2);
	r = (struct detach_request){ .netns = "/run/netns/_" };
	WHY_OK(why, detach_plan(&r, ns2, world, 2, &p, &why));
	assert_ptr_equal(p.target, &world[1]);
	assert_int_equal(detach_plan(&r, ns3, world, 2, &p, &why), -ENOENT);
	/* "_" is nobody's name. */
	r = (struct detach_request){ .id = "_" };
	assert_int_equal(detach_plan(&r, (struct netns_id){ 0, 0 }, world, 2, &p, &why), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_checked),
		cmocka_unit_test(requests_are_checked),
		cmocka_unit_test(alias_gives_back_what_it_holds),
		cmocka_unit_test(port_names_differ),
		cmocka_unit_test(plan_finds_what_to_add),
		cmocka_unit_test(restarted_container_takes_over),
		cmocka_unit_test(taken_addresses_are_refused),
		cmocka_unit_test(addresses_of_a_container_are_bounded),
		cmocka_unit_test(detach_is_planned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
