#include "gossip_test.h"

#include "../../../gossip/kinds.h"

static struct peer_info full_peer(void)
{
	struct peer_info p = peer_of(0x7a0011223344);

	strcpy(p.nickname, "bär-host ⚙");
	p.protocol_max = 7;
	p.overlays = OVERLAY_SLEEVE | OVERLAY_FASTDP;
	p.store_id = 0x1122334455667788;
	p.floor = 99;
	p.addresses_count = 2;
	assert_true(ip_parse("10.1.2.3", &p.addresses[0]));
	assert_true(ip_parse("fe80::1", &p.addresses[1]));
	return p;
}

static void peers_come_back_as_written(void **state)
{
	struct peer_info p = full_peer(), q;
	struct made m, again;

	(void)state;
	make_peer(&m, &p, 1, 1);
	assert_null(peer_info_decode(&q, &m.view));
	assert_true(bytes_equal(make_peer(&again, &q, 1, 1)->value, m.view.value));
	assert_string_equal(q.nickname, p.nickname);
	assert_string_equal(q.software, p.software);
	assert_true(q.name == p.name && q.protocol_min == 3 && q.protocol_max == 7);
	assert_true(q.overlays == p.overlays && q.instance == p.instance && q.port == p.port);
	assert_true(q.store_id == p.store_id && q.floor == p.floor && q.addresses_count == 2);
	assert_int_equal(ip_compare(q.addresses[1], p.addresses[1]), 0);
	/* The largest that can be. */
	memset(p.nickname, 'n', NICKNAME_MAX);
	p.nickname[NICKNAME_MAX] = '\0';
	memset(p.software, 's', sizeof p.software - 1);
	for (p.addresses_count = 0; p.addresses_count < ADDRESSES_PER_PEER_MAX;)
		assert_true(ip_parse("2001:db8::7", &p.addresses[p.addresses_count++]));
	make_peer(&m, &p, 1, 1);
	assert_null(entry_check(&m.view));
	assert_null(peer_info_decode(&q, &m.view));
	assert_int_equal(q.addresses_count, ADDRESSES_PER_PEER_MAX);
	assert_string_equal(q.nickname, p.nickname);
}

static void links_and_gone_come_back_as_written(void **state)
{
	struct link_info l = { .from = 1, .to = 2, .established = true, .overlay = 2 }, k;
	struct gone_info g;
	struct made m;
	struct writer w = writer_over(m.value, sizeof m.value);

	(void)state;
	assert_true(netaddr_parse("[2001:db8::1]:6783", 0, &l.address));
	l.outbound = true;
	make_link(&m, 1, 2, true, 1, 1);
	link_info_encode(&l, &w);
	m.view.value = writer_bytes(&w);
	assert_null(link_info_decode(&k, &m.view));
	assert_true(k.from == 1 && k.to == 2 && k.established && k.outbound && k.overlay == 2);
	assert_int_equal(netaddr_compare(k.address, l.address), 0);
	make_gone(&m, 5, 77, 1);
	assert_null(gone_info_decode(&g, &m.view));
	assert_true(g.peer == 5 && g.generation == 77);
}

/* A value cut anywhere is refused, and every field is named; more bytes than we know are not ours
 * to refuse. */
static void values_of_every_other_size(void **state)
{
	struct peer_info p = full_peer(), q;
	struct link_info l;
	struct gone_info g;
	struct made m;

	(void)state;
	make_peer(&m, &p, 1, 1);
	for (size_t size = m.view.value.size; size-- > 0;) {
		struct entry_view cut = m.view;

		cut.value.size = size;
		assert_non_null(strstr(peer_info_decode(&q, &cut), "peer."));
	}
	m.view.value.size += 3;
	assert_null(peer_info_decode(&q, &m.view));
	make_link(&m, 1, 2, true, 1, 1);
	for (size_t size = m.view.value.size; size-- > 0;) {
		struct entry_view cut = m.view;

		cut.value.size = size;
		assert_non_null(strstr(link_info_decode(&l, &cut), "link."));
	}
	m.view.key.size--;
	assert_string_equal(link_info_decode(&l, &m.view), "link.to");
	m.view.key.size += 2;
	assert_string_equal(link_info_decode(&l, &m.view), "link.to");
	make_gone(&m, 5, 77, 1);
	m.view.value.size--;
	assert_string_equal(gone_info_decode(&g, &m.view), "gone.generation");
}

/* Byte 'at' of the value becomes 'byte': the named field is at fault. */
static void expect_bad_peer(size_t at_byte, uint8_t byte, const char *field)
{
	struct peer_info p = full_peer(), q;
	struct made m;

	make_peer(&m, &p, 1, 1);
	assert_true(at_byte < m.view.value.size);
	m.value[at_byte] = byte;
	assert_string_equal(kind_peer.check(&m.view), field);
	assert_string_equal(peer_info_decode(&q, &m.view), field);
}

static void bad_peers_are_named(void **state)
{
	struct peer_info p = full_peer();
	size_t after_texts = 1 + strlen(p.nickname) + 1 + strlen(p.software);
	size_t count_at = after_texts + 3 + 24 + 2;
	struct made m;

	(void)state;
	expect_bad_peer(1, '\n', "peer.nickname");
	expect_bad_peer(1 + strlen(p.nickname), 200, "peer.software");
	expect_bad_peer(after_texts, 8, "peer.protocol");
	expect_bad_peer(after_texts + 3 + 16, 0x40, "peer.floor");
	expect_bad_peer(count_at, ADDRESSES_PER_PEER_MAX + 1, "peer.addresses");
	expect_bad_peer(count_at + 1, 5, "peer.addresses");
	expect_bad_peer(count_at + 1, 0, "peer.addresses");
	make_peer(&m, &p, 1, 1);
	m.view.writer++;
	assert_string_equal(kind_peer.check(&m.view), "peer.writer");
	make_peer(&m, &p, 1, 1);
	m.view.key.size = 5;
	assert_string_equal(kind_peer.check(&m.view), "peer.name");
}

