#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/str.h"
#include "workers/connector/connector.h"

enum { LINE_BYTES = 1024, WORDS_MAX = 34 };

/* One line's words, comments cut; the text behind p moves on. */
static size_t
words_next(struct span *text, char line[LINE_BYTES], char **words)
{
	const uint8_t *nl = memchr(text->p, '\n', text->n);
	size_t n = nl != NULL ? (size_t)(nl - text->p) : text->n, count = 0;
	size_t keep = n < LINE_BYTES - 1 ? n : LINE_BYTES - 1;
	char *save = NULL, *w;

	memcpy(line, text->p, keep);
	line[keep] = '\0';
	text->p += nl != NULL ? n + 1 : n;
	text->n -= nl != NULL ? n + 1 : n;
	line[strcspn(line, "#;")] = '\0';
	for (w = strtok_r(line, " \t\r", &save); w != NULL;
	     w = strtok_r(NULL, " \t\r", &save)) {
		if (count == WORDS_MAX)
			break;
		words[count++] = w;
	}
	return count;
}

static void
resolv_option(struct con_resolv *r, const char *word)
{
	static const struct {
		const char *name;
		size_t offset;
	} table[] = {
	    {"ndots:", offsetof(struct con_resolv, ndots)},
	    {"timeout:", offsetof(struct con_resolv, timeout)},
	    {"attempts:", offsetof(struct con_resolv, attempts)},
	};
	uint64_t value;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *text = word + strlen(table[i].name);

		if (!str_starts(word, table[i].name))
			continue;
		if (str_to_u64(text, &value) && value <= 30)
			snprintf((char *)r + table[i].offset, sizeof(r->ndots),
			    "%u", (unsigned)value);
	}
}

void
con_resolv_parse(struct span text, struct con_resolv *out)
{
	char line[LINE_BYTES], *words[WORDS_MAX];

	memset(out, 0, sizeof(*out));
	while (text.n > 0) {
		size_t n = words_next(&text, line, words);
		struct con_ip ip;

		if (n < 2)
			continue;
		if (strcmp(words[0], "nameserver") == 0) {
			if (out->n_servers < 3 && con_ip_parse(words[1], &ip))
				snprintf(out->servers[out->n_servers++],
				    sizeof(out->servers[0]),
				    ip.family == AF_INET6 ? "[%s]" : "%s",
				    words[1]);
		} else if (strcmp(words[0], "search") == 0 ||
			   strcmp(words[0], "domain") == 0) {
			out->n_search = 0; /* the last one counts */
			for (size_t i = 1; i < n && out->n_search < 6; i++) {
				if (str_fmt(out->search[out->n_search],
					CON_HOST_BYTES, "%s", words[i]) == 0)
					out->n_search++;
			}
		} else if (strcmp(words[0], "options") == 0) {
			for (size_t i = 1; i < n; i++)
				resolv_option(out, words[i]);
		}
	}
}

bool
con_addresses_add(struct con_addresses *a, const struct con_ip *ip)
{
	size_t bytes =
	    ip->family == AF_INET ? sizeof(ip->u.v4) : sizeof(ip->u.v6);

	for (size_t i = 0; i < a->n; i++) {
		if (a->ip[i].family == ip->family &&
		    memcmp(&a->ip[i].u, &ip->u, bytes) == 0)
			return true;
	}
	if (a->n == CON_ADDRESSES_MAX)
		return false;
	a->ip[a->n++] = *ip;
	return true;
}

bool
con_hosts_find(struct span text, const char *name, struct con_addresses *out)
{
	char line[LINE_BYTES], *words[WORDS_MAX];
	bool found = false;

	while (text.n > 0) {
		size_t n = words_next(&text, line, words);
		struct con_ip ip;

		if (n < 2 || !con_ip_parse(words[0], &ip))
			continue;
		for (size_t i = 1; i < n; i++) {
			if (strcasecmp(words[i], name) == 0)
				found |= con_addresses_add(out, &ip);
		}
	}
	return found;
}
