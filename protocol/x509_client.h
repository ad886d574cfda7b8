/*
 * x509_client: the client certificate in `x-client-der` (spec/operator-api.md
 * §7.5), read by hand.
 *
 * The CLI sends its certificate re-encoded: every AlgorithmIdentifier without
 * parameters has gained an explicit NULL. The certificates of our credential
 * CA are written with the NULLs, so the bytes come back as they were signed;
 * one without them is put back into that form before its signature is tried.
 * Such a certificate names its owner by public key and is never a proof of
 * identity towards TLS.
 */
#ifndef PROTOCOL_X509_CLIENT_H
#define PROTOCOL_X509_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"

enum {
	XC_MAX_BASE64_BYTES = 16384,
	XC_KEY_BYTES = 32,
	XC_KEY_ID_BYTES = 44, /* 43 characters and NUL */
	XC_NAME_BYTES = 256,
	XC_SERIAL_BYTES = 41,
};

struct xc_identity {
	char key_id[XC_KEY_ID_BYTES]; /* unpadded base64 of the public key */
	char common_name[XC_NAME_BYTES];
	char user[XC_NAME_BYTES]; /* who asked for it, as we authenticated */
	char kind[32];            /* "regular" or "ci" */
	char serial[XC_SERIAL_BYTES]; /* lower hex, no leading zero bytes */
	uint8_t public_key[XC_KEY_BYTES];
	int64_t not_before_s;
	int64_t not_after_s;
};

/*
 * b64: the header's value (standard base64, padded or not). ca_pem: the
 * credential CA. 0, -ERR_INVALID (no certificate), -ERR_DENIED (not signed by
 * this CA), -ERR_TIMEOUT (not valid at now_s); e->text is for the user.
 * Whether it is revoked is the caller's to look up (key_id, serial in TRUST).
 */
int xc_verify(const char *b64, const char *ca_pem, int64_t now_s,
    struct xc_identity *out, struct err *e);

/*
 * The private extension in which the credential CA writes kind and user:
 * SEQUENCE { UTF8String kind, UTF8String user } under 2.25.<a UUID>.
 */
enum { XC_OID_BYTES = 19 };
extern const uint8_t xc_identity_oid[XC_OID_BYTES];

#endif
