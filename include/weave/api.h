/* The router's HTTP API: from a request to an answer, and what the daemon must be able to do.
 *
 * plugin/api*.c are pure: they look the request up in a route table, check every parameter, call
 * one of the daemon's operations and render the answer, which may come later; plugin/server_io.c
 * carries the bytes.  Loop thread.
 *
 *	GET  /status /status/targets /status/connections /status/peers /status/ipam /status/dns
 *	     /status/networks    text, or JSON with Accept: application/json; 503 with the same body
 *until the router is ready GET  /report             JSON; with format=<template> that template over
 *it GET  /metrics /version POST /connect            peer=... (repeat), replace=true POST /forget
 *peer=... (repeat) POST /attach             id=, netns=, network=, address=... (repeat),
 *multicast-route=false, fqdn= DELETE /attach           id=, netns=, network=, address=... (repeat;
 *none: all) POST /network            name=, number=      opens it here DELETE /network name= POST
 * /expose             address=... (repeat), skipNAT=true, fqdn=; also /expose/{ip}/{len} DELETE
 * /expose           address=... (repeat; none: all) GET  /ps                 id=... (repeat; none:
 *all) GET  /password           how many are accepted, and which peers have proved the new one POST
 * /password           action=rotate, password=; action=finish|cancel, force=true POST /log-level
 *level=debug|info|warning|error POST /docker/{call}      * one call of Docker's plugin protocol, as
 *JSON; asked=<ms since 1970> POST /stop
 *
 * An address is <ip>/<len>, ip:<ip>/<len>, net:<network>/<len> (one out of that subnet) or
 * net:default; none at all stands for net:default, except where something is taken away.
 * Of IPAM, as Weave Net has them; those marked * wait until there is an answer:
 *
 *	POST /ip/{id}  /ip/{id}/{net}/{len}     * allocate; "<ip>/<len>"
 *	GET  /ip/{id}  /ip/{id}/{net}/{len}     what it has in the (default) subnet, by blanks
 *	PUT  /ip/{id}/{ip}/{len}                * claim; noErrorOnUnknown=true; 204
 *	DELETE /ip/{id}  /ip/{id}/{ip}          204
 *	GET  /ip                 {"owned":[{"containerid":...,"addrs":[...]}]}
 *	GET  /ring               * until there is a ring
 *	DELETE /peer/{id}        * take over what that peer owned; force=true
 *	DELETE /peer             * give away all that is ours; force=true
 *	GET  /ipinfo/defaultsubnet  /ipinfo/tracker
 *
 * Of WeaveDNS, as Weave Net has them; {id} "_" stands for a container that is not known:
 *
 *	PUT  /name/{id}/{ip}     fqdn=; 204, or 400 when it is no name in our domain
 *	DELETE /name/{id}/{ip}  /name/{id}  /name     fqdn=; 204
 *	GET  /name               all that can be found, as JSON
 *	GET  /domain  /dns-address  /dns-address-port
 *
 * Errors are one line of text: 400 a bad request, 404 no such thing or a component that is not
 * there, 405, 403 not on the read-only listener, 500 the router could not do it, 503 too many
 * requests wait or the router stops.
 */
#ifndef WEAVE_API_H
#define WEAVE_API_H

#include <stdbool.h>
#include <stddef.h>

#include <weave/addr.h>
#include <weave/bytes.h>
#include <weave/log.h>
#include <weave/status.h>
#include <weave/text.h>
#include <weave/why.h>

#define API_ID_SIZE 250		     /* a container's identity: Docker's 64 hex digits, or a name */
#define API_NETNS_SIZE 512	     /* path of a network namespace */
#define API_ADDRESSES_MAX 64	     /* of one container */
#define API_PEERS_MAX 1024	     /* of one request */
#define API_EXPOSE_ID "weave:expose" /* the bridge's own addresses in GET /ps, and their holder */

struct api_addresses {
	struct cidr list[API_ADDRESSES_MAX];
	size_t count;
};

/* One address that somebody asks for. */
enum api_want_type {
	API_WANT_ADDRESS, /* 'cidr' itself */
	API_WANT_SUBNET,  /* one out of the network 'cidr' */
	API_WANT_DEFAULT, /* one out of the default subnet */
};

struct api_want {
	enum api_want_type type;
	struct cidr cidr;
};

struct api_wants {
	struct api_want list[API_ADDRESSES_MAX]; /* no two the same */
	size_t count;				 /* 0: none was named */
};

struct api_attach {
	const char *id;	     /* never empty */
	const char *netns;   /* absolute path; NULL on detach when the caller knows only the id */
	const char *network; /* its name; the default one when none is given */
	struct api_wants wants; /* on detach: a subnet means what it has there; none means all */
	const char *fqdn;	/* attach: its name, if it is in our domain; NULL: none */
	bool multicast_route;	/* attach: also give the container 224.0.0.0/4 */
};

enum api_password_action {
	API_PASSWORD_SHOW,
	API_PASSWORD_ROTATE, /* 'text' is preferred from now on, the former still accepted */
	API_PASSWORD_FINISH, /* the former is accepted no longer */
	API_PASSWORD_CANCEL, /* the new one is not, and the former alone is again */
};

struct api_password {
	enum api_password_action action;
	const char *text; /* ROTATE; a secret: not kept, not logged, not in an answer */
	bool force;	  /* FINISH, CANCEL: though that ends connections */
};

/* One row of GET /ps and GET /ip. */
struct api_attachment {
	char id[API_ID_SIZE];
	struct mac mac; /* GET /ps only */
	struct api_addresses addresses;
};

