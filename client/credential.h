/* credential: the client certificate for x-client-der (operator-api §7). */
#ifndef CLIENT_CREDENTIAL_H
#define CLIENT_CREDENTIAL_H

#include "client/api.h"

/*
 * Finds a valid certificate in ~/.tributary/credentials or has one made (E3)
 * and keeps it there, by the operator's fingerprint and user. Sets
 * api->client_der. Needs api->object.
 */
int cli_credential_get(struct cli_api *api, struct err *e);

/*
 * The certificate request the stock CLI sends: X25519's OID on an Ed25519 key
 * (§7.4). PEM with CRLF lines appended to out.
 */
int cli_csr_make(
    const char *common_name, EVP_PKEY *key, struct buf *out, struct err *e);

#endif
