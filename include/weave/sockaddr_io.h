/* Between struct netaddr and the kernel's socket addresses; sockets bound the way both the control
 * listener and the sleeve want them; the loop's clock.
 *
 * An IPv6 socket serves both families where the host has IPv6; IPv4-mapped addresses become plain
 * IPv4 ones, so that a peer has one address whatever the socket. Any thread.
 */
#ifndef WEAVE_SOCKADDR_IO_H
#define WEAVE_SOCKADDR_IO_H

#include <sys/socket.h>

#include <weave/addr.h>
#include <weave/time.h>
#include <weave/why.h>

/* Fills 'out' and returns its size. */
socklen_t sockaddr_from(struct netaddr a, struct sockaddr_storage *out);
/* The same as an IPv6 address, IPv4 mapped: for sockets that serve both families. */
socklen_t sockaddr_from_mapped(struct netaddr a, struct sockaddr_storage *out);
/* False for families other than IPv4 and IPv6. */
bool sockaddr_to(const struct sockaddr *s, struct netaddr *out);
/* The local end of a socket; zeroed when unknown. */
void sockaddr_local(int fd, struct netaddr *out);

/* A non-blocking socket of 'type' bound to 'a' (family 0: any address, both families if possible).
 * The descriptor, or a negative errno with 'why' naming the address and the cause. */
int sockaddr_bind(int type, struct netaddr a, struct why *why);
/* AF_INET6 or AF_INET of a bound socket. */
int sockaddr_family(int fd);

/* Monotonic time; one value per callback is what callers want. */
struct mono mono_now(void);

#endif
