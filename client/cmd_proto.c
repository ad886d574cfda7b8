/*
 * cmd_proto: a line in, a line out. Whatever a line holds, the next one is
 * read: this runs on captures and on fuzzers' findings.
 */
#include "client/cmd_proto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/str.h"
#include "protocol/mirrord.h"
#include "protocol/pm_json.h"

#define PROTO_MESSAGE_MAX_BYTES ((size_t)64 << 20)
#define PROTO_TEXT_MAX_BYTES ((size_t)512 << 20)
#define PROTO_MEMORY_MAX_BYTES ((size_t)2048 << 20)

static const char proto_usage[] =
    "usage: tributary proto decode --client|--daemon\n"
    "       tributary proto encode --client|--daemon\n"
    "\n"
    "decode reads messages of the mirrord protocol in hex, one per line, and\n"
    "writes each as a line of JSON. encode does the reverse. --client is for\n"
    "messages a client sends, --daemon for those it receives. A line that is\n"
    "no message gives {\"error\": \"...\", \"offset\": n}, n being the byte "
    "of\n"
    "the message (decode) or of the line (encode) that is wrong.\n";

/* Memory that is used again for every line. */
struct proto {
	struct arena arena;
	struct buf raw; /* the message's bytes */
	struct buf out; /* the answer, without the newline */
	int (*line)(struct proto *p, const char *s, size_t n, struct err *e);
};

static int
proto_unhex(struct proto *p, const char *s, size_t n, struct err *e)
{
	size_t ok = strspn(s, "0123456789abcdefABCDEF");
	int rc;

	if (ok < n || n % 2 != 0) {
		err_set(e, ERR_INVALID, "the line is not pairs of hex digits");
		e->offset = ok / 2;
		return -ERR_INVALID;
	}
	rc = str_hex_decode(&p->raw, s, n);
	if (rc == -ERR_TOO_BIG)
		err_set(e, ERR_TOO_BIG, "no message may be this long");
	return rc;
}

static int
proto_decode_client(struct proto *p, const char *s, size_t n, struct err *e)
{
	struct pm_ClientMessage m;
	int rc = proto_unhex(p, s, n, e);

	if (rc == 0)
		rc = pm_decode_client(
		    &p->arena, buf_data(&p->raw), p->raw.len, NULL, &m, e);
	return rc != 0 ? rc : pm_print_client(&m, &p->out);
}

static int
proto_decode_daemon(struct proto *p, const char *s, size_t n, struct err *e)
{
	struct pm_DaemonMessage m;
	int rc = proto_unhex(p, s, n, e);

	if (rc == 0)
		rc = pm_decode_daemon(
		    &p->arena, buf_data(&p->raw), p->raw.len, NULL, &m, e);
	return rc != 0 ? rc : pm_print_daemon(&m, &p->out);
}

static int
proto_hex(struct proto *p)
{
	return str_hex_encode(&p->out, buf_data(&p->raw), p->raw.len);
}

static int
proto_encode_client(struct proto *p, const char *s, size_t n, struct err *e)
{
	struct pm_ClientMessage m;
	int rc = pm_parse_client(&p->arena, s, n, &m, e);

	if (rc == 0)
		rc = pm_encode_client(&m, &p->raw, e);
	return rc != 0 ? rc : proto_hex(p);
}

static int
proto_encode_daemon(struct proto *p, const char *s, size_t n, struct err *e)
{
	struct pm_DaemonMessage m;
	int rc = pm_parse_daemon(&p->arena, s, n, &m, e);

	if (rc == 0)
		rc = pm_encode_daemon(&m, &p->raw, e);
	return rc != 0 ? rc : proto_hex(p);
}

static int
proto_put_error(struct proto *p, int rc, const struct err *e)
{
	const char *text =
	    e->text[0] != '\0' ? e->text : err_code_name((enum err_code) - rc);

	buf_clear(&p->out);
	rc = pm_json_put(&p->out, "{\"error\": ");
	if (rc == 0)
		rc = pm_json_put_text(&p->out, text, strlen(text));
	if (rc == 0)
		rc = buf_printf(&p->out, ", \"offset\": %llu}",
		    (unsigned long long)e->offset);
	return rc;
}

/* One line to one line. Nonzero when stdout or the memory for it is gone. */
static int
proto_answer(struct proto *p, char *s, size_t n)
{
	struct err e = {.code = ERR_OK};
	int rc;

	arena_reset(&p->arena);
	buf_clear(&p->raw);
	buf_clear(&p->out);
	while (n > 0 && strchr("\r\n \t", s[n - 1]) != NULL && s[n - 1] != '\0')
		s[--n] = '\0';
	rc = p->line(p, s, n, &e);
	if (rc != 0)
		rc = proto_put_error(p, rc, &e);
	if (rc == 0)
		rc = buf_append_u8(&p->out, '\n');
	if (rc != 0 ||
	    fwrite(buf_data(&p->out), 1, p->out.len, stdout) != p->out.len ||
	    fflush(stdout) != 0)
		return -1;
	return 0;
}

static int
proto_run(struct proto *p)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int rc = 0;

	arena_init(&p->arena, PROTO_MEMORY_MAX_BYTES);
	buf_init(&p->raw, PROTO_MESSAGE_MAX_BYTES);
	buf_init(&p->out, PROTO_TEXT_MAX_BYTES);
	while (rc == 0 && (n = getline(&line, &cap, stdin)) >= 0)
		rc = proto_answer(p, line, (size_t)n);
	if (rc != 0 || ferror(stdin)) {
		fprintf(stderr, "tributary: proto: cannot %s.\n",
		    rc != 0 ? "write the answer to standard output"
			    : "read standard input");
		rc = 1;
	}
	free(line);
	arena_free(&p->arena);
	buf_free(&p->raw);
	buf_free(&p->out);
	return rc;
}

int
cli_cmd_proto(int argc, char **argv)
{
	static const struct {
		const char *verb, *side;
		int (*line)(struct proto *, const char *, size_t, struct err *);
	} forms[] = {
	    {"decode", "--client", proto_decode_client},
	    {"decode", "--daemon", proto_decode_daemon},
	    {"encode", "--client", proto_encode_client},
	    {"encode", "--daemon", proto_encode_daemon},
	};
	struct proto p = {.line = NULL};

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0) {
			fputs(proto_usage, stdout);
			return 0;
		}
	for (size_t i = 0; argc == 3 && i < sizeof(forms) / sizeof(forms[0]);
	     i++)
		if (strcmp(argv[1], forms[i].verb) == 0 &&
		    strcmp(argv[2], forms[i].side) == 0)
			p.line = forms[i].line;
	if (p.line == NULL) {
		fputs(proto_usage, stderr);
		return 2;
	}
	return proto_run(&p);
}
