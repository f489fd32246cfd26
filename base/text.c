#include <weave/text.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

/* Makes room for 'more' bytes and the NUL; false when that would pass the limit. */
static bool make_room(struct text *t, size_t more)
{
	size_t limit = t->limit ? t->limit : TEXT_SIZE_MAX;
	size_t need, room = t->room ? t->room : 256;

	MUST(t->size <= limit);
	if (t->full || more > limit - t->size) {
		t->full = true;
		return false;
	}
	need = t->size + more + 1;
	while (room < need)
		room *= 2;
	if (room != t->room) {
		t->data = mem_resize(t->data, room, 1);
		t->room = room;
	}
	return true;
}

void text_add_bytes(struct text *t, const void *data, size_t size)
{
	if (!make_room(t, size))
		return;
	if (size)
		memcpy(t->data + t->size, data, size);
	t->size += size;
	t->data[t->size] = '\0';
}

void text_add_string(struct text *t, const char *s)
{
	text_add_bytes(t, s, strlen(s));
}

void text_add(struct text *t, const char *format, ...)
{
	va_list args, again;
	int size;

	va_start(args, format);
	va_copy(again, args);
	size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	MUST(size >= 0);
	if (make_room(t, (size_t)size)) {
		vsnprintf(t->data + t->size, (size_t)size + 1, format, again);
		t->size += (size_t)size;
	}
	va_end(again);
}

const char *text_string(const struct text *t)
{
	return t->data ? t->data : "";
}

void text_fini(struct text *t)
{
	mem_free(t->data);
	*t = (struct text){ .limit = t->limit };
}
