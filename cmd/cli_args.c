#include "cli_args.h"

#include <string.h>

#include <weave/hostname.h>
#include <weave/hostport.h>
#include <weave/must.h>

static const char usage[] =
	"Usage:\n"
	"\n"
	"weave [--run-dir <dir>] [--state-dir <dir>] [--json] <command> ...\n"
	"\n"
	"weave --help | help\n"
	"      version\n"
	"\n"
	"weave launch        [--name <name>] [--nickname <nickname>] [--port <port>]\n"
	"                      [--host <ip>] [--no-discovery] [--conn-limit <number>]\n"
	"                      [--no-fastdp] [--capture vnet | pcap] [--mtu <bytes>]\n"
	"                      [--weave-bridge <name>]\n"
	"                      [--ipalloc-range <cidr>] [--ipalloc-default-subnet <cidr>]\n"
	"                      [--ipalloc-init consensus[=<number>] | seed=<name>,... | observer]\n"
	"                      [--no-dns] [--dns-domain <domain>] [--dns-ttl <seconds>]\n"
	"                      [--dns-listen-address <ip:port>] [--resolv-conf <file>]\n"
	"                      [--status-addr <ip:port>] [--socket-group <group>]\n"
	"                      [--password <text> | --password-file <file>]\n"
	"                      [--trusted-subnets <cidr>,...]\n"
	"                      [--log-level <level>] [--resume] <peer> ...\n"
	"      stop\n"
	"      reset         [--force]\n"
	"\n"
	"weave connect       [--replace] [<peer> ...]\n"
	"      forget        <peer> ...\n"
	"\n"
	"weave attach        [<addr> ...] [--network <network>] [--without-dns]\n"
	"                      [--no-multicast-route] <container>\n"
	"      detach        [<addr> ...] [--network <network>] <container>\n"
	"      expose        [<addr> ...] [--without-masquerade] [-h <fqdn>]\n"
	"      hide          [<addr> ...]\n"
	"\n"
	"weave status        [targets | connections | peers | dns | ipam | networks]\n"
	"                      [--json]\n"
	"      report        [-f <format>]\n"
	"      ps            [<container> ...] [--json]\n"
	"\n"
	"weave network       create <network> [--number <number>]\n"
	"      network       rm <network>\n"
	"\n"
	"weave password      [rotate --password-file <file> | rotate --finish [--force]\n"
	"                      | rotate --cancel [--force]]\n"
	"\n"
	"weave prime\n"
	"      rmpeer        <peer_id> ... [--force]\n"
	"\n"
	"weave dns-add       [<ip> ...] <container> [-h <fqdn>] | <ip> ... -h <fqdn>\n"
	"      dns-remove    [<ip> ...] <container> [-h <fqdn>] | <ip> ... -h <fqdn>\n"
	"      dns-lookup    <name>\n"
	"      dns-args\n"
	"\n"
	"where <peer>      = <host or ip>[:<port>]\n"
	"      <addr>      = <cidr> | ip:<cidr> | net:<cidr> | net:default\n"
	"      <cidr>      = <ip>/<prefix length>\n"
	"      <container> = /path/of/netns | <netns name> | <pid> | <Docker name or id>\n"
	"      <network>   = <name>, the same on all hosts; 'weave' is the default one\n"
	"      <peer_id>   = <nickname> | <peer name>\n";

const char *cli_usage(void)
{
	return usage;
}

struct parser {
	struct cli_args *a;
	const char *const *args;
	int count, next;
	struct text *message;
};

/* Of Weave Net, not coming back or not here: the notice says what to do instead. */
static const struct {
	const char *word, *notice;
} removed[] = {
	{ "run", "removed in 2.0: use 'docker run' and 'weave attach'" },
	{ "start", "removed in 2.0: use 'docker start' and 'weave attach'" },
	{ "restart", "removed in 2.0: use 'docker restart' and 'weave attach'" },
	{ "launch-router", "removed in 2.0: use 'weave launch'" },
	{ "stop-router", "removed in 2.0: use 'weave stop'" },
	{ "launch-proxy", "removed in 2.0, and this router has no proxy" },
	{ "stop-proxy", "removed in 2.0, and this router has no proxy" },
	{ "launch-plugin", "removed in 2.0" },
	{ "stop-plugin", "removed in 2.0" },
	{ "launch-dns", "removed: WeaveDNS is a part of the router" },
	{ "create-bridge", "removed: 'weave launch' makes the bridge" },
	{ "proxy-env", "removed: this router has no proxy" },
	{ "proxy-config", "removed: this router has no proxy" },
	{ "env", "not available: this router has no proxy" },
	{ "config", "not available: this router has no proxy" },
	{ "setup", "not needed: this router has no images to fetch" },
};

