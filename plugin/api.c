#include "api_exchange.h"

#include <jansson.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/segment.h>

#include "status_render.h"
#include "template.h"

#define PATH_SIZE_MAX 1024u

static const char type_json[] = "application/json";
static const char type_metrics[] = "text/plain; version=0.0.4; charset=utf-8";

enum {
	READ_ONLY = 1, /* answered on the read-only listener too */
	IPAM = 2,      /* a part of IPAM: 404 without it, as clients of Weave Net expect */
	DNS = 4,       /* the same */
};

struct route {
	const char *method, *pattern;
	void (*handle)(struct exchange *x);
	unsigned flags;
	const char *parameters; /* names it knows, each followed by a blank */
};

/* --- answers ------------------------------------------------------------------------------ */

void exchange_error(struct exchange *x, unsigned status, const char *text)
{
	api_response_error(x->response, status, text);
}

void exchange_why(struct exchange *x, const struct why *why)
{
	api_response_why(x->response, why);
}

/* Weave Net indents by four. */
void exchange_json(struct exchange *x, unsigned status, json_t *value)
{
	x->response->status = status;
	x->response->content_type = type_json;
	/* What does not fit is noticed at the end. */
	status_json_write(value, JSON_INDENT(4) | JSON_REAL_PRECISION(6), &x->response->body);
	text_add_string(&x->response->body, "\n");
	json_decref(value);
}

struct api_reply *exchange_hand_over(struct exchange *x, enum api_shape shape)
{
	struct api_reply *reply = x->reply;

	reply->shape = shape;
	x->reply = NULL;
	x->response = NULL;
	return reply;
}

/* --- handlers ----------------------------------------------------------------------------- */

static void answer_status(struct exchange *x, void (*render)(const struct status *, struct text *),
			  json_t *(*json)(const struct status *))
{
	struct status s;

	status_init(&s);
	/* In JSON the whole status holds them, too. */
	s.dns.wanted = render == status_render_dns ||
		       (x->request->wants_json && json == status_json);
	x->ops->status(x->ops->ctx, &s);
	if (x->request->wants_json) {
		exchange_json(x, s.ready ? 200 : 503, json(&s));
	} else {
		x->response->status = s.ready ? 200 : 503;
		render(&s, &x->response->body);
	}
	status_fini(&s);
}

static void get_status(struct exchange *x)
{
	answer_status(x, status_render, status_json);
}

static void get_targets(struct exchange *x)
{
	answer_status(x, status_render_targets, status_json_targets);
}

static void get_connections(struct exchange *x)
{
	answer_status(x, status_render_connections, status_json_connections);
}

static void get_status_ipam(struct exchange *x)
{
	answer_status(x, status_render_ipam, status_json_ipam);
}

static void get_status_dns(struct exchange *x)
{
	answer_status(x, status_render_dns, status_json_dns);
}

static void get_status_networks(struct exchange *x)
{
	answer_status(x, status_render_networks, status_json_networks);
}

static void get_status_peers(struct exchange *x)
{
	answer_status(x, status_render_peers, status_json_peers);
}

/* Templates test optional parts with {{if .IPAM}}, so those that are absent are null there. */
static void answer_template(struct exchange *x, const char *format, json_t *report)
{
	static const char *const parts[] = { "IPAM", "DNS", "Proxy", "Plugin" };
	struct why why = { 0 };

	for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
		if (!json_object_get(report, parts[i]))
			json_object_set_new(report, parts[i], json_null());
	if (!template_render(format, report, &x->response->body, &why))
		exchange_why(x, &why);
	json_decref(report);
}

static void get_report(struct exchange *x)
{
	const char *format = query_get(&x->query, "format");
	json_t *report;
	struct status s;

	status_init(&s);
	s.dns.wanted = true;
	x->ops->status(x->ops->ctx, &s);
	report = status_json(&s);
	status_fini(&s);
	if (format && !x->request->wants_json)
		answer_template(x, format, report);
	else
		exchange_json(x, 200, report);
}

static void get_metrics(struct exchange *x)
{
	struct status s;

	status_init(&s);
	x->ops->status(x->ops->ctx, &s);
	x->response->content_type = type_metrics;
	metrics_render(&s, &x->response->body);
	status_fini(&s);
}

static void get_version(struct exchange *x)
{
	struct status s;

	status_init(&s);
	x->ops->status(x->ops->ctx, &s);
	text_add(&x->response->body, "%s\n", s.version ? s.version : "unknown");
	status_fini(&s);
}