/* Counted before they are stored: the bytes are there, the room is not. */
static void addresses_are_bounded(void **state)
{
	struct peer_info p = full_peer(), q;
	struct made m;
	struct writer more;

	(void)state;
	p.addresses_count = 0;
	make_peer(&m, &p, 1, 1);
	m.value[m.view.value.size - 1] = ADDRESSES_PER_PEER_MAX + 1;
	more = writer_over(m.value + m.view.value.size, 1000);
	for (unsigned i = 0; i <= ADDRESSES_PER_PEER_MAX; i++)
		kind_write_ip(&more, (struct ip_addr){ .family = 4 });
	m.view.value.size += writer_size(&more);
	assert_string_equal(peer_info_decode(&q, &m.view), "peer.addresses");
	m.value[m.view.value.size - writer_size(&more) - 1] = ADDRESSES_PER_PEER_MAX;
	assert_null(peer_info_decode(&q, &m.view));
}

static void bad_links_and_gone_are_named(void **state)
{
	struct made m;

	(void)state;
	make_link(&m, 1, 2, false, 1, 1);
	m.value[0] = 4;
	assert_string_equal(kind_link.check(&m.view), "link.flags");
	make_link(&m, 1, 2, false, 1, 1);
	m.value[1] = OVERLAY_SLEEVE;
	assert_string_equal(kind_link.check(&m.view), "link.overlay");
	make_link(&m, 1, 2, false, 1, 1);
	m.value[2] = 9;
	assert_string_equal(kind_link.check(&m.view), "link.address");
	make_link(&m, 1, 1, false, 1, 1);
	assert_string_equal(kind_link.check(&m.view), "link.to");
	make_link(&m, 1, 2, false, 1, 1);
	m.view.writer = 2;
	assert_string_equal(kind_link.check(&m.view), "link.writer");
	make_gone(&m, 5, 77, 1);
	m.view.flags = ENTRY_TOMBSTONE;
	assert_string_equal(kind_gone.check(&m.view), "gone.flags");
	make_gone(&m, 5, 77, 1);
	m.view.version = 1;
	assert_string_equal(kind_gone.check(&m.view), "gone.generation");
}

/* Two notices about one peer: the one that reaches further wins on every store, although the other
 * writer's own generation may be higher. */
static void f4_the_furthest_gone_wins_everywhere(void **state)
{
	struct store *x = store_new(1), *y = store_new(2);
	struct made near, far;

	(void)state;
	store_register(x, &kind_gone);
	store_register(y, &kind_gone);
	make_gone(&near, 5, 77, 1);
	make_gone(&far, 5, 78, 2);
	take(x, &near.view, 0);
	take(x, &far.view, 0);
	take(y, &far.view, 0);
	assert_int_equal(take(y, &near.view, 0), STORE_OLDER);
	assert_true(contents_equal(x, y));
	/* The same notice written twice, differently: malformed, not undecided. */
	far.view.generation++;
	assert_string_equal(store_check(x, &far.view), "gone.generation");
	store_free(x);
	store_free(y);
}

/* One code point of three bytes. */
static bool code_ok(unsigned code)
{
	const uint8_t text[] = { (uint8_t)(0xe0 | code >> 12), (uint8_t)(0x80 | (code >> 6 & 0x3f)),
				 (uint8_t)(0x80 | (code & 0x3f)) };

	return peer_text_ok(bytes_of(text, sizeof text));
}

static void texts_cannot_harm_a_terminal(void **state)
{
	static const char *const good[] = { "",	   "host-1", "a b~",
					    "bär", "ホスト", "\xf0\x9f\x90\xb3" };
	static const char *const bad[] = {
		"\x1b[31m",
		"a\nb",
		"a\tb",
		"\x7f",
		"\xc2\x9b",
		"\xff",
		"\xc3",
		"\x80",
		"\xc0\xaf",
		"\xe0\x80\xaf",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80",
	};
	/* Direction, line separators, zero width, no character: they forge what people read. */
	static const unsigned bad_codes[] = { 0x200b, 0x200e, 0x2028, 0x2029, 0x202a, 0x202e,
					      0x2060, 0x2066, 0x2069, 0xfeff, 0xfffe };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		assert_true(peer_text_ok(bytes_of(good[i], strlen(good[i]))));
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		if (peer_text_ok(bytes_of(bad[i], strlen(bad[i]))))
			fail_msg("bad text %zu is let through", i);
	for (size_t i = 0; i < ARRAY_COUNT(bad_codes); i++)
		if (code_ok(bad_codes[i]))
			fail_msg("U+%04x is let through", bad_codes[i]);
	assert_true(code_ok(0x2013) && code_ok(0x20ac) && code_ok(0xfffd));
	assert_false(peer_text_ok(bytes_of("a\0b", 3)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_come_back_as_written),
		cmocka_unit_test(links_and_gone_come_back_as_written),
		cmocka_unit_test(values_of_every_other_size),
		cmocka_unit_test(bad_peers_are_named),
		cmocka_unit_test(addresses_are_bounded),
		cmocka_unit_test(bad_links_and_gone_are_named),
		cmocka_unit_test(f4_the_furthest_gone_wins_everywhere),
		cmocka_unit_test(texts_cannot_harm_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
