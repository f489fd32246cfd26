#include "docker_promises_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/docker_front_io.h>
#include <weave/must.h>

static uint64_t day_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void append(struct docker_promises *p, uint64_t asked_ms, enum docker_call call,
		   const char *body, size_t size)
{
	struct docker_promise *one;

	if ((p->count & (p->count - 1)) == 0)
		p->list = mem_resize(p->list, p->count ? 2 * p->count : 1, sizeof *p->list);
	one = &p->list[p->count++];
	*one = (struct docker_promise){ asked_ms, call, mem_new(size + 1, 1) };
	if (size)
		memcpy(one->body, body, size);
}

/* "<ms> <call> <JSON>\n" */
static bool read_line(struct docker_promises *p, char *line, size_t size)
{
	char name[64];
	enum docker_call call;
	unsigned long long ms;
	int end = 0;

	if (size == 0 || line[size - 1] != '\n')
		return false; /* cut: it was never promised */
	line[--size] = '\0';
	if (sscanf(line, "%llu %63s %n", &ms, name, &end) != 2 || end == 0 ||
	    !docker_call_find(name, &call) || docker_call_who(call) != DOCKER_LATER)
		return false;
	append(p, ms, call, line + end, size - (size_t)end);
	return true;
}

static int read_all(struct docker_promises *p, struct log *log)
{
	FILE *f = fopen(p->path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while ((n = getline(&line, &room, f)) > 0)
		if (!read_line(p, line, (size_t)n))
			log_warning(log, "%s: a line is damaged and left out", p->path);
	free(line); /* getline's */
	fclose(f);
	return 0;
}

int docker_promises_open(struct docker_promises *p, const char *path, struct log *log,
			 struct why *why)
{
	int rc;

	*p = (struct docker_promises){ .path = path, .fd = -1 };
	rc = read_all(p, log);
	if (rc == 0) {
		p->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
		rc = p->fd < 0 ? -errno : 0;
	}
	if (rc) {
		why_set(why, WHY_TRANSPORT, "cannot open %.90s: %s", path, strerror(-rc));
		docker_promises_close(p);
	}
	return rc;
}

static void forget(struct docker_promises *p)
{
	for (size_t i = 0; i < p->count; i++)
		mem_free(p->list[i].body);
	mem_free(p->list);
	p->list = NULL;
	p->count = p->kept = 0;
}

void docker_promises_close(struct docker_promises *p)
{
	forget(p);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
	return fdatasync(fd) < 0 ? -errno : 0;
}

int docker_promises_add(struct docker_promises *p, enum docker_call call, struct bytes body,
			struct why *why)
{
	struct text line = { 0 };
	uint64_t now = day_ms();
	off_t before = lseek(p->fd, 0, SEEK_END);
	int rc;

	if (p->count >= DOCKER_FRONT_PROMISES_MAX) {
		why_set(why, WHY_LIMIT, "too much waits for the weave router: weave launch");
		return -ENOSPC;
	}
	text_add(&line, "%llu %s ", (unsigned long long)now, docker_call_path(call));
	/* JSON needs no line breaks. */
	for (size_t i = 0; i < body.size; i++)
		text_add_bytes(&line,
			       body.data[i] == '\n' || body.data[i] == '\r'
				       ? " "
				       : (const char *)&body.data[i],
			       1);
	append(p, now, call, text_string(&line) + (line.size - body.size), body.size);
	text_add_string(&line, "\n");
	rc = write_all(p->fd, text_string(&line), line.size);
	text_fini(&line);
	if (rc == 0)
		return 0;
	mem_free(p->list[--p->count].body);
	/* Half a line would spoil the next one. */
	if (before >= 0 && ftruncate(p->fd, before) < 0)
		rc = -errno;
	why_set(why, WHY_TRANSPORT, "cannot write %.90s: %s", p->path, strerror(-rc));
	return rc;
}

const struct docker_promise *docker_promises_first(const struct docker_promises *p)
{
	return p->kept < p->count ? &p->list[p->kept] : NULL;
}

void docker_promises_done(struct docker_promises *p)
{
	MUST(p->kept < p->count);
	if (++p->kept < p->count)
		return;
	forget(p);
	/* When that fails they are done once more by the next life. */
	if (ftruncate(p->fd, 0) < 0)
		return;
}
