#include "config.h"

#include "tests/unit/net/net_fix.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"

static void
add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static void
bio_take(BIO *bio, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	buf_init(out, 0);
	assert_int_equal(buf_append(out, p, (size_t)n), 0);
	BIO_free(bio);
}

void
fix_cert_make(struct fix_cert *c, const struct fix_cert_opts *o)
{
	static long serial = 1;
	X509_NAME *name;
	BIO *bio;

	if (o->key != NULL && EVP_PKEY_up_ref(o->key) == 1)
		c->key = o->key;
	else
		c->key = EVP_EC_gen("P-256");
	c->x509 = X509_new();
	assert_non_null(c->key);
	assert_non_null(c->x509);
	X509_set_version(c->x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c->x509), serial++);
	X509_gmtime_adj(X509_getm_notBefore(c->x509), o->from_s);
	X509_gmtime_adj(X509_getm_notAfter(c->x509), o->to_s);
	X509_set_pubkey(c->x509, c->key);
	name = X509_get_subject_name(c->x509);
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_ASC, (const unsigned char *)o->cn, -1, -1, 0);
	X509_set_issuer_name(c->x509,
	    X509_get_subject_name(o->issuer ? o->issuer->x509 : c->x509));
	add_ext(c->x509, o->issuer ? o->issuer->x509 : c->x509,
	    NID_basic_constraints, o->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (o->san != NULL)
		add_ext(c->x509, o->issuer ? o->issuer->x509 : c->x509,
		    NID_subject_alt_name, o->san);
	assert_true(X509_sign(c->x509, o->issuer ? o->issuer->key : c->key,
			EVP_sha256()) > 0);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, c->x509);
	bio_take(bio, &c->cert_pem);
	bio = BIO_new(BIO_s_mem());
	if (o->key == NULL)
		PEM_write_bio_PrivateKey(
		    bio, c->key, NULL, NULL, 0, NULL, NULL);
	bio_take(bio, &c->key_pem);
}

void
fix_cert_free(struct fix_cert *c)
{
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
	buf_free(&c->cert_pem);
	buf_free(&c->key_pem);
}

void
fix_pair(int fd[2])
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	int lfd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(lfd >= 0);
	assert_int_equal(bind(lfd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(lfd, 1), 0);
	assert_int_equal(getsockname(lfd, (struct sockaddr *)&sa, &len), 0);
	fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[1], (struct sockaddr *)&sa, len), 0);
	fd[0] = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd[0] >= 0);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	close(lfd);
	signal(SIGPIPE, SIG_IGN);
}

static void
on_tick(void *arg)
{
	*(bool *)arg = true;
}

void
fix_run(struct ev_loop *loop, const bool *done, unsigned limit_ms)
{
	bool late = false;
	struct ev_timer *t = ev_timer_new(loop, on_tick, &late);

	ev_timer_set(t, limit_ms);
	while (!*done && !late)
		ev_loop_turn(loop, true);
	ev_timer_free(&t);
	if (!*done)
		fail_msg("nothing came of it in %u ms", limit_ms);
}

void
fix_settle(struct ev_loop *loop, unsigned ms)
{
	bool late = false;
	struct ev_timer *t = ev_timer_new(loop, on_tick, &late);

	ev_timer_set(t, ms);
	while (!late)
		ev_loop_turn(loop, true);
	ev_timer_free(&t);
}

void
fix_tls_make(struct fix_tls *f)
{
	const struct fix_cert_opts ca = {
	    .cn = "test ca", .ca = true, .from_s = -60, .to_s = 3600};
	const struct fix_cert_opts server = {.cn = "server",
	    .san = "DNS:localhost,IP:127.0.0.1",
	    .issuer = &f->ca,
	    .from_s = -60,
	    .to_s = 3600};
	const struct fix_cert_opts client = {
	    .cn = "alice", .issuer = &f->ca, .from_s = -60, .to_s = 3600};
	struct tls_server_opts so = {0};
	struct tls_client_opts co = {0};
	struct err e = {0};

	fix_cert_make(&f->ca, &ca);
	fix_cert_make(&f->other_ca, &ca);
	fix_cert_make(&f->server, &server);
	fix_cert_make(&f->client, &client);
	so.cert_pem = buf_span(&f->server.cert_pem);
	so.key_pem = buf_span(&f->server.key_pem);
	so.client_ca_pem = buf_span(&f->ca.cert_pem);
	f->server_ctx = tls_ctx_server_new(&so, &e);
	if (f->server_ctx == NULL)
		fail_msg("%s", e.text);
	co.ca_pem = buf_span(&f->ca.cert_pem);
	f->anon_ctx = tls_ctx_client_new(&co, &e);
	co.cert_pem = buf_span(&f->client.cert_pem);
	co.key = f->client.key;
	f->client_ctx = tls_ctx_client_new(&co, &e);
	if (f->client_ctx == NULL || f->anon_ctx == NULL)
		fail_msg("%s", e.text);
}

void
fix_tls_free(struct fix_tls *f)
{
	tls_ctx_free(&f->server_ctx);
	tls_ctx_free(&f->client_ctx);
	tls_ctx_free(&f->anon_ctx);
	fix_cert_free(&f->ca);
	fix_cert_free(&f->other_ca);
	fix_cert_free(&f->server);
	fix_cert_free(&f->client);
}
