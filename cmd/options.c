#include "options.h"

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/hostname.h>
#include <weave/hostport.h>
#include <weave/must.h>

#define PATH_LENGTH_MAX 80	/* leaves room for "/weave.sock" in a sockaddr_un */
#define BRIDGE_LENGTH_MAX 15	/* IFNAMSIZ without the NUL */
#define NICKNAME_LENGTH_MAX 255 /* NICKNAME_MAX of <weave/limits.h> */

enum argument { TAKES_NONE, TAKES_BOOL, TAKES_TEXT };

struct parser {
	struct weaver_options *o;
	struct why *why;
	const char *option; /* as in the message: "--port" or "WEAVE_PORT" */
	char dashed[40];    /* holds the former */
	uint64_t seen;	    /* one bit per option that the arguments gave */
	/* As given; check_addresses looks at all of them together. */
	bool ipalloc_off, init_given;
	struct cidr subnets[OPTIONS_RANGES_MAX];
	size_t subnets_count;
};

struct option {
	const char *name; /* without the dashes */
	enum argument argument;
	bool (*apply)(struct parser *p, const char *value);
	const char *environment; /* variable that sets it, or NULL */
	const char *value;	 /* how the usage shows its value */
	const char *help;	 /* NULL: not in the usage */
};

static bool refuse(struct parser *p, const char *value, const char *expected)
{
	why_set(p->why, WHY_INVALID, "%s: '%.60s' is not %s", p->option, value, expected);
	return false;
}

static bool parse_uint(const char *text, uint32_t max, uint32_t *value)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max)
			return false;
	}
	*value = (uint32_t)v;
	return true;
}

/* The values that Go's flag package takes. */
static bool parse_bool(const char *text, bool *value)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*value = strcmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

static bool set_directory(struct parser *p, const char *value, const char **directory)
{
	if (value[0] != '/' || strlen(value) > PATH_LENGTH_MAX)
		return refuse(p, value, "an absolute path of at most 80 characters");
	*directory = value;
	return true;
}

static bool set_run_dir(struct parser *p, const char *value)
{
	return set_directory(p, value, &p->o->run_dir);
}

static bool set_state_dir(struct parser *p, const char *value)
{
	return set_directory(p, value, &p->o->state_dir);
}

static bool set_name(struct parser *p, const char *value)
{
	if (!peer_name_parse(value, &p->o->name))
		return refuse(p, value, "a peer name (six hex bytes like 7a:00:11:22:33:44)");
	/* The bridge gets it as its MAC address. */
	if (mac_is_group(mac_from_u64(p->o->name)))
		return refuse(p, value, "a unicast MAC address (its first byte is odd)");
	return true;
}

static bool set_nickname(struct parser *p, const char *value)
{
	if (!*value || strlen(value) > NICKNAME_LENGTH_MAX)
		return refuse(p, value, "a name of 1 to 255 bytes");
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return refuse(p, value, "free of control characters");
	p->o->nickname = value;
	return true;
}

static bool set_port(struct parser *p, const char *value)
{
	uint32_t port;

	/* fastdp takes the port behind it. */
	if (!parse_uint(value, UINT16_MAX - 1, &port) || port == 0)
		return refuse(p, value, "a port from 1 to 65534");
	p->o->port = (uint16_t)port;
	return true;
}

static bool set_host(struct parser *p, const char *value)
{
	if (*value == '\0') {
		p->o->host = (struct ip_addr){ 0 };
		return true;
	}
	if (!ip_parse(value, &p->o->host))
		return refuse(p, value, "an IP address");
	return true;
}

static bool set_bool(struct parser *p, const char *value, bool *flag)
{
	if (!parse_bool(value, flag))
		return refuse(p, value, "true or false");
	return true;
}

static bool set_no_discovery(struct parser *p, const char *value)
{
	bool no = false;

	if (!set_bool(p, value, &no))
		return false;
	p->o->discovery = !no;
	return true;
}

static bool set_capture(struct parser *p, const char *value)
{
	p->o->pcap = strcmp(value, "pcap") == 0;
	if (p->o->pcap || strcmp(value, "vnet") == 0)
		return true;
	return refuse(p, value, "vnet or pcap");
}

static bool set_no_fastdp(struct parser *p, const char *value)
{
	bool no = false;

	/* Weave Net's script takes any text in WEAVE_NO_FASTDP as yes. */
	if (p->option[0] != '-' && !parse_bool(value, &no))
		no = true;
	else if (!set_bool(p, value, &no))
		return false;
	p->o->fastdp = !no;
	return true;
}

