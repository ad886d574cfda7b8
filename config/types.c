#include "config.h"

#include "config/types.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "config/name.h"
#include "lib/buf.h"
#include "lib/str.h"

static const char lower_digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";

static bool
length_ok(const struct cfg_row *row, const char *s)
{
	size_t n = strlen(s);

	return n >= (size_t)row->min && n <= (size_t)row->max;
}

static bool
no_controls(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	}
	return true;
}

static bool
ok_bool(const struct cfg_row *row, const char *s)
{
	(void)row;
	return strcmp(s, "true") == 0 || strcmp(s, "false") == 0;
}

static bool
ok_int(const struct cfg_row *row, const char *s)
{
	uint64_t v;

	return str_to_u64(s, &v) && v <= (uint64_t)row->max &&
	       v >= (uint64_t)row->min;
}

/* First and last a letter or digit, between them also those of extra. */
static bool
label_ok(const char *s, const char *extra)
{
	size_t n = strlen(s);

	if (n == 0 || strchr(lower_digits, s[0]) == NULL ||
	    strchr(lower_digits, s[n - 1]) == NULL)
		return false;
	for (; *s != '\0'; s++) {
		if (strchr(lower_digits, *s) == NULL &&
		    strchr(extra, *s) == NULL)
			return false;
	}
	return true;
}

static bool
ok_name(const struct cfg_row *row, const char *s)
{
	return length_ok(row, s) && label_ok(s, "-");
}

static bool
ok_object(const struct cfg_row *row, const char *s)
{
	return length_ok(row, s) && label_ok(s, "-.") &&
	       strstr(s, "..") == NULL;
}

static bool
ok_cluster(const struct cfg_row *row, const char *s)
{
	return length_ok(row, s) && cfg_cluster_name_problem(s) == NULL;
}

static bool
ok_text(const struct cfg_row *row, const char *s)
{
	return length_ok(row, s) && no_controls(s);
}

static bool
ok_enum(const struct cfg_row *row, const char *s)
{
	const char *at = row->choices;
	size_t n = strlen(s);

	while (n > 0 && (at = strstr(at, s)) != NULL) {
		bool first = at == row->choices || at[-1] == '|';

		if (first && (at[n] == '|' || at[n] == '\0') &&
		    strchr(s, '|') == NULL)
			return true;
		at++;
	}
	return false;
}

static bool
ok_path(const struct cfg_row *row, const char *s)
{
	return length_ok(row, s) && s[0] == '/' && no_controls(s) &&
	       strstr(s, "/../") == NULL && !str_ends(s, "/..");
}

static bool
is_address(const char *s)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, s, bytes) == 1 ||
	       inet_pton(AF_INET6, s, bytes) == 1;
}

bool
cfg_is_host(const char *s)
{
	size_t label = 0;
	bool number = true;

	if (is_address(s))
		return true;
	if (*s == '\0' || strlen(s) > 253)
		return false;
	for (; *s != '\0'; s++) {
		bool letter = (*s >= 'a' && *s <= 'z') ||
			      (*s >= 'A' && *s <= 'Z') || *s == '_';
		bool digit = *s >= '0' && *s <= '9';

		if (*s == '.') {
			if (label == 0 || s[-1] == '-' || s[1] == '\0')
				return false;
			label = 0;
			number = true;
			continue;
		}
		if (!letter && !digit && (*s != '-' || label == 0))
			return false;
		number = number && digit;
		if (++label > 63)
			return false;
	}
	return s[-1] != '-' && !number; /* 1.2.3 is a broken address */
}

bool
cfg_split_address(const char *text, char *host, unsigned *port_r)
{
	const char *colon = strrchr(text, ':'), *from = text, *to = colon;
	uint16_t port;

	if (colon == NULL || !str_to_u16(colon + 1, &port) || port == 0)
		return false;
	if (*text == '[') {
		if (colon == text || colon[-1] != ']')
			return false;
		from++;
		to--;
	} else if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
		return false;
	}
	if (str_fmt(host, 256, "%.*s", (int)(to - from), from) != 0)
		return false;
	*port_r = port;
	return cfg_is_host(host) &&
	       (*text == '[') == (strchr(host, ':') != NULL);
}

static bool
ok_listen(const struct cfg_row *row, const char *s)
{
	char host[256];
	unsigned port;

	return length_ok(row, s) && cfg_split_address(s, host, &port) &&
	       is_address(host);
}

static bool
ok_host(const struct cfg_row *row, const char *s)
{
	return length_ok(row, s) && cfg_is_host(s);
}

/* https://HOST[:PORT][/PATH], no user, query or fragment. */
static bool
ok_url(const struct cfg_row *row, const char *s)
{
	char authority[300], host[256];
	size_t n;
	unsigned port;

	if (!length_ok(row, s) || !str_starts(s, "https://") ||
	    !no_controls(s) || strpbrk(s, " ?#@\\") != NULL)
		return false;
	s += strlen("https://");
	n = strcspn(s, "/");
	if (n == 0 || n > 255)
		return false;
	memcpy(authority, s, n);
	authority[n] = '\0';
	if (cfg_split_address(authority, host, &port))
		return true;
	memcpy(authority + n, ":443", sizeof ":443");
	return cfg_split_address(authority, host, &port);
}

