/* Names and DNS, as text, JSON and metrics.  The lines are Weave Net's, but for the last ones. */
#include "status_render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <weave/alloc.h>
#include <weave/hostname.h>

#define CONTAINER_WIDTH 12

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static int by_name(const void *a, const void *b)
{
	const struct status_name *const *x = a, *const *y = b;
	const char *s = (*x)->hostname, *t = (*y)->hostname;

	while (*s && lower(*s) == lower(*t)) {
		s++;
		t++;
	}
	if (lower(*s) != lower(*t))
		return lower(*s) - lower(*t);
	return ip_compare((*x)->address, (*y)->address);
}

/* All names in order; the caller frees. */
static const struct status_name **sorted(const struct status *s)
{
	const struct status_name **list = mem_new(s->dns.names_count + 1, sizeof *list);

	for (size_t i = 0; i < s->dns.names_count; i++)
		list[i] = &s->dns.names[i];
	qsort(list, s->dns.names_count, sizeof *list, by_name);
	return list;
}

/* Without the domain and the dot before it. */
static int short_size(const struct status *s, const char *hostname)
{
	size_t size = strlen(hostname), domain = strlen(s->dns.domain);

	if (size > domain + 1 && hostname[size - domain - 1] == '.' &&
	    hostname_equal(hostname + size - domain, s->dns.domain))
		return (int)(size - domain - 1);
	return (int)size;
}

void status_render_dns(const struct status *s, struct text *out)
{
	const struct status_name **list = sorted(s);
	char ip[IP_TEXT_SIZE], origin[PEER_NAME_TEXT_SIZE];

	for (size_t i = 0; i < s->dns.names_count; i++) {
		const struct status_name *n = list[i];

		text_add(out, "%-12.*s %-15s %-*.*s %s\n", short_size(s, n->hostname), n->hostname,
			 ip_text(n->address, ip), CONTAINER_WIDTH, CONTAINER_WIDTH, n->container,
			 peer_name_text(n->origin, origin));
	}
	mem_free(list);
}

static void add_list(const char *label, const char *const *list, size_t count, const char *none,
		     struct text *out)
{
	text_add(out, "%15s: ", label);
	for (size_t i = 0; i < count; i++) {
		text_add_string(out, i ? ", " : "");
		text_add_string(out, list[i]);
	}
	text_add(out, "%s\n", count ? "" : none);
}

void status_render_dns_section(const struct status *s, struct text *out)
{
	const struct status_dns *d = &s->dns;

	if (!d->on)
		return;
	text_add(out, "        Service: dns\n         Domain: %s\n", d->domain);
	add_list("Upstream", d->upstreams, d->upstreams_count, "none", out);
	text_add(out, "            TTL: %" PRIu32 "\n        Entries: %" PRIu64 "\n", d->ttl_s,
		 d->found_count);
	add_list("Address", d->address_texts, d->address_texts_count,
		 "none (no Docker bridge, nothing exposed: see --dns-listen-address)", out);
	text_add_string(out, "\n");
}

/* ---- JSON ---- */

json_t *status_json_names(const struct status *s)
{
	const struct status_name **list = sorted(s);
	char ip[IP_TEXT_SIZE], origin[PEER_NAME_TEXT_SIZE];
	json_t *all = json_array();

	for (size_t i = 0; i < s->dns.names_count; i++) {
		const struct status_name *n = list[i];
		json_t *o = json_object();

		json_object_set_new(o, "Hostname", json_string(n->hostname));
		json_object_set_new(o, "Origin", json_string(peer_name_text(n->origin, origin)));
		json_object_set_new(o, "ContainerID", json_string(n->container));
		json_object_set_new(o, "Address", json_string(ip_text(n->address, ip)));
		json_object_set_new(o, "Version", json_integer((json_int_t)n->version));
		json_object_set_new(o, "Tombstone", json_integer(0));
		json_array_append_new(all, o);
	}
	mem_free(list);
	return all;
}

static json_t *texts(const char *const *list, size_t count)
{
	json_t *all = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(all, json_string(list[i]));
	return all;
}

json_t *status_json_dns(const struct status *s)
{
	const struct status_dns *d = &s->dns;
	json_t *o = json_object(), *counters = json_object();

	if (!d->on) {
		json_decref(o);
		json_decref(counters);
		return json_null();
	}
	json_object_set_new(o, "Domain", json_string(d->domain));
	json_object_set_new(o, "Upstream", texts(d->upstreams, d->upstreams_count));
	json_object_set_new(o, "Address",
			    json_string(d->address_texts_count ? d->address_texts[0] : ""));
	json_object_set_new(o, "Addresses", texts(d->address_texts, d->address_texts_count));
	json_object_set_new(o, "TTL", json_integer(d->ttl_s));
	json_object_set_new(o, "Entries", status_json_names(s));
	for (size_t i = 0; i < d->counters_count; i++)
		json_object_set_new(counters, d->counters[i].name,
				    json_integer((json_int_t)d->counters[i].count));
	json_object_set_new(o, "Counters", counters);
	return o;
}

/* ---- metrics ---- */

void metrics_render_dns(const struct status *s, struct text *out)
{
	const struct status_dns *d = &s->dns;

	if (!d->on)
		return;
	text_add(out,
		 "# HELP weave_dns_entries Names of containers of this host.\n"
		 "# TYPE weave_dns_entries gauge\nweave_dns_entries %" PRIu64 "\n",
		 d->own_count);
	text_add(out,
		 "# HELP weave_dns_names Names that can be found now, of all hosts.\n"
		 "# TYPE weave_dns_names gauge\nweave_dns_names %" PRIu64 "\n",
		 d->found_count);
	for (size_t i = 0; i < d->counters_count; i++)
		text_add(out,
			 "# HELP weave_dns_%s_total DNS: %s.\n# TYPE weave_dns_%s_total counter\n"
			 "weave_dns_%s_total %" PRIu64 "\n",
			 d->counters[i].name, d->counters[i].text, d->counters[i].name,
			 d->counters[i].name, d->counters[i].count);
}
