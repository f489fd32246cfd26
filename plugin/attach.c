#include "attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weave/docker.h>
#include <weave/hash.h>
#include <weave/must.h>

_Static_assert(sizeof "weave/1 " - 1 + NET_NAME_SIZE + ATTACH_ID_MAX + 1 + ATTACH_NETNS_MAX + 1 <=
		       NET_ALIAS_SIZE,
	       "what an attachment remembers must fit the alias");

/* ---- small searches ---- */

static bool cidr_same(struct cidr a, struct cidr b)
{
	return a.prefix == b.prefix && ip_compare(a.ip, b.ip) == 0;
}

bool cidr_listed(struct cidr cidr, const struct cidr *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (cidr_same(list[i], cidr))
			return true;
	return false;
}

const struct cidr *cidr_with_ip(struct ip_addr ip, const struct cidr *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ip_compare(list[i].ip, ip) == 0)
			return &list[i];
	return NULL;
}

const struct attachment *attachment_with_ip(struct ip_addr ip, const struct attachment *list,
					    size_t count, const struct attachment *except)
{
	for (size_t i = 0; i < count; i++)
		if (&list[i] != except && cidr_with_ip(ip, list[i].cidrs, list[i].cidrs_count))
			return &list[i];
	return NULL;
}

static bool known_id(const char *id)
{
	return id && strcmp(id, ATTACH_UNKNOWN_ID) != 0;
}

static const char *id_or_unknown(const char *id)
{
	return id ? id : ATTACH_UNKNOWN_ID;
}

/* How people call an attachment: by id if it has one, else by namespace. */
static const char *called(const struct attachment *a)
{
	return known_id(a->id) ? a->id : a->netns;
}

/* ---- what a request may say ---- */

static bool host_bits_all(struct cidr c, bool ones)
{
	for (unsigned bit = c.prefix; bit < ip_bits(c.ip); bit++)
		if (!!(c.ip.b[bit / 8] & (0x80u >> (bit % 8))) != ones)
			return false;
	return true;
}

/* NULL, or what kind of address it is that no interface of ours can have. */
static const char *unfit(struct cidr c)
{
	static const uint8_t zero[16], mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool subnet = c.prefix + 2u <= ip_bits(c.ip); /* /31 and /127 have hosts only */

	if (memcmp(c.ip.b, zero, ip_bits(c.ip) / 8) == 0)
		return "the unspecified address";
	if (c.ip.family == 4 && c.ip.b[0] == 0)
		return "in 0.0.0.0/8, which means this network";
	if (c.ip.family == 4 && c.ip.b[0] == 127)
		return "a loopback address";
	if (c.ip.family == 4 && c.ip.b[0] >= 240)
		return "a reserved address";
	if (c.ip.family == 6 && memcmp(c.ip.b, zero, 15) == 0 && c.ip.b[15] == 1)
		return "the loopback address";
	if (c.ip.family == 4 ? (c.ip.b[0] & 0xf0) == 0xe0 : c.ip.b[0] == 0xff)
		return "a multicast address";
	if (c.ip.family == 6 && c.ip.b[0] == 0xfe && (c.ip.b[1] & 0xc0) == 0x80)
		return "a link-local address";
	if (c.ip.family == 6 && memcmp(c.ip.b, mapped, sizeof mapped) == 0)
		return "an IPv4 address in the form of IPv6";
	if (c.prefix == 0)
		return "without a network (prefix 0)";
	if (subnet && host_bits_all(c, false))
		return c.ip.family == 4 ? "the network address of its subnet"
					: "the router anycast address of its subnet";
	if (subnet && c.ip.family == 4 && host_bits_all(c, true))
		return "the broadcast address of its subnet";
	return NULL;
}

int attach_check_cidr(struct cidr cidr, struct why *why)
{
	char text[CIDR_TEXT_SIZE];
	const char *what;

	if ((cidr.ip.family != 4 && cidr.ip.family != 6) || cidr.prefix > ip_bits(cidr.ip)) {
		why_set(why, WHY_INVALID, "no address given where one is needed");
		return -EINVAL;
	}
	what = unfit(cidr);
	if (!what)
		return 0;
	why_set(why, WHY_INVALID, "%s is %s", cidr_text(cidr, text), what);
	return -EINVAL;
}

static bool id_char(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return !first && (c == '_' || c == '.' || c == ':' || c == '-');
}

