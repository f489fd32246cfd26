/* Whom to ask: the nameservers of a resolv.conf(5).  Pure. */
#ifndef WEAVE_DNS_RESOLV_CONF_H
#define WEAVE_DNS_RESOLV_CONF_H

#include <weave/addr.h>

#define DNS_PORT 53u

/* The first 'max' of them, in their order, each once; what cannot be read is left out. */
size_t resolv_conf_parse(const char *text, size_t size, struct netaddr *out, size_t max);

#endif
