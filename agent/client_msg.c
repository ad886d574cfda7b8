/*
 * What each kind of client message does: one row per kind. A kind that the
 * agent refuses says so in its row.
 */
#include "config.h"

#include <string.h>

#include "agent/client_state.h"
#include "agent/env.h"
#include "lib/str.h"

typedef int msg_fn(
    struct client *c, const struct pm_ClientMessage *m, struct span raw);

static int
on_close_msg(
    struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)m;
	(void)raw;
	client_end(&c->pub, NULL);
	return 0;
}

static bool
incoming_refused(struct client *c)
{
	if (c->pub.agent->incoming != NULL)
		return false;
	(void)agent_client_refuse(&c->pub,
	    "Incoming traffic cannot be mirrored or stolen without a target. "
	    "Choose a target for the session, or turn incoming traffic off.");
	return true;
}

static int
on_tcp(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)raw;
	if (!incoming_refused(c))
		incoming_on_tcp(&c->pub, &m->u.Tcp);
	return 0;
}

static int
on_steal(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)raw;
	if (!incoming_refused(c))
		incoming_on_steal(&c->pub, &m->u.TcpSteal);
	return 0;
}

static int
on_tcp_out(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)raw;
	return outgoing_on_tcp(c->outgoing, &m->u.TcpOutgoing);
}

static int
on_udp_out(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)raw;
	return outgoing_on_udp(c->outgoing, &m->u.UdpOutgoing);
}

static int
on_seq_out(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)raw;
	return outgoing_on_seq(c->outgoing, &m->u.SeqpacketOutgoing);
}

static int
on_file(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	return files_request(c->files, &m->u.FileRequest, raw);
}

/* ---- environment ---- */

/* Patterns as C strings; one with a NUL inside matches no name. */
static const char **
patterns(struct arena *a, const struct pm_vec_str *set, size_t *count_r)
{
	const char **v = arena_alloc(a, (set->n + 1) * sizeof(*v));

	*count_r = 0;
	for (size_t i = 0; v != NULL && i < set->n; i++) {
		char *s = arena_alloc(a, set->v[i].n + 1);

		if (s == NULL)
			return NULL;
		if (set->v[i].n > 0)
			memcpy(s, set->v[i].p, set->v[i].n);
		v[(*count_r)++] = strlen(s) == set->v[i].n ? s : "\1";
	}
	return v;
}

static int
on_env(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	const struct pm_GetEnvVarsRequest *r = &m->u.GetEnvVarsRequest;
	const struct env_table *t = &c->pub.agent->env;
	struct pm_DaemonMessage out;
	struct env_select sel;
	struct pm_pair *pairs;
	size_t n = 0;

	(void)raw;
	memset(&out, 0, sizeof(out));
	out.tag = PM_DaemonMessage_GetEnvVarsResponse;
	sel.exclude =
	    patterns(&c->arena, &r->env_vars_filter, &sel.exclude_count);
	sel.include =
	    patterns(&c->arena, &r->env_vars_select, &sel.include_count);
	pairs = arena_alloc(&c->arena, (t->count + 1) * sizeof(*pairs));
	if (sel.exclude == NULL || sel.include == NULL || pairs == NULL)
		return -ERR_NOMEM;
	for (size_t i = 0; i < t->count; i++) {
		if (env_selected(&sel, t->entries[i].name))
			pairs[n++] =
			    (struct pm_pair){pm_str(t->entries[i].name),
				pm_str(t->entries[i].value)};
	}
	out.u.GetEnvVarsResponse.u.Ok.n = n;
	out.u.GetEnvVarsResponse.u.Ok.v = pairs;
	return agent_client_send(&c->pub, &out);
}

/* ---- the rest ---- */

static int
on_ping(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	struct pm_DaemonMessage out = {.tag = PM_DaemonMessage_Pong};

	(void)m;
	(void)raw;
	return agent_client_send(&c->pub, &out);
}

