#include <weave/docker.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <weave/must.h>
#include <weave/segment.h>

#include "status_render.h"

#define DEPTH_MAX 64 /* of nested JSON */
#define POOL_PREFIX "weave-"

static const struct {
	const char *path;
	enum docker_who who;
} calls[] = {
#define X(name, path, who) { path, DOCKER_##who },
	DOCKER_CALLS(X)
#undef X
};

bool docker_call_find(const char *path, enum docker_call *call)
{
	for (size_t i = 0; i < ARRAY_COUNT(calls); i++) {
		if (strcmp(calls[i].path, path) == 0) {
			*call = (enum docker_call)i;
			return true;
		}
	}
	return false;
}

const char *docker_call_path(enum docker_call call)
{
	return calls[call].path;
}

enum docker_who docker_call_who(enum docker_call call)
{
	return calls[call].who;
}

/* ---- fields of a request ------------------------------------------------------------------- */

/* Decoding goes on after a failure, which is the first one. */
struct fields {
	json_t *root;
	struct why *why;
	bool bad;
};

static void refuse(struct fields *f, const char *field, const char *expected)
{
	if (f->bad)
		return;
	f->bad = true;
	why_set(f->why, WHY_MALFORMED, "malformed request: %s is not %s", field, expected);
}

/* NULL and absent are the same to Docker. */
static json_t *member(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

/* "" when it is not there. */
static const char *string_in(struct fields *f, json_t *object, const char *name)
{
	json_t *value = member(object, name);

	if (!value)
		return "";
	/* jansson refuses NUL in strings, so the text is all of it. */
	if (!json_is_string(value)) {
		refuse(f, name, "a text");
		return "";
	}
	return json_string_value(value);
}

static bool bool_in(struct fields *f, json_t *object, const char *name)
{
	json_t *value = member(object, name);

	if (value && !json_is_boolean(value))
		refuse(f, name, "true or false");
	return json_is_true(value);
}

static json_t *object_in(struct fields *f, json_t *object, const char *name)
{
	json_t *value = member(object, name);

	if (value && !json_is_object(value)) {
		refuse(f, name, "an object");
		return NULL;
	}
	return value;
}

static void copy_text(struct fields *f, const char *name, const char *value, char *out, size_t size)
{
	if (strlen(value) >= size)
		refuse(f, name, "short enough");
	else
		strcpy(out, value);
}

static void read_id(struct fields *f, const char *name, char *out)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789_.-";
	const char *value = string_in(f, f->root, name);

	if (!*value || value[strspn(value, alphabet)])
		refuse(f, name, "an id");
	else
		copy_text(f, name, value, out, DOCKER_ID_SIZE);
}

static void parse_cidr(struct fields *f, const char *name, const char *value, struct cidr *out)
{
	if (!cidr_parse(value, out))
		refuse(f, name, "<ip>/<prefix length>");
}

/* ---- networks ------------------------------------------------------------------------------ */

