/* Text that grows while it is written: status pages, JSON, messages of the command line.
 *
 * Pure.  A zeroed text is empty and valid; text_fini frees it.  Past its limit nothing more is
 * added and 'full' is set: the caller then refuses the whole instead of sending half.
 */
#ifndef WEAVE_TEXT_H
#define WEAVE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_SIZE_MAX ((size_t)64 << 20) /* used where 'limit' is 0 */

struct text {
	char *data;   /* NUL-terminated; NULL while empty */
	size_t size;  /* bytes without the NUL */
	size_t room;  /* bytes allocated */
	size_t limit; /* most bytes of text, 0 for TEXT_SIZE_MAX */
	bool full;    /* something did not fit */
};

void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *t, const void *data, size_t size);
void text_add_string(struct text *t, const char *s);

/* The text so far, never NULL; borrowed until the next change. */
const char *text_string(const struct text *t);

/* Frees and empties; the limit stays. */
void text_fini(struct text *t);

#endif
