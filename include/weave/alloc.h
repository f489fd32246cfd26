/* Control-plane memory: small objects from an allocator that aborts when the system has none.
 *
 * What a peer or user can make grow has its limit in <weave/limits.h>, so running out of memory
 * is our mistake or the machine's end; both are answered by a restart (crash-only).  Never used
 * per packet.  Any thread.
 */
#ifndef WEAVE_ALLOC_H
#define WEAVE_ALLOC_H

#include <stddef.h>

/* Zeroed memory for 'count' objects of 'size' bytes; never NULL; caller frees with mem_free. */
void *mem_new(size_t count, size_t size);

/* Grows or shrinks an array; new bytes are not zeroed; never NULL. 'old' may be NULL. */
void *mem_resize(void *old, size_t count, size_t size);

/* A copy of 'size' bytes, never NULL. */
void *mem_copy(const void *data, size_t size);

char *mem_copy_text(const char *text);

/* NULL is fine. */
void mem_free(void *p);

/* Bytes handed out and not freed, all allocations of this process; for tests of bounds. */
size_t mem_in_use(void);

#endif
