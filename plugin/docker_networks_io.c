#include <weave/docker_io.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weave/alloc.h>

#define FILE_NAME "docker.networks"
#define FILE_MAX ((size_t)4 << 20)
#define PATH_SIZE 4096

static int path_in(const char *folder, const char *suffix, char *path, struct why *why)
{
	int n = snprintf(path, PATH_SIZE, "%s/" FILE_NAME "%s", folder, suffix);

	if (n > 0 && n < PATH_SIZE)
		return 0;
	why_set(why, WHY_INVALID, "the path of the state folder is too long");
	return -ENAMETOOLONG;
}

static int explain_file(struct why *why, int rc, const char *what, const char *path)
{
	if (rc)
		why_set(why, WHY_TRANSPORT, "cannot %s %.90s: %s", what, path, strerror(-rc));
	return rc;
}

static int read_all(const char *path, struct text *out)
{
	char part[4096];
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (!out->full && (n = read(fd, part, sizeof part)) > 0)
		text_add_bytes(out, part, (size_t)n);
	n = n < 0 ? -errno : 0;
	close(fd);
	return (int)n;
}

static int set_aside(const char *folder, const char *path, const char *wrong, struct log *log,
		     struct why *why)
{
	char aside[PATH_SIZE];
	int rc = path_in(folder, ".damaged", aside, why);

	if (rc)
		return rc;
	if (rename(path, aside) < 0)
		return explain_file(why, -errno, "set aside", path);
	log_warning(log, "%s is damaged (%s); it was set aside as %s, and Docker is asked anew",
		    path, wrong, aside);
	return 0;
}

int docker_networks_load(const char *folder, struct docker_networks *n, struct log *log,
			 struct why *why)
{
	struct text text = { .limit = FILE_MAX };
	char path[PATH_SIZE];
	const char *wrong;
	int rc = path_in(folder, "", path, why);

	*n = (struct docker_networks){ .count = 0 };
	if (rc)
		return rc;
	rc = read_all(path, &text);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0) {
		wrong = text.full ? "too large"
				  : docker_networks_decode(n,
							   bytes_of(text_string(&text), text.size));
		if (wrong)
			rc = set_aside(folder, path, wrong, log, why);
	} else {
		explain_file(why, rc, "read", path);
	}
	text_fini(&text);
	return rc;
}

static int write_synced(const char *path, const struct text *text)
{
	const char *data = text_string(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0)
		return -errno;
	for (size_t at = 0; !rc && at < text->size;) {
		ssize_t n = write(fd, data + at, text->size - at);

		if (n >= 0)
			at += (size_t)n;
		else if (errno != EINTR)
			rc = -errno;
	}
	if (!rc && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && !rc)
		rc = -errno;
	return rc;
}

static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int docker_networks_save(const char *folder, const struct docker_networks *n, struct why *why)
{
	char path[PATH_SIZE], fresh[PATH_SIZE];
	struct text text = { 0 };
	int rc = path_in(folder, "", path, why);

	if (!rc)
		rc = path_in(folder, ".new", fresh, why);
	if (rc)
		return rc;
	docker_networks_encode(n, &text);
	rc = write_synced(fresh, &text);
	text_fini(&text);
	if (!rc && rename(fresh, path) < 0)
		rc = -errno;
	if (!rc)
		rc = sync_folder(folder);
	if (rc)
		unlink(fresh);
	return explain_file(why, rc, "write", path);
}

int docker_networks_remove_file(const char *folder, struct why *why)
{
	static const char *const suffixes[] = { "", ".new", ".damaged" };
	char path[PATH_SIZE];
	int rc = 0;

	/* What weave-plugin promised has nobody to do it any more. */
	if ((size_t)snprintf(path, sizeof path, "%s/plugin.later", folder) < sizeof path)
		unlink(path);
	for (size_t i = 0; !rc && i < sizeof suffixes / sizeof suffixes[0]; i++) {
		rc = path_in(folder, suffixes[i], path, why);
		if (!rc && unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
			rc = explain_file(why, -errno, "remove", path);
	}
	return rc;
}
