#include <weave/must.h>

#include <stdio.h>
#include <stdlib.h>

/* The one static of this folder: a dying process has nobody to be handed a context by. */
static const char *must_context = "";

void must_set_context(const char *text)
{
	must_context = text;
}

_Noreturn void must_failed(const char *file, int line, const char *function, const char *what)
{
	fprintf(stderr, "%s:%d: %s: %s %s\n", file, line, function, what, must_context);
	fflush(stderr);
	abort();
}
