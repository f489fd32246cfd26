/* Which network namespace a container's name means.
 *
 * In this order: a path (has a '/'), a name under /run/netns, a process id, a Docker container's
 * name or id.  Docker is asked over its unix socket (DOCKER_HOST=unix://... is honoured).
 */
#ifndef WEAVE_CMD_CLI_CONTAINER_IO_H
#define WEAVE_CMD_CLI_CONTAINER_IO_H

#include <stdbool.h>

#include <weave/text.h>

#define CLI_ID_SIZE 256
#define CLI_NETNS_SIZE 512

struct cli_container {
	char id[CLI_ID_SIZE];	    /* under which the router knows it */
	char netns[CLI_NETNS_SIZE]; /* absolute path */
	char fqdn[CLI_ID_SIZE];	    /* its own host name, if that has a domain; else empty */
};

/* False, with the reason in 'message', when there is no such container, it does not run, or it
 * is in the network namespace of the caller, which is the host's. */
bool cli_container_find(const char *text, struct cli_container *out, struct text *message);

#endif
