/* The bridge's port is a TAP: frames come and go with a virtio header, so that the kernel leaves
 * checksums and segmentation to whoever needs them done (docs/why/sleeve.md). */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/sockaddr_io.h>

#include "capture_io.h"
#include "virtio_wire.h"

#define FRAMES_PER_TURN 256u /* then other watchers get their turn */
/* The largest IP packet behind Ethernet and two VLAN tags. */
#define FRAME_SIZE (VIRTIO_HEADER_SIZE + 65535u + 14u + 8u)

_Static_assert(FRAME_SIZE <= CAPTURE_ROOM, "a frame fits");

struct capture_tap {
	struct capture c;
	int fd;
	struct ev_io readable;
	uint64_t received;
	uint8_t *frame; /* borrowed; FRAME_SIZE */
};

static struct capture_tap *tap_of(struct capture *c)
{
	return (struct capture_tap *)(void *)c;
}

static void take(struct capture_tap *t, size_t size, struct mono now)
{
	uint8_t *frame = t->frame + VIRTIO_HEADER_SIZE;
	struct offload undone;

	t->received++;
	if (size < VIRTIO_HEADER_SIZE || size == FRAME_SIZE ||
	    !virtio_read(&undone, t->frame, frame, size - VIRTIO_HEADER_SIZE))
		router_count_drop(t->c.router, DROP_MALFORMED, 1);
	else
		router_on_frame(t->c.router, t->c.segment,
				bytes_of(frame, size - VIRTIO_HEADER_SIZE), undone, now);
	if (router_outbox_nearly_full(t->c.router))
		t->c.flush(t->c.ctx);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct capture_tap *t = w->data;
	struct mono now = mono_now();

	(void)events;
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
		ssize_t n = read(t->fd, t->frame, FRAME_SIZE);

		if (n > 0) {
			take(t, (size_t)n, now);
			continue;
		}
		/* EIO while it is down: it may come up again. EBADFD: deleted. */
		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) {
			ev_io_stop(loop, &t->readable);
			t->c.flush(t->c.ctx);
			t->c.gone(t->c.ctx);
			return;
		}
		break;
	}
	t->c.flush(t->c.ctx);
}

static void start(struct capture *c)
{
	ev_io_start(c->loop, &tap_of(c)->readable);
}

static void free_tap(struct capture *c)
{
	struct capture_tap *t = tap_of(c);

	ev_io_stop(c->loop, &t->readable);
	close(t->fd);
	mem_free(t);
}

static void send_frames(struct capture *c, const struct outbox_frame *frames, uint32_t count)
{
	struct capture_tap *t = tap_of(c);

	for (uint32_t i = 0; i < count; i++) {
		const struct outbox_frame *f = &frames[i];
		uint8_t header[VIRTIO_HEADER_SIZE];
		struct iovec parts[2] = {
			{ header, sizeof header },
			{ (uint8_t *)(uintptr_t)f->data, f->size },
		};

		if (!virtio_write(header, bytes_of(f->data, f->size), f->undone) ||
		    writev(t->fd, parts, 2) < 0)
			router_count_drop(c->router, DROP_INJECT_FAILED, 1);
	}
}

static void read_counter(const char *interface, const char *name, uint64_t *value)
{
	char path[96];
	unsigned long long v;
	FILE *f;

	snprintf(path, sizeof path, "/sys/class/net/%s/statistics/%s", interface, name);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fscanf(f, "%llu", &v) == 1)
		*value = v;
	fclose(f);
}

static void counters(const struct capture *c, struct capture_counters *out)
{
	const struct capture_tap *t = (const struct capture_tap *)(const void *)c;
	struct ifreq request = { 0 };

	*out = (struct capture_counters){ .received = t->received };
	/* What found the queue to us full. */
	if (ioctl(t->fd, TUNGETIFF, &request) == 0)
		read_counter(request.ifr_name, "tx_dropped", &out->dropped);
}

static const struct capture_ops ops = { start, free_tap, send_frames, counters };

static int fail(int fd, const char *interface, const char *what, struct why *why)
{
	int rc = -errno;

	why_set(why, WHY_TRANSPORT, "cannot %s %s: %s", what, interface, strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* As much as this kernel offers: UDP since 6.2. */
static int set_offloads(int fd)
{
	unsigned all = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, udp = 0x20 | 0x40; /* USO4, USO6 */

	return ioctl(fd, TUNSETOFFLOAD, all | udp) == 0 ? 0 : ioctl(fd, TUNSETOFFLOAD, all);
}

int capture_tap_new(const struct capture_config *config, struct capture **out, struct why *why)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int header_size = VIRTIO_HEADER_SIZE, one = 1;
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	struct capture_tap *t;

	if (fd < 0)
		return fail(fd, "/dev/net/tun", "open", why);
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", config->interface);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return fail(fd, config->interface, "attach to TAP", why);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0 || ioctl(fd, TUNSETVNETLE, &one) < 0 ||
	    set_offloads(fd) < 0)
		return fail(fd, config->interface, "set offloads of TAP", why);
	t = mem_new(1, sizeof *t);
	t->c.ops = &ops;
	t->fd = fd;
	t->frame = config->room;
	ev_io_init(&t->readable, on_readable, fd, EV_READ);
	t->readable.data = t;
	*out = &t->c;
	return 0;
}
