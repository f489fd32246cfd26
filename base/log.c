#include <weave/log.h>

#include <stdarg.h>
#include <stdio.h>

void log_line(struct log *log, enum log_level level, const char *format, ...)
{
	char line[1024];
	va_list args;

	if (!log || level < log->level)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	log->write(log->ctx, level, line);
}

bool log_limit_allows(struct log_limit *limit, struct mono now, uint32_t interval_ms,
		      uint32_t *swallowed)
{
	if (now.ms < limit->next.ms) {
		limit->swallowed++;
		return false;
	}
	*swallowed = limit->swallowed;
	limit->swallowed = 0;
	limit->next = mono_after(now, interval_ms);
	return true;
}
