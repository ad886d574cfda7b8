#include "config.h"

#include "agent/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/sandbox.h"
#include "sys/sandbox_rows.h"

enum { ARENAS = 4 }; /* of malloc, for all threads */

static const struct sys_sandbox_row rows[] = {
#include "agent/sandbox.def"
#include "sys/sandbox_base.def"
};

static const struct sys_sandbox table = {
    .role = "tributary-agent",
    .rows = rows,
    .n_rows = SYS_ROWS(rows),
    .max_files = 65536,
    .max_file_bytes = UINT64_MAX, /* it writes the target's files */
};

static const struct {
	int cap;
	const char *name;
	const char *reason;
} kept[] = {
    {CAP_NET_ADMIN, "NET_ADMIN",
	"redirect rules, SO_MARK, ending connections by inet_diag"},
    {CAP_DAC_OVERRIDE, "DAC_OVERRIDE",
	"the target's files, whoever owns them (root does so today)"},
    {CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH", "the same for reading"},
    {CAP_CHOWN, "CHOWN", "Fchown"},
    {CAP_FOWNER, "FOWNER", "Fchmod and Futimens of others' files"},
    {CAP_FSETID, "FSETID", "Fchmod keeps set-id bits, as for root"},
};

uint64_t
agent_sandbox_caps(void)
{
	uint64_t set = 0;

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		set |= UINT64_C(1) << kept[i].cap;
	return set;
}

/* What is not there (a pod without capabilities) is not missed here. */
static int
drop_caps(struct err *e)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t keep = agent_sandbox_caps();

	for (int cap = 0; cap < 64; cap++) {
		/* Needs SETPCAP; without it execve is barred below anyway. */
		if ((keep >> cap & 1) == 0)
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &head, data) < 0)
		return err_sys(e, errno, "cannot read capabilities");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> 32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_sys(e, errno, "cannot drop capabilities");
	return 0;
}

/* As many files as the table says, or as the launcher allows. */
int
agent_sandbox_limits(struct err *e)
{
	struct rlimit none = {0, 0}, files;

	/* The C library would open a file to choose it, in some thread. */
	(void)mallopt(M_ARENA_MAX, ARENAS);

	if (setrlimit(RLIMIT_CORE, &none) < 0 ||
	    getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(e, errno, "cannot turn core files off");
	if (files.rlim_max > table.max_files)
		files.rlim_max = table.max_files;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(e, errno, "cannot set the limit of open files");
	return 0;
}

int
agent_sandbox_enter(struct err *e)
{
	int rc = drop_caps(e);

	if (rc < 0)
		return rc;
#ifndef TRIB_SANITIZERS /* the leak check traces its own process */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, errno, "cannot become undumpable");
#endif
	return sys_sandbox_apply(&table, SYS_SANDBOX_KILL, e);
}

int
agent_sandbox_print(struct buf *out)
{
	int rc = sys_sandbox_print(&table, out);

	if (rc == 0)
		rc = buf_printf(out, "capabilities that are kept:\n");
	for (size_t i = 0; rc == 0 && i < sizeof(kept) / sizeof(*kept); i++)
		rc = buf_printf(
		    out, "  %-50s %s\n", kept[i].name, kept[i].reason);
	return rc;
}
