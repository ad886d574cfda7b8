/* pm_addr: addresses, ids and wide numbers as text. */
#include <arpa/inet.h>
#include <stdio.h>

#include "lib/str.h"
#include "protocol/pm_text.h"

#define V6_GROUPS 8

static uint16_t
v6_group(const uint8_t *a, int i)
{
	return (uint16_t)(a[2 * i] << 8 | a[2 * i + 1]);
}

/* The longest run of two or more zero groups, the first of equals. */
static void
v6_zero_run(const uint8_t *a, int *start_r, int *len_r)
{
	int start = -1, len = 1, n;

	for (int i = 0; i < V6_GROUPS; i += n + 1) {
		for (n = 0; i + n < V6_GROUPS && v6_group(a, i + n) == 0;)
			n++;
		if (n > len) {
			start = i;
			len = n;
		}
	}
	*start_r = start;
	*len_r = len;
}

static void
v6_print(const uint8_t *a, char out[PM_ADDR_TEXT])
{
	int start, len, n = 0;

	v6_zero_run(a, &start, &len);
	for (int i = 0; i < V6_GROUPS; i++) {
		if (i == start) {
			n +=
			    snprintf(out + n, (size_t)(PM_ADDR_TEXT - n), "::");
			i += len - 1;
			continue;
		}
		n += snprintf(out + n, (size_t)(PM_ADDR_TEXT - n), "%s%x",
		    i == 0 || i == start + len ? "" : ":", v6_group(a, i));
	}
	out[n] = '\0';
}

void
pm_ip_print(const struct pm_ip *ip, char out[PM_ADDR_TEXT])
{
	static const uint8_t mapped[12] = {
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	const uint8_t *a = ip->a;
	const char *prefix = "";

	if (ip->v6 && memcmp(a, mapped, sizeof(mapped)) == 0) {
		prefix = "::ffff:";
		a += sizeof(mapped);
	} else if (ip->v6) {
		v6_print(a, out);
		return;
	}
	snprintf(
	    out, PM_ADDR_TEXT, "%s%u.%u.%u.%u", prefix, a[0], a[1], a[2], a[3]);
}

void
pm_sockaddr_print(const struct pm_sockaddr *sa, char out[PM_ADDR_TEXT])
{
	char ip[PM_ADDR_TEXT];

	pm_ip_print(&sa->ip, ip);
	/* the longest address has 45 characters */
	snprintf(out, PM_ADDR_TEXT, sa->ip.v6 ? "[%.45s]:%u" : "%.45s:%u", ip,
	    sa->port);
}

bool
pm_ip_parse(struct pm_str s, struct pm_ip *out)
{
	char text[PM_ADDR_TEXT];

	if (s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, out->a) == 1)
		return true;
	out->v6 = true;
	return inet_pton(AF_INET6, text, out->a) == 1;
}

bool
pm_sockaddr_parse(struct pm_str s, struct pm_sockaddr *out)
{
	char port[8];
	size_t i = s.n;
	struct pm_str ip;

	while (i > 0 && s.p[i - 1] != ':')
		i--;
	if (i == 0 || s.n - i >= sizeof(port) || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(port, s.p + i, s.n - i);
	port[s.n - i] = '\0';
	ip = (struct pm_str){s.p, i - 1};
	if (ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
		ip = (struct pm_str){ip.p + 1, ip.n - 2};
	return pm_ip_parse(ip, &out->ip) && out->ip.v6 == (ip.p != s.p) &&
	       str_to_u16(port, &out->port);
}

/* Where the 16 bytes stand in xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx. */
static const uint8_t uid_at[16] = {
    0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

#define UID_TEXT_BYTES 36

void
pm_uid_print(const struct pm_uid *uid, char out[PM_ADDR_TEXT])
{
	static const char hex[] = "0123456789abcdef";

	memset(out, '-', UID_TEXT_BYTES);
	out[UID_TEXT_BYTES] = '\0';
	for (int i = 0; i < 16; i++) {
		out[uid_at[i]] = hex[uid->b[i] >> 4];
		out[uid_at[i] + 1] = hex[uid->b[i] & 15];
	}
}

bool
pm_uid_parse(struct pm_str s, struct pm_uid *out)
{
	char want[PM_ADDR_TEXT], digits[3] = "";
	uint64_t v;

	if (s.n != UID_TEXT_BYTES)
		return false;
	for (int i = 0; i < 16; i++) {
		memcpy(digits, s.p + uid_at[i], 2);
		if (strlen(digits) != 2 || !str_hex_to_u64(digits, &v))
			return false;
		out->b[i] = (uint8_t)v;
	}
	pm_uid_print(out, want);
	for (int i = 0; i < UID_TEXT_BYTES; i++) /* the hyphens */
		if ((want[i] == '-') != (s.p[i] == '-'))
			return false;
	return true;
}

/* A wide number as 32-bit limbs, the highest first. */
struct wide {
	uint32_t limb[4];
};

static unsigned
wide_div10(struct wide *w)
{
	uint64_t rest = 0;

	for (int i = 0; i < 4; i++) {
		rest = rest << 32 | w->limb[i];
		w->limb[i] = (uint32_t)(rest / 10);
		rest %= 10;
	}
	return (unsigned)rest;
}

/* w = w * 10 + digit; false when it does not fit. */
static bool
wide_push(struct wide *w, unsigned digit)
{
	uint64_t carry = digit;

	for (int i = 3; i >= 0; i--) {
		carry += (uint64_t)w->limb[i] * 10;
		w->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	return carry == 0;
}

void
pm_u128_print(struct pm_u128 v, char out[PM_ADDR_TEXT])
{
	struct wide w = {{(uint32_t)(v.hi >> 32), (uint32_t)v.hi,
	    (uint32_t)(v.lo >> 32), (uint32_t)v.lo}};
	char *p = out + PM_ADDR_TEXT - 1;

	*p = '\0';
	do
		*--p = (char)('0' + wide_div10(&w));
	while ((w.limb[0] | w.limb[1] | w.limb[2] | w.limb[3]) != 0);
	memmove(out, p, (size_t)(out + PM_ADDR_TEXT - p));
}

bool
pm_u128_parse(struct pm_str s, struct pm_u128 *out)
{
	struct wide w = {{0}};

	if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9' ||
		    !wide_push(&w, (unsigned)(s.p[i] - '0')))
			return false;
	*out = (struct pm_u128){(uint64_t)w.limb[0] << 32 | w.limb[1],
	    (uint64_t)w.limb[2] << 32 | w.limb[3]};
	return true;
}
