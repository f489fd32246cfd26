/* A daemon that only writes down what it was asked to do. */
#ifndef TESTS_PLUGIN_FAKE_OPS_H
#define TESTS_PLUGIN_FAKE_OPS_H

#include <string.h>

#include <weave/api.h>
#include <weave/text.h>

#include "sample_status.h"

#define FAKE_HELD_MAX 1024

struct fake {
	struct text calls; /* one line per call */
	bool not_ready;
	enum why_reason refuse; /* refuse with this reason; WHY_NONE: do it */
	size_t peers_count;	/* extra peers, to make the report large */
	bool ipam;		/* has it */
	bool dns;		/* has it */
	const char *says;	/* the text of answers without addresses */
	bool hold;		/* answers wait in 'held' */
	void (*on_cancel)(void *ctx);
	struct api_reply *held[FAKE_HELD_MAX];
	size_t held_count;
};

static inline bool fake_verdict(struct fake *f, struct why *why)
{
	if (f->refuse != WHY_NONE)
		why_set(why, f->refuse, "the fake refuses");
	return f->refuse == WHY_NONE;
}

static inline void fake_status(void *ctx, struct status *s)
{
	struct fake *f = ctx;
	bool wants_names = s->dns.wanted;

	sample_status(s);
	s->dns.wanted = wants_names;
	s->ready = !f->not_ready;
	if (f->ipam) {
		sample_ipam(s);
		sample_troubled_ipam(s);
	}
	if (f->dns)
		sample_dns(s);
	for (size_t i = 0; i < f->peers_count; i++) {
		struct status_peer *p = status_add_peer(s);

		p->reachable = true;
		p->name = i + 1;
		p->nickname = "many";
	}
}

static inline void fake_list(struct fake *f, const char *const *peers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		text_add(&f->calls, " %s", peers[i]);
	text_add_string(&f->calls, "\n");
}

static inline bool fake_connect(void *ctx, const char *const *peers, size_t count, bool replace,
				struct why *why)
{
	text_add_string(&((struct fake *)ctx)->calls, replace ? "replace" : "connect");
	fake_list(ctx, peers, count);
	return fake_verdict(ctx, why);
}

static inline bool fake_forget(void *ctx, const char *const *peers, size_t count, struct why *why)
{
	text_add_string(&((struct fake *)ctx)->calls, "forget");
	fake_list(ctx, peers, count);
	return fake_verdict(ctx, why);
}

/* The answer, now; or later, by the test, which finds the reply in 'held'. */
static inline void fake_reply(struct fake *f, struct api_reply *reply,
			      const struct api_addresses *done)
{
	struct why why = { 0 };

	if (f->hold) {
		f->held[f->held_count++ % FAKE_HELD_MAX] = reply;
		if (f->on_cancel)
			api_reply_on_cancel(reply, f->on_cancel, f);
	} else if (!fake_verdict(f, &why)) {
		api_reply_fail(reply, &why);
	} else if (done) {
		api_reply_addresses(reply, done);
	} else {
		api_reply_text(reply, f->says ? f->says : "");
	}
}

/* Of what is wanted; a subnet gets its second address, the default one is 10.32.0.0/12. */
static inline struct api_addresses fake_wants(struct fake *f, const struct api_wants *wants)
{
	static const char *const words[] = { "", "net:", "net:default " };
	struct api_addresses done = { .count = 0 };
	char text[CIDR_TEXT_SIZE];

	for (size_t i = 0; i < wants->count; i++) {
		const struct api_want *w = &wants->list[i];
		struct cidr *to = &done.list[done.count++];

		text_add(&f->calls, " %s", words[w->type]);
		*to = (struct cidr){ { 4, { 10, 32, 0, 0 } }, 12 };
		if (w->type != API_WANT_DEFAULT) {
			*to = w->cidr;
			text_add_string(&f->calls, cidr_text(w->cidr, text));
		}
		if (w->type != API_WANT_ADDRESS)
			to->ip.b[to->ip.family == 4 ? 3 : 15] |= 1;
	}
	text_add_string(&f->calls, "\n");
	return done;
}

static inline void fake_attach(void *ctx, const struct api_attach *r, struct api_reply *reply)
{
	struct fake *f = ctx;
	struct api_addresses done;

	text_add(&f->calls, "attach %s %s %d", r->id, r->netns, r->multicast_route);
	done = fake_wants(f, &r->wants);
	fake_reply(f, reply, &done);
}

