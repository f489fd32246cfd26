/* The daemon's options, from its arguments and environment to one struct.
 *
 * Pure.  `weave launch` parses with the same code before it starts weaver, so that every mistake
 * is named before anything has happened.  Arguments win over the environment, later arguments
 * over earlier ones.  Texts are borrowed from argv and environ.
 */
#ifndef WEAVE_CMD_OPTIONS_H
#define WEAVE_CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weave/addr.h>
#include <weave/limits.h>
#include <weave/log.h>
#include <weave/text.h>
#include <weave/why.h>

#define OPTIONS_PORT 6783
#define OPTIONS_CONN_LIMIT 100
#define OPTIONS_PEERS_MAX 1024
#define OPTIONS_RUN_DIR "/run/weave"
#define OPTIONS_STATE_DIR "/var/lib/weave"
#define OPTIONS_STATUS_ADDR "127.0.0.1:6784"
#define OPTIONS_DOCKER_API "/var/run/docker.sock"
#define OPTIONS_PLUGIN_SOCKET "/run/docker/plugins/weave.sock"
#define OPTIONS_MESH_SOCKET "/run/docker/plugins/weavemesh.sock"
#define OPTIONS_IPALLOC_RANGE "10.32.0.0/12"
#define OPTIONS_RANGES_MAX 2  /* one of IPv4 and one of IPv6: dual stack */
#define OPTIONS_SEEDS_MAX 255 /* IPAM_ELECTORS_MAX of <weave/ipam.h> */
#define OPTIONS_MTU_MIN 576u  /* smallest that every IPv4 host takes (RFC 791) */
#define OPTIONS_KEY_LIFE_MAX_S 3600u

enum weaver_mode {
	WEAVER_RUN,
	WEAVER_RESET,	/* remove all kernel objects and state files, then exit */
	WEAVER_VERSION, /* print the version and exit */
	WEAVER_HELP	/* print the usage and exit */
};

/* Docker's plugin: AUTO: when an engine's socket is there at the launch. */
enum plugin_wish { PLUGIN_AUTO, PLUGIN_ON, PLUGIN_OFF };

/* How the first ring of addresses comes about (--ipalloc-init). */
enum ipalloc_init { IPALLOC_CONSENSUS, IPALLOC_SEED, IPALLOC_OBSERVER };

/* Automatic addresses. */
struct ipalloc_options {
	struct cidr ranges[OPTIONS_RANGES_MAX]; /* of different families; networks */
	size_t ranges_count;			/* 0: no IPAM */
	bool range_given;			/* not the default */
	/* Of the range with the same index: where addresses come from when nobody names a subnet.
	 */
	struct cidr default_subnets[OPTIONS_RANGES_MAX];
	enum ipalloc_init init;
	uint32_t electors; /* CONSENSUS: N; 0: the given peers and we */
	peer_name seeds[OPTIONS_SEEDS_MAX];
	size_t seeds_count;
};

#define OPTIONS_DNS_ADDRESSES_MAX 16

struct dns_options {
	bool enabled;
	const char *domain; /* checked; perhaps with a last dot */
	uint32_t ttl_s, fallback_ms;
	const char *resolv_conf;   /* NULL: nobody else is asked */
	const char *docker_bridge; /* answered on its addresses, when none are given */
	/* Family 0: all addresses.  None: those of the Docker bridge, and exposed ones. */
	struct netaddr addresses[OPTIONS_DNS_ADDRESSES_MAX];
	size_t addresses_count;
};

struct weaver_options {
	enum weaver_mode mode;
	const char *run_dir, *state_dir;
	int ready_fd;	      /* where "ready <name>" or "error <text>" is written; -1 none */
	peer_name name;	      /* PEER_NAME_NONE: the persisted one, or a new random one */
	const char *nickname; /* NULL: the host's name */
	uint16_t port;	      /* TCP and UDP */
	struct ip_addr host;  /* listen on and dial from; family 0: any */
	bool discovery;
	uint32_t conn_limit; /* 0: unlimited */
	bool fastdp;
	bool pcap;	     /* --capture=pcap */
	uint32_t mtu;	     /* 0: automatic */
	uint32_t key_life_s; /* 0: as usual */
	const char *bridge;
	bool status_enabled; /* the read-only HTTP listener */
	struct netaddr status_addr;
	const char *socket_group; /* may use the API socket besides root; NULL nobody */
	enum log_level log_level;
	struct ipalloc_options ipalloc;
	struct dns_options dns;
	enum plugin_wish plugin;
	const char *docker_api; /* the engine's unix socket; NULL: no Docker at all */
	/* Where weave-plugin listens; [1] may be NULL. */
	const char *plugin_sockets[2];
	bool resume; /* take the persisted targets instead of the given peers */
	/* A secret, still where it was given: passwords_load and weave launch copy it and wipe it
	 * there.  At most one of these three. */
	const char *password;	   /* NULL none */
	const char *password_file; /* NULL none */
	int password_fd;	   /* to be read to its end; -1 none */
	uint8_t trusted_count;
	struct cidr trusted[TRUSTED_SUBNETS_MAX];
	const char **peers; /* "host[:port]", checked by hostport_parse; array owned */
	size_t peers_count;
};

/* 'args' are those behind the program's name; 'environment' is like environ, NULL-terminated, and
 * may be NULL.  False, with 'why' naming what is wrong, and '*o' finished. */
bool weaver_options_parse(struct weaver_options *o, int args_count, const char *const *args,
			  const char *const *environment, struct why *why);
void weaver_options_fini(struct weaver_options *o);

/* Appends the usage text of weaver. */
void weaver_options_usage(struct text *out);

#endif
