#include "config.h"

#include "supervisor/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/str.h"
#include "sys/process.h"

enum { TARGET_FILE_BYTES = 64 };

/* Where control groups are mounted: unified, or the hybrid's two. */
static const char *const cgroup_roots[] = {
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/systemd",
};

pid_t
sup_target_first_pid(const char *path)
{
	char text[TARGET_FILE_BYTES + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint64_t pid;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, TARGET_FILE_BYTES);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	text[strcspn(text, " \t\r\n")] = '\0';
	if (!str_to_u64(text, &pid) || pid == 0 || pid > INT32_MAX)
		return 0;
	return (pid_t)pid;
}

static pid_t
cgroup_first(const char *group)
{
	char path[4400];

	for (size_t i = 0; i < sizeof(cgroup_roots) / sizeof(*cgroup_roots);
	     i++) {
		pid_t pid;

		/* Given with or without the place it is mounted at. */
		const char *below = str_starts(group, cgroup_roots[i])
					? group + strlen(cgroup_roots[i])
					: group;

		snprintf(path, sizeof(path), "%s/%s/cgroup.procs",
		    cgroup_roots[i], below);
		pid = sup_target_first_pid(path);
		if (pid > 0)
			return pid;
	}
	return 0;
}

/* system.slice/UNIT, or system.slice/system-TEMPLATE.slice/UNIT. */
static pid_t
unit_first(const char *unit)
{
	const char *at = strchr(unit, '@');
	char group[600];
	pid_t pid;

	snprintf(group, sizeof(group), "system.slice/%s%s", unit,
	    strchr(unit, '.') != NULL ? "" : ".service");
	pid = cgroup_first(group);
	if (pid > 0 || at == NULL)
		return pid;
	snprintf(group, sizeof(group), "system.slice/system-%.*s.slice/%s%s",
	    (int)(at - unit), unit, unit,
	    strchr(unit, '.') != NULL ? "" : ".service");
	return cgroup_first(group);
}

/* 0 and a sentence when there is none. */
static pid_t
replica_pid(const cJSON *r, struct err *e)
{
	const char *pid_file = json_str(r, "pidFile", "");
	const char *unit = json_str(r, "unit", "");
	const char *group = json_str(r, "cgroup", "");
	int64_t number = json_int(r, "pid", 1, INT32_MAX, 0);
	pid_t pid = 0;

	if (pid_file[0] != '\0') {
		pid = sup_target_first_pid(pid_file);
		if (pid == 0)
			err_set(e, ERR_NOT_FOUND,
			    "the file %s names no process: is it running?",
			    pid_file);
	} else if (number > 0) {
		pid = (pid_t)number;
	} else if (unit[0] != '\0') {
		pid = unit_first(unit);
		if (pid == 0)
			err_set(e, ERR_NOT_FOUND,
			    "the unit %s has no process: start it", unit);
	} else if (group[0] != '\0') {
		pid = cgroup_first(group);
		if (pid == 0)
			err_set(e, ERR_NOT_FOUND,
			    "the control group %s has no process", group);
	} else {
		err_set(e, ERR_NOT_FOUND, "its configuration names no process");
	}
	return pid;
}

/* A given namespace must be the process's own. */
static int
netns_check(const cJSON *r, pid_t pid, struct err *e)
{
	const char *netns = json_str(r, "netns", "");
	struct stat want, have;
	char path[64];

	if (netns[0] == '\0')
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (stat(netns, &want) < 0)
		return err_sys(e, errno, "network namespace %s", netns);
	if (stat(path, &have) < 0 || want.st_dev != have.st_dev ||
	    want.st_ino != have.st_ino)
		return err_set(e, ERR_NOT_FOUND,
		    "process %d is not in the network namespace %s", (int)pid,
		    netns);
	return 0;
}

int
sup_target_open(const cJSON *replica, pid_t *pid_r, struct err *e)
{
	struct err again;
	pid_t pid = replica_pid(replica, e);
	int pidfd, rc;

	if (pid == 0)
		return -ERR_NOT_FOUND;
	pidfd = sys_pidfd_open(pid, e);
	if (pidfd < 0)
		return err_set(
		    e, ERR_NOT_FOUND, "process %d does not run", (int)pid);
	rc = netns_check(replica, pid, e);
	/* Still the one that was named: the number may have been given away
	 * between reading it and opening it. */
	if (rc == 0 &&
	    (!sys_pidfd_alive(pidfd) || replica_pid(replica, &again) != pid))
		rc = err_set(
		    e, ERR_NOT_FOUND, "process %d has just ended", (int)pid);
	if (rc < 0) {
		close(pidfd);
		return -ERR_NOT_FOUND;
	}
	*pid_r = pid;
	return pidfd;
}

/* The address before a "/32 host LOCAL" line that is not loopback. */
static bool
address_v4(pid_t pid, char *out, size_t cap)
{
	char path[64], line[256], last[64] = "";
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/fib_trie", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		const char *a = strstr(line, "|-- ");

		if (a != NULL)
			snprintf(last, sizeof(last), "%.*s",
			    (int)strcspn(a + 4, "\r\n"), a + 4);
		else if (strstr(line, "/32 host LOCAL") != NULL)
			found = last[0] != '\0' && !str_starts(last, "127.");
	}
	fclose(f);
	return found && str_fmt(out, cap, "%s", last) == 0;
}

static bool
address_v6(pid_t pid, char *out, size_t cap)
{
	char path[64], hex[33], text[INET6_ADDRSTRLEN];
	struct in6_addr a;
	unsigned scope;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/if_inet6", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (
	    !found && fscanf(f, "%32s %*x %*x %x %*x %*s", hex, &scope) == 2) {
		for (int i = 0; i < 16 && strlen(hex) == 32; i++) {
			char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

			a.s6_addr[i] = (uint8_t)strtoul(two, NULL, 16);
		}
		found = scope == 0 && strlen(hex) == 32; /* global */
	}
	fclose(f);
	return found && inet_ntop(AF_INET6, &a, text, sizeof(text)) != NULL &&
	       str_fmt(out, cap, "%s", text) == 0;
}

void
sup_target_address(pid_t pid, char *out, size_t cap)
{
	out[0] = '\0';
	if (!address_v4(pid, out, cap) && !address_v6(pid, out, cap))
		out[0] = '\0';
}
