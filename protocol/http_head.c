/*
 * Heads of requests and responses. The scanner finds the end of a head that
 * arrives in pieces, looking at each byte once; the parser then works on a
 * copy of exactly that head. See http.h for what is refused and why.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/http.h"

static int
head_bad(struct http_parser *p, int refuse_code, struct err *e,
    enum err_code code, const char *text)
{
	p->refuse_code = refuse_code;
	return err_set(e, code, "%s", text);
}

static int
scan_line(struct http_parser *p, const uint8_t *line, size_t n, struct err *e)
{
	if (n == 0 || line[n - 1] != '\r')
		return head_bad(p, 400, e, ERR_INVALID,
		    "A line of the HTTP head ends with a bare LF; "
		    "end every line with CR LF.");
	if (memchr(line, '\r', n - 1) != NULL)
		return head_bad(p, 400, e, ERR_INVALID,
		    "The HTTP head has a CR inside a line.");
	if (memchr(line, '\0', n) != NULL)
		return head_bad(
		    p, 400, e, ERR_INVALID, "The HTTP head has a NUL byte.");
	if (p->lines == 0 && n > HTTP_MAX_LINE)
		return head_bad(p, 414, e, ERR_TOO_BIG,
		    "The first line of the HTTP head is over 16 KiB; send "
		    "connect parameters in x-mirrord-connect-params.");
	if (n > 1 && p->lines > HTTP_MAX_FIELDS)
		return head_bad(p, 431, e, ERR_TOO_BIG,
		    "The HTTP head has over 200 fields; send fewer.");
	return 0;
}

/* What can be said about a head that is not whole yet. */
static int
scan_partial(struct http_parser *p, size_t n, struct err *e)
{
	if (p->lines == 0 && n - p->line_start > HTTP_MAX_LINE)
		return head_bad(p, 414, e, ERR_TOO_BIG,
		    "The first line of the HTTP head is over 16 KiB; send "
		    "connect parameters in x-mirrord-connect-params.");
	if (n > HTTP_MAX_HEAD)
		return head_bad(p, 431, e, ERR_TOO_BIG,
		    "The HTTP head is over 512 KiB; send less.");
	return -ERR_TRUNCATED;
}

/*
 * Finds the end of the head. One empty line in front of a head is skipped, as
 * RFC 9112 §2.2 asks servers to do; *begin is where the head starts then.
 */
static int
head_scan(struct http_parser *p, struct span in, size_t *begin, size_t *end,
    struct err *e)
{
	for (;;) {
		const uint8_t *nl =
		    in.n > p->scanned
			? memchr(in.p + p->scanned, '\n', in.n - p->scanned)
			: NULL;
		size_t n;
		int rc;

		if (nl == NULL) {
			p->scanned = in.n;
			return scan_partial(p, in.n, e);
		}
		n = (size_t)(nl - (in.p + p->line_start));
		rc = scan_line(p, in.p + p->line_start, n, e);
		if (rc < 0)
			return rc;
		p->scanned = (size_t)(nl - in.p) + 1;
		if (p->scanned > HTTP_MAX_HEAD)
			return scan_partial(p, p->scanned, e);
		if (n > 1)
			p->lines++;
		else if (p->lines > 0)
			break;
		else if (p->line_start > 0)
			return head_bad(
			    p, 400, e, ERR_INVALID, "The HTTP head is empty.");
		p->line_start = p->scanned;
	}
	*begin = in.p[0] == '\r' ? 2 : 0;
	*end = p->scanned;
	return 0;
}

static bool
token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool
http_is_token(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (!token_char((unsigned char)*s))
			return false;
	}
	return true;
}

/* "HTTP/1.x" at s, followed by end. */
static int
parse_version(
    struct http_parser *p, const char *s, char end, int *minor, struct err *e)
{
	if (strncmp(s, "HTTP/", 5) != 0 || s[5] < '0' || s[5] > '9')
		return head_bad(p, 400, e, ERR_INVALID,
		    "The first line of the HTTP head names no HTTP version.");
	if (strncmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') ||
	    s[8] != end)
		return head_bad(p, 505, e, ERR_UNSUPPORTED,
		    "This HTTP version is not spoken here; use HTTP/1.1.");
	*minor = s[7] - '0';
	return 0;
}

/* Splits the target (spare is as long as target) into path and query. */
static int
parse_target(
    struct http_parser *p, struct http_head *h, char *spare, struct err *e)
{
	const char *s = h->target;
	char *q;

