/* What a Docker engine says of its containers and networks.
 *
 * Pure.  JSON of the engine's API (1.40 to 1.5x), each answer into one struct; what is too long or
 * too many is left out, never cut, so that nobody gets a name that is not theirs.
 */
#ifndef WEAVE_CONTAINERS_H
#define WEAVE_CONTAINERS_H

#include <weave/docker.h>

#define CONTAINER_TEXT_SIZE 254 /* a name of DNS, with NUL */
#define CONTAINER_ALIASES_MAX 16u
#define CONTAINER_ENDPOINTS_MAX 16u

/* On one network. */
struct container_endpoint {
	char network[DOCKER_ID_SIZE], endpoint[DOCKER_ID_SIZE];
	size_t ips_count;
	struct ip_addr ips[2];
	size_t aliases_count;
	char aliases[CONTAINER_ALIASES_MAX][CONTAINER_TEXT_SIZE];
};

struct container {
	char id[DOCKER_ID_SIZE];
	char name[CONTAINER_TEXT_SIZE]; /* without the slash */
	char hostname[CONTAINER_TEXT_SIZE], domainname[CONTAINER_TEXT_SIZE];
	bool running;
	size_t endpoints_count;
	struct container_endpoint endpoints[CONTAINER_ENDPOINTS_MAX];
};

/* The API version to speak: at least 1.40, at most what the engine has; "" when it is no engine's
 * answer. 'version' is of CONTAINER_VERSION_SIZE bytes. */
#define CONTAINER_VERSION_SIZE 16
void engine_choose_version(struct bytes answer, char *version);

/* GET /containers/<id>/json; false: it is none. */
bool container_decode(struct bytes answer, struct container *c);
/* GET /containers/json: calls for each id. */
bool container_list_decode(struct bytes answer, void (*found)(void *ctx, const char *id),
			   void *ctx);
/* GET /networks: those of drivers called `driver` or `mesh`; with all addresses that the engine
 * keeps for gateways and others. */
struct engine_network {
	struct docker_network network;
	size_t kept_count;
	struct ip_addr kept[32];
};
bool network_list_decode(struct bytes answer,
			 void (*found)(void *ctx, const struct engine_network *n), void *ctx);

enum engine_event {
	ENGINE_OTHER,
	ENGINE_CONTAINER_CHANGED, /* 'id': look at it */
	ENGINE_CONTAINER_GONE,
	ENGINE_NETWORKS_CHANGED,
};
/* One line of GET /events. */
enum engine_event engine_event_decode(struct bytes line, char *id);

#endif
