/* The file of networks: JSON, with a checksum in front: "weave-docker 1 <16 hex>\n{...}\n". */
#include <weave/docker.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <weave/hash.h>

#include "status_render.h"

#define FIRST_WORDS "weave-docker 1 "
#define FIRST_LINE_SIZE (sizeof FIRST_WORDS - 1 + 16 + 1)

/* Guards against cut and flipped bytes, not against people. */
static const struct hash_key sum_key = { 0x646f636b65726e65u, 0x74776f726b737631u };

static json_t *pools_json(const struct docker_network *n)
{
	json_t *list = json_array();
	char text[CIDR_TEXT_SIZE];

	for (size_t i = 0; i < n->pools_count; i++)
		json_array_append_new(list, json_string(cidr_text(n->pools[i], text)));
	return list;
}

static json_t *network_json(const struct docker_network *n)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:o}", "id", n->id, "name", n->name,
			 "segment", n->options.segment, "multicast", n->options.multicast,
			 "internal", n->internal, "ipv6", n->ipv6, "opened", n->opened, "pools",
			 pools_json(n));
}

void docker_networks_encode(const struct docker_networks *n, struct text *out)
{
	json_t *list = json_array(), *root = json_pack("{s:o}", "networks", list);
	struct text body = { 0 };

	for (size_t i = 0; i < n->count; i++)
		json_array_append_new(list, network_json(&n->list[i]));
	status_json_write(root, JSON_INDENT(1) | JSON_SORT_KEYS, &body);
	json_decref(root);
	text_add_string(&body, "\n");
	text_add(out, FIRST_WORDS "%016" PRIx64 "\n%s",
		 hash64(&sum_key, text_string(&body), body.size), text_string(&body));
	text_fini(&body);
}

static bool sum_right(struct bytes text)
{
	char expected[FIRST_LINE_SIZE + 1];

	if (text.size < FIRST_LINE_SIZE)
		return false;
	snprintf(expected, sizeof expected, FIRST_WORDS "%016" PRIx64 "\n",
		 hash64(&sum_key, text.data + FIRST_LINE_SIZE, text.size - FIRST_LINE_SIZE));
	return memcmp(text.data, expected, FIRST_LINE_SIZE) == 0;
}

static bool copy(const char *value, char *out, size_t size)
{
	if (strlen(value) >= size)
		return false;
	strcpy(out, value);
	return true;
}

static bool read_pools(json_t *list, struct docker_network *n)
{
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
	{
		const char *text = json_string_value(value);

		if (n->pools_count == DOCKER_POOLS_MAX || !text ||
		    !cidr_parse(text, &n->pools[n->pools_count]))
			return false;
		n->pools_count++;
	}
	return true;
}

static bool read_network(json_t *value, struct docker_network *n)
{
	const char *id, *name, *segment;
	int multicast, internal, ipv6, opened;
	json_t *pools;

	*n = (struct docker_network){ .id = "" };
	if (json_unpack(value, "{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:o}", "id", &id, "name", &name,
			"segment", &segment, "multicast", &multicast, "internal", &internal, "ipv6",
			&ipv6, "opened", &opened, "pools", &pools) != 0)
		return false;
	n->options.multicast = multicast;
	n->internal = internal;
	n->ipv6 = ipv6;
	n->opened = opened;
	return *id && copy(id, n->id, sizeof n->id) && copy(name, n->name, sizeof n->name) &&
	       copy(segment, n->options.segment, sizeof n->options.segment) && read_pools(pools, n);
}

static const char *read_list(struct docker_networks *n, json_t *list)
{
	struct docker_network network;
	json_t *value;
	struct why why;
	size_t i;

	if (!json_is_array(list))
		return "the list of networks";
	json_array_foreach(list, i,
			   value) if (!read_network(value, &network) ||
				      !docker_network_add(n, &network, &why)) return "a network";
	return NULL;
}

const char *docker_networks_decode(struct docker_networks *n, struct bytes text)
{
	const char *wrong;
	json_t *root;

	*n = (struct docker_networks){ .count = 0 };
	if (!sum_right(text))
		return "it was cut or changed (checksum), or is of another version";
	root = json_loadb((const char *)text.data + FIRST_LINE_SIZE, text.size - FIRST_LINE_SIZE, 0,
			  NULL);
	wrong = root ? read_list(n, json_object_get(root, "networks")) : "the JSON";
	json_decref(root);
	if (wrong)
		docker_networks_fini(n);
	return wrong;
}
