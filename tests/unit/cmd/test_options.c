/* The daemon's options: defaults, every option right and wrong, environment, combinations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weave/must.h>

#include "../../../cmd/options.h"

#define ARGS_MAX 8

static bool parse(struct weaver_options *o, const char *const *args, const char *const *environment,
		  struct why *why)
{
	int count = 0;

	while (count < ARGS_MAX && args[count])
		count++;
	*why = (struct why){ 0 };
	return weaver_options_parse(o, count, args, environment, why);
}

static void nothing_given_gives_the_defaults(void **state)
{
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_true(parse(&o, (const char *[]){ NULL }, NULL, &why));
	assert_int_equal(o.mode, WEAVER_RUN);
	assert_string_equal(o.run_dir, "/run/weave");
	assert_string_equal(o.state_dir, "/var/lib/weave");
	assert_int_equal(o.ready_fd, -1);
	assert_int_equal(o.name, PEER_NAME_NONE);
	assert_int_equal(o.port, 6783);
	assert_int_equal(o.host.family, 0);
	assert_true(o.discovery);
	assert_int_equal(o.conn_limit, 100);
	assert_true(o.fastdp);
	assert_int_equal(o.mtu, 0);
	assert_string_equal(o.bridge, "weave");
	assert_true(o.status_enabled);
	assert_int_equal(o.status_addr.port, 6784);
	assert_int_equal(o.status_addr.ip.b[0], 127);
	assert_int_equal(o.log_level, LOG_INFO_LEVEL);
	assert_false(o.resume);
	assert_int_equal(o.peers_count, 0);
	weaver_options_fini(&o);
}

static void options_and_peers_may_be_mixed(void **state)
{
	const char *args[] = { "host1", "--port=7000", "[fd00::1]:99", "--nickname",
			       "n1",	"--",	       "host2:1",      NULL };
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_true(parse(&o, args, NULL, &why));
	assert_int_equal(o.port, 7000);
	assert_string_equal(o.nickname, "n1");
	assert_int_equal(o.peers_count, 3);
	assert_string_equal(o.peers[0], "host1");
	assert_string_equal(o.peers[1], "[fd00::1]:99");
	assert_string_equal(o.peers[2], "host2:1");
	weaver_options_fini(&o);
}

static void all_values_arrive(void **state)
{
	const char *one[] = { "--name=7a:00:00:00:00:01", "--host=10.0.0.1", "--no-discovery",
			      "--conn-limit=0",		  "--no-fastdp",     "--mtu=1400",
			      "--weave-bridge=br0",	  "--resume" };
	const char *two[] = { "--status-addr=:99",  "--socket-group=staff",
			      "--log-level=debug",  "--ready-fd=5",
			      "--run-dir=/a",	    "--state-dir=/b",
			      "--no-restart=false", "--no-dns" };
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_true(parse(&o, one, NULL, &why));
	assert_int_equal(o.name, 0x7a0000000001u);
	assert_int_equal(o.host.family, 4);
	assert_false(o.discovery);
	assert_int_equal(o.conn_limit, 0);
	assert_false(o.fastdp);
	assert_int_equal(o.mtu, 1400);
	assert_string_equal(o.bridge, "br0");
	assert_true(o.resume);
	weaver_options_fini(&o);

	assert_true(parse(&o, two, NULL, &why));
	assert_int_equal(o.status_addr.port, 99);
	assert_int_equal(o.status_addr.ip.b[0], 0);
	assert_string_equal(o.socket_group, "staff");
	assert_int_equal(o.log_level, LOG_DEBUG_LEVEL);
	assert_int_equal(o.ready_fd, 5);
	assert_string_equal(o.run_dir, "/a");
	assert_string_equal(o.state_dir, "/b");
	weaver_options_fini(&o);
}

static void dns(void **state)
{
	const char *one[] = { "--dns-domain=Foo.Bar.",
			      "--dns-listen-address=172.17.0.1",
			      "--dns-listen-address=[fd00::1]:5353",
			      "--dns-listen-address=:54",
			      "--dns-listen-address=0.0.0.0:53",
			      "--dns-ttl=30",
			      "--dns-fallback-timeout=250ms",
			      "--resolv-conf=/x" };
	const char *two[] = { "--no-dns", "--resolv-conf=", "--docker-bridge=", NULL };
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_true(parse(&o, one, NULL, &why));
	assert_true(o.dns.enabled);
	assert_string_equal(o.dns.domain, "Foo.Bar.");
	assert_int_equal(o.dns.addresses_count, 4);
	assert_int_equal(o.dns.addresses[0].port, 53);
	assert_int_equal(o.dns.addresses[1].port, 5353);
	assert_int_equal(o.dns.addresses[2].ip.family, 0);
	assert_int_equal(o.dns.addresses[3].ip.family, 0);
	assert_int_equal(o.dns.ttl_s, 30);
	assert_int_equal(o.dns.fallback_ms, 250);
	assert_string_equal(o.dns.resolv_conf, "/x");
	assert_string_equal(o.dns.docker_bridge, "docker0");
	weaver_options_fini(&o);
	assert_true(parse(&o, two, NULL, &why));
	assert_false(o.dns.enabled);
	assert_null(o.dns.resolv_conf);
	assert_int_equal(o.dns.ttl_s, 1);
	assert_int_equal(o.dns.fallback_ms, 5000);
	weaver_options_fini(&o);
}

/* Each is refused, and the message holds the text behind it. */
static const char *const wrong[][2] = {
	{ "--prot=1", "--prot" },
	{ "-x", "-x" },
	{ "-nickname=a", "-nickname" },
	{ "--port", "--port needs a value" },
	{ "--port=0", "--port: '0'" },
	{ "--port=65535", "--port" },
	{ "--port=6783x", "6783x" },
	{ "--port=", "--port" },
	{ "--name=nobody", "--name: 'nobody'" },
	{ "--name=00:00:00:00:00:00", "--name" },
	{ "--name=01:00:00:00:00:05", "first byte is odd" },
	{ "--nickname=", "--nickname" },
	{ "--nickname=a\nb", "--nickname" },
	{ "--host=localhost", "--host: 'localhost'" },
	{ "--no-discovery=maybe", "'maybe'" },
	{ "--no-fastdp=maybe", "'maybe'" },
	{ "--conn-limit=-1", "--conn-limit" },
	{ "--conn-limit=99999999999999999999", "--conn-limit" },
	{ "--mtu=575", "--mtu" },
	{ "--mtu=65536", "--mtu" },
	{ "--weave-bridge=sixteencharacter", "--weave-bridge" },
	{ "--weave-bridge=a/b", "--weave-bridge" },
	{ "--weave-bridge=..", "--weave-bridge" },
	{ "--status-addr=localhost:1", "--status-addr" },
	{ "--status-addr=127.0.0.1", "--status-addr" },
	{ "--http-addr=:0", "--http-addr" },
	{ "--log-level=loud", "'loud'" },
	{ "--ready-fd=2", "--ready-fd" },
	{ "--run-dir=here", "--run-dir" },
	{ "--reset=1", "--reset takes no value" },
	{ "--password=", "--password: the password is empty" },
	{ "-password=", "--password" },
	{ "--password-file=", "--password-file" },
	{ "--password-fd=2", "--password-fd" },
	{ "--trusted-subnets=10.0.0.0/33", "'10.0.0.0/33' is not" },
	{ "--trusted-subnets=10.0.0.0/8,,10.0.0.0/9", "'' is not" },
	{ "--trusted-subnets=10.0.0.0/8,host", "'host' is not" },
	{ "--ipalloc-range=10.2.0.0", "--ipalloc-range: '10.2.0.0' is not a network" },
	{ "--ipalloc-range=10.2.0.1/16", "did you mean 10.2.0.0/16?" },
	{ "--ipalloc-range=10.2.0.0/31", "at least 4 addresses" },
	{ "-iprange=x", "--iprange" },
	{ "--ipalloc-init=vote", "--ipalloc-init: 'vote' is not consensus" },
	{ "--ipalloc-init=consensus=0", "'consensus=0'" },
	{ "--ipalloc-init=consensus=256", "'consensus=256'" },
	{ "--ipalloc-init=consensus=3x", "'consensus=3x'" },
	{ "--ipalloc-init=seed=", "'' is not a peer name" },
	{ "--ipalloc-init=seed=host1", "'host1' is not a peer name" },
	{ "--ipalloc-init=seed=::1,::2,", "'' is not a peer name" },
	{ "--ipalloc-init=seed=::1,::2,::1", "is named twice" },
	{ "--ipalloc-init=observer=1", "'observer=1'" },
	{ "--ipalloc-default-subnet=10.64.0.0/16", "10.64.0.0/16 lies outside" },
	{ "--ipalloc-default-subnet=fd00::/64", "fd00::/64 lies outside" },
	{ "--dns-domain=a..b", "--dns-domain" },
	{ "--dns-domain=", "--dns-domain" },
	{ "--dns-listen-address=localhost:53", "--dns-listen-address" },
	{ "--dns-listen-address=1.2.3.4:0", "--dns-listen-address" },
	{ "--dns-ttl=-1", "--dns-ttl" },
	{ "--dns-fallback-timeout=5", "--dns-fallback-timeout" },
	{ "--dns-fallback-timeout=2m", "--dns-fallback-timeout" },
	{ "--docker-bridge=sixteencharacter", "--docker-bridge" },
	{ "--plugin=perhaps", "--plugin" },
	{ "--plugin-v2", "no proxy" },
	{ "--docker-api=tcp://1.2.3.4:2375", "unix://" },
	{ "--plugin-socket=weave.sock", "absolute path" },
	{ "host:0", "host:0" },
	{ "1.2.3.400", "1.2.3.400" },
	{ "a b", "a b" },
	{ "[::1", "[::1" },
	{ "", "host is missing" },
};

