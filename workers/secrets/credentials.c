/*
 * credentials: what the primary shows to each remote cluster (design §8).
 *
 * credentials/NAME/{tls.crt,tls.key,ca.crt,bearerToken}; PEM, or base64 of
 * it. The files are looked at every two seconds (below an empty root, inotify
 * has no path to watch) and read again when one changed, or when what was sent
 * has expired since. Nothing of them stays in this process after CREDENTIAL
 * has gone to the worker of that cluster, which is the only one to get it.
 */
#include "config.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

enum {
	POLL_MS = 2000,
	N_FILES = 4,
	MAX_TOKEN_BYTES = 16384,
	MAX_JWT_PART_BYTES = 16384,
};

enum file { CERT, KEY, CA, TOKEN };
static const char *const files[N_FILES] = {[CERT] = "tls.crt",
    [KEY] = "tls.key",
    [CA] = "ca.crt",
    [TOKEN] = "bearerToken"};

/* What tells whether a file is still the one that was read. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec ctime; /* content, owner or mode changed */
};

struct sec_watched {
	struct list node;
	char name[254];
	char kind[32]; /* authType */
	char *ca_data; /* owned; of the configuration, "" = none */
	struct stamp stamps[N_FILES];
	char error[1024]; /* of what was sent last, "" = it is good */
	uint64_t expires_s;
	bool sent;
	bool looked; /* the files have been read, or found missing */
};

/* One reading of the files; wiped after it was sent. */
struct reading {
	struct buf files[N_FILES];
	uint64_t expires_s;
};

/* base64 of PEM becomes PEM. */
static int
as_pem(struct buf *b)
{
	struct buf out;
	int rc;

	if (b->len >= 10 && memcmp(buf_data(b), "-----BEGIN", 10) == 0)
		return 0;
	buf_init(&out, SEC_MAX_FILE_BYTES);
	if (buf_reserve(&out, b->len) != 0)
		return -ERR_NOMEM;
	rc = str_base64_decode(&out, (char *)buf_data(b), b->len);
	if (rc == 0 &&
	    (out.len < 10 || memcmp(buf_data(&out), "-----BEGIN", 10) != 0))
		rc = -ERR_INVALID;
	if (rc != 0) {
		sec_buf_wipe(&out);
		return rc;
	}
	sec_buf_wipe(b);
	*b = out;
	return 0;
}

static X509 *
read_cert(const struct buf *b)
{
	BIO *bio = BIO_new_mem_buf(buf_data(b), (int)b->len);
	X509 *x = NULL;

	if (bio != NULL)
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ERR_clear_error();
	return x;
}

static int
no_password(char *out, int cap, int writing, void *arg)
{
	(void)out;
	(void)cap;
	(void)writing;
	(void)arg;
	return -1;
}

static bool
key_fits(const X509 *cert, const struct buf *b)
{
	BIO *bio = BIO_new_mem_buf(buf_data(b), (int)b->len);
	EVP_PKEY *key = NULL;
	bool ok;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	ok = key != NULL && X509_check_private_key(cert, key) == 1;
	EVP_PKEY_free(key);
	BIO_free(bio);
	ERR_clear_error();
	return ok;
}

static int64_t
end_of(const X509 *cert)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm);
}

static int
check_mtls(struct reading *r, struct err *e)
{
	X509 *cert;
	int64_t end;

	if (as_pem(&r->files[CERT]) != 0 || as_pem(&r->files[KEY]) != 0)
		return err_set(e, ERR_INVALID,
		    "tls.crt and tls.key must be PEM or base64 of PEM");
	cert = read_cert(&r->files[CERT]);
	if (cert == NULL)
		return err_set(e, ERR_INVALID, "tls.crt holds no certificate");
	if (!key_fits(cert, &r->files[KEY])) {
		X509_free(cert);
		return err_set(e, ERR_INVALID,
		    "tls.key is not the key of the certificate in tls.crt");
	}
	end = end_of(cert);
	X509_free(cert);
	r->expires_s = (uint64_t)end;
	if (end < clock_wall_s())
		return err_set(e, ERR_TIMEOUT,
		    "the certificate in tls.crt has expired; put a new one "
		    "there");
	return 0;
}

/* The end of a JWT, 0 for another token or one without an end. */
static uint64_t
jwt_end(const char *token)
{
	const char *body = strchr(token, '.'), *end;
	struct buf out;
	cJSON *claims = NULL;
	uint64_t exp = 0;

	end = body != NULL ? strchr(body + 1, '.') : NULL;
	if (end == NULL)
		return 0;
	buf_init(&out, MAX_JWT_PART_BYTES);
	if (str_base64_decode(&out, body + 1, (size_t)(end - body - 1)) == 0)
		claims = json_parse(buf_data(&out), out.len, NULL);
	exp = (uint64_t)json_int(claims, "exp", 0, INT64_C(1) << 52, 0);
	cJSON_Delete(claims);
	sec_buf_wipe(&out);
	return exp;
}

