/*
 * pm_version: text and versions of the mirrord protocol (§2.3 semver, §12).
 */
#ifndef PROTOCOL_PM_VERSION_H
#define PROTOCOL_PM_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/err.h"

/* Borrowed text, not NUL-terminated. */
struct pm_str {
	const char *p;
	size_t n;
};

#define PM_STR(literal) ((struct pm_str){"" literal, sizeof(literal) - 1})

static inline struct pm_str
pm_str(const char *s)
{
	return (struct pm_str){s, strlen(s)};
}

static inline bool
pm_str_eq(struct pm_str a, struct pm_str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* A release version in one number, in order: for `since` and comparisons. */
#define PM_VER(major, minor, patch) \
	((uint32_t)(major) << 20 | (uint32_t)(minor) << 10 | (uint32_t)(patch))

#define PM_VERSION_OWN "1.29.0"    /* what this codec speaks */
#define PM_VERSION_ASSUMED "1.2.2" /* of a peer before negotiation */

/* What needs which version (§12). */
#define PM_SINCE_NEGOTIATION PM_VER(1, 3, 0)
#define PM_SINCE_HTTP_FRAMED PM_VER(1, 3, 0)
#define PM_SINCE_READY_FOR_LOGS PM_VER(1, 3, 1)
#define PM_SINCE_HTTP_UPGRADE PM_VER(1, 5, 0)
#define PM_SINCE_READ_LINK PM_VER(1, 6, 0)
#define PM_SINCE_HTTP_REQUEST_CHUNKED PM_VER(1, 7, 0)
#define PM_SINCE_HTTP_RESPONSE_CHUNKED PM_VER(1, 8, 1)
#define PM_SINCE_READ_DIR_BATCH PM_VER(1, 9, 0)
#define PM_SINCE_VPN PM_VER(1, 10, 0)
#define PM_SINCE_FILTER_COMPOSITE PM_VER(1, 11, 0)
#define PM_SINCE_BLOCKED_MIRROR PM_VER(1, 12, 0)
#define PM_SINCE_MAKE_DIR PM_VER(1, 13, 0)
#define PM_SINCE_OPEN_LOCAL PM_VER(1, 13, 3)
#define PM_SINCE_LOG_INFO PM_VER(1, 13, 4)
#define PM_SINCE_REMOVE_DIR PM_VER(1, 14, 0)
#define PM_SINCE_ADDR_INFO_V2 PM_VER(1, 15, 0)
#define PM_SINCE_STAT_FS PM_VER(1, 16, 0)
#define PM_SINCE_FORBIDDEN_REASON PM_VER(1, 17, 0)
#define PM_SINCE_STAT_FS_V2 PM_VER(1, 18, 0)
#define PM_SINCE_HTTP_START_V2 PM_VER(1, 19, 0)
#define PM_SINCE_CONNECTION_V2 PM_VER(1, 19, 4)
#define PM_SINCE_OPERATOR_PING PM_VER(1, 19, 8)
#define PM_SINCE_FILTER_METHOD PM_VER(1, 20, 0)
#define PM_SINCE_RENAME PM_VER(1, 21, 0)
#define PM_SINCE_MIRROR_FILTER PM_VER(1, 21, 1)
#define PM_SINCE_CONNECT_V2 PM_VER(1, 22, 0)
#define PM_SINCE_FILTER_BODY PM_VER(1, 23, 0)
#define PM_SINCE_FTRUNCATE PM_VER(1, 24, 0)
#define PM_SINCE_REVERSE_DNS PM_VER(1, 25, 0)
#define PM_SINCE_FILTER_JQ PM_VER(1, 26, 0)
#define PM_SINCE_SEQPACKET PM_VER(1, 27, 0)
#define PM_SINCE_SYSTEM_FAILURE PM_VER(1, 28, 0)
#define PM_SINCE_SHARE_LINK PM_VER(1, 29, 0)

struct pm_version {
	uint64_t major, minor, patch;
	struct pm_str pre;   /* "rc.1", empty on a release; borrowed */
	struct pm_str build; /* borrowed */
};

/* A full semantic version. -ERR_INVALID with e->offset in s. e may be NULL. */
int pm_version_parse(struct pm_str s, struct pm_version *out, struct err *e);
/* <0, 0, >0 in semver precedence; build metadata does not count. */
int pm_version_cmp(const struct pm_version *a, const struct pm_version *b);
/*
 * Whether the peer's version knows what came with `since` (§12). A version
 * with a pre-release tag satisfies none but 0, as in existing peers.
 */
bool pm_version_at_least(const struct pm_version *v, uint32_t since);
/* As above from text; false when s is no version and since is not 0. */
bool pm_text_at_least(struct pm_str s, uint32_t since);

#endif
