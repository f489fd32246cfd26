#include "names_file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weave/alloc.h>

#define LINE_SIZE 1024

struct names_file {
	char *path, *fresh; /* the file, and the one that will take its place */
	int fd;
	size_t lines;
};

static const char *or_star(const char *text)
{
	return text ? text : "*";
}

static const char *or_null(const char *text)
{
	return strcmp(text, "*") == 0 ? NULL : text;
}

static bool read_line(const char *text, names_file_line line, void *ctx)
{
	char container[LINE_SIZE], address[LINE_SIZE], hostname[LINE_SIZE], sign, rest;
	struct ip_addr ip;

	if (sscanf(text, "%c %1023s %1023s %1023s%c", &sign, container, address, hostname, &rest) !=
		    5 ||
	    rest != '\n' || (sign != '+' && sign != '-') ||
	    (strcmp(address, "*") != 0 && !ip_parse(address, &ip)) ||
	    (sign == '+' && (!or_null(container) || !or_null(address) || !or_null(hostname))))
		return false;
	line(ctx, sign == '+', or_null(container), or_null(hostname),
	     or_null(address) ? &ip : NULL);
	return true;
}

/* A last line without an end was cut by a crash: the next one must not be joined to it. */
static int read_all(struct names_file *f, names_file_line line, void *ctx)
{
	FILE *file = fopen(f->path, "re");
	char text[LINE_SIZE];
	bool cut = false;

	if (!file)
		return -errno;
	while (fgets(text, sizeof text, file)) {
		cut = text[strlen(text) - 1] != '\n';
		f->lines += read_line(text, line, ctx);
	}
	fclose(file);
	return cut && write(f->fd, "\n", 1) < 0 ? -errno : 0;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	return fd < 0 ? -errno : fd;
}

int names_file_open(const char *path, names_file_line line, void *ctx, struct names_file **out,
		    struct why *why)
{
	struct names_file *f = mem_new(1, sizeof *f);
	size_t size = strlen(path) + sizeof ".new";
	int rc;

	f->path = mem_copy_text(path);
	f->fresh = mem_new(1, size);
	snprintf(f->fresh, size, "%s.new", path);
	f->fd = open_file(path, 0);
	rc = f->fd < 0 ? f->fd : read_all(f, line, ctx);
	if (rc) {
		why_set(why, WHY_TRANSPORT, "cannot keep names in %s: %s", path, strerror(-rc));
		names_file_close(f);
		return rc;
	}
	*out = f;
	return 0;
}

void names_file_close(struct names_file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	mem_free(f->path);
	mem_free(f->fresh);
	mem_free(f);
}

void names_file_remove(struct names_file *f)
{
	unlink(f->path);
	unlink(f->fresh);
	names_file_close(f);
}

int names_file_add(struct names_file *f, bool put, const char *container, const char *hostname,
		   const struct ip_addr *address)
{
	char text[LINE_SIZE], ip[IP_TEXT_SIZE];
	int size = snprintf(text, sizeof text, "%c %s %s %s\n", put ? '+' : '-', or_star(container),
			    address ? ip_text(*address, ip) : "*", or_star(hostname));

	if (size < 0 || (size_t)size >= sizeof text)
		return -EINVAL;
	if (write(f->fd, text, (size_t)size) != size)
		return errno ? -errno : -EIO;
	f->lines++;
	return 0;
}

size_t names_file_lines(const struct names_file *f)
{
	return f->lines;
}

int names_file_begin(struct names_file *f)
{
	int fd = open_file(f->fresh, O_TRUNC);

	if (fd < 0)
		return fd;
	close(f->fd);
	f->fd = fd;
	f->lines = 0;
	return 0;
}

int names_file_end(struct names_file *f)
{
	return rename(f->fresh, f->path) < 0 ? -errno : 0;
}