static void post_connect(struct exchange *x)
{
	const char **peers = NULL;
	struct why why = { 0 };
	bool replace = false;
	size_t count;

	if (!exchange_bool(x, "replace", &replace, &why) ||
	    !exchange_peers(x, &peers, &count, &why))
		goto refused;
	if (count == 0 && !replace) {
		why_set(&why, WHY_INVALID, "parameter peer is missing: connect to whom?");
		goto refused;
	}
	if (!x->ops->connect(x->ops->ctx, peers, count, replace, &why))
		goto refused;
	mem_free(peers);
	return;
refused:
	mem_free(peers);
	exchange_why(x, &why);
}

static void post_forget(struct exchange *x)
{
	const char **peers = NULL;
	struct why why = { 0 };
	size_t count;

	if (!exchange_peers(x, &peers, &count, &why))
		goto refused;
	if (count == 0) {
		why_set(&why, WHY_INVALID, "parameter peer is missing: forget whom?");
		goto refused;
	}
	if (!x->ops->forget(x->ops->ctx, peers, count, &why))
		goto refused;
	mem_free(peers);
	return;
refused:
	mem_free(peers);
	exchange_why(x, &why);
}

static void post_attach(struct exchange *x)
{
	struct api_attach request = { .multicast_route = true,
				      .fqdn = query_get(&x->query, "fqdn") };
	struct why why = { 0 };

	if (!exchange_container(x, &request, &why) ||
	    !exchange_wants(x, &request.wants, true, &why) ||
	    !exchange_bool(x, "multicast-route", &request.multicast_route, &why))
		exchange_why(x, &why);
	else if (!request.netns)
		exchange_error(x, 400, "parameter netns is missing");
	else
		x->ops->attach(x->ops->ctx, &request, exchange_hand_over(x, API_LINE));
}

static void delete_attach(struct exchange *x)
{
	struct api_attach request = { .multicast_route = false };
	struct why why = { 0 };

	x->reply->brief = true;
	if (exchange_container(x, &request, &why) && exchange_wants(x, &request.wants, false, &why))
		x->ops->detach(x->ops->ctx, &request, exchange_hand_over(x, API_LINE));
	else
		exchange_why(x, &why);
}

static void expose(struct exchange *x, const struct api_wants *wants, enum api_shape shape)
{
	struct why why = { 0 };
	bool skip_nat = false;

	if (exchange_bool(x, "skipNAT", &skip_nat, &why))
		x->ops->expose(x->ops->ctx, wants, !skip_nat, query_get(&x->query, "fqdn"),
			       exchange_hand_over(x, shape));
	else
		exchange_why(x, &why);
}

static void post_expose(struct exchange *x)
{
	struct api_wants wants = { .count = 0 };
	struct why why = { 0 };

	if (exchange_wants(x, &wants, true, &why))
		expose(x, &wants, API_LINE);
	else
		exchange_why(x, &why);
}

/* Weave Net's form: one address in the path, no body in the answer. */
static void post_expose_path(struct exchange *x)
{
	struct api_wants wants = { .list = { { .type = API_WANT_ADDRESS } }, .count = 1 };
	struct text text = { 0 };
	struct why why = { 0 };

	text_add(&text, "%s/%s", x->arguments[0], x->arguments[1]);
	if (api_parse_address(text_string(&text), &wants.list[0].cidr, &why))
		expose(x, &wants, API_SILENT);
	else
		exchange_why(x, &why);
	text_fini(&text);
}

static void delete_expose(struct exchange *x)
{
	struct api_wants wants = { .count = 0 };
	struct why why = { 0 };

	x->reply->brief = true;
	if (exchange_wants(x, &wants, false, &why))
		x->ops->hide(x->ops->ctx, &wants, exchange_hand_over(x, API_LINE));
	else
		exchange_why(x, &why);
}

/* Docker's ids may be cut, like in `docker ps`. */
static bool id_matches(const char *id, const char *wanted)
{
	size_t length = strlen(wanted);

	return strcmp(id, wanted) == 0 ||
	       (length >= 12 && strlen(id) == 64 && strncmp(id, wanted, length) == 0);
}

/* By the id, or by a namespace that is attached under it: a container may share another's. */
static bool is_wanted(const struct exchange *x, const char *id)
{
	for (size_t i = 0; i < x->query.count; i++) {
		const char *value = x->query.list[i].value;
		char shared[API_ID_SIZE];

		if (strcmp(x->query.list[i].name, "id") == 0
			    ? id_matches(id, value)
			    : x->ops->attached_as(x->ops->ctx, value, shared) &&
				      strcmp(id, shared) == 0)
			return true;
	}
	return x->query.count == 0;
}

