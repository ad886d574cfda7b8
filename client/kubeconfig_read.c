#include "config.h"

#include "client/kubeconfig_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/str.h"
#include "lib/yaml.h"

enum { KUBE_FILE_MAX_BYTES = 1 << 20 };

/* What is being read, for errors and relative paths. */
struct kube_file {
	const char *path;
	struct err *e;
};

static void
kube_problem(void *arg, const char *file, unsigned line, unsigned column,
    const char *text)
{
	struct kube_file *f = arg;

	err_set(f->e, ERR_INVALID, "%s:%u:%u: %s", file, line, column, text);
}

static const char *
node_text(const struct yml_node *map, const char *key)
{
	const struct yml_node *n = map == NULL ? NULL : yml_get(map, key);

	return n != NULL && n->kind == YML_SCALAR && n->text[0] != '\0'
		   ? n->text
		   : NULL;
}

/* The entry called name of the list key; its value below inner. */
static const struct yml_node *
node_named(const struct yml_node *root, const char *key, const char *inner,
    const char *name)
{
	const struct yml_node *list = yml_get(root, key);

	for (size_t i = 0;
	     list != NULL && list->kind == YML_LIST && i < list->count; i++) {
		const char *n = node_text(list->items[i], "name");

		if (list->items[i]->kind == YML_MAP && n != NULL &&
		    strcmp(n, name) == 0)
			return yml_get(list->items[i], inner);
	}
	return NULL;
}

static int
read_file(const char *path, struct buf *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	do {
		if (buf_reserve(out, 16384) < 0) {
			close(fd);
			return err_set(e, ERR_TOO_BIG, "%s is too long", path);
		}
		n = read(fd, buf_tail(out), 16384);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0);
	close(fd);
	return n < 0 ? err_sys(e, errno, "%s", path) : 0;
}

/* KEY-data (base64) or KEY (a file, relative to the kubeconfig). */
static int
read_pem(const struct kube_file *f, const struct yml_node *map, const char *key,
    struct buf *out)
{
	const char *slash = strrchr(f->path, '/');
	const char *value;
	char name[128], path[4096];

	snprintf(name, sizeof(name), "%s-data", key);
	value = node_text(map, name);
	if (value != NULL) {
		if (str_base64_decode(out, value, strlen(value)) < 0)
			return err_set(f->e, ERR_INVALID,
			    "%s: %s is not base64", f->path, name);
		return 0;
	}
	value = node_text(map, key);
	if (value == NULL)
		return 0;
	if (value[0] == '/' || slash == NULL)
		snprintf(path, sizeof(path), "%s", value);
	else
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - f->path),
		    f->path, value);
	return read_file(path, out, f->e);
}

static int
kube_cluster(
    const struct kube_file *f, const struct yml_node *c, struct cli_kube *out)
{
	const char *server = node_text(c, "server");
	const char *insecure = node_text(c, "insecure-skip-tls-verify");
	const char *name = node_text(c, "tls-server-name");

	if (server == NULL || !str_starts(server, "https://"))
		return err_set(f->e, ERR_INVALID,
		    "%s: the cluster of context %s has no https server",
		    f->path, out->context);
	out->server = strdup(server);
	out->tls_server_name = name == NULL ? NULL : strdup(name);
	out->insecure = insecure != NULL && strcmp(insecure, "true") == 0;
	if (out->server == NULL)
		return err_nomem(f->e);
	return read_pem(f, c, "certificate-authority", &out->ca_pem);
}

