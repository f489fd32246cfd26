#include <weave/net_xfrm.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <sodium.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/net_tunnel.h>

#include "guard_nft_io.h"
#include "netlink_io.h"

#define ALGORITHM "rfc4106(gcm(aes))"
#define ICV_BITS 128u
/* Packets that may overtake each other; XFRMA_REPLAY_ESN_MAX is the most that kernels take. */
#define REPLAY_WINDOW XFRMA_REPLAY_ESN_MAX
/* Far below the bounds of AES-GCM, and never reached in the life of a key. */
#define PACKETS_MAX (1ull << 40)
/* Before whatever else the host has for the same packets; lower comes first. */
#define POLICY_PRIORITY 100u

static uint32_t prefix_of(const char *bridge)
{
	/* Not what small numbers of others' would give. */
	return net_bridge_mark(bridge) & 0xffff0000u;
}

static uint32_t reqid_of(const struct net_guard *g)
{
	MUST(g->number >= 1 && g->number <= NET_GUARDS_MAX);
	return prefix_of(g->bridge) | g->number;
}

static uint16_t family_of(struct ip_addr ip)
{
	return ip.family == 4 ? AF_INET : AF_INET6;
}

static void set_address(xfrm_address_t *a, struct ip_addr ip)
{
	memset(a, 0, sizeof *a);
	memcpy(a, ip.b, ip_bits(ip) / 8);
}

/* UDP to that port. */
static struct xfrm_selector selector(const struct net_guard *g)
{
	return (struct xfrm_selector){
		.family = family_of(g->remote),
		.proto = IPPROTO_UDP,
		.dport = htons(g->port),
		.dport_mask = 0xffff,
	};
}

static struct xfrm_lifetime_cfg no_limits(void)
{
	return (struct xfrm_lifetime_cfg){
		.soft_byte_limit = XFRM_INF,
		.hard_byte_limit = XFRM_INF,
		.soft_packet_limit = XFRM_INF,
		.hard_packet_limit = XFRM_INF,
	};
}

int net_xfrm_open(struct net **net)
{
	return net_open_bus(NETLINK_XFRM, net);
}

/* ---- associations ---- */

static void put_algorithm(struct request *r, const uint8_t *key)
{
	struct xfrm_algo_aead head = {
		.alg_name = ALGORITHM,
		.alg_key_len = NET_SA_KEY_SIZE * 8,
		.alg_icv_len = ICV_BITS,
	};
	uint8_t a[sizeof head + NET_SA_KEY_SIZE];

	memcpy(a, &head, sizeof head);
	memcpy(a + sizeof head, key, NET_SA_KEY_SIZE);
	request_put(r, XFRMA_ALG_AEAD, a, sizeof a);
	sodium_memzero(a, sizeof a);
}

static void put_replay(struct request *r)
{
	struct xfrm_replay_state_esn head = {
		.bmp_len = REPLAY_WINDOW / 32,
		.replay_window = REPLAY_WINDOW,
	};
	uint8_t s[sizeof head + REPLAY_WINDOW / 8] = { 0 };

	memcpy(s, &head, sizeof head);
	request_put(r, XFRMA_REPLAY_ESN_VAL, s, sizeof s);
}

/* What goes out goes by whatever address of ours routing chooses; what comes in is found by where
 * it goes to. */
static void set_ends(const struct net_sa *sa, xfrm_address_t *from, xfrm_address_t *to)
{
	if (sa->out) {
		memset(from, 0, sizeof *from);
		set_address(to, sa->guard.remote);
	} else {
		set_address(from, sa->guard.remote);
		set_address(to, sa->local);
	}
}

int net_sa_add(struct net *net, const struct net_sa *sa)
{
	struct xfrm_usersa_info info = {
		.sel = selector(&sa->guard),
		.id = { .spi = htonl(sa->spi), .proto = IPPROTO_ESP },
		.lft = no_limits(),
		.reqid = reqid_of(&sa->guard),
		.family = family_of(sa->guard.remote),
		.mode = XFRM_MODE_TRANSPORT,
		.flags = XFRM_STATE_ESN,
	};
	struct request r;
	int rc;

	info.lft.hard_packet_limit = PACKETS_MAX;
	info.lft.hard_add_expires_seconds = sa->expires_s;
	set_ends(sa, &info.saddr, &info.id.daddr);
	request_init(&r, XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof info);
	put_algorithm(&r, sa->key);
	put_replay(&r);
	rc = net_execute(net, &r);
	sodium_memzero(&r, sizeof r);
	return net_tried(net, rc, "add ESP association %08x", sa->spi);
}

