#include "config.h"

#include "config/name.h"

#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/str.h"

enum { KEPT_BYTES = 40 };

static char
plain(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return c;
	return '-';
}

void
cfg_object_name(const char *raw, char out[CFG_OBJECT_NAME_BYTES])
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	bool changed = false;
	size_t n = 0;

	for (; n < KEPT_BYTES && raw[n] != '\0'; n++) {
		out[n] = plain(raw[n]);
		changed = changed || out[n] != raw[n];
	}
	out[n] = '\0';
	if (!changed && raw[n] == '\0')
		return;
	SHA256((const unsigned char *)raw, strlen(raw), hash);
	snprintf(out + n, CFG_OBJECT_NAME_BYTES - n, "-%02x%02x%02x%02x",
	    hash[0], hash[1], hash[2], hash[3]);
}

const char *
cfg_cluster_name_problem(const char *raw)
{
	size_t n = strlen(raw);
	bool usable = false;

	if (n == 0)
		return "is empty";
	if (n > CFG_CLUSTER_NAME_MAX)
		return "is longer than 100 characters";
	if (!str_utf8_valid((const uint8_t *)raw, n))
		return "is not UTF-8";
	if (strcmp(raw, ".") == 0 || strcmp(raw, "..") == 0)
		return "is the name of a directory";
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)raw[i];

		if (c < ' ' || c == 0x7f)
			return "holds a control character";
		if (strchr("/,\"'", raw[i]) != NULL)
			return "holds one of / , \" '";
		usable = usable || plain(raw[i]) != '-';
	}
	return usable ? NULL : "holds no letter or digit";
}
