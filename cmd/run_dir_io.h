/* The run folder: one router at a time in it, known by its process id.
 *
 * `weaver.pid` is locked as long as the router lives, so that a stale file after a crash is
 * recognised, whatever process has that number now.  Loop thread.
 */
#ifndef WEAVE_CMD_RUN_DIR_IO_H
#define WEAVE_CMD_RUN_DIR_IO_H

#include <stdbool.h>
#include <stddef.h>

#include <weave/why.h>

struct run_dir;

/* Makes the folder if need be and locks it. -EBUSY: a router runs there already. */
int run_dir_open(const char *path, struct run_dir **out, struct why *why);
/* Removes the pid file and unlocks. */
void run_dir_close(struct run_dir *r);

/* The bridge of the router that runs or ran here: the folder lives as long as the kernel's objects
 * do, so that they can be removed without being told.  'size' counts the NUL. */
int run_dir_keep_bridge(struct run_dir *r, const char *name, struct why *why);
bool run_dir_bridge(struct run_dir *r, char *name, size_t size);

/* A path in it, for sockets and the like; borrowed as long as the run folder is open and until the
 * next call. */
const char *run_dir_path(struct run_dir *r, const char *name);

/* Removes what routers leave in 'path': logs, stale sockets and pid files; the folder if empty. */
void run_dir_remove(const char *path);

#endif
