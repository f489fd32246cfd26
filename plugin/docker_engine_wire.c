#include <weave/containers.h>

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <weave/must.h>

#define VERSION_MIN 40 /* 1.40: what 20.10 has for certain and 29.5 still speaks */

static json_t *parse(struct bytes answer)
{
	return answer.size ? json_loadb((const char *)answer.data, answer.size, 0, NULL) : NULL;
}

/* "" when it is not there, no text, or too long. */
static void text_of(json_t *object, const char *name, char *out, size_t size)
{
	const char *value = json_string_value(json_object_get(object, name));

	*out = '\0';
	if (value && strlen(value) < size)
		strcpy(out, value);
}

/* "1.41" */
static bool minor_of(const char *version, unsigned *minor)
{
	size_t digits = version && strncmp(version, "1.", 2) == 0
				? strspn(version + 2, "0123456789")
				: 0;

	if (digits == 0 || digits > 3)
		return false;
	*minor = 0;
	for (const char *c = version + 2; digits > 0; digits--)
		*minor = *minor * 10 + (unsigned)(*c++ - '0');
	return true;
}

void engine_choose_version(struct bytes answer, char *version)
{
	json_t *root = parse(answer);
	unsigned max, min;

	*version = '\0';
	if (minor_of(json_string_value(json_object_get(root, "ApiVersion")), &max)) {
		if (!minor_of(json_string_value(json_object_get(root, "MinAPIVersion")), &min))
			min = 0;
		min = min > VERSION_MIN ? min : VERSION_MIN;
		snprintf(version, CONTAINER_VERSION_SIZE, "1.%u", min < max ? min : max);
	}
	json_decref(root);
}

/* ---- containers ---- */

static void add_ip(json_t *network, const char *name, struct container_endpoint *e)
{
	const char *text = json_string_value(json_object_get(network, name));

	if (text && *text && e->ips_count < ARRAY_COUNT(e->ips) &&
	    ip_parse(text, &e->ips[e->ips_count]))
		e->ips_count++;
}

static void add_aliases(json_t *network, const char *name, struct container_endpoint *e)
{
	json_t *list = json_object_get(network, name), *value;
	size_t i;

	json_array_foreach(list, i, value)
	{
		const char *text = json_string_value(value);
		bool known = false;

		if (!text || !*text || strlen(text) >= CONTAINER_TEXT_SIZE ||
		    e->aliases_count == CONTAINER_ALIASES_MAX)
			continue;
		for (size_t k = 0; k < e->aliases_count; k++)
			known = known || strcmp(e->aliases[k], text) == 0;
		if (!known)
			strcpy(e->aliases[e->aliases_count++], text);
	}
}

static void add_endpoint(json_t *network, struct container *c)
{
	struct container_endpoint *e = &c->endpoints[c->endpoints_count];

	if (c->endpoints_count == CONTAINER_ENDPOINTS_MAX)
		return;
	*e = (struct container_endpoint){ .ips_count = 0 };
	text_of(network, "NetworkID", e->network, sizeof e->network);
	text_of(network, "EndpointID", e->endpoint, sizeof e->endpoint);
	if (!e->network[0] || !e->endpoint[0])
		return;
	add_ip(network, "IPAddress", e);
	add_ip(network, "GlobalIPv6Address", e);
	add_aliases(network, "Aliases", e);
	add_aliases(network, "DNSNames", e); /* since 1.44 these are elsewhere */
	c->endpoints_count++;
}

bool container_decode(struct bytes answer, struct container *c)
{
	json_t *root = parse(answer), *config = json_object_get(root, "Config");
	json_t *networks = json_object_get(json_object_get(root, "NetworkSettings"), "Networks");
	char name[CONTAINER_TEXT_SIZE + 1];
	const char *key;
	json_t *network;

	*c = (struct container){ .id = "" };
	text_of(root, "Id", c->id, sizeof c->id);
	text_of(root, "Name", name, sizeof name);
	strcpy(c->name, name[0] == '/'				   ? name + 1
			: name[0] && strlen(name) < sizeof c->name ? name
								   : "");
	text_of(config, "Hostname", c->hostname, sizeof c->hostname);
	text_of(config, "Domainname", c->domainname, sizeof c->domainname);
	c->running = json_is_true(json_object_get(json_object_get(root, "State"), "Running"));
	json_object_foreach(networks, key, network) add_endpoint(network, c);
	json_decref(root);
	return c->id[0];
}

