/* The text that people and scripts know from Weave Net, the report and the metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <weave/alloc.h>

#include "../../../plugin/status_render.h"
#include "sample_status.h"

static void expect(void (*render)(const struct status *, struct text *), const struct status *s,
		   const char *expected)
{
	struct text out = { 0 };

	render(s, &out);
	assert_string_equal(text_string(&out), expected);
	text_fini(&out);
}

static void status_is_weave_nets(void **state)
{
	struct status s;

	(void)state;
	sample_status(&s);
	expect(status_render, &s,
	       "\n"
	       "        Version: 3.0.0\n"
	       "\n"
	       "        Service: router\n"
	       "       Protocol: weave 3\n"
	       "           Name: 7a:00:00:00:00:01(host1)\n"
	       "     Encryption: disabled\n"
	       "  PeerDiscovery: enabled\n"
	       "        Targets: 1\n"
	       "    Connections: 6 (1 established, 1 pending, 1 retrying, 2 failed, 1 connecting)\n"
	       "          Peers: 2 (with 2 established, 1 pending connections)\n"
	       " TrustedSubnets: none\n"
	       "\n");
	status_fini(&s);
}

static void a_lonely_router_has_no_parentheses(void **state)
{
	struct status s;
	struct status_peer *p;

	(void)state;
	status_init(&s);
	s.version = "3.0.0";
	s.protocol_min = 2;
	s.protocol_max = 3;
	s.name = 1;
	s.encryption = true;
	p = status_add_peer(&s);
	p->reachable = true;
	status_add_trusted_subnet(&s, "10.0.0.0/8");
	status_add_trusted_subnet(&s, "fd00::/8");
	status_add_warning(&s, "two peers share one name");
	expect(status_render, &s,
	       "\n"
	       "        Version: 3.0.0\n"
	       "\n"
	       "        Service: router\n"
	       "       Protocol: weave 2..3\n"
	       "           Name: 00:00:00:00:00:01()\n"
	       "     Encryption: enabled\n"
	       "  PeerDiscovery: disabled\n"
	       "        Targets: 0\n"
	       "    Connections: 0\n"
	       "          Peers: 1\n"
	       " TrustedSubnets: 10.0.0.0/8, fd00::/8\n"
	       "        Warning: two peers share one name\n"
	       "\n");
	status_fini(&s);
}

static void connections_have_their_columns(void **state)
{
	struct status s;

	(void)state;
	sample_status(&s);
	expect(status_render_connections, &s,
	       "-> 10.0.0.2:6783         established sleeve 7a:00:00:00:00:02(host2) mtu=1410 "
	       "(no fastdp: switched off here)\n"
	       "<- 10.0.0.3:50000        pending     none   7a:00:00:00:00:03(host3)\n"
	       "-> 10.0.0.4:6783         retrying    connection refused\n"
	       "-> 10.0.0.5:6783         failed      passwords differ, retry: never\n"
	       "-> 10.0.0.6:6783         failed      no route, retry: in 61.2s\n"
	       "-> 10.0.0.7:6783         connecting  \n");
	s.encryption = true;
	s.connections_count = 1;
	s.connections[0].encrypted = true;
	s.connections[0].not_better = NULL;
	expect(status_render_connections, &s,
	       "-> 10.0.0.2:6783         established encrypted   sleeve "
	       "7a:00:00:00:00:02(host2) encrypted=true mtu=1410\n");
	s.connections[0].cipher = "AES-256-GCM";
	expect(status_render_connections, &s,
	       "-> 10.0.0.2:6783         established encrypted   sleeve "
	       "7a:00:00:00:00:02(host2) encrypted=true cipher=AES-256-GCM mtu=1410\n");
	s.connections[0].cipher = NULL;
	s.connections[0].encrypted = false;
	s.connections[0].trusted = true;
	expect(status_render_connections, &s,
	       "-> 10.0.0.2:6783         established unencrypted sleeve "
	       "7a:00:00:00:00:02(host2) trusted=true mtu=1410\n");
	status_fini(&s);
}

static void peers_and_targets_have_their_columns(void **state)
{
	struct status s;

	(void)state;
	sample_status(&s);
	expect(status_render_targets, &s, "host2\n");
	expect(status_render_peers, &s,
	       "7a:00:00:00:00:01(host1)\n"
	       "   -> 10.0.0.2:6783         7a:00:00:00:00:02(host2)              established\n"
	       "7a:00:00:00:00:02(host2)\n"
	       "   <- 10.0.0.1:41234        7a:00:00:00:00:01(host1)              established\n"
	       "   -> 10.0.0.3:6783         7a:00:00:00:00:03(host3)              pending\n");
	status_fini(&s);
}

static void attachments_have_their_columns(void **state)
{
	struct api_attachment a = { .id = "0123456789abcdef", .mac = { { 2, 0, 0, 0, 0, 1 } } };
	struct text out = { 0 };

	(void)state;
	status_render_attachment(&a, &out);
	a.addresses.list[0] = (struct cidr){ { 4, { 10, 2, 1, 1 } }, 24 };
	a.addresses.list[1] = (struct cidr){ { 4, { 10, 2, 2, 1 } }, 24 };
	a.addresses.count = 2;
	strcpy(a.id, "weave:expose");
	status_render_attachment(&a, &out);
	assert_string_equal(text_string(&out), "0123456789ab 02:00:00:00:00:01\n"
					       "weave:expose 02:00:00:00:00:01 10.2.1.1/24 "
					       "10.2.2.1/24\n");
	text_fini(&out);
}

static void texts_of_peers_cannot_play_tricks(void **state)
{
	static const char *const cases[][2] = {
		{ "plain", "plain" },
		{ "h\xc3\xb6st", "h\xc3\xb6st" },
		{ "\xe2\x82\xac\xf0\x9f\x90\x99", "\xe2\x82\xac\xf0\x9f\x90\x99" },
		{ "a\nb\tc\x1b[2J", "a?b?c?[2J" },
		{ "\x7f", "?" },
		{ "\xc2\x9b", "??" },		/* a control character of two bytes */
		{ "\xc0\xaf", "??" },		/* an overlong slash */
		{ "\xed\xa0\x80", "???" },	/* half a surrogate pair */
		{ "\xf5\x80\x80\x80", "????" }, /* beyond Unicode */
		{ "x\xe2\x82", "x??" },		/* cut short */
		{ "\xff", "?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct text out = { 0 };

		status_clean(&out, cases[i][0]);
		assert_string_equal(text_string(&out), cases[i][1]);
		text_fini(&out);
	}
	assert_int_equal(status_clean(&(struct text){ .limit = 1 }, NULL), 0);
}

