/* What the handlers of the API share: one request on its way, its parameters, its answers.
 *
 * Pure; loop thread; private to plugin/api*.c.
 */
#ifndef WEAVE_PLUGIN_API_EXCHANGE_H
#define WEAVE_PLUGIN_API_EXCHANGE_H

#include <string.h>

#include "api.h"
#include "query.h"

struct json_t;

#define API_PATH_ARGUMENTS_MAX 3

extern const char api_type_text[];

struct exchange {
	const struct api_ops *ops;
	const struct api_request *request;
	struct api_reply *reply;
	struct api_response *response; /* the reply's; not after exchange_hand_over */
	struct query query;
	char *arguments[API_PATH_ARGUMENTS_MAX]; /* what stood for each "{}" */
};

/* --- answers --- */
void api_response_error(struct api_response *r, unsigned status, const char *text);
void api_response_why(struct api_response *r, const struct why *why);
void api_response_addresses(struct api_response *r, const struct api_addresses *a,
			    enum api_shape shape);
/* The response is complete: tells who waits. */
void api_reply_finish(struct api_reply *r);

void exchange_error(struct exchange *x, unsigned status, const char *text);
void exchange_why(struct exchange *x, const struct why *why);
/* Takes 'value'. */
void exchange_json(struct exchange *x, unsigned status, struct json_t *value);
/* The reply, which is the operation's from now on. */
struct api_reply *exchange_hand_over(struct exchange *x, enum api_shape shape);

/* --- parameters; false with 'why' when they are wrong (api_params.c) --- */

/* True when there is none (then '*value' stays) or it is a truth value as Go parses them. */
bool exchange_bool(struct exchange *x, const char *name, bool *value, struct why *why);
/* "<ip>/<len>": an address that a container can have. */
bool api_parse_address(const char *text, struct cidr *out, struct why *why);
/* "<ip>/<len>": a network of at least 4 addresses. */
bool api_parse_subnet(const char *text, struct cidr *out, struct why *why);
/* An address, or ip:..., or net:...; not one that is there already. */
bool api_add_want(struct api_wants *wants, const char *text, struct why *why);
/* All parameters "address".  Without IPAM only addresses themselves; with 'give' at least one. */
bool exchange_wants(struct exchange *x, struct api_wants *wants, bool give, struct why *why);
/* All parameters "peer"; '*peers' is a new array of borrowed texts. */
bool exchange_peers(struct exchange *x, const char ***peers, size_t *count, struct why *why);
/* A container's identity or another word without blanks; 'what' names it. */
bool api_check_id(const char *id, const char *what, struct why *why);
/* id= and netns=. */
bool exchange_container(struct exchange *x, struct api_attach *a, struct why *why);

/* --- handlers of api_ipam.c --- */
void api_post_ip(struct exchange *x);
void api_get_ip(struct exchange *x);
void api_put_ip(struct exchange *x);
void api_delete_ip(struct exchange *x);
void api_get_owned(struct exchange *x);
void api_get_ring(struct exchange *x);
void api_delete_peer(struct exchange *x);
void api_hand_over(struct exchange *x);
void api_get_default_subnet(struct exchange *x);
void api_get_tracker(struct exchange *x);

/* --- handlers of api_dns.c --- */
void api_put_name(struct exchange *x);
void api_delete_name(struct exchange *x);
void api_get_names(struct exchange *x);
void api_get_domain(struct exchange *x);
void api_get_dns_address(struct exchange *x);
void api_get_dns_address_port(struct exchange *x);

#endif