static enum cli_verdict wrong(struct parser *p, const char *what, const char *text)
{
	text_add(p->message, "%s '%.100s'", what, text);
	return CLI_WRONG;
}

static enum cli_verdict misused(struct parser *p, const char *what)
{
	text_add_string(p->message, what);
	return CLI_USAGE;
}

static const char *take(struct parser *p)
{
	return p->next < p->count ? p->args[p->next++] : NULL;
}

/* "--name value" or "--name=value".  False when 'arg' is not this option; then '*value' stays.
 * Sets '*value' to NULL when the value is missing. */
static bool is_option(struct parser *p, const char *arg, const char *name, const char **value)
{
	size_t size = strlen(name);

	if (strncmp(arg, name, size) != 0 || (arg[size] && arg[size] != '='))
		return false;
	*value = arg[size] == '=' ? arg + size + 1 : take(p);
	return true;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-help") == 0;
}

/* --- addresses ---------------------------------------------------------------------------- */

static bool starts(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static bool looks_like_address(const char *text)
{
	struct cidr cidr;

	return starts(text, "ip:") || starts(text, "net:") || cidr_parse(text, &cidr);
}

static enum cli_verdict check_subnet(struct parser *p, const char *text)
{
	char network[CIDR_TEXT_SIZE];
	struct cidr cidr;

	if (strcmp(text, "net:default") == 0)
		return CLI_RUN;
	if (!cidr_parse(text + 4, &cidr))
		return wrong(p, "not a subnet (net:<ip>/<prefix length> or net:default):", text);
	if (ip_bits(cidr.ip) - cidr.prefix < 2)
		return wrong(p, "a subnet has 4 addresses at least:", text);
	if (ip_compare(cidr_network(cidr).ip, cidr.ip) == 0)
		return CLI_RUN;
	text_add(p->message, "'%.100s' has bits of a host in it: net:%s is meant?", text,
		 cidr_text(cidr_network(cidr), network));
	return CLI_WRONG;
}

static enum cli_verdict add_address(struct parser *p, const char *text)
{
	enum cli_verdict verdict = CLI_RUN;
	struct cli_args *a = p->a;
	struct cidr cidr;

	if (starts(text, "net:"))
		verdict = check_subnet(p, text);
	else if (!cidr_parse(starts(text, "ip:") ? text + 3 : text, &cidr))
		verdict = wrong(p, "not an address (<ip>/<prefix length>):", text);
	if (verdict == CLI_RUN && a->addresses_count == CLI_ADDRESSES_MAX)
		verdict = wrong(p, "too many addresses, from", text);
	if (verdict == CLI_RUN)
		a->addresses[a->addresses_count++] = text;
	return verdict;
}

/* --- commands ----------------------------------------------------------------------------- */

static enum cli_verdict parse_nothing(struct parser *p)
{
	const char *arg = take(p);

	if (!arg)
		return CLI_RUN;
	text_add(p->message, "unexpected argument '%.100s'", arg);
	return CLI_USAGE;
}

static enum cli_verdict parse_reset(struct parser *p)
{
	const char *arg;

	while ((arg = take(p))) {
		if (strcmp(arg, "--force") != 0) {
			text_add(p->message, "unexpected argument '%.100s'", arg);
			return CLI_USAGE;
		}
		p->a->force = true;
	}
	return CLI_RUN;
}

/* The rest of the line as it is. */
static void take_rest(struct parser *p)
{
	p->a->rest = p->args + p->next;
	p->a->rest_count = (size_t)(p->count - p->next);
	p->next = p->count;
}

static enum cli_verdict parse_launch(struct parser *p)
{
	take_rest(p);
	return CLI_RUN;
}

static enum cli_verdict check_peers(struct parser *p)
{
	struct hostport parsed;
	struct why why;

	for (size_t i = 0; i < p->a->rest_count; i++) {
		if (p->a->rest[i][0] == '-')
			return wrong(p, "unknown option", p->a->rest[i]);
		if (!hostport_parse(p->a->rest[i], &parsed, &why)) {
			text_add_string(p->message, why.text);
			return CLI_WRONG;
		}
	}
	return CLI_RUN;
}

static enum cli_verdict parse_connect(struct parser *p)
{
	if (p->next < p->count && strcmp(p->args[p->next], "--replace") == 0) {
		p->a->replace = true;
		p->next++;
	}
	take_rest(p);
	if (p->a->rest_count == 0 && !p->a->replace)
		return misused(p, "connect to whom?");
	return check_peers(p);
}

static enum cli_verdict parse_forget(struct parser *p)
{
	take_rest(p);
	return p->a->rest_count ? check_peers(p) : misused(p, "forget whom?");
}

/* Addresses up to the last argument, which is the container; options anywhere between. */
static enum cli_verdict parse_container(struct parser *p, bool attach)
{
	enum cli_verdict verdict = CLI_RUN;
	const char *arg, *value;

	while (verdict == CLI_RUN && (arg = take(p))) {
		if (attach && strcmp(arg, "--without-dns") == 0)
			p->a->dns = false;
		else if (is_option(p, arg, "--network", &p->a->network)) {
			if (!p->a->network)
				return misused(p, "--network needs the name of one");
		} else if (attach && strcmp(arg, "--no-multicast-route") == 0)
			p->a->multicast_route = false;
		else if (attach && (strcmp(arg, "--rewrite-hosts") == 0 ||
				    is_option(p, arg, "--add-host", &value)))
			return wrong(p, "this router does not write containers' /etc/hosts:", arg);
		else if (arg[0] == '-')
			return wrong(p, "unknown option", arg);
		else if (p->a->container)
			return wrong(p, "one container only, and addresses stand before it:", arg);
		else if (looks_like_address(arg))
			verdict = add_address(p, arg);
		else if (p->next < p->count && p->args[p->next][0] != '-')
			verdict = wrong(p, "not an address (<ip>/<prefix length>):", arg);
		else
			p->a->container = arg;
	}
	if (verdict == CLI_RUN && !p->a->container)
		return misused(p, "which container?");
	return verdict;
}

static enum cli_verdict parse_attach(struct parser *p)
{
	return parse_container(p, true);
}

static enum cli_verdict parse_detach(struct parser *p)
{
	return parse_container(p, false);
}

/* After "-h": whether it is in the domain, the router knows. */
static enum cli_verdict check_fqdn(struct parser *p)
{
	const char *bad;

	if (!p->a->fqdn)
		return misused(p, "-h needs a name");
	bad = hostname_check(p->a->fqdn, NULL);
	if (!bad)
		return CLI_RUN;
	text_add(p->message, "'%.100s' is no host name: %s", p->a->fqdn, bad);
	return CLI_WRONG;
}

static enum cli_verdict parse_expose(struct parser *p)
{
	enum cli_verdict verdict = CLI_RUN;
	const char *arg;

	while (verdict == CLI_RUN && (arg = take(p))) {
		if (strcmp(arg, "--without-masquerade") == 0)
			p->a->masquerade = false;
		else if (is_option(p, arg, "-h", &p->a->fqdn))
			verdict = check_fqdn(p);
		else if (arg[0] == '-')
			return wrong(p, "unknown option", arg);
		else
			verdict = add_address(p, arg);
	}
	return verdict;
}

static enum cli_verdict parse_hide(struct parser *p)
{
	enum cli_verdict verdict = CLI_RUN;
	const char *arg;

	while (verdict == CLI_RUN && (arg = take(p)))
		verdict = arg[0] == '-' ? wrong(p, "unknown option", arg) : add_address(p, arg);
	return verdict;
}

static enum cli_verdict parse_status(struct parser *p)
{
	static const char *const known[] = { "targets", "connections", "peers",
					     "dns",	"ipam",	       "networks" };
	bool found = false;
	const char *arg;

	while ((arg = take(p))) {
		if (strcmp(arg, "--json") == 0) {
			p->a->json = true;
			continue;
		}
		if (arg[0] == '-')
			return wrong(p, "unknown option", arg);
		if (found)
			return misused(p, "one status at a time");
		for (size_t i = 0; i < ARRAY_COUNT(known); i++)
			found = found || strcmp(arg, known[i]) == 0;
		if (!found) {
			text_add(p->message, "unknown status command '%.100s'", arg);
			return CLI_USAGE;
		}
		p->a->what = arg;
	}
	return CLI_RUN;
}

static enum cli_verdict parse_report(struct parser *p)
{
	const char *arg;

	while ((arg = take(p))) {
		if (strcmp(arg, "--json") == 0)
			continue;
		if (!is_option(p, arg, "-f", &p->a->format)) {
			text_add(p->message, "unexpected argument '%.100s'", arg);
			return CLI_USAGE;
		}
		if (!p->a->format)
			return misused(p, "-f needs a template");
	}
	return CLI_RUN;
}

/* A password is never an argument: lists of processes show those. */
static enum cli_verdict parse_password(struct parser *p)
{
	struct cli_args *a = p->a;
	const char *arg = take(p);

	if (!arg)
		return CLI_RUN;
	if (strcmp(arg, "rotate") != 0)
		return misused(p, "weave password: expected nothing, or rotate");
	while ((arg = take(p))) {
		const char *change = a->change;

		if (is_option(p, arg, "--password-file", &a->password_file))
			change = "rotate";
		else if (strcmp(arg, "--finish") == 0)
			change = "finish";
		else if (strcmp(arg, "--cancel") == 0)
			change = "cancel";
		else if (strcmp(arg, "--force") == 0)
			a->force = true;
		else
			return misused(p,
				       "weave password: unknown option"); /* it may be a secret */
		if (*a->change && strcmp(a->change, change) != 0)
			return misused(p, "one of --password-file, --finish and --cancel");
		a->change = change;
	}
	if (!*a->change)
		return misused(p, "weave password rotate needs --password-file <file>, --finish or "
				  "--cancel");
	if (strcmp(a->change, "rotate") == 0 && (!a->password_file || !*a->password_file))
		return misused(p, "--password-file needs a file, or - for the standard input");
	if (strcmp(a->change, "rotate") == 0 && a->force)
		return misused(p, "--force goes with --finish or --cancel");
	return CLI_RUN;
}

static enum cli_verdict parse_network(struct parser *p)
{
	struct cli_args *a = p->a;
	const char *arg = take(p);

	if (!arg || (strcmp(arg, "create") != 0 && strcmp(arg, "rm") != 0))
		return misused(p, "weave network: expected create or rm");
	a->what = arg;
	while ((arg = take(p))) {
		if (strcmp(a->what, "create") == 0 && is_option(p, arg, "--number", &a->number)) {
			if (!a->number)
				return misused(p, "--number needs one");
		} else if (arg[0] == '-') {
			return wrong(p, "unknown option", arg);
		} else if (a->network) {
			return misused(p, "one network at a time");
		} else {
			a->network = arg;
		}
	}
	return a->network ? CLI_RUN : misused(p, "which network?");
}

static enum cli_verdict parse_ps(struct parser *p)
{
	while (p->next < p->count && strcmp(p->args[p->next], "--json") == 0) {
		p->a->json = true;
		p->next++;
	}
	take_rest(p);
	while (p->a->rest_count && strcmp(p->a->rest[p->a->rest_count - 1], "--json") == 0) {
		p->a->json = true;
		p->a->rest_count--;
	}
	for (size_t i = 0; i < p->a->rest_count; i++)
		if (p->a->rest[i][0] == '-')
			return wrong(p, "unknown option", p->a->rest[i]);
	return CLI_RUN;
}

/* Peers, and --force before or behind them. */
static enum cli_verdict parse_rmpeer(struct parser *p)
{
	while (p->next < p->count && strcmp(p->args[p->next], "--force") == 0) {
		p->a->force = true;
		p->next++;
	}
	take_rest(p);
	while (p->a->rest_count && strcmp(p->a->rest[p->a->rest_count - 1], "--force") == 0) {
		p->a->force = true;
		p->a->rest_count--;
	}
	for (size_t i = 0; i < p->a->rest_count; i++)
		if (p->a->rest[i][0] == '-')
			return wrong(p, "unknown option", p->a->rest[i]);
	return p->a->rest_count ? CLI_RUN : misused(p, "remove whom?");
}

/* [<ip> ...] <container> [-h <fqdn>], or <ip> ... -h <fqdn>.  An address of an attached interface
 * may be given with its prefix length, too. */
static enum cli_verdict parse_name(struct parser *p)
{
	enum cli_verdict verdict = CLI_RUN;
	struct cli_args *a = p->a;
	const char *arg;

	while (verdict == CLI_RUN && (arg = take(p))) {
		struct cidr cidr;

		if (is_option(p, arg, "-h", &a->fqdn))
			verdict = check_fqdn(p);
		else if (arg[0] == '-')
			return wrong(p, "unknown option", arg);
		else if (a->container)
			return wrong(p, "one container only, and addresses stand before it:", arg);
		else if (!ip_parse(arg, &cidr.ip) && !cidr_parse(arg, &cidr))
			a->container = arg;
		else if (a->ips_count == CLI_ADDRESSES_MAX)
			return wrong(p, "too many addresses, from", arg);
		else
			a->ips[a->ips_count++] = cidr.ip;
	}
	/* All names of these addresses can be removed. */
	if (verdict == CLI_RUN && !a->container &&
	    (!a->ips_count || (!a->fqdn && a->command == CLI_DNS_ADD)))
		return misused(p, a->ips_count ? "which container, or -h which name?"
					       : "which container, or which addresses?");
	return verdict;
}

static enum cli_verdict parse_one(struct parser *p)
{
	take_rest(p);
	return p->a->rest_count == 1 ? CLI_RUN : misused(p, "expected exactly one argument");
}

static const char *const words[] = {
#define X(name, word) [CLI_##name] = (word),
	CLI_COMMANDS(X)
#undef X
};

static enum cli_verdict (*const parse_command[])(struct parser *p) = {
	[CLI_LAUNCH] = parse_launch,	[CLI_STOP] = parse_nothing,
	[CLI_RESET] = parse_reset,	[CLI_CONNECT] = parse_connect,
	[CLI_FORGET] = parse_forget,	[CLI_ATTACH] = parse_attach,
	[CLI_DETACH] = parse_detach,	[CLI_EXPOSE] = parse_expose,
	[CLI_HIDE] = parse_hide,	[CLI_STATUS] = parse_status,
	[CLI_REPORT] = parse_report,	[CLI_PS] = parse_ps,
	[CLI_NETWORK] = parse_network,	[CLI_PASSWORD] = parse_password,
	[CLI_VERSION] = parse_nothing,	[CLI_PRIME] = parse_nothing,
	[CLI_RMPEER] = parse_rmpeer,	[CLI_DNS_ADD] = parse_name,
	[CLI_DNS_REMOVE] = parse_name,	[CLI_DNS_LOOKUP] = parse_one,
	[CLI_DNS_ARGS] = parse_nothing,
};

_Static_assert(ARRAY_COUNT(parse_command) == ARRAY_COUNT(words), "a parser for each word");

/* --- the line ----------------------------------------------------------------------------- */

static enum cli_verdict parse_word(struct parser *p, const char *word)
{
	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (strcmp(word, words[i]) != 0)
			continue;
		if (p->next < p->count && is_help(p->args[p->next]))
			return CLI_HELP;
		p->a->command = (enum cli_command)i;
		return parse_command[i](p);
	}
	for (size_t i = 0; i < ARRAY_COUNT(removed); i++) {
		if (strcmp(word, removed[i].word) != 0)
			continue;
		text_add(p->message, "weave %s: %s", word, removed[i].notice);
		return CLI_WRONG;
	}
	text_add(p->message, "unknown weave command '%.100s'", word);
	return CLI_USAGE;
}