static bool set_conn_limit(struct parser *p, const char *value)
{
	if (!parse_uint(value, 10000, &p->o->conn_limit))
		return refuse(p, value, "a number from 0 (unlimited) to 10000");
	return true;
}

static bool set_key_life(struct parser *p, const char *value)
{
	if (!parse_uint(value, OPTIONS_KEY_LIFE_MAX_S, &p->o->key_life_s) || !p->o->key_life_s)
		return refuse(p, value, "a number of seconds from 1 to 3600");
	return true;
}

static bool set_mtu(struct parser *p, const char *value)
{
	uint32_t mtu;

	if (!parse_uint(value, 65535, &mtu) || (mtu != 0 && mtu < OPTIONS_MTU_MIN))
		return refuse(p, value, "0 (automatic) or a number of bytes from 576 to 65535");
	p->o->mtu = mtu;
	return true;
}

static bool set_bridge(struct parser *p, const char *value)
{
	size_t length = strlen(value);

	if (length == 0 || length > BRIDGE_LENGTH_MAX || strcmp(value, ".") == 0 ||
	    strcmp(value, "..") == 0)
		return refuse(p, value, "an interface name of 1 to 15 characters");
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c <= 0x20 || *c == 0x7f || *c == '/' || *c == ':' || *c == '%')
			return refuse(p, value, "an interface name");
	p->o->bridge = value;
	return true;
}

/* "127.0.0.1:6784", "[::1]:6784", ":6784" for all addresses, or nothing to turn it off. */
static bool set_status_addr(struct parser *p, const char *value)
{
	struct netaddr a = { .ip = { .family = 4 } };
	uint32_t port;

	p->o->status_enabled = *value != '\0';
	if (!p->o->status_enabled)
		return true;
	if (*value == ':' && parse_uint(value + 1, UINT16_MAX, &port) && port > 0)
		a.port = (uint16_t)port;
	else if (!netaddr_parse(value, 0, &a) || a.port == 0)
		return refuse(p, value, "<ip>:<port>, :<port> or empty");
	p->o->status_addr = a;
	return true;
}

static bool set_socket_group(struct parser *p, const char *value)
{
	if (!*value || strlen(value) > 32)
		return refuse(p, value, "a group's name");
	p->o->socket_group = value;
	return true;
}

static bool set_log_level(struct parser *p, const char *value)
{
	static const char *const names[] = { "debug", "info", "warning", "error" };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			p->o->log_level = (enum log_level)i;
			return true;
		}
	}
	return refuse(p, value, "debug, info, warning or error");
}

static bool set_resume(struct parser *p, const char *value)
{
	return set_bool(p, value, &p->o->resume);
}

static bool set_fd(struct parser *p, const char *value, int *to)
{
	uint32_t fd;

	if (!parse_uint(value, 1u << 20, &fd) || fd < 3)
		return refuse(p, value, "a file descriptor above 2");
	*to = (int)fd;
	return true;
}

static bool set_ready_fd(struct parser *p, const char *value)
{
	return set_fd(p, value, &p->o->ready_fd);
}

static bool set_mode(struct parser *p, enum weaver_mode mode)
{
	/* The first one that stops us from running wins. */
	if (p->o->mode == WEAVER_RUN)
		p->o->mode = mode;
	return true;
}

static bool set_reset(struct parser *p, const char *value)
{
	(void)value;
	return set_mode(p, WEAVER_RESET);
}

static bool set_version(struct parser *p, const char *value)
{
	(void)value;
	return set_mode(p, WEAVER_VERSION);
}

static bool set_help(struct parser *p, const char *value)
{
	(void)value;
	return set_mode(p, WEAVER_HELP);
}

/* Options of Weave Net whose wish is already fulfilled. */
static bool accept_bool(struct parser *p, const char *value)
{
	bool ignored;

	return p->option[0] != '-' || set_bool(p, value, &ignored);
}

/* An empty one is refused: a variable that nobody set must not turn encryption off.  No message
 * shows any of it. */
