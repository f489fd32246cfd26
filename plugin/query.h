/* Parameters of an HTTP request: "a=1&b=%20x&a=2", from the query of a URI or from a form.
 *
 * Pure.  Names and values are percent-decoded, '+' is a blank (WHATWG URL, 5.1).  Owns its copies.
 */
#ifndef WEAVE_PLUGIN_QUERY_H
#define WEAVE_PLUGIN_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include <weave/why.h>

#define QUERY_PARAMETERS_MAX 2048u

struct query_parameter {
	char *name, *value;
};

struct query {
	struct query_parameter *list; /* in the order of the request */
	size_t count;
};

/* A zeroed query is empty and valid.  Appends what 'text' holds; false, with the reason, when it
 * is malformed or too much. */
bool query_add(struct query *q, const char *text, size_t size, struct why *why);
void query_fini(struct query *q);

/* Value of the last parameter of that name, NULL if there is none; borrowed. */
const char *query_get(const struct query *q, const char *name);

/* A percent-decoded copy, or NULL when it is malformed or holds a NUL; the caller frees. */
char *query_decode(const char *text, size_t size, bool plus_is_blank);

#endif
