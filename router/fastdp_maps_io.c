#include "fastdp_maps_io.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fastdp.skel.h>
#include <string.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/must.h>

#define OLD_MAPS_MAX 64u

/* As they are called in bpf/maps.bpf.h, in the order of the enum. */
static const char *const map_names[MAPS_COUNT] = {
	"config",  "ports",    "endpoints", "segments", "addresses", "peers",
	"sources", "sessions", "traffic",   "drops",	"events",
};

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* ---- maps of an earlier life ---- */

struct old_maps {
	int fds[MAPS_COUNT]; /* -1: not found */
};

static void close_old(struct old_maps *old)
{
	for (unsigned i = 0; i < MAPS_COUNT; i++)
		if (old->fds[i] >= 0)
			close(old->fds[i]);
}

static bool fits(const struct bpf_map *map, const struct bpf_map_info *info)
{
	return info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) &&
	       info->max_entries == bpf_map__max_entries(map) &&
	       info->map_flags == bpf_map__map_flags(map);
}

static void keep_if_wanted(struct old_maps *old, struct fastdp_bpf *programs, uint32_t id)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof info;
	int fd = bpf_map_get_fd_by_id(id);

	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0) {
		for (unsigned i = 0; i < MAPS_COUNT; i++) {
			const struct bpf_map *map = bpf_object__find_map_by_name(programs->obj,
										 map_names[i]);

			if (old->fds[i] < 0 && strcmp(info.name, map_names[i]) == 0 &&
			    fits(map, &info)) {
				old->fds[i] = fd;
				return;
			}
		}
	}
	close(fd);
}

static bool same_layout(const struct old_maps *old)
{
	struct fastdp_config config;
	uint32_t zero = 0;

	return old->fds[MAP_CONFIG] >= 0 &&
	       bpf_map_lookup_elem(old->fds[MAP_CONFIG], &zero, &config) == 0 &&
	       config.layout == FASTDP_LAYOUT;
}

/* True when all maps of that program are there and fit. */
static bool find_old(struct old_maps *old, struct fastdp_bpf *programs, int ifindex, uint32_t mark)
{
	uint32_t ids[OLD_MAPS_MAX], id = 0, size = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = { .nr_map_ids = OLD_MAPS_MAX, .map_ids = (uintptr_t)ids };
	int fd;

	for (unsigned i = 0; i < MAPS_COUNT; i++)
		old->fds[i] = -1;
	if (net_program_find(ifindex, NET_INGRESS, mark, &id))
		return false;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return false;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		info.nr_map_ids = 0;
	close(fd);
	for (uint32_t i = 0; i < info.nr_map_ids && i < OLD_MAPS_MAX; i++)
		keep_if_wanted(old, programs, ids[i]);
	/* The program at the device uses neither ports nor addresses: they are told anew. */
	for (unsigned i = 0; i < MAPS_COUNT; i++)
		if (old->fds[i] < 0 && i != MAP_PORTS && i != MAP_ADDRESSES)
			return false;
	return same_layout(old);
}

static void reuse_old(struct fastdp_bpf *programs, const struct old_maps *old)
{
	for (unsigned i = 0; i < MAPS_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(programs->obj, map_names[i]);

		if (old->fds[i] >= 0)
			bpf_map__reuse_fd(map, old->fds[i]);
	}
}

/* ---- loading ---- */

static int open_programs(struct fastdp_maps *m, struct why *why)
{
	m->programs = fastdp_bpf__open();
	if (m->programs)
		return 0;
	why_set(why, WHY_ABSENT, "the kernel's programs do not open: %s", strerror(errno));
	return -errno;
}

int fastdp_maps_load(struct fastdp_maps *m, int ifindex, uint32_t mark, struct why *why)
{
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	struct old_maps old;
	int rc;

	memset(m, 0, sizeof *m);
	rc = open_programs(m, why);
	if (rc == 0) {
		m->taken_over = find_old(&old, m->programs, ifindex, mark);
		if (m->taken_over)
			reuse_old(m->programs, &old);
		rc = fastdp_bpf__load(m->programs);
		if (rc)
			why_set(why, WHY_ABSENT,
				"the kernel does not take the programs (5.10 or newer is needed): "
				"%s",
				strerror(-rc));
		close_old(&old);
	}
	libbpf_set_print(before);
	for (unsigned i = 0; rc == 0 && i < MAPS_COUNT; i++)
		m->fds[i] = bpf_map__fd(
			bpf_object__find_map_by_name(m->programs->obj, map_names[i]));
	if (rc == 0) {
		m->cpus = libbpf_num_possible_cpus();
		m->scratch = mem_new((size_t)m->cpus, sizeof(struct fastdp_traffic));
	} else {
		fastdp_maps_unload(m);
	}
	return rc;
}

