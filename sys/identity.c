#include "config.h"

#include "sys/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A directory that exists on every system, to be covered by the tmpfs. */
#define ROOT_COVER "/proc"

static int
sanitizer_proc(struct err *e)
{
#ifdef TRIB_SANITIZERS
	/* The leak check and reports read /proc/self: a marked exception. */
	if (mkdir(ROOT_COVER "/proc", 0555) < 0 ||
	    mount("proc", ROOT_COVER "/proc", "proc",
		MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) < 0)
		return err_sys(e, errno, "cannot keep /proc for sanitizers");
#else
	(void)e;
#endif
	return 0;
}

static int
root_by_mounts(struct err *e)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, errno, "cannot get a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(e, errno, "cannot make mounts private");
	if (mount("empty", ROOT_COVER, "tmpfs", flags,
		"size=4k,nr_inodes=16,mode=0555") < 0)
		return err_sys(e, errno, "cannot mount an empty root");
	if (sanitizer_proc(e) < 0)
		return -ERR_SYS;
	if (chdir(ROOT_COVER) < 0 ||
	    mount(NULL, ROOT_COVER, NULL,
		MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
		return err_sys(e, errno, "cannot make the root read-only");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(e, errno, "cannot enter the empty root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(e, errno, "cannot leave the old root");
	return 0;
}

/* In a removed directory nothing can be made, by anybody. */
static int
root_by_chroot(struct err *e)
{
	char dir[] = "/tmp/tributaryd-root-XXXXXX";

	if (mkdtemp(dir) == NULL)
		return err_sys(e, errno, "cannot make an empty root");
	if (chdir(dir) < 0 || rmdir(dir) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return err_sys(e, errno, "cannot enter the empty root");
	return 0;
}

int
sys_empty_root(struct err *e)
{
	if (root_by_mounts(e) == 0)
		return 0;
	return root_by_chroot(e);
}

static int
caps_drop(struct err *e)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 &&
	    errno != EINVAL)
		return err_sys(e, errno, "cannot drop ambient capabilities");
	if (syscall(SYS_capset, &head, none) < 0)
		return err_sys(e, errno, "cannot drop capabilities");
	return 0;
}

static int
bounding_drop(struct err *e)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		int have = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (have < 0)
			return 0; /* past the kernel's last one */
		if (have > 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(e, errno,
			    "cannot drop capability %lu from the bounding set",
			    cap);
	}
	return 0;
}

int
sys_identity_drop(uid_t uid, gid_t gid, struct err *e)
{
	int rc;

	if (uid == 0 || gid == 0)
		return err_set(e, ERR_INVALID,
		    "a worker must not be root: give workerUids a range "
		    "without 0");
	rc = bounding_drop(e);
	if (rc < 0)
		return rc;
	if (setgroups(0, NULL) < 0)
		return err_sys(e, errno, "cannot drop supplementary groups");
	if (setresgid(gid, gid, gid) < 0)
		return err_sys(e, errno, "cannot become group %u", gid);
	if (setresuid(uid, uid, uid) < 0)
		return err_sys(e, errno, "cannot become user %u", uid);
	rc = caps_drop(e);
	if (rc < 0)
		return rc;
	if (setuid(0) == 0 || setgid(0) == 0)
		return err_set(e, ERR_INTERNAL, "root could be had back");
	return 0;
}

int
sys_no_new_privileges(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "cannot set no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, errno, "cannot become undumpable");
	return 0;
}

int
sys_die_with_parent(pid_t parent, struct err *e)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(e, errno, "cannot tie myself to my parent");
	if (getppid() != parent)
		return err_set(e, ERR_CLOSED, "the parent is gone");
	return 0;
}
