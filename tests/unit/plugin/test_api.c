/* From requests to operations and answers: routes, parameters, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../../plugin/api.h"
#include "../../../plugin/query.h"
#include "fake_ops.h"

struct row {
	const char *method, *uri, *form;
	unsigned status;
	const char *body;  /* the answer has this in it */
	const char *calls; /* what the daemon was asked to do */
};

static void handle(struct fake *f, const struct api_request *request, struct api_response *response)
{
	struct api_ops ops = fake_ops(f);

	text_fini(&f->calls);
	api_handle(&ops, request, response);
}

static void check(struct fake *f, const struct row *row)
{
	struct api_request request = { .method = row->method,
				       .uri = row->uri,
				       .form = row->form,
				       .form_size = row->form ? strlen(row->form) : 0 };
	struct api_response response;

	handle(f, &request, &response);
	if (response.status != row->status)
		fail_msg("%s %s %s: %u %s", row->method, row->uri, row->form ? row->form : "",
			 response.status, text_string(&response.body));
	if (!strstr(text_string(&response.body), row->body))
		fail_msg("%s %s: the body is: %s", row->method, row->uri,
			 text_string(&response.body));
	if (strcmp(text_string(&f->calls), row->calls) != 0)
		fail_msg("%s %s: the calls are: %s", row->method, row->uri, text_string(&f->calls));
	text_fini(&response.body);
	text_fini(&f->calls);
}

static void good_requests_are_carried_out(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/status", NULL, 200, "Service: router", "" },
		{ "GET", "/status/targets", NULL, 200, "host2\n", "" },
		{ "GET", "/status/connections", NULL, 200, "-> 10.0.0.2:6783", "" },
		{ "GET", "/status/peers", NULL, 200, "7a:00:00:00:00:02(host2)", "" },
		{ "GET", "/report", NULL, 200, "    \"Ready\": true", "" },
		{ "GET", "/report?format=%7B%7B.Router.Name%7D%7D", NULL, 200, "7a:00:00:00:00:01",
		  "" },
		{ "GET", "/report?format={{if+.IPAM}}on{{else}}off{{end}}", NULL, 200, "off", "" },
		{ "GET", "/metrics", NULL, 200, "weave_connections{", "" },
		{ "GET", "/version", NULL, 200, "3.0.0\n", "" },
		{ "HEAD", "/status", NULL, 200, "Service", "" },
		{ "POST", "/connect", "peer=h1&peer=%5B%3A%3A1%5D%3A9", 200, "",
		  "connect h1 [::1]:9\n" },
		{ "POST", "/connect?peer=h1&replace=true", NULL, 200, "", "replace h1\n" },
		{ "POST", "/connect", "replace=1", 200, "", "replace\n" },
		{ "POST", "/forget?peer=h1", "peer=h2", 200, "", "forget h1 h2\n" },
		{ "POST", "/attach", "id=c1&netns=/run/netns/c1&address=10.2.1.1%2F24", 200,
		  "10.2.1.1/24\n", "attach c1 /run/netns/c1 1 10.2.1.1/24\n" },
		{ "POST", "/attach",
		  "id=c1&netns=/n&address=10.2.1.1/24&address=fd00::5/64&multicast-route=false",
		  200, "10.2.1.1/24 fd00::5/64\n", "attach c1 /n 0 10.2.1.1/24 fd00::5/64\n" },
		{ "DELETE", "/attach?id=c1", NULL, 200, "", "detach c1 -\n" },
		{ "DELETE", "/attach", "id=c1&netns=/n&address=10.2.1.1/24", 200, "10.2.1.1/24\n",
		  "detach c1 /n 10.2.1.1/24\n" },
		{ "POST", "/expose", "address=10.2.1.254/24", 200, "10.2.1.254/24",
		  "expose 1 10.2.1.254/24\n" },
		{ "POST", "/expose/10.2.1.254/24?skipNAT=true", NULL, 204, "",
		  "expose 0 10.2.1.254/24\n" },
		{ "DELETE", "/expose", NULL, 200, "", "hide\n" },
		{ "DELETE", "/expose?address=10.2.1.254/24", NULL, 200, "10.2.1.254/24",
		  "hide 10.2.1.254/24\n" },
		{ "GET", "/ps", NULL, 200,
		  "weave:expose 00:00:00:00:00:02\n"
		  "c1 00:00:00:00:00:01 10.2.1.1/24\n"
		  "dddddddddddd 00:00:00:00:00:03\n",
		  "" },
		{ "GET", "/ps?id=c1&id=nobody", NULL, 200, "c1 00:00:00:00:00:01 10.2.1.1/24\n",
		  "" },
		{ "GET", "/ps?id=dddddddddddd", NULL, 200, "dddddddddddd 00", "" },
		{ "POST", "/log-level", "level=debug", 200, "", "level 0\n" },
		{ "POST", "/stop", NULL, 200, "", "stop\n" },
	};
	struct fake f = { .refuse = WHY_NONE };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		check(&f, &rows[i]);
}