static void every_mistake_is_named(void **state)
{
	struct weaver_options o;
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		const char *args[] = { wrong[i][0], NULL };

		if (parse(&o, args, NULL, &why))
			fail_msg("%s", args[0]);
		if (!strstr(why.text, wrong[i][1]))
			fail_msg("%s: the message is: %s", args[0], why.text);
		weaver_options_fini(&o);
	}
}

static void what_asks_for_nothing_is_accepted(void **state)
{
	static const char *const fine[] = { "--trusted-subnets=", "--ipalloc-range=",
					    "--plugin=false", "--status-addr=", "--host=" };
	struct weaver_options o;
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(fine); i++) {
		if (!parse(&o, (const char *[]){ fine[i], NULL }, NULL, &why))
			fail_msg("%s: %s", fine[i], why.text);
		weaver_options_fini(&o);
	}
}

static void addresses_come_from_the_usual_range_by_consensus(void **state)
{
	struct weaver_options o;
	char text[CIDR_TEXT_SIZE];
	struct why why;

	(void)state;
	assert_true(parse(&o, (const char *[]){ NULL }, NULL, &why));
	assert_int_equal(o.ipalloc.ranges_count, 1);
	assert_false(o.ipalloc.range_given);
	assert_string_equal(cidr_text(o.ipalloc.ranges[0], text), "10.32.0.0/12");
	assert_string_equal(cidr_text(o.ipalloc.default_subnets[0], text), "10.32.0.0/12");
	assert_int_equal(o.ipalloc.init, IPALLOC_CONSENSUS);
	assert_int_equal(o.ipalloc.electors, 0);
	weaver_options_fini(&o);
}

