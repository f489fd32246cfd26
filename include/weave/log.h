/* Log lines for people: what happened, to whom, why, what happens next; key=value.
 *
 * The sink is handed in: the daemon writes to stderr, the simulator keeps or drops lines.  No
 * secret is ever logged.  Repeated messages go through a log_limit that says how many it swallowed.
 * Loop thread only, unless the sink says otherwise.
 */
#ifndef WEAVE_LOG_H
#define WEAVE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <weave/time.h>

enum log_level { LOG_DEBUG_LEVEL, LOG_INFO_LEVEL, LOG_WARNING_LEVEL, LOG_ERROR_LEVEL };

struct log {
	enum log_level level; /* lines below it are dropped before formatting */
	void (*write)(void *ctx, enum log_level level, const char *line); /* no newline in 'line' */
	void *ctx;
};

/* 'log' may be NULL: nothing is written. */
void log_line(struct log *log, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_debug(log, ...) log_line((log), LOG_DEBUG_LEVEL, __VA_ARGS__)
#define log_info(log, ...) log_line((log), LOG_INFO_LEVEL, __VA_ARGS__)
#define log_warning(log, ...) log_line((log), LOG_WARNING_LEVEL, __VA_ARGS__)
#define log_error(log, ...) log_line((log), LOG_ERROR_LEVEL, __VA_ARGS__)

/* At most one line per 'interval_ms'. */
struct log_limit {
	struct mono next;
	uint32_t swallowed; /* since the last line that was let through */
};

/* True when the caller may log now; then *swallowed says how many lines were held back before. */
bool log_limit_allows(struct log_limit *limit, struct mono now, uint32_t interval_ms,
		      uint32_t *swallowed);

#endif
