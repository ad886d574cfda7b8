#include "config.h"

#include "tests/unit/workers/front.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"

static const char rules[] =
    "\"allow\":["
    "{\"users\":[\"dev\"],\"namespaces\":[\"a\"],"
    "\"targets\":[\"deployment/shop\"],\"verbs\":[\"*\"]},"
    "{\"users\":[\"root\"],\"namespaces\":[\"*\"],\"targets\":[\"*\"],"
    "\"verbs\":[\"*\",\"admin\"]},"
    "{\"groups\":[\"team\"],\"namespaces\":[\"a\"],\"targets\":[\"*\"],"
    "\"verbs\":[\"get\",\"list\"]}],"
    /* SHA-256 of "hub-token", in upper case */
    "\"primaries\":[{\"name\":\"hub\",\"certificate\":\"hub\"},"
    "{\"name\":\"hub2\",\"tokenSha256\":"
    "\"505A8C497606F899F72232A403399922417B7CA910DD96F341A44D1658A22A8F\"}]";

static void
front_listen(struct front *f)
{
	struct sockaddr_in sa = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct ipc_listener m = {.kind = "https", .address = "127.0.0.1"};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	f->port = ntohs(sa.sin_port);
	rig_send_fd(f->sup, IPC_LISTENER, &m, fd);
	close(fd);
	rig_settle(&f->r);
}

static void
front_clients(struct front *f)
{
	static const char *const names[FRONT_N] = {
	    NULL, "eve", "dev", "root", "hub", "root"};

	for (int i = 0; i < FRONT_N; i++) {
		struct tls_client_opts o = {
		    .ca_pem = buf_span(&f->tls.ca.cert_pem)};
		struct err e;

		if (names[i] != NULL) {
			fix_cert_make(&f->certs[i],
			    &(struct fix_cert_opts){.cn = names[i],
				.issuer = i == FRONT_FALSE ? &f->tls.other_ca
							   : &f->tls.ca,
				.from_s = -60,
				.to_s = 3600});
			o.cert_pem = buf_span(&f->certs[i].cert_pem);
			o.key_pem = buf_span(&f->certs[i].key_pem);
		}
		f->ctx[i] = tls_ctx_client_new(&o, &e);
		if (f->ctx[i] == NULL)
			fail_msg("%s", e.text);
	}
}

void
front_trust(struct front *f, const char *extra)
{
	cJSON *v;
	struct buf out;
	struct ipc_trust m;
	struct err e;

	buf_init(&out, 0);
	buf_printf(&out, "{\"loginCa\":\"\",\"credentialCa\":\"\"%s}", extra);
	v = json_parse(buf_data(&out), out.len, &e);
	assert_non_null(v);
	cJSON_ReplaceItemInObject(
	    v, "loginCa", cJSON_CreateString(buf_cstr(&f->tls.ca.cert_pem)));
	cJSON_ReplaceItemInObject(v, "credentialCa",
	    cJSON_CreateString(buf_cstr(&f->tls.other_ca.cert_pem)));
	buf_clear(&out);
	assert_int_equal(json_print(v, &out), 0);
	m.trust = buf_span(&out);
	rig_send(f->sec, IPC_TRUST, 0, 0, 0, &m);
	rig_settle(&f->r);
	buf_free(&out);
	cJSON_Delete(v);
}

void
front_init(struct front *f, bool own_pair)
{
	struct buf config;
	cJSON *tls = cJSON_CreateObject();
	char *text;

	memset(f, 0, sizeof(*f));
	signal(SIGPIPE, SIG_IGN); /* as worker_run does */
	fix_tls_make(&f->tls);
	if (own_pair) {
		cJSON_AddStringToObject(
		    tls, "certPem", buf_cstr(&f->tls.server.cert_pem));
		cJSON_AddStringToObject(
		    tls, "keyPem", buf_cstr(&f->tls.server.key_pem));
	}
	text = cJSON_PrintUnformatted(tls);
	buf_init(&config, 0);
	buf_printf(&config, "{\"tls\":%s,%s}", text, rules);
	free(text);
	cJSON_Delete(tls);
	rig_init(&f->r, &fe_ops, buf_cstr(&config));
	buf_free(&config);
	f->r.w.index = 1;
	f->sup = rig_attach(&f->r, IPC_SUP, 0, "");
	f->sec = rig_attach(&f->r, IPC_SEC, 0, "");
	f->own = rig_attach(&f->r, IPC_OWN, 0, "hub");
	f->sf = rig_attach(&f->r, IPC_SF, 0, "");
	f->clu[0] = rig_attach(&f->r, IPC_CLU, 0, "east");
	f->clu[1] = rig_attach(&f->r, IPC_CLU, 1, "west");
	front_clients(f);
	front_listen(f);
	front_trust(f, "");
	f->own_answers = true;
}

