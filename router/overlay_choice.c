#include "overlay_choice.h"

#include <weave/peer.h>

struct overlay_choice overlay_choose(uint8_t theirs, bool sleeve_proven)
{
	if (!sleeve_proven || !(theirs & OVERLAY_SLEEVE))
		return (struct overlay_choice){ 0, "" };
	return (struct overlay_choice){ OVERLAY_SLEEVE, "fastdp: not built into this router" };
}