static void padding_counts_characters(void **state)
{
	struct status s;
	struct text out = { 0 };

	(void)state;
	sample_status(&s);
	s.peers[0].connections[0].nickname = "h\xc3\xb6st2";
	status_render_peers(&s, &out);
	assert_non_null(strstr(text_string(&out), "(h\xc3\xb6st2)              established\n"));
	text_fini(&out);
	status_fini(&s);
}

static const char *field(const json_t *o, const char *name)
{
	const char *value = json_string_value(json_object_get(o, name));

	return value ? value : "(absent)";
}

static void the_report_has_weave_nets_fields(void **state)
{
	struct status s;
	json_t *report, *router, *item;
	char *dump;

	(void)state;
	sample_status(&s);
	s.nickname = "bad\xff";
	report = status_json(&s);
	assert_true(json_is_true(json_object_get(report, "Ready")));
	assert_string_equal(field(report, "Version"), "3.0.0");
	assert_null(json_object_get(report, "IPAM"));
	router = json_object_get(report, "Router");
	assert_string_equal(field(router, "Name"), "7a:00:00:00:00:01");
	assert_string_equal(field(router, "NickName"), "bad?");
	assert_string_equal(field(router, "Interface"), "weave (via pcap)");
	assert_true(json_is_false(json_object_get(router, "Encryption")));
	assert_int_equal(json_integer_value(json_object_get(router, "Port")), 6783);
	assert_int_equal(json_array_size(json_object_get(router, "Targets")), 1);
	assert_int_equal(json_array_size(json_object_get(router, "Peers")), 2);
	assert_int_equal(json_array_size(json_object_get(router, "UnreachablePeers")), 1);

	item = json_array_get(json_object_get(router, "Peers"), 0);
	assert_string_equal(field(item, "UID"), "18446744073709551615");
	item = json_array_get(json_object_get(router, "Connections"), 0);
	assert_string_equal(field(item, "State"), "established");
	assert_string_equal(field(item, "Info"), "sleeve 7a:00:00:00:00:02(host2)");
	assert_string_equal(field(json_object_get(item, "Attrs"), "name"), "sleeve");
	item = json_array_get(json_object_get(router, "Connections"), 3);
	assert_string_equal(field(item, "Info"), "passwords differ");
	assert_true(json_is_null(json_object_get(item, "RetryInMs")));
	item = json_array_get(json_object_get(router, "UnicastRoutes"), 0);
	assert_string_equal(field(item, "Via"), "7a:00:00:00:00:02");
	item = json_array_get(json_object_get(router, "MACs"), 0);
	assert_string_equal(field(item, "Mac"), "02:00:00:00:00:05");
	assert_string_equal(field(item, "LastSeen"), "2026-11-24T11:59:00Z");
	dump = json_dumps(report, 0);
	assert_non_null(dump);
	free(dump);
	json_decref(report);
	status_fini(&s);
}