/* The host's own line comes first. */
static void get_ps(struct exchange *x)
{
	struct api_attachments all = { .count = 0 };
	json_t *list = json_array();

	x->ops->attachments(x->ops->ctx, &all);
	for (int host = 1; host >= 0; host--) {
		for (size_t i = 0; i < all.count; i++) {
			const struct api_attachment *a = &all.list[i];

			if ((strcmp(a->id, API_EXPOSE_ID) == 0) != host || !is_wanted(x, a->id))
				continue;
			if (x->request->wants_json)
				json_array_append_new(list, status_json_attachment(a));
			else
				status_render_attachment(a, &x->response->body);
		}
	}
	if (x->request->wants_json)
		exchange_json(x, 200, list);
	else
		json_decref(list);
	api_attachments_fini(&all);
}

/* 0 when none is given. */
static bool segment_number(struct exchange *x, uint32_t *number, struct why *why)
{
	const char *text = query_get(&x->query, "number");
	size_t digits = text ? strspn(text, "0123456789") : 0;
	uint32_t value = 0;

	*number = 0;
	if (!text)
		return true;
	for (size_t i = 0; i < digits && value <= SEGMENT_MAX; i++)
		value = value * 10 + (uint32_t)(text[i] - '0');
	if (digits && !text[digits] && value >= 1 && value <= SEGMENT_MAX) {
		*number = value;
		return true;
	}
	why_set(why, WHY_INVALID, "parameter number: '%.40s' is not between 1 and %u", text,
		SEGMENT_MAX);
	return false;
}

static void post_network(struct exchange *x)
{
	const char *name = query_get(&x->query, "name");
	struct why why = { 0 };
	uint32_t number;

	if (!name) {
		exchange_error(x, 400, "parameter name is missing: which network?");
	} else if (!segment_number(x, &number, &why) ||
		   !x->ops->network_open(x->ops->ctx, name, number, &x->response->body, &why)) {
		text_fini(&x->response->body);
		exchange_why(x, &why);
	} else {
		text_add_string(&x->response->body, "\n");
	}
}

static void delete_network(struct exchange *x)
{
	const char *name = query_get(&x->query, "name");
	struct why why = { 0 };

	if (!name)
		exchange_error(x, 400, "parameter name is missing: which network?");
	else if (!x->ops->network_close(x->ops->ctx, name, &why))
		exchange_why(x, &why);
}

static void do_password(struct exchange *x, const struct api_password *request)
{
	struct why why = { 0 };

	if (!x->ops->password(x->ops->ctx, request, &x->response->body, &why)) {
		text_fini(&x->response->body);
		exchange_why(x, &why);
	}
}

static void get_password(struct exchange *x)
{
	do_password(x, &(struct api_password){ .action = API_PASSWORD_SHOW });
}

static void post_password(struct exchange *x)
{
	static const char *const actions[] = { "show", "rotate", "finish", "cancel" };
	const char *action = query_get(&x->query, "action");
	struct api_password request = { .text = query_get(&x->query, "password") };
	struct why why = { 0 };

	for (size_t i = 1; action && i < ARRAY_COUNT(actions); i++)
		if (strcmp(action, actions[i]) == 0)
			request.action = (enum api_password_action)i;
	if (request.action == API_PASSWORD_SHOW)
		exchange_error(x, 400, "parameter action: expected rotate, finish or cancel");
	else if ((request.action == API_PASSWORD_ROTATE) != (request.text != NULL))
		exchange_error(x, 400, "parameter password: rotate needs it, the others take none");
	else if (!exchange_bool(x, "force", &request.force, &why))
		exchange_why(x, &why);
	else
		do_password(x, &request);
}

static void post_log_level(struct exchange *x)
{
	static const char *const levels[] = { "debug", "info", "warning", "error" };
	const char *level = query_get(&x->query, "level");

	for (size_t i = 0; level && i < ARRAY_COUNT(levels); i++) {
		if (strcmp(level, levels[i]) == 0) {
			x->ops->log_level(x->ops->ctx, (enum log_level)i);
			return;
		}
	}
	exchange_error(x, 400, "parameter level: expected debug, info, warning or error");
}

/* The body is Docker's; what is ours stands in the query. */
static void post_docker(struct exchange *x)
{
	static const char name[] = "?asked=";
	const char *query = strchr(x->request->uri, '?');
	struct bytes body = bytes_of(x->request->form, x->request->form_size);
	uint64_t asked_ms = 0;

	if (query && strncmp(query, name, sizeof name - 1) == 0)
		for (const char *c = query + sizeof name - 1; *c >= '0' && *c <= '9'; c++)
			asked_ms = asked_ms * 10 + (uint64_t)(*c - '0');
	x->ops->docker(x->ops->ctx, x->arguments[0], body, asked_ms,
		       exchange_hand_over(x, API_LINE));
}

