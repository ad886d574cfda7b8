/*
 * store: keys/state.json, the memory of the authorities.
 *
 *   issued   [{serial, keyId, user, groups, kind, expires}]  certificates
 *   revoked  [{id, expires}]        serials and key ids that no longer count
 *   tokens   [{sha256, user, groups, expires}]       bearer tokens, hashed
 *
 * A change is made on a copy, written (write, fsync, rename) and only then
 * valid. Entries leave with their certificate's or token's end. A file that
 * does not parse stops the worker: going on without it would let everybody in
 * again who was revoked.
 */
#include "config.h"

#include <openssl/crypto.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "workers/secrets/secrets.h"

enum {
	MAX_ISSUED = 8192,
	MAX_PER_USER = 64,
	MAX_REVOKED = 8192,
	MAX_TOKENS = 1024,
	MAX_TOKENS_BYTES = 512 << 10,
};

#define STATE_FILE "state.json"
static const char *const lists[] = {"issued", "revoked", "tokens"};

static cJSON *
list_of(const cJSON *state, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(state, name);
}

static int64_t
expires_of(const cJSON *entry)
{
	return json_int(entry, "expires", 0, INT64_C(1) << 52, 0);
}

/* What has ended by itself needs no memory. */
static void
prune(cJSON *state)
{
	int64_t now_s = clock_wall_s();

	for (size_t i = 0; i < 3; i++) {
		cJSON *list = list_of(state, lists[i]), *v = list->child;

		while (v != NULL) {
			cJSON *next = v->next;
			int64_t at = expires_of(v);

			if (at != 0 && at < now_s)
				cJSON_Delete(
				    cJSON_DetachItemViaPointer(list, v));
			v = next;
		}
	}
}

static bool
is_state(const cJSON *state)
{
	const cJSON *v;

	for (size_t i = 0; i < 3; i++) {
		if (!cJSON_IsArray(list_of(state, lists[i])))
			return false;
		cJSON_ArrayForEach(v, list_of(state, lists[i]))
		{
			if (!cJSON_IsObject(v))
				return false;
		}
	}
	return true;
}

static cJSON *
new_state(void)
{
	cJSON *state = cJSON_CreateObject();

	for (size_t i = 0; state != NULL && i < 3; i++) {
		if (cJSON_AddArrayToObject(state, lists[i]) == NULL) {
			cJSON_Delete(state);
			return NULL;
		}
	}
	return state;
}

int
sec_store_open(struct sec *sec, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, SEC_MAX_STATE_BYTES + 1);
	rc = sec_file_read(
	    sec->keys_fd, STATE_FILE, SEC_MAX_STATE_BYTES, &text, e);
	if (rc == -ERR_NOT_FOUND) {
		sec->state = new_state();
		rc = sec->state != NULL ? 0 : err_nomem(e);
	} else if (rc == 0) {
		sec->state = json_parse(buf_data(&text), text.len, e);
		if (sec->state == NULL || !is_state(sec->state))
			rc = err_set(e, ERR_INVALID,
			    "keys/" STATE_FILE " does not parse; restore it "
			    "from a backup, or remove it to forget all "
			    "revocations and tokens");
	}
	buf_free(&text);
	if (rc == 0)
		prune(sec->state);
	return rc;
}

/* Makes next the state once it is on disk. Takes next. */
static int
commit(struct sec *sec, cJSON *next, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, SEC_MAX_STATE_BYTES);
	rc = json_print(next, &text) == 0
		 ? sec_file_write(
		       sec->keys_fd, STATE_FILE, buf_data(&text), text.len, e)
		 : err_nomem(e);
	buf_free(&text);
	if (rc != 0) {
		cJSON_Delete(next);
		return err_wrap(e, "nothing was changed");
	}
	cJSON_Delete(sec->state);
	sec->state = next;
	return 0;
}

/* A copy to change; NULL when out of memory. */
static cJSON *
copy(const struct sec *sec)
{
	cJSON *next = cJSON_Duplicate(sec->state, true);

	if (next != NULL)
		prune(next);
	return next;
}

