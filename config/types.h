/* types: what one value of tributaryd.yaml may look like. */
#ifndef CONFIG_TYPES_H
#define CONFIG_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#include "config/table.h"

/* Whether text is a value of the row's type, inside its range. */
bool cfg_type_ok(const struct cfg_row *row, const char *text);
/* "an absolute path such as /run/tributaryd": what the row wants. */
void cfg_type_wants(const struct cfg_row *row, char *out, size_t cap);
/*
 * Splits "ADDRESS:PORT" or "[ADDRESS]:PORT". host needs 256 bytes. Host may be
 * a name or an address; port 1 to 65535.
 */
bool cfg_split_address(const char *text, char *host, unsigned *port_r);
/* A DNS name or an IP address. */
bool cfg_is_host(const char *text);

#endif