static bool set_password(struct parser *p, const char *value)
{
	if (!*value) {
		why_set(p->why, WHY_INVALID,
			"%s: the password is empty; leave the option away to run without one",
			p->option);
		return false;
	}
	if (strlen(value) > PASSWORD_SIZE_MAX) {
		why_set(p->why, WHY_INVALID, "%s: longer than %u bytes", p->option,
			PASSWORD_SIZE_MAX);
		return false;
	}
	if (p->o->password) {
		why_set(p->why, WHY_INVALID, "%s is given twice", p->option);
		return false;
	}
	p->o->password = value;
	return true;
}

static bool set_password_file(struct parser *p, const char *value)
{
	if (!*value)
		return refuse(p, value, "a file");
	p->o->password_file = value;
	return true;
}

static bool set_password_fd(struct parser *p, const char *value)
{
	return set_fd(p, value, &p->o->password_fd);
}

/* Weave Net takes a list with commas.  Host bits are cut off; an address alone is one host. */
static bool add_trusted(struct parser *p, const char *text, size_t length)
{
	char one[CIDR_TEXT_SIZE];
	struct cidr c;

	if (length < sizeof one) {
		memcpy(one, text, length);
		one[length] = '\0';
	}
	if (length >= sizeof one ||
	    (!cidr_parse(one, &c) &&
	     !(ip_parse(one, &c.ip) && (c.prefix = (uint8_t)ip_bits(c.ip))))) {
		why_set(p->why, WHY_INVALID, "%s: '%.*s' is not <ip>/<prefix length>", p->option,
			(int)(length < 60 ? length : 60), text);
		return false;
	}
	if (p->o->trusted_count == TRUSTED_SUBNETS_MAX) {
		why_set(p->why, WHY_INVALID, "%s: more than %u subnets", p->option,
			TRUSTED_SUBNETS_MAX);
		return false;
	}
	p->o->trusted[p->o->trusted_count++] = cidr_network(c);
	return true;
}

static bool set_trusted_subnets(struct parser *p, const char *value)
{
	p->o->trusted_count = 0;
	while (*value) {
		size_t length = strcspn(value, ",");

		if (!add_trusted(p, value, length))
			return false;
		value += length;
		value += *value == ',';
	}
	return true;
}

static bool set_no_dns(struct parser *p, const char *value)
{
	bool no = false;

	if (!set_bool(p, value, &no))
		return false;
	p->o->dns.enabled = !no;
	return true;
}

static bool set_dns_domain(struct parser *p, const char *value)
{
	if (hostname_check(value, NULL))
		return refuse(p, value, "a domain (labels of letters, digits, '-' and '_')");
	p->o->dns.domain = value;
	return true;
}

/* "172.17.0.1", "172.17.0.1:53", "[::1]:53", ":53" for all addresses. */
static bool set_dns_listen_address(struct parser *p, const char *value)
{
	struct dns_options *o = &p->o->dns;
	struct netaddr a = { .port = 53 };
	uint32_t port;

	if (*value == ':' && value[1] != ':' && parse_uint(value + 1, UINT16_MAX, &port) && port)
		a.port = (uint16_t)port;
	else if (!netaddr_parse(value, 53, &a) || a.port == 0)
		return refuse(p, value, "<ip>, <ip>:<port> or :<port>");
	/* All addresses, in the form that Weave Net knows. */
	if (ip_compare(a.ip, (struct ip_addr){ .family = 4 }) == 0)
		a.ip.family = 0;
	if (o->addresses_count == OPTIONS_DNS_ADDRESSES_MAX) {
		why_set(p->why, WHY_INVALID, "%s: more than %d addresses", p->option,
			OPTIONS_DNS_ADDRESSES_MAX);
		return false;
	}
	o->addresses[o->addresses_count++] = a;
	return true;
}

static bool set_dns_ttl(struct parser *p, const char *value)
{
	if (!parse_uint(value, 86400, &p->o->dns.ttl_s))
		return refuse(p, value, "a number of seconds from 0 to 86400");
	return true;
}

/* As Go writes it: "5s", "500ms". */
static bool set_dns_fallback_timeout(struct parser *p, const char *value)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 } };
	char number[12] = "";
	size_t digits = strspn(value, "0123456789");
	uint32_t n;

	if (digits && digits < sizeof number) {
		memcpy(number, value, digits);
		for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
			if (strcmp(value + digits, units[i].unit) != 0 ||
			    !parse_uint(number, 60000 / units[i].ms, &n) || n == 0)
				continue;
			p->o->dns.fallback_ms = n * units[i].ms;
			return true;
		}
	}
	return refuse(p, value, "a time of at most a minute, like 5s or 500ms");
}