static int check_id(const char *id, struct why *why)
{
	size_t n = 0;

	if (!known_id(id))
		return 0;
	while (n <= ATTACH_ID_MAX && id[n] && id_char(id[n], n == 0))
		n++;
	if (n > 0 && n <= ATTACH_ID_MAX && !id[n])
		return 0;
	why_set(why, WHY_INVALID, "\"%.70s\" is no container id: 1 to %u letters, digits, \"_.:-\"",
		id, ATTACH_ID_MAX);
	return -EINVAL;
}

static int check_netns(const char *path, struct why *why)
{
	size_t n = path ? strlen(path) : 0;

	if (n == 0 || path[0] != '/') {
		why_set(why, WHY_INVALID,
			"the path of the network namespace must be absolute: \"%.80s\"",
			path ? path : "");
		return -EINVAL;
	}
	if (n > ATTACH_NETNS_MAX) {
		why_set(why, WHY_INVALID,
			"the path of the network namespace has %zu bytes, more than %u", n,
			ATTACH_NETNS_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)path[i] > ' ' && path[i] != 0x7f)
			continue;
		why_set(why, WHY_INVALID,
			"the path of the network namespace has a blank or control character");
		return -EINVAL;
	}
	return 0;
}

/* Each address by itself, and that no address comes with two prefixes. */
static int check_cidrs(const struct cidr *cidrs, size_t count, struct why *why)
{
	if (count > ATTACH_CIDRS_MAX) {
		why_set(why, WHY_INVALID, "%zu addresses are more than %u", count,
			ATTACH_CIDRS_MAX);
		return -E2BIG;
	}
	for (size_t i = 0; i < count; i++) {
		const struct cidr *before = cidr_with_ip(cidrs[i].ip, cidrs, i);
		char a[CIDR_TEXT_SIZE], b[CIDR_TEXT_SIZE];
		int rc = attach_check_cidr(cidrs[i], why);

		if (rc)
			return rc;
		if (!before || before->prefix == cidrs[i].prefix)
			continue;
		why_set(why, WHY_INVALID, "%s and %s are one address with two prefixes",
			cidr_text(*before, a), cidr_text(cidrs[i], b));
		return -EINVAL;
	}
	return 0;
}

