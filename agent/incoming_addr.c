#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/incoming_priv.h"

enum { KEEPALIVE_IDLE_S = 120, KEEPALIVE_EVERY_S = 30 };

uint16_t
incoming_addr_port(const union incoming_addr *a)
{
	return ntohs(
	    a->sa.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

socklen_t
incoming_addr_len(const union incoming_addr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

bool
incoming_addr_equal(const union incoming_addr *a, const union incoming_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family ||
	    incoming_addr_port(a) != incoming_addr_port(b))
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr,
		   sizeof(a->v6.sin6_addr)) == 0;
}

void
incoming_addr_unmap(union incoming_addr *a)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};

	if (a->sa.sa_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		return;
	v4.sin_port = a->v6.sin6_port;
	memcpy(&v4.sin_addr, a->v6.sin6_addr.s6_addr + 12, 4);
	memset(a, 0, sizeof(*a));
	a->v4 = v4;
}

const char *
incoming_addr_text(const union incoming_addr *a, char *out, size_t cap)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	bool v4 = a->sa.sa_family == AF_INET;

	inet_ntop(a->sa.sa_family,
	    v4 ? (const void *)&a->v4.sin_addr : (const void *)&a->v6.sin6_addr,
	    ip, sizeof(ip));
	snprintf(out, cap, v4 ? "%s:%u" : "[%s]:%u", ip, incoming_addr_port(a));
	return out;
}

void
incoming_abort_fd(int fd)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

void
incoming_tune_fd(int fd)
{
	static const struct {
		int level, name, value;
	} opts[] = {
	    {IPPROTO_TCP, TCP_NODELAY, 1},
	    {SOL_SOCKET, SO_KEEPALIVE, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
	    {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
	};

	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++)
		(void)setsockopt(fd, opts[i].level, opts[i].name,
		    &opts[i].value, sizeof(opts[i].value));
}
