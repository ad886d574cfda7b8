#include "config.h"

#include "client/api.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/str.h"

/* Header values are printable ASCII, as the stock CLI cleans them. */
static void
clean(char *s)
{
	char *to = s;

	for (char *c = s; *c != '\0'; c++) {
		if ((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f)
			*to++ = *c;
	}
	*to = '\0';
}

static int
api_server(struct cli_api *api, struct err *e)
{
	const char *p = api->kube.server + strlen("https://");
	const char *path = strchr(p, '/');
	size_t n = path == NULL ? strlen(p) : (size_t)(path - p);
	const char *end = *p == '[' ? memchr(p, ']', n) : memchr(p, ':', n);
	const char *port;
	int rc;

	rc = str_fmt(api->host_port, sizeof(api->host_port), "%.*s", (int)n, p);
	port = end == NULL ? NULL : memchr(end, ':', n - (size_t)(end - p));
	if (end == NULL)
		end = p + n;
	if (*p == '[')
		p++;
	rc |= str_fmt(api->host, sizeof(api->host), "%.*s", (int)(end - p), p);
	rc |= str_fmt(api->port, sizeof(api->port), "%.*s",
	    port == NULL ? 3 : (int)strcspn(port + 1, "/"),
	    port == NULL ? "443" : port + 1);
	rc |= str_fmt(
	    api->prefix, sizeof(api->prefix), "%s", path == NULL ? "" : path);
	n = strlen(api->prefix);
	while (n > 0 && api->prefix[n - 1] == '/')
		api->prefix[--n] = '\0';
	if (rc != 0 || api->host[0] == '\0')
		return err_set(e, ERR_INVALID, "the server %s is no URL",
		    api->kube.server);
	return 0;
}

static int
api_tls(struct cli_api *api, struct err *e)
{
	struct tls_client_opts o = {
	    .verify = api->kube.insecure ? TLS_VERIFY_NONE : TLS_VERIFY_CA,
	    .ca_pem = buf_span(&api->kube.ca_pem),
	    .cert_pem = buf_span(&api->kube.cert_pem),
	    .key_pem = buf_span(&api->kube.key_pem),
	};
	struct buf roots;

	buf_init(&roots, 0);
	if (o.ca_pem.n == 0 && !api->kube.insecure) {
		if (tls_system_roots(&roots, e) < 0) {
			buf_free(&roots);
			return -(int)e->code;
		}
		o.ca_pem = buf_span(&roots);
	}
	api->tls = tls_ctx_client_new(&o, e);
	buf_free(&roots);
	return api->tls == NULL ? -(int)e->code : 0;
}

int
cli_api_init(struct cli_api *api, struct ev_loop *loop, const char *kubeconfig,
    const char *context, struct err *e)
{
	struct passwd *pw = getpwuid(geteuid());
	int rc;

	memset(api, 0, sizeof(*api));
	api->loop = loop;
	if (pw != NULL)
		str_fmt(api->user_name, sizeof(api->user_name), "%.*s",
		    (int)strcspn(
			pw->pw_gecos[0] != '\0' ? pw->pw_gecos : pw->pw_name,
			","),
		    pw->pw_gecos[0] != '\0' ? pw->pw_gecos : pw->pw_name);
	gethostname(api->host_name, sizeof(api->host_name) - 1);
	clean(api->user_name);
	clean(api->host_name);
	rc = cli_kube_read(kubeconfig, context, &api->kube, e);
	if (rc == 0)
		rc = api_server(api, e);
	if (rc == 0)
		rc = api_tls(api, e);
	return rc;
}

void
cli_api_free(struct cli_api *api)
{
	cJSON_Delete(api->object);
	free(api->client_der);
	tls_ctx_free(&api->tls);
	cli_kube_free(&api->kube);
}

void
cli_api_fields(const struct cli_api *api, struct http_pair *out, char *auth,
    size_t auth_cap)
{
	size_t n = 0;

	out[n++] = (struct http_pair){"x-mirrord-cli-version", PACKAGE_VERSION};
	out[n++] = (struct http_pair){"x-client-name", api->user_name};
	out[n++] = (struct http_pair){"x-client-hostname", api->host_name};
	if (api->client_der != NULL)
		out[n++] = (struct http_pair){"x-client-der", api->client_der};
	if (api->kube.token != NULL &&
	    str_fmt(auth, auth_cap, "Bearer %s", api->kube.token) == 0)
		out[n++] = (struct http_pair){"authorization", auth};
	out[n] = (struct http_pair){NULL, NULL};
}

int
cli_api_refused(const struct status *s, int http_code, struct err *e)
{
	const char *text =
	    s->message[0] != '\0' ? s->message : http_reason(http_code);
	int code = s->code != 0 ? s->code : http_code;

	switch (code) {
	case 401:
		return err_set(e, ERR_UNAUTHENTICATED,
		    "the operator does not know you: %s; ask its "
		    "administrator for a new kubeconfig",
		    text);
	case 403:
		return err_set(e, ERR_DENIED, "not allowed: %s", text);
	case 404:
		return err_set(e, ERR_NOT_FOUND, "not found: %s", text);
	case 409:
		return err_set(e, ERR_CONFLICT, "%s", text);
	case 410:
		return err_set(e, ERR_CLOSED, "the session is over: %s", text);
	default:
		return err_set(e, code >= 500 ? ERR_CLOSED : ERR_UNSUPPORTED,
		    "the operator refused (%d): %s", code, text);
	}
}

int
cli_api_operator(struct cli_api *api, struct err *e)
{
	cJSON_Delete(api->object);
	api->object = cli_api_call(api, "GET", CLI_API_OPERATOR, NULL, e);
	if (api->object == NULL)
		return err_wrap(e, "operator at %s", api->kube.server);
	return 0;
}

bool
cli_api_has(const struct cli_api *api, const char *feature)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, json_at(api->object, "spec.supported_features"))
	{
		if (cJSON_IsString(v) && strcmp(v->valuestring, feature) == 0)
			return true;
	}
	return false;
}
