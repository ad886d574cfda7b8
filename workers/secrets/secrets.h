/* secrets: the context of the secrets worker, and what its files share. */
#ifndef WORKERS_SECRETS_SECRETS_H
#define WORKERS_SECRETS_SECRETS_H

#include <cjson/cJSON.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "lib/buf.h"
#include "lib/list.h"
#include "workers/worker.h"

enum {
	SEC_MAX_FILE_BYTES = 65535,
	SEC_MAX_STATE_BYTES = 8 << 20,
	SEC_NAME_MAX = 64, /* of a common name or organization (X.520) */
	SEC_MAX_GROUPS = 32,
	SEC_KEY_BYTES = 32,
	SEC_SERIAL_BYTES = 16,
	SEC_HEX_SERIAL_BYTES = 2 * SEC_SERIAL_BYTES + 1,
	SEC_MAX_TTL_S = 10 * 366 * 24 * 3600,
};

/* One CA: its key never leaves this process. */
struct sec_ca {
	EVP_PKEY *key;
	X509 *cert;
	struct buf pem; /* the certificate */
};

struct sec {
	struct worker *w;
	int keys_fd;                 /* stateDir/INSTANCE/keys */
	int credentials_fd;          /* stateDir/INSTANCE/credentials */
	char credentials_path[4096]; /* for messages */
	struct sec_ca login;
	struct sec_ca credential;
	cJSON *state;        /* what keys/state.json holds, see store.c */
	struct list watched; /* struct sec_watched, one per remote cluster */
	struct ev_timer *poll;
	/* the administrator's socket */
	uint32_t control_gid; /* UINT32_MAX: no such group */
	int control_fd;
	struct ev_io *control_io;
	struct list control_conns;
	size_t n_control_conns;
};

/* ---- dirs.c: as root, in prepare ---- */

/* Opens both directories. */
int sec_dirs_open(struct sec *sec, struct err *e);

/* ---- file.c ---- */

/* Appends a whole file; -ERR_NOT_FOUND, -ERR_TOO_BIG (over max), -ERR_SYS. */
int sec_file_read(
    int dir_fd, const char *name, size_t max, struct buf *out, struct err *e);
/* Replaces it: write beside it, fsync, rename, fsync. Mode 0600. */
int sec_file_write(
    int dir_fd, const char *name, const void *p, size_t n, struct err *e);
/* Frees b after overwriting what it held. */
void sec_buf_wipe(struct buf *b);

/* ---- ca.c ---- */

enum sec_ca_kind { SEC_CA_LOGIN, SEC_CA_CREDENTIAL };

/* Loads the CA from the key directory; makes it when neither file exists. */
int sec_ca_open(struct sec_ca *ca, enum sec_ca_kind kind, int keys_fd,
    const char *instance, struct err *e);
void sec_ca_free(struct sec_ca *ca);

/* ---- x509_login.c: certificates of the login CA ---- */

struct sec_leaf {
	EVP_PKEY *key;       /* its public half is certified */
	const char *user;    /* common name */
	const cJSON *groups; /* array of texts, or NULL: organizations */
	const cJSON *hosts;  /* array of texts: a server's; else NULL */
	int64_t ttl_s;
};

/* Reads a public key somebody sent: P-256, P-384, Ed25519, RSA >= 2048. */
EVP_PKEY *sec_public_key(struct span spki, struct err *e);
/* PEM appended to out. serial needs SEC_HEX_SERIAL_BYTES. */
int sec_sign_leaf(const struct sec_ca *ca, const struct sec_leaf *leaf,
    struct buf *out, char *serial, int64_t *expires_s, struct err *e);
/* Names and addresses the frontends are reached by; owned by the caller. */
cJSON *sec_server_hosts(const cJSON *config);
/* "a1b2..", lower hex, of a certificate. */
void sec_serial_text(const X509 *cert, char *out);
/* A random positive serial whose text has no leading zero. */
int sec_serial_new(uint8_t out[SEC_SERIAL_BYTES]);

/* ---- csr.c ---- */

struct sec_csr {
	struct buf der; /* owned; the rest points into it */
	struct span subject;
	char common_name[256];
	uint8_t key[SEC_KEY_BYTES];
};

/* Reads the CLI's request (spec/operator-api.md §7.4), signature checked. */
int sec_csr_parse(struct span pem, struct sec_csr *out, struct err *e);
void sec_csr_free(struct sec_csr *csr);
/* The unpadded base64 of the key; needs 44 bytes. */
void sec_key_id(const uint8_t key[SEC_KEY_BYTES], char *out);

/* ---- x509_credential.c: certificates of the credential CA ---- */

struct sec_credential {
	const struct sec_csr *csr;
	const char *kind; /* "regular" or "ci" */
	const char *user;
	uint8_t serial[SEC_SERIAL_BYTES];
	int64_t not_before_s;
	int64_t not_after_s;
};

/* PEM with CRLF, NULL in the three AlgorithmIdentifiers (spec §7.5). */
int sec_sign_credential(const struct sec_ca *ca, const struct sec_credential *c,
    struct buf *out, struct err *e);

/* ---- store.c: what was issued, what is revoked, tokens ---- */

int sec_store_open(struct sec *sec, struct err *e);
/* groups may be NULL. key_id "" for login certificates. */
int sec_store_issued(struct sec *sec, const char *serial, const char *key_id,
    const char *user, const cJSON *groups, const char *kind, int64_t expires_s,
    struct err *e);
/* Everything of a user; *n_r how many certificates and tokens that was. */
int sec_store_revoke_user(
    struct sec *sec, const char *user, size_t *n_r, struct err *e);
/* A certificate by serial, or a token by its id. */
int sec_store_revoke_id(struct sec *sec, const char *id, struct err *e);
bool sec_store_is_revoked(const struct sec *sec, const char *id);
int sec_store_add_token(struct sec *sec, const char *sha256, const char *user,
    const cJSON *groups, int64_t expires_s, struct err *e);

/* ---- trust.c ---- */

/* TRUST to one frontend, or to all. */
void sec_trust_send(struct sec *sec, struct ipc_peer *peer);
void sec_trust_broadcast(struct sec *sec);

/* ---- credentials.c ---- */

/* Watches the clusters of the configuration. */
int sec_watch_start(struct sec *sec, struct err *e);
void sec_watch_reload(struct sec *sec);
void sec_watch_stop(struct sec *sec);
/* CREDENTIAL to the worker of this cluster, if both are there. */
void sec_watch_send(struct sec *sec, const char *cluster);
/* [{name, authType, error, expires}] for the status. */
cJSON *sec_watch_status(const struct sec *sec);

/* ---- control.c, control_ops.c ---- */

/* Takes the listening socket. */
int sec_control_listen(struct sec *sec, int fd, struct err *e);
void sec_control_stop(struct sec *sec);
/* One request line to one reply object. Never fails: the reply tells. */
cJSON *sec_control_do(struct sec *sec, const char *line, size_t n);

/* ---- sign.c, dispatch.c ---- */

ipc_handler_fn sec_on_sign_server, sec_on_sign_csr, sec_on_listener,
    sec_on_connected;
extern const struct sys_sandbox sec_sandbox;

int sec_prepare(struct worker *w, struct err *e);
int sec_start(struct worker *w, struct err *e);
void sec_on_peer(struct worker *w, struct ipc_peer *peer);
void sec_reload(struct worker *w, cJSON *old_config);
void sec_drain(struct worker *w, uint32_t deadline_ms);
void sec_stop(struct worker *w);

#endif