static int
check_token(struct reading *r, struct err *e)
{
	struct buf *b = &r->files[TOKEN];
	const char *text;

	while (b->len > 0 && strchr(" \t\r\n", buf_tail(b)[-1]) != NULL)
		b->len--;
	text = buf_cstr(b);
	if (text == NULL || b->len == 0 || b->len > MAX_TOKEN_BYTES ||
	    strlen(text) != b->len || strpbrk(text, " \t\r\n") != NULL)
		return err_set(e, ERR_INVALID,
		    "bearerToken must hold one token of at most %d bytes and "
		    "nothing else",
		    MAX_TOKEN_BYTES);
	r->expires_s = jwt_end(text);
	if (r->expires_s != 0 && (int64_t)r->expires_s < clock_wall_s())
		return err_set(e, ERR_TIMEOUT,
		    "the token in bearerToken has expired; put a new one "
		    "there");
	return 0;
}

static int
open_cluster(const struct sec *sec, const struct sec_watched *c)
{
	return openat(sec->credentials_fd, c->name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* One file into r; must: its absence is an error. */
static int
read_one(struct reading *r, int dir_fd, enum file f, bool must, struct err *e)
{
	int rc = sec_file_read(
	    dir_fd, files[f], SEC_MAX_FILE_BYTES, &r->files[f], e);

	if (rc == -ERR_NOT_FOUND && !must)
		return 0;
	if (rc == -ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND,
		    "%s is missing; `tributary %s NAME --credentials DIR` on "
		    "that cluster makes it",
		    files[f], f == TOKEN ? "token" : "kubeconfig");
	if (rc == -ERR_SYS)
		return err_wrap(e,
		    "the secrets worker may not read its file; tributaryd "
		    "lets it within seconds if it is a plain file");
	return rc;
}

static int
read_files(
    struct reading *r, int dir_fd, const struct sec_watched *c, struct err *e)
{
	int rc;

	if (strcmp(c->kind, "mtls") != 0 && strcmp(c->kind, "bearerToken") != 0)
		return err_set(e, ERR_UNSUPPORTED,
		    "authType %s works only with the platform kubernetes",
		    c->kind);
	if (dir_fd < 0)
		return err_set(e, ERR_NOT_FOUND,
		    "the directory is missing or not readable; make it with "
		    "`tributary %s NAME --credentials DIR` on that cluster",
		    strcmp(c->kind, "mtls") == 0 ? "kubeconfig" : "token");
	if (strcmp(c->kind, "mtls") == 0) {
		rc = read_one(r, dir_fd, CERT, true, e);
		if (rc == 0)
			rc = read_one(r, dir_fd, KEY, true, e);
		if (rc == 0)
			rc = check_mtls(r, e);
	} else {
		rc = read_one(r, dir_fd, TOKEN, true, e);
		if (rc == 0)
			rc = check_token(r, e);
	}
	if (rc == 0 && c->ca_data[0] == '\0') {
		rc = read_one(r, dir_fd, CA, false, e);
		if (rc == 0 && r->files[CA].len > 0 &&
		    as_pem(&r->files[CA]) != 0)
			rc = err_set(e, ERR_INVALID,
			    "ca.crt must be PEM or base64 of PEM");
	}
	return rc;
}

static void
take_stamps(struct stamp stamps[N_FILES], int dir_fd)
{
	memset(stamps, 0, N_FILES * sizeof(*stamps));
	for (size_t i = 0; i < N_FILES; i++) {
		struct stat st;

		if (dir_fd < 0 ||
		    fstatat(dir_fd, files[i], &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		stamps[i].dev = st.st_dev;
		stamps[i].ino = st.st_ino;
		stamps[i].size = st.st_size;
		stamps[i].ctime = st.st_ctim;
	}
}

static void
send_reading(
    struct ipc_peer *peer, const struct sec_watched *c, const struct reading *r)
{
	struct ipc_credential m = {
	    .cluster = c->name,
	    .kind = c->kind,
	    .expires_s = r->expires_s,
	    .error = c->error,
	};

	if (c->error[0] == '\0') {
		m.ca_pem = c->ca_data[0] != '\0'
			       ? (struct span){(const uint8_t *)c->ca_data,
				     strlen(c->ca_data)}
			       : buf_span(&r->files[CA]);
		m.cert_pem = buf_span(&r->files[CERT]);
		m.key_pem = buf_span(&r->files[KEY]);
		m.token = buf_span(&r->files[TOKEN]);
	}
	if (ipc_send(peer, IPC_CREDENTIAL, 0, 0, 0, &m, NULL, 0) != 0)
		log_error("CREDENTIAL could not be sent cluster=%s", c->name);
}

/* Reads what is there now and sends it, good or bad. */
static void
renew(struct sec *sec, struct sec_watched *c)
{
	struct ipc_peer *peer = worker_peer_named(sec->w, IPC_CLU, c->name);
	struct reading r = {0};
	struct err e = {0};
	int dir_fd = open_cluster(sec, c), rc;

	for (size_t i = 0; i < N_FILES; i++)
		buf_init(&r.files[i], SEC_MAX_FILE_BYTES + 1);
	/* first the stamps: what changes now is seen the next time */
	take_stamps(c->stamps, dir_fd);
	rc = read_files(&r, dir_fd, c, &e);
	c->error[0] = '\0';
	if (rc != 0)
		(void)str_fmt(c->error, sizeof(c->error), "%.300s/%.253s: %s",
		    sec->credentials_path, c->name, e.text);
	c->expires_s = r.expires_s;
	c->sent = peer != NULL;
	c->looked = true;
	if (peer != NULL)
		send_reading(peer, c, &r);
	if (rc != 0)
		log_warn("no credential cluster=%s why=%s", c->name, c->error);
	else
		log_info("credential read cluster=%s kind=%s expires=%llu",
		    c->name, c->kind, (unsigned long long)c->expires_s);
	for (size_t i = 0; i < N_FILES; i++)
		sec_buf_wipe(&r.files[i]);
	if (dir_fd >= 0)
		close(dir_fd);
}

static bool
has_changed(const struct sec *sec, const struct sec_watched *c)
{
	struct stamp now[N_FILES];
	int dir_fd = open_cluster(sec, c);
	bool changed = !c->looked;

	take_stamps(now, dir_fd);
	if (dir_fd >= 0)
		close(dir_fd);
	for (size_t i = 0; i < N_FILES; i++)
		changed = changed || now[i].ino != c->stamps[i].ino ||
			  now[i].dev != c->stamps[i].dev ||
			  now[i].size != c->stamps[i].size ||
			  now[i].ctime.tv_sec != c->stamps[i].ctime.tv_sec ||
			  now[i].ctime.tv_nsec != c->stamps[i].ctime.tv_nsec;
	/* what was good when it was sent may have ended since */
	return changed || (c->error[0] == '\0' && c->expires_s != 0 &&
			      (int64_t)c->expires_s < clock_wall_s());
}

static void
on_poll(void *arg)
{
	struct sec *sec = arg;

	LIST_FOR_EACH (node, &sec->watched) {
		struct sec_watched *c =
		    LIST_ENTRY(node, struct sec_watched, node);

		if (has_changed(sec, c))
			renew(sec, c);
	}
	ev_timer_set(sec->poll, POLL_MS);
}

static struct sec_watched *
find(const struct sec *sec, const char *name)
{
	LIST_FOR_EACH (node, &sec->watched) {
		struct sec_watched *c =
		    LIST_ENTRY(node, struct sec_watched, node);

		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static void
forget(struct sec_watched *c)
{
	list_remove(&c->node);
	free(c->ca_data);
	free(c);
}

/* From the configuration; the name has passed its check. */
static int
watch(struct sec *sec, const cJSON *cluster)
{
	const char *name = json_str(cluster, "name", "");
	struct sec_watched *c;

	if (*name == '\0' || strchr(name, '/') != NULL ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0; /* no directory's name; refused before it got here */
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ERR_NOMEM;
	list_push(&sec->watched, &c->node);
	c->ca_data = strdup(json_str(cluster, "caData", ""));
	if (c->ca_data == NULL ||
	    str_fmt(c->name, sizeof(c->name), "%s", name) != 0 ||
	    str_fmt(c->kind, sizeof(c->kind), "%s",
		json_str(cluster, "authType", "")) != 0) {
		forget(c);
		return -ERR_NOMEM;
	}
	return 0;
}

int
sec_watch_start(struct sec *sec, struct err *e)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, cJSON_GetObjectItem(sec->w->config, "clusters"))
	{
		if (watch(sec, c) != 0)
			return err_nomem(e);
	}
	sec->poll = ev_timer_new(sec->w->loop, on_poll, sec);
	if (sec->poll == NULL)
		return err_nomem(e);
	ev_timer_set(sec->poll, POLL_MS);
	return 0;
}

/* The list anew; every credential is read and sent again at once. */
void
sec_watch_reload(struct sec *sec)
{
	struct err e;

	sec_watch_stop(sec);
	if (sec_watch_start(sec, &e) == 0)
		ev_timer_set(sec->poll, 0);
	else
		log_error("clusters are not watched: %s", e.text);
}

void
sec_watch_stop(struct sec *sec)
{
	ev_timer_free(&sec->poll);
	LIST_FOR_EACH_SAFE (node, &sec->watched)
		forget(LIST_ENTRY(node, struct sec_watched, node));
}

void
sec_watch_send(struct sec *sec, const char *cluster)
{
	struct sec_watched *c = find(sec, cluster);

	if (c != NULL)
		renew(sec, c);
}

cJSON *
sec_watch_status(const struct sec *sec)
{
	cJSON *list = cJSON_CreateArray();

	LIST_FOR_EACH (node, &sec->watched) {
		const struct sec_watched *c =
		    LIST_ENTRY(node, struct sec_watched, node);
		cJSON *one = cJSON_CreateObject();

		cJSON_AddStringToObject(one, "name", c->name);
		cJSON_AddStringToObject(one, "authType", c->kind);
		cJSON_AddStringToObject(one, "error", c->error);
		cJSON_AddNumberToObject(one, "expires", (double)c->expires_s);
		cJSON_AddBoolToObject(one, "sent", c->sent);
		cJSON_AddItemToArray(list, one);
	}
	return list;
}
