/* The router's HTTP API: from a request to a response, and what the daemon must be able to do.
 *
 * plugin/api.c is pure: it looks the request up in its route table, checks every parameter, calls
 * one of the daemon's operations and renders the answer; plugin/server_io.c carries the bytes.
 * Loop thread.
 *
 *	GET  /status /status/targets /status/connections /status/peers    text, or JSON with
 *	     Accept: application/json; 503 with the same body until the router is ready
 *	GET  /report             JSON; with format=<template> that template over it
 *	GET  /metrics /version
 *	POST /connect            peer=... (repeat), replace=true
 *	POST /forget             peer=... (repeat)
 *	POST /attach             id=, netns=, address=... (repeat), multicast-route=false
 *	DELETE /attach           id=, netns=, address=... (repeat; none: all)
 *	POST /expose             address=... (repeat), skipNAT=true; also /expose/{ip}/{len}
 *	DELETE /expose           address=... (repeat; none: all)
 *	GET  /ps                 id=... (repeat; none: all)
 *	POST /log-level          level=debug|info|warning|error
 *	POST /stop
 * Errors are one line of text: 400 a bad request, 404 no such thing or a component that is not
 * there, 405, 403 not on the read-only listener, 500 the router could not do it.
 */
#ifndef WEAVE_API_H
#define WEAVE_API_H

#include <stdbool.h>
#include <stddef.h>

#include <weave/addr.h>
#include <weave/log.h>
#include <weave/status.h>
#include <weave/text.h>
#include <weave/why.h>

#define API_ID_SIZE 256		     /* a container's identity: Docker's 64 hex digits, or a name */
#define API_NETNS_SIZE 512	     /* path of a network namespace */
#define API_ADDRESSES_MAX 64	     /* of one container */
#define API_PEERS_MAX 1024	     /* of one request */
#define API_EXPOSE_ID "weave:expose" /* the bridge's own addresses in GET /ps */

struct api_addresses {
	struct cidr list[API_ADDRESSES_MAX];
	size_t count;
};

struct api_attach {
	const char *id;	   /* never empty */
	const char *netns; /* absolute path; NULL on detach when the caller knows only the id */
	struct api_addresses addresses; /* on detach: none means all */
	bool multicast_route;		/* attach: also give the container 224.0.0.0/4 */
};

/* One row of GET /ps. */
struct api_attachment {
	char id[API_ID_SIZE];
	struct mac mac;
	struct api_addresses addresses;
};

struct api_attachments {
	struct api_attachment *list; /* grown by api_attachments_add */
	size_t count;
};

/* A zeroed element to fill, borrowed until the next one is added. */
struct api_attachment *api_attachments_add(struct api_attachments *a);
void api_attachments_fini(struct api_attachments *a);

/* What the daemon does.  Operations that can fail return true, or false with 'why' filled and
 * nothing changed: WHY_INVALID becomes 400, any other reason 500.  Arguments are borrowed for the
 * call.  'done' receives the addresses that were given or taken away. */
struct api_ops {
	void *ctx;
	void (*status)(void *ctx, struct status *s); /* 's' is initialised; fill it */

	/* Peers are "host[:port]" and syntactically right.  With 'replace' these become the only
	 * targets (perhaps none).  All or none are taken; a name that does not resolve now is a
	 * target that is tried again. */
	bool (*connect)(void *ctx, const char *const *peers, size_t count, bool replace,
			struct why *why);
	bool (*forget)(void *ctx, const char *const *peers, size_t count, struct why *why);

	bool (*attach)(void *ctx, const struct api_attach *request, struct api_addresses *done,
		       struct why *why);
	bool (*detach)(void *ctx, const struct api_attach *request, struct api_addresses *done,
		       struct why *why);
	bool (*expose)(void *ctx, const struct api_addresses *addresses, bool masquerade,
		       struct api_addresses *done, struct why *why);
	bool (*hide)(void *ctx, const struct api_addresses *addresses, /* none: all */
		     struct api_addresses *done, struct why *why);

	/* All attachments; the bridge's own addresses as API_EXPOSE_ID, if it has any. */
	void (*attachments)(void *ctx, struct api_attachments *out);

	void (*log_level)(void *ctx, enum log_level level);

	/* The answer to POST /stop is sent first: end the loop in a later turn, not here. */
	void (*stop)(void *ctx);
};

/* A request as it came in; everything borrowed. */
struct api_request {
	const char *method;
	const char *uri;  /* path and query, still percent-encoded */
	const char *form; /* body, application/x-www-form-urlencoded; may be NULL */
	size_t form_size;
	bool wants_json; /* Accept: application/json */
	bool read_only;	 /* came in on the read-only listener */
};

struct api_response {
	unsigned status;
	const char *content_type;
	const char *allow; /* for the Allow header, NULL if none */
	struct text body;  /* the caller frees it: text_fini */
};

/* Answers 'request'; 'response' is overwritten.  Never fails: errors are responses too. */
void api_handle(const struct api_ops *ops, const struct api_request *request,
		struct api_response *response);

#endif