	for (const char *c = s; *c != '\0'; c++) {
		if (*c < 0x21 || *c > 0x7e || *c == '#')
			return head_bad(p, 400, e, ERR_INVALID,
			    "The request target has a byte that must be "
			    "percent-encoded.");
	}
	if (strncasecmp(s, "http://", 7) == 0)
		s += 7;
	else if (strncasecmp(s, "https://", 8) == 0)
		s += 8;
	if (s != h->target) /* absolute form: skip the authority */
		s += strcspn(s, "/?");
	else if (*s != '/' && strcmp(s, "*") != 0)
		return head_bad(p, 400, e, ERR_INVALID,
		    "The request target does not begin with '/'.");
	if (*s == '\0' || *s == '?')
		*spare++ = '/'; /* the spare has room: a scheme was dropped */
	memcpy(spare, s, strlen(s) + 1);
	h->path = *s == '\0' || *s == '?' ? spare - 1 : spare;
	q = strchr(spare, '?');
	if (q != NULL)
		*q++ = '\0';
	h->query = q != NULL ? q : "";
	return 0;
}

static int
parse_request_line(struct http_parser *p, struct http_head *h, char *line,
    char *spare, struct err *e)
{
	char *target = strchr(line, ' ');
	char *version = target != NULL ? strchr(target + 1, ' ') : NULL;
	int rc;

	if (version == NULL)
		return head_bad(p, 400, e, ERR_INVALID,
		    "The request line is not METHOD TARGET VERSION.");
	*target++ = '\0';
	*version++ = '\0';
	h->method = line;
	h->target = target;
	if (!http_is_token(line) || *target == '\0')
		return head_bad(p, 400, e, ERR_INVALID,
		    "The request line has no valid method or no target.");
	rc = parse_version(p, version, '\0', &h->minor, e);
	return rc < 0 ? rc : parse_target(p, h, spare, e);
}

static int
parse_status_line(
    struct http_parser *p, struct http_head *h, char *line, struct err *e)
{
	int rc = parse_version(p, line, ' ', &h->minor, e);
	const char *s;

	if (rc < 0)
		return rc;
	s = line + 9;
	for (int i = 0; i < 3; i++) {
		if (s[i] < '0' || s[i] > '9')
			return head_bad(p, 400, e, ERR_INVALID,
			    "The status line has no three-digit code.");
		h->status = h->status * 10 + (s[i] - '0');
	}
	if (h->status < 100 || (s[3] != ' ' && s[3] != '\0'))
		return head_bad(p, 400, e, ERR_INVALID,
		    "The status line has no valid code.");
	h->reason = s[3] == ' ' ? s + 4 : "";
	return 0;
}

static int
parse_field(struct http_parser *p, struct http_field *f, char *line, size_t n,
    struct err *e)
{
	char *colon = memchr(line, ':', n), *v, *end = line + n;

	if (*line == ' ' || *line == '\t')
		return head_bad(p, 400, e, ERR_INVALID,
		    "A field of the HTTP head is folded over two lines; "
		    "write it on one.");
	if (colon == NULL)
		return head_bad(p, 400, e, ERR_INVALID,
		    "A line of the HTTP head has no colon.");
	*colon = '\0';
	if (!http_is_token(line))
		return head_bad(p, 400, e, ERR_INVALID,
		    "A field name of the HTTP head is empty or has a byte "
		    "that names may not have.");
	v = colon + 1;
	while (*v == ' ' || *v == '\t')
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	for (const char *c = v; c < end; c++) {
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return head_bad(p, 400, e, ERR_INVALID,
			    "A field value of the HTTP head has a control "
			    "byte.");
	}
	f->name = line;
	f->value = v;
	return 0;
}

static int
parse_length(const char *s, uint64_t *out)
{
	uint64_t v = 0;
	size_t n = strlen(s);

	if (n == 0 || n > 18)
		return -ERR_INVALID;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return -ERR_INVALID;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*out = v;
	return 0;
}

/* The field framing alone: HTTP_BODY_NONE when neither field is there. */
static int
parse_framing(struct http_parser *p, struct http_head *h, struct err *e)
{
	size_t pos = 0, te_pos = 0, count = 0;
	const char *te = http_get_next(h, "transfer-encoding", &te_pos), *v;

	while ((v = http_get_next(h, "content-length", &pos)) != NULL) {
		uint64_t length;

		if (parse_length(v, &length) < 0 ||
		    (count++ > 0 && length != h->length))
			return head_bad(p, 400, e, ERR_INVALID,
			    "Content-Length is not one decimal number.");
		h->length = length;
		h->framing = HTTP_BODY_LENGTH;
	}
	if (te == NULL)
		return 0;
	if (count > 0 || h->minor == 0)
		return head_bad(p, 400, e, ERR_INVALID,
		    "Transfer-Encoding stands beside Content-Length or in an "
		    "HTTP/1.0 message; send only one of them.");
	if (strcasecmp(te, "chunked") != 0 ||
	    http_get_next(h, "transfer-encoding", &te_pos) != NULL)
		return head_bad(p, 501, e, ERR_UNSUPPORTED,
		    "The only transfer coding spoken here is one \"chunked\".");
	h->framing = HTTP_BODY_CHUNKED;
	return 0;
}