static int
kube_user(
    const struct kube_file *f, const struct yml_node *u, struct cli_kube *out)
{
	const char *token = node_text(u, "token");
	const char *file = node_text(u, "tokenFile");
	int rc = read_pem(f, u, "client-certificate", &out->cert_pem);
	struct buf b;

	if (rc == 0)
		rc = read_pem(f, u, "client-key", &out->key_pem);
	if (rc < 0)
		return rc;
	if (yml_get(u, "exec") != NULL && token == NULL &&
	    out->cert_pem.len == 0)
		return err_set(f->e, ERR_UNSUPPORTED,
		    "%s: the user of context %s has an exec plugin, which "
		    "this client does not run; use a certificate or a token",
		    f->path, out->context);
	if (token != NULL) {
		out->token = strdup(token);
		return out->token == NULL ? err_nomem(f->e) : 0;
	}
	if (file == NULL)
		return 0;
	buf_init(&b, 65536);
	rc = read_file(file, &b, f->e);
	out->token = rc == 0 ? buf_take(&b) : NULL;
	buf_free(&b);
	if (out->token != NULL)
		out->token[strcspn(out->token, "\r\n")] = '\0';
	return rc;
}

static int
kube_parts(const struct kube_file *f, const struct yml_node *root,
    const char *context, struct cli_kube *out)
{
	const struct yml_node *ctx, *cluster, *user;
	const char *name;

	if (context == NULL)
		context = node_text(root, "current-context");
	if (context == NULL)
		return err_set(f->e, ERR_INVALID,
		    "%s has no current-context; choose one with --context",
		    f->path);
	out->context = strdup(context);
	ctx = node_named(root, "contexts", "context", context);
	if (ctx == NULL || out->context == NULL)
		return err_set(f->e, ERR_NOT_FOUND, "%s has no context %s",
		    f->path, context);
	name = node_text(ctx, "cluster");
	cluster =
	    name == NULL ? NULL : node_named(root, "clusters", "cluster", name);
	if (cluster == NULL)
		return err_set(f->e, ERR_INVALID,
		    "%s: context %s names no known cluster", f->path, context);
	name = node_text(ctx, "namespace");
	out->namespace = strdup(name == NULL ? "default" : name);
	if (out->namespace == NULL)
		return err_nomem(f->e);
	if (kube_cluster(f, cluster, out) < 0)
		return -(int)f->e->code;
	name = node_text(ctx, "user");
	user = name == NULL ? NULL : node_named(root, "users", "user", name);
	return user == NULL ? 0 : kube_user(f, user, out);
}

int
cli_kube_read(
    const char *path, const char *context, struct cli_kube *out, struct err *e)
{
	const char *env = getenv("KUBECONFIG"), *home = getenv("HOME");
	char name[4096];
	struct yml_node *root = NULL;
	struct kube_file f = {.path = name, .e = e};
	int rc;

	memset(out, 0, sizeof(*out));
	buf_init(&out->ca_pem, KUBE_FILE_MAX_BYTES);
	buf_init(&out->cert_pem, KUBE_FILE_MAX_BYTES);
	buf_init(&out->key_pem, KUBE_FILE_MAX_BYTES);
	if (path != NULL)
		rc = str_fmt(name, sizeof(name), "%s", path);
	else if (env != NULL && env[0] != '\0')
		rc = str_fmt(
		    name, sizeof(name), "%.*s", (int)strcspn(env, ":"), env);
	else
		rc = str_fmt(name, sizeof(name), "%s/.kube/config",
		    home == NULL ? "" : home);
	if (rc < 0)
		return err_set(e, ERR_INVALID, "the path is too long");
	err_set(e, ERR_INVALID, "%s is empty", name);
	rc = yml_parse_file(name, kube_problem, &f, &root);
	if (rc == 0 && (root == NULL || root->kind != YML_MAP))
		rc = err_set(e, ERR_INVALID, "%s is not a kubeconfig", name);
	if (rc == 0)
		rc = kube_parts(&f, root, context, out);
	yml_free(&root);
	if (rc < 0)
		cli_kube_free(out);
	return rc;
}

void
cli_kube_free(struct cli_kube *k)
{
	free(k->server);
	free(k->namespace);
	free(k->context);
	free(k->token);
	free(k->tls_server_name);
	buf_free(&k->ca_pem);
	buf_free(&k->cert_pem);
	if (k->key_pem.base != NULL)
		memset(k->key_pem.base, 0, k->key_pem.cap);
	buf_free(&k->key_pem);
	memset(k, 0, sizeof(*k));
}
