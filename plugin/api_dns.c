/* The paths of WeaveDNS. */
#include "api_exchange.h"

#include <jansson.h>

#include "status_render.h"

#define UNKNOWN_ID "_" /* the address stands for a container that nobody knows */

/* The container and the address of the path, as far as they are there. */
static bool get_target(struct exchange *x, const char **id, struct ip_addr *address,
		       struct why *why)
{
	const char *text = x->arguments[0] ? x->arguments[1] : NULL;

	*address = (struct ip_addr){ 0 };
	*id = x->arguments[0];
	if (text && !ip_parse(text, address)) {
		why_set(why, WHY_INVALID, "'%.60s' is no IP address", text);
		return false;
	}
	if (*id && strcmp(*id, UNKNOWN_ID) == 0 && text)
		*id = text;
	return !*id || api_check_id(*id, "the container's id", why);
}

void api_put_name(struct exchange *x)
{
	const char *fqdn = query_get(&x->query, "fqdn"), *id;
	bool check_alive = false; /* this router sees by itself when containers die */
	struct ip_addr address;
	struct why why = { 0 };

	if (!fqdn || !*fqdn)
		exchange_error(x, 400, "parameter fqdn is missing: which name?");
	else if (get_target(x, &id, &address, &why) &&
		 exchange_bool(x, "check-alive", &check_alive, &why) &&
		 x->ops->put_name(x->ops->ctx, id, fqdn, address, &why))
		x->response->status = 204;
	else
		exchange_why(x, &why);
}

void api_delete_name(struct exchange *x)
{
	const char *fqdn = query_get(&x->query, "fqdn"), *id;
	struct ip_addr address;
	struct why why = { 0 };

	if (!get_target(x, &id, &address, &why)) {
		exchange_why(x, &why);
		return;
	}
	x->ops->remove_names(x->ops->ctx, id, fqdn && *fqdn ? fqdn : NULL,
			     id && x->arguments[1] ? &address : NULL);
	x->response->status = 204;
}

static void answer_from_status(struct exchange *x, bool with_names,
			       void (*answer)(struct exchange *x, const struct status *s))
{
	struct status s;

	status_init(&s);
	s.dns.wanted = with_names;
	x->ops->status(x->ops->ctx, &s);
	answer(x, &s);
	status_fini(&s);
}

static void names(struct exchange *x, const struct status *s)
{
	exchange_json(x, 200, status_json_names(s));
}

void api_get_names(struct exchange *x)
{
	answer_from_status(x, true, names);
}

static void domain(struct exchange *x, const struct status *s)
{
	text_add_string(&x->response->body, s->dns.domain);
}

void api_get_domain(struct exchange *x)
{
	answer_from_status(x, false, domain);
}

static bool answers_anywhere(struct exchange *x, const struct status *s)
{
	if (s->dns.addresses_count == 0)
		exchange_error(x, 500,
			       "DNS is answered nowhere: there is no Docker bridge, and nothing is "
			       "exposed; weave expose, or launch with --dns-listen-address");
	return s->dns.addresses_count > 0;
}

static void address(struct exchange *x, const struct status *s)
{
	char text[IP_TEXT_SIZE];

	if (!answers_anywhere(x, s))
		return;
	text_add_string(&x->response->body, s->dns.addresses[0].ip.family
						    ? ip_text(s->dns.addresses[0].ip, text)
						    : "0.0.0.0");
}

void api_get_dns_address(struct exchange *x)
{
	answer_from_status(x, false, address);
}

static void address_port(struct exchange *x, const struct status *s)
{
	if (answers_anywhere(x, s))
		text_add_string(&x->response->body, s->dns.address_texts[0]);
}

void api_get_dns_address_port(struct exchange *x)
{
	answer_from_status(x, false, address_port);
}