static int
finish_request(struct http_parser *p, struct http_head *h, struct err *e)
{
	size_t pos = 0;
	const char *expect = http_get(h, "expect");

	if (http_get_next(h, "host", &pos) == NULL
		? h->minor > 0
		: http_get_next(h, "host", &pos) != NULL)
		return head_bad(p, 400, e, ERR_INVALID,
		    "The request needs exactly one Host field.");
	h->expect_continue = h->minor > 0 && expect != NULL &&
			     strcasecmp(expect, "100-continue") == 0;
	return 0;
}

static void
finish_response(struct http_head *h, const char *method)
{
	if (strcmp(method, "HEAD") == 0 || h->status < 200 ||
	    h->status == 204 || h->status == 304 ||
	    (strcmp(method, "CONNECT") == 0 && h->status < 300)) {
		h->framing = HTTP_BODY_NONE;
		h->length = 0;
	} else if (h->framing == HTTP_BODY_NONE) {
		h->framing = HTTP_BODY_UNTIL_CLOSE;
		h->keep_alive = false;
	}
}

/* Cuts the block into its first line and fields; lines are CR LF checked. */
static int
parse_fields(
    struct http_parser *p, struct http_head *h, char *line, struct err *e)
{
	for (;;) {
		size_t n = strcspn(line, "\r");
		int rc;

		if (n == 0)
			break;
		rc = parse_field(p, &h->fields[h->field_count], line, n, e);
		if (rc < 0)
			return rc;
		h->field_count++;
		line += n + 2;
	}
	h->keep_alive = h->minor > 0
			    ? !http_has_token(h, "connection", "close")
			    : http_has_token(h, "connection", "keep-alive");
	h->upgrade = http_has_token(h, "connection", "upgrade") &&
		     http_get(h, "upgrade") != NULL;
	return parse_framing(p, h, e);
}

static int
parse_block(struct http_parser *p, struct span raw, const char *method,
    struct http_head *h, struct err *e)
{
	/* Room for the head, a NUL and a second copy of the target. */
	char *spare, *line, *eol;
	size_t first;
	int rc;

	if (raw.n == 0 || p->lines == 0)
		return head_bad(
		    p, 400, e, ERR_INVALID, "The HTTP head is empty.");
	h->block = malloc(raw.n + 1 + HTTP_MAX_LINE + 1);
	h->fields = calloc(p->lines, sizeof(*h->fields));
	if (h->block == NULL || h->fields == NULL) {
		p->refuse_code = 500;
		return err_nomem(e);
	}
	memcpy(h->block, raw.p, raw.n);
	h->block[raw.n] = '\0';
	line = h->block;
	spare = h->block + raw.n + 1;
	eol = strchr(line, '\r');
	first = (size_t)(eol - line);
	*eol = '\0';
	rc = method == NULL ? parse_request_line(p, h, line, spare, e)
			    : parse_status_line(p, h, line, e);
	if (rc < 0)
		return rc;
	rc = parse_fields(p, h, line + first + 2, e);
	if (rc < 0)
		return rc;
	if (method == NULL)
		return finish_request(p, h, e);
	finish_response(h, method);
	return 0;
}

static int
http_parse(struct http_parser *p, struct buf *in, const char *method,
    struct http_head *out, struct err *e)
{
	size_t begin = 0, end = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = head_scan(p, buf_span(in), &begin, &end, e);
	if (rc < 0)
		return rc;
	rc = parse_block(p, (struct span){buf_data(in) + begin, end - begin},
	    method, out, e);
	if (rc < 0) {
		http_head_free(out);
		return rc;
	}
	buf_consume(in, end);
	memset(p, 0, sizeof(*p));
	return 0;
}

int
http_parse_request(
    struct http_parser *p, struct buf *in, struct http_head *out, struct err *e)
{
	return http_parse(p, in, NULL, out, e);
}

int
http_parse_response(struct http_parser *p, struct buf *in, const char *method,
    struct http_head *out, struct err *e)
{
	return http_parse(p, in, method, out, e);
}

void
http_head_free(struct http_head *h)
{
	free(h->block);
	free(h->fields);
	memset(h, 0, sizeof(*h));
}
