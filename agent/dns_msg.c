#include "config.h"

#include "agent/dns_msg.h"

#include <string.h>
#include <strings.h>

#include "lib/str.h"

enum {
	HEADER_BYTES = 12,
	LABEL_MAX = 63,
	FLAG_QR = 0x8000,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	CLASS_IN = 1,
};

struct reader {
	const uint8_t *p;
	size_t n;
	size_t at;
};

static int
put_u16(struct buf *out, unsigned v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	return buf_append(out, b, 2);
}

static int
put_name(struct buf *out, const char *name)
{
	size_t total = 1;
	int rc = 0;

	while (rc == 0 && *name != '\0') {
		size_t n = strcspn(name, ".");

		total += n + 1;
		if (n == 0 || n > LABEL_MAX || total > 255)
			return -ERR_INVALID;
		rc = buf_append_u8(out, (uint8_t)n);
		if (rc == 0)
			rc = buf_append(out, name, n);
		name += n + (name[n] == '.' ? 1 : 0);
	}
	return rc < 0 ? rc : buf_append_u8(out, 0);
}

int
dns_question(struct buf *out, uint16_t id, const char *name, uint16_t type)
{
	const unsigned head[6] = {id, FLAG_RD, 1, 0, 0, 0};
	size_t before = out->len;
	int rc = 0;

	if (*name == '\0')
		return -ERR_INVALID;
	for (int i = 0; rc == 0 && i < 6; i++)
		rc = put_u16(out, head[i]);
	if (rc == 0)
		rc = strcmp(name, ".") == 0 ? buf_append_u8(out, 0)
					    : put_name(out, name);
	if (rc == 0)
		rc = put_u16(out, type);
	if (rc == 0)
		rc = put_u16(out, CLASS_IN);
	if (rc < 0)
		out->len = before;
	return rc;
}

static bool
get_u16(struct reader *r, unsigned *v)
{
	if (r->n - r->at < 2)
		return false;
	*v = (unsigned)r->p[r->at] << 8 | r->p[r->at + 1];
	r->at += 2;
	return true;
}

/*
 * One label as text. A dot or a control character inside a label would make
 * another name of it, so such names are refused.
 */
static bool
put_label(char *out, size_t *len, const uint8_t *p, size_t n)
{
	if (*len + n + 1 > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (p[i] <= ' ' || p[i] >= 0x7f || p[i] == '.')
			return false;
	}
	memcpy(out + *len, p, n);
	*len += n;
	out[(*len)++] = '.';
	return true;
}

/* A name, maybe compressed. Pointers lead backwards only: no loops. */
static bool
get_name(struct reader *r, char out[DNS_NAME_MAX + 1])
{
	size_t at = r->at, len = 0, limit = r->at;
	bool jumped = false;

	for (;;) {
		unsigned c;

		if (at >= r->n)
			return false;
		c = r->p[at++];
		if (c == 0)
			break;
		if ((c & 0xc0) == 0xc0) {
			size_t to;

			if (at >= r->n)
				return false;
			to = (size_t)(c & 0x3f) << 8 | r->p[at++];
			if (!jumped)
				r->at = at;
			jumped = true;
			if (to >= limit)
				return false;
			limit = at = to;
			continue;
		}
		if (c > LABEL_MAX || r->n - at < c ||
		    !put_label(out, &len, r->p + at, c))
			return false;
		at += c;
	}
	if (!jumped)
		r->at = at;
	if (len == 0)
		out[len++] = '.';
	out[len] = '\0';
	return true;
}

struct rr {
	char owner[DNS_NAME_MAX + 1];
	unsigned type, class;
	size_t data; /* offset and length in the message */
	unsigned data_len;
};

static bool
get_rr(struct reader *r, struct rr *rr)
{
	unsigned ttl;

	if (!get_name(r, rr->owner) || !get_u16(r, &rr->type) ||
	    !get_u16(r, &rr->class) || !get_u16(r, &ttl) || !get_u16(r, &ttl) ||
	    !get_u16(r, &rr->data_len) || r->n - r->at < rr->data_len)
		return false;
	rr->data = r->at;
	r->at += rr->data_len;
	return true;
}

