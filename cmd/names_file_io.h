/* The names of this host's containers, so that they outlive the router.
 *
 * <run-dir>/names: one line a change, "+ <container> <address> <host name>" or "- ..." with "*" for
 * whatever fits; read from top to bottom.  The run folder lives as long as the kernel's objects, so
 * nothing of it is left after the host has started anew, like the containers.  Loop thread.
 *
 * A write that fails costs names at the next start, nothing now.
 */
#ifndef WEAVE_CMD_NAMES_FILE_IO_H
#define WEAVE_CMD_NAMES_FILE_IO_H

#include <weave/addr.h>
#include <weave/why.h>

struct names_file;

/* Called for each line; NULL: whatever fits. */
typedef void (*names_file_line)(void *ctx, bool put, const char *container, const char *hostname,
				const struct ip_addr *address);

/* Opens it, or makes a new one, and reads it; lines that are not understood are passed over. */
int names_file_open(const char *path, names_file_line line, void *ctx, struct names_file **out,
		    struct why *why);
void names_file_close(struct names_file *f);
void names_file_remove(struct names_file *f); /* closes it, too */

/* 0 or a negative errno. */
int names_file_add(struct names_file *f, bool put, const char *container, const char *hostname,
		   const struct ip_addr *address);
/* So many lines are in it. */
size_t names_file_lines(const struct names_file *f);
/* Begins a new file beside the old one; names_file_add goes there, and names_file_end puts it in
 * the place of the old one. */
int names_file_begin(struct names_file *f);
int names_file_end(struct names_file *f);

#endif
