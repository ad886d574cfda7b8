/* api: the operator's HTTPS API: connections and whole requests. */
#ifndef CLIENT_API_H
#define CLIENT_API_H

#include <cjson/cJSON.h>

#include "client/kubeconfig_read.h"
#include "lib/ev.h"
#include "net/http_client.h"
#include "net/tls_conn.h"

struct cli_api {
	struct ev_loop *loop;
	struct cli_kube kube;
	struct tls_ctx *tls;
	char host[256];
	char host_port[300];
	char port[8];
	char prefix[256];
	char user_name[128]; /* x-client-name */
	char host_name[128]; /* x-client-hostname */
	char *client_der;    /* x-client-der, base64; owned, may be NULL */
	bool stop;           /* a signal: ends cli_api_call */
	cJSON *object;       /* the operator object, once read; owned */
};

/* Reads the kubeconfig and makes the TLS context. */
int cli_api_init(struct cli_api *api, struct ev_loop *loop,
    const char *kubeconfig, const char *context, struct err *e);
void cli_api_free(struct cli_api *api);

/* Common header fields; out has room for CLI_API_FIELDS, ends with a NULL
 * name; auth is the room for one of the values. */
enum { CLI_API_FIELDS = 6, CLI_API_AUTH = 16500 };
void cli_api_fields(const struct cli_api *api, struct http_pair *out,
    char *auth, size_t auth_cap);

/* Opens a connection; exactly one call of fn, from the loop. */
typedef void cli_dial_fn(void *arg, struct tls_conn *conn, const struct err *e);
struct cli_dial;
struct cli_dial *cli_dial_start(
    struct cli_api *api, cli_dial_fn *fn, void *arg, struct err *e);
void cli_dial_cancel(struct cli_dial **d);

/*
 * One request. fn comes once, from the loop: answer is its own (an empty body
 * is an empty object), or e says what the operator said, in a sentence. A 503
 * (it starts) is tried again for a while.
 */
struct cli_call;
typedef void cli_call_fn(void *arg, cJSON *answer, const struct err *e);
/* NULL with *e. Strings are copied but method. */
struct cli_call *cli_call_start(struct cli_api *api, const char *method,
    const char *path, const cJSON *body, cli_call_fn *fn, void *arg,
    struct err *e);
void cli_call_cancel(struct cli_call **call);
/* The same, start to end (turns the loop). NULL with *e; ERR_CLOSED after
 * api->stop was set. */
cJSON *cli_api_call(struct cli_api *api, const char *method, const char *path,
    const cJSON *body, struct err *e);
/* E2, kept in api->object. */
#define CLI_API_OPERATOR \
	"/apis/operator.metalbear.co/v1/mirrordoperators/operator"
#define CLI_API_GROUP "/apis/operator.metalbear.co/v1"
int cli_api_operator(struct cli_api *api, struct err *e);
bool cli_api_has(const struct cli_api *api, const char *feature);
/* A refusal as an error whose text says what to do. */
int cli_api_refused(const struct status *s, int http_code, struct err *e);

#endif
