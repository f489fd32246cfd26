/* Docker's network and IPAM driver: what an engine asks for, and what is to be done about it.
 *
 * Pure; any thread for the codec, loop thread for the rest.  The protocol is libnetwork's: HTTP
 * POST /<Interface>.<Method> with JSON over a unix socket.  plugin/docker_wire.c turns requests
 * into structs and answers into JSON, plugin/docker_driver.c decides, cmd/docker.c carries out.
 *
 *   dockerd ─ /run/docker/plugins/weave.sock ─ weave-plugin ─ <run-dir>/weave.sock ─ weaver
 *
 * weave-plugin is always there, whether or not a router is: it answers alone what needs none,
 * hands on the rest, and promises what may be done later (docs/why/docker.md).
 *
 * Whose an address is: a name that begins with DOCKER_ID_PREFIX; Docker gives it back by the
 * address alone.  An endpoint is a veth whose alias says DOCKER_ID_PREFIX and the first 40 digits
 * of its id, so endpoints are found again from the kernel.  Networks are durable in a file.
 */
#ifndef WEAVE_DOCKER_H
#define WEAVE_DOCKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weave/addr.h>
#include <weave/bytes.h>
#include <weave/text.h>
#include <weave/why.h>

#define DOCKER_BODY_MAX ((size_t)4 << 20) /* a request with thousands of published ports */
#define DOCKER_ID_SIZE 65		  /* 64 hex digits, 25 letters in a swarm; with NUL */
#define DOCKER_NAME_SIZE 129		  /* of a network, or the key of a segment */
#define DOCKER_SANDBOX_SIZE 161		  /* a path; ATTACH_NETNS_MAX of <weave/attach.h> */
#define DOCKER_NETWORKS_MAX 1024u
#define DOCKER_POOLS_MAX 8u /* of one network */
#define DOCKER_ID_PREFIX "docker:"
#define DOCKER_SEGMENT_DEFAULT "default" /* works.weave.segment: the segment of `weave attach` */
#define DOCKER_NETWORK_DEFAULT "weave"
#define DOCKER_PREFIX "ethwe" /* interfaces in containers: ethwe0, ... */

/* Who answers: weave-plugin ALONE; the ROUTER, now; or, when it does not, weave-plugin promises
 * that it will be done LATER. */
#define DOCKER_CALLS(X)                                                                            \
	X(ACTIVATE, "Plugin.Activate", ALONE)                                                      \
	X(NETWORK_CAPABILITIES, "NetworkDriver.GetCapabilities", ALONE)                            \
	X(GW_ALLOC_CHECK, "NetworkDriver.GwAllocCheck", ALONE)                                     \
	X(ALLOCATE_NETWORK, "NetworkDriver.AllocateNetwork", ALONE)                                \
	X(FREE_NETWORK, "NetworkDriver.FreeNetwork", ALONE)                                        \
	X(CREATE_NETWORK, "NetworkDriver.CreateNetwork", ROUTER)                                   \
	X(DELETE_NETWORK, "NetworkDriver.DeleteNetwork", LATER)                                    \
	X(CREATE_ENDPOINT, "NetworkDriver.CreateEndpoint", ROUTER)                                 \
	X(ENDPOINT_INFO, "NetworkDriver.EndpointOperInfo", ALONE)                                  \
	X(DELETE_ENDPOINT, "NetworkDriver.DeleteEndpoint", LATER)                                  \
	X(JOIN, "NetworkDriver.Join", ROUTER)                                                      \
	X(LEAVE, "NetworkDriver.Leave", LATER)                                                     \
	X(DISCOVER_NEW, "NetworkDriver.DiscoverNew", ALONE)                                        \
	X(DISCOVER_DELETE, "NetworkDriver.DiscoverDelete", ALONE)                                  \
	X(PROGRAM_EXTERNAL, "NetworkDriver.ProgramExternalConnectivity", ALONE)                    \
	X(REVOKE_EXTERNAL, "NetworkDriver.RevokeExternalConnectivity", ALONE)                      \
	X(IPAM_CAPABILITIES, "IpamDriver.GetCapabilities", ALONE)                                  \
	X(ADDRESS_SPACES, "IpamDriver.GetDefaultAddressSpaces", ALONE)                             \
	X(REQUEST_POOL, "IpamDriver.RequestPool", ROUTER)                                          \
	X(RELEASE_POOL, "IpamDriver.ReleasePool", ALONE)                                           \
	X(REQUEST_ADDRESS, "IpamDriver.RequestAddress", ROUTER)                                    \
	X(RELEASE_ADDRESS, "IpamDriver.ReleaseAddress", LATER)

enum docker_call {
#define X(name, path, who) DOCKER_##name,
	DOCKER_CALLS(X)
#undef X
		DOCKER_CALLS_COUNT
};

enum docker_who { DOCKER_ALONE, DOCKER_ROUTER, DOCKER_LATER };

/* By "Interface.Method"; false: no such call. */
bool docker_call_find(const char *path, enum docker_call *call);
const char *docker_call_path(enum docker_call call);
enum docker_who docker_call_who(enum docker_call call);

