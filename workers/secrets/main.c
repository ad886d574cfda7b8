/*
 * The secrets worker: both certificate authorities, revocations, tokens, and
 * the credentials for remote clusters (design §4, §8).
 *
 * Holds: every key but the frontends' serving keys. Parses: certificate
 * requests and public keys that frontends pass on, files of the
 * administrator, and requests on the control socket. May: read and write its
 * key directory, read credentials/. It never sees a session and never
 * connects. Its death leaves sessions alone; signing waits for its return.
 */
#include "config.h"

#include <grp.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "workers/secrets/secrets.h"

static uint32_t
find_group(const char *name)
{
	const struct group *g = getgrnam(name);

	if (g != NULL)
		return (uint32_t)g->gr_gid;
	log_warn("there is no group %s (controlGroup); only root may use the "
		 "control socket",
	    name);
	return UINT32_MAX;
}

int
sec_prepare(struct worker *w, struct err *e)
{
	struct sec *sec = calloc(1, sizeof(*sec));
	int rc;

	if (sec == NULL)
		return err_nomem(e);
	w->state = sec;
	sec->w = w;
	sec->keys_fd = sec->credentials_fd = sec->control_fd = -1;
	list_init(&sec->watched);
	list_init(&sec->control_conns);
	/* providers and configuration are files: now or never */
	if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1 ||
	    EVP_sha256() == NULL)
		return err_set(e, ERR_INTERNAL, "OpenSSL does not start");
	sec->control_gid =
	    find_group(json_str(w->config, "controlGroup", "tributary"));
	rc = sec_dirs_open(sec, e);
	if (rc == 0)
		rc = worker_allow_dir(w, sec->keys_fd,
		    SYS_LANDLOCK_READ | SYS_LANDLOCK_WRITE |
			SYS_LANDLOCK_CREATE,
		    e);
	if (rc == 0)
		rc = worker_allow_dir(
		    w, sec->credentials_fd, SYS_LANDLOCK_READ, e);
	return rc;
}

int
sec_start(struct worker *w, struct err *e)
{
	struct sec *sec = w->state;
	int rc = sec_ca_open(
	    &sec->login, SEC_CA_LOGIN, sec->keys_fd, w->instance, e);

	if (rc == 0)
		rc = sec_ca_open(&sec->credential, SEC_CA_CREDENTIAL,
		    sec->keys_fd, w->instance, e);
	if (rc == 0)
		rc = sec_store_open(sec, e);
	if (rc == 0)
		rc = sec_watch_start(sec, e);
	return rc;
}

void
sec_on_peer(struct worker *w, struct ipc_peer *peer)
{
	if (ipc_peer_role(peer) == IPC_FE)
		sec_trust_send(w->state, peer);
	else if (ipc_peer_role(peer) == IPC_CLU)
		sec_watch_send(w->state, ipc_peer_name(peer));
}

int
sec_on_listener(void *worker, struct ipc_in *in, struct err *e)
{
	struct sec *sec = ((struct worker *)worker)->state;
	const struct ipc_listener *m = in->payload;
	int fd;

	if (strcmp(m->kind, "control") != 0 || in->n_fds != 1)
		return err_set(e, ERR_INVALID,
		    "LISTENER %s is not for the secrets worker", m->kind);
	fd = in->fds[0];
	in->fds[0] = -1;
	return sec_control_listen(sec, fd, e);
}

/* Nothing was asked of the connector: renewal comes with Kubernetes. */
int
sec_on_connected(void *worker, struct ipc_in *in, struct err *e)
{
	(void)worker;
	(void)in;
	return err_set(e, ERR_INVALID, "CONNECTED without a request");
}

void
sec_reload(struct worker *w, cJSON *old_config)
{
	(void)old_config;
	sec_watch_reload(w->state);
}

void
sec_drain(struct worker *w, uint32_t deadline_ms)
{
	(void)deadline_ms;
	sec_control_stop(w->state);
	worker_drained(w);
}

void
sec_stop(struct worker *w)
{
	struct sec *sec = w->state;

	if (sec == NULL)
		return;
	sec_watch_stop(sec);
	sec_control_stop(sec);
	sec_ca_free(&sec->login);
	sec_ca_free(&sec->credential);
	cJSON_Delete(sec->state);
	if (sec->keys_fd >= 0)
		close(sec->keys_fd);
	if (sec->credentials_fd >= 0)
		close(sec->credentials_fd);
	free(sec);
	w->state = NULL;
}
