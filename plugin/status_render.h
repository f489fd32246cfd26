/* A router's snapshot as text for people, as JSON, and as metrics.
 *
 * Pure; loop thread.  Text formats are those of Weave Net, except that attributes in `status
 * connections` are separated by spaces.  Texts that came from peers are cleaned on the way out:
 * what is no UTF-8, and control characters, become '?'.
 */
#ifndef WEAVE_PLUGIN_STATUS_RENDER_H
#define WEAVE_PLUGIN_STATUS_RENDER_H

#include <weave/api.h>
#include <weave/status.h>
#include <weave/text.h>

struct json_t;

void status_render(const struct status *s, struct text *out);
void status_render_targets(const struct status *s, struct text *out);
void status_render_connections(const struct status *s, struct text *out);
void status_render_peers(const struct status *s, struct text *out);
void status_render_ipam(const struct status *s, struct text *out);
void status_render_networks(const struct status *s, struct text *out);
void status_render_dns(const struct status *s, struct text *out);
/* "Service: dns" and "Service: ipam" of status_render. */
void status_render_dns_section(const struct status *s, struct text *out);
void status_render_ipam_section(const struct status *s, struct text *out);

/* One line: identity (12 characters at most), MAC, addresses. */
void status_render_attachment(const struct api_attachment *a, struct text *out);

/* Prometheus text format, version 0.0.4. */
void metrics_render(const struct status *s, struct text *out);
void metrics_render_dns(const struct status *s, struct text *out); /* a part of it */

/* New references: the caller frees with json_decref. */
struct json_t *status_json(const struct status *s); /* what `weave report` shows */
struct json_t *status_json_targets(const struct status *s);
struct json_t *status_json_connections(const struct status *s);
struct json_t *status_json_peers(const struct status *s);
struct json_t *status_json_ipam(const struct status *s);
struct json_t *status_json_dns(const struct status *s);
struct json_t *status_json_names(const struct status *s); /* GET /name */
struct json_t *status_json_networks(const struct status *s);
struct json_t *status_json_attachment(const struct api_attachment *a);
struct json_t *status_json_owned(const struct api_attachments *all); /* GET /ip */

/* Appends 'value' as JSON text; 'flags' are jansson's.  False when it does not fit. */
bool status_json_write(const struct json_t *value, size_t flags, struct text *out);

/* Appends 'raw' (NULL counts as empty) without anything that a terminal might obey; returns the
 * number of characters, which is not that of bytes. */
size_t status_clean(struct text *out, const char *raw);
/* "7a:00:11:22:33:44(host1)", and blanks up to 'width' characters. */
void status_peer_text(struct text *out, peer_name name, const char *nickname, size_t width);

double status_percent(uint64_t part, uint64_t whole);
/* The one within the universe, or all of that. */
struct cidr status_default_subnet(const struct status *s, const struct status_universe *u);

/* Owners whose peer cannot be reached, or has another disk now. */
struct status_unreachable {
	uint64_t owners, addresses;
};

struct status_unreachable status_unreachable(const struct status_universe *u);

#endif
