/* kubeconfig_read: where the operator is and how to be let in. */
#ifndef CLIENT_KUBECONFIG_READ_H
#define CLIENT_KUBECONFIG_READ_H

#include <stdbool.h>

#include "lib/buf.h"
#include "lib/err.h"

struct cli_kube {
	char *server; /* https URL */
	char *namespace;
	char *context;
	struct buf ca_pem; /* empty: the system's roots */
	struct buf cert_pem;
	struct buf key_pem;
	char *token; /* or NULL */
	char *tls_server_name;
	bool insecure;
};

/*
 * path NULL: $KUBECONFIG (its first file), else ~/.kube/config. context NULL:
 * the current one. All members are owned; free with cli_kube_free. Errors name
 * the file and what is missing in it.
 */
int cli_kube_read(
    const char *path, const char *context, struct cli_kube *out, struct err *e);
void cli_kube_free(struct cli_kube *k);

#endif