static void metrics_count_by_label(void **state)
{
	static const char *const lines[] = {
		"# TYPE weave_connections gauge\n",
		"weave_connections{state=\"established\",type=\"sleeve\",encryption=\"\"} 1\n",
		"weave_connections{state=\"failed\",type=\"unknown\",encryption=\"\"} 2\n",
		"\nweave_connection_terminations_total 9\n",
		"weave_peers{reachable=\"yes\"} 2\n",
		"weave_peers{reachable=\"no\"} 1\n",
		"weave_drops_total{reason=\"no_route\"} 3\n",
		"weave_drops_total{reason=\"looped\"} 0\n",
		"\nweave_store_entries 7\n",
		"\nweave_uptime_seconds 12\n",
	};
	struct text out = { 0 };
	struct status s;
	const char *first;

	(void)state;
	sample_status(&s);
	s.terminations = 9;
	metrics_render(&s, &out);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (!strstr(text_string(&out), lines[i]))
			fail_msg("missing: %s", lines[i]);
	first = strstr(text_string(&out), "state=\"failed\"");
	assert_null(strstr(first + 1, "state=\"failed\""));
	assert_null(strstr(text_string(&out), "weave_ips"));
	text_fini(&out);
	status_fini(&s);
}

static void ipam_has_its_section_and_columns(void **state)
{
	struct text out = { 0 };
	struct status s;

	(void)state;
	sample_status(&s);
	sample_ipam(&s);
	status_render(&s, &out);
	assert_non_null(strstr(text_string(&out), " TrustedSubnets: none\n"
						  "\n"
						  "        Service: ipam\n"
						  "         Status: ready\n"
						  "          Range: 10.32.0.0/12\n"
						  "  DefaultSubnet: 10.33.0.0/16\n"
						  "\n"));
	text_fini(&out);
	expect(status_render_ipam, &s,
	       "7a:00:00:00:00:01(host1)                524288 IPs (50.0% of total) (3 active)\n"
	       "7a:00:00:00:00:02(host2)                262144 IPs (25.0% of total)\n"
	       "7a:00:00:00:00:09(gone)                 131072 IPs (12.5% of total) - "
	       "unreachable!\n"
	       "7a:00:00:00:00:02(host2)                131072 IPs (12.5% of total) - unreachable! "
	       "(an earlier disk of this peer)\n"
	       "\n"
	       "         Status: ready\n"
	       "          Range: 10.32.0.0/12\n"
	       "         Active: 3\n"
	       "           Free: 524284 of 524288\n");
	status_fini(&s);
}

static void ipams_troubles_are_shown(void **state)
{
	struct status s;

	(void)state;
	sample_status(&s);
	sample_troubled_ipam(&s);
	expect(status_render_ipam, &s,
	       "         Status: awaiting consensus (quorum: 2, known: 1)\n"
	       "          Range: fd00::/64\n"
	       "         Active: 5 (1 of dead containers)\n"
	       "           Free: 0 of 100\n"
	       "        Pending: 1 allocations, 1 claims\n"
	       "     WaitingFor: 7a:00:00:00:00:02(host2), 7a:00:00:00:00:03()\n"
	       "       Disputed: 2 addresses of containers here belong to another peer\n"
	       "    Unconfirmed: 40 addresses taken over, but not every peer has answered: not in "
	       "use\n"
	       "      TakenAway: 64 addresses were taken over by another peer\n"
	       "    ForeignRing: 7a:00:00:00:00:09(gone)\n");
	status_fini(&s);
}