void
front_deinit(struct front *f)
{
	rig_deinit(&f->r);
	for (int i = 0; i < FRONT_N; i++) {
		tls_ctx_free(&f->ctx[i]);
		if (i != FRONT_NOBODY)
			fix_cert_free(&f->certs[i]);
	}
	fix_tls_free(&f->tls);
}

struct tls_conn *
front_connect(struct front *f, enum front_who who)
{
	static const struct tls_conn_cbs none = {0};
	const struct tls_conn_opts o = {.server_name = "localhost"};
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_addr = {htonl(INADDR_LOOPBACK)},
	    .sin_port = htons(f->port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct tls_conn *c;
	struct err e;

	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	c = tls_conn_new(f->r.w.loop, f->ctx[who], fd, &o, &none, NULL, &e);
	assert_non_null(c);
	return c;
}

uint32_t
front_request(const struct rig_msg *m)
{
	const char *at = strstr(m->text, "request=");

	assert_non_null(at);
	return (uint32_t)strtoul(at + 8, NULL, 10);
}

void
front_turn(struct front *f)
{
	ev_loop_turn(f->r.w.loop, false);
	while (f->own_answers && rig_count(f->own, IPC_API_REQUEST) > 0) {
		struct rig_msg *m = rig_expect(f->own, IPC_API_REQUEST);
		struct ipc_api_reply a = {.request = front_request(m),
		    .code = 200,
		    .body = {(const uint8_t *)m->text, strlen(m->text)}};

		rig_send(f->own, IPC_API_REPLY, 0, 0, 0, &a);
		rig_msg_free(&m);
	}
	while (f->own_answers && rig_count(f->sec, IPC_SIGN_CSR) > 0) {
		struct rig_msg *m = rig_expect(f->sec, IPC_SIGN_CSR);
		struct ipc_csr_signed a = {.request = front_request(m),
		    .code = 0,
		    .certificate_pem = {(const uint8_t *)"PEM", 3}};

		rig_send(f->sec, IPC_CSR_SIGNED, 0, 0, 0, &a);
		rig_msg_free(&m);
	}
}

void
front_turns(struct front *f, int n)
{
	while (n-- > 0)
		front_turn(f);
}

struct rig_msg *
front_expect(struct front *f, struct rig_peer *p, enum ipc_type type)
{
	uint64_t end_ms = clock_mono_ms() + 8000;

	while (rig_count(p, type) == 0) {
		if (clock_mono_ms() > end_ms)
			fail_msg("no %s came", ipc_type_name(type));
		front_turn(f);
	}
	return rig_expect(p, type);
}

void
front_until(struct front *f, const bool *done, const char *what)
{
	uint64_t end_ms = clock_mono_ms() + 8000;

	while (!*done) {
		if (clock_mono_ms() > end_ms)
			fail_msg("%s did not come", what);
		front_turn(f);
	}
}

static void
answer_done(void *arg, struct http_client *c, const struct http_head *head,
    struct span body, const struct err *e)
{
	struct front_answer *a = arg;

	(void)c;
	a->done = true;
	if (e != NULL)
		a->error = *e;
	else
		a->code = head->status;
	assert_int_equal(buf_append(&a->body, body.p, body.n), 0);
}

struct http_client *
front_begin(struct front *f, enum front_who who, const char *method,
    const char *target, const struct http_pair *fields, const char *body,
    struct front_answer *out)
{
	static const struct http_client_cbs cbs = {.on_done = answer_done};
	struct http_req req = {.method = method,
	    .target = target,
	    .host = "localhost",
	    .fields = fields,
	    .content_type = body == NULL ? NULL : "application/json",
	    .body = {(const uint8_t *)body, body == NULL ? 0 : strlen(body)},
	    .timeout_ms = 5000};
	struct http_client *c;
	struct err e;

	memset(out, 0, sizeof(*out));
	buf_init(&out->body, 0);
	c = http_client_new(front_connect(f, who), &e);
	assert_non_null(c);
	assert_int_equal(http_client_send(c, &req, &cbs, out, &e), 0);
	return c;
}

void
front_ask(struct front *f, enum front_who who, const char *method,
    const char *target, const struct http_pair *fields, const char *body,
    struct front_answer *out)
{
	struct http_client *c =
	    front_begin(f, who, method, target, fields, body, out);

	front_until(f, &out->done, target);
	http_client_free(&c);
}

void
front_answer_free(struct front_answer *a)
{
	buf_free(&a->body);
}