static void two_ranges_are_dual_stack(void **state)
{
	const char *args[] = { "--ipalloc-range=10.2.0.0/16",
			       "--ipalloc-default-subnet",
			       "fd00:2::/64",
			       "--ipalloc-range=fd00:2::/48",
			       "--ipalloc-range=10.3.0.0/16",
			       "--ipalloc-init=seed=::1,2:0:0:0:0:2",
			       NULL };
	struct weaver_options o;
	char text[CIDR_TEXT_SIZE];
	struct why why;

	(void)state;
	assert_true(parse(&o, args, NULL, &why));
	assert_int_equal(o.ipalloc.ranges_count, 2);
	assert_true(o.ipalloc.range_given);
	/* The last one of its family. */
	assert_string_equal(cidr_text(o.ipalloc.ranges[0], text), "10.3.0.0/16");
	assert_string_equal(cidr_text(o.ipalloc.ranges[1], text), "fd00:2::/48");
	assert_string_equal(cidr_text(o.ipalloc.default_subnets[0], text), "10.3.0.0/16");
	assert_string_equal(cidr_text(o.ipalloc.default_subnets[1], text), "fd00:2::/64");
	assert_int_equal(o.ipalloc.init, IPALLOC_SEED);
	assert_int_equal(o.ipalloc.seeds_count, 2);
	assert_true(o.ipalloc.seeds[0] == 1);
	weaver_options_fini(&o);
}

