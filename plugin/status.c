#include "status_render.h"

#include <inttypes.h>
#include <string.h>

#define ADDRESS_WIDTH 21 /* "255.255.255.255:65535" */
#define STATE_WIDTH 11	 /* "established" */
#define ENCRYPTED_WIDTH 11
#define OVERLAY_WIDTH 6
#define PEER_WIDTH 37
#define SHORT_ID_LENGTH 12 /* as `docker ps` shows container ids */

/* Bytes of the character at 's' (RFC 3629), 0 when it is not well formed or a control character. */
static size_t character_size(const unsigned char *s)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : 4;
	uint32_t code = s[0];

	if (size == 1)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (size == 4 && s[0] >> 3 != 30)
		return 0;
	code &= 0x7fu >> size;
	for (size_t i = 1; i < size; i++) {
		if (s[i] >> 6 != 2) /* also stops at the NUL */
			return 0;
		code = code << 6 | (s[i] & 0x3fu);
	}
	if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
	    code < 0xa0)
		return 0;
	return size;
}

size_t status_clean(struct text *out, const char *raw)
{
	size_t length = 0;

	if (!raw)
		return 0;
	for (const char *p = raw; *p; length++) {
		size_t size = character_size((const unsigned char *)p);

		if (size)
			text_add_bytes(out, p, size);
		else
			text_add_string(out, "?");
		p += size ? size : 1;
	}
	return length;
}

static void pad(struct text *out, size_t length, size_t width)
{
	if (length < width)
		text_add(out, "%*s", (int)(width - length), "");
}

static void add_padded(struct text *out, const char *raw, size_t width)
{
	pad(out, status_clean(out, raw), width);
}

void status_peer_text(struct text *out, peer_name name, const char *nickname, size_t width)
{
	char text[PEER_NAME_TEXT_SIZE];
	size_t length;

	text_add(out, "%s(", peer_name_text(name, text));
	length = strlen(text) + 2 + status_clean(out, nickname);
	text_add_string(out, ")");
	pad(out, length, width);
}

/* "3 (2 established, 1 retrying)" */
static void add_connections_line(const struct status *s, struct text *out)
{
	size_t counts[STATUS_CONNECTION_STATES_COUNT] = { 0 };
	const char *before = " (";

	for (size_t i = 0; i < s->connections_count; i++)
		counts[s->connections[i].state]++;
	text_add(out, "    Connections: %zu", s->connections_count);
	for (size_t state = 0; state < STATUS_CONNECTION_STATES_COUNT; state++) {
		if (!counts[state])
			continue;
		text_add(out, "%s%zu %s", before, counts[state],
			 status_connection_state_name((enum status_connection_state)state));
		before = ", ";
	}
	text_add_string(out, s->connections_count ? ")\n" : "\n");
}

/* "3 (with 5 established, 1 pending connections)": what all the reachable peers report. */
static void add_peers_line(const struct status *s, struct text *out)
{
	size_t peers = 0, established = 0, pending = 0;

	for (size_t i = 0; i < s->peers_count; i++) {
		const struct status_peer *p = &s->peers[i];

		if (!p->reachable)
			continue;
		peers++;
		for (size_t j = 0; j < p->connections_count; j++)
			*(p->connections[j].established ? &established : &pending) += 1;
	}
	text_add(out, "          Peers: %zu", peers);
	if (established && pending)
		text_add(out, " (with %zu established, %zu pending connections)", established,
			 pending);
	else if (established || pending)
		text_add(out, " (with %zu %s connections)", established + pending,
			 established ? "established" : "pending");
	text_add_string(out, "\n");
}

static void add_list_line(const char *label, const char *const *items, size_t count,
			  struct text *out)
{
	text_add(out, "%15s: ", label);
	for (size_t i = 0; i < count; i++) {
		text_add_string(out, i ? ", " : "");
		status_clean(out, items[i]);
	}
	text_add_string(out, count ? "\n" : "none\n");
}

static size_t operator_targets(const struct status *s)
{
	size_t count = 0;

	for (size_t i = 0; i < s->targets_count; i++)
		count += s->targets[i].from_operator;
	return count;
}

