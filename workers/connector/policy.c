#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "lib/str.h"
#include "workers/connector/connector.h"

int
con_url_parse(const char *url, struct con_endpoint *out)
{
	const char *host, *end, *port;
	size_t n;

	if (!str_starts(url, "https://"))
		return -ERR_INVALID;
	host = url + strlen("https://");
	n = strcspn(host, "/?#");
	end = host + n;
	out->port = 443;
	if (*host == '[') {
		const char *close = memchr(host, ']', n);

		if (close == NULL)
			return -ERR_INVALID;
		port = close + 1;
		host++;
		n = (size_t)(close - host);
	} else {
		port = memchr(host, ':', n);
		port = port != NULL ? port : end;
		n = (size_t)(port - host);
	}
	if (port != end) {
		char digits[6];

		if (*port != ':' ||
		    str_fmt(digits, sizeof(digits), "%.*s",
			(int)(end - port - 1), port + 1) < 0 ||
		    !str_to_u16(digits, &out->port) || out->port == 0)
			return -ERR_INVALID;
	}
	if (n == 0 || n >= sizeof(out->host) || memchr(host, '@', n) != NULL)
		return -ERR_INVALID;
	memcpy(out->host, host, n);
	out->host[n] = '\0';
	return 0;
}

bool
con_ip_parse(const char *text, struct con_ip *out)
{
	if (inet_pton(AF_INET, text, &out->u.v4) == 1)
		out->family = AF_INET;
	else if (inet_pton(AF_INET6, text, &out->u.v6) == 1)
		out->family = AF_INET6;
	else
		return false;
	return true;
}

bool
con_cidr_contains(const char *cidr, const struct con_ip *ip)
{
	const char *slash = strchr(cidr, '/');
	char text[INET6_ADDRSTRLEN + 1];
	const uint8_t *a, *b;
	struct con_ip net;
	uint16_t bits;
	size_t whole;

	if (slash == NULL ||
	    str_fmt(text, sizeof(text), "%.*s", (int)(slash - cidr), cidr) <
		0 ||
	    !con_ip_parse(text, &net) || !str_to_u16(slash + 1, &bits) ||
	    net.family != ip->family ||
	    bits > (net.family == AF_INET ? 32 : 128))
		return false;
	a = (const uint8_t *)&net.u;
	b = (const uint8_t *)&ip->u;
	whole = bits / 8;
	return memcmp(a, b, whole) == 0 &&
	       (bits % 8 == 0 ||
		   ((a[whole] ^ b[whole]) >> (8 - bits % 8)) == 0);
}

static int
policy_cluster(const cJSON *config, const struct ipc_peer *who,
    const char *name, struct con_endpoint *out, struct err *e)
{
	const cJSON *c;

	/* A cluster's worker may reach its own cluster alone. */
	if (ipc_peer_role(who) == IPC_CLU &&
	    strcmp(name, ipc_peer_name(who)) != 0)
		return err_set(e, ERR_DENIED,
		    "the worker of cluster %s may not connect to %s",
		    ipc_peer_name(who), name);
	if (ipc_peer_role(who) == IPC_OWN)
		return err_set(e, ERR_DENIED,
		    "the own cluster's worker connects to no cluster");
	cJSON_ArrayForEach(c, cJSON_GetObjectItem(config, "clusters"))
	{
		if (strcmp(json_str(c, "name", ""), name) != 0)
			continue;
		if (con_url_parse(json_str(c, "server", ""), out) < 0)
			return err_set(e, ERR_INVALID,
			    "the server URL of cluster %s is malformed", name);
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "cluster %s is not configured", name);
}

static int
policy_pod(const cJSON *config, const struct ipc_peer *who,
    const struct ipc_connect *m, struct con_endpoint *out, struct err *e)
{
	const cJSON *cidr;
	struct con_ip ip;

	if (ipc_peer_role(who) != IPC_OWN)
		return err_set(e, ERR_DENIED,
		    "only the own cluster's worker may connect to pods");
	if (m->port < CON_POD_PORT_MIN)
		return err_set(e, ERR_DENIED, "port %u of a pod is below %d",
		    m->port, CON_POD_PORT_MIN);
	if (!con_ip_parse(m->name, &ip))
		return err_set(
		    e, ERR_INVALID, "a pod's address must be a literal");
	cJSON_ArrayForEach(cidr, json_at(config, "agent.podCidrs"))
	{
		const char *text = cJSON_GetStringValue(cidr);

		if (text == NULL || !con_cidr_contains(text, &ip))
			continue;
		snprintf(out->host, sizeof(out->host), "%s", m->name);
		out->port = m->port;
		return 0;
	}
	return err_set(
	    e, ERR_DENIED, "the address %s is outside agent.podCidrs", m->name);
}

int
con_policy(const cJSON *config, const struct ipc_peer *who,
    const struct ipc_connect *m, struct con_endpoint *out, struct err *e)
{
	switch (m->kind) {
	case CON_CLUSTER:
		return policy_cluster(config, who, m->name, out, e);
	case CON_POD:
		return policy_pod(config, who, m, out, e);
	case CON_SERVICE:
		/* They come with the kubernetes platform's credentials. */
		return err_set(e, ERR_NOT_FOUND,
		    "no service %s is configured on this platform", m->name);
	default:
		return err_set(
		    e, ERR_INVALID, "unknown kind of connection %u", m->kind);
	}
}
