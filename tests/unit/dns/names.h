/* One router's names without a network: entries of others are put in by hand. */
#ifndef TESTS_DNS_NAMES_H
#define TESTS_DNS_NAMES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../../dns/kind_name.h"
#include "../../../gossip/kinds.h"

#define SELF ((peer_name)0x020000000001)
#define OTHER ((peer_name)0x020000000002)

static const struct mono now = { 1000 };

struct view {
	struct gossip *gossip;
	struct names *names;
	uint64_t version;
};

static inline struct ip_addr ip(const char *text)
{
	struct ip_addr a;

	assert_true(ip_parse(text, &a));
	return a;
}

static inline struct view view_new(void)
{
	struct gossip_config g = { .name = SELF,
				   .nickname = "self",
				   .port = 6783,
				   .instance = 1,
				   .store_id = 1,
				   .generation = 5,
				   .protocol_min = 3,
				   .protocol_max = 3 };
	struct names_config n = { .self = SELF, .seed = 7 };
	struct view v = { .gossip = gossip_new(&g, now, NULL) };

	v.names = names_new(&n, v.gossip);
	names_track(v.names);
	return v;
}

static inline void view_free(struct view *v)
{
	names_verify(v->names);
	gossip_free(v->gossip);
	names_free(v->names);
}

static inline void merge(struct view *v, const struct entry_view *e)
{
	struct store *s = gossip_store(v->gossip);

	assert_null(store_check(s, e));
	store_merge(s, e, 1, now);
}

static inline void update(struct view *v)
{
	topology_update(gossip_topology(v->gossip));
	names_update(v->names);
	names_step(v->names, now);
}

static inline void peer(struct view *v, peer_name name, uint64_t generation, uint64_t floor)
{
	struct peer_info p = { .name = name, .protocol_min = 3, .protocol_max = 3, .floor = floor };
	uint8_t k[ENTRY_KEY_MAX], b[1024];
	struct writer key = writer_over(k, sizeof k), value = writer_over(b, sizeof b);
	struct entry_view e = {
		.kind = KIND_PEER, .writer = name, .generation = generation, .version = ++v->version
	};

	snprintf(p.nickname, sizeof p.nickname, "n");
	snprintf(p.software, sizeof p.software, "t");
	p.port = 1;
	peer_info_key(name, &key);
	peer_info_encode(&p, &value);
	e.key = writer_bytes(&key);
	e.value = writer_bytes(&value);
	merge(v, &e);
	update(v);
}

static inline void reach(struct view *v, peer_name name, bool reachable)
{
	topology_direct(gossip_topology(v->gossip), name, reachable);
	update(v);
}

struct made {
	uint8_t k[NAME_KEY_SIZE], v[NAME_VALUE_MAX];
	struct entry_view view;
};

static inline const struct entry_view *make(struct made *m, const struct name_entry *e,
					    uint64_t generation, uint64_t version, bool live)
{
	struct writer key = writer_over(m->k, sizeof m->k), value = writer_over(m->v, sizeof m->v);

	name_entry_key(e, &key);
	if (live)
		name_entry_value(e, &value);
	m->view = (struct entry_view){ .kind = KIND_NAME,
				       .flags = live ? 0 : ENTRY_TOMBSTONE,
				       .writer = e->peer,
				       .generation = generation,
				       .version = version,
				       .key = writer_bytes(&key),
				       .value = writer_bytes(&value) };
	return &m->view;
}

static inline struct name_entry name(peer_name who, const char *hostname, const char *address)
{
	struct name_entry e = { .peer = who, .address = ip(address), .container = "c" };

	snprintf(e.hostname, sizeof e.hostname, "%s", hostname);
	return e;
}

/* Another peer says so, or takes it back. */
static inline void says(struct view *v, peer_name who, uint64_t generation, const char *hostname,
			const char *address, bool live)
{
	struct name_entry e = name(who, hostname, address);
	struct made m;

	merge(v, make(&m, &e, generation, ++v->version, live));
}

/* The changes since the last call as one line: "+a.weave.local=10.2.1.1 -". */
static inline const char *changes(struct view *v)
{
	static char line[4096];
	struct name_change *c = names_take_changes(v->names);

	line[0] = '\0';
	while (c) {
		struct name_change *next = c->next;
		char text[IP_TEXT_SIZE];
		size_t at = strlen(line);

		if (c->present)
			snprintf(line + at, sizeof line - at, "%s+%s=%s", at ? " " : "",
				 c->hostname, ip_text(c->address, text));
		else
			snprintf(line + at, sizeof line - at, "%s-", at ? " " : "");
		mem_free(c);
		c = next;
	}
	return line;
}

#endif
