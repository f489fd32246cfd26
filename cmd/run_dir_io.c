#include "run_dir_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>

#define PATH_MAX_HERE 4096
#define BRIDGE_FILE "weaver.bridge"
#define LEAVING_WAIT_MS 10000u
#define LEAVING_STEP_MS 10
#define EXITING 4u /* PF_EXITING of linux/sched.h, in /proc/PID/stat */

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

static bool is_at(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
	       ours.st_dev == there.st_dev;
}

static bool read_process(const char *pid, const char *file, char *text, size_t size)
{
	char path[64];
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%.20s/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* A killed process keeps its locks until the last of its threads is out of the kernel, in which it
 * may still wait for a disk: it has begun to exit, and is more than an entry for its parent. */
static bool is_leaving(const char *pid)
{
	char stat[512], status[2048];
	const char *name_end, *threads;
	unsigned flags = 0, count = 0;
	char state = 0;

	if (!pid[0] || !read_process(pid, "stat", stat, sizeof stat) ||
	    !read_process(pid, "status", status, sizeof status))
		return false;
	/* "pid (name) state ppid pgrp session tty tpgid flags": the name may hold anything. */
	name_end = strrchr(stat, ')');
	if (!name_end || sscanf(name_end + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return false;
	threads = strstr(status, "\nThreads:");
	if (threads)
		sscanf(threads, "\nThreads: %u", &count);
	return (flags & EXITING) && (state != 'Z' || count > 1);
}

static int fail_open(const char *path, struct why *why)
{
	int rc = -errno;

	why_set(why, WHY_INVALID, "cannot open %.80s: %s", path, strerror(-rc));
	return rc;
}

/* The locked file, or -EAGAIN when the router before us removed it between our open and our lock,
 * or -EBUSY.  'pid': whose it is, or was when its process was killed. */
static int try_lock(const char *path, char *pid, size_t size, struct why *why)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), rc;
	ssize_t n;

	pid[0] = 0;
	if (fd < 0)
		return fail_open(path, why);
	rc = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -EBUSY : is_at(fd, path) ? 0 : -EAGAIN;
	n = pread(fd, pid, size - 1, 0);
	pid[n > 0 ? n : 0] = 0;
	pid[strcspn(pid, "\n")] = 0;
	if (rc == 0)
		return fd;
	close(fd);
	why_set(why, WHY_INVALID, "a router is already running here (process %s); stop it first",
		pid[0] ? pid : "unknown");
	return rc;
}

static int lock_pid_file(const char *path, struct why *why)
{
	const struct timespec pause = { .tv_nsec = LEAVING_STEP_MS * 1000 * 1000 };
	char pid[32];
	int rc = -EAGAIN;

	for (unsigned tries = 0; tries < LEAVING_WAIT_MS / LEAVING_STEP_MS; tries++) {
		rc = try_lock(path, pid, sizeof pid, why);
		if (rc != -EAGAIN && !is_leaving(pid))
			return rc;
		/* It still holds other locks: of the API's socket, of the addresses. */
		if (rc >= 0)
			close(rc);
		rc = -EBUSY;
		nanosleep(&pause, NULL);
	}
	return rc;
}

int run_dir_open(const char *path, struct run_dir **out, struct why *why)
{
	char text[32];
	struct run_dir *r;
	int rc = make_folders(path, why), n;

	if (rc)
		return rc;
	r = mem_new(1, sizeof *r);
	snprintf(r->path, sizeof r->path, "%s", path);
	r->pid_fd = lock_pid_file(run_dir_path(r, "weaver.pid"), why);
	if (r->pid_fd < 0) {
		rc = r->pid_fd;
		mem_free(r);
		return rc;
	}
	n = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (ftruncate(r->pid_fd, 0) < 0 || pwrite(r->pid_fd, text, (size_t)n, 0) != n) {
		rc = errno ? -errno : -EIO;
		why_set(why, WHY_INVALID, "cannot write the pid file in %.80s: %s", path,
			strerror(-rc));
		run_dir_close(r);
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
