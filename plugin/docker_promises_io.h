/* Requests of Docker's that were promised to be done later, durable and in order.
 *
 * A file of lines "<ms since 1970> <call> <JSON>".  Not thread-safe: the caller locks.
 */
#ifndef WEAVE_PLUGIN_DOCKER_PROMISES_IO_H
#define WEAVE_PLUGIN_DOCKER_PROMISES_IO_H

#include <weave/docker.h>
#include <weave/log.h>

struct docker_promise {
	uint64_t asked_ms;
	enum docker_call call;
	char *body;
};

struct docker_promises {
	const char *path; /* borrowed */
	int fd;
	size_t count, kept; /* in the list; of these done */
	struct docker_promise *list;
};

/* Reads what an earlier life promised; lines that are no promises are skipped, with a warning.
 * 0 or a negative errno with 'why'. */
int docker_promises_open(struct docker_promises *p, const char *path, struct log *log,
			 struct why *why);
void docker_promises_close(struct docker_promises *p);
/* Durable when it returns 0. */
int docker_promises_add(struct docker_promises *p, enum docker_call call, struct bytes body,
			struct why *why);
/* The oldest that is not done; NULL: none. */
const struct docker_promise *docker_promises_first(const struct docker_promises *p);
/* That one is done.  Done twice does no harm, so the file is cut only when all are. */
void docker_promises_done(struct docker_promises *p);

#endif