int attach_check(const struct attach_request *req, uint32_t bridge_mtu, struct why *why)
{
	int rc = check_id(req->id, why);

	if (rc == 0 && req->id && docker_is_port_id(req->id)) {
		why_set(why, WHY_INVALID, "ids that begin with " DOCKER_ID_PREFIX " are Docker's");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = check_netns(req->netns, why);
	if (rc == 0)
		rc = check_cidrs(req->cidrs, req->cidrs_count, why);
	if (rc == 0 && req->mtu && (req->mtu < NET_MTU_MIN || req->mtu > bridge_mtu)) {
		why_set(why, WHY_INVALID, "MTU %u is not between %u and the bridge's %u", req->mtu,
			NET_MTU_MIN, bridge_mtu);
		rc = -EINVAL;
	}
	return rc;
}

/* ---- what is remembered ---- */

void attach_alias(const char *bridge, const char *id, const char *netns, char *alias)
{
	char rest[NET_ALIAS_SIZE];
	int n = snprintf(rest, sizeof rest, "%s %s", id_or_unknown(id), netns);

	MUST(n > 0 && (size_t)n < sizeof rest);
	MUST(net_alias(bridge, rest, alias));
}

bool attach_alias_parse(const char *alias, const char *bridge, struct attachment *a)
{
	const char *rest = net_alias_rest(alias, bridge);
	const char *blank = rest ? strchr(rest, ' ') : NULL;
	struct why ignored;
	size_t n;

	if (!blank)
		return false;
	n = (size_t)(blank - rest);
	if (n == 0 || n > ATTACH_ID_MAX || check_netns(blank + 1, &ignored))
		return false;
	memcpy(a->id, rest, n);
	a->id[n] = 0;
	snprintf(a->netns, sizeof a->netns, "%s", blank + 1);
	return check_id(a->id, &ignored) == 0;
}

void attach_port_name(const char *id, struct netns_id netns, unsigned attempt, char *name)
{
	struct hash_key key = { netns.inode, netns.device + attempt };
	const char *text = id_or_unknown(id);
	unsigned mark = (unsigned)(hash64(&key, text, strlen(text)) & 0xfffffff);

	snprintf(name, NET_NAME_SIZE, ATTACH_PORT_PREFIX "%07x", mark);
}

/* ---- attach ---- */

static int refuse_taken(struct cidr cidr, const char *by, struct why *why)
{
	char text[IP_TEXT_SIZE];

	why_set(why, WHY_INVALID, "%s is taken already, by %.90s", ip_text(cidr.ip, text), by);
	return -EEXIST;
}

static int plan_cidr(const struct attach_plan *plan, struct cidr cidr,
		     const struct attachment *list, size_t count, const struct cidr *exposed,
		     size_t exposed_count, struct why *why)
{
	const struct attachment *other;

	if (cidr_with_ip(cidr.ip, exposed, exposed_count))
		return refuse_taken(cidr, "the host itself (weave expose)", why);
	for (size_t i = 0; i < count; i++) {
		const struct cidr *same = cidr_with_ip(cidr.ip, list[i].cidrs, list[i].cidrs_count);
		char a[CIDR_TEXT_SIZE], b[CIDR_TEXT_SIZE];

		if (&list[i] != plan->existing || !same || same->prefix == cidr.prefix)
			continue;
		why_set(why, WHY_INVALID, "the container has %s already, which differs from %s",
			cidr_text(*same, a), cidr_text(cidr, b));
		return -EEXIST;
	}
	other = attachment_with_ip(cidr.ip, list, count, plan->existing);
	if (other && other == plan->stale)
		other = NULL;
	return other ? refuse_taken(cidr, called(other), why) : 0;
}

int attach_plan(const struct attach_request *req, struct netns_id netns,
		const struct attachment *list, size_t count, const struct cidr *exposed,
		size_t exposed_count, struct attach_plan *plan, struct why *why)
{
	uint32_t had;

	memset(plan, 0, sizeof *plan);
	for (size_t i = 0; i < count; i++) {
		if (docker_is_port_id(list[i].id))
			continue;
		if (netns_equal(list[i].netns_id, netns))
			plan->existing = &list[i];
		else if (known_id(req->id) && strcmp(list[i].id, req->id) == 0)
			plan->stale = &list[i];
	}
	had = plan->existing ? plan->existing->cidrs_count : 0;
	for (size_t i = 0; i < req->cidrs_count; i++) {
		struct cidr c = req->cidrs[i];
		int rc = plan_cidr(plan, c, list, count, exposed, exposed_count, why);

		if (rc)
			return rc;
		if (cidr_listed(c, plan->cidrs, plan->cidrs_count) ||
		    (plan->existing && cidr_listed(c, plan->existing->cidrs, had)))
			continue;
		if (had + plan->cidrs_count >= ATTACH_CIDRS_MAX) {
			why_set(why, WHY_INVALID, "the container would have more than %u addresses",
				ATTACH_CIDRS_MAX);
			return -E2BIG;
		}
		plan->cidrs[plan->cidrs_count++] = c;
	}
	return 0;
}

/* ---- detach ---- */

static const struct attachment *detach_target(const struct detach_request *req,
					      struct netns_id netns, const struct attachment *list,
					      size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!docker_is_port_id(list[i].id) &&
		    (req->netns ? netns_equal(list[i].netns_id, netns)
				: known_id(req->id) && strcmp(list[i].id, req->id) == 0))
			return &list[i];
	return NULL;
}

int detach_plan(const struct detach_request *req, struct netns_id netns,
		const struct attachment *list, size_t count, struct detach_plan *plan,
		struct why *why)
{
	const struct attachment *a = detach_target(req, netns, list, count);
	char text[CIDR_TEXT_SIZE];

	memset(plan, 0, sizeof *plan);
	if (!a) {
		why_set(why, WHY_INVALID, "%.110s is not attached",
			req->netns ? req->netns : id_or_unknown(req->id));
		return -ENOENT;
	}
	plan->target = a;
	for (size_t i = 0; i < req->cidrs_count; i++) {
		if (!cidr_listed(req->cidrs[i], a->cidrs, a->cidrs_count)) {
			why_set(why, WHY_INVALID, "%.90s does not have the address %s", called(a),
				cidr_text(req->cidrs[i], text));
			return -ENOENT;
		}
		if (!cidr_listed(req->cidrs[i], plan->cidrs, plan->cidrs_count))
			plan->cidrs[plan->cidrs_count++] = req->cidrs[i];
	}
	if (req->cidrs_count == 0) {
		memcpy(plan->cidrs, a->cidrs, a->cidrs_count * sizeof a->cidrs[0]);
		plan->cidrs_count = a->cidrs_count;
	}
	plan->all = plan->cidrs_count == a->cidrs_count;
	return 0;
}