static bool set_resolv_conf(struct parser *p, const char *value)
{
	p->o->dns.resolv_conf = *value ? value : NULL;
	return true;
}

static bool set_docker_bridge(struct parser *p, const char *value)
{
	if (strlen(value) > BRIDGE_LENGTH_MAX)
		return refuse(p, value, "an interface name of at most 15 characters");
	p->o->dns.docker_bridge = value;
	return true;
}

static bool refuse_docker(struct parser *p, const char *value)
{
	bool wanted = true;

	if (parse_bool(value, &wanted) && !wanted)
		return true;
	why_set(p->why, WHY_INVALID, "%s: this router has no proxy of Docker's API; see --plugin",
		p->option);
	return false;
}

/* --- Docker ------------------------------------------------------------------------------- */

static bool set_plugin(struct parser *p, const char *value)
{
	bool on = false;

	if (!set_bool(p, value, &on))
		return false;
	p->o->plugin = on ? PLUGIN_ON : PLUGIN_OFF;
	return true;
}

static bool set_no_plugin(struct parser *p, const char *value)
{
	bool off = false;

	if (!set_bool(p, value, &off))
		return false;
	p->o->plugin = off ? PLUGIN_OFF : PLUGIN_ON;
	return true;
}

/* DOCKER_HOST may name an engine elsewhere, whose containers are not ours. */
static bool set_docker_api(struct parser *p, const char *value)
{
	static const char scheme[] = "unix://";

	if (strncmp(value, scheme, sizeof scheme - 1) == 0)
		value += sizeof scheme - 1;
	if (*value && (value[0] != '/' || strlen(value) > PATH_LENGTH_MAX)) {
		if (p->option[0] != '-') {
			p->o->docker_api = NULL;
			return true;
		}
		return refuse(p, value, "unix://<path>, a path of at most 80 characters, or empty");
	}
	p->o->docker_api = *value ? value : NULL;
	return true;
}

static bool set_plugin_socket(struct parser *p, const char *value)
{
	return set_directory(p, value, &p->o->plugin_sockets[0]);
}

static bool set_mesh_socket(struct parser *p, const char *value)
{
	if (*value)
		return set_directory(p, value, &p->o->plugin_sockets[1]);
	p->o->plugin_sockets[1] = NULL;
	return true;
}

/* --- addresses ---------------------------------------------------------------------------- */

/* A network that has addresses to give: its first and last are never given. */
static bool parse_network(struct parser *p, const char *value, struct cidr *network)
{
	char text[CIDR_TEXT_SIZE];

	if (!cidr_parse(value, network))
		return refuse(p, value, "a network (<ip>/<prefix length>)");
	if (ip_compare(cidr_network(*network).ip, network->ip) != 0) {
		why_set(p->why, WHY_INVALID,
			"%s: '%.60s' is not a network address; did you mean %s?", p->option, value,
			cidr_text(cidr_network(*network), text));
		return false;
	}
	if (network->prefix + 2u > ip_bits(network->ip))
		return refuse(p, value, "a network of at least 4 addresses");
	return true;
}

/* One of each family: the last one given. */
static bool add_network(struct parser *p, const char *value, struct cidr *list, size_t *count)
{
	struct cidr network;
	size_t i = 0;

	if (!parse_network(p, value, &network))
		return false;
	while (i < *count && list[i].ip.family != network.ip.family)
		i++;
	MUST(i < OPTIONS_RANGES_MAX);
	list[i] = network;
	if (i == *count)
		++*count;
	return true;
}

/* Twice for dual stack; an empty one turns IPAM off. */
static bool set_range(struct parser *p, const char *value)
{
	struct ipalloc_options *a = &p->o->ipalloc;

	a->range_given = true;
	p->ipalloc_off = *value == '\0';
	if (p->ipalloc_off) {
		a->ranges_count = 0;
		return true;
	}
	return add_network(p, value, a->ranges, &a->ranges_count);
}

static bool set_default_subnet(struct parser *p, const char *value)
{
	return *value == '\0' || add_network(p, value, p->subnets, &p->subnets_count);
}

