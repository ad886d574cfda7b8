#include "config.h"

#include "sys/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than Debian 12's kernel headers; the kernel may know them. */
#define LL_FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define LL_FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define LL_NET_BIND_TCP (1ULL << 0)  /* ABI 4 */
#define LL_NET_CONNECT_TCP (1ULL << 1)
#define LL_SCOPE_ABSTRACT_UNIX (1ULL << 0) /* ABI 6 */
#define LL_SCOPE_SIGNAL (1ULL << 1)

/* struct landlock_ruleset_attr of ABI 6; older kernels take less of it. */
struct ll_ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

static const size_t ll_ruleset_bytes[] = {0, 8, 8, 8, 16, 16, 24};

static const uint64_t ll_fs_by_abi[] = {
    0,
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
	LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
	LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
	LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
	LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
	LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
	LANDLOCK_ACCESS_FS_MAKE_SYM,
    LANDLOCK_ACCESS_FS_REFER, /* what each ABI adds */
    LL_FS_TRUNCATE,
    0,
    LL_FS_IOCTL_DEV,
    0,
};

enum { LL_ABI_KNOWN = 6 };

int
sys_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static uint64_t
landlock_rights(unsigned rights)
{
	uint64_t fs = 0;

	if (rights & SYS_LANDLOCK_READ)
		fs |=
		    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	if (rights & SYS_LANDLOCK_WRITE)
		fs |= LANDLOCK_ACCESS_FS_WRITE_FILE | LL_FS_TRUNCATE;
	if (rights & SYS_LANDLOCK_CREATE)
		fs |= LANDLOCK_ACCESS_FS_MAKE_REG |
		      LANDLOCK_ACCESS_FS_MAKE_DIR |
		      LANDLOCK_ACCESS_FS_REMOVE_FILE |
		      LANDLOCK_ACCESS_FS_REMOVE_DIR;
	return fs;
}

static int
landlock_add(int ruleset, const struct sys_landlock_rule *rule,
    uint64_t handled, struct err *e)
{
	struct landlock_path_beneath_attr attr = {
	    .allowed_access = landlock_rights(rule->rights) & handled,
	    .parent_fd = rule->fd,
	};

	if (attr.allowed_access == 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&attr, 0) < 0)
		return err_sys(e, errno, "cannot add a Landlock rule");
	return 0;
}

int
sys_landlock_apply(const struct sys_landlock_rule *rules, size_t n_rules,
    int connect_tcp, struct err *e)
{
	struct ll_ruleset attr = {0};
	int abi = sys_landlock_abi(), ruleset, rc = 0;

	if (abi == 0)
		return err_set(
		    e, ERR_UNSUPPORTED, "this kernel has no Landlock");
	if (abi > LL_ABI_KNOWN)
		abi = LL_ABI_KNOWN;
	for (int i = 1; i <= abi; i++)
		attr.fs |= ll_fs_by_abi[i];
	attr.net = LL_NET_BIND_TCP | (connect_tcp ? 0 : LL_NET_CONNECT_TCP);
	attr.scoped = LL_SCOPE_ABSTRACT_UNIX | LL_SCOPE_SIGNAL;
	ruleset = (int)syscall(
	    SYS_landlock_create_ruleset, &attr, ll_ruleset_bytes[abi], 0);
	if (ruleset < 0)
		return err_sys(e, errno, "cannot make a Landlock ruleset");
	for (size_t i = 0; rc == 0 && i < n_rules; i++)
		rc = landlock_add(ruleset, &rules[i], attr.fs, e);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		rc = err_sys(e, errno, "cannot restrict with Landlock");
	close(ruleset);
	return rc;
}
