#include "config.h"

#include "client/control.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/json.h"
#include "lib/str.h"

enum { ANSWER_SECS = 30, MAX_REPLY_BYTES = 4 << 20 };

static int
dial(const struct cli_control *c, struct err *e)
{
	const struct timeval tv = {.tv_sec = ANSWER_SECS};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd, rc, failed;

	rc = c->path != NULL
		 ? str_fmt(sa.sun_path, sizeof(sa.sun_path), "%s", c->path)
		 : str_fmt(sa.sun_path, sizeof(sa.sun_path),
		       "/run/tributaryd/%s/control.sock", c->instance);
	if (rc != 0)
		return err_set(e, ERR_TOO_BIG,
		    "the path of the control socket is too long");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, errno, "socket");
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0)
		return fd;
	failed = errno;
	close(fd);
	if (failed == EACCES || failed == EPERM)
		return err_set(e, ERR_DENIED,
		    "%s may be used only by root and by the members of the "
		    "daemon's controlGroup; try sudo",
		    sa.sun_path);
	return err_set(e, ERR_NOT_FOUND,
	    "no daemon answers at %s (%s); is it running, and is that its "
	    "instance? --instance or --control say another",
	    sa.sun_path, strerror(failed));
}

static int
send_line(int fd, const cJSON *request, struct err *e)
{
	struct buf out;
	int rc = 0;

	buf_init(&out, 0);
	if (json_print(request, &out) != 0 || buf_append(&out, "\n", 1) != 0)
		rc = err_nomem(e);
	while (rc == 0 && out.len > 0) {
		ssize_t n = send(fd, buf_data(&out), out.len, MSG_NOSIGNAL);

		if (n > 0)
			buf_consume(&out, (size_t)n);
		else if (n < 0 && errno != EINTR)
			rc = err_sys(e, errno, "the control socket");
	}
	buf_free(&out);
	return rc;
}

static int
read_line(int fd, struct buf *in, struct err *e)
{
	while (memchr(buf_data(in), '\n', in->len) == NULL) {
		ssize_t n;

		if (buf_reserve(in, 4096) != 0)
			return err_set(
			    e, ERR_TOO_BIG, "the daemon's answer is too long");
		n = read(fd, buf_tail(in), 4096);
		if (n == 0)
			return err_set(e, ERR_CLOSED,
			    "the daemon ended without an answer; its log says "
			    "why");
		if (n > 0)
			buf_commit(in, (size_t)n);
		else if (errno == EAGAIN)
			return err_set(e, ERR_TIMEOUT,
			    "the daemon did not answer within %d seconds",
			    ANSWER_SECS);
		else if (errno != EINTR)
			return err_sys(e, errno, "the control socket");
	}
	return 0;
}

static int
exchange(int fd, const cJSON *request, cJSON **reply, struct err *e)
{
	struct buf in;
	int rc;

	buf_init(&in, MAX_REPLY_BYTES);
	rc = send_line(fd, request, e);
	if (rc == 0)
		rc = read_line(fd, &in, e);
	if (rc == 0) {
		*reply = json_parse(buf_data(&in), in.len, e);
		if (*reply == NULL)
			rc = -ERR_INVALID;
	}
	if (in.base != NULL)
		OPENSSL_cleanse(in.base, in.cap);
	buf_free(&in);
	return rc;
}

int
cli_control_ask(
    const struct cli_control *c, cJSON *request, cJSON **reply, struct err *e)
{
	int fd = dial(c, e), rc;

	*reply = NULL;
	if (fd < 0) {
		cJSON_Delete(request);
		return fd;
	}
	rc = exchange(fd, request, reply, e);
	close(fd);
	cJSON_Delete(request);
	if (rc == 0 && !json_bool(*reply, "ok", false)) {
		rc = err_set(e, ERR_DENIED, "%s",
		    json_str(*reply, "error", "the daemon refused"));
		cJSON_Delete(*reply);
		*reply = NULL;
	}
	return rc;
}

int
cli_ttl_parse(const char *text, int64_t *secs, struct err *e)
{
	static const struct {
		char unit;
		int64_t secs;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t n = strspn(text, "0123456789");
	int64_t unit = text[n] == '\0' ? 1 : 0;
	char digits[16];
	uint64_t v;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text[n] == units[i].unit && text[n + 1] == '\0')
			unit = units[i].secs;
	}
	if (unit == 0 || str_fmt(digits, 10, "%.*s", (int)n, text) != 0 ||
	    !str_to_u64(digits, &v) || v == 0)
		return err_set(e, ERR_INVALID,
		    "%s is not a time; write for instance 90m, 12h or 30d",
		    text);
	*secs = (int64_t)v * unit;
	return 0;
}

static int
write_all(int fd, const char *p, size_t n)
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
cli_file_write(const char *path, const void *p, size_t n, struct err *e)
{
	char beside[4096];
	int fd, failed;

	if (str_fmt(beside, sizeof(beside), "%s.new", path) != 0)
		return err_set(e, ERR_TOO_BIG, "%s is too long", path);
	(void)unlink(beside);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "cannot create %s", beside);
	failed = write_all(fd, p, n);
	close(fd);
	if (failed == 0 && rename(beside, path) != 0)
		failed = errno;
	if (failed == 0)
		return 0;
	(void)unlink(beside);
	return err_sys(e, failed, "cannot write %s", path);
}

int
cli_file_write_in(
    const char *dir, const char *name, const char *text, struct err *e)
{
	char path[4096];

	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make %s", dir);
	if (str_fmt(path, sizeof(path), "%s/%s", dir, name) != 0)
		return err_set(e, ERR_TOO_BIG, "%s is too long", dir);
	return cli_file_write(path, text, strlen(text), e);
}