static bool add_seed(struct parser *p, const char *text, size_t size)
{
	struct ipalloc_options *a = &p->o->ipalloc;
	char name[PEER_NAME_TEXT_SIZE];
	peer_name seed;

	snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name), text);
	if (size >= sizeof name || !peer_name_parse(name, &seed)) {
		why_set(p->why, WHY_INVALID,
			"%s: '%.*s' is not a peer name (six hex bytes like 7a:00:11:22:33:44)",
			p->option, (int)(size < 40 ? size : 40), text);
		return false;
	}
	for (size_t i = 0; i < a->seeds_count; i++) {
		if (a->seeds[i] == seed) {
			why_set(p->why, WHY_INVALID, "%s: %s is named twice", p->option, name);
			return false;
		}
	}
	if (a->seeds_count == OPTIONS_SEEDS_MAX) {
		why_set(p->why, WHY_INVALID, "%s: more than %d seeds", p->option,
			OPTIONS_SEEDS_MAX);
		return false;
	}
	a->seeds[a->seeds_count++] = seed;
	return true;
}

static bool set_seeds(struct parser *p, const char *list)
{
	p->o->ipalloc.init = IPALLOC_SEED;
	p->o->ipalloc.seeds_count = 0;
	for (;;) {
		size_t size = strcspn(list, ",");

		if (!add_seed(p, list, size))
			return false;
		if (!list[size])
			return true;
		list += size + 1;
	}
}

static bool set_init(struct parser *p, const char *value)
{
	static const char consensus[] = "consensus=", seed[] = "seed=";
	struct ipalloc_options *a = &p->o->ipalloc;

	p->init_given = *value != '\0';
	if (strncmp(value, seed, sizeof seed - 1) == 0)
		return set_seeds(p, value + sizeof seed - 1);
	if (strcmp(value, "observer") == 0) {
		a->init = IPALLOC_OBSERVER;
		return true;
	}
	a->init = IPALLOC_CONSENSUS;
	a->electors = 0;
	if (*value == '\0' || strcmp(value, "consensus") == 0)
		return true;
	if (strncmp(value, consensus, sizeof consensus - 1) == 0 &&
	    parse_uint(value + sizeof consensus - 1, OPTIONS_SEEDS_MAX, &a->electors) &&
	    a->electors > 0)
		return true;
	return refuse(p, value,
		      "consensus, consensus=<1 to 255>, seed=<peer name>,... or observer");
}

static bool check_addresses(struct parser *p)
{
	struct ipalloc_options *a = &p->o->ipalloc;
	char text[CIDR_TEXT_SIZE];

	if (!a->range_given && !cidr_parse(OPTIONS_IPALLOC_RANGE, &a->ranges[0]))
		NOT_REACHED("default range");
	if (!a->range_given)
		a->ranges_count = 1;
	if (p->ipalloc_off && (p->init_given || p->subnets_count)) {
		why_set(p->why, WHY_INVALID,
			"--ipalloc-init and --ipalloc-default-subnet need an --ipalloc-range");
		return false;
	}
	for (size_t i = 0; i < a->ranges_count; i++)
		a->default_subnets[i] = a->ranges[i];
	for (size_t k = 0; k < p->subnets_count; k++) {
		size_t i = 0;

		while (i < a->ranges_count && !cidr_overlaps(a->ranges[i], p->subnets[k]))
			i++;
		if (i == a->ranges_count) {
			why_set(p->why, WHY_INVALID,
				"--ipalloc-default-subnet: %s lies outside the --ipalloc-range",
				cidr_text(p->subnets[k], text));
			return false;
		}
		a->default_subnets[i] = p->subnets[k];
	}
	return true;
}

