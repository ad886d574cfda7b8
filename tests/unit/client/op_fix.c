#include "config.h"

#include "tests/unit/client/op_fix.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/arena.h"
#include "lib/clock.h"
#include "lib/str.h"

static const char object[] =
    "{\"apiVersion\":\"operator.metalbear.co/v1\",\"kind\":\"MirrordOperator\","
    "\"metadata\":{\"name\":\"operator\"},\"spec\":{\"operator_version\":"
    "\"3.250.0\",\"supported_features\":[\"ProxyApi\",\"MultiClusterPrimary\"],"
    "\"operator_namespace\":\"mirrord\",\"license\":{\"fingerprint\":\"test\"},"
    "\"protocol_version\":\"1.29.0\"},\"status\":{\"sessions\":[],"
    "\"connected_clusters\":[{\"name\":\"east\",\"lastCheck\":\"now\","
    "\"connected\":{\"operatorVersion\":\"3.250.0\"}},{\"name\":\"west\","
    "\"lastCheck\":\"now\",\"error\":{\"message\":\"no\\u001b route\"}}]}}";

/* ---- plain requests */

static void
answer_credential(struct op *op, struct http_conn *c)
{
	cJSON *v = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(cJSON_AddObjectToObject(v, "status"),
	    "certificate", buf_cstr(&op->tls.client.cert_pem));
	text = cJSON_PrintUnformatted(v);
	http_respond(c, 201, "application/json", NULL, text, strlen(text));
	cJSON_free(text);
	cJSON_Delete(v);
}

static bool
answer_canned(
    const struct op *op, struct http_conn *c, const struct http_head *h)
{
	for (const struct op_canned *a = op->canned;
	     a != NULL && a->method != NULL; a++) {
		if (strcmp(a->method, h->method) == 0 &&
		    str_starts(h->target, a->path)) {
			http_respond(c, a->code, "application/json", NULL,
			    a->body, strlen(a->body));
			return true;
		}
	}
	return false;
}

/* ---- the session's socket */

