/* How much a test tries.  tests/run.py runs each program under several compilers and sanitizers:
 * the first time in full, then with WEAVE_TESTS_AGAIN set.  The same inputs once more cannot find
 * another fault of logic, and sanitizers find theirs in a part of them, at ten times the price: so
 * the few tests that try everything there is take samples then. */
#ifndef TESTS_BUDGET_H
#define TESTS_BUDGET_H

#include <stdbool.h>
#include <stdlib.h>

static inline bool tests_run_again(void)
{
	return getenv("WEAVE_TESTS_AGAIN") != NULL;
}

#endif
