#include <weave/drop.h>

static const struct {
	const char *label, *text;
} reasons[DROP_REASONS_COUNT] = {
#define X(name, label, text) [DROP_##name] = { label, text },
	DROP_REASONS(X)
#undef X
};

const char *drop_label(enum drop_reason reason)
{
	return (unsigned)reason < DROP_REASONS_COUNT ? reasons[reason].label : "unknown";
}

const char *drop_text(enum drop_reason reason)
{
	return (unsigned)reason < DROP_REASONS_COUNT ? reasons[reason].text : "unknown reason";
}
