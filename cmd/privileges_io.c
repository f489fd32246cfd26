#include "privileges_io.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include <weave/must.h>

/* What the router goes on needing. */
static const int kept[] = {
	CAP_NET_ADMIN,	      /* links, addresses, routes, nftables, of all namespaces */
	CAP_NET_BIND_SERVICE, /* DNS on an address that is exposed later */
	CAP_NET_RAW,	      /* a new capture after the bridge was repaired */
	CAP_SYS_ADMIN,	      /* setns into the network namespace of a container; BPF before 5.8 */
	CAP_SYS_PTRACE,	      /* opening /proc/<pid>/ns/net of containers of other users */
	CAP_BPF,	      /* the kernel path's maps */
	CAP_PERFMON,	      /* its programs */
	CAP_SYS_RESOURCE,     /* room for these before 5.11 */
	CAP_IPC_LOCK,	      /* a new password in locked memory */
	CAP_DAC_OVERRIDE,     /* a state folder that belongs to another user */
};

/* Nothing of ours calls these, and whoever got in by an error of ours would like to. */
#define DENIED(X)                                                                                  \
	X(execve)                                                                                  \
	X(execveat)                                                                                \
	X(ptrace)                                                                                  \
	X(process_vm_readv)                                                                        \
	X(process_vm_writev)                                                                       \
	X(kcmp)                                                                                    \
	X(pidfd_getfd)                                                                             \
	X(init_module)                                                                             \
	X(finit_module)                                                                            \
	X(delete_module)                                                                           \
	X(kexec_load)                                                                              \
	X(kexec_file_load)                                                                         \
	X(reboot)                                                                                  \
	X(swapon)                                                                                  \
	X(swapoff)                                                                                 \
	X(acct)                                                                                    \
	X(quotactl)                                                                                \
	X(chroot)                                                                                  \
	X(pivot_root)                                                                              \
	X(open_by_handle_at)                                                                       \
	X(mknod)                                                                                   \
	X(mknodat)                                                                                 \
	X(setuid)                                                                                  \
	X(setgid)                                                                                  \
	X(setreuid)                                                                                \
	X(setregid)                                                                                \
	X(setresuid)                                                                               \
	X(setresgid)                                                                               \
	X(setgroups)                                                                               \
	X(settimeofday)                                                                            \
	X(clock_settime)                                                                           \
	X(clock_adjtime)                                                                           \
	X(adjtimex)                                                                                \
	X(sethostname)                                                                             \
	X(setdomainname)                                                                           \
	X(add_key)                                                                                 \
	X(request_key)                                                                             \
	X(keyctl)                                                                                  \
	X(userfaultfd)                                                                             \
	X(iopl)                                                                                    \
	X(ioperm)                                                                                  \
	X(modify_ldt)                                                                              \
	X(personality)                                                                             \
	X(syslog)                                                                                  \
	X(vhangup)                                                                                 \
	X(lookup_dcookie)

static const struct {
	int number;
	const char *name;
} denied[] = {
#define X(name) { SCMP_SYS(name), #name },
	DENIED(X)
#undef X
};

static bool drop_capabilities(struct log *log)
{
	if (capng_get_caps_process())
		return false;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool keep = false;

		for (size_t i = 0; i < ARRAY_COUNT(kept); i++)
			keep = keep || kept[i] == cap;
		/* Who was started with less gets no more. */
		if (!keep)
			capng_update(CAPNG_DROP,
				     CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
					     CAPNG_BOUNDING_SET,
				     (unsigned)cap);
		else if (!capng_have_capability(CAPNG_EFFECTIVE, (unsigned)cap))
			log_debug(log, "started without the capability %s",
				  capng_capability_to_name((unsigned)cap));
	}
	/* The bounding set only where we may; without new privileges it matters little. */
	return capng_apply(CAPNG_SELECT_CAPS) == 0;
}

static int deny_calls(struct log *log)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc = filter ? 0 : -ENOMEM;

	if (!rc)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; !rc && i < ARRAY_COUNT(denied); i++) {
		int added = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i].number, 0);

		/* This processor does not know that one. */
		if (added == -EDOM || added == -EINVAL)
			log_debug(log, "no system call %s to deny", denied[i].name);
		else
			rc = added;
	}
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc;
}

void privileges_drop(struct log *log)
{
	int rc;

	if (!drop_capabilities(log))
		log_warning(log, "cannot drop capabilities: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_warning(log, "cannot refuse new privileges: %s", strerror(errno));
	rc = deny_calls(log);
	if (rc)
		log_warning(log, "cannot deny system calls: %s", strerror(-rc));
}
