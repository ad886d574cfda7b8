/* closed: ids ended by a person, a limit or a policy, kept five minutes. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/str.h"
#include "platform/standalone/store.h"

int
plat_closed_add(struct plat_store *s, const char *key,
    const struct plat_closed *c, int64_t now_s, struct err *e)
{
	char file[NAME_MAX + 1];
	if (!plat_name_ok(key) ||
	    str_fmt(file, sizeof(file), "%s.json", key) != 0)
		return err_set(e, ERR_INVALID, "\"%s\" is no id", key);
	cJSON *o = cJSON_CreateObject();
	if (o == NULL)
		return err_nomem(e);
	cJSON_AddStringToObject(o, "reason", c->reason);
	cJSON_AddStringToObject(o, "message", c->message);
	cJSON_AddNumberToObject(o, "closedAt", (double)now_s);
	int r = store_write(s->closed_fd, file, o, true, e);
	cJSON_Delete(o);
	return r;
}

/* 1 = in force, 0 = over (or unreadable: then it is no use to anybody). */
static bool
in_force(const cJSON *o, int64_t now_s)
{
	int64_t at = json_int(o, "closedAt", 0, INT64_MAX / 2, 0);
	/* a clock set back must not keep an id closed for ever */
	return now_s - at < PLAT_CLOSED_KEEP_S &&
	       at - now_s < PLAT_CLOSED_KEEP_S;
}

bool
plat_closed_find(struct plat_store *s, const char *key, int64_t now_s,
    struct plat_closed *out)
{
	char file[NAME_MAX + 1];
	if (!plat_name_ok(key) ||
	    str_fmt(file, sizeof(file), "%s.json", key) != 0)
		return false;
	struct err e = {0};
	cJSON *o = store_read(s->closed_fd, file, &e);
	if (o == NULL)
		return false;
	bool yes = in_force(o, now_s);
	if (yes) {
		(void)str_fmt(out->reason, sizeof(out->reason), "%s",
		    json_str(o, "reason", "Killed"));
		(void)str_fmt(out->message, sizeof(out->message), "%s",
		    json_str(o, "message", "the session was ended"));
	} else {
		(void)unlinkat(s->closed_fd, file, 0);
	}
	cJSON_Delete(o);
	return yes;
}

void
plat_closed_expire(struct plat_store *s, int64_t now_s)
{
	struct err e = {0};
	DIR *d = store_opendir(s->closed_fd, &e);
	if (d == NULL) {
		log_warn("closed ids cannot be listed why=%s", e.text);
		return;
	}
	for (struct dirent *de; (de = readdir(d)) != NULL;) {
		if (str_starts(de->d_name, ".") && str_ends(de->d_name, ".tmp"))
			(void)unlinkat(s->closed_fd, de->d_name, 0);
		if (str_starts(de->d_name, ".") ||
		    !str_ends(de->d_name, ".json"))
			continue;
		cJSON *o = store_read(s->closed_fd, de->d_name, &e);
		if (o == NULL || !in_force(o, now_s))
			(void)unlinkat(s->closed_fd, de->d_name, 0);
		cJSON_Delete(o);
	}
	(void)closedir(d);
}
