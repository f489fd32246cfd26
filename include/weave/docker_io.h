/* Docker's endpoints in the kernel, and the file of its networks.
 *
 * An endpoint is a veth pair: the host's end `vethwl<7 hex>` is a port of its segment's bridge and
 * its alias says whose it is, as of every attachment; the other end `vethwg<7 hex>` waits in the
 * host's namespace until Docker moves it into the container and names it.  So after any restart
 * attach_list finds endpoints again.
 *
 * Loop thread; calls take milliseconds.  0, or a negative errno with 'why'.
 */
#ifndef WEAVE_DOCKER_IO_H
#define WEAVE_DOCKER_IO_H

#include <weave/docker.h>
#include <weave/log.h>
#include <weave/net.h>

/* Made anew if it was there: Docker asks once for each.  '*mac' is the container's; zero: chosen
 * here, and filled. */
int docker_endpoint_make(struct net *net, const struct net_bridge *bridge, const char *endpoint,
			 struct mac *mac, uint32_t mtu, struct why *why);
/* The endpoint's container lives in 'sandbox' from now on; NULL: in none.  'guest' (NET_NAME_SIZE
 * bytes, may be NULL) is what Docker has to move. -ENOENT: there is none such. */
int docker_endpoint_settle(struct net *net, const char *endpoint, const char *sandbox, char *guest,
			   struct why *why);
/* None there: 0. */
int docker_endpoint_remove(struct net *net, const char *endpoint, struct why *why);

/* <folder>/docker.networks.  A damaged one is set aside, with a warning, and '*n' is empty then:
 * the engine's own list fills it again. */
int docker_networks_load(const char *folder, struct docker_networks *n, struct log *log,
			 struct why *why);
/* Durable when it returns 0; else the old file is as it was. */
int docker_networks_save(const char *folder, const struct docker_networks *n, struct why *why);
int docker_networks_remove_file(const char *folder, struct why *why);

#endif
