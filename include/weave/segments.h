/* Segments open on this host: each has a bridge of its own.
 *
 * Frames, MACs and IP addresses of one segment mean nothing in another; IPAM's universe is one for
 * all of them.  The daemon owns them (cmd/segments.c) and hands this out to whoever opens networks
 * for others, as Docker's plugin does.  Loop thread.
 */
#ifndef WEAVE_SEGMENTS_H
#define WEAVE_SEGMENTS_H

#include <weave/net.h>
#include <weave/segment.h>
#include <weave/why.h>

/* Open on one router: each is a bridge and a port in the kernel, and an entry at all routers. */
#define SEGMENTS_MAX 1000u

struct segment {
	uint32_t number;
	char key[SEGMENT_KEY_MAX + 1];
	struct net_bridge bridge; /* for attach_*(); names.bridge is "weave-<number in hex>" */
};

/* What the router can be asked for; loop thread.  Each call that changes something may block for
 * some milliseconds, and fills 'why' when it fails. */
struct segment_ops {
	void *ctx;
	/* Makes or finds it again; open already under that number: 0.  'number' 0: the key's hash.
	 * -EINVAL bad key or number; -EEXIST the number belongs to another key, here or at a peer
	 * that can be reached, or the key is open under another number; -ENOSPC SEGMENTS_MAX; else
	 * the kernel's. */
	int (*open)(void *ctx, const char *key, uint32_t number, struct segment *out,
		    struct why *why);
	/* -ENOENT not open; -EBUSY containers are attached; -EINVAL the default one. */
	int (*close)(void *ctx, const char *key, struct why *why);
	bool (*find)(void *ctx, const char *key, struct segment *out);
	/* The 'index'-th, from 0: the default one first, then in order of number. */
	bool (*at)(void *ctx, size_t index, struct segment *out);
};

#endif
