#include "config.h"

#include "tests/unit/workers/member.h"

#include <stdlib.h>
#include <string.h>

static void
socket_piece(
    void *arg, struct ws_conn *ws, struct span b, bool first, bool last)
{
	struct member_socket *k = arg;

	(void)ws;
	assert_int_equal(first, !k->within);
	k->within = !last;
	k->messages += last;
	k->pieces++;
	assert_int_equal(buf_append(&k->got, b.p, b.n), 0);
}

static void
socket_close(void *arg, struct ws_conn *ws, bool clean, uint16_t code,
    const struct err *e)
{
	struct member_socket *k = arg;

	(void)ws;
	(void)code;
	(void)e;
	k->closed = true;
	k->clean = clean;
	ws_conn_free(&k->ws);
}

static const struct ws_conn_cbs socket_cbs = {
    .on_piece = socket_piece, .on_close = socket_close};

static void
member_note(struct member *m, const struct http_head *h, struct span body)
{
	struct buf b;

	assert_true(m->n_asked < MEMBER_ASKED_MAX);
	buf_init(&b, 0);
	buf_printf(&b, "%s %s\n", h->method, h->target);
	for (size_t i = 0; i < h->field_count; i++)
		buf_printf(
		    &b, "%s: %s\n", h->fields[i].name, h->fields[i].value);
	buf_append(&b, body.p, body.n);
	m->asked[m->n_asked++] = buf_take(&b);
}

static void
member_upgrade(struct member *m, struct http_conn *c, const struct http_head *h)
{
	struct member_socket *k = &m->sockets[m->n_sockets];
	char accept[WS_ACCEPT_SIZE];
	struct err e = {0};
	int code;

	if (m->refuse != 0) {
		http_respond_status(c, status_from_code(m->refuse), "%s",
		    m->refuse_text == NULL ? "no" : m->refuse_text);
		return;
	}
	assert_true(m->n_sockets < MEMBER_SOCKETS_MAX);
	assert_int_equal(
	    ws_check_request(h, "v4.channel.k8s.io", accept, &code, &e), 0);
	for (size_t i = 0; i < N_OF(m->conns); i++) {
		if (m->conns[i] != c)
			continue;
		k->member = m;
		k->ws = http_upgrade(&m->conns[i], accept, "v4.channel.k8s.io",
		    NULL, NULL, &socket_cbs, k, &e);
		assert_non_null(k->ws);
		m->n_sockets++;
	}
}

static void
member_request(
    void *arg, struct http_conn *c, const struct http_head *h, struct span body)
{
	struct member *m = arg;

	member_note(m, h, body);
	if (m->mute)
		return;
	if (h->upgrade) {
		member_upgrade(m, c, h);
		return;
	}
	for (size_t i = 0; i < m->n_answers; i++) {
		const struct member_answer *a = &m->answers[i];

		if (strcmp(a->method, h->method) == 0 &&
		    strstr(h->target, a->path) != NULL) {
			http_respond(c, a->code, "application/json", NULL,
			    a->body, strlen(a->body));
			return;
		}
	}
	http_respond_status(
	    c, STATUS_NOT_FOUND, "the server has no %s", h->path);
}

static void
member_closed(void *arg, struct http_conn *c, const struct err *e)
{
	struct member *m = arg;

	(void)e;
	for (size_t i = 0; i < N_OF(m->conns); i++) {
		if (m->conns[i] == c)
			http_conn_free(&m->conns[i]);
	}
}

int
member_connect(struct member *m)
{
	static const struct tls_conn_cbs none = {0};
	static const struct http_conn_cbs cbs = {
	    .on_request = member_request, .on_close = member_closed};
	struct tls_conn *tls;
	struct err e;
	int fd[2];

	fix_pair(fd);
	tls = tls_conn_new(
	    m->loop, m->tls.server_ctx, fd[0], NULL, &none, NULL, &e);
	assert_non_null(tls);
	for (size_t i = 0; i < N_OF(m->conns); i++) {
		if (m->conns[i] != NULL)
			continue;
		m->conns[i] = http_conn_new(tls, NULL, &cbs, m, &e);
		assert_non_null(m->conns[i]);
		m->n_conns++;
		return fd[1];
	}
	fail_msg("too many connections");
	return -1;
}

void
member_answer(struct member *m, const char *method, const char *path, int code,
    const char *body)
{
	assert_true(m->n_answers < N_OF(m->answers));
	m->answers[m->n_answers++] =
	    (struct member_answer){method, path, code, body};
}

const char *
member_asked(const struct member *m, const char *what)
{
	for (size_t i = 0; i < m->n_asked; i++) {
		if (strstr(m->asked[i], what) != NULL)
			return m->asked[i];
	}
	return NULL;
}

void
member_init(struct member *m, struct ev_loop *loop)
{
	memset(m, 0, sizeof(*m));
	m->loop = loop;
	fix_tls_make(&m->tls);
	for (size_t i = 0; i < MEMBER_SOCKETS_MAX; i++)
		buf_init(&m->sockets[i].got, 0);
}

void
member_deinit(struct member *m)
{
	for (size_t i = 0; i < N_OF(m->conns); i++)
		http_conn_free(&m->conns[i]);
	for (size_t i = 0; i < MEMBER_SOCKETS_MAX; i++) {
		ws_conn_free(&m->sockets[i].ws);
		buf_free(&m->sockets[i].got);
	}
	for (size_t i = 0; i < m->n_asked; i++)
		free(m->asked[i]);
	fix_tls_free(&m->tls);
}
