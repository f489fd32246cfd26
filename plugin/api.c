#include "api.h"

#include <string.h>

#include <jansson.h>

#include <weave/alloc.h>
#include <weave/hostport.h>
#include <weave/must.h>

#include "query.h"
#include "status_render.h"
#include "template.h"

#define PATH_SIZE_MAX 1024u
#define PATH_ARGUMENTS_MAX 2

static const char type_text[] = "text/plain; charset=utf-8";
static const char type_json[] = "application/json";
static const char type_metrics[] = "text/plain; version=0.0.4; charset=utf-8";

/* One request on its way through its handler. */
struct exchange {
	const struct api_ops *ops;
	const struct api_request *request;
	struct api_response *response;
	struct query query;
	char *arguments[PATH_ARGUMENTS_MAX]; /* what stood for each "{}" */
};

struct route {
	const char *method, *pattern;
	void (*handle)(struct exchange *x);
	bool read_only;		/* answered on the read-only listener too */
	const char *parameters; /* names it knows, each followed by a blank */
};

/* --- answers ------------------------------------------------------------------------------ */

static void answer_error(struct api_response *r, unsigned status, const char *text)
{
	text_fini(&r->body);
	r->status = status;
	r->content_type = type_text;
	text_add(&r->body, "%s\n", text);
}

static void answer_why(struct exchange *x, const struct why *why)
{
	answer_error(x->response, why->reason == WHY_INVALID ? 400 : 500,
		     why->text[0] ? why->text : why_reason_text(why->reason));
}

/* Takes 'value'.  Weave Net indents by four. */
static void answer_json(struct exchange *x, unsigned status, json_t *value)
{
	x->response->status = status;
	x->response->content_type = type_json;
	/* What does not fit is noticed at the end of api_handle. */
	status_json_write(value, JSON_INDENT(4) | JSON_REAL_PRECISION(6), &x->response->body);
	text_add_string(&x->response->body, "\n");
	json_decref(value);
}

static void answer_addresses(struct exchange *x, const struct api_addresses *a)
{
	char cidr[CIDR_TEXT_SIZE];

	for (size_t i = 0; i < a->count; i++)
		text_add(&x->response->body, "%s%s", i ? " " : "", cidr_text(a->list[i], cidr));
	if (a->count)
		text_add_string(&x->response->body, "\n");
}

/* --- parameters --------------------------------------------------------------------------- */

/* True when there is none (then '*value' stays) or it is a truth value as Go parses them. */
static bool get_bool(struct exchange *x, const char *name, bool *value, struct why *why)
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

/* An address that a container can have: not the network's own name, no group, no loopback. */
static const char *unusable(struct cidr c)
{
	struct cidr network = cidr_network(c);
	unsigned host_bits = ip_bits(c.ip) - c.prefix;
	const uint8_t *b = c.ip.b;
	bool all_ones = true;

	if (c.prefix == 0)
		return "the prefix length must not be 0";
	if (c.ip.family == 4 ? b[0] >= 224 : b[0] == 0xff)
		return "this is not a unicast address";
	if (c.ip.family == 4 && (b[0] == 0 || b[0] == 127))
		return "this address never leaves a host";
	if (host_bits > 1 && ip_compare(network.ip, c.ip) == 0)
		return "this is the address of the network itself, not of a host in it";
	for (unsigned bit = c.prefix; bit < ip_bits(c.ip); bit++)
		all_ones = all_ones && (b[bit / 8] >> (7 - bit % 8) & 1);
	if (c.ip.family == 4 && host_bits > 1 && all_ones)
		return "this is the broadcast address of its network";
	return NULL;
}