static void post_stop(struct exchange *x)
{
	x->ops->stop(x->ops->ctx);
}

/* --- routes ------------------------------------------------------------------------------- */

/* A component that is not there answers 404 to every parameter, as clients of Weave Net expect. */
static const struct route routes[] = {
	{ "GET", "/status", get_status, READ_ONLY, "" },
	{ "GET", "/status/targets", get_targets, READ_ONLY, "" },
	{ "GET", "/status/connections", get_connections, READ_ONLY, "" },
	{ "GET", "/status/peers", get_status_peers, READ_ONLY, "" },
	{ "GET", "/status/dns", get_status_dns, READ_ONLY | DNS, "" },
	{ "GET", "/status/ipam", get_status_ipam, READ_ONLY | IPAM, "" },
	{ "GET", "/status/networks", get_status_networks, READ_ONLY, "" },
	{ "GET", "/report", get_report, READ_ONLY, "format " },
	{ "GET", "/metrics", get_metrics, READ_ONLY, "" },
	{ "GET", "/version", get_version, READ_ONLY, "" },
	{ "POST", "/connect", post_connect, 0, "peer replace " },
	{ "POST", "/forget", post_forget, 0, "peer " },
	{ "POST", "/attach", post_attach, 0, "id netns network address multicast-route fqdn " },
	{ "DELETE", "/attach", delete_attach, 0, "id netns network address " },
	{ "POST", "/expose", post_expose, 0, "address skipNAT fqdn " },
	{ "POST", "/expose/{}/{}", post_expose_path, 0, "skipNAT fqdn " },
	{ "DELETE", "/expose", delete_expose, 0, "address " },
	{ "POST", "/network", post_network, 0, "name number " },
	{ "DELETE", "/network", delete_network, 0, "name " },
	{ "GET", "/ps", get_ps, 0, "id netns " },
	{ "GET", "/password", get_password, 0, "" },
	{ "POST", "/password", post_password, 0, "action password force " },
	{ "POST", "/log-level", post_log_level, 0, "level " },
	{ "POST", "/docker/{}", post_docker, 0, NULL },
	{ "POST", "/stop", post_stop, 0, "" },
	{ "POST", "/ip/{}", api_post_ip, IPAM, "check-alive " },
	{ "POST", "/ip/{}/{}/{}", api_post_ip, IPAM, "check-alive " },
	{ "GET", "/ip", api_get_owned, IPAM, "" },
	{ "GET", "/ip/{}", api_get_ip, IPAM, "" },
	{ "GET", "/ip/{}/{}/{}", api_get_ip, IPAM, "" },
	{ "PUT", "/ip/{}/{}/{}", api_put_ip, IPAM, "check-alive noErrorOnUnknown " },
	{ "DELETE", "/ip/{}", api_delete_ip, IPAM, "" },
	{ "DELETE", "/ip/{}/{}", api_delete_ip, IPAM, "" },
	{ "GET", "/ring", api_get_ring, IPAM, "" },
	{ "DELETE", "/peer", api_hand_over, IPAM, "force " },
	{ "DELETE", "/peer/{}", api_delete_peer, IPAM, "force " },
	{ "GET", "/ipinfo/defaultsubnet", api_get_default_subnet, IPAM, "" },
	{ "GET", "/ipinfo/tracker", api_get_tracker, IPAM, "" },
	{ "GET", "/name", api_get_names, DNS, "" },
	{ "PUT", "/name/{}/{}", api_put_name, DNS, "fqdn check-alive " },
	{ "DELETE", "/name/{}/{}", api_delete_name, DNS, "fqdn " },
	{ "DELETE", "/name/{}", api_delete_name, DNS, "fqdn " },
	{ "DELETE", "/name", api_delete_name, DNS, "fqdn " },
	{ "GET", "/domain", api_get_domain, DNS, "" },
	{ "GET", "/dns-address", api_get_dns_address, DNS, "" },
	{ "GET", "/dns-address-port", api_get_dns_address_port, DNS, "" },
};

bool api_route(size_t index, const char **method, const char **pattern, bool *read_only)
{
	if (index >= ARRAY_COUNT(routes))
		return false;
	*method = routes[index].method;
	*pattern = routes[index].pattern;
	*read_only = routes[index].flags & READ_ONLY;
	return true;
}

/* Whether 'path' fits the pattern; then the segments that stood for "{}" are in 'found', still
 * encoded, up to the next '/' or the end. */