static bool
add(cJSON *state, const char *list, cJSON *entry)
{
	if (entry != NULL && cJSON_AddItemToArray(list_of(state, list), entry))
		return true;
	cJSON_Delete(entry);
	return false;
}

static bool
revoked_in(const cJSON *state, const char *id)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list_of(state, "revoked"))
	{
		if (strcmp(json_str(v, "id", ""), id) == 0)
			return true;
	}
	return false;
}

bool
sec_store_is_revoked(const struct sec *sec, const char *id)
{
	return revoked_in(sec->state, id);
}

static int
revoke(cJSON *state, const char *id, int64_t expires_s, struct err *e)
{
	cJSON *entry;

	if (*id == '\0' || revoked_in(state, id))
		return 0;
	if (cJSON_GetArraySize(list_of(state, "revoked")) >= MAX_REVOKED)
		return err_set(e, ERR_TOO_BIG,
		    "%d certificates are revoked already; replace the login "
		    "CA (remove keys/login-ca.*) instead",
		    MAX_REVOKED);
	entry = cJSON_CreateObject();
	if (cJSON_AddStringToObject(entry, "id", id) == NULL ||
	    cJSON_AddNumberToObject(entry, "expires", (double)expires_s) ==
		NULL) {
		cJSON_Delete(entry);
		return err_nomem(e);
	}
	return add(state, "revoked", entry) ? 0 : err_nomem(e);
}

/* Serial and key id of one certificate. */
static int
revoke_entry(cJSON *state, const cJSON *entry, struct err *e)
{
	int rc =
	    revoke(state, json_str(entry, "serial", ""), expires_of(entry), e);

	if (rc != 0)
		return rc;
	return revoke(
	    state, json_str(entry, "keyId", ""), expires_of(entry), e);
}

static cJSON *
entry_new(const char *user, const cJSON *groups, int64_t expires_s)
{
	cJSON *entry = cJSON_CreateObject();
	cJSON *list = groups != NULL ? cJSON_Duplicate(groups, true)
				     : cJSON_CreateArray();

	if (list == NULL || !cJSON_AddItemToObject(entry, "groups", list)) {
		cJSON_Delete(list);
		cJSON_Delete(entry);
		return NULL;
	}
	if (cJSON_AddStringToObject(entry, "user", user) != NULL &&
	    cJSON_AddNumberToObject(entry, "expires", (double)expires_s) !=
		NULL)
		return entry;
	cJSON_Delete(entry);
	return NULL;
}

/* Room for one more certificate of user: his oldest may have to go. */
static int
make_room(cJSON *state, const char *user, struct err *e)
{
	cJSON *list = list_of(state, "issued"), *v, *oldest = NULL;
	int n = 0, rc;

	cJSON_ArrayForEach(v, list)
	{
		if (strcmp(json_str(v, "user", ""), user) != 0)
			continue;
		if (oldest == NULL)
			oldest = v;
		n++;
	}
	if (n >= MAX_PER_USER) {
		/* the serial alone: the key may have a newer certificate */
		rc = revoke(state, json_str(oldest, "serial", ""),
		    expires_of(oldest), e);
		if (rc != 0)
			return rc;
		cJSON_Delete(cJSON_DetachItemViaPointer(list, oldest));
	} else if (cJSON_GetArraySize(list) >= MAX_ISSUED) {
		return err_set(e, ERR_TOO_BIG,
		    "%d certificates are valid at once, no more are issued; "
		    "revoke what is not needed",
		    MAX_ISSUED);
	}
	return 0;
}

int
sec_store_issued(struct sec *sec, const char *serial, const char *key_id,
    const char *user, const cJSON *groups, const char *kind, int64_t expires_s,
    struct err *e)
{
	cJSON *next = copy(sec), *entry = entry_new(user, groups, expires_s);
	int rc = next != NULL ? make_room(next, user, e) : err_nomem(e);