static inline void fake_detach(void *ctx, const struct api_attach *r, struct api_reply *reply)
{
	struct fake *f = ctx;
	struct api_addresses done;

	text_add(&f->calls, "detach %s %s", r->id, r->netns ? r->netns : "-");
	done = fake_wants(f, &r->wants);
	fake_reply(f, reply, &done);
}

static inline void fake_expose(void *ctx, const struct api_wants *wants, bool masquerade,
			       const char *fqdn, struct api_reply *reply)
{
	struct fake *f = ctx;
	struct api_addresses done;

	text_add(&f->calls, "expose %d", masquerade);
	if (fqdn)
		text_add(&f->calls, " as %s", fqdn);
	done = fake_wants(f, wants);
	fake_reply(f, reply, &done);
}

static inline void fake_hide(void *ctx, const struct api_wants *wants, struct api_reply *reply)
{
	struct fake *f = ctx;
	struct api_addresses done;

	text_add_string(&f->calls, "hide");
	done = fake_wants(f, wants);
	fake_reply(f, reply, &done);
}

static inline bool fake_has_ipam(void *ctx)
{
	return ((struct fake *)ctx)->ipam;
}

static inline void fake_one(struct api_addresses *out, const struct cidr *subnet)
{
	out->list[0] = subnet ? *subnet : (struct cidr){ { 4, { 10, 32, 0, 0 } }, 12 };
	out->list[0].ip.b[3] |= 1;
	out->count = 1;
}

static inline const char *fake_subnet(const struct cidr *subnet, char *text)
{
	return subnet ? cidr_text(*subnet, text) : "default";
}

static inline void fake_allocate(void *ctx, const char *id, const struct cidr *subnet,
				 struct api_reply *reply)
{
	struct fake *f = ctx;
	struct api_addresses done;
	char text[CIDR_TEXT_SIZE];

	text_add(&f->calls, "allocate %s %s\n", id, fake_subnet(subnet, text));
	fake_one(&done, subnet);
	fake_reply(f, reply, &done);
}

static inline void fake_claim(void *ctx, const char *id, struct cidr address,
			      bool no_error_on_unknown, struct api_reply *reply)
{
	struct fake *f = ctx;
	char text[CIDR_TEXT_SIZE];

	text_add(&f->calls, "claim %s %s %d\n", id, cidr_text(address, text), no_error_on_unknown);
	fake_reply(f, reply, NULL);
}

static inline bool fake_lookup(void *ctx, const char *id, const struct cidr *subnet,
			       struct api_addresses *out, struct why *why)
{
	struct fake *f = ctx;
	char text[CIDR_TEXT_SIZE];

	text_add(&f->calls, "lookup %s %s\n", id, fake_subnet(subnet, text));
	if (strcmp(id, "nobody") != 0)
		fake_one(out, subnet);
	return fake_verdict(f, why);
}

static inline bool fake_release(void *ctx, const char *id, const struct ip_addr *address,
				struct why *why)
{
	struct fake *f = ctx;
	char text[IP_TEXT_SIZE];

	text_add(&f->calls, "release %s %s\n", id, address ? ip_text(*address, text) : "all");
	return fake_verdict(f, why);
}

static inline void fake_prime(void *ctx, struct api_reply *reply)
{
	text_add_string(&((struct fake *)ctx)->calls, "prime\n");
	fake_reply(ctx, reply, NULL);
}

static inline void fake_remove_peer(void *ctx, const char *peer, bool force,
				    struct api_reply *reply)
{
	text_add(&((struct fake *)ctx)->calls, "remove %s %d\n", peer, force);
	fake_reply(ctx, reply, NULL);
}

static inline void fake_hand_over(void *ctx, bool force, struct api_reply *reply)
{
	text_add(&((struct fake *)ctx)->calls, "hand over %d\n", force);
	fake_reply(ctx, reply, NULL);
}

static inline bool fake_network_open(void *ctx, const char *name, uint32_t number,
				     struct text *answer, struct why *why)
{
	struct fake *f = ctx;

	if (!fake_verdict(f, why))
		return false;
	text_add(&f->calls, "open %s %u\n", name, number);
	text_add(answer, "opened");
	return true;
}

static inline bool fake_network_close(void *ctx, const char *name, struct why *why)
{
	struct fake *f = ctx;

	text_add(&f->calls, "close %s\n", name);
	return fake_verdict(f, why);
}

