#include "cli_container_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <jansson.h>

#include "cli_http_io.h"

#define NSFS_MAGIC 0x6e736673 /* linux/magic.h */
#define DOCKER_SOCKET "/var/run/docker.sock"

static bool fail(struct text *message, const char *text, const char *what)
{
	text_add(message, "container '%.100s': %s", text, what);
	return false;
}

static bool fits(int size, size_t room)
{
	return size >= 0 && (size_t)size < room;
}

/* A network namespace that is not our own?  /run/netns/x is a bind mount of it, /proc/N/ns/net
 * leads to it, so both are files of nsfs. */
static bool check_netns(const char *text, const char *path, struct text *message)
{
	struct stat own, there;
	struct statfs fs;

	if (statfs(path, &fs) < 0 || stat(path, &there) < 0) {
		text_add(message, "container '%.100s': %s: %s", text, path, strerror(errno));
		return false;
	}
	if (fs.f_type != NSFS_MAGIC)
		return fail(message, text, "this file is not a network namespace");
	if (stat("/proc/self/ns/net", &own) == 0 && own.st_dev == there.st_dev &&
	    own.st_ino == there.st_ino)
		return fail(message, text,
			    "is in the network namespace of the host, which is attached by "
			    "'weave expose'");
	return true;
}

/* Two ways to write one namespace are one identity: the name for those of `ip netns`, the number
 * for those of processes. */
static const char *short_id(const char *path, char *number)
{
	static const char *const directories[] = { "/run/netns/", "/var/run/netns/" };
	int pid, end = 0;

	for (size_t i = 0; i < 2; i++) {
		size_t size = strlen(directories[i]);

		if (strncmp(path, directories[i], size) == 0 && path[size] &&
		    !strchr(path + size, '/'))
			return path + size;
	}
	if (sscanf(path, "/proc/%9d/ns/net%n", &pid, &end) == 1 && end && !path[end]) {
		snprintf(number, 16, "%d", pid);
		return number;
	}
	return path;
}

static bool find_path(const char *text, struct cli_container *out, struct text *message)
{
	char absolute[PATH_MAX], number[16];

	/* Only a relative path is resolved: /run/netns/x must keep its name. */
	if (text[0] != '/') {
		if (!realpath(text, absolute)) {
			text_add(message, "container '%.100s': %s", text, strerror(errno));
			return false;
		}
		text = absolute;
	}
	if (!fits(snprintf(out->netns, sizeof out->netns, "%s", text), sizeof out->netns) ||
	    !fits(snprintf(out->id, sizeof out->id, "%s", short_id(text, number)), sizeof out->id))
		return fail(message, text, "the path is too long");
	return check_netns(text, out->netns, message);
}