static const struct option options[] = {
	{ "run-dir", TAKES_TEXT, set_run_dir, "WEAVE_RUN_DIR", "<dir>",
	  "API socket, pid and log file (/run/weave)" },
	{ "state-dir", TAKES_TEXT, set_state_dir, "WEAVE_STATE_DIR", "<dir>",
	  "what survives a restart (/var/lib/weave)" },
	{ "name", TAKES_TEXT, set_name, NULL, "<peer name>",
	  "48 bits like a MAC address (random, then kept)" },
	{ "nickname", TAKES_TEXT, set_nickname, NULL, "<text>", "for people (the host's name)" },
	{ "port", TAKES_TEXT, set_port, "WEAVE_PORT", "<port>", "TCP and UDP (6783)" },
	{ "host", TAKES_TEXT, set_host, NULL, "<ip>", "listen on and dial from this address only" },
	{ "no-discovery", TAKES_BOOL, set_no_discovery, NULL, "",
	  "connect to the given peers only" },
	{ "conn-limit", TAKES_TEXT, set_conn_limit, NULL, "<number>",
	  "most connections to dial, 0 unlimited (100)" },
	{ "password", TAKES_TEXT, set_password, "WEAVE_PASSWORD", "<text>",
	  "encrypt; the same on all peers (none)" },
	{ "password-file", TAKES_TEXT, set_password_file, NULL, "<file>",
	  "the same, not seen in lists of processes" },
	{ "password-fd", TAKES_TEXT, set_password_fd, NULL, "<fd>", "the same, read from there" },
	{ "trusted-subnets", TAKES_TEXT, set_trusted_subnets, NULL, "<cidr>,...",
	  "data in clear where both ends trust the other" },
	{ "key-life", TAKES_TEXT, set_key_life, NULL, "<seconds>",
	  "how long a key of the data path is used (120)" },
	{ "no-fastdp", TAKES_BOOL, set_no_fastdp, "WEAVE_NO_FASTDP", "",
	  "carry frames between hosts in user space only" },
	{ "capture", TAKES_TEXT, set_capture, NULL, "<how>",
	  "frames come from the bridge by vnet, fast, or by pcap (vnet)" },
	{ "mtu", TAKES_TEXT, set_mtu, "WEAVE_MTU", "<bytes>", "of the overlay, 0 automatic (0)" },
	{ "weave-bridge", TAKES_TEXT, set_bridge, NULL, "<name>",
	  "bridge of the containers (weave)" },
	{ "status-addr", TAKES_TEXT, set_status_addr, "WEAVE_STATUS_ADDR", "<ip:port>",
	  "read-only HTTP, empty: off (127.0.0.1:6784)" },
	{ "http-addr", TAKES_TEXT, set_status_addr, "WEAVE_HTTP_ADDR", "<ip:port>",
	  "the same; the control API is on the socket only" },
	{ "ipalloc-range", TAKES_TEXT, set_range, NULL, "<cidr>",
	  "automatic addresses; twice: IPv4 and IPv6; empty: none (" OPTIONS_IPALLOC_RANGE ")" },
	{ "ipalloc-init", TAKES_TEXT, set_init, NULL, "<how>",
	  "consensus[=<n>], seed=<name>,... or observer (consensus)" },
	{ "ipalloc-default-subnet", TAKES_TEXT, set_default_subnet, NULL, "<cidr>",
	  "where addresses come from unless told (the range)" },
	{ "plugin", TAKES_BOOL, set_plugin, NULL, "",
	  "serve Docker's networks (when there is an engine)" },
	{ "no-plugin", TAKES_BOOL, set_no_plugin, NULL, "", "do not" },
	{ "docker-api", TAKES_TEXT, set_docker_api, "DOCKER_HOST", "<socket>",
	  "of the engine; empty: no Docker (" OPTIONS_DOCKER_API ")" },
	{ "plugin-socket", TAKES_TEXT, set_plugin_socket, NULL, "<path>",
	  "of the plugin (" OPTIONS_PLUGIN_SOCKET ")" },
	{ "plugin-mesh-socket", TAKES_TEXT, set_mesh_socket, NULL, "<path>",
	  "of its other name, empty: none (.../weavemesh.sock)" },
	{ "socket-group", TAKES_TEXT, set_socket_group, NULL, "<group>",
	  "may use the control API besides root" },
	{ "log-level", TAKES_TEXT, set_log_level, NULL, "<level>",
	  "debug, info, warning or error (info)" },
	{ "no-dns", TAKES_BOOL, set_no_dns, NULL, "", "do not run WeaveDNS" },
	{ "dns-domain", TAKES_TEXT, set_dns_domain, NULL, "<domain>",
	  "of containers' names (" HOSTNAME_DOMAIN ".)" },
	{ "dns-listen-address", TAKES_TEXT, set_dns_listen_address, NULL, "<ip:port>",
	  "answer DNS there; repeat for several (Docker's bridge and exposed addresses)" },
	{ "dns-ttl", TAKES_TEXT, set_dns_ttl, NULL, "<seconds>",
	  "how long answers may be kept (1)" },
	{ "dns-fallback-timeout", TAKES_TEXT, set_dns_fallback_timeout, NULL, "<time>",
	  "until a question to other resolvers has failed (5s)" },
	{ "resolv-conf", TAKES_TEXT, set_resolv_conf, NULL, "<file>",
	  "whom to ask for other names; empty: nobody (/etc/resolv.conf)" },
	{ "docker-bridge", TAKES_TEXT, set_docker_bridge, NULL, "<name>",
	  "interface whose addresses containers ask (docker0)" },
	{ "resume", TAKES_BOOL, set_resume, NULL, "", "connect to the peers of the last run" },
	{ "no-restart", TAKES_BOOL, accept_bool, NULL, "",
	  "accepted; this router never restarts itself" },
	{ "ready-fd", TAKES_TEXT, set_ready_fd, NULL, "<fd>",
	  "write 'ready <name>' or 'error <text>' there" },
	{ "reset", TAKES_NONE, set_reset, NULL, "",
	  "remove all network objects and state, then exit" },
	{ "version", TAKES_NONE, set_version, NULL, "", "print the version and exit" },
	{ "help", TAKES_NONE, set_help, NULL, "", "print this and exit" },
	{ "no-bridged-fastdp", TAKES_BOOL, accept_bool, "WEAVE_NO_BRIDGED_FASTDP", NULL, NULL },
	{ "iprange", TAKES_TEXT, set_range, NULL, NULL, NULL },
	{ "plugin-v2", TAKES_BOOL, refuse_docker, NULL, NULL, NULL },
	{ "proxy", TAKES_BOOL, refuse_docker, NULL, NULL, NULL },
};

