#include <weave/net_tunnel.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <weave/must.h>

/* Of <linux/bpf.h> since Linux 6.6, which may be newer than the one that we are compiled with. */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS ((enum bpf_attach_type)47)

/* More than a hook (64) and a program have. */
#define PROGRAMS_MAX 64u
#define MAPS_MAX 64u

/* Among classifiers of others: programs of containers' networks usually take 1.  Ours hands on what
 * it does not take. */
#define PRIORITY 49u

/* libbpf writes what the kernel says to stderr; our callers get it as an error. */
static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* ---- tcx (Linux 6.6): straight at the interface's hook ----
 *
 * There is no place for a mark at the hook.  So a program carries it: a map, bound to the program
 * and otherwise unused, whose name tells. */

struct program_maps {
	uint32_t ids[MAPS_MAX];
	uint32_t count;
};

static int read_maps(int program_fd, struct program_maps *maps)
{
	struct bpf_prog_info info = {
		.nr_map_ids = MAPS_MAX,
		.map_ids = (uintptr_t)maps->ids,
	};
	uint32_t size = sizeof info;

	if (bpf_obj_get_info_by_fd(program_fd, &info, &size))
		return -errno;
	maps->count = info.nr_map_ids < MAPS_MAX ? info.nr_map_ids : MAPS_MAX;
	return 0;
}

static void mark_name(uint32_t mark, char name[BPF_OBJ_NAME_LEN])
{
	snprintf(name, BPF_OBJ_NAME_LEN, "weave_%08x", mark);
}

static bool is_map_named(uint32_t id, const char *name)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof info;
	int fd = bpf_map_get_fd_by_id(id), rc;

	if (fd < 0)
		return false;
	rc = bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	return rc == 0 && strcmp(info.name, name) == 0;
}

static bool carries_mark(int program_fd, uint32_t mark)
{
	char name[BPF_OBJ_NAME_LEN];
	struct program_maps maps;

	mark_name(mark, name);
	if (read_maps(program_fd, &maps))
		return false;
	for (uint32_t i = 0; i < maps.count; i++)
		if (is_map_named(maps.ids[i], name))
			return true;
	return false;
}

static int give_mark(int program_fd, uint32_t mark)
{
	char name[BPF_OBJ_NAME_LEN];
	int fd, rc;

	if (carries_mark(program_fd, mark))
		return 0;
	mark_name(mark, name);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), sizeof(uint32_t), 1, NULL);
	if (fd < 0)
		return fd;
	rc = bpf_prog_bind_map(program_fd, fd, NULL);
	close(fd);
	return rc;
}

static enum bpf_attach_type tcx_hook(enum net_direction direction)
{
	return direction == NET_INGRESS ? TCX_INGRESS : TCX_EGRESS;
}

/* A descriptor of the program with this mark, or -errno: EINVAL where there is no tcx. */
static int tcx_find(int ifindex, enum net_direction direction, uint32_t mark, uint32_t *id)
{
	uint32_t ids[PROGRAMS_MAX];
	struct bpf_prog_query_opts options;
	int rc;

	memset(&options, 0, sizeof options);
	options.sz = sizeof options;
	options.prog_ids = ids;
	options.prog_cnt = PROGRAMS_MAX;
	rc = bpf_prog_query_opts(ifindex, tcx_hook(direction), &options);
	for (uint32_t i = 0; rc == 0 && i < options.prog_cnt; i++) {
		int fd = bpf_prog_get_fd_by_id(ids[i]);

		if (fd >= 0 && carries_mark(fd, mark)) {
			*id = ids[i];
			return fd;
		}
		if (fd >= 0)
			close(fd);
	}
	return rc ? rc : -ENOENT;
}

