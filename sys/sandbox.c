#include "config.h"

#include "sys/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef TRIB_SANITIZERS
enum { SANDBOX_WITH_SANITIZERS = 1 };
#else
enum { SANDBOX_WITH_SANITIZERS = 0 };
#endif

/*
 * Trap mode: names the call that the table lacks. A forbidden call is made by
 * this very thread, so nothing here runs behind the back of a lock but
 * libseccomp's own allocation; a developer accepts that.
 */
static void
sandbox_on_sigsys(int signo, siginfo_t *info, void *context)
{
	unsigned long long args[3] = {0};
	char line[256];
	char *name =
	    seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);
	int n;

#ifdef __x86_64__
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	args[0] = (unsigned long long)regs[REG_RDI];
	args[1] = (unsigned long long)regs[REG_RSI];
	args[2] = (unsigned long long)regs[REG_RDX];
#else
	(void)context;
#endif
	n = snprintf(line, sizeof(line),
	    "sandbox: the call %s (%d) with %#llx, %#llx, %#llx is not in the "
	    "table; see tributaryd --print-sandbox\n",
	    name != NULL ? name : "unknown", info->si_syscall, args[0], args[1],
	    args[2]);
	free(name);
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(128 + signo); /* nobody to tell */
	signal(signo, SIG_DFL);
	raise(signo);
}

static int
sandbox_trap_init(struct err *e)
{
	struct sigaction sa = {
	    .sa_sigaction = sandbox_on_sigsys, .sa_flags = SA_SIGINFO};

	if (sigaction(SIGSYS, &sa, NULL) < 0)
		return err_sys(e, errno, "cannot catch SIGSYS");
	return 0;
}

static int
sandbox_add(scmp_filter_ctx ctx, const struct sys_sandbox_row *row)
{
	struct scmp_arg_cmp cmp[2];
	int rc;

	for (unsigned i = 0; i < row->n_args; i++) {
		const struct sys_sandbox_arg *a = &row->args[i];

		cmp[i] = SCMP_CMP(a->index, SCMP_CMP_MASKED_EQ, a->mask,
		    a->self ? (uint64_t)getpid() : a->value);
	}
	rc = seccomp_rule_add_array(
	    ctx, SCMP_ACT_ALLOW, row->number, row->n_args, cmp);
	/* A call of another architecture, or a row said twice. */
	if (rc == -EDOM || rc == -EEXIST)
		return 0;
	return rc;
}

static int
sandbox_fill(scmp_filter_ctx ctx, const struct sys_sandbox *sb, struct err *e)
{
	int rc;

	for (size_t i = 0; i < sb->n_rows; i++) {
		const struct sys_sandbox_row *row = &sb->rows[i];

		if (row->sanitizer && !SANDBOX_WITH_SANITIZERS)
			continue;
		rc = sandbox_add(ctx, row);
		if (rc < 0)
			return err_sys(e, -rc, "sandbox of %s: row %s",
			    sb->role, row->call);
	}
	return 0;
}

int
sys_sandbox_apply(
    const struct sys_sandbox *sb, enum sys_sandbox_mode mode, struct err *e)
{
	scmp_filter_ctx ctx;
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "cannot set no_new_privs");
	if (mode == SYS_SANDBOX_TRAP) {
		rc = sandbox_trap_init(e);
		if (rc < 0)
			return rc;
	}
	ctx = seccomp_init(
	    mode == SYS_SANDBOX_TRAP ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);
	if (ctx == NULL)
		return err_nomem(e);
	rc = sandbox_fill(ctx, sb, e);
	if (rc == 0) {
		rc = seccomp_load(ctx);
		if (rc < 0)
			rc = err_sys(e, -rc,
			    "cannot load the seccomp filter of %s", sb->role);
	}
	seccomp_release(ctx);
	return rc;
}

int
sys_sandbox_print(const struct sys_sandbox *sb, struct buf *out)
{
	int rc = buf_printf(out,
	    "%s: seccomp, anything else kills the process; open files %u, "
	    "file size %llu bytes, no core file\n",
	    sb->role, sb->max_files, (unsigned long long)sb->max_file_bytes);

	for (size_t i = 0; rc == 0 && i < sb->n_rows; i++) {
		const struct sys_sandbox_row *row = &sb->rows[i];
		char call[128];

		if (row->sanitizer && !SANDBOX_WITH_SANITIZERS)
			continue;
		snprintf(call, sizeof(call), "%s%s%s%s", row->call,
		    row->args_text != NULL ? "(" : "",
		    row->args_text != NULL ? row->args_text : "",
		    row->args_text != NULL ? ")" : "");
		rc = buf_printf(out, "  %-48s  %s\n", call, row->reason);
	}
	return rc;
}

static int
sandbox_limit(int resource, rlim_t value, const char *name, struct err *e)
{
	struct rlimit rl, old;

	/* A lower limit from outside stays: raising it takes a capability. */
	if (getrlimit(resource, &old) < 0)
		return err_sys(e, errno, "cannot read the limit of %s", name);
	if (value > old.rlim_max)
		value = old.rlim_max;
	rl.rlim_cur = rl.rlim_max = value;
	if (setrlimit(resource, &rl) < 0)
		return err_sys(e, errno, "cannot set the limit of %s", name);
	return 0;
}

int
sys_sandbox_limits(const struct sys_sandbox *sb, struct err *e)
{
	int rc = sandbox_limit(RLIMIT_CORE, 0, "core files", e);

	if (rc == 0)
		rc = sandbox_limit(
		    RLIMIT_NOFILE, sb->max_files, "open files", e);
	if (rc == 0 && !SANDBOX_WITH_SANITIZERS) /* reports go to a file */
		rc = sandbox_limit(
		    RLIMIT_FSIZE, sb->max_file_bytes, "file size", e);
	return rc;
}
