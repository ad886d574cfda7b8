#include "config.h"

#include "client/ports.h"

#include <stdlib.h>
#include <string.h>

#include "client/remote_err.h"
#include "lib/str.h"

struct port {
	struct list node;
	struct cli_ports *ps;
	uint16_t port;
	uint16_t local;
	bool steal;
};

void
cli_ports_init(struct cli_ports *ps)
{
	memset(ps, 0, sizeof(*ps));
	list_init(&ps->list);
}

void
cli_ports_free(struct cli_ports *ps)
{
	LIST_FOR_EACH_SAFE (node, &ps->list) {
		list_remove(node);
		free(LIST_ENTRY(node, struct port, node));
	}
}

static bool
port_parse(const char *text, uint16_t *port, uint16_t *local)
{
	const char *colon = strchr(text, ':');
	char first[8];

	return str_fmt(first, sizeof(first), "%.*s", (int)strcspn(text, ":"),
		   text) == 0 &&
	       str_to_u16(first, port) && *port != 0 &&
	       str_to_u16(colon == NULL ? first : colon + 1, local) &&
	       *local != 0;
}

int
cli_ports_add(struct cli_ports *ps, const char *text, bool steal, struct err *e)
{
	uint16_t port, local;
	struct port *p;

	if (!port_parse(text, &port, &local))
		return err_set(e, ERR_INVALID,
		    "\"%s\" is not PORT or PORT:LOCAL, for instance "
		    "8080:18080",
		    text);
	LIST_FOR_EACH (node, &ps->list) {
		if (LIST_ENTRY(node, struct port, node)->port == port)
			return err_set(e, ERR_CONFLICT,
			    "port %u is given twice; it can come here one way "
			    "only",
			    port);
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return err_nomem(e);
	*p = (struct port){
	    .ps = ps, .port = port, .local = local, .steal = steal};
	list_push(&ps->list, &p->node);
	ps->count++;
	return 0;
}

uint16_t
cli_ports_local(const struct cli_ports *ps, bool steal, uint16_t port)
{
	LIST_FOR_EACH (node, &ps->list) {
		const struct port *p = LIST_ENTRY(node, struct port, node);

		if (p->steal == steal && p->port == port)
			return p->local;
	}
	return 0;
}

void
cli_ports_describe(const struct cli_ports *ps, struct buf *out)
{
	LIST_FOR_EACH (node, &ps->list) {
		const struct port *p = LIST_ENTRY(node, struct port, node);

		buf_printf(out, "%s%s %u -> 127.0.0.1:%u",
		    out->len > 0 ? ", " : "", p->steal ? "steal" : "mirror",
		    p->port, p->local);
	}
}

static void
port_answered(void *arg, const struct pm_DaemonMessage *m)
{
	struct port *p = arg;
	struct cli_ports *ps = p->ps;
	const struct pm_res_u16 *res;
	char what[32];

	if (m == NULL)
		return; /* lost: subscribed again when it is back */
	res = p->steal ? &m->u.TcpSteal.u.SubscribeResult
		       : &m->u.Tcp.u.SubscribeResult;
	if (res->tag == PM_ERR && ps->failed.code == ERR_OK) {
		str_fmt(what, sizeof(what), "port %u", p->port);
		cli_remote_error(&res->u.Err, what, &ps->failed);
	}
	if (ps->waiting > 0 && --ps->waiting == 0)
		ps->on_done(
		    ps->arg, ps->failed.code == ERR_OK ? NULL : &ps->failed);
}

static int
port_subscribe(struct port *p, struct cli_session *s)
{
	struct pm_ClientMessage m = {0};

	if (p->steal) {
		m.tag = PM_ClientMessage_TcpSteal;
		m.u.TcpSteal.tag = PM_LayerTcpSteal_PortSubscribe;
		m.u.TcpSteal.u.PortSubscribe.tag = PM_StealType_All;
		m.u.TcpSteal.u.PortSubscribe.u.All = p->port;
	} else {
		m.tag = PM_ClientMessage_Tcp;
		m.u.Tcp.tag = PM_LayerTcp_PortSubscribe;
		m.u.Tcp.u.PortSubscribe = p->port;
	}
	return cli_session_ask(
	    s, p->steal ? CLI_Q_STEAL : CLI_Q_MIRROR, &m, port_answered, p);
}

int
cli_ports_subscribe(struct cli_ports *ps, struct cli_session *s,
    void (*on_done)(void *, const struct err *), void *arg)
{
	ps->on_done = on_done;
	ps->arg = arg;
	ps->waiting = (unsigned)ps->count;
	ps->failed.code = ERR_OK;
	if (ps->waiting == 0) {
		on_done(arg, NULL);
		return 0;
	}
	LIST_FOR_EACH (node, &ps->list) {
		if (port_subscribe(LIST_ENTRY(node, struct port, node), s) ==
		    -ERR_NOMEM)
			return -ERR_NOMEM;
	}
	return 0;
}
