/* The words of a scenario: statements cut into typed values.  Pure. */
#ifndef WEAVE_SIM_SCRIPT_PARSE_H
#define WEAVE_SIM_SCRIPT_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPT_WORDS_MAX 16u
#define SCRIPT_WORD_SIZE 64u

struct script_value {
	char text[SCRIPT_WORD_SIZE];
	uint64_t number; /* router index, count, microseconds, or millionths */
	uint32_t a, b;	 /* ends of a link */
	bool both;	 /* "a-b", not "a>b" */
	bool negative;	 /* of a time: "-1h" */
};

/* One type per letter: r router, l link, t time, n number, p percent, w word, m members "1,2,5-7"
 * (as a bit set in 'number', 64 routers at most). */
bool script_value_parse(const char *word, char type, uint32_t routers, struct script_value *out);

/* Cuts a line into words; a '#' ends it. Returns the count, or SIZE_MAX when there are too many or
 * one is too long. */
size_t script_words(const char *line, char words[][SCRIPT_WORD_SIZE]);

#endif
