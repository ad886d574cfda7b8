#include "config.h"

#include "agent/procfind.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/str.h"

enum { PROC_TEXT_MAX = 1024 * 1024 };

struct candidate {
	pid_t pid;
	pid_t ppid;
	unsigned long long start;
};

struct scan {
	const char *proc_dir;
	const char *id;
	const char *file;        /* "cgroup" or "mountinfo" */
	struct candidate *found; /* owned */
	size_t count;
	size_t cap;
};

/* The text of proc_dir/PID/name in out; false when it cannot be read. */
static bool
read_proc(const char *proc_dir, pid_t pid, const char *name, struct buf *out)
{
	char path[512];
	ssize_t n = -1;
	int fd;

	buf_clear(out);
	if (str_fmt(path, sizeof(path), "%s/%d/%s", proc_dir, (int)pid, name) <
	    0)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (buf_reserve(out, 4096) == 0 &&
	       (n = read(fd, buf_tail(out), 4096)) > 0)
		buf_commit(out, (size_t)n);
	close(fd);
	return n == 0 && buf_cstr(out) != NULL;
}

bool
procfind_parse_stat(
    const char *stat, pid_t *ppid_r, unsigned long long *start_r)
{
	/* The name stands in parentheses and may contain anything. */
	const char *p = strrchr(stat, ')');
	int ppid;

	if (p == NULL ||
	    sscanf(p + 1,
		" %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
		"%*d %*d %*d %*d %*d %llu",
		&ppid, start_r) != 2)
		return false;
	*ppid_r = (pid_t)ppid;
	return true;
}

static int
scan_add(struct scan *s, const struct candidate *c)
{
	if (s->count == s->cap) {
		size_t cap = s->cap == 0 ? 16 : s->cap * 2;
		struct candidate *p = reallocarray(s->found, cap, sizeof(*p));

		if (p == NULL)
			return -ERR_NOMEM;
		s->found = p;
		s->cap = cap;
	}
	s->found[s->count++] = *c;
	return 0;
}

static int
scan_pid(struct scan *s, pid_t pid, struct buf *text)
{
	struct candidate c = {.pid = pid};

	if (!read_proc(s->proc_dir, pid, s->file, text) ||
	    strstr(buf_cstr(text), s->id) == NULL)
		return 0;
	if (!read_proc(s->proc_dir, pid, "stat", text) ||
	    !procfind_parse_stat(buf_cstr(text), &c.ppid, &c.start))
		return 0; /* it ended meanwhile */
	return scan_add(s, &c);
}

static int
scan_all(struct scan *s, struct err *e)
{
	DIR *dir = opendir(s->proc_dir);
	struct buf text;
	struct dirent *d;
	uint64_t pid;
	int rc = 0;

	if (dir == NULL)
		return err_sys(e, errno, "cannot read %s", s->proc_dir);
	buf_init(&text, PROC_TEXT_MAX);
	while (rc == 0 && (d = readdir(dir)) != NULL) {
		if (str_to_u64(d->d_name, &pid) && pid > 0 && pid < INT32_MAX)
			rc = scan_pid(s, (pid_t)pid, &text);
	}
	buf_free(&text);
	closedir(dir);
	return rc < 0 ? err_nomem(e) : 0;
}

static bool
scan_has(const struct scan *s, pid_t pid)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->found[i].pid == pid)
			return true;
	}
	return false;
}

/* The oldest whose parent is outside; NULL when nothing was found. */
static const struct candidate *
scan_root(const struct scan *s)
{
	const struct candidate *best = NULL;

	for (size_t i = 0; i < s->count; i++) {
		const struct candidate *c = &s->found[i];

		if (scan_has(s, c->ppid))
			continue;
		if (best == NULL || c->start < best->start ||
		    (c->start == best->start && c->pid < best->pid))
			best = c;
	}
	return best;
}

static int
scan_file(const char *proc_dir, const char *id, const char *file, pid_t *pid_r,
    struct err *e)
{
	struct scan s = {.proc_dir = proc_dir, .id = id, .file = file};
	const struct candidate *c;
	int rc = scan_all(&s, e);

	if (rc == 0) {
		c = scan_root(&s);
		if (c != NULL)
			*pid_r = c->pid;
		else
			rc = -ERR_NOT_FOUND;
	}
	free(s.found);
	return rc;
}

/* An id is one word of a path: nothing that could match by accident. */
static bool
valid_id(const char *id)
{
	size_t n = strlen(id);

	if (n < 8 || n > 128)
		return false;
	for (; *id != '\0'; id++) {
		if (!isalnum((unsigned char)*id) && strchr("_.-", *id) == NULL)
			return false;
	}
	return true;
}

int
procfind_container(
    const char *proc_dir, const char *container_id, pid_t *pid_r, struct err *e)
{
	static const char *const files[] = {"cgroup", "mountinfo"};
	int rc = -ERR_NOT_FOUND;

	if (!valid_id(container_id))
		return err_set(e, ERR_INVALID,
		    "\"%.140s\" is not a container id; give the id without "
		    "the runtime's name in front of it.",
		    container_id);
	for (size_t i = 0; i < 2 && rc == -ERR_NOT_FOUND; i++)
		rc = scan_file(proc_dir, container_id, files[i], pid_r, e);
	if (rc == -ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND,
		    "No process of the container %s is visible in %s; the "
		    "agent needs the node's process namespace (hostPID) and a "
		    "container that runs.",
		    container_id, proc_dir);
	return rc;
}

int
procfind_pidfd(int pidfd, pid_t *pid_r, struct err *e)
{
	char path[64], line[128];
	FILE *f;
	int pid = 0;

	(void)str_fmt(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	f = fopen(path, "re");
	if (f == NULL)
		return err_sys(e, errno, "cannot read %s", path);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	}
	fclose(f);
	if (pid <= 0)
		return err_set(e, ERR_NOT_FOUND,
		    "Descriptor %d names no process that runs in this "
		    "process namespace.",
		    pidfd);
	*pid_r = (pid_t)pid;
	return 0;
}
