#include "config.h"

#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int
sys_close_from(int lowest, struct err *e)
{
	if (close_range((unsigned)lowest, ~0U, 0) < 0)
		return err_sys(e, errno, "cannot close descriptors");
	return 0;
}

int
sys_null_stdio(struct err *e)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return err_sys(e, errno, "cannot open /dev/null");
	if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
	    (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(fd, STDERR_FILENO) < 0))
		rc = err_sys(e, errno, "cannot place /dev/null");
	if (fd > STDERR_FILENO)
		close(fd);
	return rc;
}

/* Where the kernel looks for the command line: a property of the process. */
static struct {
	char *start;
	size_t bytes;
} title_area;

void
sys_title_init(int argc, char **argv)
{
	char *end;

	if (argc < 1)
		return;
	title_area.start = argv[0];
	end = argv[0] + strlen(argv[0]) + 1;
	for (int i = 1; i < argc && argv[i] == end; i++)
		end = argv[i] + strlen(argv[i]) + 1;
	title_area.bytes = (size_t)(end - argv[0]);
}

void
sys_title_set(const char *comm, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	size_t n;

	prctl(PR_SET_NAME, comm, 0, 0, 0);
	if (title_area.bytes == 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = strlen(text);
	if (n > title_area.bytes - 1)
		n = title_area.bytes - 1;
	memset(title_area.start, 0, title_area.bytes);
	memcpy(title_area.start, text, n);
}

int
sys_pidfd_open(pid_t pid, struct err *e)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return err_sys(e, errno, "no process %d", (int)pid);
	return (int)fd;
}

int
sys_pidfd_signal(int pidfd, int signo)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0
		   ? -ERR_SYS
		   : 0;
}

bool
sys_pidfd_alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}
