/* The table behind struct attach_known. */
#include "attach.h"

#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

/* Where the port is in the list, or belongs. */
static size_t place_of(const struct attach_known *k, int ifindex)
{
	size_t low = 0, high = k->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->list[middle].ifindex < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void remove_hidden(struct attach_known *k, int ifindex)
{
	for (size_t i = 0; i < k->hidden_count; i++)
		if (k->hidden[i].ifindex == ifindex) {
			k->hidden[i] = k->hidden[--k->hidden_count];
			return;
		}
}

const struct attachment *attach_known_port(const struct attach_known *k, int ifindex)
{
	size_t at = place_of(k, ifindex);

	return at < k->count && k->list[at].ifindex == ifindex ? &k->list[at] : NULL;
}

void attach_known_put(struct attach_known *k, const struct attachment *a)
{
	size_t at = place_of(k, a->ifindex);

	MUST(a->ifindex > 0);
	if (at == k->count || k->list[at].ifindex != a->ifindex) {
		if (k->count == k->room) {
			k->room = k->room ? k->room * 2 : 16;
			k->list = mem_resize(k->list, k->room, sizeof *k->list);
		}
		memmove(&k->list[at + 1], &k->list[at], (k->count - at) * sizeof *k->list);
		k->count++;
	}
	k->list[at] = *a;
	remove_hidden(k, a->ifindex);
}

void attach_known_hide(struct attach_known *k, int ifindex, const char *id)
{
	struct attach_hidden *h;

	attach_known_gone(k, ifindex);
	if (k->hidden_count == k->hidden_room) {
		k->hidden_room = k->hidden_room ? k->hidden_room * 2 : 16;
		k->hidden = mem_resize(k->hidden, k->hidden_room, sizeof *k->hidden);
	}
	h = &k->hidden[k->hidden_count++];
	h->ifindex = ifindex;
	strcpy(h->id, id);
}

void attach_known_gone(struct attach_known *k, int ifindex)
{
	size_t at = place_of(k, ifindex);

	remove_hidden(k, ifindex);
	if (at == k->count || k->list[at].ifindex != ifindex)
		return;
	k->count--;
	memmove(&k->list[at], &k->list[at + 1], (k->count - at) * sizeof *k->list);
}

const char *attach_known_id(const struct attach_known *k, int ifindex)
{
	const struct attachment *a = attach_known_port(k, ifindex);

	for (size_t i = 0; !a && i < k->hidden_count; i++)
		if (k->hidden[i].ifindex == ifindex)
			return k->hidden[i].id;
	return a ? a->id : NULL;
}

bool attach_known_lives(const struct attach_known *k, const char *id)
{
	for (size_t i = 0; i < k->count; i++)
		if (strcmp(k->list[i].id, id) == 0)
			return true;
	for (size_t i = 0; i < k->hidden_count; i++)
		if (strcmp(k->hidden[i].id, id) == 0)
			return true;
	return false;
}

void attach_known_fini(struct attach_known *k)
{
	mem_free(k->list);
	mem_free(k->hidden);
	*k = (struct attach_known){ 0 };
}
