#include <weave/net_tunnel.h>

#include <errno.h>
#include <stdarg.h>

#include <bpf/libbpf.h>

#include <weave/must.h>

/* Among classifiers of others: programs of containers' networks usually take 1.  Ours hands on what
 * it does not take. */
#define PRIORITY 49u

static struct bpf_tc_hook hook_of(int ifindex, enum net_direction direction)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = ifindex,
		.attach_point = direction == NET_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS,
	};
}

static struct bpf_tc_opts options_of(uint32_t mark)
{
	return (struct bpf_tc_opts){
		.sz = sizeof(struct bpf_tc_opts),
		.handle = mark,
		.priority = PRIORITY,
	};
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
	struct bpf_tc_hook hook = hook_of(ifindex, direction);
	struct bpf_tc_opts options = options_of(mark);
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc;

	MUST(mark);
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
	struct bpf_tc_hook hook = hook_of(ifindex, direction);
	struct bpf_tc_opts options = options_of(mark);
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc = bpf_tc_query(&hook, &options);

	libbpf_set_print(before);
	*id = rc ? 0 : options.prog_id;
	/* Without the queueing discipline the kernel says EINVAL. */
	return rc == -EINVAL ? -ENOENT : rc;
}

int net_program_detach(int ifindex, enum net_direction direction, uint32_t mark)
{
	struct bpf_tc_hook hook = hook_of(ifindex, direction);
	struct bpf_tc_opts options = options_of(mark);
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int rc = bpf_tc_detach(&hook, &options);

	libbpf_set_print(before);
	return rc == -ENOENT || rc == -EINVAL || rc == -ENODEV ? 0 : rc;
}
