/* Addresses of the protocol and of the system; system errors by kind. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "agent/errkind.h"
#include "agent/out_addr.h"
#include "tests/unit/unit.h"

static struct pm_SocketAddress
ip_addr(const char *text, uint16_t port)
{
	struct pm_SocketAddress a = {.tag = PM_SocketAddress_Ip};

	a.u.Ip.ip.v6 = strchr(text, ':') != NULL;
	a.u.Ip.port = port;
	assert_int_equal(
	    inet_pton(a.u.Ip.ip.v6 ? AF_INET6 : AF_INET, text, a.u.Ip.ip.a), 1);
	return a;
}

static void
both_ways(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		const char *text;
	} rows[] = {
	    {"10.1.2.3", 80, "10.1.2.3:80"},
	    {"0.0.0.0", 0, "0.0.0.0:0"},
	    {"fd00::7", 65535, "[fd00::7]:65535"},
	    {"::ffff:1.2.3.4", 1, "[::ffff:1.2.3.4]:1"},
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct pm_SocketAddress a = ip_addr(rows[i].ip, rows[i].port);
		struct pm_SocketAddress back;
		struct sockaddr_storage ss;
		socklen_t len = out_addr_ip(&a, &ss);
		char text[64];

		assert_int_equal(len, a.u.Ip.ip.v6
					  ? sizeof(struct sockaddr_in6)
					  : sizeof(struct sockaddr_in));
		assert_int_equal(out_addr_from(&arena, &ss, len, &back), 0);
		assert_memory_equal(&a, &back, sizeof(a));
		out_addr_text(&a, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
	arena_free(&arena);
}

static void
unix_names(void **state)
{
	static const struct {
		const char *path;
		size_t n; /* bytes of sun_path that the kernel gave */
		uint32_t tag;
		const char *want;
		size_t want_n;
		const char *text;
	} rows[] = {
	    {"", 0, PM_UnixAddr_Unnamed, NULL, 0, "an unnamed socket"},
	    {"/run/x", 7, PM_UnixAddr_Pathname, "/run/x", 6, "/run/x"},
	    {"/run/x", 6, PM_UnixAddr_Pathname, "/run/x", 6, "/run/x"},
	    {"rel", 4, PM_UnixAddr_Pathname, "rel", 3, "rel"},
	    {"/bad\xff", 6, PM_UnixAddr_Unnamed, NULL, 0, "an unnamed socket"},
	    {"\0name", 5, PM_UnixAddr_Abstract, "name", 4, "@name"},
	    {"\0a\0b\n", 5, PM_UnixAddr_Abstract, "a\0b\n", 4, "@a?b?"},
	    {"\0", 1, PM_UnixAddr_Abstract, "", 0, "@"},
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct sockaddr_storage ss = {.ss_family = AF_UNIX};
		struct sockaddr_un *un = (struct sockaddr_un *)&ss;
		struct pm_SocketAddress a;
		char text[64];

		memcpy(un->sun_path, rows[i].path, rows[i].n);
		assert_int_equal(
		    out_addr_from(&arena, &ss,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				    rows[i].n),
			&a),
		    0);
		assert_int_equal(a.tag, PM_SocketAddress_Unix);
		assert_int_equal(a.u.Unix.tag, rows[i].tag);
		if (a.u.Unix.tag == PM_UnixAddr_Pathname) {
			assert_int_equal(a.u.Unix.u.Pathname.n, rows[i].want_n);
			assert_memory_equal(a.u.Unix.u.Pathname.p, rows[i].want,
			    rows[i].want_n);
		} else if (a.u.Unix.tag == PM_UnixAddr_Abstract) {
			assert_int_equal(a.u.Unix.u.Abstract.n, rows[i].want_n);
			assert_memory_equal(a.u.Unix.u.Abstract.p, rows[i].want,
			    rows[i].want_n);
		}
		out_addr_text(&a, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
	arena_free(&arena);
}

static void
not_ip(void **state)
{
	struct pm_SocketAddress a = {.tag = PM_SocketAddress_Unix};
	struct sockaddr_storage ss;
	struct arena full;
	char text[4];

	(void)state;
	assert_int_equal(out_addr_ip(&a, &ss), 0);
	/* no memory, no room for the text: no harm */
	arena_init(&full, 1);
	memset(&ss, 0, sizeof(ss));
	ss.ss_family = AF_UNIX;
	memcpy(((struct sockaddr_un *)&ss)->sun_path, "/run/x", 7);
	assert_int_equal(out_addr_from(&full, &ss,
			     offsetof(struct sockaddr_un, sun_path) + 7, &a),
	    -ERR_NOMEM);
	arena_free(&full);
	a.u.Unix.tag = PM_UnixAddr_Abstract;
	a.u.Unix.u.Abstract = (struct span){(const uint8_t *)"long name", 9};
	out_addr_text(&a, text, sizeof(text));
	assert_string_equal(text, "@lo");
}

static void
kinds(void **state)
{
	static const struct {
		int number;
		uint32_t kind;
	} rows[] = {
	    {ENOENT, PM_ErrorKindInternal_NotFound},
	    {EPERM, PM_ErrorKindInternal_PermissionDenied},
	    {EACCES, PM_ErrorKindInternal_PermissionDenied},
	    {ECONNREFUSED, PM_ErrorKindInternal_ConnectionRefused},
	    {EEXIST, PM_ErrorKindInternal_AlreadyExists},
	    {EISDIR, PM_ErrorKindInternal_IsADirectory},
	    {ENOTEMPTY, PM_ErrorKindInternal_DirectoryNotEmpty},
	    {EINVAL, PM_ErrorKindInternal_InvalidInput},
	    {ETIMEDOUT, PM_ErrorKindInternal_TimedOut},
	    {EXDEV, PM_ErrorKindInternal_CrossesDevices},
	    {ENOSYS, PM_ErrorKindInternal_Unsupported},
	    {EBADF, PM_ErrorKindInternal_Other},
	    {EIO, PM_ErrorKindInternal_Other},
	    {0, PM_ErrorKindInternal_Other},
	    {-1, PM_ErrorKindInternal_Other},
	    {99999, PM_ErrorKindInternal_Other},
	};

	(void)state;
	for (size_t i = 0; i < N_OF(rows); i++) {
		struct pm_ResponseError e = errkind_io(rows[i].number);

		assert_int_equal(e.tag, PM_ResponseError_RemoteIO);
		assert_true(e.u.RemoteIO.raw_os_error.some);
		assert_int_equal(
		    e.u.RemoteIO.raw_os_error.value, rows[i].number);
		assert_int_equal(e.u.RemoteIO.kind.tag, rows[i].kind);
	}
	assert_false(errkind_plain(PM_ErrorKindInternal_TimedOut)
			 .u.RemoteIO.raw_os_error.some);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(both_ways),
	    cmocka_unit_test(unix_names),
	    cmocka_unit_test(not_ip),
	    cmocka_unit_test(kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
