#include <weave/net.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <weave/must.h>

#define OWN_NETNS "/proc/thread-self/ns/net"

/* 'fd' may be O_PATH: a device, FIFO or socket under a user's path must not be opened for real. */
static int check_filesystem(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	return fs.f_type == NSFS_MAGIC ? 0 : -EINVAL;
}

int netns_open(const char *path, int *fd)
{
	char self[32];
	int probe = open(path, O_PATH | O_CLOEXEC), rc, out;

	if (probe < 0)
		return -errno;
	rc = check_filesystem(probe);
	snprintf(self, sizeof self, "/proc/self/fd/%d", probe);
	out = rc ? -1 : open(self, O_RDONLY | O_CLOEXEC);
	if (!rc && out < 0)
		rc = -errno;
	close(probe);
	if (!rc && ioctl(out, NS_GET_NSTYPE) != CLONE_NEWNET) {
		close(out);
		rc = -EINVAL;
	}
	if (!rc)
		*fd = out;
	return rc;
}

int netns_open_pid(pid_t pid, int *fd)
{
	char path[48];

	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	return netns_open(path, fd);
}

int netns_identify(int fd, struct netns_id *id)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*id = (struct netns_id){ st.st_dev, st.st_ino };
	return 0;
}

int netns_identify_own(struct netns_id *id)
{
	struct stat st;

	if (stat(OWN_NETNS, &st) < 0)
		return -errno;
	*id = (struct netns_id){ st.st_dev, st.st_ino };
	return 0;
}

int netns_enter(int fd, struct netns_visit *visit)
{
	int rc;

	visit->home = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
	if (visit->home < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET) < 0) {
		rc = -errno;
		close(visit->home);
		visit->home = -1;
		return rc;
	}
	return 0;
}

void netns_leave(struct netns_visit *visit)
{
	if (visit->home < 0)
		return;
	MUST(setns(visit->home, CLONE_NEWNET) == 0);
	close(visit->home);
	visit->home = -1;
}
