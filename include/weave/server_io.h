/* The API's HTTP server: libmicrohttpd, driven by the caller's libev loop.
 *
 * Two listeners: the control API on a unix socket that only root (and one group) may open, and,
 * if wanted, the read-only part on a TCP address.  Everything runs on the loop thread; the
 * operations of <weave/api.h> are called from it.
 *
 * Limits: 1024 connections to the socket, of which 896 may wait for an answer that takes time, 64
 * to the TCP address; 32 KiB of request line and headers, 64 KiB of body, 10 s without progress and
 * 30 s for one request, not counting the wait for its answer.  A client that does not read holds
 * one connection and the answer made for it, until the time is over.  A client that closes its
 * connection, or only its sending side, while it waits has taken its request back.
 */
#ifndef WEAVE_SERVER_IO_H
#define WEAVE_SERVER_IO_H

#include <weave/addr.h>
#include <weave/api.h>
#include <weave/log.h>
#include <weave/why.h>

struct ev_loop;
struct server;

struct server_config {
	const char *socket_path;  /* <run-dir>/weave.sock; its directory exists */
	const char *socket_group; /* its members may use the socket too; NULL: root only */
	bool status_enabled;
	struct netaddr status_addr; /* read-only listener; an address of zeroes means all */
	unsigned idle_timeout_s;    /* without a byte; 0: 10 s */
	unsigned request_time_s;    /* for one request and its answer; 0: 30 s */
};

/* Starts serving.  'ops' and 'loop' are borrowed until server_free, 'config' for the call.
 * On success *out is set and 0 returned.  Else a negative errno, nothing is left behind, and
 * 'why' tells people; -EADDRINUSE with "already running" in it: another router answers on the
 * socket.  A socket that nobody answers on is removed. */
int server_new(struct server **out, const struct server_config *config, const struct api_ops *ops,
	       struct ev_loop *loop, struct log *log, struct why *why);

/* Closes all connections and listeners and removes the socket.  Requests that wait are cancelled
 * (the operations' ctx must still be there) and answered 503.  NULL is fine. */
void server_free(struct server *s);

#endif