void fastdp_maps_unload(struct fastdp_maps *m)
{
	fastdp_bpf__destroy(m->programs);
	m->programs = NULL;
	mem_free(m->scratch);
	m->scratch = NULL;
}

int fastdp_program_fd(const struct fastdp_maps *m, enum fastdp_program program)
{
	switch (program) {
	case PROGRAM_CONTAINER:
		return bpf_program__fd(m->programs->progs.weave_container);
	case PROGRAM_HOST:
		return bpf_program__fd(m->programs->progs.weave_host);
	case PROGRAM_ROUTER:
		return bpf_program__fd(m->programs->progs.weave_router);
	case PROGRAM_UNDERLAY:
		return bpf_program__fd(m->programs->progs.weave_underlay);
	case PROGRAM_VXLAN:
		return bpf_program__fd(m->programs->progs.weave_vxlan);
	case PROGRAM_PING:
		return bpf_program__fd(m->programs->progs.weave_ping);
	}
	NOT_REACHED("fastdp program");
}

/* ---- reading and writing ---- */

int fastdp_map_set(const struct fastdp_maps *m, enum fastdp_map map, const void *key,
		   const void *value)
{
	return bpf_map_update_elem(m->fds[map], key, value, BPF_ANY) ? -errno : 0;
}

int fastdp_map_remove(const struct fastdp_maps *m, enum fastdp_map map, const void *key)
{
	return bpf_map_delete_elem(m->fds[map], key) && errno != ENOENT ? -errno : 0;
}

bool fastdp_map_get(const struct fastdp_maps *m, enum fastdp_map map, const void *key, void *value)
{
	return bpf_map_lookup_elem(m->fds[map], key, value) == 0;
}

bool fastdp_map_next(const struct fastdp_maps *m, enum fastdp_map map, const void *after, void *key)
{
	return bpf_map_get_next_key(m->fds[map], after, key) == 0;
}

struct fastdp_counters fastdp_maps_traffic(const struct fastdp_maps *m, uint32_t slot)
{
	const struct fastdp_traffic *each = m->scratch;
	struct fastdp_counters sum = { 0 };

	if (bpf_map_lookup_elem(m->fds[MAP_TRAFFIC], &slot, m->scratch))
		return sum;
	for (int i = 0; i < m->cpus; i++) {
		sum.frames_out += each[i].frames_out;
		sum.bytes_out += each[i].bytes_out;
		sum.frames_in += each[i].frames_in;
		sum.bytes_in += each[i].bytes_in;
	}
	return sum;
}

void fastdp_maps_reset_traffic(const struct fastdp_maps *m, uint32_t slot)
{
	memset(m->scratch, 0, (size_t)m->cpus * sizeof(struct fastdp_traffic));
	bpf_map_update_elem(m->fds[MAP_TRAFFIC], &slot, m->scratch, BPF_ANY);
}

void fastdp_maps_drops(const struct fastdp_maps *m, struct drop_counters *drops)
{
	const uint64_t *each = m->scratch;

	for (uint32_t i = 0; i < DROP_REASONS_COUNT; i++) {
		drops->count[i] = 0;
		if (bpf_map_lookup_elem(m->fds[MAP_DROPS], &i, m->scratch))
			continue;
		for (int c = 0; c < m->cpus; c++)
			drops->count[i] += each[c];
	}
}

struct fastdp_address fastdp_address_of(struct ip_addr ip)
{
	struct fastdp_address a = { { 0 } };

	if (ip.family == 6) {
		memcpy(a.b, ip.b, 16);
	} else {
		a.b[10] = a.b[11] = 0xff;
		memcpy(a.b + 12, ip.b, 4);
	}
	return a;
}

struct ip_addr fastdp_ip_of(const struct fastdp_address *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct ip_addr ip = { 6, { 0 } };

	if (memcmp(a->b, mapped, sizeof mapped) == 0) {
		ip.family = 4;
		memcpy(ip.b, a->b + 12, 4);
	} else {
		memcpy(ip.b, a->b, 16);
	}
	return ip;
}
