/*
 * der: tag, length and value of DER, read and written.
 *
 * Only what certificates and certificate requests need: one-byte tags,
 * definite lengths in their shortest form. Values are borrowed from the input.
 */
#ifndef PROTOCOL_DER_H
#define PROTOCOL_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_UTF8_STRING = 0x0c,
	DER_PRINTABLE_STRING = 0x13,
	DER_IA5_STRING = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERAL_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CTX_0 = 0xa0, /* [0], constructed */
	DER_CTX_3 = 0xa3,
};

/* The tag of the next value, or -1 at the end. */
int der_peek(struct span in);
/*
 * Takes the next value off the front of in. whole (may be NULL) is all of its
 * bytes. 0, or -ERR_INVALID when it is not of that tag or not DER.
 */
int der_take(struct span *in, int tag, struct span *value, struct span *whole);
/* An AlgorithmIdentifier with no parameters or NULL: its OID. */
int der_take_algorithm(struct span *in, struct span *oid, bool *has_null);
/* A BIT STRING of whole bytes. */
int der_take_bits(struct span *in, struct span *bytes);
/* A UTCTime or GeneralizedTime in UTC, without fractions. */
int der_take_time(struct span *in, int64_t *wall_s);
/*
 * A Name of at most 8 RDNs with one attribute each; the text of its (first)
 * common name, "" when there is none. cn needs cap bytes.
 */
int der_take_name(struct span *in, struct span *whole, char *cn, size_t cap);
bool der_equal(struct span a, const void *p, size_t n);

/* Each appends one value; -ERR_NOMEM, -ERR_TOO_BIG as buf. */
int der_put(struct buf *out, int tag, const void *p, size_t n);
/* What was appended since `from` (a length of out) becomes one value. */
int der_wrap(struct buf *out, size_t from, int tag);
/* SEQUENCE { OID, NULL } */
int der_put_algorithm(struct buf *out, struct span oid);
/* UTCTime before 2050, GeneralizedTime after. */
int der_put_time(struct buf *out, int64_t wall_s);
int der_put_bits(struct buf *out, const void *p, size_t n);

#endif
