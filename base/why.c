#include <weave/why.h>

#include <stdarg.h>
#include <stdio.h>

void why_set(struct why *why, enum why_reason reason, const char *format, ...)
{
	va_list args;

	why->reason = reason;
	va_start(args, format);
	vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
}

const char *why_reason_text(unsigned reason)
{
	switch (reason) {
#define X(name, number, text)                                                                      \
	case number:                                                                               \
		return text;
		WHY_REASONS(X)
#undef X
	default:
		return "unknown reason";
	}
}