static void bad_requests_do_nothing_and_say_why(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/", NULL, 404, "no such path", "" },
		{ "GET", "/statu", NULL, 404, "no such path", "" },
		{ "GET", "/status/", NULL, 404, "no such path", "" },
		{ "GET", "/status/peers/x", NULL, 404, "no such path", "" },
		{ "GET", "", NULL, 404, "no such path", "" },
		{ "POST", "/status", NULL, 405, "method", "" },
		{ "GET", "/connect", NULL, 405, "method", "" },
		{ "BREW", "/attach", NULL, 405, "method", "" },
		{ "GET", "/status/ipam", NULL, 404, "IPAM", "" },
		{ "GET", "/status/dns", NULL, 404, "WeaveDNS", "" },
		{ "GET", "/ring", NULL, 404, "IPAM", "" },
		{ "DELETE", "/peer/host2?x=1", NULL, 404, "IPAM", "" },
		{ "GET", "/domain", NULL, 404, "WeaveDNS", "" },
		{ "GET", "/status?x=1", NULL, 400, "unknown parameter 'x'", "" },
		{ "GET", "/report?format={{.Bogus}}", NULL, 400, "no field \"Bogus\"", "" },
		{ "GET", "/report?format=%zz", NULL, 400, "percent-encoding", "" },
		{ "GET", "/report?format=%00", NULL, 400, "percent-encoding", "" },
		{ "POST", "/connect", NULL, 400, "connect to whom", "" },
		{ "POST", "/connect", "peer=h1&peer=h2:0", 400, "h2:0", "" },
		{ "POST", "/connect", "peer=", 400, "host is missing", "" },
		{ "POST", "/connect", "peer=h1&replace=maybe", 400, "replace: 'maybe'", "" },
		{ "POST", "/connect", "peers=h1", 400, "unknown parameter 'peers'", "" },
		{ "POST", "/connect", "pee=h1", 400, "unknown parameter 'pee'", "" },
		{ "POST", "/forget", NULL, 400, "forget whom", "" },
		{ "POST", "/attach", "netns=/n&address=10.2.1.1/24", 400, "id is missing", "" },
		{ "POST", "/attach", "id=&netns=/n&address=10.2.1.1/24", 400, "id is missing", "" },
		{ "POST", "/attach", "id=a%20b&netns=/n&address=10.2.1.1/24", 400, "blanks", "" },
		{ "POST", "/attach", "id=weave:expose&netns=/n&address=10.2.1.1/24", 400,
		  "expose and hide", "" },
		{ "POST", "/attach", "id=c1&address=10.2.1.1/24", 400, "netns is missing", "" },
		{ "POST", "/attach", "id=c1&netns=n&address=10.2.1.1/24", 400, "absolute", "" },
		{ "POST", "/attach", "id=c1&netns=/n", 400, "IPAM", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.1", 400, "'10.2.1.1'", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.1/33", 400, "10.2.1.1/33", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.0/24", 400, "network itself",
		  "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.255/24", 400, "broadcast", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=224.0.0.1/24", 400, "unicast", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=ff02::1/64", 400, "unicast", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=127.0.0.1/8", 400, "never leaves",
		  "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.0.0.1/0", 400, "prefix", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.1/24&address=10.2.1.1/16", 400,
		  "twice", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.1/24&multicast-route=2", 400,
		  "multicast-route", "" },
		{ "POST", "/expose", NULL, 400, "IPAM", "" },
		{ "POST", "/expose/10.2.1.254/99", NULL, 400, "10.2.1.254/99", "" },
		{ "POST", "/expose/%zz/24", NULL, 400, "percent-encoding", "" },
		{ "POST", "/expose/10.2.1.254/24/x", NULL, 404, "no such path", "" },
		{ "DELETE", "/expose", "address=x", 400, "'x'", "" },
		{ "POST", "/log-level", "level=loud", 400, "expected debug", "" },
		{ "POST", "/log-level", NULL, 400, "expected debug", "" },
		{ "POST", "/stop?now=1", NULL, 400, "now", "" },
	};
	struct fake f = { .refuse = WHY_NONE };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		check(&f, &rows[i]);
}

static void point_to_point_prefixes_have_no_special_addresses(void **state)
{
	static const struct row rows[] = {
		{ "POST", "/expose", "address=10.2.1.0/31", 200, "", "expose 1 10.2.1.0/31\n" },
		{ "POST", "/expose", "address=10.2.1.1/31", 200, "", "expose 1 10.2.1.1/31\n" },
		{ "POST", "/expose", "address=10.2.1.0/32", 200, "", "expose 1 10.2.1.0/32\n" },
		{ "POST", "/expose", "address=fd00::1/128", 200, "", "expose 1 fd00::1/128\n" },
	};
	struct fake f = { .refuse = WHY_NONE };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		check(&f, &rows[i]);
}

