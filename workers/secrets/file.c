#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/str.h"
#include "workers/secrets/secrets.h"

void
sec_buf_wipe(struct buf *b)
{
	if (b->base != NULL)
		OPENSSL_cleanse(b->base, b->cap);
	buf_free(b);
}

static int
read_all(int fd, size_t max, struct buf *out, struct err *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return err_sys(e, errno, "fstat");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "it is not a regular file");
	if (st.st_size < 0 || (uintmax_t)st.st_size > max)
		return err_set(
		    e, ERR_TOO_BIG, "it is larger than %zu bytes", max);
	/* in one piece, so that no copy of a key stays in freed memory */
	if (buf_reserve(out, (size_t)st.st_size + 1) != 0)
		return err_nomem(e);
	for (size_t left = (size_t)st.st_size; left > 0; left -= (size_t)n) {
		n = read(fd, buf_tail(out), left);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return err_sys(e, errno, "read");
		else if (n == 0)
			break; /* it became shorter */
		buf_commit(out, (size_t)n);
	}
	return 0;
}

int
sec_file_read(
    int dir_fd, const char *name, size_t max, struct buf *out, struct err *e)
{
	int fd = openat(
	    dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int rc;

	if (fd < 0) {
		rc = errno;
		(void)err_sys(e, rc, "%s", name);
		return rc == ENOENT ? -ERR_NOT_FOUND : -ERR_SYS;
	}
	rc = read_all(fd, max, out, e);
	close(fd);
	return rc == 0 ? 0 : err_wrap(e, "%s", name);
}

static int
write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno != EINTR)
			return errno;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return fsync(fd) != 0 ? errno : 0;
}

int
sec_file_write(
    int dir_fd, const char *name, const void *p, size_t n, struct err *e)
{
	char beside[128];
	int fd, failed;

	if (str_fmt(beside, sizeof(beside), "%s.new", name) != 0)
		return err_set(e, ERR_INTERNAL, "%s: name too long", name);
	fd = openat(dir_fd, beside,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "create %s", beside);
	failed = write_all(fd, p, n);
	close(fd);
	if (failed == 0 && renameat(dir_fd, beside, dir_fd, name) != 0)
		failed = errno;
	if (failed == 0 && fsync(dir_fd) != 0)
		failed = errno;
	return failed == 0 ? 0 : err_sys(e, failed, "write %s", name);
}