bool container_list_decode(struct bytes answer, void (*found)(void *ctx, const char *id), void *ctx)
{
	json_t *root = parse(answer), *value;
	bool ok = json_is_array(root);
	char id[DOCKER_ID_SIZE];
	size_t i;

	json_array_foreach(root, i, value)
	{
		text_of(value, "Id", id, sizeof id);
		if (id[0])
			found(ctx, id);
	}
	json_decref(root);
	return ok;
}

/* ---- networks ---- */

static void keep_ip(struct engine_network *n, const char *text)
{
	struct cidr c;

	if (!text || n->kept_count == ARRAY_COUNT(n->kept))
		return;
	if (!ip_parse(text, &c.ip) && !cidr_parse(text, &c))
		return;
	n->kept[n->kept_count++] = c.ip;
}

static void read_pools(json_t *list, struct engine_network *n)
{
	struct docker_network *d = &n->network;
	json_t *pool, *value;
	const char *text, *key;
	size_t i;

	json_array_foreach(list, i, pool)
	{
		text = json_string_value(json_object_get(pool, "Subnet"));
		if (text && d->pools_count < DOCKER_POOLS_MAX &&
		    cidr_parse(text, &d->pools[d->pools_count]))
			d->pools_count++;
		keep_ip(n, json_string_value(json_object_get(pool, "Gateway")));
		json_object_foreach(json_object_get(pool, "AuxiliaryAddresses"), key, value)
			keep_ip(n, json_string_value(value));
	}
}

static bool is_ours(json_t *network)
{
	const char *driver = json_string_value(json_object_get(network, "Driver"));

	/* A managed plugin's name has a tag. */
	return driver && (strcmp(driver, "weave") == 0 || strcmp(driver, "weavemesh") == 0 ||
			  strncmp(driver, "weave:", 6) == 0);
}

static bool read_network(json_t *value, struct engine_network *n)
{
	json_t *options = json_object_get(value, "Options");
	const char *multicast = json_string_value(
		json_object_get(options, "works.weave.multicast"));
	struct docker_network *d = &n->network;

	*n = (struct engine_network){ .kept_count = 0 };
	text_of(value, "Id", d->id, sizeof d->id);
	text_of(value, "Name", d->name, sizeof d->name);
	text_of(options, "works.weave.segment", d->options.segment, sizeof d->options.segment);
	d->options.multicast = multicast && strchr("1tT", multicast[0]); /* also the empty one */
	d->internal = json_is_true(json_object_get(value, "Internal"));
	d->ipv6 = json_is_true(json_object_get(value, "EnableIPv6"));
	read_pools(json_object_get(json_object_get(value, "IPAM"), "Config"), n);
	return d->id[0] && d->name[0];
}

bool network_list_decode(struct bytes answer,
			 void (*found)(void *ctx, const struct engine_network *n), void *ctx)
{
	json_t *root = parse(answer), *value;
	bool ok = json_is_array(root);
	struct engine_network n;
	size_t i;

	json_array_foreach(root, i, value) if (is_ours(value) && read_network(value, &n))
		found(ctx, &n);
	json_decref(root);
	return ok;
}

/* ---- events ---- */

static enum engine_event of_container(const char *action)
{
	static const char *const changes[] = { "start", "rename", "unpause" };

	for (size_t i = 0; i < ARRAY_COUNT(changes); i++)
		if (strcmp(action, changes[i]) == 0)
			return ENGINE_CONTAINER_CHANGED;
	return strcmp(action, "die") == 0 || strcmp(action, "destroy") == 0 ? ENGINE_CONTAINER_GONE
									    : ENGINE_OTHER;
}

enum engine_event engine_event_decode(struct bytes line, char *id)
{
	enum engine_event event = ENGINE_OTHER;
	json_t *root = parse(line), *actor = json_object_get(root, "Actor");
	const char *type = json_string_value(json_object_get(root, "Type"));
	const char *action = json_string_value(json_object_get(root, "Action"));

	*id = '\0';
	if (type && action && strcmp(type, "container") == 0) {
		text_of(actor, "ID", id, DOCKER_ID_SIZE);
		event = *id ? of_container(action) : ENGINE_OTHER;
	} else if (type && action && strcmp(type, "network") == 0) {
		text_of(json_object_get(actor, "Attributes"), "container", id, DOCKER_ID_SIZE);
		if (strcmp(action, "create") == 0 || strcmp(action, "destroy") == 0)
			event = ENGINE_NETWORKS_CHANGED;
		else if (*id &&
			 (strcmp(action, "connect") == 0 || strcmp(action, "disconnect") == 0))
			event = ENGINE_CONTAINER_CHANGED;
	}
	json_decref(root);
	return event;
}