/* Where addresses of a network come from: `range` lies in `subnet`. */
struct docker_pool {
	struct cidr subnet; /* family 0: not given */
	struct cidr range;
};

struct docker_options {
	bool multicast;			/* works.weave.multicast */
	char segment[DOCKER_NAME_SIZE]; /* works.weave.segment; "": by the network's name */
};

/* A request; what its call does not use is zero. */
struct docker_request {
	enum docker_call call;
	char network[DOCKER_ID_SIZE], endpoint[DOCKER_ID_SIZE];
	struct docker_options options;
	bool internal, ipv6;
	size_t pools_count; /* of CREATE_NETWORK: subnets */
	struct cidr pools[DOCKER_POOLS_MAX];
	size_t addresses_count; /* of CREATE_ENDPOINT: one of each family at most */
	struct cidr addresses[2];
	bool has_mac;
	struct mac mac;
	char sandbox[DOCKER_SANDBOX_SIZE];
	struct docker_pool pool;
	bool pool_ipv6, gateway;
	struct ip_addr address; /* family 0: any */
	struct text echo;	/* of ALLOCATE_NETWORK: JSON to be sent back */
};

/* 0, and '*r' is to be finished by docker_request_fini; else the HTTP status, with 'why'. */
unsigned docker_decode(struct docker_request *r, const char *path, struct bytes body,
		       struct why *why);
void docker_request_fini(struct docker_request *r);

/* ---- answers, as JSON ---- */
/* Both kinds of driver read it: Docker looks at "Err" here and at "Error" there. */
void docker_answer_error(struct text *out, const char *text);
/* Of a call that needs no router. */
void docker_answer_alone(const struct docker_request *r, struct text *out);
void docker_answer_empty(struct text *out);
void docker_answer_pool(const struct docker_pool *pool, struct text *out);
void docker_answer_address(struct cidr address, struct text *out);
/* 'mac' NULL: Docker chose it. */
void docker_answer_endpoint(const struct mac *mac, struct text *out);
void docker_answer_join(const char *interface, bool multicast, struct text *out);

/* The MAC of an endpoint whose container gets this address first, as Docker's own drivers choose
 * it: whoever has the address after a container that is gone is at the place that all caches of the
 * network still know. */
struct mac docker_mac_of(struct ip_addr ip);

/* ---- networks ---- */
struct docker_network {
	char id[DOCKER_ID_SIZE];
	char name[DOCKER_NAME_SIZE]; /* "": not known yet; Docker does not tell its drivers */
	struct docker_options options;
	bool internal, ipv6;
	bool opened; /* its segment, which was not there before */
	size_t pools_count;
	struct cidr pools[DOCKER_POOLS_MAX];
};

/* Change by functions only.  Zeroed is empty and valid. */
struct docker_networks {
	struct docker_network *list;
	size_t count;
};

void docker_networks_fini(struct docker_networks *n);
struct docker_network *docker_network_find(const struct docker_networks *n, const char *id);
/* False with 'why' when there are too many.  One of this id is replaced. */
bool docker_network_add(struct docker_networks *n, const struct docker_network *network,
			struct why *why);
bool docker_network_remove(struct docker_networks *n, const char *id);
/* What its segment is called everywhere (<weave/segment.h>); NULL: that is its name, and it is not
 * known yet. */
const char *docker_network_segment(const struct docker_network *n);

/* As a file's text, with a checksum; and back: NULL, or what is wrong (then '*n' is empty). */
void docker_networks_encode(const struct docker_networks *n, struct text *out);
const char *docker_networks_decode(struct docker_networks *n, struct bytes text);

/* ---- deciding ---- */
enum docker_step {
	DOCKER_ANSWER,	 /* nothing is to be done: the empty answer */
	DOCKER_SAVE,	 /* networks have changed: make them durable */
	DOCKER_POOL,	 /* answer 'pool', after a look at the host's routes if 'automatic' */
	DOCKER_STAND_IN, /* answer 'address', which nobody has */
	DOCKER_GIVE,	 /* an address out of pool.range */
	DOCKER_CLAIM, /* 'address', or, as a gateway, also one that others have claimed as such */
	DOCKER_GIVE_BACK,
	DOCKER_MAKE, /* the endpoint, on the segment of 'network' */
	DOCKER_JOIN_SANDBOX,
	DOCKER_LEAVE_SANDBOX,
	DOCKER_REMOVE,
};

struct docker_plan {
	enum docker_step step;
	struct docker_network *network; /* MAKE, JOIN_SANDBOX; borrowed */
	struct docker_pool pool;
	bool automatic;
};

/* What an address range of this router is, for pools. */
struct docker_range {
	struct cidr universe, default_subnet;
};

/* Changes 'n' only for SAVE.  False with 'why': the answer is that error. */
bool docker_decide(struct docker_networks *n, const struct docker_range *ranges, size_t count,
		   const struct docker_request *r, struct docker_plan *plan, struct why *why);

/* The id in the alias of an endpoint's port, of DOCKER_PORT_ID_SIZE bytes. */
#define DOCKER_PORT_ID_SIZE (sizeof DOCKER_ID_PREFIX + 40)
void docker_port_id(const char *endpoint, char *id);
bool docker_is_port_id(const char *id);

#endif
