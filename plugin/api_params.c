#include "api_exchange.h"

#include <weave/alloc.h>
#include <weave/attach.h>
#include <weave/hostport.h>
#include <weave/must.h>
#include <weave/segment.h>

bool exchange_bool(struct exchange *x, const char *name, bool *value, struct why *why)
{
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	const char *text = query_get(&x->query, name);

	for (size_t i = 0; text && i < ARRAY_COUNT(yes); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*value = strcmp(text, yes[i]) == 0;
			return true;
		}
	}
	if (text)
		why_set(why, WHY_INVALID, "parameter %s: '%.40s' is neither true nor false", name,
			text);
	return !text;
}

/* --- addresses ---------------------------------------------------------------------------- */

bool api_parse_address(const char *text, struct cidr *out, struct why *why)
{
	if (cidr_parse(text, out))
		return attach_check_cidr(*out, why) == 0;
	why_set(why, WHY_INVALID, "address '%.60s' is not <ip>/<prefix length>", text);
	return false;
}

bool api_parse_subnet(const char *text, struct cidr *out, struct why *why)
{
	char network[CIDR_TEXT_SIZE];

	if (!cidr_parse(text, out)) {
		why_set(why, WHY_INVALID, "subnet '%.60s' is not <ip>/<prefix length>", text);
		return false;
	}
	if (ip_bits(out->ip) - out->prefix < 2) {
		why_set(why, WHY_INVALID, "subnet '%.60s' is smaller than 4 addresses", text);
		return false;
	}
	if (ip_compare(cidr_network(*out).ip, out->ip) != 0) {
		why_set(why, WHY_INVALID, "subnet '%.60s' has bits of a host in it: %s is meant?",
			text, cidr_text(cidr_network(*out), network));
		return false;
	}
	return true;
}

static bool parse_want(const char *text, struct api_want *want, struct why *why)
{
	*want = (struct api_want){ .type = API_WANT_ADDRESS };
	if (strcmp(text, "net:default") == 0) {
		want->type = API_WANT_DEFAULT;
		return true;
	}
	if (strncmp(text, "net:", 4) == 0) {
		want->type = API_WANT_SUBNET;
		return api_parse_subnet(text + 4, &want->cidr, why);
	}
	return api_parse_address(strncmp(text, "ip:", 3) == 0 ? text + 3 : text, &want->cidr, why);
}

static bool same_want(const struct api_want *a, const struct api_want *b)
{
	if (a->type != b->type)
		return false;
	return a->type == API_WANT_DEFAULT ||
	       (ip_compare(a->cidr.ip, b->cidr.ip) == 0 &&
		(a->type == API_WANT_ADDRESS || a->cidr.prefix == b->cidr.prefix));
}

bool api_add_want(struct api_wants *wants, const char *text, struct why *why)
{
	struct api_want want;

	if (!parse_want(text, &want, why))
		return false;
	for (size_t i = 0; i < wants->count; i++) {
		if (same_want(&wants->list[i], &want)) {
			why_set(why, WHY_INVALID, "address '%.60s' is given twice", text);
			return false;
		}
	}
	if (wants->count == API_ADDRESSES_MAX) {
		why_set(why, WHY_INVALID, "more than %d addresses", API_ADDRESSES_MAX);
		return false;
	}
	wants->list[wants->count++] = want;
	return true;
}

/* Somebody would have to choose an address: says for what. */
static bool needs_ipam(const struct api_wants *wants, bool give, struct text *what)
{
	char cidr[CIDR_TEXT_SIZE];

	for (size_t i = 0; i < wants->count; i++) {
		const struct api_want *w = &wants->list[i];

		if (w->type == API_WANT_ADDRESS)
			continue;
		text_add(what, "'net:%s'",
			 w->type == API_WANT_DEFAULT ? "default" : cidr_text(w->cidr, cidr));
		return true;
	}
	text_add_string(what, "no address given");
	return give && wants->count == 0;
}

bool exchange_wants(struct exchange *x, struct api_wants *wants, bool give, struct why *why)
{
	struct text what = { 0 };
	bool ok;

	for (size_t i = 0; i < x->query.count; i++)
		if (strcmp(x->query.list[i].name, "address") == 0 &&
		    !api_add_want(wants, x->query.list[i].value, why))
			return false;
	ok = !needs_ipam(wants, give, &what) || x->ops->has_ipam(x->ops->ctx);
	if (!ok)
		why_set(why, WHY_INVALID,
			"%s: automatic addresses need IPAM, which this router does not run; give "
			"<ip>/<prefix length>",
			text_string(&what));
	text_fini(&what);
	return ok;
}

/* --- names -------------------------------------------------------------------------------- */

bool exchange_peers(struct exchange *x, const char ***peers, size_t *count, struct why *why)
{
	struct hostport parsed;

	*peers = mem_new(x->query.count + 1, sizeof **peers);
	*count = 0;
	for (size_t i = 0; i < x->query.count; i++) {
		if (strcmp(x->query.list[i].name, "peer") != 0)
			continue;
		if (!hostport_parse(x->query.list[i].value, &parsed, why))
			return false;
		if (*count == API_PEERS_MAX) {
			why_set(why, WHY_INVALID, "more than %d peers", API_PEERS_MAX);
			return false;
		}
		(*peers)[(*count)++] = x->query.list[i].value;
	}
	return true;
}

static bool printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= 0x20 || *text == 0x7f)
			return false;
	return true;
}

bool api_check_id(const char *id, const char *what, struct why *why)
{
	if (strlen(id) < API_ID_SIZE && printable(id))
		return true;
	why_set(why, WHY_INVALID, "%s: longer than %d bytes, or with blanks", what,
		API_ID_SIZE - 1);
	return false;
}

bool exchange_container(struct exchange *x, struct api_attach *a, struct why *why)
{
	a->id = query_get(&x->query, "id");
	a->netns = query_get(&x->query, "netns");
	a->network = query_get(&x->query, "network");
	if (!a->network)
		a->network = SEGMENT_DEFAULT_KEY;
	if (!segment_key_ok(a->network)) {
		why_set(why, WHY_INVALID, "parameter network: '%.40s' is no name of a network",
			a->network);
		return false;
	}
	if (!a->id || !*a->id) {
		why_set(why, WHY_INVALID, "parameter id is missing: which container?");
		return false;
	}
	if (!api_check_id(a->id, "parameter id", why))
		return false;
	if (strcmp(a->id, API_EXPOSE_ID) == 0) {
		why_set(why, WHY_INVALID, "'%s' means the host: use expose and hide", a->id);
		return false;
	}
	if (a->netns && (a->netns[0] != '/' || strlen(a->netns) >= API_NETNS_SIZE)) {
		why_set(why, WHY_INVALID, "parameter netns: not an absolute path, or too long");
		return false;
	}
	return true;
}