static int
on_dns(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)raw;
	return dns_request(
	    c->dns, m->u.GetAddrInfoRequest.node, PM_AddressFamily_Ipv4Only);
}

static int
on_dns_v2(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)raw;
	return dns_request(c->dns, m->u.GetAddrInfoRequestV2.node,
	    m->u.GetAddrInfoRequestV2.family.tag);
}

static int
on_reverse(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)raw;
	return dns_reverse(c->dns, &m->u.ReverseDnsLookup.ip_address);
}

/* The client's version decides what it is sent, not the lower of both. */
static int
on_version(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	struct pm_DaemonMessage out;
	struct pm_str theirs = m->u.SwitchProtocolVersion;
	struct pm_version mine, v;

	(void)raw;
	/* No real version is longer. */
	if (theirs.n >= sizeof(c->version_text))
		return -ERR_INVALID;
	memcpy(c->version_text, theirs.p, theirs.n);
	c->version_text[theirs.n] = '\0';
	if (pm_version_parse(pm_str(c->version_text), &v, NULL) < 0 ||
	    pm_version_parse(pm_str(PM_VERSION_OWN), &mine, NULL) < 0)
		return -ERR_INVALID;
	c->version = v;
	memset(&out, 0, sizeof(out));
	out.tag = PM_DaemonMessage_SwitchProtocolVersionResponse;
	out.u.SwitchProtocolVersionResponse = pm_version_cmp(&v, &mine) < 0
						  ? pm_str(c->version_text)
						  : pm_str(PM_VERSION_OWN);
	return agent_client_send(&c->pub, &out);
}

static int
on_ready_for_logs(
    struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)m;
	(void)raw;
	c->ready_for_logs = true;
	return 0;
}

static int
on_pause(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)m;
	(void)raw;
	return agent_client_refuse(&c->pub,
	    "Pausing the target is not supported any more. Remove the setting "
	    "\"pause\" and start the session again.");
}

static int
on_vpn(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)m;
	(void)raw;
	return agent_client_refuse(&c->pub,
	    "This agent does not support VPN mode. Start an ordinary session.");
}

/* OperatorPong answers nothing of ours; share links need HTTP filters. */
static int
on_ignored(struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	(void)c;
	(void)m;
	(void)raw;
	return 0;
}

static msg_fn *const handlers[PM_ClientMessage_COUNT] = {
    [PM_ClientMessage_Close] = on_close_msg,
    [PM_ClientMessage_Tcp] = on_tcp,
    [PM_ClientMessage_TcpSteal] = on_steal,
    [PM_ClientMessage_TcpOutgoing] = on_tcp_out,
    [PM_ClientMessage_UdpOutgoing] = on_udp_out,
    [PM_ClientMessage_FileRequest] = on_file,
    [PM_ClientMessage_GetEnvVarsRequest] = on_env,
    [PM_ClientMessage_Ping] = on_ping,
    [PM_ClientMessage_GetAddrInfoRequest] = on_dns,
    [PM_ClientMessage_PauseTargetRequest] = on_pause,
    [PM_ClientMessage_SwitchProtocolVersion] = on_version,
    [PM_ClientMessage_ReadyForLogs] = on_ready_for_logs,
    [PM_ClientMessage_Vpn] = on_vpn,
    [PM_ClientMessage_GetAddrInfoRequestV2] = on_dns_v2,
    [PM_ClientMessage_OperatorPong] = on_ignored,
    [PM_ClientMessage_ReverseDnsLookup] = on_reverse,
    [PM_ClientMessage_SeqpacketOutgoing] = on_seq_out,
    [PM_ClientMessage_ShareLink] = on_ignored,
};

int
client_dispatch(
    struct client *c, const struct pm_ClientMessage *m, struct span raw)
{
	if (m->tag >= PM_ClientMessage_COUNT)
		return -ERR_INVALID;
	return handlers[m->tag](c, m, raw);
}