static int tcx_attach(int ifindex, enum net_direction direction, uint32_t mark, int program_fd)
{
	struct bpf_prog_attach_opts options;
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof info, id;
	int before = tcx_find(ifindex, direction, mark, &id), rc;

	if (before < 0 && before != -ENOENT)
		return before;
	rc = give_mark(program_fd, mark);
	if (rc == 0 && bpf_obj_get_info_by_fd(program_fd, &info, &size))
		rc = -errno;
	if (rc == 0 && (before < 0 || id != info.id)) {
		memset(&options, 0, sizeof options);
		options.sz = sizeof options;
		options.flags = before >= 0 ? BPF_F_REPLACE : 0;
		options.replace_prog_fd = before >= 0 ? before : 0;
		rc = bpf_prog_attach_opts(program_fd, ifindex, tcx_hook(direction), &options);
	}
	if (before >= 0)
		close(before);
	return rc;
}

static int tcx_detach(int ifindex, enum net_direction direction, uint32_t mark)
{
	uint32_t id;
	int fd = tcx_find(ifindex, direction, mark, &id), rc;

	if (fd < 0)
		return fd;
	rc = bpf_prog_detach2(fd, ifindex, tcx_hook(direction));
	close(fd);
	return rc;
}

/* ---- clsact: a queueing discipline with classifiers, of which ours has the mark as handle ---- */

/* libbpf refuses options whose padding is not zero, and only memset promises that it is. */
static void set_hook(struct bpf_tc_hook *hook, int ifindex, enum net_direction direction)
{
	memset(hook, 0, sizeof *hook);
	hook->sz = sizeof *hook;
	hook->ifindex = ifindex;
	hook->attach_point = direction == NET_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS;
}

static void set_options(struct bpf_tc_opts *options, uint32_t mark)
{
	memset(options, 0, sizeof *options);
	options->sz = sizeof *options;
	options->handle = mark;
	options->priority = PRIORITY;
}

static int clsact_attach(int ifindex, enum net_direction direction, uint32_t mark, int program_fd)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;
	int rc;

	set_hook(&hook, ifindex, direction);
	set_options(&options, mark);
	options.prog_fd = program_fd;
	options.flags = BPF_TC_F_REPLACE;
	rc = bpf_tc_hook_create(&hook);
	/* The queueing discipline may be there for others. */
	return rc == 0 || rc == -EEXIST ? bpf_tc_attach(&hook, &options) : rc;
}

static int clsact_find(int ifindex, enum net_direction direction, uint32_t mark, uint32_t *id)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;
	int rc;

	set_hook(&hook, ifindex, direction);
	set_options(&options, mark);
	rc = bpf_tc_query(&hook, &options);
	*id = rc ? 0 : options.prog_id;
	/* Without the queueing discipline the kernel says EINVAL. */
	return rc == -EINVAL ? -ENOENT : rc;
}

static int clsact_detach(int ifindex, enum net_direction direction, uint32_t mark)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;
	int rc;

	set_hook(&hook, ifindex, direction);
	set_options(&options, mark);
	rc = bpf_tc_detach(&hook, &options);
	return rc == -EINVAL ? -ENOENT : rc;
}

/* ---- either ---- */

int net_program_attach(int ifindex, enum net_direction direction, uint32_t mark, int program_fd)
{
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc;

	MUST(mark);
	rc = tcx_attach(ifindex, direction, mark, program_fd);
	if (rc == 0)
		/* Of an earlier life that knew of no better hook. */
		(void)clsact_detach(ifindex, direction, mark);
	else
		rc = clsact_attach(ifindex, direction, mark, program_fd);
	libbpf_set_print(before);
	return rc;
}

int net_program_find(int ifindex, enum net_direction direction, uint32_t mark, uint32_t *id)
{
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc = tcx_find(ifindex, direction, mark, id);

	if (rc >= 0) {
		close(rc);
		rc = 0;
	} else {
		rc = clsact_find(ifindex, direction, mark, id);
	}
	libbpf_set_print(before);
	return rc;
}

int net_program_detach(int ifindex, enum net_direction direction, uint32_t mark)
{
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc = tcx_detach(ifindex, direction, mark);
	int old = clsact_detach(ifindex, direction, mark);

	libbpf_set_print(before);
	/* Where there is no tcx, or no such interface any more, nothing is attached. */
	if (rc == 0 || rc == -ENOENT || rc == -EINVAL || rc == -ENODEV)
		rc = old;
	return rc == -ENOENT || rc == -ENODEV ? 0 : rc;
}
