/* What `weave password` can ask of the daemon: to go over to another password while it runs. */
#include "daemon.h"

#include <string.h>

#include <sodium.h>

#include <weave/sockaddr_io.h>

/* Names of peers whose connections do not rest on the password that stays; how many there are. */
static size_t add_peers(struct daemon *d, bool preferred_stays, struct text *names)
{
	struct gossip_conn_info info;
	char name[PEER_NAME_TEXT_SIZE];
	size_t count = 0;

	for (size_t i = 0; gossip_conn_at(engine_gossip(d->engine), i, &info); i++) {
		bool up = info.state == CONN_ESTABLISHED || info.state == CONN_PENDING;

		if (!up || !info.sealed || info.preferred == preferred_stays)
			continue;
		text_add(names, "%s%s(%s)", count ? ", " : "", peer_name_text(info.peer, name),
			 info.nickname);
		count++;
	}
	return count;
}

static void show(struct daemon *d, struct text *answer)
{
	struct text lacking = { 0 }, having = { 0 };
	size_t with, without;

	if (d->passwords->count == 1) {
		text_add_string(answer, "One password is accepted.\n");
		return;
	}
	without = add_peers(d, true, &lacking);
	with = add_peers(d, false, &having);
	text_add(answer,
		 "Two passwords are accepted: the network changes its password.\n"
		 "%zu peer%s proved to know the new one%s%s\n"
		 "%zu peer%s not yet%s%s\n",
		 with, with == 1 ? " has" : "s have", with ? ": " : "", text_string(&having),
		 without, without == 1 ? " has" : "s have", without ? ": " : "",
		 text_string(&lacking));
	if (without == 0)
		text_add_string(answer, "When all hosts have it: weave password rotate --finish\n");
	text_fini(&lacking);
	text_fini(&having);
}

static void use(struct daemon *d, struct passwords *fresh)
{
	struct passwords *before = d->passwords;

	gossip_set_passwords(engine_gossip(d->engine), fresh, mono_now());
	d->passwords = fresh;
	d->config.gossip.passwords = fresh;
	passwords_free(before);
}

static bool no_pages(struct why *why)
{
	why_set(why, WHY_TRANSPORT, "no locked memory for the password");
	return false;
}

static bool is_same(const struct password *a, const struct password *b)
{
	return a->size == b->size && sodium_memcmp(a->bytes, b->bytes, a->size) == 0;
}

static bool rotate(struct daemon *d, const char *text, struct text *answer, struct why *why)
{
	struct passwords *fresh, *joined = NULL;

	if (!passwords_parse(bytes_of(text, strlen(text)), &fresh, why))
		return false;
	if (fresh->count != 1) {
		why_set(why, WHY_INVALID, "give one password: more than one line was given");
	} else if (is_same(&fresh->list[0], &d->passwords->list[0])) {
		text_add_string(answer, "This password is the preferred one already.\n");
		passwords_free(fresh);
		return true;
	} else if (d->passwords->count > 1) {
		why_set(why, WHY_INVALID,
			"the network is changing its password already: --finish or --cancel that "
			"first");
	} else {
		joined = passwords_join(fresh, d->passwords);
		if (!joined)
			no_pages(why);
	}
	passwords_free(fresh);
	if (!joined)
		return false;
	use(d, joined);
	log_info(&d->log, "a new password is preferred; the former one is still accepted");
	text_add_string(answer,
			"The new password is preferred, the former one still accepted.\n"
			"Do the same on all hosts, and change what they are launched with; weave "
			"password shows who has it.\n");
	return true;
}

static bool keep_one(struct daemon *d, bool preferred, bool force, struct text *answer,
		     struct why *why)
{
	struct text names = { 0 };
	struct passwords *one;
	size_t count;
	bool ok = false;

	if (d->passwords->count == 1) {
		text_add_string(answer, "One password is accepted; there is nothing to end.\n");
		return true;
	}
	count = add_peers(d, preferred, &names);
	if (count && !force) {
		why_set(why, WHY_INVALID, "would cut off %zu peer%s (--force does): %.90s", count,
			count == 1 ? "" : "s", text_string(&names));
		goto out;
	}
	one = passwords_only(d->passwords, preferred ? 0 : 1);
	if (!one) {
		no_pages(why);
		goto out;
	}
	use(d, one);
	log_info(&d->log, "only the %s password is accepted now", preferred ? "new" : "former");
	text_add(answer, "Only the %s password is accepted now.\n", preferred ? "new" : "former");
	ok = true;
out:
	text_fini(&names);
	return ok;
}

bool daemon_password(void *ctx, const struct api_password *request, struct text *answer,
		     struct why *why)
{
	struct daemon *d = ctx;

	if (!d->passwords && request->action == API_PASSWORD_SHOW) {
		text_add_string(answer, "No password is set: everything goes in clear.\n");
		return true;
	}
	if (!d->passwords) {
		why_set(why, WHY_INVALID,
			"this router runs without a password: stop it, and launch it with one");
		return false;
	}
	switch (request->action) {
	case API_PASSWORD_SHOW:
		show(d, answer);
		return true;
	case API_PASSWORD_ROTATE:
		return rotate(d, request->text, answer, why);
	case API_PASSWORD_FINISH:
		return keep_one(d, true, request->force, answer, why);
	case API_PASSWORD_CANCEL:
		return keep_one(d, false, request->force, answer, why);
	}
	return false;
}