static bool add_address(struct api_addresses *list, const char *text, struct why *why)
{
	struct cidr cidr;
	const char *wrong;

	if (!cidr_parse(text, &cidr)) {
		why_set(why, WHY_INVALID, "address '%.60s' is not <ip>/<prefix length>", text);
		return false;
	}
	wrong = unusable(cidr);
	if (wrong) {
		why_set(why, WHY_INVALID, "address '%.60s': %s", text, wrong);
		return false;
	}
	for (size_t i = 0; i < list->count; i++) {
		if (ip_compare(list->list[i].ip, cidr.ip) == 0) {
			why_set(why, WHY_INVALID, "address '%.60s' is given twice", text);
			return false;
		}
	}
	if (list->count == API_ADDRESSES_MAX) {
		why_set(why, WHY_INVALID, "more than %d addresses", API_ADDRESSES_MAX);
		return false;
	}
	list->list[list->count++] = cidr;
	return true;
}

/* All parameters "address". */
static bool get_addresses(struct exchange *x, struct api_addresses *list, struct why *why)
{
	for (size_t i = 0; i < x->query.count; i++)
		if (strcmp(x->query.list[i].name, "address") == 0 &&
		    !add_address(list, x->query.list[i].value, why))
			return false;
	return true;
}

/* Addresses to give: none were named, so somebody would have to choose them. */
static bool need_addresses(const struct api_addresses *list, struct why *why)
{
	if (list->count == 0)
		why_set(why, WHY_INVALID,
			"no address given: automatic addresses need IPAM, which this router does "
			"not run; give <ip>/<prefix length>");
	return list->count > 0;
}

/* All parameters "peer"; '*peers' is a new array of borrowed texts. */
static bool get_peers(struct exchange *x, const char ***peers, size_t *count, struct why *why)
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

static bool get_container(struct exchange *x, struct api_attach *a, struct why *why)
{
	a->id = query_get(&x->query, "id");
	a->netns = query_get(&x->query, "netns");
	if (!a->id || !*a->id) {
		why_set(why, WHY_INVALID, "parameter id is missing: which container?");
		return false;
	}
	if (strlen(a->id) >= API_ID_SIZE || !printable(a->id)) {
		why_set(why, WHY_INVALID, "parameter id: longer than %d bytes, or with blanks",
			API_ID_SIZE - 1);
		return false;
	}
	if (strcmp(a->id, API_EXPOSE_ID) == 0) {
		why_set(why, WHY_INVALID, "'%s' means the host: use expose and hide", a->id);
		return false;
	}
	if (a->netns && (a->netns[0] != '/' || strlen(a->netns) >= API_NETNS_SIZE)) {
		why_set(why, WHY_INVALID, "parameter netns: not an absolute path, or too long");
		return false;
	}
	return get_addresses(x, &a->addresses, why);
}

/* --- handlers ----------------------------------------------------------------------------- */