_Static_assert(ARRAY_COUNT(options) <= 64, "a bit of 'seen' for each");

/* --- peers -------------------------------------------------------------------------------- */

static bool add_peer(struct parser *p, const char *text)
{
	struct weaver_options *o = p->o;
	struct hostport parsed;

	if (!hostport_parse(text, &parsed, p->why))
		return false;
	if (o->peers_count == OPTIONS_PEERS_MAX) {
		why_set(p->why, WHY_INVALID, "more than %d peers", OPTIONS_PEERS_MAX);
		return false;
	}
	if ((o->peers_count & (o->peers_count - 1)) == 0)
		o->peers = mem_resize(o->peers, o->peers_count ? 2 * o->peers_count : 1,
				      sizeof *o->peers);
	o->peers[o->peers_count++] = text;
	return true;
}

/* --- arguments and environment ------------------------------------------------------------ */

static const char *get_environment(const char *const *environment, const char *name)
{
	size_t size = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
			return *environment + size + 1;
	return NULL;
}

static bool is_password(const struct option *option)
{
	return option->apply == set_password || option->apply == set_password_file ||
	       option->apply == set_password_fd;
}

/* Whether the arguments gave this option or another name of it. */
static bool is_seen(const struct parser *p, const struct option *option)
{
	for (size_t i = 0; i < ARRAY_COUNT(options); i++)
		if (p->seen >> i & 1 &&
		    (&options[i] == option ||
		     (option->apply == set_status_addr && options[i].apply == set_status_addr) ||
		     (option->apply == set_password && is_password(&options[i]))))
			return true;
	return false;
}

/* An empty variable is as good as none, except that it turns the HTTP listener off. */
static bool apply_environment(struct parser *p, const char *const *environment)
{
	/* Backwards, so that WEAVE_STATUS_ADDR wins over Weave Net's WEAVE_HTTP_ADDR. */
	for (size_t i = ARRAY_COUNT(options); i > 0; i--) {
		const struct option *option = &options[i - 1];
		const char *value = option->environment
					    ? get_environment(environment, option->environment)
					    : NULL;

		if (!value || (!*value && option->apply != set_status_addr) || is_seen(p, option))
			continue;
		p->option = option->environment;
		if (!option->apply(p, value))
			return false;
	}
	return true;
}

static const struct option *find_option(const char *name, size_t size)
{
	for (size_t i = 0; i < ARRAY_COUNT(options); i++)
		if (strlen(options[i].name) == size && memcmp(options[i].name, name, size) == 0)
			return &options[i];
	return NULL;
}

/* Weave Net's old spellings with one dash. */
static bool one_dash_works(const struct option *option)
{
	return strcmp(option->name, "port") == 0 || strcmp(option->name, "password") == 0 ||
	       strcmp(option->name, "iprange") == 0;
}