	if (rc == 0 &&
	    (cJSON_AddStringToObject(entry, "serial", serial) == NULL ||
		cJSON_AddStringToObject(entry, "keyId", key_id) == NULL ||
		cJSON_AddStringToObject(entry, "kind", kind) == NULL))
		rc = err_nomem(e);
	if (rc != 0) {
		cJSON_Delete(entry);
		cJSON_Delete(next);
		return rc;
	}
	if (!add(next, "issued", entry)) {
		cJSON_Delete(next);
		return err_nomem(e);
	}
	return commit(sec, next, e);
}

static size_t
drop_tokens(cJSON *state, const char *key, const char *value, bool prefix)
{
	cJSON *list = list_of(state, "tokens"), *v = list->child;
	size_t n = 0;

	while (v != NULL) {
		const char *text = json_str(v, key, "");
		cJSON *next = v->next;

		if (prefix ? str_starts(text, value)
			   : strcmp(text, value) == 0) {
			cJSON_Delete(cJSON_DetachItemViaPointer(list, v));
			n++;
		}
		v = next;
	}
	return n;
}

int
sec_store_revoke_user(
    struct sec *sec, const char *user, size_t *n_r, struct err *e)
{
	cJSON *next = copy(sec), *v;
	size_t n = 0;
	int rc = next != NULL ? 0 : err_nomem(e);

	cJSON_ArrayForEach(v, list_of(next, "issued"))
	{
		if (rc != 0 || strcmp(json_str(v, "user", ""), user) != 0 ||
		    revoked_in(next, json_str(v, "serial", "")))
			continue;
		rc = revoke_entry(next, v, e);
		n++;
	}
	if (rc != 0) {
		cJSON_Delete(next);
		return rc;
	}
	n += drop_tokens(next, "user", user, false);
	*n_r = n;
	if (n == 0) {
		cJSON_Delete(next);
		return err_set(e, ERR_NOT_FOUND,
		    "%s has no valid certificate and no token here", user);
	}
	return commit(sec, next, e);
}

int
sec_store_revoke_id(struct sec *sec, const char *id, struct err *e)
{
	cJSON *next = copy(sec), *v;
	bool found = false;
	int rc = next != NULL ? 0 : err_nomem(e);

	cJSON_ArrayForEach(v, list_of(next, "issued"))
	{
		if (rc != 0 || strcmp(json_str(v, "serial", ""), id) != 0)
			continue;
		found = true;
		rc = revoke_entry(next, v, e);
	}
	/* tokens are listed by the first 16 digits of their hash */
	if (rc == 0 && strlen(id) >= 16 && strlen(id) <= 64)
		found =
		    drop_tokens(next, "sha256", id, strlen(id)) > 0 || found;
	if (rc == 0 && !found)
		rc = err_set(e, ERR_NOT_FOUND,
		    "there is no certificate or token %s; `tributary revoke "
		    "--list` shows those there are",
		    id);
	if (rc != 0) {
		cJSON_Delete(next);
		return rc;
	}
	return commit(sec, next, e);
}

/* TRUST carries all tokens: it must never become too large to be sent. */
static bool
tokens_fit(const cJSON *state)
{
	struct buf text;
	bool fit;

	if (cJSON_GetArraySize(list_of(state, "tokens")) > MAX_TOKENS)
		return false;
	buf_init(&text, MAX_TOKENS_BYTES);
	fit = json_print(list_of(state, "tokens"), &text) == 0;
	buf_free(&text);
	return fit;
}

int
sec_store_add_token(struct sec *sec, const char *sha256, const char *user,
    const cJSON *groups, int64_t expires_s, struct err *e)
{
	cJSON *next = copy(sec), *entry = entry_new(user, groups, expires_s);

	if (next == NULL ||
	    cJSON_AddStringToObject(entry, "sha256", sha256) == NULL) {
		cJSON_Delete(entry);
		cJSON_Delete(next);
		return err_nomem(e);
	}
	if (!add(next, "tokens", entry) || !tokens_fit(next)) {
		cJSON_Delete(next);
		return err_set(e, ERR_TOO_BIG,
		    "there are too many tokens; revoke what is not needed");
	}
	return commit(sec, next, e);
}
