#include <weave/net_tunnel.h>

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <bpf/libbpf.h>

#include <weave/must.h>

/* Among classifiers of others: programs of containers' networks usually take 1.  Ours hands on what
 * it does not take. */
#define PRIORITY 49u

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

/* libbpf writes what the kernel says to stderr; our callers get it as an error. */
static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

int net_program_attach(int ifindex, enum net_direction direction, uint32_t mark, int program_fd)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc;

	MUST(mark);
	set_hook(&hook, ifindex, direction);
	set_options(&options, mark);
	options.prog_fd = program_fd;
	options.flags = BPF_TC_F_REPLACE;
	rc = bpf_tc_hook_create(&hook);
	/* The queueing discipline may be there for others. */
	if (rc == 0 || rc == -EEXIST)
		rc = bpf_tc_attach(&hook, &options);
	libbpf_set_print(before);
	return rc;
}

int net_program_find(int ifindex, enum net_direction direction, uint32_t mark, uint32_t *id)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc;

	set_hook(&hook, ifindex, direction);
	set_options(&options, mark);
	rc = bpf_tc_query(&hook, &options);
	libbpf_set_print(before);
	*id = rc ? 0 : options.prog_id;
	/* Without the queueing discipline the kernel says EINVAL. */
	return rc == -EINVAL ? -ENOENT : rc;
}

int net_program_detach(int ifindex, enum net_direction direction, uint32_t mark)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc;

	set_hook(&hook, ifindex, direction);
	set_options(&options, mark);
	rc = bpf_tc_detach(&hook, &options);
	libbpf_set_print(before);
	return rc == -ENOENT || rc == -EINVAL || rc == -ENODEV ? 0 : rc;
}