static bool match(const char *pattern, const char *path, const char **found)
{
	size_t found_count = 0;

	while (*pattern) {
		if (strncmp(pattern, "{}", 2) == 0) {
			size_t size = strcspn(path, "/");

			MUST(found_count < API_PATH_ARGUMENTS_MAX);
			if (size == 0)
				return false;
			found[found_count++] = path;
			path += size;
			pattern += 2;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

/* The route of the request, or NULL after the answer that there is none. */
static const struct route *find_route(struct exchange *x, const char *path)
{
	const char *allow = NULL, *method = x->request->method;

	/* HEAD is GET whose body the server leaves out (RFC 9110, 9.3.2). */
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < ARRAY_COUNT(routes); i++) {
		const char *found[API_PATH_ARGUMENTS_MAX] = { NULL };

		if (!match(routes[i].pattern, path, found))
			continue;
		if (strcmp(routes[i].method, method) != 0) {
			allow = allow ? "GET, POST, PUT, DELETE" : routes[i].method;
			continue;
		}
		for (size_t j = 0; j < API_PATH_ARGUMENTS_MAX && found[j]; j++) {
			x->arguments[j] = query_decode(found[j], strcspn(found[j], "/"), false);
			if (!x->arguments[j]) {
				exchange_error(x, 400, "malformed percent-encoding");
				return NULL;
			}
		}
		return &routes[i];
	}
	exchange_error(x, allow ? 405 : 404,
		       allow ? "this path does not know this method" : "no such path");
	x->response->allow = allow;
	return NULL;
}

static bool known_parameter(const struct route *route, const char *name)
{
	size_t size = strlen(name);

	for (const char *p = route->parameters; *p; p += strcspn(p, " ") + 1)
		if (strcspn(p, " ") == size && memcmp(p, name, size) == 0)
			return true;
	return false;
}

static bool check_parameters(struct exchange *x, const struct route *route, struct why *why)
{
	for (size_t i = 0; i < x->query.count; i++) {
		if (known_parameter(route, x->query.list[i].name))
			continue;
		why_set(why, WHY_INVALID, "unknown parameter '%.60s'", x->query.list[i].name);
		return false;
	}
	return true;
}

static void dispatch(struct exchange *x, const char *path, const char *query)
{
	const struct route *route = find_route(x, path);
	const struct api_request *r = x->request;
	struct why why = { 0 };

	if (!route)
		return;
	if (r->read_only && !(route->flags & READ_ONLY)) {
		exchange_error(x, 403, "this address is read-only: use the API socket");
		return;
	}
	if (route->flags & IPAM && !x->ops->has_ipam(x->ops->ctx)) {
		exchange_error(x, 404, "this router does not run IPAM");
		return;
	}
	if (route->flags & DNS && !x->ops->has_dns(x->ops->ctx)) {
		exchange_error(x, 404, "this router does not run WeaveDNS");
		return;
	}
	if (route->parameters &&
	    (!query_add(&x->query, query, strlen(query), &why) ||
	     !query_add(&x->query, r->form ? r->form : "", r->form ? r->form_size : 0, &why) ||
	     !check_parameters(x, route, &why))) {
		exchange_why(x, &why);
		return;
	}
	route->handle(x);
}

static void split_path(struct exchange *x)
{
	size_t path_size = strcspn(x->request->uri, "?#");
	const char *query = x->request->uri + path_size;
	char path[PATH_SIZE_MAX];

	if (path_size >= sizeof path) {
		exchange_error(x, 414, "the path is too long");
		return;
	}
	memcpy(path, x->request->uri, path_size);
	path[path_size] = '\0';
	dispatch(x, path, *query == '?' ? query + 1 : "");
}

void api_handle(const struct api_ops *ops, const struct api_request *request,
		struct api_reply *reply)
{
	struct exchange x = {
		.ops = ops, .request = request, .reply = reply, .response = &reply->response
	};

	split_path(&x);
	query_fini(&x.query);
	for (size_t i = 0; i < API_PATH_ARGUMENTS_MAX; i++)
		mem_free(x.arguments[i]);
	if (x.reply) /* no operation has it */
		api_reply_finish(reply);
}

struct api_attachment *api_attachments_add(struct api_attachments *a)
{
	if ((a->count & (a->count - 1)) == 0)
		a->list = mem_resize(a->list, a->count ? 2 * a->count : 1, sizeof *a->list);
	a->list[a->count] = (struct api_attachment){ .id = "" };
	return &a->list[a->count++];
}

void api_attachments_fini(struct api_attachments *a)
{
	mem_free(a->list);
	*a = (struct api_attachments){ .count = 0 };
}
