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

/* The reply is the caller's to free. */
static struct api_reply *handle(struct fake *f, const struct api_request *request)
{
	struct api_ops ops = fake_ops(f);
	struct api_reply *reply = api_reply_new();

	text_fini(&f->calls);
	api_handle(&ops, request, reply);
	return reply;
}

static void check(struct fake *f, const struct row *row)
{
	struct api_request request = { .method = row->method,
				       .uri = row->uri,
				       .form = row->form,
				       .form_size = row->form ? strlen(row->form) : 0 };
	struct api_reply *reply = handle(f, &request);
	const struct api_response *response = &reply->response;

	assert_true(reply->answered);
	if (response->status != row->status)
		fail_msg("%s %s %s: %u %s", row->method, row->uri, row->form ? row->form : "",
			 response->status, text_string(&response->body));
	if (!strstr(text_string(&response->body), row->body))
		fail_msg("%s %s: the body is: %s", row->method, row->uri,
			 text_string(&response->body));
	if (strcmp(text_string(&f->calls), row->calls) != 0)
		fail_msg("%s %s: the calls are: %s", row->method, row->uri, text_string(&f->calls));
	api_reply_free(reply);
	text_fini(&f->calls);
}

static void check_all(struct fake *f, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(f, &rows[i]);
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
		{ "POST", "/network", "name=red", 200, "opened\n", "open red 0\n" },
		{ "POST", "/network?name=red&number=16777214", NULL, 200, "opened\n",
		  "open red 16777214\n" },
		{ "DELETE", "/network?name=red", NULL, 200, "", "close red\n" },
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
		{ "GET", "/ps?id=c2&netns=/shared", NULL, 200, "c1 00:00:00:00:00:01 10.2.1.1/24\n",
		  "" },
		{ "GET", "/ps?id=c2&netns=/else", NULL, 200, "", "" },
		{ "GET", "/ps?id=dddddddddddd", NULL, 200, "dddddddddddd 00", "" },
		{ "GET", "/password", NULL, 200, "told", "password 0 - 0\n" },
		{ "POST", "/password", "action=rotate&password=a%20b", 200, "told",
		  "password 1 a b 0\n" },
		{ "POST", "/password", "action=finish&force=true", 200, "told",
		  "password 2 - 1\n" },
		{ "POST", "/password", "action=cancel", 200, "told", "password 3 - 0\n" },
		{ "POST", "/password", "action=rotate", 400, "rotate needs it", "" },
		{ "POST", "/password", "action=finish&password=x", 400, "take none", "" },
		{ "POST", "/password", "action=show", 400, "expected rotate", "" },
		{ "POST", "/password", NULL, 400, "expected rotate", "" },
		{ "POST", "/password", "action=finish&force=maybe", 400, "force", "" },
		{ "POST", "/log-level", "level=debug", 200, "", "level 0\n" },
		{ "POST", "/stop", NULL, 200, "", "stop\n" },
	};
	struct fake f = { .refuse = WHY_NONE };

	(void)state;
	check_all(&f, rows, ARRAY_COUNT(rows));
}