static bool
ok_cidr(const struct cfg_row *row, const char *s)
{
	unsigned char bytes[16];
	const char *slash = strchr(s, '/');
	char host[64];
	uint64_t bits;

	if (!length_ok(row, s) || slash == NULL ||
	    !str_to_u64(slash + 1, &bits) ||
	    str_fmt(host, sizeof host, "%.*s", (int)(slash - s), s) != 0)
		return false;
	if (inet_pton(AF_INET, host, bytes) == 1)
		return bits <= 32;
	return inet_pton(AF_INET6, host, bytes) == 1 && bits <= 128;
}

static bool
ok_ca(const struct cfg_row *row, const char *s)
{
	struct buf out;
	bool ok;

	if (!length_ok(row, s))
		return false;
	if (str_starts(s, "-----BEGIN"))
		return true;
	buf_init(&out, (size_t)row->max);
	ok = str_base64_decode(&out, s, strlen(s)) == 0 && out.len > 0;
	buf_free(&out);
	return ok;
}

static bool
ok_sha256(const struct cfg_row *row, const char *s)
{
	return length_ok(row, s) && strspn(s, "0123456789abcdef") == strlen(s);
}

static bool
ok_targets(const struct cfg_row *row, const char *s)
{
	const char *slash = strchr(s, '/');

	if (!ok_text(row, s))
		return false;
	return strcmp(s, "*") == 0 ||
	       (slash != NULL && slash != s && slash[1] != '\0' &&
		   strchr(slash + 1, '/') == NULL);
}

static const struct {
	bool (*ok)(const struct cfg_row *row, const char *s);
	const char *wants;
} types[CFG_N_TYPES] = {
    [CFG_T_OBJ] = {NULL, "a mapping of keys and values"},
    [CFG_T_OBJS] = {NULL, "a list of mappings"},
    [CFG_T_LABELS] = {NULL, "a mapping of texts"},
    [CFG_T_BOOL] = {ok_bool, "true or false"},
    [CFG_T_INT] = {ok_int, NULL},
    [CFG_T_NAME] = {ok_name,
	"lower-case letters, digits and -, beginning and ending with a "
	"letter or digit"},
    [CFG_T_OBJECT] = {ok_object,
	"lower-case letters, digits, - and ., beginning and ending with a "
	"letter or digit"},
    [CFG_T_CLUSTER] = {ok_cluster,
	"a name of at most 100 characters, with a letter or digit, without "
	"/ , quotes and control characters"},
    [CFG_T_TEXT] = {ok_text, "a text without control characters"},
    [CFG_T_ENUM] = {ok_enum, NULL},
    [CFG_T_PATH] = {ok_path, "an absolute path without .."},
    [CFG_T_LISTEN] = {ok_listen,
	"ADDRESS:PORT such as 10.0.0.1:8443 or [::]:8443"},
    [CFG_T_HOST] = {ok_host, "a host name or an IP address"},
    [CFG_T_URL] = {ok_url, "an https URL such as https://10.0.0.1:8443"},
    [CFG_T_CIDR] = {ok_cidr, "a network such as 10.1.0.0/16"},
    [CFG_T_CA] = {ok_ca, "PEM or base64 of PEM"},
    [CFG_T_SHA256] = {ok_sha256, "64 lower-case hexadecimal digits"},
    [CFG_T_TARGETS] = {ok_targets, "* or KIND/NAME such as deployment/shop"},
};

bool
cfg_type_ok(const struct cfg_row *row, const char *text)
{
	return types[row->type].ok != NULL && types[row->type].ok(row, text);
}

static void
wants_one_of(const char *choices, char *out, size_t cap)
{
	size_t n = strlen("one of ");

	(void)str_fmt(out, cap, "one of ");
	for (; *choices != '\0' && n + 3 < cap; choices++) {
		if (*choices == '|')
			out[n++] = ',';
		out[n++] = *choices == '|' ? ' ' : *choices;
	}
	out[n] = '\0';
}

void
cfg_type_wants(const struct cfg_row *row, char *out, size_t cap)
{
	size_t n;

	if (row->type == CFG_T_ENUM) {
		wants_one_of(row->choices, out, cap);
		return;
	}
	if (row->type == CFG_T_INT) {
		(void)str_fmt(out, cap, "a whole number from %lld to %lld",
		    (long long)row->min, (long long)row->max);
		return;
	}
	(void)str_fmt(out, cap, "%s", types[row->type].wants);
	n = strlen(out);
	if (row->type == CFG_T_NAME || row->type == CFG_T_OBJECT ||
	    row->type == CFG_T_TEXT)
		(void)str_fmt(out + n, cap - n, ", at most %lld characters",
		    (long long)row->max);
}
