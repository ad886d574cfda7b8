/*
 * store: session records as small files below two directory descriptors.
 *
 * Records (sessions/NAME.json) are on tmpfs: written to a temporary name and
 * renamed, never synced. Closed ids are on disk: written, synced, renamed.
 * Whatever is found at start that does not parse is moved aside and named.
 * Owned by the own cluster's worker; nobody else writes there.
 */
#include "config.h"

#include "platform/standalone/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"

enum { RECORD_MAX_BYTES = 1 << 20 };

struct plat_store *
plat_store_new(int sessions_dir_fd, int closed_dir_fd, struct err *e)
{
	struct plat_store *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		(void)close(sessions_dir_fd);
		(void)close(closed_dir_fd);
		err_nomem(e);
		return NULL;
	}
	s->sessions_fd = sessions_dir_fd;
	s->closed_fd = closed_dir_fd;
	return s;
}

void
plat_store_free(struct plat_store **s)
{
	if (s == NULL || *s == NULL)
		return;
	(void)close((*s)->sessions_fd);
	(void)close((*s)->closed_fd);
	free(*s);
	*s = NULL;
}

static int
write_all(int fd, const struct buf *b, struct err *e)
{
	size_t done = 0;
	while (done < b->len) {
		ssize_t n = write(fd, buf_data(b) + done, b->len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "cannot write a record");
		done += (size_t)n;
	}
	return 0;
}

int
store_write(
    int dir_fd, const char *file, const cJSON *tree, bool sync, struct err *e)
{
	char tmp[NAME_MAX + 1];
	if (str_fmt(tmp, sizeof(tmp), ".%s.tmp", file) != 0)
		return err_set(e, ERR_TOO_BIG, "a record's name is too long");
	struct buf text;
	buf_init(&text, RECORD_MAX_BYTES);
	int r = json_print(tree, &text);
	if (r != 0) {
		buf_free(&text);
		return err_set(e, (enum err_code) - r, "a record is too big");
	}
	int fd = openat(dir_fd, tmp,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		buf_free(&text);
		return err_sys(e, errno, "cannot create the record %s", file);
	}
	r = write_all(fd, &text, e);
	buf_free(&text);
	if (r == 0 && sync && fsync(fd) != 0)
		r = err_sys(e, errno, "cannot sync the record %s", file);
	if (close(fd) != 0 && r == 0)
		r = err_sys(e, errno, "cannot write the record %s", file);
	if (r == 0 && renameat(dir_fd, tmp, dir_fd, file) != 0)
		r = err_sys(e, errno, "cannot store the record %s", file);
	if (r == 0 && sync && fsync(dir_fd) != 0)
		r = err_sys(e, errno, "cannot sync the record %s", file);
	if (r != 0)
		(void)unlinkat(dir_fd, tmp, 0);
	return r;
}

static int
read_all(int fd, struct buf *out, struct err *e)
{
	for (;;) {
		if (buf_reserve(out, 16384) != 0)
			return err_set(e, ERR_TOO_BIG, "too big");
		ssize_t n = read(fd, buf_tail(out), 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "cannot be read");
		if (n == 0)
			return 0;
		buf_commit(out, (size_t)n);
	}
}

cJSON *
store_read(int dir_fd, const char *file, struct err *e)
{
	int fd = openat(
	    dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		(void)err_sys(e, errno, "cannot open %s", file);
		e->code = errno == ENOENT ? ERR_NOT_FOUND : ERR_SYS;
		return NULL;
	}
	struct buf text;
	buf_init(&text, RECORD_MAX_BYTES);
	cJSON *tree = NULL;
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		(void)err_set(e, ERR_INVALID, "not a regular file");
	else if (read_all(fd, &text, e) == 0)
		tree = json_parse(buf_data(&text), text.len, e);
	(void)close(fd);
	buf_free(&text);
	return tree;
}

static void
set_aside(int dir_fd, const char *file, const char *why)
{
	char aside[NAME_MAX + 1];
	if (str_fmt(aside, sizeof(aside), "%s.bad-%lld", file,
		(long long)clock_wall_s()) != 0 ||
	    renameat(dir_fd, file, dir_fd, aside) != 0) {
		log_error("a session record is bad and cannot be moved "
			  "file=%s why=%s",
		    file, why);
		return;
	}
	log_warn("a session record was moved aside file=%s now=%s why=%s", file,
	    aside, why);
}

static int
file_of(const char *name, char *out, size_t cap, struct err *e)
{
	if (!plat_name_ok(name) || str_fmt(out, cap, "%s.json", name) != 0)
		return err_set(
		    e, ERR_INVALID, "\"%s\" is no record's name", name);
	return 0;
}

void
plat_store_set_aside(struct plat_store *s, const char *name, const char *why)
{
	char file[NAME_MAX + 1];
	if (file_of(name, file, sizeof(file), NULL) == 0)
		set_aside(s->sessions_fd, file, why);
}

int
plat_store_put(
    struct plat_store *s, const char *name, const cJSON *record, struct err *e)
{
	char file[NAME_MAX + 1];
	int r = file_of(name, file, sizeof(file), e);
	return r != 0 ? r : store_write(s->sessions_fd, file, record, false, e);
}

int
plat_store_remove(struct plat_store *s, const char *name, struct err *e)
{
	char file[NAME_MAX + 1];
	int r = file_of(name, file, sizeof(file), e);
	if (r == 0 && unlinkat(s->sessions_fd, file, 0) != 0 && errno != ENOENT)
		r = err_sys(e, errno, "cannot remove the record %s", name);
	return r;
}

DIR *
store_opendir(int dir_fd, struct err *e)
{
	/* an own open file: a dup would share (and move) the position */
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL) {
		(void)err_sys(e, errno, "cannot list the records");
		if (fd >= 0)
			(void)close(fd);
	}
	return d;
}

static void
load_one(struct plat_store *s, char *file, plat_record_fn *fn, void *arg)
{
	struct err e = {0};
	cJSON *tree = store_read(s->sessions_fd, file, &e);
	if (tree == NULL || !cJSON_IsObject(tree)) {
		set_aside(s->sessions_fd, file,
		    tree == NULL ? e.text : "not a JSON object");
		cJSON_Delete(tree);
		return;
	}
	file[strlen(file) - strlen(".json")] = '\0';
	fn(arg, file, tree);
	cJSON_Delete(tree);
}

/*
 * All names first, then the records: fn may remove and rename files, which
 * would disturb a directory being read.
 */
int
plat_store_load(
    struct plat_store *s, plat_record_fn *fn, void *arg, struct err *e)
{
	DIR *d = store_opendir(s->sessions_fd, e);
	if (d == NULL)
		return -ERR_SYS;
	struct buf names;
	buf_init(&names, 0);
	int r = 0;
	for (struct dirent *de; r == 0 && (de = readdir(d)) != NULL;) {
		if (str_starts(de->d_name, ".") && str_ends(de->d_name, ".tmp"))
			(void)unlinkat(s->sessions_fd, de->d_name, 0);
		else if (!str_starts(de->d_name, ".") &&
			 str_ends(de->d_name, ".json"))
			r = buf_append(
			    &names, de->d_name, strlen(de->d_name) + 1);
	}
	(void)closedir(d);
	while (r == 0 && names.len > 0) {
		char file[NAME_MAX + 1];
		(void)str_fmt(
		    file, sizeof(file), "%s", (const char *)buf_data(&names));
		buf_consume(&names, strlen(file) + 1);
		load_one(s, file, fn, arg);
	}
	buf_free(&names);
	return r == 0 ? 0 : err_set(e, (enum err_code) - r, "too many records");
}
