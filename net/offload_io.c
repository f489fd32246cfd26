#include <weave/net.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weave/alloc.h>

/* Names of features, as the kernel lists them, that leave work on a frame to the next in line.
 * By name and not by the old per-feature commands: those do not reach UDP and tunnel
 * segmentation, with which a veth still hands on frames larger than the MTU. */
static bool leaves_work(const char *name)
{
	static const char *const whole[] = { "tx-generic-segmentation",
					     "tx-nocache-copy",
					     "rx-gro",
					     "rx-gro-list",
					     "rx-gro-hw",
					     "rx-lro",
					     "rx-udp-gro-forwarding",
					     "tx-gso-robust",
					     "tx-gso-partial",
					     "tx-gso-list" };
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
		if (strcmp(name, whole[i]) == 0)
			return true;
	if (strncmp(name, "tx-checksum-", 12) == 0 || strncmp(name, "tx-scatter-gather", 17) == 0)
		return true;
	return strncmp(name, "tx-", 3) == 0 && n > 13 &&
	       strcmp(name + n - 13, "-segmentation") == 0;
}

static int ethtool(int fd, const char *name, void *command)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	request.ifr_data = command;
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

/* How many features this kernel knows; bounded, since it sizes what follows. */
static int features_count(int fd, const char *name, uint32_t *count)
{
	/* The answer stands behind the fixed part: one number per bit set in the mask. */
	struct ethtool_sset_info *query = mem_new(1, sizeof *query + sizeof *count);
	int rc;

	query->cmd = ETHTOOL_GSSET_INFO;
	query->sset_mask = 1u << ETH_SS_FEATURES;
	rc = ethtool(fd, name, query);
	*count = rc == 0 && query->sset_mask ? query->data[0] : 0;
	mem_free(query);
	if (rc)
		return rc;
	return *count <= 4096 ? 0 : -EOVERFLOW;
}

static int features_off(int fd, const char *name, uint32_t count)
{
	uint32_t blocks = (count + 31) / 32;
	struct ethtool_gstrings *names = mem_new(1,
						 sizeof *names + (size_t)count * ETH_GSTRING_LEN);
	struct ethtool_sfeatures *set = mem_new(1, sizeof *set + (size_t)blocks *
									 sizeof set->features[0]);
	int rc;

	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	rc = ethtool(fd, name, names);
	set->cmd = ETHTOOL_SFEATURES;
	set->size = blocks;
	for (uint32_t i = 0; rc == 0 && i < count && i < names->len; i++) {
		char text[ETH_GSTRING_LEN + 1] = "";

		memcpy(text, names->data + (size_t)i * ETH_GSTRING_LEN, ETH_GSTRING_LEN);
		if (leaves_work(text))
			set->features[i / 32].valid |= 1u << (i % 32);
	}
	/* The kernel skips features that cannot be changed here and says so by a positive result.
	 */
	if (rc == 0)
		rc = ethtool(fd, name, set);
	mem_free(names);
	mem_free(set);
	return rc;
}

int net_offloads_off(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;
	uint32_t count = 0;

	if (fd < 0)
		return -errno;
	rc = features_count(fd, name, &count);
	if (rc == 0)
		rc = features_off(fd, name, count);
	close(fd);
	return rc;
}

int net_sysctl(const char *path, const char *value)
{
	char full[160];
	size_t size = strlen(value);
	int fd, rc = 0, n = snprintf(full, sizeof full, "/proc/sys/net/%s", path);

	if (n < 0 || (size_t)n >= sizeof full)
		return -ENAMETOOLONG;
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (write(fd, value, size) != (ssize_t)size)
		rc = -errno;
	close(fd);
	return rc;
}

int net_tune(const char *name)
{
	static const struct {
		const char *folder, *file, *value;
	} rows[] = {
		{ "ipv6/conf", "accept_ra", "0" },
		{ "ipv4/conf", "promote_secondaries", "1" },
		{ "ipv4/neigh", "base_reachable_time_ms", "5000" },
		{ "ipv4/neigh", "delay_first_probe_time", "2" },
		{ "ipv4/neigh", "ucast_solicit", "1" },
		{ "ipv6/neigh", "base_reachable_time_ms", "5000" },
		{ "ipv6/neigh", "delay_first_probe_time", "2" },
		{ "ipv6/neigh", "ucast_solicit", "1" },
	};
	char path[96];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int rc;

		snprintf(path, sizeof path, "%s/%s/%s", rows[i].folder, name, rows[i].file);
		rc = net_sysctl(path, rows[i].value);
		if (rc)
			return rc;
	}
	return 0;
}