static void answer_status(struct exchange *x, void (*render)(const struct status *, struct text *),
			  json_t *(*json)(const struct status *))
{
	struct status s;

	status_init(&s);
	x->ops->status(x->ops->ctx, &s);
	if (x->request->wants_json) {
		answer_json(x, s.ready ? 200 : 503, json(&s));
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
		answer_why(x, &why);
	json_decref(report);
}

static void get_report(struct exchange *x)
{
	const char *format = query_get(&x->query, "format");
	json_t *report;
	struct status s;

	status_init(&s);
	x->ops->status(x->ops->ctx, &s);
	report = status_json(&s);
	status_fini(&s);
	if (format && !x->request->wants_json)
		answer_template(x, format, report);
	else
		answer_json(x, 200, report);
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

	if (!get_bool(x, "replace", &replace, &why) || !get_peers(x, &peers, &count, &why))
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
	answer_why(x, &why);
}

static void post_forget(struct exchange *x)
{
	const char **peers = NULL;
	struct why why = { 0 };
	size_t count;

	if (!get_peers(x, &peers, &count, &why))
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
	answer_why(x, &why);
}

static void post_attach(struct exchange *x)
{
	struct api_attach request = { .multicast_route = true };
	struct api_addresses done = { .count = 0 };
	struct why why = { 0 };

	if (!get_container(x, &request, &why) || !need_addresses(&request.addresses, &why) ||
	    !get_bool(x, "multicast-route", &request.multicast_route, &why)) {
		answer_why(x, &why);
		return;
	}
	if (!request.netns)
		answer_error(x->response, 400, "parameter netns is missing");
	else if (x->ops->attach(x->ops->ctx, &request, &done, &why))
		answer_addresses(x, &done);
	else
		answer_why(x, &why);
}

static void delete_attach(struct exchange *x)
{
	struct api_attach request = { .multicast_route = false };
	struct api_addresses done = { .count = 0 };
	struct why why = { 0 };

	if (get_container(x, &request, &why) && x->ops->detach(x->ops->ctx, &request, &done, &why))
		answer_addresses(x, &done);
	else
		answer_why(x, &why);
}

static void expose(struct exchange *x, const struct api_addresses *addresses)
{
	struct api_addresses done = { .count = 0 };
	struct why why = { 0 };
	bool skip_nat = false;

	if (need_addresses(addresses, &why) && get_bool(x, "skipNAT", &skip_nat, &why) &&
	    x->ops->expose(x->ops->ctx, addresses, !skip_nat, &done, &why))
		answer_addresses(x, &done);
	else
		answer_why(x, &why);
}

static void post_expose(struct exchange *x)
{
	struct api_addresses addresses = { .count = 0 };
	struct why why = { 0 };

	if (get_addresses(x, &addresses, &why))
		expose(x, &addresses);
	else
		answer_why(x, &why);
}

/* Weave Net's form: one address in the path, no body in the answer. */
static void post_expose_path(struct exchange *x)
{
	struct api_addresses addresses = { .count = 0 };
	struct text text = { 0 };
	struct why why = { 0 };

	text_add(&text, "%s/%s", x->arguments[0], x->arguments[1]);
	if (add_address(&addresses, text_string(&text), &why))
		expose(x, &addresses);
	else
		answer_why(x, &why);
	text_fini(&text);
	if (x->response->status == 200) {
		x->response->status = 204;
		text_fini(&x->response->body);
	}
}

static void delete_expose(struct exchange *x)
{
	struct api_addresses addresses = { .count = 0 }, done = { .count = 0 };
	struct why why = { 0 };

	if (get_addresses(x, &addresses, &why) &&
	    x->ops->hide(x->ops->ctx, &addresses, &done, &why))
		answer_addresses(x, &done);
	else
		answer_why(x, &why);
}

/* Docker's ids may be cut, like in `docker ps`. */
static bool id_matches(const char *id, const char *wanted)
{
	size_t length = strlen(wanted);

	return strcmp(id, wanted) == 0 ||
	       (length >= 12 && strlen(id) == 64 && strncmp(id, wanted, length) == 0);
}

static bool is_wanted(const struct exchange *x, const char *id)
{
	bool any = false;

	for (size_t i = 0; i < x->query.count; i++) {
		if (strcmp(x->query.list[i].name, "id") != 0)
			continue;
		if (id_matches(id, x->query.list[i].value))
			return true;
		any = true;
	}
	return !any;
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
		answer_json(x, 200, list);
	else
		json_decref(list);
	api_attachments_fini(&all);
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
	answer_error(x->response, 400, "parameter level: expected debug, info, warning or error");
}

static void post_stop(struct exchange *x)
{
	x->ops->stop(x->ops->ctx);
}

static void no_ipam(struct exchange *x)
{
	answer_error(x->response, 404, "this router does not run IPAM");
}

static void no_dns(struct exchange *x)
{
	answer_error(x->response, 404, "this router does not run WeaveDNS");
}

/* --- routes ------------------------------------------------------------------------------- */

/* Paths of components that are not there answer 404 to every parameter, as clients of Weave Net
 * expect. */
static const struct route routes[] = {
	{ "GET", "/status", get_status, true, "" },
	{ "GET", "/status/targets", get_targets, true, "" },
	{ "GET", "/status/connections", get_connections, true, "" },
	{ "GET", "/status/peers", get_status_peers, true, "" },
	{ "GET", "/status/dns", no_dns, true, NULL },
	{ "GET", "/status/ipam", no_ipam, true, NULL },
	{ "GET", "/report", get_report, true, "format " },
	{ "GET", "/metrics", get_metrics, true, "" },
	{ "GET", "/version", get_version, true, "" },
	{ "POST", "/connect", post_connect, false, "peer replace " },
	{ "POST", "/forget", post_forget, false, "peer " },
	{ "POST", "/attach", post_attach, false, "id netns address multicast-route " },
	{ "DELETE", "/attach", delete_attach, false, "id netns address " },
	{ "POST", "/expose", post_expose, false, "address skipNAT " },
	{ "POST", "/expose/{}/{}", post_expose_path, false, "skipNAT " },
	{ "DELETE", "/expose", delete_expose, false, "address " },
	{ "GET", "/ps", get_ps, false, "id " },
	{ "POST", "/log-level", post_log_level, false, "level " },
	{ "POST", "/stop", post_stop, false, "" },
	{ "GET", "/ring", no_ipam, false, NULL },
	{ "DELETE", "/peer", no_ipam, false, NULL },
	{ "DELETE", "/peer/{}", no_ipam, false, NULL },
	{ "GET", "/name", no_dns, false, NULL },
	{ "GET", "/domain", no_dns, false, NULL },
	{ "PUT", "/name/{}/{}", no_dns, false, NULL },
	{ "DELETE", "/name/{}/{}", no_dns, false, NULL },
};

bool api_route(size_t index, const char **method, const char **pattern, bool *read_only)
{
	if (index >= ARRAY_COUNT(routes))
		return false;
	*method = routes[index].method;
	*pattern = routes[index].pattern;
	*read_only = routes[index].read_only;
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

			MUST(found_count < PATH_ARGUMENTS_MAX);
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
		const char *found[PATH_ARGUMENTS_MAX] = { NULL };

		if (!match(routes[i].pattern, path, found))
			continue;
		if (strcmp(routes[i].method, method) != 0) {
			allow = allow ? "GET, POST, PUT, DELETE" : routes[i].method;
			continue;
		}
		for (size_t j = 0; j < PATH_ARGUMENTS_MAX && found[j]; j++) {
			x->arguments[j] = query_decode(found[j], strcspn(found[j], "/"), false);
			if (!x->arguments[j]) {
				answer_error(x->response, 400, "malformed percent-encoding");
				return NULL;
			}
		}
		return &routes[i];
	}
	x->response->allow = allow;
	answer_error(x->response, allow ? 405 : 404,
		     allow ? "this path does not know this method" : "no such path");
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
	if (r->read_only && !route->read_only) {
		answer_error(x->response, 403, "this address is read-only: use the API socket");
		return;
	}
	if (route->parameters &&
	    (!query_add(&x->query, query, strlen(query), &why) ||
	     !query_add(&x->query, r->form ? r->form : "", r->form ? r->form_size : 0, &why) ||
	     !check_parameters(x, route, &why))) {
		answer_why(x, &why);
		return;
	}
	route->handle(x);
}

void api_handle(const struct api_ops *ops, const struct api_request *request,
		struct api_response *response)
{
	struct exchange x = { .ops = ops, .request = request, .response = response };
	size_t path_size = strcspn(request->uri, "?#");
	const char *query = request->uri + path_size;
	char path[PATH_SIZE_MAX];

	*response = (struct api_response){ .status = 200, .content_type = type_text };
	if (path_size >= sizeof path) {
		answer_error(response, 414, "the path is too long");
		return;
	}
	memcpy(path, request->uri, path_size);
	path[path_size] = '\0';
	dispatch(&x, path, *query == '?' ? query + 1 : "");
	query_fini(&x.query);
	for (size_t i = 0; i < PATH_ARGUMENTS_MAX; i++)
		mem_free(x.arguments[i]);
	if (response->body.full)
		answer_error(response, 500, "the answer is too long");
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
