#include <weave/alloc.h>

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <weave/must.h>

/* Counts, decides nothing: tests compare it before and after. */
static atomic_size_t in_use;

static void *counted(void *p)
{
	MUST(p);
	atomic_fetch_add_explicit(&in_use, malloc_usable_size(p), memory_order_relaxed);
	return p;
}

void *mem_new(size_t count, size_t size)
{
	return counted(calloc(count ? count : 1, size ? size : 1));
}

void *mem_resize(void *old, size_t count, size_t size)
{
	size_t before = old ? malloc_usable_size(old) : 0;
	void *p = reallocarray(old, count ? count : 1, size ? size : 1);

	MUST(p);
	atomic_fetch_sub_explicit(&in_use, before, memory_order_relaxed);
	return counted(p);
}

void *mem_copy(const void *data, size_t size)
{
	void *p = mem_new(1, size);

	if (size)
		memcpy(p, data, size);
	return p;
}

char *mem_copy_text(const char *text)
{
	return mem_copy(text, strlen(text) + 1);
}

void mem_free(void *p)
{
	if (!p)
		return;
	atomic_fetch_sub_explicit(&in_use, malloc_usable_size(p), memory_order_relaxed);
	free(p);
}

size_t mem_in_use(void)
{
	return atomic_load_explicit(&in_use, memory_order_relaxed);
}
