/* The command line of weave: every command right, every mistake named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weave/must.h>

#include "../../../cmd/cli_args.h"

#define WORDS_MAX 16

/* One line, cut at blanks.  The words live in a buffer of the caller's. */
struct line {
	char buffer[256];
	const char *words[WORDS_MAX];
	int count;
};

static enum cli_verdict parse(const char *text, struct line *line, struct cli_args *a,
			      struct text *message)
{
	line->count = 0;
	snprintf(line->buffer, sizeof line->buffer, "%s", text);
	for (char *w = strtok(line->buffer, " "); w; w = strtok(NULL, " "))
		line->words[line->count++] = w;
	text_fini(message);
	return cli_args_parse(a, line->count, line->words, message);
}

static void commands_are_understood(void **state)
{
	struct text message = { 0 };
	struct cli_args a;
	struct line line;

	(void)state;
	assert_int_equal(parse("--local launch --port 7 h1", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.command, CLI_LAUNCH);
	assert_int_equal(a.rest_count, 3);
	assert_string_equal(a.rest[2], "h1");

	assert_int_equal(parse("--run-dir /a --state-dir=/b reset --force", &line, &a, &message),
			 CLI_RUN);
	assert_int_equal(a.command, CLI_RESET);
	assert_true(a.force);
	assert_string_equal(a.run_dir, "/a");
	assert_string_equal(a.state_dir, "/b");

	assert_int_equal(parse("password", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.command, CLI_PASSWORD);
	assert_string_equal(a.change, "");
	assert_int_equal(parse("password rotate --password-file -", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.change, "rotate");
	assert_string_equal(a.password_file, "-");
	assert_int_equal(parse("password rotate --password-file=/f", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.password_file, "/f");
	assert_int_equal(parse("password rotate --finish --force", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.change, "finish");
	assert_true(a.force);
	assert_int_equal(parse("password rotate --cancel", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.change, "cancel");

	assert_int_equal(parse("connect --replace", &line, &a, &message), CLI_RUN);
	assert_true(a.replace);
	assert_int_equal(a.rest_count, 0);
	assert_int_equal(parse("connect h1 [::1]:5", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.rest_count, 2);

	assert_int_equal(parse("attach 10.2.1.1/24 ip:10.2.2.1/24 --no-multicast-route "
			       "--without-dns c1",
			       &line, &a, &message),
			 CLI_RUN);
	assert_string_equal(a.container, "c1");
	assert_int_equal(a.addresses_count, 2);
	assert_string_equal(a.addresses[1], "ip:10.2.2.1/24");
	assert_false(a.multicast_route);
	assert_int_equal(parse("attach fd00::1/64 /run/netns/x", &line, &a, &message), CLI_RUN);
	assert_true(a.multicast_route);
	assert_string_equal(a.container, "/run/netns/x");
	assert_int_equal(parse("attach 10.2.1.1/24 c1 --no-multicast-route", &line, &a, &message),
			 CLI_RUN);
	assert_null(a.network);
	assert_int_equal(parse("attach 10.2.1.1/24 --network red c1", &line, &a, &message),
			 CLI_RUN);
	assert_string_equal(a.network, "red");
	assert_int_equal(parse("detach c1 --network=red", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.network, "red");
	assert_int_equal(parse("network create red --number 7", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.what, "create");
	assert_string_equal(a.network, "red");
	assert_string_equal(a.number, "7");
	assert_int_equal(parse("network rm red", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.what, "rm");
	assert_int_equal(parse("status networks", &line, &a, &message), CLI_RUN);
	assert_int_equal(parse("detach c1", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.addresses_count, 0);

	assert_int_equal(parse("attach c1", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.addresses_count, 0);
	assert_int_equal(parse("attach net:default ip:10.2.1.1/24 net:10.3.0.0/16 net:fd00::/64 c1",
			       &line, &a, &message),
			 CLI_RUN);
	assert_int_equal(a.addresses_count, 4);
	assert_string_equal(a.addresses[0], "net:default");
	assert_string_equal(a.addresses[3], "net:fd00::/64");
	assert_string_equal(a.container, "c1");
	assert_int_equal(parse("expose net:10.3.0.0/30", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.addresses[0], "net:10.3.0.0/30");
	assert_int_equal(parse("hide net:default", &line, &a, &message), CLI_RUN);
	assert_int_equal(parse("expose", &line, &a, &message), CLI_RUN);

	assert_int_equal(parse("rmpeer host2 7a::1", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.rest_count, 2);
	assert_false(a.force);
	assert_int_equal(parse("rmpeer host2 --force", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.rest_count, 1);
	assert_true(a.force);
	assert_int_equal(parse("rmpeer --force host2", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.rest[0], "host2");
	assert_true(a.force);
	assert_int_equal(parse("prime", &line, &a, &message), CLI_RUN);
	assert_int_equal(parse("status ipam", &line, &a, &message), CLI_RUN);

	assert_int_equal(parse("expose 10.2.1.9/24 --without-masquerade", &line, &a, &message),
			 CLI_RUN);
	assert_false(a.masquerade);
	assert_int_equal(parse("hide", &line, &a, &message), CLI_RUN);

	assert_int_equal(parse("status", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.what, "");
	assert_false(a.json);
	assert_int_equal(parse("status connections --json", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.what, "connections");
	assert_true(a.json);
	assert_int_equal(parse("report -f {{.Version}}", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.format, "{{.Version}}");
	assert_int_equal(parse("--json ps c1 c2 --json", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.rest_count, 2);
	assert_int_equal(parse("--version", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.command, CLI_VERSION);
	assert_int_equal(parse("dns-lookup x", &line, &a, &message), CLI_RUN);
	assert_int_equal(parse("dns-add 10.2.1.1 fd00::1 c1 -h a.b", &line, &a, &message), CLI_RUN);
	assert_int_equal(a.ips_count, 2);
	assert_string_equal(a.container, "c1");
	assert_string_equal(a.fqdn, "a.b");
	assert_int_equal(parse("dns-remove 10.2.1.1/24 -h a.b.", &line, &a, &message), CLI_RUN);
	assert_null(a.container);
	assert_int_equal(a.ips_count, 1);
	assert_int_equal(parse("dns-add c1", &line, &a, &message), CLI_RUN);
	assert_null(a.fqdn);
	assert_int_equal(parse("attach --without-dns c1", &line, &a, &message), CLI_RUN);
	assert_false(a.dns);
	assert_int_equal(parse("attach c1", &line, &a, &message), CLI_RUN);
	assert_true(a.dns);
	assert_int_equal(parse("expose -h a.b", &line, &a, &message), CLI_RUN);
	assert_string_equal(a.fqdn, "a.b");
	assert_string_equal(text_string(&message), "");
	text_fini(&message);
}

static void help_is_help_everywhere(void **state)
{
	static const char *const lines[] = { "help",	      "--help",	       "-h",
					     "launch --help", "status --help", "--local help" };
	struct text message = { 0 };
	struct cli_args a;
	struct line line;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
		assert_int_equal(parse(lines[i], &line, &a, &message), CLI_HELP);
	assert_non_null(strstr(cli_usage(), "weave launch"));
	text_fini(&message);
}

static void every_mistake_is_named(void **state)
{
	static const struct {
		const char *line;
		enum cli_verdict verdict;
		const char *named;
	} wrong[] = {
		{ "", CLI_USAGE, "" },
		{ "dance", CLI_USAGE, "dance" },
		{ "--loud status", CLI_USAGE, "--loud" },
		{ "--run-dir", CLI_WRONG, "--run-dir" },
		{ "--run-dir= status", CLI_WRONG, "--run-dir" },
		{ "--state-dir here status", CLI_WRONG, "--state-dir" },
		{ "stop now", CLI_USAGE, "now" },
		{ "reset --force it", CLI_USAGE, "it" },
		{ "reset --weave-bridge br0", CLI_USAGE, "--weave-bridge" },
		{ "password secret", CLI_USAGE, "rotate" },
		{ "password rotate", CLI_USAGE, "--password-file" },
		{ "password rotate --password-file", CLI_USAGE, "needs a file" },
		{ "password rotate --password-file /f --finish", CLI_USAGE, "one of" },
		{ "password rotate --password-file /f --force", CLI_USAGE, "--force goes with" },
		{ "password rotate --password=secret", CLI_USAGE, "unknown option" },
		{ "connect", CLI_USAGE, "whom" },
		{ "connect h1:0", CLI_WRONG, "h1:0" },
		{ "connect h1 --replace", CLI_WRONG, "--replace" },
		{ "forget", CLI_USAGE, "whom" },
		{ "network", CLI_USAGE, "create or rm" },
		{ "network create", CLI_USAGE, "which network" },
		{ "network rm red blue", CLI_USAGE, "one network" },
		{ "network rm red --number 7", CLI_WRONG, "--number" },
		{ "network create red --number", CLI_USAGE, "--number" },
		{ "attach c1 --network", CLI_USAGE, "--network" },
		{ "attach", CLI_USAGE, "container" },
		{ "attach 10.2.1.1/24", CLI_USAGE, "container" },
		{ "attach 10.2.1.1/33 c1", CLI_WRONG, "10.2.1.1/33" },
		{ "attach ip:10.2.1.1 c1", CLI_WRONG, "ip:10.2.1.1" },
		{ "attach ip:10.2.1.1", CLI_WRONG, "ip:10.2.1.1" },
		{ "attach net:10.2.1.0/16 c1", CLI_WRONG, "net:10.2.0.0/16 is meant" },
		{ "attach net:10.2.1.0/31 c1", CLI_WRONG, "4 addresses" },
		{ "attach net:10.2.1.0 c1", CLI_WRONG, "net:10.2.1.0" },
		{ "attach net: c1", CLI_WRONG, "net:" },
		{ "attach net:default", CLI_USAGE, "container" },
		{ "expose net:defaults", CLI_WRONG, "net:defaults" },
		{ "hide net:10.2.1.0/32", CLI_WRONG, "4 addresses" },
		{ "attach c1 c2", CLI_WRONG, "c1" },
		{ "attach c1 --no-multicast-route c2", CLI_WRONG, "c2" },
		{ "attach --rewrite-hosts c1", CLI_WRONG, "--rewrite-hosts" },
		{ "attach --add-host a:1.2.3.4 c1", CLI_WRONG, "--add-host" },
		{ "attach --fast c1", CLI_WRONG, "--fast" },
		{ "detach --without-dns c1", CLI_WRONG, "--without-dns" },
		{ "expose -h a..b", CLI_WRONG, "a..b" },
		{ "expose -h", CLI_USAGE, "-h" },
		{ "dns-add", CLI_USAGE, "which container" },
		{ "dns-add 10.2.1.1", CLI_USAGE, "which name" },
		{ "dns-add -h a.b", CLI_USAGE, "which container" },
		{ "dns-add c1 10.2.1.1", CLI_WRONG, "10.2.1.1" },
		{ "dns-add c1 -h a_b.c!", CLI_WRONG, "c!" },
		{ "dns-remove c1 --all", CLI_WRONG, "--all" },
		{ "expose 10.2.1.9", CLI_WRONG, "10.2.1.9" },
		{ "hide --all", CLI_WRONG, "--all" },
		{ "status all", CLI_USAGE, "all" },
		{ "status peers dns", CLI_USAGE, "one status" },
		{ "status -x", CLI_WRONG, "-x" },
		{ "report -f", CLI_USAGE, "-f" },
		{ "report x", CLI_USAGE, "x" },
		{ "ps -a", CLI_WRONG, "-a" },
		{ "version 3", CLI_USAGE, "3" },
		{ "prime now", CLI_USAGE, "now" },
		{ "rmpeer", CLI_USAGE, "whom" },
		{ "rmpeer --force", CLI_USAGE, "whom" },
		{ "rmpeer host2 --all", CLI_WRONG, "--all" },
		{ "dns-lookup a b", CLI_USAGE, "exactly one" },
		{ "run -ti x", CLI_WRONG, "run: removed" },
		{ "launch-router", CLI_WRONG, "launch-router" },
		{ "env", CLI_WRONG, "proxy" },
		{ "config", CLI_WRONG, "proxy" },
	};
	struct text message = { 0 };
	struct cli_args a;
	struct line line;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		if (parse(wrong[i].line, &line, &a, &message) != wrong[i].verdict)
			fail_msg("%s: wrong verdict", wrong[i].line);
		if (!strstr(text_string(&message), wrong[i].named))
			fail_msg("%s: the message is: %s", wrong[i].line, text_string(&message));
	}
	text_fini(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_understood),
		cmocka_unit_test(help_is_help_everywhere),
		cmocka_unit_test(every_mistake_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
