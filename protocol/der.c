#include "config.h"

#include "protocol/der.h"

#include <string.h>
#include <time.h>

#include "lib/err.h"
#include "lib/str.h"

enum { MAX_RDNS = 8, MAX_LENGTH_BYTES = 3 };

static const uint8_t oid_common_name[] = {0x55, 0x04, 0x03};

int
der_peek(struct span in)
{
	return in.n == 0 ? -1 : in.p[0];
}

bool
der_equal(struct span a, const void *p, size_t n)
{
	return a.n == n && memcmp(a.p, p, n) == 0;
}

/* The length octets at p; how many there were, or 0 when they are wrong. */
static size_t
take_length(const uint8_t *p, size_t n, size_t *length_r)
{
	size_t count, length = 0;

	if (n == 0)
		return 0;
	if (p[0] < 0x80) {
		*length_r = p[0];
		return 1;
	}
	count = p[0] & 0x7f;
	if (count == 0 || count > MAX_LENGTH_BYTES || n < 1 + count)
		return 0;
	for (size_t i = 1; i <= count; i++)
		length = length << 8 | p[i];
	if (length < 0x80 || p[1] == 0)
		return 0; /* not the shortest form */
	*length_r = length;
	return 1 + count;
}

int
der_take(struct span *in, int tag, struct span *value, struct span *whole)
{
	size_t length, head;

	if (der_peek(*in) != tag)
		return -ERR_INVALID;
	head = take_length(in->p + 1, in->n - 1, &length);
	if (head == 0 || length > in->n - 1 - head)
		return -ERR_INVALID;
	head++;
	*value = (struct span){in->p + head, length};
	if (whole != NULL)
		*whole = (struct span){in->p, head + length};
	in->p += head + length;
	in->n -= head + length;
	return 0;
}

int
der_take_algorithm(struct span *in, struct span *oid, bool *has_null)
{
	struct span seq, none;

	if (der_take(in, DER_SEQUENCE, &seq, NULL) != 0 ||
	    der_take(&seq, DER_OID, oid, NULL) != 0)
		return -ERR_INVALID;
	*has_null = seq.n != 0;
	if (seq.n == 0)
		return 0;
	if (der_take(&seq, DER_NULL, &none, NULL) != 0 || none.n != 0 ||
	    seq.n != 0)
		return -ERR_INVALID;
	return 0;
}

int
der_take_bits(struct span *in, struct span *bytes)
{
	if (der_take(in, DER_BIT_STRING, bytes, NULL) != 0 || bytes->n == 0 ||
	    bytes->p[0] != 0)
		return -ERR_INVALID;
	bytes->p++;
	bytes->n--;
	return 0;
}

static bool
two_digits(const uint8_t *p, int min, int max, int *out)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*out = (p[0] - '0') * 10 + (p[1] - '0');
	return *out >= min && *out <= max;
}

int
der_take_time(struct span *in, int64_t *wall_s)
{
	bool utc = der_peek(*in) == DER_UTC_TIME;
	struct span v;
	struct tm tm = {0};
	int year, day, century = 0;
	time_t t;

	if (der_take(in, utc ? DER_UTC_TIME : DER_GENERAL_TIME, &v, NULL) !=
		0 ||
	    v.n != (utc ? 13 : 15) || v.p[v.n - 1] != 'Z')
		return -ERR_INVALID;
	if (!utc) {
		if (!two_digits(v.p, 0, 99, &century))
			return -ERR_INVALID;
		v.p += 2;
	}
	if (!two_digits(v.p, 0, 99, &year) ||
	    !two_digits(v.p + 2, 1, 12, &tm.tm_mon) ||
	    !two_digits(v.p + 4, 1, 31, &tm.tm_mday) ||
	    !two_digits(v.p + 6, 0, 23, &tm.tm_hour) ||
	    !two_digits(v.p + 8, 0, 59, &tm.tm_min) ||
	    !two_digits(v.p + 10, 0, 59, &tm.tm_sec))
		return -ERR_INVALID;
	if (utc)
		century = year >= 50 ? 19 : 20;
	tm.tm_year = century * 100 + year - 1900;
	tm.tm_mon--;
	day = tm.tm_mday;
	t = timegm(&tm); /* 31 February becomes a day in March */
	if (tm.tm_mday != day)
		return -ERR_INVALID;
	*wall_s = (int64_t)t;
	return 0;
}