static void ipams_report_has_weave_nets_fields(void **state)
{
	struct status s;
	json_t *o, *ipam, *other;
	const char *ip;
	int size, nodes, quorum;

	(void)state;
	sample_status(&s);
	assert_null(json_object_get(o = status_json(&s), "IPAM"));
	json_decref(o);
	sample_ipam(&s);
	sample_troubled_ipam(&s);
	o = status_json(&s);
	ipam = json_object_get(o, "IPAM");
	assert_true(json_is_null(json_object_get(ipam, "Paxos")));
	assert_string_equal(json_string_value(json_object_get(ipam, "Range")), "10.32.0.0/12");
	assert_int_equal(json_integer_value(json_object_get(ipam, "RangeNumIPs")), 1048576);
	assert_int_equal(json_integer_value(json_object_get(ipam, "ActiveIPs")), 3);
	assert_string_equal(json_string_value(json_object_get(ipam, "DefaultSubnet")),
			    "10.33.0.0/16");
	assert_int_equal(json_unpack(json_array_get(json_object_get(ipam, "Entries"), 0),
				     "{s:s, s:i, s:s, s:s, s:b, s:i}", "Token", &ip, "Size", &size,
				     "Peer", &ip, "Nickname", &ip, "IsKnownPeer", &nodes, "Version",
				     &quorum),
			 0);
	assert_int_equal(size, 262144);
	assert_int_equal(json_array_size(json_object_get(ipam, "PendingClaims")), 0);
	assert_int_equal(json_array_size(json_object_get(ipam, "Owners")), 4);

	other = json_array_get(json_object_get(ipam, "OtherUniverses"), 0);
	assert_int_equal(json_unpack(json_object_get(other, "Paxos"), "{s:i, s:i}", "KnownNodes",
				     &nodes, "Quorum", &quorum),
			 0);
	assert_true(nodes == 1 && quorum == 2);
	assert_string_equal(json_string_value(json_object_get(other, "DefaultSubnet")),
			    "fd00::/64");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(other, "PendingAllocates"), 0)),
		"c?1");
	assert_int_equal(json_unpack(json_array_get(json_object_get(other, "PendingClaims"), 0),
				     "{s:s}", "CIDR", &ip),
			 0);
	assert_string_equal(ip, "fd00::9/64");
	assert_string_equal(json_string_value(json_object_get(other, "DiskError")),
			    "no space left");
	assert_int_equal(json_array_size(json_object_get(other, "WaitingFor")), 2);
	assert_int_equal(json_array_size(json_object_get(other, "ForeignRing")), 1);
	json_decref(o);
	status_fini(&s);
}

static void ipams_metrics_have_weave_nets_names(void **state)
{
	static const char *const lines[] = {
		"# TYPE weave_ips gauge\n",
		"weave_ips{state=\"local-used\",range=\"10.32.0.0/12\"} 3\n",
		"weave_ips{state=\"local-used\",range=\"fd00::/64\"} 5\n",
		"weave_max_ips{range=\"10.32.0.0/12\"} 1048576\n",
		"weave_max_ips{range=\"fd00::/64\"} 4294967296\n",
		"weave_ipam_unreachable_count{range=\"10.32.0.0/12\"} 2\n",
		"weave_ipam_unreachable_percentage{range=\"10.32.0.0/12\"} 25\n",
		"weave_ipam_pending_allocates{range=\"fd00::/64\"} 1\n",
		"weave_ipam_pending_claims{range=\"fd00::/64\"} 1\n",
		"weave_ipam_ready{range=\"10.32.0.0/12\"} 1\n",
		"weave_ipam_ready{range=\"fd00::/64\"} 0\n",
		"weave_ipam_own_free{range=\"10.32.0.0/12\"} 524284\n",
		"weave_ipam_unconfirmed{range=\"fd00::/64\"} 40\n",
		"weave_ipam_disputed{range=\"fd00::/64\"} 2\n",
		"# TYPE weave_ipam_taken_away_total counter\n",
		"weave_ipam_taken_away_total{range=\"fd00::/64\"} 64\n",
		"weave_ipam_foreign_ring{range=\"fd00::/64\"} 1\n",
		"weave_ipam_disk_fails{range=\"fd00::/64\"} 1\n",
		"weave_ipam_ring_pieces{range=\"10.32.0.0/12\"} 9\n",
	};
	struct text out = { 0 };
	struct status s;

	(void)state;
	sample_status(&s);
	sample_ipam(&s);
	sample_troubled_ipam(&s);
	metrics_render(&s, &out);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (!strstr(text_string(&out), lines[i]))
			fail_msg("missing: %s", lines[i]);
	text_fini(&out);
	status_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_is_weave_nets),
		cmocka_unit_test(a_lonely_router_has_no_parentheses),
		cmocka_unit_test(connections_have_their_columns),
		cmocka_unit_test(peers_and_targets_have_their_columns),
		cmocka_unit_test(attachments_have_their_columns),
		cmocka_unit_test(texts_of_peers_cannot_play_tricks),
		cmocka_unit_test(padding_counts_characters),
		cmocka_unit_test(the_report_has_weave_nets_fields),
		cmocka_unit_test(metrics_count_by_label),
		cmocka_unit_test(ipam_has_its_section_and_columns),
		cmocka_unit_test(ipams_troubles_are_shown),
		cmocka_unit_test(ipams_report_has_weave_nets_fields),
		cmocka_unit_test(ipams_metrics_have_weave_nets_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
