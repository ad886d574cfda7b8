/* The cluster's address and the one credential this worker may hold. */
#include "config.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/str.h"
#include "workers/cluster/cluster.h"

/* "https://host[:port][/prefix]"; IPv6 hosts in brackets. */
int
clu_server_parse(struct clu *clu, const char *url, struct err *e)
{
	const char *p, *end, *path;
	size_t n;

	if (!str_starts(url, "https://"))
		return err_set(e, ERR_INVALID, "server must be an https URL");
	p = url + 8;
	path = strchr(p, '/');
	n = path == NULL ? strlen(p) : (size_t)(path - p);
	if (n == 0 || str_fmt(clu->host_port, sizeof(clu->host_port), "%.*s",
			  (int)n, p) < 0)
		return err_set(e, ERR_INVALID, "server: no host in %s", url);
	if (*p == '[') {
		end = strchr(p, ']');
		p++;
	} else {
		end = memchr(p, ':', n);
		if (end == NULL)
			end = p + n;
	}
	if (end == NULL || str_fmt(clu->host, sizeof(clu->host), "%.*s",
			       (int)(end - p), p) < 0)
		return err_set(e, ERR_INVALID, "server: bad host in %s", url);
	if (path == NULL ||
	    str_fmt(clu->prefix, sizeof(clu->prefix), "%s", path) < 0)
		clu->prefix[0] = '\0';
	n = strlen(clu->prefix);
	while (n > 0 && clu->prefix[n - 1] == '/')
		clu->prefix[--n] = '\0';
	return 0;
}

static void
token_set(struct clu *clu, struct span token)
{
	if (clu->token != NULL)
		OPENSSL_cleanse(clu->token, strlen(clu->token));
	free(clu->token);
	clu->token = NULL;
	if (token.n > 0)
		clu->token = strndup((const char *)token.p, token.n);
}

int
clu_on_credential(void *worker, struct ipc_in *in, struct err *e)
{
	struct worker *w = worker;
	struct clu *clu = w->state;
	const struct ipc_credential *m = in->payload;
	struct tls_client_opts o = {
	    .verify = TLS_VERIFY_CA,
	    .ca_pem = m->ca_pem.n > 0 ? m->ca_pem : buf_span(&clu->roots),
	    .cert_pem = m->cert_pem,
	    .key_pem = m->key_pem,
	};
	struct tls_ctx *ctx = NULL;
	struct err why;

	if (strcmp(m->cluster, w->name) != 0)
		return err_set(e, ERR_DENIED,
		    "a credential of cluster %s came to %s", m->cluster,
		    w->name);
	if (m->error[0] != '\0')
		err_set(&why, ERR_DENIED, "%s", m->error);
	else
		ctx = tls_ctx_client_new(&o, &why);
	clu->credential_expires_s = m->expires_s;
	if (ctx == NULL) {
		str_fmt(clu->credential_error, sizeof(clu->credential_error),
		    "credential of cluster %s: %s", w->name, why.text);
		log_error("%s", clu->credential_error);
		/* Open streams were let in and stay; new ones use what still
		 * works, if anything does. */
		clu_tell_state(clu, clu->credential_error);
		return 0;
	}
	tls_ctx_free(&clu->tls);
	clu->tls = ctx;
	token_set(clu, m->token);
	clu->credential_error[0] = '\0';
	clu_requests_forget_idle(clu);
	log_info("credential taken kind=%s", m->kind);
	clu_health_start(clu);
	return 0;
}