int net_sa_remove(struct net *net, const struct net_sa *sa)
{
	struct xfrm_usersa_id id = {
		.spi = htonl(sa->spi),
		.family = family_of(sa->guard.remote),
		.proto = IPPROTO_ESP,
	};
	xfrm_address_t from;
	struct request r;
	int rc;

	set_ends(sa, &from, &id.daddr);
	request_init(&r, XFRM_MSG_DELSA, 0, &id, sizeof id);
	rc = net_execute(net, &r);
	return net_tried(net, rc == -ESRCH ? 0 : rc, "remove ESP association %08x", sa->spi);
}

/* ---- policies ---- */

static struct xfrm_selector policy_selector(const struct net_guard *g, bool out)
{
	struct xfrm_selector s = selector(g);

	set_address(out ? &s.daddr : &s.saddr, g->remote);
	*(out ? &s.prefixlen_d : &s.prefixlen_s) = (uint8_t)ip_bits(g->remote);
	return s;
}

/* Replaces one of the same selector, in one step. */
static int set_policy(struct net *net, const struct net_guard *g, bool out, uint32_t spi)
{
	bool block = out && !spi;
	struct xfrm_userpolicy_info info = {
		.sel = policy_selector(g, out),
		.lft = no_limits(),
		.priority = POLICY_PRIORITY,
		.dir = out ? XFRM_POLICY_OUT : XFRM_POLICY_IN,
		.action = block ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW,
		.share = XFRM_SHARE_ANY,
	};
	struct xfrm_user_tmpl tmpl = {
		.id = { .spi = htonl(out ? spi : 0), .proto = IPPROTO_ESP },
		.family = family_of(g->remote),
		.reqid = reqid_of(g),
		.mode = XFRM_MODE_TRANSPORT,
		.aalgos = UINT32_MAX,
		.ealgos = UINT32_MAX,
		.calgos = UINT32_MAX,
	};
	struct request r;

	request_init(&r, XFRM_MSG_UPDPOLICY, NLM_F_CREATE, &info, sizeof info);
	/* A blocking one has it too, so that it can be told for ours; it is never looked at. */
	request_put(&r, XFRMA_TMPL, &tmpl, sizeof tmpl);
	return net_execute(net, &r);
}

static int remove_policy(struct net *net, const struct net_guard *g, bool out)
{
	struct xfrm_userpolicy_id id = {
		.sel = policy_selector(g, out),
		.dir = out ? XFRM_POLICY_OUT : XFRM_POLICY_IN,
	};
	struct request r;
	int rc;

	request_init(&r, XFRM_MSG_DELPOLICY, 0, &id, sizeof id);
	rc = net_execute(net, &r);
	return rc == -ENOENT ? 0 : rc;
}

static int failed_nft(struct net *net, int rc, const struct why *why)
{
	snprintf(net->error, sizeof net->error, "%s", why->text);
	return rc;
}

int net_guard_set(struct net *net, const struct net_guard *g, uint32_t spi)
{
	char text[IP_TEXT_SIZE];
	struct why why;
	int rc = guard_nft_add(g, &why);

	if (rc)
		return failed_nft(net, rc, &why);
	rc = set_policy(net, g, false, 0);
	if (rc == 0)
		rc = set_policy(net, g, true, spi);
	return net_tried(net, rc, "set IPsec policies for %s", ip_text(g->remote, text));
}

int net_guard_remove(struct net *net, const struct net_guard *g)
{
	char text[IP_TEXT_SIZE];
	int rc = remove_policy(net, g, true), other = remove_policy(net, g, false), nft;
	struct why why;

	rc = net_tried(net, rc ? rc : other, "remove IPsec policies for %s",
		       ip_text(g->remote, text));
	nft = guard_nft_remove(g, &why);
	return rc || !nft ? rc : failed_nft(net, nft, &why);
}

/* ---- does this kernel do it? ---- */

int net_xfrm_probe(struct net *net, uint8_t family)
{
	static const uint8_t key[NET_SA_KEY_SIZE];
	/* Of a documentation network (RFC 5737, RFC 3849): nobody is there. */
	struct net_sa sa = {
		.guard = { .bridge = "probe", .number = 1, .port = 9 },
		.out = true,
		.spi = 0x77657076,
		.expires_s = 10,
		.key = key,
	};
	struct why why;
	int rc;

	if (!ip_parse(family == 4 ? "192.0.2.1" : "2001:db8::1", &sa.guard.remote))
		NOT_REACHED("address");
	rc = net_sa_remove(net, &sa);
	if (rc == 0)
		rc = net_sa_add(net, &sa);
	if (rc == 0) {
		rc = net_guard_set(net, &sa.guard, 0);
		net_guard_remove(net, &sa.guard);
		(void)guard_nft_remove_all(sa.guard.bridge, &why);
		net_sa_remove(net, &sa);
	}
	return rc;
}

