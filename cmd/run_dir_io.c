#include "run_dir_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>
#include <weave/pid_file_io.h>

#define PATH_MAX_HERE 4096
#define BRIDGE_FILE "weaver.bridge"

struct run_dir {
	char path[PATH_MAX_HERE], scratch[PATH_MAX_HERE];
	int pid_fd;
};

static int make_folders(const char *path, struct why *why)
{
	char part[PATH_MAX_HERE];
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof part - 64) {
		why_set(why, WHY_INVALID, "run folder '%.60s' is no usable path", path);
		return -EINVAL;
	}
	for (size_t i = 1; i <= n; i++) {
		if (path[i] && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST) {
			int rc = -errno;

			why_set(why, WHY_INVALID, "cannot make run folder %.80s: %s", part,
				strerror(-rc));
			return rc;
		}
	}
	return 0;
}

int run_dir_open(const char *path, struct run_dir **out, struct why *why)
{
	struct run_dir *r;
	int rc = make_folders(path, why);

	if (rc)
		return rc;
	r = mem_new(1, sizeof *r);
	snprintf(r->path, sizeof r->path, "%s", path);
	r->pid_fd = pid_file_lock(run_dir_path(r, "weaver.pid"), "a router", why);
	if (r->pid_fd < 0) {
		rc = r->pid_fd;
		mem_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void run_dir_close(struct run_dir *r)
{
	if (!r)
		return;
	unlink(run_dir_path(r, "weaver.pid"));
	close(r->pid_fd);
	mem_free(r);
}

int run_dir_keep_bridge(struct run_dir *r, const char *name, struct why *why)
{
	const char *path = run_dir_path(r, BRIDGE_FILE);
	size_t size = strlen(name);
	int fd, rc = 0;

	errno = 0;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, name, size) != (ssize_t)size) {
		rc = errno ? -errno : -EIO;
		why_set(why, WHY_INVALID, "cannot write %.100s: %s", path, strerror(-rc));
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

bool run_dir_bridge(struct run_dir *r, char *name, size_t size)
{
	int fd = open(run_dir_path(r, BRIDGE_FILE), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? 0 : read(fd, name, size - 1);

	if (fd >= 0)
		close(fd);
	name[n > 0 ? n : 0] = '\0';
	return n > 0;
}

const char *run_dir_path(struct run_dir *r, const char *name)
{
	int n = snprintf(r->scratch, sizeof r->scratch, "%s/%s", r->path, name);

	MUST(n > 0 && (size_t)n < sizeof r->scratch);
	return r->scratch;
}

void run_dir_remove(const char *path)
{
	static const char *const names[] = { "weaver.pid", "weaver.log",      BRIDGE_FILE,
					     "weave.sock", "weave.sock.lock", "plugin.pid",
					     "plugin.log", "names",	      "names.new" };
	char file[PATH_MAX_HERE];

	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		if ((size_t)snprintf(file, sizeof file, "%s/%s", path, names[i]) < sizeof file)
			unlink(file);
	rmdir(path); /* fails when somebody else keeps files there: theirs */
}