static void an_empty_range_turns_addresses_off(void **state)
{
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_true(parse(&o, (const char *[]){ "--ipalloc-range=", NULL }, NULL, &why));
	assert_int_equal(o.ipalloc.ranges_count, 0);
	weaver_options_fini(&o);
	assert_false(parse(&o,
			   (const char *[]){ "--ipalloc-range=", "--ipalloc-init=observer", NULL },
			   NULL, &why));
	assert_non_null(strstr(why.text, "need an --ipalloc-range"));
	assert_true(parse(&o, (const char *[]){ "--ipalloc-init=consensus=3", NULL }, NULL, &why));
	assert_int_equal(o.ipalloc.electors, 3);
	weaver_options_fini(&o);
}

static void arguments_win_over_the_environment(void **state)
{
	const char *environment[] = { "WEAVE_PORT=7001",	"WEAVE_MTU=1300",
				      "WEAVE_NO_FASTDP=please", "WEAVE_STATUS_ADDR=",
				      "WEAVE_HTTP_ADDR=:5",	"WEAVE_RUN_DIR=/r",
				      "WEAVE_STATE_DIR=/s",	"WEAVE_PORTX=1",
				      "WEAVE_PASSWORD=",	NULL };
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_true(parse(&o, (const char *[]){ NULL }, environment, &why));
	assert_int_equal(o.port, 7001);
	assert_int_equal(o.mtu, 1300);
	assert_false(o.fastdp);
	assert_false(o.status_enabled);
	assert_string_equal(o.run_dir, "/r");
	assert_string_equal(o.state_dir, "/s");
	weaver_options_fini(&o);

	assert_true(parse(&o,
			  (const char *[]){ "--port=9", "--no-fastdp=false", "--http-addr=:6",
					    "--run-dir=/x", NULL },
			  environment, &why));
	assert_int_equal(o.port, 9);
	assert_true(o.fastdp);
	assert_true(o.status_enabled);
	assert_int_equal(o.status_addr.port, 6);
	assert_string_equal(o.run_dir, "/x");
	weaver_options_fini(&o);
}

static void wrong_variables_are_named(void **state)
{
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_false(parse(&o, (const char *[]){ NULL }, (const char *[]){ "WEAVE_PORT=x", NULL },
			   &why));
	assert_non_null(strstr(why.text, "WEAVE_PORT: 'x'"));
}

static void a_password_is_taken_from_one_place(void **state)
{
	static char longest[PASSWORD_SIZE_MAX + 2];
	const char *environment[] = { "WEAVE_PASSWORD=of the environment", NULL };
	const char *one[] = { "-password", "secret words", "host1", NULL };
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_true(parse(&o, (const char *[]){ NULL }, NULL, &why));
	assert_null(o.password);
	assert_int_equal(o.password_fd, -1);
	assert_true(parse(&o, (const char *[]){ NULL }, environment, &why));
	assert_string_equal(o.password, "of the environment");
	/* Where it stands, so that it can be wiped there. */
	assert_ptr_equal(o.password, environment[0] + strlen("WEAVE_PASSWORD="));
	assert_true(parse(&o, one, environment, &why));
	assert_ptr_equal(o.password, one[1]);
	assert_int_equal(o.peers_count, 1);
	weaver_options_fini(&o);
	assert_true(parse(&o, (const char *[]){ "--password-file=/f", NULL }, environment, &why));
	assert_null(o.password);
	assert_string_equal(o.password_file, "/f");
	assert_true(parse(&o, (const char *[]){ "--password-fd=7", NULL }, environment, &why));
	assert_null(o.password);
	assert_int_equal(o.password_fd, 7);
	assert_false(parse(&o, (const char *[]){ "--password-file=/f", "--password=x", NULL }, NULL,
			   &why));
	assert_non_null(strstr(why.text, "give one of"));
	assert_false(parse(&o, (const char *[]){ "--password=secret", "--password=secret", NULL },
			   NULL, &why));
	assert_non_null(strstr(why.text, "twice"));
	assert_null(strstr(why.text, "secret"));
	assert_false(parse(&o, (const char *[]){ "--pasword=secret", NULL }, NULL, &why));
	assert_string_equal(why.text, "unknown option --pasword");
	memset(longest, 'x', PASSWORD_SIZE_MAX);
	assert_true(parse(&o, (const char *[]){ "--password", longest, NULL }, NULL, &why));
	longest[PASSWORD_SIZE_MAX] = 'x';
	assert_false(parse(&o, (const char *[]){ "--password", longest, NULL }, NULL, &why));
	assert_non_null(strstr(why.text, "longer than 1024"));
	assert_null(strstr(why.text, "xx"));
}

