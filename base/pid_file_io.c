#include <weave/pid_file_io.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LEAVING_WAIT_MS 10000u
#define LEAVING_STEP_MS 10
#define PID_TEXT_SIZE 32u
#define EXITING 4u /* PF_EXITING of linux/sched.h, in /proc/PID/stat */

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

/* It has begun to exit, and is more than an entry for its parent. */
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

static void read_pid(int fd, char pid[PID_TEXT_SIZE])
{
	ssize_t n = pread(fd, pid, PID_TEXT_SIZE - 1, 0);

	pid[n > 0 ? n : 0] = 0;
	pid[strcspn(pid, "\n")] = 0;
}

/* The locked file, or -EAGAIN when the one before us removed it between our open and our lock, or
 * -EBUSY.  'pid': whose it is, or was when its process was killed. */
static int try_lock(const char *path, const char *what, char pid[PID_TEXT_SIZE], struct why *why)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644), rc;

	pid[0] = 0;
	if (fd < 0) {
		rc = -errno;
		why_set(why, WHY_INVALID, "cannot open %.80s: %s", path, strerror(-rc));
		return rc;
	}
	rc = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -EBUSY : is_at(fd, path) ? 0 : -EAGAIN;
	read_pid(fd, pid);
	if (rc == 0)
		return fd;
	close(fd);
	why_set(why, WHY_INVALID, "%s is already running here (process %s); stop it first", what,
		pid[0] ? pid : "unknown");
	return rc;
}

static int lock_patiently(const char *path, const char *what, struct why *why)
{
	const struct timespec pause = { .tv_nsec = LEAVING_STEP_MS * 1000 * 1000 };
	char pid[PID_TEXT_SIZE];
	int rc = -EAGAIN;

	for (unsigned tries = 0; tries < LEAVING_WAIT_MS / LEAVING_STEP_MS; tries++) {
		rc = try_lock(path, what, pid, why);
		if (rc != -EAGAIN && !is_leaving(pid))
			return rc;
		/* It still holds other locks: of a socket, of the addresses. */
		if (rc >= 0)
			close(rc);
		rc = -EBUSY;
		nanosleep(&pause, NULL);
	}
	return rc;
}

int pid_file_lock(const char *path, const char *what, struct why *why)
{
	int fd = lock_patiently(path, what, why), rc;

	if (fd < 0)
		return fd;
	errno = 0;
	if (ftruncate(fd, 0) == 0 && dprintf(fd, "%d\n", (int)getpid()) > 0)
		return fd;
	rc = errno ? -errno : -EIO;
	why_set(why, WHY_INVALID, "cannot write %.80s: %s", path, strerror(-rc));
	close(fd);
	return rc;
}

pid_t pid_file_holder(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char pid[PID_TEXT_SIZE] = "";

	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		read_pid(fd, pid);
	close(fd);
	return is_leaving(pid) ? 0 : atoi(pid);
}
