/*
 * pm_text: what the protocol's text kinds may hold (§2.3, §3), and the forms
 * existing peers give them.
 */
#ifndef PROTOCOL_PM_TEXT_H
#define PROTOCOL_PM_TEXT_H

#include "protocol/pm_type.h"

/*
 * Whether s is good for a text kind (PM_K_STR to PM_K_HEADER_NAME): NULL, or
 * what is wrong with it as the end of "the text is ...".
 */
const char *pm_text_wrong(enum pm_kind kind, struct pm_str s);
/*
 * Gives good text the form existing peers give it: URIs as below, header
 * names in lower case. *s stays where it is when it has that form already,
 * else it moves into a. -ERR_NOMEM.
 */
int pm_text_normalise(enum pm_kind kind, struct arena *a, struct pm_str *s);
bool pm_header_value_ok(struct span s);

/*
 * Folds n raw header entries as existing peers do: a repeated name with one
 * value replaces, with more appends, with none does nothing. In place, with
 * room from a. -ERR_NOMEM.
 */
int pm_headers_fold(struct arena *a, struct pm_headers *h);
/* Drops repeated items; the first place of each stays. -ERR_NOMEM. */
int pm_set_fold(struct arena *a, struct pm_vec_str *s);
/* The same for keys; the last value wins. */
int pm_map_fold(struct arena *a, struct pm_vec_pair *m);

/* Addresses as text; out has room for PM_ADDR_TEXT bytes with the NUL. */
#define PM_ADDR_TEXT 64
void pm_ip_print(const struct pm_ip *ip, char out[PM_ADDR_TEXT]);
void pm_sockaddr_print(const struct pm_sockaddr *sa, char out[PM_ADDR_TEXT]);
void pm_uid_print(const struct pm_uid *uid, char out[PM_ADDR_TEXT]);
bool pm_ip_parse(struct pm_str s, struct pm_ip *out);
bool pm_sockaddr_parse(struct pm_str s, struct pm_sockaddr *out);
bool pm_uid_parse(struct pm_str s, struct pm_uid *out);
/* Decimal, at most 39 digits and the NUL. */
void pm_u128_print(struct pm_u128 v, char out[PM_ADDR_TEXT]);
/* All of s in decimal without sign or needless zeros. */
bool pm_u128_parse(struct pm_str s, struct pm_u128 *out);

#endif
