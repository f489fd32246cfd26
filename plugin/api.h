/* The rows of the route table, for tests; everybody else includes <weave/api.h>. */
#ifndef WEAVE_PLUGIN_API_H
#define WEAVE_PLUGIN_API_H

#include <weave/api.h>

#define API_FORM_SIZE_MAX 65536u /* of a request's body */

/* The 'index'-th route, or false: its method, its pattern ("{}" stands for one segment) and
 * whether the read-only listener answers it. */
bool api_route(size_t index, const char **method, const char **pattern, bool *read_only);

#endif