static void the_daemons_refusal_becomes_the_answer(void **state)
{
	static const struct row rows[] = {
		{ "POST", "/connect", "peer=h1", 400, "the fake refuses", "connect h1\n" },
		{ "DELETE", "/attach", "id=c1", 400, "the fake refuses", "detach c1 -\n" },
		{ "POST", "/expose/10.2.1.254/24", NULL, 400, "the fake refuses",
		  "expose 1 10.2.1.254/24\n" },
	};
	struct fake f = { .refuse = WHY_INVALID };
	struct row row;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		row = rows[i];
		f.refuse = WHY_INVALID;
		check(&f, &row);
		f.refuse = WHY_TRANSPORT;
		row.status = 500;
		check(&f, &row);
	}
}

static void not_ready_is_503_with_the_same_body(void **state)
{
	struct fake f = { .not_ready = true };

	(void)state;
	check(&f, &(struct row){ "GET", "/status", NULL, 503, "Service: router", "" });
	check(&f, &(struct row){ "GET", "/report", NULL, 200, "\"Ready\": false", "" });
}

static void json_is_given_to_who_wants_it(void **state)
{
	static const char *const uris[] = { "/status",
					    "/status/targets",
					    "/status/connections",
					    "/status/peers",
					    "/report",
					    "/ps",
					    "/report?format={{.Ready}}" };
	struct fake f = { .refuse = WHY_NONE };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(uris); i++) {
		struct api_request request = { .method = "GET",
					       .uri = uris[i],
					       .wants_json = true };
		struct api_response response;
		json_t *root;

		handle(&f, &request, &response);
		assert_int_equal(response.status, 200);
		assert_string_equal(response.content_type, "application/json");
		root = json_loads(text_string(&response.body), 0, NULL);
		if (!root)
			fail_msg("%s is no JSON", uris[i]);
		json_decref(root);
		text_fini(&response.body);
	}
}

static void the_read_only_listener_changes_nothing(void **state)
{
	const char *method, *pattern;
	bool read_only;

	(void)state;
	for (size_t i = 0; api_route(i, &method, &pattern, &read_only); i++) {
		struct fake f = { .refuse = WHY_NONE };
		struct text uri = { 0 };
		struct api_request request = { .method = method, .read_only = true };
		struct api_response response;

		for (const char *p = pattern; *p; p++)
			text_add_bytes(&uri, *p == '{' ? "1" : p, *p != '}');
		request.uri = text_string(&uri);
		handle(&f, &request, &response);
		if (strcmp(method, "GET") != 0)
			assert_false(read_only);
		assert_int_equal(response.status == 403, !read_only);
		assert_string_equal(text_string(&f.calls), "");
		text_fini(&response.body);
		text_fini(&f.calls);
		text_fini(&uri);
	}
}

static void too_much_is_refused(void **state)
{
	struct fake f = { .refuse = WHY_NONE };
	struct text form = { 0 }, uri = { 0 };

	(void)state;
	for (int i = 0; i <= API_PEERS_MAX; i++)
		text_add_string(&form, "peer=h&");
	check(&f, &(struct row){ "POST", "/connect", text_string(&form), 400, "more than", "" });
	for (int i = 0; i < 2 * API_PEERS_MAX; i++)
		text_add_string(&form, "peer=h&");
	check(&f, &(struct row){ "POST", "/connect", text_string(&form), 400, "more than", "" });
	text_fini(&form);
	text_add_string(&form, "id=c1&netns=/n");
	for (int i = 0; i <= API_ADDRESSES_MAX; i++)
		text_add(&form, "&address=10.2.1.%d/24", i + 1);
	check(&f, &(struct row){ "POST", "/attach", text_string(&form), 400, "more than", "" });
	text_fini(&form);
	text_add(&form, "id=%0300d&netns=/n&address=10.2.1.1/24", 7);
	check(&f, &(struct row){ "POST", "/attach", text_string(&form), 400, "longer", "" });
	text_fini(&form);
	text_add(&uri, "/%02000d", 7);
	check(&f, &(struct row){ "GET", text_string(&uri), NULL, 414, "too long", "" });
	text_fini(&uri);
}

static void queries_are_decoded(void **state)
{
	struct query q = { 0 };
	struct why why = { 0 };

	(void)state;
	assert_true(query_add(&q, "a=1&&b=x+%41%e2&c&a=2&=v", 24, &why));
	assert_int_equal(q.count, 5);
	assert_string_equal(query_get(&q, "a"), "2");
	assert_string_equal(query_get(&q, "b"), "x A\xe2");
	assert_string_equal(query_get(&q, "c"), "");
	assert_string_equal(query_get(&q, ""), "v");
	assert_null(query_get(&q, "d"));
	assert_false(query_add(&q, "%4", 2, &why));
	assert_false(query_add(&q, "x=%", 3, &why));
	query_fini(&q);
	assert_true(query_add(&q, NULL, 0, &why));
	query_fini(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_requests_are_carried_out),
		cmocka_unit_test(bad_requests_do_nothing_and_say_why),
		cmocka_unit_test(point_to_point_prefixes_have_no_special_addresses),
		cmocka_unit_test(the_daemons_refusal_becomes_the_answer),
		cmocka_unit_test(not_ready_is_503_with_the_same_body),
		cmocka_unit_test(json_is_given_to_who_wants_it),
		cmocka_unit_test(the_read_only_listener_changes_nothing),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(queries_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
