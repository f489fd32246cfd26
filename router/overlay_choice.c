#include "overlay_choice.h"

#include <stdio.h>

#include <weave/peer.h>

static const char *why_not_fastdp(const struct overlay_facts *f)
{
	if (f->no_fastdp)
		return f->no_fastdp;
	if (f->sealed && f->no_esp)
		return f->no_esp;
	if (!(f->theirs & OVERLAY_FASTDP))
		return "the other end does not offer it";
	return f->fastdp_why[0] ? f->fastdp_why : "waiting for the other end";
}

struct overlay_choice overlay_choose(const struct overlay_facts *f)
{
	struct overlay_choice choice = { 0 };

	if (!f->sleeve_proven || !(f->theirs & OVERLAY_SLEEVE))
		return choice;
	if (f->fastdp_carries) {
		choice.overlay = OVERLAY_FASTDP;
		return choice;
	}
	choice.overlay = OVERLAY_SLEEVE;
	snprintf(choice.not_better, sizeof choice.not_better, "fastdp: %s", why_not_fastdp(f));
	return choice;
}