void status_render(const struct status *s, struct text *out)
{
	text_add(out, "\n        Version: %s\n\n", s->version ? s->version : "unknown");
	text_add_string(out, "        Service: router\n");
	if (s->protocol_min == s->protocol_max)
		text_add(out, "       Protocol: weave %u\n", s->protocol_max);
	else
		text_add(out, "       Protocol: weave %u..%u\n", s->protocol_min, s->protocol_max);
	text_add_string(out, "           Name: ");
	status_peer_text(out, s->name, s->nickname, 0);
	text_add(out, "\n     Encryption: %s\n", s->encryption ? "enabled" : "disabled");
	text_add(out, "  PeerDiscovery: %s\n", s->discovery ? "enabled" : "disabled");
	text_add(out, "        Targets: %zu\n", operator_targets(s));
	add_connections_line(s, out);
	add_peers_line(s, out);
	add_list_line("TrustedSubnets", s->trusted_subnets, s->trusted_subnets_count, out);
	for (size_t i = 0; i < s->warnings_count; i++)
		add_list_line("Warning", &s->warnings[i], 1, out);
	text_add_string(out, "\n");
	status_render_ipam_section(s, out);
	status_render_dns_section(s, out);
}

void status_render_targets(const struct status *s, struct text *out)
{
	for (size_t i = 0; i < s->targets_count; i++) {
		if (!s->targets[i].from_operator)
			continue;
		status_clean(out, s->targets[i].text);
		text_add_string(out, "\n");
	}
}

/* What a live connection is: how it carries data and to whom. */
static void add_live_info(const struct status *s, const struct status_connection *c,
			  struct text *out)
{
	if (s->encryption)
		add_padded(out, c->encrypted ? "encrypted " : "unencrypted ", ENCRYPTED_WIDTH + 1);
	add_padded(out, c->overlay ? c->overlay : "none", OVERLAY_WIDTH);
	text_add_string(out, " ");
	status_peer_text(out, c->peer, c->nickname, 0);
	if (c->encrypted)
		text_add_string(out, " encrypted=true");
	if (c->cipher)
		text_add(out, " cipher=%s", c->cipher);
	if (c->trusted)
		text_add_string(out, " trusted=true");
	if (c->mtu)
		text_add(out, " mtu=%" PRIu32, c->mtu);
	if (c->not_better) {
		text_add_string(out, " (");
		status_clean(out, c->not_better);
		text_add_string(out, ")");
	}
}

static void add_retry(const struct status_connection *c, struct text *out)
{
	text_add_string(out, c->error ? ", retry: " : "retry: ");
	if (c->retries)
		text_add(out, "in %" PRIu64 ".%" PRIu64 "s", c->retry_in_ms / 1000,
			 c->retry_in_ms % 1000 / 100);
	else
		text_add_string(out, "never");
}

void status_render_connections(const struct status *s, struct text *out)
{
	for (size_t i = 0; i < s->connections_count; i++) {
		const struct status_connection *c = &s->connections[i];

		text_add_string(out, c->outbound ? "-> " : "<- ");
		add_padded(out, c->address, ADDRESS_WIDTH);
		text_add_string(out, " ");
		add_padded(out, status_connection_state_name(c->state), STATE_WIDTH);
		text_add_string(out, " ");
		if (c->peer != PEER_NAME_NONE &&
		    (c->state == STATUS_ESTABLISHED || c->state == STATUS_PENDING))
			add_live_info(s, c, out);
		else if (c->state != STATUS_CONNECTING)
			status_clean(out, c->error);
		if (c->state == STATUS_FAILED)
			add_retry(c, out);
		text_add_string(out, "\n");
	}
}

void status_render_peers(const struct status *s, struct text *out)
{
	for (size_t i = 0; i < s->peers_count; i++) {
		const struct status_peer *p = &s->peers[i];

		if (!p->reachable)
			continue;
		status_peer_text(out, p->name, p->nickname, 0);
		text_add_string(out, "\n");
		for (size_t j = 0; j < p->connections_count; j++) {
			const struct status_peer_connection *c = &p->connections[j];

			text_add_string(out, c->outbound ? "   -> " : "   <- ");
			add_padded(out, c->address, ADDRESS_WIDTH);
			text_add_string(out, " ");
			status_peer_text(out, c->peer, c->nickname, PEER_WIDTH);
			text_add(out, " %s\n", c->established ? "established" : "pending");
		}
	}
}

void status_render_attachment(const struct api_attachment *a, struct text *out)
{
	char mac[PEER_NAME_TEXT_SIZE], cidr[CIDR_TEXT_SIZE];
	struct text id = { 0 };

	status_clean(&id, a->id);
	text_add(out, "%.*s %s", SHORT_ID_LENGTH, text_string(&id), mac_text(a->mac, mac));
	text_fini(&id);
	for (size_t i = 0; i < a->addresses.count; i++)
		text_add(out, " %s", cidr_text(a->addresses.list[i], cidr));
	text_add_string(out, "\n");
}