static void
take_addr(struct dns_answer *a, const uint8_t *msg, const struct rr *rr)
{
	size_t want = rr->type == DNS_TYPE_A ? 4 : 16;
	struct dns_record *rec;

	if (rr->data_len != want || a->count == DNS_RECORDS_MAX)
		return;
	rec = &a->records[a->count++];
	memset(rec, 0, sizeof(*rec));
	memcpy(rec->name, rr->owner, sizeof(rec->name));
	rec->addr.family = want == 4 ? AF_INET : AF_INET6;
	memcpy(rec->addr.a, msg + rr->data, want);
}

static bool
rr_name(const struct reader *r, const struct rr *rr, char *out)
{
	struct reader in = {r->p, rr->data + rr->data_len, rr->data};

	return get_name(&in, out);
}

/*
 * One walk over the answers: takes the records of a->final; true when a CNAME
 * moved it, so that the walk is to be done again for the new name.
 */
static int
walk_answers(
    struct dns_answer *a, struct reader r, unsigned count, uint16_t type)
{
	struct rr rr;

	for (unsigned i = 0; i < count; i++) {
		if (!get_rr(&r, &rr))
			return -ERR_INVALID;
		if (rr.class != CLASS_IN || strcasecmp(rr.owner, a->final) != 0)
			continue;
		if (rr.type == DNS_TYPE_CNAME && type != DNS_TYPE_CNAME)
			return rr_name(&r, &rr, a->final) ? 1 : -ERR_INVALID;
		if (rr.type != type)
			continue;
		if (type == DNS_TYPE_PTR) {
			if (a->ptr[0] == '\0' && !rr_name(&r, &rr, a->ptr))
				return -ERR_INVALID;
		} else {
			take_addr(a, r.p, &rr);
		}
	}
	return 0;
}

int
dns_answer_parse(struct dns_answer *a, const uint8_t *p, size_t n, uint16_t id,
    const char *name, uint16_t type)
{
	struct reader r = {p, n, 0};
	unsigned h[6], qtype, qclass;
	int rc = 1;

	memset(a, 0, sizeof(*a));
	for (int i = 0; i < 6; i++) {
		if (!get_u16(&r, &h[i]))
			return -ERR_INVALID;
	}
	if (h[0] != id || (h[1] & FLAG_QR) == 0)
		return -ERR_NOT_FOUND;
	a->rcode = h[1] & 0xf;
	a->truncated = (h[1] & FLAG_TC) != 0;
	if (h[2] != 1) /* some servers leave the question out of errors */
		return h[2] == 0 && a->rcode != 0 ? 0 : -ERR_NOT_FOUND;
	if (!get_name(&r, a->final) || !get_u16(&r, &qtype) ||
	    !get_u16(&r, &qclass))
		return -ERR_INVALID;
	if (strcasecmp(a->final, name) != 0 || qtype != type)
		return -ERR_NOT_FOUND;
	if (a->truncated)
		return 0;
	for (int hop = 0; rc == 1 && hop <= DNS_CNAME_HOPS; hop++)
		rc = walk_answers(a, r, h[3], type);
	return rc < 0 ? rc : 0;
}

int
dns_reverse_name(const struct dns_addr *addr, char out[DNS_NAME_MAX + 1])
{
	const uint8_t *a = addr->a;
	size_t at = 0;

	if (addr->family == AF_INET)
		return str_fmt(out, DNS_NAME_MAX + 1,
			   "%u.%u.%u.%u.in-addr.arpa.", a[3], a[2], a[1],
			   a[0]) < 0
			   ? -ERR_INTERNAL
			   : 0;
	for (int i = 15; i >= 0; i--) {
		out[at++] = "0123456789abcdef"[a[i] & 15];
		out[at++] = '.';
		out[at++] = "0123456789abcdef"[a[i] >> 4];
		out[at++] = '.';
	}
	return str_fmt(out + at, DNS_NAME_MAX + 1 - at, "ip6.arpa.") < 0
		   ? -ERR_INTERNAL
		   : 0;
}
