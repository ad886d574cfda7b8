/* pm_uri: URIs as the HTTP stack of existing peers takes them (§3). */
#ifndef PROTOCOL_PM_URI_H
#define PROTOCOL_PM_URI_H

#include "protocol/mirrord.h"

struct pm_uri {               /* parts are borrowed and may be empty */
	struct pm_str scheme; /* p is NULL when there is none */
	struct pm_str authority;
	struct pm_str path;
	struct pm_str query; /* with its '?' */
};

/*
 * Origin form, absolute form, an authority alone, or "*". s must be UTF-8. A
 * fragment is left out of the parts.
 */
bool pm_uri_parse(struct pm_str s, struct pm_uri *out);
/*
 * The form of a valid URI that existing peers emit: no fragment, http and
 * https in lower case, "/" where an absolute URI has no path. *s stays when it
 * has that form already, else it moves into a. -ERR_NOMEM.
 */
int pm_uri_normalise(struct arena *a, struct pm_str *s);

#endif