static enum cli_verdict set_directory(struct parser *p, const char *option, const char *value,
				      const char **directory)
{
	if (!value || value[0] != '/') {
		text_add(p->message, "%s needs an absolute path", option);
		return CLI_WRONG;
	}
	*directory = value;
	return CLI_RUN;
}

enum cli_verdict cli_args_parse(struct cli_args *a, int count, const char *const *args,
				struct text *message)
{
	struct parser p = { .a = a, .args = args, .count = count, .message = message };
	enum cli_verdict verdict = CLI_RUN;
	const char *arg, *value;

	*a = (struct cli_args){
		.what = "", .change = "", .multicast_route = true, .masquerade = true, .dns = true
	};
	if (count > CLI_ARGUMENTS_MAX)
		return misused(&p, "too many arguments");
	while (verdict == CLI_RUN && (arg = take(&p))) {
		if (strcmp(arg, "help") == 0 || strcmp(arg, "-h") == 0 || is_help(arg))
			return CLI_HELP;
		if (arg[0] != '-')
			return parse_word(&p, arg);
		if (strcmp(arg, "--version") == 0)
			return parse_word(&p, "version");
		if (strcmp(arg, "--json") == 0)
			a->json = true;
		else if (is_option(&p, arg, "--run-dir", &value))
			verdict = set_directory(&p, "--run-dir", value, &a->run_dir);
		else if (is_option(&p, arg, "--state-dir", &value))
			verdict = set_directory(&p, "--state-dir", value, &a->state_dir);
		else if (strcmp(arg, "--local") != 0) {
			text_add(message, "unknown option '%.100s'", arg);
			return CLI_USAGE;
		}
	}
	return verdict == CLI_RUN ? CLI_USAGE : verdict;
}
