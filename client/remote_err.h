/* remote_err: what an agent's or operator's ResponseError says. */
#ifndef CLIENT_REMOTE_ERR_H
#define CLIENT_REMOTE_ERR_H

#include "protocol/mirrord.h"

/*
 * Fills e with "what: why". The code is ERR_DENIED for policies, ERR_CONFLICT
 * for a port somebody else has, ERR_NOT_FOUND for names and files that are not
 * there, ERR_UNSUPPORTED otherwise; never ERR_CLOSED.
 */
int cli_remote_error(
    const struct pm_ResponseError *why, const char *what, struct err *e);

#endif
