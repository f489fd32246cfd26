/* Networks: who has which segment open. */
#include "status_render.h"

#include <inttypes.h>

#include <weave/segment.h>

static void add_peers(const struct status_network *n, struct text *out)
{
	for (size_t i = 0; i < n->peers_count; i++) {
		text_add_string(out, i ? ", " : "");
		status_peer_text(out, n->peers[i].peer, n->peers[i].nickname, 0);
	}
	if (!n->peers_count)
		text_add_string(out, "no other peer");
}

void status_render_networks(const struct status *s, struct text *out)
{
	for (size_t i = 0; i < s->networks_count; i++) {
		const struct status_network *n = &s->networks[i];

		text_add(out, "%-24s %8" PRIu32 " (0x%06" PRIx32 ")  ", n->key, n->segment,
			 n->segment);
		if (n->open)
			text_add(out, "%s, %" PRIu32 " container%s here; ", n->bridge,
				 n->containers, n->containers == 1 ? "" : "s");
		else
			text_add_string(out, "not open here; ");
		if (n->segment == SEGMENT_DEFAULT)
			text_add_string(out, "all peers");
		else
			add_peers(n, out);
		if (n->contested)
			text_add_string(out, " - a peer has another network under this number: "
					     "sleeve carries it");
		text_add_string(out, "\n");
	}
}
