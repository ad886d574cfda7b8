#include "config.h"

#include "agent/dns_conf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/str.h"

enum { DNS_PORT = 53, LINE_MAX_BYTES = 4096 };

bool
dns_addr_parse(const char *s, struct dns_addr *out)
{
	char text[INET6_ADDRSTRLEN];
	size_t n = strcspn(s, "%");

	if (n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	memset(out, 0, sizeof(*out));
	out->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	if (out->family == AF_INET && s[n] == '%')
		return false;
	return inet_pton(out->family, text, out->a) == 1;
}

bool
dns_addr_equal(const struct dns_addr *a, const struct dns_addr *b)
{
	return a->family == b->family &&
	       memcmp(a->a, b->a, a->family == AF_INET ? 4 : 16) == 0;
}

/* ---- resolv.conf ---- */

static void
add_server(struct dns_conf *c, char *args)
{
	char *save = NULL, *word = strtok_r(args, " \t", &save);
	const char *zone;
	struct dns_addr a;
	struct sockaddr_in *v4;
	struct sockaddr_in6 *v6;

	if (word == NULL || c->server_count == DNS_SERVERS_MAX ||
	    !dns_addr_parse(word, &a))
		return;
	v4 = (struct sockaddr_in *)&c->servers[c->server_count];
	v6 = (struct sockaddr_in6 *)&c->servers[c->server_count];
	c->server_count++;
	if (a.family == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(DNS_PORT);
		memcpy(&v4->sin_addr, a.a, 4);
		return;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(DNS_PORT);
	memcpy(&v6->sin6_addr, a.a, 16);
	zone = strchr(word, '%');
	if (zone != NULL)
		v6->sin6_scope_id = if_nametoindex(zone + 1);
}

/* Each line of search (and the old "domain") replaces the one before. */
static void
set_search(struct dns_conf *c, char *args)
{
	char *save = NULL;

	c->search_count = 0;
	for (char *w = strtok_r(args, " \t", &save); w != NULL;
	     w = strtok_r(NULL, " \t", &save)) {
		size_t n = strlen(w);

		while (n > 0 && w[n - 1] == '.')
			w[--n] = '\0';
		if (n == 0 || n >= DNS_NAME_MAX ||
		    c->search_count == DNS_SEARCH_MAX)
			continue;
		memcpy(c->search[c->search_count++], w, n + 1);
	}
}

static void
set_options(struct dns_conf *c, char *args)
{
	static const struct {
		const char *name;
		size_t offset;
		unsigned min, max, factor;
	} numbers[] = {
	    {"ndots:", offsetof(struct dns_conf, ndots), 0, 15, 1},
	    {"timeout:", offsetof(struct dns_conf, timeout_ms), 1, 30, 1000},
	    {"attempts:", offsetof(struct dns_conf, attempts), 1, 5, 1},
	};
	char *save = NULL;

	for (char *w = strtok_r(args, " \t", &save); w != NULL;
	     w = strtok_r(NULL, " \t", &save)) {
		if (strcmp(w, "use-vc") == 0)
			c->use_tcp = true;
		for (size_t i = 0; i < 3; i++) {
			uint64_t v;

			if (!str_starts(w, numbers[i].name) ||
			    !str_to_u64(w + strlen(numbers[i].name), &v))
				continue;
			if (v < numbers[i].min)
				v = numbers[i].min;
			if (v > numbers[i].max)
				v = numbers[i].max;
			*(unsigned *)((char *)c + numbers[i].offset) =
			    (unsigned)v * numbers[i].factor;
		}
	}
}

static void
conf_line(struct dns_conf *c, char *line)
{
	static const struct {
		const char *word;
		void (*fn)(struct dns_conf *, char *);
	} rows[] = {
	    {"nameserver", add_server},
	    {"search", set_search},
	    {"domain", set_search},
	    {"options", set_options},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t n = strlen(rows[i].word);

		if (strncmp(line, rows[i].word, n) == 0 &&
		    (line[n] == ' ' || line[n] == '\t')) {
			rows[i].fn(c, line + n);
			return;
		}
	}
}

/* Copies the next line without its end; false at the end of the text. */
static bool
next_line(const char **p, const char *end, char *out, size_t cap)
{
	const char *nl;
	size_t n;

	if (*p >= end)
		return false;
	nl = memchr(*p, '\n', (size_t)(end - *p));
	n = (size_t)((nl != NULL ? nl : end) - *p);
	*p = nl != NULL ? nl + 1 : end;
	if (n >= cap)
		n = 0; /* no line is that long: as if it were empty */
	memcpy(out, *p - n - (nl != NULL ? 1 : 0), n);
	out[n] = '\0';
	return true;
}

void
dns_conf_parse(struct dns_conf *c, const char *text, size_t n)
{
	char line[LINE_MAX_BYTES];
	const char *p = text, *end = text + n;
	char local[] = " 127.0.0.1";

	memset(c, 0, sizeof(*c));
	c->ndots = 1;
	c->timeout_ms = 5000;
	c->attempts = 2;
	while (next_line(&p, end, line, sizeof(line))) {
		line[strcspn(line, "#;\r")] = '\0';
		conf_line(c, line);
	}
	if (c->server_count == 0)
		add_server(c, local);
}

/* ---- hosts ---- */

static int
host_add(struct dns_hosts *h, size_t *cap, const struct dns_addr *a,
    const char *name)
{
	if (h->count == DNS_HOSTS_MAX)
		return 0;
	if (h->count == *cap) {
		size_t want = *cap == 0 ? 32 : *cap * 2;
		struct dns_host *p =
		    reallocarray(h->rows, want, sizeof(*h->rows));

		if (p == NULL)
			return -ERR_NOMEM;
		h->rows = p;
		*cap = want;
	}
	h->rows[h->count++] = (struct dns_host){.addr = *a, .name = name};
	return 0;
}

static int
host_line(struct dns_hosts *h, size_t *cap, char *line)
{
	char *save = NULL, *w;
	struct dns_addr a;
	int rc = 0;

	line[strcspn(line, "#\r")] = '\0';
	w = strtok_r(line, " \t", &save);
	if (w == NULL || !dns_addr_parse(w, &a))
		return 0;
	while (rc == 0 && (w = strtok_r(NULL, " \t", &save)) != NULL) {
		size_t n = strlen(w);

		if (n >= DNS_NAME_MAX || !str_utf8_valid((const uint8_t *)w, n))
			continue;
		if (n > 1 && w[n - 1] == '.')
			w[n - 1] = '\0';
		if (w[0] == '.' || strstr(w, "..") != NULL || str_ends(w, "."))
			continue; /* empty labels */
		for (char *c = w; *c != '\0'; c++)
			*c = (char)tolower((unsigned char)*c);
		rc = host_add(h, cap, &a, w);
	}
	return rc;
}

int
dns_hosts_parse(struct dns_hosts *h, const char *text, size_t n)
{
	size_t cap = 0;
	char *line, *next;
	int rc = 0;

	memset(h, 0, sizeof(*h));
	h->text = malloc(n + 1);
	if (h->text == NULL)
		return -ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		h->text[i] = text[i] == '\0' ? ' ' : text[i];
	h->text[n] = '\0';
	for (line = h->text; rc == 0 && line != NULL; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		rc = host_line(h, &cap, line);
	}
	if (rc < 0)
		dns_hosts_free(h);
	return rc;
}

void
dns_hosts_free(struct dns_hosts *h)
{
	free(h->text);
	free(h->rows);
	memset(h, 0, sizeof(*h));
}

size_t
dns_hosts_find(const struct dns_hosts *h, const char *name, int family,
    struct dns_record *out, size_t max)
{
	size_t n = strlen(name), found = 0;

	if (n > 1 && name[n - 1] == '.')
		n--;
	for (size_t i = 0; i < h->count && found < max; i++) {
		const struct dns_host *r = &h->rows[i];

		if (r->addr.family != family || strlen(r->name) != n ||
		    strncasecmp(r->name, name, n) != 0)
			continue;
		out[found].addr = r->addr;
		if (str_fmt(out[found].name, sizeof(out[found].name), "%.*s.",
			(int)n, name) == 0)
			found++;
	}
	return found;
}

const char *
dns_hosts_name(const struct dns_hosts *h, const struct dns_addr *addr)
{
	for (size_t i = 0; i < h->count; i++) {
		if (dns_addr_equal(&h->rows[i].addr, addr))
			return h->rows[i].name;
	}
	return NULL;
}

/* ---- names to ask for ---- */

bool
dns_candidate(const struct dns_conf *c, const char *name, size_t i,
    char out[DNS_NAME_MAX + 1])
{
	size_t n = strlen(name), dots = 0;
	const char *domain = NULL;
	bool as_is_first;
	int rc;

	out[0] = '\0';
	if (n == 0)
		return false;
	if (name[n - 1] == '.') {
		if (i > 0)
			return false;
		(void)str_fmt(out, DNS_NAME_MAX + 1, "%s", name);
		return true;
	}
	for (const char *p = name; *p != '\0'; p++)
		dots += *p == '.';
	as_is_first = dots >= c->ndots;
	if (i > c->search_count)
		return false;
	if (as_is_first && i > 0)
		domain = c->search[i - 1];
	else if (!as_is_first && i < c->search_count)
		domain = c->search[i];
	rc = domain == NULL
		 ? str_fmt(out, DNS_NAME_MAX + 1, "%s.", name)
		 : str_fmt(out, DNS_NAME_MAX + 1, "%s.%s.", name, domain);
	if (rc < 0)
		out[0] = '\0';
	return true;
}