static void names(void **state)
{
	static const struct row rows[] = {
		{ "GET", "/status/dns", NULL, 200,
		  "A.sub        fd00::1         0123456789ab 00:00:00:00:00:01\n"
		  "web          10.2.1.1        weave:extern 00:00:00:00:00:01\n"
		  "web          10.2.1.2        c2           00:00:00:00:00:02\n"
		  "x.elsewhere. 10.2.1.9        c9           00:00:00:00:00:03\n",
		  "" },
		{ "GET", "/status", NULL, 200,
		  "        Service: dns\n         Domain: weave.local.\n       Upstream: "
		  "10.0.0.53\n"
		  "            TTL: 1\n        Entries: 4\n        Address: 172.17.0.1:53\n",
		  "" },
		{ "GET", "/report?format={{len+.DNS.Entries}}", NULL, 200, "4", "" },
		{ "GET", "/metrics", NULL, 200, "\nweave_dns_entries 2\n", "" },
		{ "GET", "/metrics", NULL, 200, "\nweave_dns_local_total 7\n", "" },
		{ "GET", "/name", NULL, 200, "\"Hostname\": \"A.sub.weave.local.\"", "" },
		{ "GET", "/domain", NULL, 200, "weave.local.", "" },
		{ "GET", "/dns-address", NULL, 200, "172.17.0.1", "" },
		{ "GET", "/dns-address-port", NULL, 200, "172.17.0.1:53", "" },
		{ "PUT", "/name/c1/10.2.1.1?fqdn=a.weave.local", NULL, 204, "",
		  "name c1 a.weave.local 10.2.1.1\n" },
		{ "PUT", "/name/_/fd00::1", "fqdn=a.weave.local.&check-alive=true", 204, "",
		  "name fd00::1 a.weave.local. fd00::1\n" },
		{ "DELETE", "/name/c1/10.2.1.1", NULL, 204, "", "unname c1 - 10.2.1.1\n" },
		{ "DELETE", "/name/c1?fqdn=a.b", NULL, 204, "", "unname c1 a.b -\n" },
		{ "DELETE", "/name?fqdn=a.b", NULL, 204, "", "unname - a.b -\n" },
		{ "PUT", "/name/c1/10.2.1.1", NULL, 400, "fqdn is missing", "" },
		{ "PUT", "/name/c1/10.2.1?fqdn=a", NULL, 400, "no IP address", "" },
		{ "PUT", "/name/c%201/10.2.1.1?fqdn=a", NULL, 400, "blanks", "" },
		{ "DELETE", "/name/c1/x", NULL, 400, "no IP address", "" },
		{ "POST", "/expose", "address=10.2.1.254/24&fqdn=h.weave.local", 200, "10.2.1.254",
		  "expose 1 as h.weave.local 10.2.1.254/24\n" },
	};
	struct fake f = { .refuse = WHY_NONE, .dns = true };

	(void)state;
	check_all(&f, rows, ARRAY_COUNT(rows));
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
		{ "POST", "/attach", "id=c1&netns=/n&network=a%20b&address=10.2.1.1/24", 400,
		  "no name of a network", "" },
		{ "POST", "/network", "number=7", 400, "name is missing", "" },
		{ "POST", "/network", "name=red&number=0", 400, "not between", "" },
		{ "POST", "/network", "name=red&number=16777215", 400, "not between", "" },
		{ "POST", "/network", "name=red&number=99999999999999999999", 400, "not between",
		  "" },
		{ "POST", "/network", "name=red&number=7x", 400, "not between", "" },
		{ "DELETE", "/network", NULL, 400, "name is missing", "" },
		{ "POST", "/attach", "id=&netns=/n&address=10.2.1.1/24", 400, "id is missing", "" },
		{ "POST", "/attach", "id=a%20b&netns=/n&address=10.2.1.1/24", 400, "blanks", "" },
		{ "POST", "/attach", "id=weave:expose&netns=/n&address=10.2.1.1/24", 400,
		  "expose and hide", "" },
		{ "POST", "/attach", "id=c1&address=10.2.1.1/24", 400, "netns is missing", "" },
		{ "POST", "/attach", "id=c1&netns=n&address=10.2.1.1/24", 400, "absolute", "" },
		{ "POST", "/attach", "id=c1&netns=/n", 400, "IPAM", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.1", 400, "'10.2.1.1'", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.1/33", 400, "10.2.1.1/33", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.0/24", 400, "network address",
		  "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=10.2.1.255/24", 400, "broadcast", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=224.0.0.1/24", 400, "multicast", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=ff02::1/64", 400, "multicast", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=127.0.0.1/8", 400, "loopback", "" },
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
	check_all(&f, rows, ARRAY_COUNT(rows));
}

static void subnets_are_asked_for(void **state)
{
	static const struct row rows[] = {
		{ "POST", "/attach", "id=c1&netns=/n", 200, "", "attach c1 /n 1\n" },
		{ "POST", "/attach", "id=c1&netns=/n&address=net:default", 200, "10.32.0.1/12\n",
		  "attach c1 /n 1 net:default \n" },
		{ "POST", "/attach",
		  "id=c1&netns=/n&address=net:10.2.0.0/16&address=ip:10.3.1.3/24&address=10.4.1.1/"
		  "24"
		  "&address=net:fd00::/64",
		  200, "10.2.0.1/16 10.3.1.3/24 10.4.1.1/24 fd00::1/64\n",
		  "attach c1 /n 1 net:10.2.0.0/16 10.3.1.3/24 10.4.1.1/24 net:fd00::/64\n" },
		{ "DELETE", "/attach", "id=c1&address=net:10.2.0.0/30", 200, "10.2.0.1/30\n",
		  "detach c1 - net:10.2.0.0/30\n" },
		{ "POST", "/expose", NULL, 200, "", "expose 1\n" },
		{ "POST", "/expose", "address=net:10.2.0.0/16", 200, "10.2.0.1/16\n",
		  "expose 1 net:10.2.0.0/16\n" },
		{ "DELETE", "/expose", "address=net:default", 200, "10.32.0.1/12\n",
		  "hide net:default \n" },
		{ "POST", "/attach", "id=c1&netns=/n&address=net:10.2.1.0/16", 400,
		  "'10.2.1.0/16' has bits of a host in it: 10.2.0.0/16 is meant?", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=net:10.2.1.0/31", 400,
		  "'10.2.1.0/31' is smaller than 4 addresses", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=net:10.2.1.0", 400,
		  "'10.2.1.0' is not", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=net:", 400, "'' is not", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=net:defaults", 400,
		  "'defaults' is not", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=ip:10.2.0.0/16", 400,
		  "network address", "" },
		{ "POST", "/attach", "id=c1&netns=/n&address=net:default&address=net:default", 400,
		  "twice", "" },
		{ "POST", "/expose", "address=net:10.2.0.0/16&address=net:10.2.0.0/16", 400,
		  "twice", "" },
		{ "POST", "/expose", "address=ip:10.2.1.1/16&address=10.2.1.1/24", 400, "twice",
		  "" },
	};
	struct fake f = { .ipam = true };

	(void)state;
	check_all(&f, rows, ARRAY_COUNT(rows));
}

static void without_ipam_nobody_chooses(void **state)
{
	static const struct row rows[] = {
		{ "POST", "/attach", "id=c1&netns=/n&address=net:default", 400,
		  "'net:default': automatic addresses need IPAM", "" },
		{ "POST", "/expose", "address=ip:10.2.1.1/16&address=net:10.3.0.0/16", 400,
		  "'net:10.3.0.0/16': automatic addresses need IPAM", "" },
		{ "DELETE", "/attach", "id=c1&address=net:default", 400, "IPAM", "" },
		{ "DELETE", "/expose", "address=net:10.2.0.0/16", 400, "IPAM", "" },
		{ "POST", "/ip/c1", NULL, 404, "does not run IPAM", "" },
		{ "POST", "/ip/c1/10.2.0.0/16?bogus=1", NULL, 404, "does not run IPAM", "" },
		{ "GET", "/ip", NULL, 404, "does not run IPAM", "" },
		{ "GET", "/ip/c1", NULL, 404, "does not run IPAM", "" },
		{ "PUT", "/ip/c1/10.2.1.1/16", NULL, 404, "does not run IPAM", "" },
		{ "DELETE", "/ip/c1", NULL, 404, "does not run IPAM", "" },
		{ "DELETE", "/ip/c1/10.2.1.1", NULL, 404, "does not run IPAM", "" },
		{ "GET", "/ring", NULL, 404, "does not run IPAM", "" },
		{ "DELETE", "/peer", NULL, 404, "does not run IPAM", "" },
		{ "DELETE", "/peer/host2", NULL, 404, "does not run IPAM", "" },
		{ "GET", "/ipinfo/defaultsubnet", NULL, 404, "does not run IPAM", "" },
		{ "GET", "/ipinfo/tracker", NULL, 404, "does not run IPAM", "" },
		{ "DELETE", "/attach", "id=c1&address=ip:10.2.1.1/16", 200, "10.2.1.1/16\n",
		  "detach c1 - 10.2.1.1/16\n" },
	};
	struct fake f = { .ipam = false };

	(void)state;
	check_all(&f, rows, ARRAY_COUNT(rows));
}

static void weave_nets_ipam_paths_work(void **state)
{
	static const struct row rows[] = {
		{ "POST", "/ip/c1", NULL, 200, "10.32.0.1/12", "allocate c1 default\n" },
		{ "POST", "/ip/c1/10.2.0.0/16?check-alive=true", NULL, 200, "10.2.0.1/16",
		  "allocate c1 10.2.0.0/16\n" },
		{ "POST", "/ip/weave:expose", NULL, 200, "", "allocate weave:expose default\n" },
		{ "POST", "/ip/%2Frun%2Fx", NULL, 200, "", "allocate /run/x default\n" },
		{ "POST", "/ip/_", NULL, 400, "'_' stands for no container", "" },
		{ "POST", "/ip/a%20b", NULL, 400, "with blanks", "" },
		{ "POST", "/ip/c1/10.2.1.0/16", NULL, 400, "10.2.0.0/16 is meant", "" },
		{ "POST", "/ip/c1/10.2.1.0/31", NULL, 400, "smaller than 4", "" },
		{ "POST", "/ip/c1/x/16", NULL, 400, "'x/16' is not", "" },
		{ "POST", "/ip/c1?check-alive=maybe", NULL, 400, "check-alive: 'maybe'", "" },
		{ "POST", "/ip/c1?force=1", NULL, 400, "unknown parameter 'force'", "" },
		{ "POST", "/ip", NULL, 405, "method", "" },
		{ "GET", "/ip/c1", NULL, 200, "10.32.0.1/12", "lookup c1 default\n" },
		{ "GET", "/ip/c1/10.2.0.0/16", NULL, 200, "10.2.0.1/16",
		  "lookup c1 10.2.0.0/16\n" },
		{ "GET", "/ip/nobody", NULL, 200, "", "lookup nobody default\n" },
		{ "PUT", "/ip/c1/10.2.1.1/16", NULL, 204, "", "claim c1 10.2.1.1/16 0\n" },
		{ "PUT", "/ip/c1/10.2.1.1/16?check-alive=1&noErrorOnUnknown=true", NULL, 204, "",
		  "claim c1 10.2.1.1/16 1\n" },
		{ "PUT", "/ip/_/10.2.1.1/16", NULL, 204, "", "claim 10.2.1.1 10.2.1.1/16 0\n" },
		{ "PUT", "/ip/c1/10.2.0.0/16", NULL, 400, "network address", "" },
		{ "DELETE", "/ip/c1", NULL, 204, "", "release c1 all\n" },
		{ "DELETE", "/ip/c1/10.2.1.1", NULL, 204, "", "release c1 10.2.1.1\n" },
		{ "DELETE", "/ip/_/10.2.1.1", NULL, 204, "", "release 10.2.1.1 10.2.1.1\n" },
		{ "DELETE", "/ip/_", NULL, 400, "'_'", "" },
		{ "DELETE", "/ip/c1/x", NULL, 400, "'x' is no IP address", "" },
		{ "GET", "/ip", NULL, 200, "\"containerid\": \"c1\"", "" },
		{ "GET", "/ring", NULL, 200, "", "prime\n" },
		{ "GET", "/status", NULL, 200, "        Service: ipam\n", "" },
		{ "GET", "/status/ipam", NULL, 200, "524288 IPs (50.0% of total) (3 active)", "" },
		{ "GET", "/metrics", NULL, 200, "weave_max_ips{", "" },
		{ "GET", "/report?format={{.IPAM.DefaultSubnet}}", NULL, 200, "10.33.0.0/16", "" },
		{ "DELETE", "/peer/host2", NULL, 200, "", "remove host2 0\n" },
		{ "DELETE", "/peer/7a%3A00%3A%3A1?force=true", NULL, 200, "",
		  "remove 7a:00::1 1\n" },
		{ "DELETE", "/peer/host2?force=x", NULL, 400, "force: 'x'", "" },
		{ "DELETE", "/peer", NULL, 204, "", "hand over 0\n" },
		{ "DELETE", "/peer", "force=1", 204, "", "hand over 1\n" },
		{ "GET", "/ipinfo/defaultsubnet", NULL, 200, "10.32.0.0/12 fd00::/64", "" },
		{ "GET", "/ipinfo/tracker", NULL, 200, "", "" },
	};
	struct fake f = { .ipam = true };

	(void)state;
	check_all(&f, rows, ARRAY_COUNT(rows));
	f.says = "1024 addresses of host2";
	check(&f, &(struct row){ "DELETE", "/peer/host2", NULL, 200, "1024 addresses of host2\n",
				 "remove host2 0\n" });
	check(&f, &(struct row){ "DELETE", "/peer", NULL, 200, "1024 addresses of host2\n",
				 "hand over 0\n" });
}

/* Clients of Weave Net parse these bodies as they are. */
static void addresses_of_ip_paths_stand_alone(void **state)
{
	struct fake f = { .ipam = true };
	struct api_reply *r;

	(void)state;
	r = handle(&f, &(struct api_request){ .method = "POST", .uri = "/ip/c1/10.2.0.0/16" });
	assert_string_equal(text_string(&r->response.body), "10.2.0.1/16");
	api_reply_free(r);
	r = handle(&f, &(struct api_request){ .method = "GET", .uri = "/ipinfo/defaultsubnet" });
	assert_string_equal(text_string(&r->response.body), "10.32.0.0/12 fd00::/64");
	api_reply_free(r);
	text_fini(&f.calls);
}

static void absent_things_are_404(void **state)
{
	struct fake f = { .ipam = true, .refuse = WHY_ABSENT };

	(void)state;
	check(&f, &(struct row){ "GET", "/ip/c1", NULL, 404, "the fake refuses",
				 "lookup c1 default\n" });
	check(&f, &(struct row){ "POST", "/ip/c1", NULL, 404, "the fake refuses",
				 "allocate c1 default\n" });
	f.refuse = WHY_INVALID;
	check(&f, &(struct row){ "DELETE", "/ip/c1", NULL, 400, "the fake refuses",
				 "release c1 all\n" });
}

static void count_call(struct api_reply *r, void *ctx)
{
	assert_true(r->answered);
	*(int *)ctx += 1;
}

static void cancelled(void *ctx)
{
	text_add_string(&((struct fake *)ctx)->calls, "cancelled\n");
}

static struct api_reply *wait_for_ring(struct fake *f)
{
	struct api_reply *r = handle(f, &(struct api_request){ .method = "GET", .uri = "/ring" });

	assert_false(r->answered);
	assert_ptr_equal(r, f->held[f->held_count - 1]);
	return r;
}

static void answers_may_come_later(void **state)
{
	struct fake f = { .ipam = true, .hold = true };
	struct why why = { 0 };
	size_t before = mem_in_use();
	struct api_reply *r;
	int calls = 0;

	(void)state;
	r = wait_for_ring(&f);
	api_reply_await(r, count_call, &calls);
	assert_int_equal(calls, 0);
	why_set(&why, WHY_TRANSPORT, "no ring");
	api_reply_fail(r, &why);
	assert_int_equal(calls, 1);
	assert_int_equal(r->response.status, 500);
	assert_string_equal(text_string(&r->response.body), "no ring\n");
	api_reply_free(r);

	/* The client goes away: the operation hears of it, once. */
	f.on_cancel = cancelled;
	r = wait_for_ring(&f);
	api_reply_await(r, count_call, &calls);
	api_reply_free(r);
	assert_int_equal(calls, 1);
	assert_string_equal(text_string(&f.calls), "prime\ncancelled\n");

	/* Not after the answer. */
	r = wait_for_ring(&f);
	api_reply_text(r, "");
	api_reply_free(r);
	assert_string_equal(text_string(&f.calls), "prime\n");

	/* An operation that does not care is not disturbed. */
	f.on_cancel = NULL;
	r = wait_for_ring(&f);
	api_reply_await(r, count_call, &calls);
	api_reply_free(r);
	api_reply_text(r, "nobody reads this");
	assert_int_equal(calls, 1);

	f.on_cancel = cancelled;
	r = wait_for_ring(&f);
	api_reply_refuse(&r, 503, "stop");
	assert_int_equal(r->response.status, 503);
	assert_string_equal(text_string(&f.calls), "prime\ncancelled\n");
	api_reply_free(r);
	text_fini(&f.calls);
	assert_int_equal(mem_in_use(), before);
}

static void an_answer_that_is_too_long_is_refused(void **state)
{
	struct fake f = { .ipam = true, .hold = true };
	struct api_reply *r = wait_for_ring(&f);

	(void)state;
	r->response.body.limit = 4;
	api_reply_text(r, "12345");
	assert_int_equal(r->response.status, 500);
	api_reply_free(r);
	text_fini(&f.calls);
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
	check_all(&f, rows, ARRAY_COUNT(rows));
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
		struct api_reply *reply = handle(&f, &request);
		json_t *root;

		assert_int_equal(reply->response.status, 200);
		assert_string_equal(reply->response.content_type, "application/json");
		root = json_loads(text_string(&reply->response.body), 0, NULL);
		if (!root)
			fail_msg("%s is no JSON", uris[i]);
		json_decref(root);
		api_reply_free(reply);
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
		struct api_reply *reply;

		for (const char *p = pattern; *p; p++)
			text_add_bytes(&uri, *p == '{' ? "1" : p, *p != '}');
		request.uri = text_string(&uri);
		reply = handle(&f, &request);
		if (strcmp(method, "GET") != 0)
			assert_false(read_only);
		assert_int_equal(reply->response.status == 403, !read_only);
		assert_string_equal(text_string(&f.calls), "");
		api_reply_free(reply);
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
		cmocka_unit_test(names),
		cmocka_unit_test(bad_requests_do_nothing_and_say_why),
		cmocka_unit_test(subnets_are_asked_for),
		cmocka_unit_test(without_ipam_nobody_chooses),
		cmocka_unit_test(weave_nets_ipam_paths_work),
		cmocka_unit_test(addresses_of_ip_paths_stand_alone),
		cmocka_unit_test(absent_things_are_404),
		cmocka_unit_test(answers_may_come_later),
		cmocka_unit_test(an_answer_that_is_too_long_is_refused),
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
