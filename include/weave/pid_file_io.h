/* A file with the number of the process that runs here, locked (flock) as long as it lives: so an
 * old number is never taken for ours, and nobody starts twice.
 *
 * A killed process keeps its locks until the last of its threads is out of the kernel, in which it
 * may still wait for a disk. Such a one is waited for, up to 10 s, instead of being called running.
 * Any thread.
 */
#ifndef WEAVE_PID_FILE_IO_H
#define WEAVE_PID_FILE_IO_H

#include <sys/types.h>

#include <weave/why.h>

/* The locked file with our number in it: whoever ends may unlink it first, then closes it.  Or
 * -EBUSY: 'why' says that 'what' ("a router") runs already, and as which process; or another
 * negative errno. */
int pid_file_lock(const char *path, const char *what, struct why *why);

/* The process that holds it; 0: nobody, or one that has been killed and is about to be gone. */
pid_t pid_file_holder(const char *path);

#endif