static bool
is_text(int tag)
{
	return tag == DER_UTF8_STRING || tag == DER_PRINTABLE_STRING ||
	       tag == DER_IA5_STRING;
}

/* One RelativeDistinguishedName; its text goes to cn if it is the name. */
static int
take_rdn(struct span *in, char *cn, size_t cap)
{
	struct span set, seq, oid, text;
	int tag;

	if (der_take(in, DER_SET, &set, NULL) != 0 ||
	    der_take(&set, DER_SEQUENCE, &seq, NULL) != 0 || set.n != 0 ||
	    der_take(&seq, DER_OID, &oid, NULL) != 0)
		return -ERR_INVALID;
	tag = der_peek(seq);
	if (!is_text(tag) || der_take(&seq, tag, &text, NULL) != 0 ||
	    seq.n != 0 || !str_utf8_valid(text.p, text.n))
		return -ERR_INVALID;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < ' ' || text.p[i] == 0x7f)
			return -ERR_INVALID;
	}
	if (!der_equal(oid, oid_common_name, sizeof(oid_common_name)) ||
	    *cn != '\0')
		return 0;
	return str_fmt(cn, cap, "%.*s", (int)text.n, (const char *)text.p) == 0
		   ? 0
		   : -ERR_INVALID;
}

int
der_take_name(struct span *in, struct span *whole, char *cn, size_t cap)
{
	struct span seq;
	unsigned n = 0;

	cn[0] = '\0';
	if (der_take(in, DER_SEQUENCE, &seq, whole) != 0)
		return -ERR_INVALID;
	while (seq.n > 0) {
		if (n++ >= MAX_RDNS || take_rdn(&seq, cn, cap) != 0)
			return -ERR_INVALID;
	}
	return 0;
}

/* Tag and length of n bytes into head; how long that is, 0 if too long. */
static size_t
make_head(int tag, size_t n, uint8_t head[2 + MAX_LENGTH_BYTES])
{
	size_t count = 0;

	head[0] = (uint8_t)tag;
	if (n < 0x80) {
		head[1] = (uint8_t)n;
		return 2;
	}
	for (size_t rest = n; rest > 0; rest >>= 8)
		count++;
	if (count > MAX_LENGTH_BYTES)
		return 0;
	head[1] = (uint8_t)(0x80 | count);
	for (size_t i = 0; i < count; i++)
		head[2 + i] = (uint8_t)(n >> 8 * (count - 1 - i));
	return 2 + count;
}

int
der_put(struct buf *out, int tag, const void *p, size_t n)
{
	uint8_t head[2 + MAX_LENGTH_BYTES];
	size_t n_head = make_head(tag, n, head);
	int rc;

	if (n_head == 0)
		return -ERR_TOO_BIG;
	rc = buf_append(out, head, n_head);
	return rc != 0 || n == 0 ? rc : buf_append(out, p, n);
}

int
der_wrap(struct buf *out, size_t from, int tag)
{
	uint8_t head[2 + MAX_LENGTH_BYTES];
	size_t n_head = make_head(tag, out->len - from, head);

	return n_head == 0 ? -ERR_TOO_BIG
			   : buf_splice(out, from, 0, head, n_head);
}

int
der_put_algorithm(struct buf *out, struct span oid)
{
	size_t from = out->len;
	int rc = der_put(out, DER_OID, oid.p, oid.n);

	if (rc == 0)
		rc = der_put(out, DER_NULL, NULL, 0);
	return rc != 0 ? rc : der_wrap(out, from, DER_SEQUENCE);
}

int
der_put_time(struct buf *out, int64_t wall_s)
{
	time_t t = (time_t)wall_s;
	char text[32];
	struct tm tm;
	bool utc;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year > 9999 - 1900 ||
	    tm.tm_year < 70)
		return -ERR_INVALID;
	utc = tm.tm_year < 150;
	if (strftime(text, sizeof(text),
		utc ? "%y%m%d%H%M%SZ" : "%Y%m%d%H%M%SZ", &tm) == 0)
		return -ERR_INVALID;
	return der_put(
	    out, utc ? DER_UTC_TIME : DER_GENERAL_TIME, text, strlen(text));
}

int
der_put_bits(struct buf *out, const void *p, size_t n)
{
	size_t from = out->len;
	int rc = buf_append_u8(out, 0);

	if (rc == 0)
		rc = buf_append(out, p, n);
	return rc != 0 ? rc : der_wrap(out, from, DER_BIT_STRING);
}