/* Applies args[*index] and, if it needs one, the value behind it. */
static bool apply_option(struct parser *p, const char *const *args, int count, int *index)
{
	const char *arg = args[*index], *name = arg + (arg[1] == '-' ? 2 : 1), *value;
	size_t size = strcspn(name, "=");
	const struct option *option = find_option(name, size);

	if (strcmp(arg, "-h") == 0)
		return set_help(p, "");
	if (!option || (arg[1] != '-' && !one_dash_works(option))) {
		/* Without its value: that may be a secret, and this goes to logs. */
		why_set(p->why, WHY_INVALID, "unknown option %.*s",
			(int)strcspn(arg, "=") < 60 ? (int)strcspn(arg, "=") : 60, arg);
		return false;
	}
	snprintf(p->dashed, sizeof p->dashed, "--%s", option->name);
	p->option = p->dashed;
	value = name[size] == '=' ? name + size + 1 : NULL;
	if (option->argument == TAKES_NONE && value) {
		why_set(p->why, WHY_INVALID, "%s takes no value", p->option);
		return false;
	}
	if (option->argument == TAKES_TEXT && !value) {
		if (*index + 1 >= count) {
			why_set(p->why, WHY_INVALID, "%s needs a value", p->option);
			return false;
		}
		value = args[++*index];
	}
	p->seen |= UINT64_C(1) << (option - options);
	return option->apply(p, value ? value : "true");
}

static bool apply_arguments(struct parser *p, const char *const *args, int count)
{
	bool options_over = false;

	for (int i = 0; i < count; i++) {
		if (options_over || args[i][0] != '-') {
			if (!add_peer(p, args[i]))
				return false;
		} else if (strcmp(args[i], "--") == 0) {
			options_over = true;
		} else if (!apply_option(p, args, count, &i)) {
			return false;
		}
	}
	return true;
}

static bool check_combination(struct parser *p)
{
	const struct weaver_options *o = p->o;

	if (o->resume && o->peers_count) {
		why_set(p->why, WHY_INVALID,
			"--resume uses the peers of the last run: give none here");
		return false;
	}
	if ((o->password != NULL) + (o->password_file != NULL) + (o->password_fd >= 0) > 1) {
		why_set(p->why, WHY_INVALID,
			"give one of --password, --password-file and --password-fd");
		return false;
	}
	if (o->plugin == PLUGIN_ON && !o->docker_api) {
		why_set(p->why, WHY_INVALID,
			"--plugin needs an engine: give its socket with --docker-api");
		return false;
	}
	if (o->mode == WEAVER_RESET && o->peers_count) {
		why_set(p->why, WHY_INVALID, "--reset takes no peers");
		return false;
	}
	return true;
}

bool weaver_options_parse(struct weaver_options *o, int args_count, const char *const *args,
			  const char *const *environment, struct why *why)
{
	struct parser p = { .o = o, .why = why };

	*o = (struct weaver_options){
		.run_dir = OPTIONS_RUN_DIR,
		.state_dir = OPTIONS_STATE_DIR,
		.ready_fd = -1,
		.password_fd = -1,
		.port = OPTIONS_PORT,
		.discovery = true,
		.conn_limit = OPTIONS_CONN_LIMIT,
		.fastdp = true,
		.bridge = "weave",
		.dns = { .enabled = true,
			 .domain = HOSTNAME_DOMAIN,
			 .ttl_s = 1,
			 .fallback_ms = 5000,
			 .resolv_conf = "/etc/resolv.conf",
			 .docker_bridge = "docker0" },
		.log_level = LOG_INFO_LEVEL,
		.docker_api = OPTIONS_DOCKER_API,
		.plugin_sockets = { OPTIONS_PLUGIN_SOCKET, OPTIONS_MESH_SOCKET },
	};
	p.option = "default";
	if (!set_status_addr(&p, OPTIONS_STATUS_ADDR) || !apply_arguments(&p, args, args_count) ||
	    !apply_environment(&p, environment) || !check_combination(&p) || !check_addresses(&p)) {
		weaver_options_fini(o);
		return false;
	}
	return true;
}

void weaver_options_fini(struct weaver_options *o)
{
	mem_free(o->peers);
	o->peers = NULL;
	o->peers_count = 0;
}

void weaver_options_usage(struct text *out)
{
	text_add_string(out, "Usage: weaver [options] [peer...]\n"
			     "A peer is host[:port].  Options, with defaults in parentheses:\n");
	for (size_t i = 0; i < ARRAY_COUNT(options); i++)
		if (options[i].help)
			text_add(out, "  --%-22s %-11s %s\n", options[i].name, options[i].value,
				 options[i].help);
}
