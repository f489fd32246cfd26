#include <weave/sockaddr_io.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

socklen_t sockaddr_from(struct netaddr a, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(a.port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(a.port) };

	memset(out, 0, sizeof *out);
	if (a.ip.family == 4) {
		memcpy(&v4.sin_addr, a.ip.b, 4);
		memcpy(out, &v4, sizeof v4);
		return sizeof v4;
	}
	memcpy(&v6.sin6_addr, a.ip.b, 16);
	memcpy(out, &v6, sizeof v6);
	return sizeof v6;
}

socklen_t sockaddr_from_mapped(struct netaddr a, struct sockaddr_storage *out)
{
	if (a.ip.family == 4) {
		struct ip_addr mapped = { .family = 6, .b = { [10] = 0xff, [11] = 0xff } };

		memcpy(mapped.b + 12, a.ip.b, 4);
		a.ip = mapped;
	}
	return sockaddr_from(a, out);
}

bool sockaddr_to(const struct sockaddr *s, struct netaddr *out)
{
	struct netaddr a = { 0 };

	if (s->sa_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, s, sizeof v4);
		a.ip.family = 4;
		memcpy(a.ip.b, &v4.sin_addr, 4);
		a.port = ntohs(v4.sin_port);
	} else if (s->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;

		memcpy(&v6, s, sizeof v6);
		a.port = ntohs(v6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
			a.ip.family = 4;
			memcpy(a.ip.b, v6.sin6_addr.s6_addr + 12, 4);
		} else {
			a.ip.family = 6;
			memcpy(a.ip.b, &v6.sin6_addr, 16);
		}
	} else {
		return false;
	}
	*out = a;
	return true;
}

void sockaddr_local(int fd, struct netaddr *out)
{
	struct sockaddr_storage s = { 0 };
	socklen_t size = sizeof s;

	*out = (struct netaddr){ 0 };
	if (getsockname(fd, (struct sockaddr *)&s, &size) == 0)
		sockaddr_to((struct sockaddr *)&s, out);
}

static int bound(int family, int type, const struct sockaddr_storage *a, socklen_t size)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int off = 0, on = 1, rc;

	if (fd < 0)
		return -errno;
	/* A restarted router must not wait for old connections in TIME_WAIT. For UDP it would allow
	 * two routers on one port. */
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (bind(fd, (const struct sockaddr *)a, size) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int sockaddr_bind(int type, struct netaddr a, struct why *why)
{
	struct sockaddr_storage s;
	bool any = a.ip.family == 0;
	char text[ENDPOINT_TEXT_SIZE];
	int fd;

	if (any)
		a.ip.family = 6;
	fd = bound(a.ip.family == 6 ? AF_INET6 : AF_INET, type, &s, sockaddr_from(a, &s));
	if (fd < 0 && any && fd != -EADDRINUSE) {
		/* IPv6 is switched off on this host. */
		a.ip.family = 4;
		fd = bound(AF_INET, type, &s, sockaddr_from(a, &s));
	}
	if (fd < 0)
		why_set(why, WHY_TRANSPORT, "cannot use %s %s: %s",
			type == SOCK_STREAM ? "TCP" : "UDP", netaddr_text(a, text), strerror(-fd));
	return fd;
}

int sockaddr_family(int fd)
{
	int family = AF_INET;
	socklen_t size = sizeof family;

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
	return family;
}

struct mono mono_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct mono){ (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 };
}
