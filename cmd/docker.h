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
/* A port of a container has come up: its addresses are there now. */
bool docker_wants_relist(const struct daemon *d, const struct net_link *link);

#endif
