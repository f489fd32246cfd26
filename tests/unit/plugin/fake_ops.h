/* A daemon that only writes down what it was asked to do. */
#ifndef TESTS_PLUGIN_FAKE_OPS_H
#define TESTS_PLUGIN_FAKE_OPS_H

#include <string.h>

#include <weave/api.h>

#include "sample_status.h"

struct fake {
	struct text calls; /* one line per call */
	bool not_ready;
	enum why_reason refuse; /* refuse with this reason; WHY_NONE: do it */
	size_t peers_count;	/* extra peers, to make the report large */
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

	sample_status(s);
	s->ready = !f->not_ready;
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

static inline void fake_addresses(struct fake *f, const struct api_addresses *a)
{
	char text[CIDR_TEXT_SIZE];

	for (size_t i = 0; i < a->count; i++)
		text_add(&f->calls, " %s", cidr_text(a->list[i], text));
	text_add_string(&f->calls, "\n");
}

static inline bool fake_attach(void *ctx, const struct api_attach *r, struct api_addresses *done,
			       struct why *why)
{
	struct fake *f = ctx;

	text_add(&f->calls, "attach %s %s %d", r->id, r->netns, r->multicast_route);
	fake_addresses(f, &r->addresses);
	*done = r->addresses;
	return fake_verdict(f, why);
}

static inline bool fake_detach(void *ctx, const struct api_attach *r, struct api_addresses *done,
			       struct why *why)
{
	struct fake *f = ctx;

	text_add(&f->calls, "detach %s %s", r->id, r->netns ? r->netns : "-");
	fake_addresses(f, &r->addresses);
	*done = r->addresses;
	return fake_verdict(f, why);
}

static inline bool fake_expose(void *ctx, const struct api_addresses *a, bool masquerade,
			       struct api_addresses *done, struct why *why)
{
	struct fake *f = ctx;

	text_add(&f->calls, "expose %d", masquerade);
	fake_addresses(f, a);
	*done = *a;
	return fake_verdict(f, why);
}

static inline bool fake_hide(void *ctx, const struct api_addresses *a, struct api_addresses *done,
			     struct why *why)
{
	struct fake *f = ctx;

	text_add_string(&f->calls, "hide");
	fake_addresses(f, a);
	*done = *a;
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

static inline void fake_log_level(void *ctx, enum log_level level)
{
	text_add(&((struct fake *)ctx)->calls, "level %d\n", (int)level);
}

static inline void fake_stop(void *ctx)
{
	text_add_string(&((struct fake *)ctx)->calls, "stop\n");
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
				 .attachments = fake_attachments,
				 .log_level = fake_log_level,
				 .stop = fake_stop };
}

#endif
