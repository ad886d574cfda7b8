/* dns: names looked up in the target. */
#ifndef CLIENT_DNS_H
#define CLIENT_DNS_H

#include "client/session.h"

enum { CLI_NAME_MAX = 255 };

/* ip NULL: e says why, ERR_CLOSED when the connection was lost. The first
 * IPv4 address wins over IPv6. */
typedef void cli_dns_fn(void *arg, const struct pm_ip *ip, const struct err *e);
/* An address as text needs no question: fn is called from inside then. An
 * error (e may be NULL): fn is never called. */
int cli_dns_lookup(struct cli_session *s, const char *name, cli_dns_fn *fn,
    void *arg, struct err *e);
bool cli_ip_parse(const char *text, struct pm_ip *out);
void cli_ip_print(const struct pm_ip *ip, char *out, size_t cap);

#endif