static void
on_message(struct op *op, const uint8_t *p, size_t n)
{
	struct pm_DaemonMessage reply = {
	    .tag = PM_DaemonMessage_SwitchProtocolVersionResponse};
	struct pm_ClientMessage m;
	struct arena a;
	struct err e;

	arena_init(&a, 64 << 20);
	if (pm_decode_client(&a, p, n, NULL, &m, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(pm_print_client(&m, &op->log), 0);
	assert_int_equal(buf_append_u8(&op->log, '\n'), 0);
	op->n_messages++;
	if (m.tag == PM_ClientMessage_SwitchProtocolVersion) {
		reply.u.SwitchProtocolVersionResponse = pm_str(op->version);
		op_send(op, &reply);
	} else if (op->on_client != NULL) {
		op->on_client(op, &m);
	}
	arena_free(&a);
}

static void
ws_piece(void *arg, struct ws_conn *ws, struct span b, bool first, bool last)
{
	struct op *op = arg;

	(void)ws;
	if (first)
		buf_clear(&op->message);
	assert_int_equal(buf_append(&op->message, b.p, b.n), 0);
	if (last)
		on_message(op, buf_data(&op->message), op->message.len);
}

static void
ws_closed(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	struct op *op = arg;

	(void)ws;
	(void)clean;
	(void)code;
	(void)e;
	op->closed = true;
	ws_conn_free(&op->ws);
}

static const struct ws_conn_cbs ws_cbs = {
    .on_piece = ws_piece, .on_close = ws_closed};

static struct http_conn **
slot_of(struct op *op, struct http_conn *c)
{
	for (size_t i = 0; i < OP_CONNS; i++) {
		if (op->conns[i] == c)
			return &op->conns[i];
	}
	fail_msg("too many connections");
	return NULL;
}

static void
upgrade(struct op *op, struct http_conn *c, const struct http_head *h)
{
	static const struct ws_conn_opts opts = {0};
	char accept[WS_ACCEPT_SIZE], body[256];
	const char *der = http_get(h, "x-client-der");
	int code =
	    op->upgrades < N_OF(op->refuse) ? op->refuse[op->upgrades] : 0;
	struct err e;

	op->upgrades++;
	str_fmt(op->session_id, sizeof(op->session_id), "%s",
	    http_get(h, "x-session-id"));
	str_fmt(op->client_der, sizeof(op->client_der), "%s",
	    der == NULL ? "" : der);
	if (code != 0) {
		snprintf(body, sizeof(body),
		    "{\"kind\":\"Status\",\"code\":%d,\"reason\":\"%s\","
		    "\"message\":\"because\"}",
		    code, op->refuse_reason == NULL ? "" : op->refuse_reason);
		http_respond(
		    c, code, "application/json", NULL, body, strlen(body));
		return;
	}
	if (ws_check_request(h, "v4.channel.k8s.io", accept, &code, &e) < 0)
		fail_msg("%s", e.text);
	ws_conn_free(&op->ws);
	op->accepted++;
	op->closed = false;
	op->ws = http_upgrade(slot_of(op, c), accept, "v4.channel.k8s.io", NULL,
	    &opts, &ws_cbs, op, &e);
	assert_non_null(op->ws);
}

static void
on_request(
    void *arg, struct http_conn *c, const struct http_head *h, struct span body)
{
	struct op *op = arg;

	(void)body;
	buf_printf(&op->requests, "%s %s\n", h->method, h->target);
	if (h->upgrade)
		upgrade(op, c, h);
	else if (answer_canned(op, c, h))
		return;
	else if (strcmp(h->method, "POST") == 0)
		answer_credential(op, c);
	else if (strstr(h->path, "/mirrordoperators/operator") != NULL)
		http_respond(
		    c, 200, "application/json", NULL, object, strlen(object));
	else
		http_respond_status(c, STATUS_NOT_FOUND, "nothing here");
}

static void
on_close(void *arg, struct http_conn *c, const struct err *e)
{
	(void)e;
	http_conn_free(slot_of(arg, c));
}

static void
on_accept(void *arg, int ready)
{
	static const struct http_conn_cbs cbs = {
	    .on_request = on_request, .on_close = on_close};
	static const struct tls_conn_cbs none = {0};
	static const struct http_conn_opts opts = {0};
	struct op *op = arg;
	int fd = accept4(op->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct http_conn **slot = slot_of(op, NULL);
	struct tls_conn *tls;
	struct err e;

	(void)ready;
	if (fd < 0)
		return;
	tls = tls_conn_new(
	    op->loop, op->tls.server_ctx, fd, NULL, &none, NULL, &e);
	assert_non_null(tls);
	*slot = http_conn_new(tls, &opts, &cbs, op, &e);
	assert_non_null(*slot);
}

/* ---- life */

static void
put_base64(FILE *f, const char *key, struct span s)
{
	struct buf b;

	buf_init(&b, 0);
	assert_int_equal(str_base64_encode(&b, s.p, s.n, true), 0);
	fprintf(f, "    %s: %s\n", key, buf_cstr(&b));
	buf_free(&b);
}

static void
write_kubeconfig(const struct op *op)
{
	FILE *f = fopen(op->kubeconfig, "w");

	assert_non_null(f);
	fprintf(f,
	    "current-context: t\n"
	    "contexts:\n- name: t\n  context: {cluster: c, user: u}\n"
	    "clusters:\n- name: c\n  cluster:\n"
	    "    server: https://127.0.0.1:%u\n",
	    op->port);
	put_base64(
	    f, "certificate-authority-data", buf_span(&op->tls.ca.cert_pem));
	fprintf(f, "users:\n- name: u\n  user:\n    token: secret\n");
	fclose(f);
}

void
op_start(struct op *op, struct ev_loop *loop)
{
	struct sockaddr_in sa = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sa);

	memset(op, 0, sizeof(*op));
	signal(SIGPIPE, SIG_IGN);
	op->loop = loop;
	op->version = "1.29.0";
	buf_init(&op->log, 0);
	buf_init(&op->message, 0);
	buf_init(&op->requests, 0);
	fix_tls_make(&op->tls);
	op->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(op->fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(op->fd, 16), 0);
	assert_int_equal(getsockname(op->fd, (struct sockaddr *)&sa, &n), 0);
	op->port = ntohs(sa.sin_port);
	op->io = ev_io_new(loop, op->fd, on_accept, op);
	ev_io_want(op->io, EV_WANT_READ);
	str_fmt(op->dir, sizeof(op->dir), "/tmp/tributary-test-XXXXXX");
	assert_non_null(mkdtemp(op->dir));
	str_fmt(op->kubeconfig, sizeof(op->kubeconfig), "%s/config", op->dir);
	write_kubeconfig(op);
	setenv("HOME", op->dir, 1);
}

void
op_stop(struct op *op)
{
	char command[128];

	ws_conn_free(&op->ws);
	for (size_t i = 0; i < OP_CONNS; i++)
		http_conn_free(&op->conns[i]);
	ev_io_free(&op->io);
	close(op->fd);
	fix_tls_free(&op->tls);
	buf_free(&op->log);
	buf_free(&op->message);
	buf_free(&op->requests);
	setenv("PATH", "/usr/bin:/bin", 1);
	snprintf(command, sizeof(command), "rm -rf %s", op->dir);
	assert_int_equal(system(command), 0);
}

void
op_send_raw(struct op *op, const void *p, size_t n)
{
	assert_non_null(op->ws);
	assert_int_equal(ws_send(op->ws, p, n), 0);
}

void
op_send_pieces(struct op *op, const struct pm_DaemonMessage *m, size_t n)
{
	struct buf b;
	struct err e;

	buf_init(&b, 0);
	if (pm_encode_daemon(m, &b, &e) < 0)
		fail_msg("%s", e.text);
	assert_non_null(op->ws);
	for (size_t i = 0, at = 0; i < n; i++) {
		size_t k = i + 1 == n ? b.len - at : b.len / n;

		assert_int_equal(ws_send_piece(op->ws, buf_data(&b) + at, k,
				     i == 0, i + 1 == n),
		    0);
		at += k;
	}
	buf_free(&b);
}

void
op_send(struct op *op, const struct pm_DaemonMessage *m)
{
	op_send_pieces(op, m, 1);
}

void
op_drop(struct op *op)
{
	ws_conn_free(&op->ws);
}

size_t
op_count(const struct op *op, const char *text)
{
	struct buf *log = (struct buf *)&op->log;
	const char *p = buf_cstr(log);
	size_t n = 0;

	while (p != NULL && (p = strstr(p, text)) != NULL) {
		n++;
		p = strchr(p, '\n');
	}
	return n;
}

static void
on_late(void *arg)
{
	*(bool *)arg = true;
}

void
op_wait(struct op *op, const char *text)
{
	bool late = false;
	struct ev_timer *t = ev_timer_new(op->loop, on_late, &late);

	ev_timer_set(t, 5000);
	while (!late && op_count(op, text) == 0)
		ev_loop_turn(op->loop, true);
	ev_timer_free(&t);
	if (late)
		fail_msg("no %s in: %s", text, buf_cstr(&op->log));
}

void
op_api(struct op *op, struct cli_api *api)
{
	struct err e;

	if (cli_api_init(api, op->loop, op->kubeconfig, NULL, &e) < 0)
		fail_msg("%s", e.text);
}

void
op_free_api(struct cli_api *api)
{
	cli_api_free(api);
}
