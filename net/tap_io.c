#include "netlink_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TUN "/dev/net/tun"

int net_tap_works(void)
{
	int fd = open(TUN, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int net_tap_create(struct net *net, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open(TUN, O_RDWR | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return net_fail(net, -errno, NULL, "open " TUN);
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0)
		rc = net_fail(net, -errno, NULL, "create TAP %s", name);
	close(fd);
	return rc;
}
