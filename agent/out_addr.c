#include "config.h"

#include "agent/out_addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "lib/str.h"

socklen_t
out_addr_ip(const struct pm_SocketAddress *a, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (a->tag != PM_SocketAddress_Ip)
		return 0;
	if (!a->u.Ip.ip.v6) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(a->u.Ip.port);
		memcpy(&v4->sin_addr, a->u.Ip.ip.a, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(a->u.Ip.port);
	memcpy(&v6->sin6_addr, a->u.Ip.ip.a, 16);
	return sizeof(*v6);
}

static void
put_ip(struct pm_SocketAddress *out, bool v6, const void *ip, in_port_t port)
{
	out->tag = PM_SocketAddress_Ip;
	out->u.Ip.ip.v6 = v6;
	out->u.Ip.port = ntohs(port);
	memcpy(out->u.Ip.ip.a, ip, v6 ? 16 : 4);
}

static int
put_unix(struct arena *a, const struct sockaddr_un *un, size_t n,
    struct pm_SocketAddress *out)
{
	struct pm_UnixAddr *u = &out->u.Unix;
	char *copy;

	out->tag = PM_SocketAddress_Unix;
	u->tag = PM_UnixAddr_Unnamed;
	if (n == 0)
		return 0;
	copy = arena_dup(a, un->sun_path, n);
	if (copy == NULL)
		return -ERR_NOMEM;
	if (copy[0] == '\0') {
		u->tag = PM_UnixAddr_Abstract;
		u->u.Abstract = (struct span){(uint8_t *)copy + 1, n - 1};
		return 0;
	}
	n = strnlen(copy, n);
	if (str_utf8_valid((const uint8_t *)copy, n)) {
		u->tag = PM_UnixAddr_Pathname;
		u->u.Pathname = (struct pm_str){copy, n};
	}
	return 0;
}

int
out_addr_from(struct arena *a, const struct sockaddr_storage *ss, socklen_t len,
    struct pm_SocketAddress *out)
{
	const struct sockaddr_in *v4 = (const void *)ss;
	const struct sockaddr_in6 *v6 = (const void *)ss;
	size_t head = offsetof(struct sockaddr_un, sun_path);

	memset(out, 0, sizeof(*out));
	if (ss->ss_family == AF_INET)
		put_ip(out, false, &v4->sin_addr, v4->sin_port);
	else if (ss->ss_family == AF_INET6)
		put_ip(out, true, &v6->sin6_addr, v6->sin6_port);
	else
		return put_unix(
		    a, (const void *)ss, len > head ? len - head : 0, out);
	return 0;
}

void
out_addr_text(const struct pm_SocketAddress *a, char *out, size_t cap)
{
	const struct pm_UnixAddr *u = &a->u.Unix;
	char ip[INET6_ADDRSTRLEN] = "?";

	if (a->tag == PM_SocketAddress_Ip) {
		bool v6 = a->u.Ip.ip.v6;

		inet_ntop(
		    v6 ? AF_INET6 : AF_INET, a->u.Ip.ip.a, ip, sizeof(ip));
		snprintf(out, cap, v6 ? "[%s]:%u" : "%s:%u", ip, a->u.Ip.port);
	} else if (u->tag == PM_UnixAddr_Pathname) {
		snprintf(
		    out, cap, "%.*s", (int)u->u.Pathname.n, u->u.Pathname.p);
	} else if (u->tag == PM_UnixAddr_Abstract) {
		size_t n = 0;

		if (cap > 1)
			out[n++] = '@';
		for (size_t i = 0; i < u->u.Abstract.n && n + 1 < cap; i++) {
			uint8_t c = u->u.Abstract.p[i];

			out[n++] = c > ' ' && c < 0x7f ? (char)c : '?';
		}
		out[n] = '\0';
	} else {
		snprintf(out, cap, "an unnamed socket");
	}
}
