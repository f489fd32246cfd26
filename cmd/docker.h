/* Docker's driver in the daemon: carries out what <weave/docker.h> decides.  Loop thread. */
#ifndef WEAVE_CMD_DOCKER_H
#define WEAVE_CMD_DOCKER_H

#include "daemon.h"

/* Networks of an earlier life; before the server starts. */
bool docker_start(struct daemon *d, struct why *why);
void docker_stop(struct daemon *d);
/* The API's operation of that name. */
void control_docker(void *ctx, const char *call, struct bytes body, uint64_t asked_ms,
		    struct api_reply *reply);
/* The kernel tells of a port of a container: when one of Docker's has come up, its addresses are
 * there to be published. */
void docker_on_link(struct daemon *d, const struct net_link *link);

/* Given a moment ago: whoever it is for may be on the way. */
bool docker_is_recent(const struct daemon *d, struct ip_addr ip);

/* cmd/docker_engine.c: follows the engine from now on, if there is to be one. */
void docker_engine_start(struct daemon *d);
void docker_engine_stop(struct daemon *d);
/* The id of the container that has this endpoint; NULL: not known. */
const char *docker_container_of(const struct daemon *d, const char *port_id);
/* An endpoint is gone from the kernel, whatever the engine says. */
void docker_port_gone(struct daemon *d, const char *port_id);

/* The network's name has been learned: what waits for it goes on. */
void docker_named(struct daemon *d, struct docker_network *network);
/* A bridge of ours: the engine's firewall lets its frames pass. */
void docker_accept_bridge(struct daemon *d, const char *bridge);

#endif
