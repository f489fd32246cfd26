/* Gives up what the running router does not need, once it has started.
 *
 * Loop thread, before any other thread.  What stays, and why, is in the table in the .c file and in
 * docs/SECURITY.md.  A kernel that cannot do some of it costs a warning, not the start: none of
 * this protects what the wire protects; it limits what an error of ours could be used for.
 */
#ifndef WEAVE_CMD_PRIVILEGES_IO_H
#define WEAVE_CMD_PRIVILEGES_IO_H

#include <weave/log.h>

void privileges_drop(struct log *log);

#endif
