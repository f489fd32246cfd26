/* The paths of Weave Net's IPAM. */
#include "api_exchange.h"

#include <jansson.h>

#include <weave/must.h>

#include "status_render.h"

/* Weave Net's clients say so when they do not know the container; the address stands for it. */
#define UNKNOWN_ID "_"

/* The first argument, a container's identity.  'address' is what stands for an unknown one. */
static bool get_id(struct exchange *x, const char *address, const char **id, struct why *why)
{
	*id = x->arguments[0];
	if (strcmp(*id, UNKNOWN_ID) != 0)
		return api_check_id(*id, "the container's id", why);
	*id = address;
	if (!address)
		why_set(why, WHY_INVALID, "'" UNKNOWN_ID "' stands for no container: give its id");
	return address != NULL;
}

/* "{a}/{b}" of the second and third argument. */
static void join_cidr(const struct exchange *x, struct text *text)
{
	text_add(text, "%s/%s", x->arguments[1], x->arguments[2]);
}

/* The subnet of the path, '*subnet' NULL when there is none. */
static bool get_subnet(struct exchange *x, struct cidr *room, const struct cidr **subnet,
		       struct why *why)
{
	struct text text = { 0 };
	bool ok;

	*subnet = NULL;
	if (!x->arguments[1])
		return true;
	join_cidr(x, &text);
	ok = api_parse_subnet(text_string(&text), room, why);
	text_fini(&text);
	*subnet = room;
	return ok;
}

void api_post_ip(struct exchange *x)
{
	const struct cidr *subnet;
	struct why why = { 0 };
	struct cidr room;
	const char *id;
	bool check_alive = false; /* this router sees by itself when containers die */

	if (get_id(x, NULL, &id, &why) && get_subnet(x, &room, &subnet, &why) &&
	    exchange_bool(x, "check-alive", &check_alive, &why))
		x->ops->allocate(x->ops->ctx, id, subnet, exchange_hand_over(x, API_VALUE));
	else
		exchange_why(x, &why);
}

void api_get_ip(struct exchange *x)
{
	struct api_addresses found = { .count = 0 };
	const struct cidr *subnet;
	struct why why = { 0 };
	struct cidr room;
	const char *id;

	if (get_id(x, NULL, &id, &why) && get_subnet(x, &room, &subnet, &why) &&
	    x->ops->lookup(x->ops->ctx, id, subnet, &found, &why))
		api_response_addresses(x->response, &found, API_VALUE);
	else
		exchange_why(x, &why);
}

void api_put_ip(struct exchange *x)
{
	bool check_alive = false, no_error_on_unknown = false;
	struct text text = { 0 };
	struct why why = { 0 };
	struct cidr address;
	const char *id;

	join_cidr(x, &text);
	if (api_parse_address(text_string(&text), &address, &why) &&
	    get_id(x, x->arguments[1], &id, &why) &&
	    exchange_bool(x, "check-alive", &check_alive, &why) &&
	    exchange_bool(x, "noErrorOnUnknown", &no_error_on_unknown, &why))
		x->ops->claim(x->ops->ctx, id, address, no_error_on_unknown,
			      exchange_hand_over(x, API_SILENT));
	else
		exchange_why(x, &why);
	text_fini(&text);
}

void api_delete_ip(struct exchange *x)
{
	const char *id, *text = x->arguments[1];
	struct why why = { 0 };
	struct ip_addr address;

	if (text && !ip_parse(text, &address))
		why_set(&why, WHY_INVALID, "'%.60s' is no IP address", text);
	else if (get_id(x, text, &id, &why) &&
		 x->ops->release(x->ops->ctx, id, text ? &address : NULL, &why))
		x->response->status = 204;
	if (x->response->status != 204)
		exchange_why(x, &why);
}

void api_get_owned(struct exchange *x)
{
	struct api_attachments all = { .count = 0 };

	x->ops->owned(x->ops->ctx, &all);
	exchange_json(x, 200, status_json_owned(&all));
	api_attachments_fini(&all);
}

void api_get_ring(struct exchange *x)
{
	x->ops->prime(x->ops->ctx, exchange_hand_over(x, API_LINE));
}

void api_delete_peer(struct exchange *x)
{
	struct why why = { 0 };
	bool force = false;

	if (api_check_id(x->arguments[0], "the peer", &why) &&
	    exchange_bool(x, "force", &force, &why))
		x->ops->remove_peer(x->ops->ctx, x->arguments[0], force,
				    exchange_hand_over(x, API_LINE));
	else
		exchange_why(x, &why);
}

void api_hand_over(struct exchange *x)
{
	struct why why = { 0 };
	bool force = false;

	if (exchange_bool(x, "force", &force, &why))
		x->ops->hand_over(x->ops->ctx, force, exchange_hand_over(x, API_SILENT));
	else
		exchange_why(x, &why);
}

void api_get_default_subnet(struct exchange *x)
{
	struct api_addresses subnets = { .count = 0 };

	x->ops->default_subnets(x->ops->ctx, &subnets);
	api_response_addresses(x->response, &subnets, API_VALUE);
}

/* Weave Net names who else is told of addresses (AWS): here nobody is. */
void api_get_tracker(struct exchange *x)
{
	(void)x;
}