/* A process with a host name of its own. */
static void read_uts(const char *pid, struct cli_container *out)
{
	char path[32];
	struct stat own, there;
	int fd;

	snprintf(path, sizeof path, "/proc/%s/ns/uts", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* Nothing that this program does after this depends on the host's name. */
	if (fstat(fd, &there) == 0 && stat("/proc/self/ns/uts", &own) == 0 &&
	    own.st_ino != there.st_ino && setns(fd, CLONE_NEWUTS) == 0 &&
	    (gethostname(out->fqdn, sizeof out->fqdn - 1) < 0 || !strchr(out->fqdn, '.')))
		out->fqdn[0] = '\0';
	close(fd);
}

static bool is_number(const char *text)
{
	return *text && strlen(text) < 10 && text[strspn(text, "0123456789")] == '\0';
}

/* --- Docker ------------------------------------------------------------------------------- */

static bool docker_socket(const char **path, struct text *message)
{
	const char *host = getenv("DOCKER_HOST");

	*path = DOCKER_SOCKET;
	if (!host || !*host)
		return true;
	if (strncmp(host, "unix://", 7) != 0) {
		text_add(message, "DOCKER_HOST '%.100s': only unix:// is known", host);
		return false;
	}
	*path = host + 7;
	return true;
}

/* Docker's own two fields, or a name with a dot in the first. */
static void read_fqdn(json_t *config, struct cli_container *out)
{
	const char *host = json_string_value(json_object_get(config, "Hostname"));
	const char *domain = json_string_value(json_object_get(config, "Domainname"));
	bool has_domain = domain && *domain;

	if (!host || !*host || (!has_domain && !strchr(host, '.')) ||
	    !fits(snprintf(out->fqdn, sizeof out->fqdn, "%s%s%s", host, has_domain ? "." : "",
			   has_domain ? domain : ""),
		  sizeof out->fqdn))
		out->fqdn[0] = '\0';
}

static bool read_inspect(const char *text, json_t *root, struct cli_container *out,
			 struct text *message)
{
	json_t *state = json_object_get(root, "State");
	const char *id = json_string_value(json_object_get(root, "Id"));
	json_int_t pid = json_integer_value(json_object_get(state, "Pid"));

	if (!id || !json_is_object(state))
		return fail(message, text, "Docker's answer is not understood");
	if (!json_is_true(json_object_get(state, "Running")) || pid <= 0)
		return fail(message, text, "is not running");
	if (!fits(snprintf(out->id, sizeof out->id, "%s", id), sizeof out->id) ||
	    !fits(snprintf(out->netns, sizeof out->netns, "/proc/%" JSON_INTEGER_FORMAT "/ns/net",
			   pid),
		  sizeof out->netns))
		return fail(message, text, "Docker's answer is too long");
	read_fqdn(json_object_get(root, "Config"), out);
	return check_netns(text, out->netns, message);
}

static bool find_docker(const char *text, struct cli_container *out, struct text *message)
{
	struct cli_request request = { .method = "GET", .json = true };
	struct cli_answer answer;
	struct text path = { 0 };
	json_t *root = NULL;
	bool found = false;

	if (!docker_socket(&request.socket_path, message))
		return false;
	text_add_string(&path, "/containers/");
	cli_percent_encode(&path, text);
	text_add_string(&path, "/json");
	request.path = text_string(&path);
	cli_http(&request, &answer);
	if (answer.failure)
		text_add(message,
			 "container '%.100s': no namespace in /run/netns, no process, and Docker "
			 "does not answer on %s: %s",
			 text, request.socket_path, answer.problem);
	else if (answer.status == 404)
		fail(message, text, "there is no such namespace, process or Docker container");
	else if (answer.status != 200)
		text_add(message, "container '%.100s': Docker answers %ld", text, answer.status);
	else if (!(root = json_loadb(text_string(&answer.body), answer.body.size, 0, NULL)))
		fail(message, text, "Docker's answer is not JSON");
	else
		found = read_inspect(text, root, out, message);
	json_decref(root);
	cli_answer_fini(&answer);
	text_fini(&path);
	return found;
}

bool cli_container_find(const char *text, struct cli_container *out, struct text *message)
{
	char path[CLI_NETNS_SIZE];

	*out = (struct cli_container){ .id = "" };
	if (!*text || strlen(text) >= CLI_ID_SIZE)
		return fail(message, text, "the name is empty or too long");
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			return fail(message, text, "the name has blanks or control characters");
	if (strchr(text, '/'))
		return find_path(text, out, message);
	snprintf(path, sizeof path, "/run/netns/%s", text);
	if (strcmp(text, ".") != 0 && strcmp(text, "..") != 0 && access(path, F_OK) == 0)
		return find_path(path, out, message);
	snprintf(path, sizeof path, "/proc/%s", text);
	if (is_number(text) && access(path, F_OK) == 0) {
		snprintf(path, sizeof path, "/proc/%s/ns/net", text);
		if (!find_path(path, out, message))
			return false;
		read_uts(text, out);
		return true;
	}
	return find_docker(text, out, message);
}
