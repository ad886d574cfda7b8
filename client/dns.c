#include "config.h"

#include "client/dns.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "client/remote_err.h"
#include "lib/str.h"
#include "protocol/pm_version.h"

struct lookup {
	cli_dns_fn *fn;
	void *arg;
	char name[CLI_NAME_MAX + 1];
};

bool
cli_ip_parse(const char *text, struct pm_ip *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, out->a) == 1)
		return true;
	out->v6 = inet_pton(AF_INET6, text, out->a) == 1;
	return out->v6;
}

void
cli_ip_print(const struct pm_ip *ip, char *out, size_t cap)
{
	if (inet_ntop(ip->v6 ? AF_INET6 : AF_INET, ip->a, out,
		(socklen_t)cap) == NULL &&
	    cap > 0)
		out[0] = '\0';
}

/* The first IPv4 address, else the first. */
static const struct pm_ip *
choose(const struct pm_vec_LookupRecord *v)
{
	const struct pm_ip *ip = NULL;

	for (size_t i = 0; i < v->n; i++) {
		if (ip == NULL || (ip->v6 && !v->v[i].ip.v6))
			ip = &v->v[i].ip;
	}
	return ip;
}

static void
lookup_done(void *arg, const struct pm_DaemonMessage *m)
{
	struct lookup *l = arg;
	const struct pm_ip *ip = NULL;
	struct err e;

	if (m == NULL)
		err_set(&e, ERR_CLOSED, "the connection was lost");
	else if (m->u.GetAddrInfoResponse.tag != PM_OK)
		cli_remote_error(&m->u.GetAddrInfoResponse.u.Err, l->name, &e);
	else if ((ip = choose(&m->u.GetAddrInfoResponse.u.Ok)) == NULL)
		err_set(&e, ERR_NOT_FOUND, "the target knows no address of %s",
		    l->name);
	l->fn(l->arg, ip, ip == NULL ? &e : NULL);
	free(l);
}

int
cli_dns_lookup(struct cli_session *s, const char *name, cli_dns_fn *fn,
    void *arg, struct err *e)
{
	struct pm_ClientMessage m = {0};
	struct lookup *l;
	struct pm_ip ip;
	int rc;

	if (cli_ip_parse(name, &ip)) {
		fn(arg, &ip, NULL);
		return 0;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return err_nomem(e);
	if (str_fmt(l->name, sizeof(l->name), "%s", name) < 0) {
		free(l);
		return err_set(e, ERR_INVALID, "\"%s\" is no name", name);
	}
	l->fn = fn;
	l->arg = arg;
	if (cli_session_version(s) >= PM_SINCE_ADDR_INFO_V2) {
		m.tag = PM_ClientMessage_GetAddrInfoRequestV2;
		m.u.GetAddrInfoRequestV2.node = pm_str(name);
		m.u.GetAddrInfoRequestV2.family.tag = PM_AddressFamily_Any;
		m.u.GetAddrInfoRequestV2.socktype.tag = PM_SockType_Stream;
	} else {
		m.tag = PM_ClientMessage_GetAddrInfoRequest;
		m.u.GetAddrInfoRequest.node = pm_str(name);
	}
	rc = cli_session_ask(s, CLI_Q_DNS, &m, lookup_done, l);
	if (rc == 0)
		return 0;
	free(l);
	return err_set(e, (enum err_code) - rc, "the connection was lost");
}
