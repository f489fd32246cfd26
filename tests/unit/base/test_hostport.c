/* Peers as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weave/hostport.h>
#include <weave/must.h>

static void good_peers_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
		unsigned family; /* 0: a name */
	} good[] = {
		{ "1.2.3.4", "1.2.3.4", 0, 4 },
		{ "1.2.3.4:99", "1.2.3.4", 99, 4 },
		{ "::1", "::1", 0, 6 },
		{ "fd00::1:99", "fd00::1:99", 0, 6 },
		{ "[fd00::1]", "fd00::1", 0, 6 },
		{ "[fd00::1]:65535", "fd00::1", 65535, 6 },
		{ "host", "host", 0, 0 },
		{ "host-2.example.org.:1", "host-2.example.org.", 1, 0 },
		{ "1host_a", "1host_a", 0, 0 },
	};
	struct hostport h;
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		if (!hostport_parse(good[i].text, &h, &why))
			fail_msg("%s: %s", good[i].text, why.text);
		assert_string_equal(h.host, good[i].host);
		assert_int_equal(h.port, good[i].port);
		assert_int_equal(h.literal, good[i].family != 0);
		assert_int_equal(h.ip.family, good[i].family);
	}
}

static void bad_peers_are_refused_by_name(void **state)
{
	static const char *const bad[] = { "",		 ":99",	      "host:",	   "host:0",
					   "host:65536", "host:9x",   "host:-1",   "[::1",
					   "[::1]x",	 "[::1]:",    "[1.2.3.4]", "[host]:1",
					   "1.2.3",	 "1.2.3.400", "a..b",	   ".a",
					   "-a",	 "a b",	      "a/b",	   "1:2:3",
					   "h\xc3\xa4",	 "fd00::g",   "a,b" };
	struct hostport h;
	struct why why;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		why.text[0] = '\0';
		if (hostport_parse(bad[i], &h, &why))
			fail_msg("'%s' was taken", bad[i]);
		assert_non_null(strstr(why.text, bad[i]));
	}
}

static void lengths_are_limited(void **state)
{
	char text[300];
	struct hostport h;
	struct why why;

	(void)state;
	memset(text, 'a', sizeof text);
	text[63] = '\0';
	assert_true(hostport_parse(text, &h, &why));
	text[63] = 'a';
	text[64] = '\0'; /* a label of 64 */
	assert_false(hostport_parse(text, &h, &why));
	for (size_t i = 0; i < 254; i++)
		text[i] = i % 50 == 49 ? '.' : 'a';
	text[253] = '\0';
	assert_true(hostport_parse(text, &h, &why));
	text[253] = 'a';
	text[254] = '\0';
	assert_false(hostport_parse(text, &h, &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_peers_are_taken_apart),
		cmocka_unit_test(bad_peers_are_refused_by_name),
		cmocka_unit_test(lengths_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