static void trusted_subnets_are_a_list(void **state)
{
	struct weaver_options o;
	struct why why;
	char text[CIDR_TEXT_SIZE], many[TRUSTED_SUBNETS_MAX * 11 + 40] = "--trusted-subnets=";

	(void)state;
	assert_true(parse(
		&o, (const char *[]){ "--trusted-subnets=10.1.2.3/8,fd00::/7,192.0.2.1", NULL },
		NULL, &why));
	assert_int_equal(o.trusted_count, 3);
	assert_string_equal(cidr_text(o.trusted[0], text), "10.0.0.0/8");
	assert_string_equal(cidr_text(o.trusted[1], text), "fc00::/7");
	assert_string_equal(cidr_text(o.trusted[2], text), "192.0.2.1/32");
	for (unsigned i = 0; i <= TRUSTED_SUBNETS_MAX; i++) {
		if (i == TRUSTED_SUBNETS_MAX)
			assert_true(parse(&o, (const char *[]){ many, NULL }, NULL, &why));
		strcat(many, i ? ",10.0.0.0/8" : "10.0.0.0/8");
	}
	assert_false(parse(&o, (const char *[]){ many, NULL }, NULL, &why));
	assert_non_null(strstr(why.text, "more than 64"));
}

static void combinations_that_make_no_sense_are_refused(void **state)
{
	struct weaver_options o;
	struct why why;

	(void)state;
	assert_false(parse(&o, (const char *[]){ "--resume", "host1", NULL }, NULL, &why));
	assert_non_null(strstr(why.text, "--resume"));
	assert_false(parse(&o, (const char *[]){ "--reset", "host1", NULL }, NULL, &why));
	assert_true(parse(&o, (const char *[]){ "--reset", "--version", NULL }, NULL, &why));
	assert_int_equal(o.mode, WEAVER_RESET);
	weaver_options_fini(&o);
}

static void too_many_peers_are_refused(void **state)
{
	const char **args = calloc(OPTIONS_PEERS_MAX + 1, sizeof *args);
	struct weaver_options o;
	struct why why = { 0 };

	(void)state;
	assert_non_null(args);
	for (size_t i = 0; i <= OPTIONS_PEERS_MAX; i++)
		args[i] = "h";
	assert_true(weaver_options_parse(&o, OPTIONS_PEERS_MAX, args, NULL, &why));
	weaver_options_fini(&o);
	assert_false(weaver_options_parse(&o, OPTIONS_PEERS_MAX + 1, args, NULL, &why));
	free(args);
}

static void the_usage_names_the_options(void **state)
{
	struct text text = { 0 };

	(void)state;
	weaver_options_usage(&text);
	assert_non_null(strstr(text_string(&text), "--run-dir"));
	assert_non_null(strstr(text_string(&text), "--no-fastdp"));
	assert_non_null(strstr(text_string(&text), "--trusted-subnets"));
	assert_null(strstr(text_string(&text), "--proxy"));
	text_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_gives_the_defaults),
		cmocka_unit_test(options_and_peers_may_be_mixed),
		cmocka_unit_test(all_values_arrive),
		cmocka_unit_test(dns),
		cmocka_unit_test(every_mistake_is_named),
		cmocka_unit_test(what_asks_for_nothing_is_accepted),
		cmocka_unit_test(addresses_come_from_the_usual_range_by_consensus),
		cmocka_unit_test(two_ranges_are_dual_stack),
		cmocka_unit_test(an_empty_range_turns_addresses_off),
		cmocka_unit_test(arguments_win_over_the_environment),
		cmocka_unit_test(wrong_variables_are_named),
		cmocka_unit_test(a_password_is_taken_from_one_place),
		cmocka_unit_test(trusted_subnets_are_a_list),
		cmocka_unit_test(combinations_that_make_no_sense_are_refused),
		cmocka_unit_test(too_many_peers_are_refused),
		cmocka_unit_test(the_usage_names_the_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
