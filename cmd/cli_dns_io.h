/* The commands dns-add, dns-remove, dns-lookup and dns-args; each returns the exit code. */
#ifndef WEAVE_CMD_CLI_DNS_IO_H
#define WEAVE_CMD_CLI_DNS_IO_H

#include "cli_args.h"

struct cli_dns {
	const char *run_dir;
	const struct cli_args *args;
};

int cli_dns_add(const struct cli_dns *c);
int cli_dns_remove(const struct cli_dns *c);
/* Asks the router's DNS as a container would; an address a line. */
int cli_dns_lookup(const struct cli_dns *c);
/* Options for `docker run`; nothing where DNS is off. */
int cli_dns_args(const struct cli_dns *c);

#endif
