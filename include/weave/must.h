/* Assertions about ourselves: always compiled in.
 *
 * MUST states what the code knows to be true; it is never used on input from a peer, a user, a
 * caller or a disk.  A failed MUST aborts the process: restarting is safe by design (nothing is
 * acknowledged before it is durable).  Any thread.
 */
#ifndef WEAVE_MUST_H
#define WEAVE_MUST_H

#include <stddef.h>

/* Set by the simulator: text put behind the message of a failed MUST, such as the seed. */
void must_set_context(const char *text);

/* Prints "file:line: function: what" and the context, then aborts. */
_Noreturn void must_failed(const char *file, int line, const char *function, const char *what);

#define MUST(cond) ((cond) ? (void)0 : must_failed(__FILE__, __LINE__, __func__, "MUST(" #cond ")"))
#define NOT_REACHED(what) must_failed(__FILE__, __LINE__, __func__, "not reached: " what)

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
