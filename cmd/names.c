/* Names of containers in the daemon. */
#include "daemon.h"

#include <weave/sockaddr_io.h>

void daemon_name_put(struct daemon *d, const char *container, const char *hostname,
		     struct ip_addr address)
{
	struct why why;

	if (!names_put(engine_names(d->engine), container, hostname, address, mono_now(), &why))
		log_info(&d->log, "container %s gets no name: %s", container, why.text);
}

void daemon_names_remove(struct daemon *d, const char *container, const char *hostname,
			 const struct ip_addr *address)
{
	names_remove(engine_names(d->engine), container, hostname, address, mono_now());
}
