#include "password_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include <weave/must.h>

#define VARIABLE "WEAVE_PASSWORD"
/* Passwords, their line ends, and one byte more, to notice that there are too many. */
#define FILE_SIZE_MAX (PASSWORDS_MAX * (PASSWORD_SIZE_MAX + 2) + 1)

extern char **environ;

/* Tells passwords apart over the life of the process; what is dropped never comes back. */
static uint32_t next_id(void)
{
	uint32_t id;

	do
		id = randombytes_random();
	while (id == 0);
	return id;
}

static struct passwords *guarded_new(void)
{
	struct passwords *p = sodium_malloc(sizeof *p);

	if (p)
		sodium_memzero(p, sizeof *p);
	return p;
}

static bool no_memory(struct why *why)
{
	why_set(why, WHY_TRANSPORT, "no locked memory for the password: %s", strerror(errno));
	return false;
}

static bool add(struct passwords *p, struct bytes text, struct why *why)
{
	struct password *to;

	if (text.size > PASSWORD_SIZE_MAX) {
		why_set(why, WHY_INVALID, "the password is longer than %u bytes",
			PASSWORD_SIZE_MAX);
		return false;
	}
	if (memchr(text.data, '\0', text.size)) {
		why_set(why, WHY_INVALID, "the password holds a zero byte: is it a text?");
		return false;
	}
	if (p->count == PASSWORDS_MAX) {
		why_set(why, WHY_INVALID,
			"more than %u lines: a file has one password a line, at most the one that "
			"is preferred and one that is accepted besides",
			PASSWORDS_MAX);
		return false;
	}
	to = &p->list[p->count++];
	to->id = next_id();
	to->size = (uint16_t)text.size;
	memcpy(to->bytes, text.data, text.size);
	return true;
}

/* Empty lines count for nothing. */
static bool add_lines(struct passwords *p, struct bytes text, struct why *why)
{
	const uint8_t *at = text.data, *end = text.data + text.size;

	while (at < end) {
		const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
		const uint8_t *stop = newline ? newline : end;
		size_t size = (size_t)(stop - at);

		if (size && at[size - 1] == '\r')
			size--;
		if (size && !add(p, bytes_of(at, size), why))
			return false;
		at = newline ? newline + 1 : end;
	}
	if (p->count == 2 && p->list[0].size == p->list[1].size &&
	    sodium_memcmp(p->list[0].bytes, p->list[1].bytes, p->list[0].size) == 0) {
		why_set(why, WHY_INVALID, "both lines hold the same password");
		return false;
	}
	if (p->count == 0)
		why_set(why, WHY_INVALID, "the password is empty");
	return p->count > 0;
}

static bool finish(struct passwords *p, bool ok, struct passwords **out)
{
	if (ok) {
		sodium_mprotect_readonly(p);
		*out = p;
	} else {
		passwords_free(p);
	}
	return ok;
}

bool passwords_parse(struct bytes text, struct passwords **out, struct why *why)
{
	struct passwords *p = guarded_new();

	*out = NULL;
	if (!p)
		return no_memory(why);
	if (text.size == 0) {
		why_set(why, WHY_INVALID, "the password is empty");
		return finish(p, false, out);
	}
	return finish(p, add_lines(p, text, why), out);
}

/* The bytes as they are: it came from a place that takes one password only. */
static bool take_one(struct bytes text, struct passwords **out, struct why *why)
{
	struct passwords *p = guarded_new();

	if (!p)
		return no_memory(why);
	if (text.size == 0)
		why_set(why, WHY_INVALID, "the password is empty");
	return finish(p, text.size && add(p, text, why), out);
}

/* Up to 'size' bytes; a negative errno if that fails. */
static ssize_t read_all(int fd, uint8_t *to, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t n = read(fd, to + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

/* 'name' is for messages.  Takes 'fd'. */
static bool load_fd(int fd, const char *name, bool lines, struct passwords **out, struct why *why)
{
	uint8_t *text = sodium_malloc(FILE_SIZE_MAX);
	struct why inner = { 0 };
	bool ok = false;
	ssize_t size;

	if (!text) {
		no_memory(why);
		goto out;
	}
	size = read_all(fd, text, FILE_SIZE_MAX);
	if (size < 0)
		why_set(&inner, WHY_INVALID, "cannot be read: %s", strerror((int)-size));
	else if (size == FILE_SIZE_MAX)
		why_set(&inner, WHY_INVALID, "more than %u passwords of %u bytes", PASSWORDS_MAX,
			PASSWORD_SIZE_MAX);
	else if (lines)
		ok = passwords_parse(bytes_of(text, (size_t)size), out, &inner);
	else
		ok = take_one(bytes_of(text, (size_t)size), out, &inner);
	if (!ok)
		why_set(why, inner.reason, "%.80s: %.70s", name, inner.text);
out:
	sodium_free(text);
	close(fd);
	return ok;
}

static bool load_file(const char *path, struct passwords **out, bool *exposed, struct why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		why_set(why, WHY_INVALID, "--password-file: cannot open %.80s: %s", path,
			strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	*exposed = S_ISREG(st.st_mode) && st.st_mode & (S_IRWXG | S_IRWXO);
	return load_fd(fd, path, true, out, why);
}

/* The texts are in memory of argv or environ, which is ours to write to. */
static void wipe_text(const char **text)
{
	char *at;

	if (!*text)
		return;
	memcpy(&at, text, sizeof at);
	sodium_memzero(at, strlen(at));
	*text = NULL;
}

void passwords_wipe_environment(void)
{
	char *value = getenv(VARIABLE);

	if (value)
		sodium_memzero(value, strlen(value));
	unsetenv(VARIABLE);
}

bool passwords_load(struct weaver_options *o, struct passwords **out, bool *exposed,
		    struct why *why)
{
	bool ok = true;

	*out = NULL;
	*exposed = false;
	if (o->password)
		ok = take_one(bytes_of(o->password, strlen(o->password)), out, why);
	else if (o->password_file)
		ok = load_file(o->password_file, out, exposed, why);
	else if (o->password_fd >= 0)
		ok = load_fd(o->password_fd, "--password-fd", false, out, why);
	o->password_fd = -1;
	wipe_text(&o->password);
	passwords_wipe_environment();
	return ok;
}

static bool is_in(const struct passwords *p, const struct password *one)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->list[i].size == one->size &&
		    sodium_memcmp(p->list[i].bytes, one->bytes, one->size) == 0)
			return true;
	return false;
}

struct passwords *passwords_join(const struct passwords *first, const struct passwords *more)
{
	struct passwords *p = guarded_new();

	if (!p)
		return NULL;
	memcpy(p, first, sizeof *p);
	for (unsigned i = 0; more && i < more->count && p->count < PASSWORDS_MAX; i++)
		if (!is_in(p, &more->list[i]))
			p->list[p->count++] = more->list[i];
	sodium_mprotect_readonly(p);
	return p;
}

struct passwords *passwords_only(const struct passwords *p, unsigned index)
{
	struct passwords *one = guarded_new();

	MUST(index < p->count);
	if (!one)
		return NULL;
	one->count = 1;
	one->list[0] = p->list[index];
	sodium_mprotect_readonly(one);
	return one;
}

void passwords_free(struct passwords *p)
{
	sodium_free(p); /* wipes it, and takes NULL */
}