static inline void fake_attachments(void *ctx, struct api_attachments *out)
{
	struct api_attachment *a = api_attachments_add(out);

	(void)ctx;
	strcpy(a->id, "c1");
	a->mac = mac_from_u64(1);
	a->addresses.list[0] = (struct cidr){ { 4, { 10, 2, 1, 1 } }, 24 };
	a->addresses.count = 1;
	a = api_attachments_add(out);
	strcpy(a->id, API_EXPOSE_ID);
	a->mac = mac_from_u64(2);
	a = api_attachments_add(out);
	memset(a->id, 'd', 64);
	a->mac = mac_from_u64(3);
}

static inline bool fake_attached_as(void *ctx, const char *netns, char *id)
{
	(void)ctx;
	strcpy(id, "c1");
	return strcmp(netns, "/shared") == 0;
}

static inline void fake_default_subnets(void *ctx, struct api_addresses *out)
{
	(void)ctx;
	out->list[0] = (struct cidr){ { 4, { 10, 32, 0, 0 } }, 12 };
	out->list[1] = (struct cidr){ { 6, { 0xfd } }, 64 };
	out->count = 2;
}

static inline bool fake_password(void *ctx, const struct api_password *request, struct text *answer,
				 struct why *why)
{
	struct fake *f = ctx;

	text_add(&f->calls, "password %d %s %d\n", (int)request->action,
		 request->text ? request->text : "-", request->force);
	if (f->refuse != WHY_NONE) {
		why_set(why, f->refuse, "refused");
		return false;
	}
	text_add_string(answer, "told\n");
	return true;
}

static inline void fake_docker(void *ctx, const char *call, struct bytes body, uint64_t asked_ms,
			       struct api_reply *reply)
{
	struct fake *f = ctx;

	text_add(&f->calls, "docker %s %zu %llu\n", call, body.size, (unsigned long long)asked_ms);
	if (f->hold)
		fake_reply(f, reply, NULL);
	else
		api_reply_json(reply, 200, "{}");
}

static inline void fake_log_level(void *ctx, enum log_level level)
{
	text_add(&((struct fake *)ctx)->calls, "level %d\n", (int)level);
}

static inline void fake_stop(void *ctx)
{
	text_add_string(&((struct fake *)ctx)->calls, "stop\n");
}

static inline bool fake_has_dns(void *ctx)
{
	return ((struct fake *)ctx)->dns;
}

static inline bool fake_put_name(void *ctx, const char *id, const char *fqdn,
				 struct ip_addr address, struct why *why)
{
	struct fake *f = ctx;
	char text[IP_TEXT_SIZE];

	text_add(&f->calls, "name %s %s %s\n", id, fqdn, ip_text(address, text));
	return fake_verdict(f, why);
}

static inline void fake_remove_names(void *ctx, const char *id, const char *fqdn,
				     const struct ip_addr *address)
{
	struct fake *f = ctx;
	char text[IP_TEXT_SIZE];

	text_add(&f->calls, "unname %s %s %s\n", id ? id : "-", fqdn ? fqdn : "-",
		 address ? ip_text(*address, text) : "-");
}

static inline struct api_ops fake_ops(struct fake *f)
{
	return (struct api_ops){ .ctx = f,
				 .status = fake_status,
				 .connect = fake_connect,
				 .forget = fake_forget,
				 .attach = fake_attach,
				 .detach = fake_detach,
				 .expose = fake_expose,
				 .hide = fake_hide,
				 .network_open = fake_network_open,
				 .network_close = fake_network_close,
				 .attachments = fake_attachments,
				 .attached_as = fake_attached_as,
				 .has_ipam = fake_has_ipam,
				 .allocate = fake_allocate,
				 .claim = fake_claim,
				 .lookup = fake_lookup,
				 .release = fake_release,
				 .owned = fake_attachments,
				 .default_subnets = fake_default_subnets,
				 .prime = fake_prime,
				 .remove_peer = fake_remove_peer,
				 .hand_over = fake_hand_over,
				 .has_dns = fake_has_dns,
				 .put_name = fake_put_name,
				 .remove_names = fake_remove_names,
				 .password = fake_password,
				 .docker = fake_docker,
				 .log_level = fake_log_level,
				 .stop = fake_stop };
}

#endif
