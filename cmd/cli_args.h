/* The command line of `weave`, from argv to one struct.
 *
 * Pure: nothing is asked, sent or started; every mistake is named before anything happens.  Texts
 * are borrowed from argv.  Grammar of addresses and commands: docs/man/weave.8.
 */
#ifndef WEAVE_CMD_CLI_ARGS_H
#define WEAVE_CMD_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include <weave/addr.h>
#include <weave/text.h>

#define CLI_ARGUMENTS_MAX 2048
#define CLI_ADDRESSES_MAX 64

/* X(NAME, word) */
#define CLI_COMMANDS(X)                                                                            \
	X(LAUNCH, "launch")                                                                        \
	X(STOP, "stop")                                                                            \
	X(RESET, "reset")                                                                          \
	X(CONNECT, "connect")                                                                      \
	X(FORGET, "forget")                                                                        \
	X(ATTACH, "attach")                                                                        \
	X(DETACH, "detach")                                                                        \
	X(EXPOSE, "expose")                                                                        \
	X(HIDE, "hide")                                                                            \
	X(STATUS, "status")                                                                        \
	X(REPORT, "report")                                                                        \
	X(PS, "ps")                                                                                \
	X(NETWORK, "network")                                                                      \
	X(PASSWORD, "password")                                                                    \
	X(VERSION, "version")                                                                      \
	X(PRIME, "prime")                                                                          \
	X(RMPEER, "rmpeer")                                                                        \
	X(DNS_ADD, "dns-add")                                                                      \
	X(DNS_REMOVE, "dns-remove")                                                                \
	X(DNS_LOOKUP, "dns-lookup")                                                                \
	X(DNS_ARGS, "dns-args")

enum cli_command {
#define X(name, word) CLI_##name,
	CLI_COMMANDS(X)
#undef X
};

struct cli_args {
	enum cli_command command;
	const char *run_dir, *state_dir; /* NULL: neither given */
	bool json;
	bool force;	      /* reset, rmpeer */
	bool replace;	      /* connect */
	bool multicast_route; /* attach */
	bool masquerade;      /* expose */
	bool dns;	      /* attach: registers the container's own name */
	const char *fqdn;     /* expose, dns-add, dns-remove: -h; NULL: not given */
	/* password: "" to look, "rotate", "finish", "cancel" */
	const char *change;
	const char *password_file; /* password rotate; "-": standard input */
	const char *what; /* network: "create", "rm"; status: "", "targets", "connections", "peers",
			     "dns", "ipam" */
	const char *network;   /* attach, detach, network; NULL: none was given */
	const char *number;    /* network create: or NULL */
	const char *format;    /* report: the template, or NULL */
	const char *container; /* attach, detach; dns-add, dns-remove: NULL: of none */
	/* As the API takes them: "10.2.1.1/24", "ip:...", "net:...", "net:default".  Checked. */
	const char *addresses[CLI_ADDRESSES_MAX];
	size_t addresses_count;
	struct ip_addr ips[CLI_ADDRESSES_MAX]; /* dns-add, dns-remove */
	size_t ips_count;
	/* launch: all its arguments; connect, forget: peers; ps: containers; rmpeer: peers;
	 * dns-lookup: the name.  Points into argv. */
	const char *const *rest;
	size_t rest_count;
};

enum cli_verdict {
	CLI_RUN,   /* do it */
	CLI_HELP,  /* usage on stderr, exit 0 */
	CLI_USAGE, /* message if any, usage on stderr, exit 1 */
	CLI_WRONG, /* message on stderr, exit 1 */
};

/* 'args' without the program's name.  'message' gets what is wrong, without a newline. */
enum cli_verdict cli_args_parse(struct cli_args *a, int count, const char *const *args,
				struct text *message);

const char *cli_usage(void);

#endif