/* ---- all that is ours ---- */

struct found {
	bool policy;
	union {
		struct xfrm_userpolicy_id policy_id;
		struct xfrm_usersa_id sa_id;
	} u;
};

static bool is_ours(uint32_t reqid, const void *bridge)
{
	return (reqid & 0xffff0000u) == prefix_of(bridge);
}

static int sa_row(const struct nlmsghdr *h, void *item, const void *bridge)
{
	const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(h);
	struct found *found = item;

	if (h->nlmsg_type != XFRM_MSG_NEWSA || mnl_nlmsg_get_payload_len(h) < sizeof *info ||
	    !is_ours(info->reqid, bridge) || info->id.proto != IPPROTO_ESP)
		return 0;
	found->u.sa_id = (struct xfrm_usersa_id){
		.daddr = info->id.daddr,
		.spi = info->id.spi,
		.family = info->family,
		.proto = info->id.proto,
	};
	return 1;
}

static int policy_row(const struct nlmsghdr *h, void *item, const void *bridge)
{
	const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(h);
	const struct nlattr *attrs[XFRMA_TMPL + 1];
	struct xfrm_user_tmpl tmpl;
	struct found *found = item;

	if (h->nlmsg_type != XFRM_MSG_NEWPOLICY || mnl_nlmsg_get_payload_len(h) < sizeof *info)
		return 0;
	attrs_parse(attrs, XFRMA_TMPL, h, sizeof *info);
	if (!attrs[XFRMA_TMPL] || mnl_attr_get_payload_len(attrs[XFRMA_TMPL]) < sizeof tmpl)
		return 0;
	memcpy(&tmpl, mnl_attr_get_payload(attrs[XFRMA_TMPL]), sizeof tmpl);
	if (!is_ours(tmpl.reqid, bridge))
		return 0;
	found->policy = true;
	found->u.policy_id = (struct xfrm_userpolicy_id){
		.sel = info->sel,
		.index = info->index,
		.dir = info->dir,
	};
	return 1;
}

static int list(struct net *net, const char *bridge, bool policies, struct rows *rows)
{
	struct request r;

	*rows = (struct rows){
		policies ? policy_row : sa_row, bridge, sizeof(struct found), NULL, 0, 0
	};
	request_init(&r, policies ? XFRM_MSG_GETPOLICY : XFRM_MSG_GETSA, NLM_F_DUMP, "", 0);
	return net_tried(net, net_query(net, &r, rows), "list IPsec %s",
			 policies ? "policies" : "associations");
}

static int remove_found(struct net *net, const struct found *found)
{
	struct request r;
	int rc;

	if (found->policy)
		request_init(&r, XFRM_MSG_DELPOLICY, 0, &found->u.policy_id,
			     sizeof found->u.policy_id);
	else
		request_init(&r, XFRM_MSG_DELSA, 0, &found->u.sa_id, sizeof found->u.sa_id);
	rc = net_execute(net, &r);
	return rc == -ENOENT || rc == -ESRCH ? 0 : rc;
}

int net_xfrm_count(struct net *net, const char *bridge, size_t *count)
{
	*count = 0;
	for (unsigned policies = 0; policies < 2; policies++) {
		struct rows rows;
		int rc = list(net, bridge, policies, &rows);

		if (rc)
			return rc;
		*count += rows.count;
		mem_free(rows.items);
	}
	*count += guard_nft_exists(bridge);
	return 0;
}

/* Associations first: what still goes out then is dropped, not sent in clear. */
int net_xfrm_remove(struct net *net, const char *bridge)
{
	struct why why;
	int rc = 0, failed;

	for (unsigned policies = 0; policies < 2; policies++) {
		struct rows rows;

		failed = list(net, bridge, policies, &rows);
		for (size_t i = 0; failed == 0 && i < rows.count; i++)
			failed = net_tried(
				net, remove_found(net, (struct found *)(void *)rows.items + i),
				"remove what IPsec was told");
		mem_free(rows.items);
		rc = rc ? rc : failed;
	}
	failed = guard_nft_remove_all(bridge, &why);
	if (failed && !rc)
		rc = failed_nft(net, failed, &why);
	return rc;
}