struct api_attachments {
	struct api_attachment *list; /* grown by api_attachments_add */
	size_t count;
};

/* A zeroed element to fill, borrowed until the next one is added. */
struct api_attachment *api_attachments_add(struct api_attachments *a);
void api_attachments_fini(struct api_attachments *a);

/* An answer to come; owned by the server.  Exactly one of the next three ends it, perhaps before
 * the operation returns; afterwards it is gone. */
struct api_reply;

void api_reply_addresses(struct api_reply *r, const struct api_addresses *a);
void api_reply_text(struct api_reply *r, const char *text); /* done; "" is fine */
/* JSON with an HTTP status of its own. */
void api_reply_json(struct api_reply *r, unsigned status, const char *json);
/* WHY_INVALID becomes 400, WHY_ABSENT 404, any other reason 500. */
void api_reply_fail(struct api_reply *r, const struct why *why);

/* 'cancel' is called instead if the client goes away, or the server stops, before the answer: the
 * reply is gone then.  Without it, an answer that nobody waits for any more is thrown away; then
 * the operation must end the reply before its daemon ends. */
void api_reply_on_cancel(struct api_reply *r, void (*cancel)(void *ctx), void *ctx);

/* What the daemon does.  Operations that can fail return true, or false with 'why' filled and
 * nothing changed (reasons as above); those with a reply end it, now or later.  Arguments other
 * than the reply are borrowed for the call. */
struct api_ops {
	void *ctx;
	void (*status)(void *ctx, struct status *s); /* 's' is initialised; fill it */

	/* Peers are "host[:port]" and syntactically right.  With 'replace' these become the only
	 * targets (perhaps none).  All or none are taken; a name that does not resolve now is a
	 * target that is tried again. */
	bool (*connect)(void *ctx, const char *const *peers, size_t count, bool replace,
			struct why *why);
	bool (*forget)(void *ctx, const char *const *peers, size_t count, struct why *why);

	/* The answer: the addresses that were given or taken away.  Without IPAM no subnets are
	 * asked for, and attach and expose name at least one address. */
	void (*attach)(void *ctx, const struct api_attach *request, struct api_reply *reply);
	void (*detach)(void *ctx, const struct api_attach *request, struct api_reply *reply);
	/* 'fqdn': the name of the host there, NULL: none. */
	void (*expose)(void *ctx, const struct api_wants *wants, bool masquerade, const char *fqdn,
		       struct api_reply *reply);
	void (*hide)(void *ctx, const struct api_wants *wants, /* none: all */
		     struct api_reply *reply);

	/* Opens a network here, as segment 'number' (0: by its name); says what it became. */
	bool (*network_open)(void *ctx, const char *name, uint32_t number, struct text *answer,
			     struct why *why);
	bool (*network_close)(void *ctx, const char *name, struct why *why);

	/* All attachments; the bridge's own addresses as API_EXPOSE_ID, if it has any. */
	void (*attachments)(void *ctx, struct api_attachments *out);
	/* The id under which what lives in this namespace is attached, of API_ID_SIZE bytes; false:
	 * nothing is. */
	bool (*attached_as)(void *ctx, const char *netns, char *id);

	/* False: this router runs no IPAM, and no operation from here to hand_over is called.
	 * Subnets are networks of at least 4 addresses; NULL is the default subnet. */
	bool (*has_ipam)(void *ctx);
	void (*allocate)(void *ctx, const char *id, const struct cidr *subnet,
			 struct api_reply *reply);
	void (*claim)(void *ctx, const char *id, struct cidr address, bool no_error_on_unknown,
		      struct api_reply *reply);
	/* None is an answer, too. */
	bool (*lookup)(void *ctx, const char *id, const struct cidr *subnet,
		       struct api_addresses *out, struct why *why);
	bool (*release)(void *ctx, const char *id, const struct ip_addr *address, /* NULL: all */
			struct why *why);
	void (*owned)(void *ctx, struct api_attachments *out); /* all holders of addresses here */
	void (*default_subnets)(void *ctx, struct api_addresses *out);
	void (*prime)(void *ctx, struct api_reply *reply);
	/* 'peer' is a nickname or a name; the answer says what was taken over, a line each. */
	void (*remove_peer)(void *ctx, const char *peer, bool force, struct api_reply *reply);
	/* For `weave reset`: gives all that is ours to an heir, and says to whom. */
	void (*hand_over)(void *ctx, bool force, struct api_reply *reply);

	/* False: this router runs no WeaveDNS, and the next two are not called. */
	bool (*has_dns)(void *ctx);
	bool (*put_name)(void *ctx, const char *id, const char *fqdn, struct ip_addr address,
			 struct why *why);
	/* NULL: whatever; none at all is fine. */
	void (*remove_names)(void *ctx, const char *id, const char *fqdn,
			     const struct ip_addr *address);

	/* 'answer' gets some lines for people. */
	bool (*password)(void *ctx, const struct api_password *request, struct text *answer,
			 struct why *why);

	/* A call of Docker's plugin protocol (<weave/docker.h>); errors are JSON, too.  'asked_ms':
	 * when Docker asked, by the clock of the day; 0: now. */
	void (*docker)(void *ctx, const char *call, struct bytes body, uint64_t asked_ms,
		       struct api_reply *reply);

	void (*log_level)(void *ctx, enum log_level level);

	/* The answer to POST /stop is sent first: end the loop in a later turn, not here. */
	void (*stop)(void *ctx);
};

#endif
