#include <weave/gossip_io.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/hash.h>

#define FILE_NAME "router.state"
#define FILE_MAX (4u << 20) /* TARGETS_MAX names of the longest kind, and then some */
#define FIRST_LINE "weave-state 1"

/* Guards against cut and flipped bytes, not against people: the key is nothing secret. */
static const struct hash_key sum_key = { 0x7765617665737461u, 0x7465736f66726f75u };

static int path_in(const char *folder, const char *suffix, char *path, size_t size, struct why *why)
{
	if ((size_t)snprintf(path, size, "%s/" FILE_NAME "%s", folder, suffix) < size)
		return 0;
	why_set(why, WHY_INVALID, "path of the state folder is too long");
	return -ENAMETOOLONG;
}

static int make_folder(const char *folder, struct why *why)
{
	char path[4096];
	size_t n = strlen(folder);

	if (n == 0 || n >= sizeof path) {
		why_set(why, WHY_INVALID, "state folder '%.60s' is no usable path", folder);
		return -EINVAL;
	}
	for (size_t i = 1; i <= n; i++) {
		if (folder[i] && folder[i] != '/')
			continue;
		memcpy(path, folder, i);
		path[i] = 0;
		if (mkdir(path, 0700) < 0 && errno != EEXIST) {
			int rc = -errno;

			why_set(why, WHY_INVALID, "cannot make state folder %.80s: %s", path,
				strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static int read_file(const char *path, char **out, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	ssize_t n;

	if (fd < 0)
		return -errno;
	text = mem_new(1, FILE_MAX + 1);
	*size = 0;
	while ((n = read(fd, text + *size, FILE_MAX - *size)) > 0)
		*size += (size_t)n;
	close(fd);
	if (n < 0) {
		int rc = -errno;

		mem_free(text);
		return rc;
	}
	*out = text;
	return 0;
}

static void add_target(struct router_state *state, const char *text)
{
	state->targets = mem_resize(state->targets, state->targets_count + 1,
				    sizeof *state->targets);
	state->targets[state->targets_count++] = mem_copy_text(text);
}

/* Checks the closing line and cuts it off: "sum <16 hex>\n". */
static bool sum_right(char *text, size_t size)
{
	static const size_t line = 4 + 16 + 1;
	char expected[32];

	if (size < line || strlen(text) != size)
		return false;
	snprintf(expected, sizeof expected, "sum %016" PRIx64 "\n",
		 hash64(&sum_key, text, size - line));
	if (memcmp(text + size - line, expected, line) != 0)
		return false;
	text[size - line] = 0;
	return true;
}

static bool number(const char *text, int base, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, base);
	return *text && !*end && errno == 0;
}

/* NULL, or the name of what is wrong. */
static const char *parse(struct router_state *state, char *text, size_t size)
{
	char *save = NULL, *line;

	if (!sum_right(text, size))
		return "it was cut or changed (checksum)";
	line = strtok_r(text, "\n", &save);
	if (!line || strcmp(line, FIRST_LINE) != 0)
		return "it is of another version";
	while ((line = strtok_r(NULL, "\n", &save))) {
		char *value = strchr(line, ' ');

		if (!value)
			return "a line without a value";
		*value++ = 0;
		if (strcmp(line, "name") == 0 && !peer_name_parse(value, &state->name))
			return "the name";
		if (strcmp(line, "generation") == 0 &&
		    (!number(value, 10, &state->generation) || state->generation >= VERSION_LIMIT))
			return "the generation";
		if (strcmp(line, "store") == 0 && !number(value, 16, &state->store_id))
			return "the store id";
		if (strcmp(line, "target") == 0 && state->targets_count < TARGETS_MAX)
			add_target(state, value);
	}
	if (!state->name || !state->generation)
		return "a line is missing";
	return NULL;
}

static int set_aside(const char *folder, const char *path, const char *wrong, struct why *why)
{
	char aside[4096];
	int rc = path_in(folder, ".damaged", aside, sizeof aside, why);

	if (rc)
		return rc;
	if (rename(path, aside) < 0) {
		rc = -errno;
		why_set(why, WHY_INVALID,
			"state file %.60s is damaged (%s) and cannot be moved: %s", path, wrong,
			strerror(-rc));
		return rc;
	}
	why_set(why, WHY_INVALID, "state file was damaged (%s); it was set aside as %.60s", wrong,
		aside);
	return 0;
}

int state_load(const char *folder, struct router_state *state, enum state_loaded *how,
	       struct why *why)
{
	char path[4096], *text = NULL;
	const char *wrong;
	size_t size = 0;
	int rc;

	*state = (struct router_state){ 0 };
	rc = make_folder(folder, why);
	if (!rc)
		rc = path_in(folder, "", path, sizeof path, why);
	if (rc)
		return rc;
	rc = read_file(path, &text, &size);
	if (rc == -ENOENT && !text) {
		*how = STATE_NEW;
		return 0;
	}
	if (rc || !text) {
		why_set(why, WHY_INVALID, "cannot read %.80s: %s", path, strerror(-rc));
		return rc;
	}
	wrong = parse(state, text, size);
	mem_free(text);
	*how = STATE_FOUND;
	if (wrong) {
		state_fini(state);
		*how = STATE_DAMAGED;
		return set_aside(folder, path, wrong, why);
	}
	return 0;
}

void state_fini(struct router_state *state)
{
	for (size_t i = 0; i < state->targets_count; i++)
		mem_free(state->targets[i]);
	mem_free(state->targets);
	*state = (struct router_state){ 0 };
}

void state_set_targets(struct router_state *state, const char *const *texts, size_t count)
{
	struct router_state old = { .targets = state->targets,
				    .targets_count = state->targets_count };

	state->targets = NULL;
	state->targets_count = 0;
	for (size_t i = 0; i < count && i < TARGETS_MAX; i++)
		add_target(state, texts[i]);
	state_fini(&old);
}

/* The whole file; caller frees. */
static char *render(const struct router_state *state, size_t *size)
{
	char name[PEER_NAME_TEXT_SIZE];
	size_t room = 512;
	char *text;
	int n;

	for (size_t i = 0; i < state->targets_count; i++)
		room += strlen(state->targets[i]) + 16;
	text = mem_new(1, room);
	n = snprintf(text, room,
		     FIRST_LINE "\nname %s\ngeneration %" PRIu64 "\nstore %016" PRIx64 "\n",
		     peer_name_text(state->name, name), state->generation, state->store_id);
	for (size_t i = 0; i < state->targets_count; i++)
		n += snprintf(text + n, room - (size_t)n, "target %s\n", state->targets[i]);
	n += snprintf(text + n, room - (size_t)n, "sum %016" PRIx64 "\n",
		      hash64(&sum_key, text, (size_t)n));
	*size = (size_t)n;
	return text;
}

static int write_synced(const char *path, const char *text, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	for (size_t at = 0; !rc && at < size;) {
		ssize_t n = write(fd, text + at, size - at);

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
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int state_save(const char *folder, const struct router_state *state, struct why *why)
{
	char path[4096], fresh[4096];
	size_t size;
	char *text;
	int rc = path_in(folder, "", path, sizeof path, why);

	if (!rc)
		rc = path_in(folder, ".new", fresh, sizeof fresh, why);
	if (rc)
		return rc;
	text = render(state, &size);
	rc = write_synced(fresh, text, size);
	mem_free(text);
	if (!rc && rename(fresh, path) < 0)
		rc = -errno;
	if (!rc)
		rc = sync_folder(folder);
	if (rc) {
		unlink(fresh);
		why_set(why, WHY_INVALID, "cannot write %.90s: %s", path, strerror(-rc));
	}
	return rc;
}

int state_remove(const char *folder, struct why *why)
{
	static const char *const suffixes[] = { "", ".new", ".damaged" };
	char path[4096];

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		int rc = path_in(folder, suffixes[i], path, sizeof path, why);

		if (!rc && unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR) {
			rc = -errno;
			why_set(why, WHY_INVALID, "cannot remove %.90s: %s", path, strerror(-rc));
		}
		if (rc)
			return rc;
	}
	rmdir(folder); /* other files in it are not ours */
	return 0;
}