/* As Go parses truth values; an option without a value is one that is switched on. */
static bool parse_bool(const char *text, bool *value)
{
	static const char *const yes[] = { "", "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_COUNT(yes); i++)
		if (strcmp(text, yes[i]) == 0)
			return *value = true;
	for (size_t i = 0; i < ARRAY_COUNT(no); i++)
		if (strcmp(text, no[i]) == 0)
			return !(*value = false);
	return false;
}

static void refuse_option(struct fields *f, const char *format, const char *a, const char *b)
{
	if (f->bad)
		return;
	f->bad = true;
	/* The formats are ours. */
	why_set(f->why, WHY_INVALID, "option %.60s: '%.60s' %s", a, b, format);
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* Those of Docker itself, and of other drivers, are not ours to judge. */
static void read_option(struct fields *f, const char *name, const char *value,
			struct docker_options *o)
{
	static const char ours[] = "works.weave.";

	if (strcmp(name, "works.weave.multicast") == 0) {
		if (!parse_bool(value, &o->multicast))
			refuse_option(f, "is not true or false", name, value);
	} else if (strcmp(name, "works.weave.segment") == 0) {
		if (!segment_key_ok(value) || strlen(value) >= sizeof o->segment)
			refuse_option(f, "is no name of a segment: letters, digits and _.:/-", name,
				      value);
		else
			strcpy(o->segment, value);
	} else if (strncmp(name, ours, sizeof ours - 1) == 0) {
		refuse_option(f, "is not known: works.weave.multicast and works.weave.segment are",
			      name, value);
	}
}

static void read_options(struct fields *f, json_t *generic, struct docker_options *o)
{
	const char *name;
	json_t *value;

	json_object_foreach(generic, name, value)
	{
		if (json_is_string(value))
			read_option(f, name, json_string_value(value), o);
		else if (strncmp(name, "works.weave.", 12) == 0)
			refuse(f, name, "a text");
	}
}

static void read_subnets(struct fields *f, const char *name, struct docker_request *r)
{
	json_t *list = member(f->root, name), *data;
	size_t i;

	if (list && !json_is_array(list))
		refuse(f, name, "a list");
	json_array_foreach(list, i, data)
	{
		const char *pool = string_in(f, data, "Pool");

		if (!json_is_object(data))
			refuse(f, name, "a list of objects");
		if (!*pool)
			continue;
		if (r->pools_count == DOCKER_POOLS_MAX)
			refuse(f, name, "of at most 8 subnets with the other family");
		else
			parse_cidr(f, "Pool", pool, &r->pools[r->pools_count++]);
		if (f->bad)
			return;
	}
}

static void read_network(struct fields *f, struct docker_request *r)
{
	json_t *options = object_in(f, f->root, "Options");

	read_id(f, "NetworkID", r->network);
	if (options) {
		r->internal = bool_in(f, options, "com.docker.network.internal");
		r->ipv6 = bool_in(f, options, "com.docker.network.enable_ipv6");
		read_options(f, object_in(f, options, "com.docker.network.generic"), &r->options);
	}
	read_subnets(f, "IPv4Data", r);
	read_subnets(f, "IPv6Data", r);
}

static void read_allocation(struct fields *f, struct docker_request *r)
{
	json_t *options = object_in(f, f->root, "Options");

	read_id(f, "NetworkID", r->network);
	if (options && !f->bad)
		status_json_write(options, JSON_COMPACT, &r->echo);
}

/* ---- endpoints ----------------------------------------------------------------------------- */

static void read_address(struct fields *f, json_t *interface, const char *name, unsigned family,
			 struct docker_request *r)
{
	const char *value = string_in(f, interface, name);
	struct cidr *out = &r->addresses[r->addresses_count];

	if (!*value)
		return;
	parse_cidr(f, name, value, out);
	if (!f->bad && out->ip.family != family)
		refuse(f, name, family == 4 ? "of IPv4" : "of IPv6");
	r->addresses_count++;
}

static void read_endpoint(struct fields *f, struct docker_request *r)
{
	json_t *interface = object_in(f, f->root, "Interface");
	const char *mac;

	read_id(f, "NetworkID", r->network);
	read_id(f, "EndpointID", r->endpoint);
	if (!interface) {
		refuse(f, "Interface", "there");
		return;
	}
	read_address(f, interface, "Address", 4, r);
	read_address(f, interface, "AddressIPv6", 6, r);
	mac = string_in(f, interface, "MacAddress");
	r->has_mac = *mac != '\0';
	if (r->has_mac && (!mac_parse(mac, &r->mac) || mac_is_group(r->mac)))
		refuse(f, "MacAddress", "a unicast MAC address");
}

static void read_join(struct fields *f, struct docker_request *r)
{
	const char *sandbox = string_in(f, f->root, "SandboxKey");

	read_id(f, "NetworkID", r->network);
	read_id(f, "EndpointID", r->endpoint);
	if (sandbox[0] != '/' || !is_printable(sandbox))
		refuse(f, "SandboxKey", "an absolute path");
	else
		copy_text(f, "SandboxKey", sandbox, r->sandbox, sizeof r->sandbox);
}

static void read_ids(struct fields *f, struct docker_request *r)
{
	read_id(f, "NetworkID", r->network);
	read_id(f, "EndpointID", r->endpoint);
}

/* ---- addresses ----------------------------------------------------------------------------- */

static bool is_within(struct cidr inner, struct cidr outer)
{
	return inner.prefix >= outer.prefix && cidr_contains(outer, inner.ip);
}

static void check_pool(struct fields *f, const struct docker_pool *p)
{
	if (f->bad)
		return;
	if (p->range.ip.family != p->subnet.ip.family || !is_within(p->range, p->subnet))
		refuse(f, "SubPool", "within Pool");
}

static void read_pool(struct fields *f, struct docker_request *r)
{
	const char *pool = string_in(f, f->root, "Pool");
	const char *range = string_in(f, f->root, "SubPool");

	r->pool_ipv6 = bool_in(f, f->root, "V6");
	if (*range && !*pool)
		refuse(f, "Pool", "there, though SubPool is");
	if (!*pool || f->bad)
		return;
	parse_cidr(f, "Pool", pool, &r->pool.subnet);
	r->pool.range = r->pool.subnet;
	if (*range)
		parse_cidr(f, "SubPool", range, &r->pool.range);
	check_pool(f, &r->pool);
	if (!f->bad && (r->pool.subnet.ip.family == 6) != r->pool_ipv6)
		refuse(f, "Pool", r->pool_ipv6 ? "of IPv6" : "of IPv4");
}

/* "weave-10.32.0.0/12-10.32.1.0/24" says all there is to know of a pool, so none is kept. */
static void read_pool_id(struct fields *f, struct docker_request *r)
{
	const char *id = string_in(f, f->root, "PoolID"), *dash;
	char subnet[CIDR_TEXT_SIZE];
	size_t prefix = sizeof POOL_PREFIX - 1;

	if (strncmp(id, POOL_PREFIX, prefix) != 0) {
		refuse(f, "PoolID", "one of ours");
		return;
	}
	id += prefix;
	dash = strchr(id, '-');
	if (!dash || (size_t)(dash - id) >= sizeof subnet) {
		refuse(f, "PoolID", "one of ours");
		return;
	}
	memcpy(subnet, id, (size_t)(dash - id));
	subnet[dash - id] = '\0';
	parse_cidr(f, "PoolID", subnet, &r->pool.subnet);
	parse_cidr(f, "PoolID", dash + 1, &r->pool.range);
	check_pool(f, &r->pool);
}

static void read_wanted(struct fields *f, struct docker_request *r, bool must)
{
	json_t *options = object_in(f, f->root, "Options");
	const char *address = string_in(f, f->root, "Address");
	struct cidr with_prefix;

	read_pool_id(f, r);
	if (options)
		r->gateway = strcmp(string_in(f, options, "RequestAddressType"),
				    "com.docker.network.gateway") == 0;
	if (!*address && !must)
		return;
	if (!ip_parse(address, &r->address)) {
		if (!cidr_parse(address, &with_prefix)) {
			refuse(f, "Address", "an IP address");
			return;
		}
		r->address = with_prefix.ip;
	}
	if (!f->bad && !cidr_contains(r->pool.subnet, r->address))
		refuse(f, "Address", "within the pool");
}

/* ---- a request ----------------------------------------------------------------------------- */

static void read_fields(struct fields *f, struct docker_request *r)
{
	switch (r->call) {
	case DOCKER_ALLOCATE_NETWORK:
		read_allocation(f, r);
		break;
	case DOCKER_CREATE_NETWORK:
		read_network(f, r);
		break;
	case DOCKER_FREE_NETWORK:
	case DOCKER_DELETE_NETWORK:
		read_id(f, "NetworkID", r->network);
		break;
	case DOCKER_CREATE_ENDPOINT:
		read_endpoint(f, r);
		break;
	case DOCKER_JOIN:
		read_join(f, r);
		break;
	case DOCKER_ENDPOINT_INFO:
	case DOCKER_DELETE_ENDPOINT:
	case DOCKER_LEAVE:
	case DOCKER_PROGRAM_EXTERNAL:
	case DOCKER_REVOKE_EXTERNAL:
		read_ids(f, r);
		break;
	case DOCKER_REQUEST_POOL:
		read_pool(f, r);
		break;
	case DOCKER_RELEASE_POOL:
		read_pool_id(f, r);
		break;
	case DOCKER_REQUEST_ADDRESS:
		read_wanted(f, r, false);
		break;
	case DOCKER_RELEASE_ADDRESS:
		read_wanted(f, r, true);
		break;
	case DOCKER_ACTIVATE:
	case DOCKER_NETWORK_CAPABILITIES:
	case DOCKER_GW_ALLOC_CHECK:
	case DOCKER_DISCOVER_NEW:
	case DOCKER_DISCOVER_DELETE:
	case DOCKER_IPAM_CAPABILITIES:
	case DOCKER_ADDRESS_SPACES:
	case DOCKER_CALLS_COUNT:
		break;
	}
}

/* jansson recurses; nesting is limited by itself (JSON_PARSER_MAX_DEPTH, 2048), which is fine for
 * a stack of megabytes, but writing an echo recurses too. */
static bool too_deep(struct bytes body)
{
	const char *at = (const char *)body.data;
	unsigned depth = 0;

	for (size_t i = 0; i < body.size; i++) {
		if (at[i] == '{' || at[i] == '[')
			depth++;
		else if ((at[i] == '}' || at[i] == ']') && depth)
			depth--;
		if (depth > DEPTH_MAX)
			return true;
	}
	return false;
}

/* An object; none at all is an empty one, as Docker sends it where there is nothing to say. */
static json_t *parse_body(struct bytes body, struct why *why)
{
	json_error_t error;
	json_t *root;

	if (body.size == 0)
		return json_object();
	if (too_deep(body)) {
		why_set(why, WHY_MALFORMED, "malformed request: nested deeper than %d", DEPTH_MAX);
		return NULL;
	}
	root = json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		why_set(why, WHY_MALFORMED, "malformed request: %.100s", error.text);
	else if (!json_is_object(root))
		why_set(why, WHY_MALFORMED, "malformed request: no JSON object");
	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

unsigned docker_decode(struct docker_request *r, const char *path, struct bytes body,
		       struct why *why)
{
	struct fields f = { .why = why };

	*r = (struct docker_request){ .call = DOCKER_CALLS_COUNT };
	if (!docker_call_find(path, &r->call)) {
		why_set(why, WHY_ABSENT, "this driver has no method %.60s", path);
		return 404;
	}
	f.root = parse_body(body, why);
	if (!f.root)
		return 400;
	read_fields(&f, r);
	json_decref(f.root);
	if (!f.bad)
		return 0;
	docker_request_fini(r);
	return 400;
}

void docker_request_fini(struct docker_request *r)
{
	text_fini(&r->echo);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void write_json(json_t *value, struct text *out)
{
	status_json_write(value, JSON_COMPACT, out);
	json_decref(value);
}

void docker_answer_error(struct text *out, const char *text)
{
	/* A text that is no UTF-8 was cut in the middle of a character, say. */
	json_t *value = json_pack("{s:s, s:s}", "Err", text, "Error", text);

	if (!value)
		value = json_pack("{s:s, s:s}", "Err", "failed", "Error", "failed");
	write_json(value, out);
}

void docker_answer_empty(struct text *out)
{
	text_add_string(out, "{}");
}

void docker_answer_alone(const struct docker_request *r, struct text *out)
{
	switch (r->call) {
	case DOCKER_ACTIVATE:
		text_add_string(out, "{\"Implements\":[\"NetworkDriver\",\"IpamDriver\"]}");
		break;
	case DOCKER_NETWORK_CAPABILITIES:
		text_add_string(out, "{\"Scope\":\"local\",\"ConnectivityScope\":\"global\","
				     "\"GwAllocChecker\":true}");
		break;
	case DOCKER_GW_ALLOC_CHECK:
		/* Containers reach the outside by Docker's own gateway bridge. */
		text_add_string(out, "{\"SkipIPv4\":true,\"SkipIPv6\":true}");
		break;
	case DOCKER_ALLOCATE_NETWORK:
		text_add(out, "{\"Options\":%s}", r->echo.size ? text_string(&r->echo) : "{}");
		break;
	case DOCKER_ENDPOINT_INFO:
		text_add_string(out, "{\"Value\":{}}");
		break;
	case DOCKER_IPAM_CAPABILITIES:
		text_add_string(out,
				"{\"RequiresMACAddress\":false,\"RequiresRequestReplay\":false}");
		break;
	case DOCKER_ADDRESS_SPACES:
		text_add_string(out, "{\"LocalDefaultAddressSpace\":\"weavelocal\","
				     "\"GlobalDefaultAddressSpace\":\"weaveglobal\"}");
		break;
	default:
		docker_answer_empty(out);
	}
}

/* The gateway in Data keeps Docker from asking for one: with none, every host would use up an
 * address of every network.  The network's own address stands for it, which nobody gets. */
void docker_answer_pool(const struct docker_pool *pool, struct text *out)
{
	char subnet[CIDR_TEXT_SIZE], range[CIDR_TEXT_SIZE];

	cidr_text(cidr_network(pool->subnet), subnet);
	cidr_text(cidr_network(pool->range), range);
	text_add(out,
		 "{\"PoolID\":\"" POOL_PREFIX "%s-%s\",\"Pool\":\"%s\","
		 "\"Data\":{\"com.docker.network.gateway\":\"%s\"}}",
		 subnet, range, subnet, subnet);
}

void docker_answer_address(struct cidr address, struct text *out)
{
	char text[CIDR_TEXT_SIZE];

	text_add(out, "{\"Address\":\"%s\",\"Data\":{}}", cidr_text(address, text));
}

void docker_answer_endpoint(const struct mac *mac, struct text *out)
{
	char text[PEER_NAME_TEXT_SIZE];

	if (mac)
		text_add(out, "{\"Interface\":{\"MacAddress\":\"%s\"}}", mac_text(*mac, text));
	else
		text_add_string(out, "{\"Interface\":{}}");
}

void docker_answer_join(const char *interface, bool multicast, struct text *out)
{
	/* Route type 1 is "connected": over the interface, without a next hop. */
	text_add(out,
		 "{\"InterfaceName\":{\"SrcName\":\"%s\",\"DstPrefix\":\"" DOCKER_PREFIX "\"},"
		 "\"StaticRoutes\":[%s]}",
		 interface, multicast ? "{\"Destination\":\"224.0.0.0/4\",\"RouteType\":1}" : "");
}
