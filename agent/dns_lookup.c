#include "config.h"

#include "agent/dns_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/dns_query.h"
#include "agent/path.h"
#include "agent/pool.h"
#include "lib/str.h"

enum { FILE_MAX_BYTES = 4 * 1024 * 1024 };

/* One question of a candidate: A or AAAA, or PTR. */
struct part {
	struct dns_lookup *l;
	struct dns_query *q;
	uint16_t type;
	bool asked;
	bool over;
	unsigned hops; /* CNAMEs that had to be asked for again */
	char name[DNS_NAME_MAX + 1];
	int rc;
	unsigned rcode;
	struct dns_record records[DNS_RECORDS_MAX];
	size_t count;
};

struct dns_lookup {
	struct pool_job job; /* reads the files */
	const struct dns_env *env;
	dns_lookup_fn *fn; /* NULL when nobody waits any more */
	void *arg;
	char name[DNS_NAME_MAX + 1];
	struct dns_addr addr; /* reverse when family is set */
	enum dns_family family;
	/* written by the job */
	int conf_errno;
	int parse_rc;
	struct dns_conf conf;
	struct dns_hosts hosts;
	bool job_over;
	size_t candidate;
	struct part parts[2]; /* [0] A or PTR, [1] AAAA */
	struct dns_result result;
};

/* ---- the files, on a thread ---- */

/* A regular file's bytes; 0 or an errno. */
static int
read_file(const struct path_at *at, const char *path, struct buf *out)
{
	int fd = path_open(at, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return -fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return EINVAL;
	}
	while (buf_reserve(out, 4096) == 0 &&
	       (n = read(fd, buf_tail(out), 4096)) > 0)
		buf_commit(out, (size_t)n);
	close(fd);
	return n < 0 ? errno : 0;
}

static void
read_files(struct pool_job *job)
{
	struct dns_lookup *l = LIST_ENTRY(job, struct dns_lookup, job);
	struct path_at at = {l->env->root_fd, PATH_NO_DIR};
	struct buf text;

	buf_init(&text, FILE_MAX_BYTES);
	l->conf_errno = read_file(&at, "/etc/resolv.conf", &text);
	if (l->conf_errno == 0)
		dns_conf_parse(
		    &l->conf, (const char *)buf_data(&text), text.len);
	buf_clear(&text);
	/* Without a hosts file there are just no such names. */
	if (read_file(&at, "/etc/hosts", &text) == 0)
		l->parse_rc = dns_hosts_parse(
		    &l->hosts, (const char *)buf_data(&text), text.len);
	buf_free(&text);
}

/* ---- results ---- */

static void
lookup_destroy(struct dns_lookup *l)
{
	dns_query_free(&l->parts[0].q);
	dns_query_free(&l->parts[1].q);
	dns_hosts_free(&l->hosts);
	free(l);
}

static void
finish(struct dns_lookup *l, enum dns_status status)
{
	l->result.status = status;
	l->fn(l->arg, &l->result);
}

static bool
wants(const struct dns_lookup *l, int af)
{
	if (af == AF_INET)
		return l->family != DNS_V6;
	return l->family != DNS_V4;
}

/* Any means: version 6 only where there is no version 4. */
static void
add_records(
    struct dns_lookup *l, int af, const struct dns_record *r, size_t count)
{
	struct dns_result *res = &l->result;

	if (af == AF_INET6 && l->family == DNS_ANY && res->count > 0)
		return;
	for (size_t i = 0; i < count && res->count < DNS_RESULTS_MAX; i++)
		res->records[res->count++] = r[i];
}

static bool
answer_literal(struct dns_lookup *l)
{
	struct dns_record r;

	memset(&r, 0, sizeof(r));
	if (!dns_addr_parse(l->name, &r.addr))
		return false;
	if (!wants(l, r.addr.family)) {
		finish(l, DNS_NO_RECORDS);
		return true;
	}
	memcpy(r.name, l->name, sizeof(r.name));
	add_records(l, r.addr.family, &r, 1);
	finish(l, DNS_OK);
	return true;
}

/* RFC 6761: these never leave the host. */
static bool
is_localhost(const char *name)
{
	size_t n = strlen(name);

	if (n > 0 && name[n - 1] == '.')
		n--;
	return (n == 9 && strncasecmp(name, "localhost", 9) == 0) ||
	       (n > 10 && strncasecmp(name + n - 10, ".localhost", 10) == 0);
}

static void
add_loopback(struct dns_lookup *l, int af)
{
	struct dns_record r;
	size_t n = strlen(l->name);

	memset(&r, 0, sizeof(r));
	(void)str_fmt(r.name, sizeof(r.name), "%s%s", l->name,
	    l->name[n - 1] == '.' ? "" : ".");
	(void)dns_addr_parse(af == AF_INET ? "127.0.0.1" : "::1", &r.addr);
	add_records(l, af, &r, 1);
}

static bool
answer_hosts(struct dns_lookup *l)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct dns_record found[DNS_RECORDS_MAX];

	for (int i = 0; i < 2; i++) {
		if (wants(l, families[i]))
			add_records(l, families[i], found,
			    dns_hosts_find(&l->hosts, l->name, families[i],
				found, DNS_RECORDS_MAX));
	}
	for (int i = 0; i < 2 && is_localhost(l->name); i++) {
		if (l->result.count == 0 && wants(l, families[i]))
			add_loopback(l, families[i]);
	}
	if (l->result.count == 0)
		return false;
	finish(l, DNS_OK);
	return true;
}

/* ---- questions ---- */

static void on_answer(void *arg, int rc, const struct dns_answer *a);

static int
ask(struct part *p)
{
	struct dns_lookup *l = p->l;

	dns_query_free(&p->q);
	p->q = dns_query_new(
	    l->env->loop, &l->conf, p->name, p->type, on_answer, p);
	return p->q == NULL ? -ERR_NOMEM : 0;
}

static int
ask_candidate(struct dns_lookup *l, const char *name)
{
	static const int families[] = {AF_INET, AF_INET6};
	static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		struct part *p = &l->parts[i];

		dns_query_free(&p->q);
		memset(p, 0, sizeof(*p));
		p->l = l;
		p->type = types[i];
		p->asked = wants(l, families[i]);
		memcpy(p->name, name, sizeof(p->name));
		if (p->asked)
			rc = ask(p);
	}
	return rc;
}

static enum dns_status
status_of(int rc)
{
	switch (-rc) {
	case ERR_OK:
		return DNS_NO_RECORDS;
	case ERR_TIMEOUT:
		return DNS_TIMEOUT;
	case ERR_CLOSED:
		return DNS_NO_CONNECTIONS;
	case ERR_NOMEM:
		return DNS_NO_MEMORY;
	default:
		return DNS_PROTO;
	}
}

static void
next_candidate(struct dns_lookup *l)
{
	char name[DNS_NAME_MAX + 1];

	while (dns_candidate(&l->conf, l->name, l->candidate++, name)) {
		if (name[0] == '\0')
			continue;
		if (ask_candidate(l, name) < 0)
			finish(l, DNS_NO_MEMORY);
		return;
	}
	/* What was said of the last candidate stands. */
	finish(l, l->result.status);
}

/* Both families have answered for one candidate. */
static void
candidate_over(struct dns_lookup *l)
{
	const struct part *worst = NULL;

	for (int i = 0; i < 2; i++) {
		const struct part *p = &l->parts[i];

		if (!p->asked)
			continue;
		add_records(
		    l, i == 0 ? AF_INET : AF_INET6, p->records, p->count);
		if (worst == NULL || p->rc < worst->rc ||
		    (p->rc == worst->rc && p->rcode > worst->rcode))
			worst = p;
	}
	if (l->result.count > 0) {
		finish(l, DNS_OK);
		return;
	}
	if (worst == NULL) { /* nothing was asked */
		finish(l, DNS_NO_RECORDS);
		return;
	}
	l->result.status = status_of(worst->rc);
	l->result.rcode = worst->rcode;
	/* Servers that do not answer will not for another name either. */
	if (worst->rc < 0 && worst->rc != -ERR_INVALID)
		finish(l, l->result.status);
	else
		next_candidate(l);
}

static void
on_answer(void *arg, int rc, const struct dns_answer *a)
{
	struct part *p = arg;
	struct dns_lookup *l = p->l;

	if (rc == 0 && a->count == 0 && a->rcode == DNS_RCODE_OK &&
	    a->final[0] != '\0' && strcasecmp(a->final, p->name) != 0 &&
	    p->hops++ < DNS_CNAME_HOPS) {
		memcpy(p->name, a->final, sizeof(p->name));
		rc = ask(p);
		if (rc == 0)
			return;
	}
	p->rc = rc;
	if (rc == 0 && a != NULL) {
		p->rcode = a->rcode;
		p->count = a->count;
		memcpy(p->records, a->records, sizeof(p->records));
	}
	p->over = true;
	for (int i = 0; i < 2; i++) {
		if (l->parts[i].asked && !l->parts[i].over)
			return;
	}
	candidate_over(l);
}

static void
on_reverse(void *arg, int rc, const struct dns_answer *a)
{
	struct dns_lookup *l = arg;
	size_t n;

	if (rc < 0 || a->ptr[0] == '\0') {
		l->result.rcode = rc < 0 ? 0 : a->rcode;
		finish(l, status_of(rc));
		return;
	}
	memcpy(l->result.host, a->ptr, sizeof(l->result.host));
	n = strlen(l->result.host);
	if (n > 1)
		l->result.host[n - 1] = '\0';
	finish(l, DNS_OK);
}

static void
start_reverse(struct dns_lookup *l)
{
	const char *known = dns_hosts_name(&l->hosts, &l->addr);
	char name[DNS_NAME_MAX + 1];

	if (known != NULL) {
		(void)str_fmt(
		    l->result.host, sizeof(l->result.host), "%s", known);
		finish(l, DNS_OK);
		return;
	}
	if (l->conf_errno != 0) {
		finish(l, l->conf_errno == EACCES ? DNS_CONFIG_DENIED
						  : DNS_NO_CONFIG);
		return;
	}
	if (dns_reverse_name(&l->addr, name) == 0)
		l->parts[0].q = dns_query_new(
		    l->env->loop, &l->conf, name, DNS_TYPE_PTR, on_reverse, l);
	if (l->parts[0].q == NULL)
		finish(l, DNS_NO_MEMORY);
}

static void
start_name(struct dns_lookup *l)
{
	if (l->name[0] == '\0') {
		finish(l, DNS_BAD_NAME);
		return;
	}
	if (answer_literal(l) || answer_hosts(l))
		return;
	if (l->conf_errno != 0)
		finish(l, l->conf_errno == EACCES ? DNS_CONFIG_DENIED
						  : DNS_NO_CONFIG);
	else
		next_candidate(l);
}

static void
files_read(struct pool_job *job)
{
	struct dns_lookup *l = LIST_ENTRY(job, struct dns_lookup, job);

	l->job_over = true;
	if (l->fn == NULL) {
		lookup_destroy(l);
		return;
	}
	if (l->env->attempts != 0)
		l->conf.attempts = l->env->attempts;
	if (l->env->timeout_s != 0)
		l->conf.timeout_ms = l->env->timeout_s * 1000;
	if (l->parse_rc < 0)
		finish(l, DNS_NO_MEMORY);
	else if (l->addr.family != 0)
		start_reverse(l);
	else
		start_name(l);
}

static struct dns_lookup *
lookup_start(const struct dns_env *env, dns_lookup_fn *fn, void *arg,
    const struct dns_lookup *what)
{
	struct dns_lookup *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->env = env;
	l->fn = fn;
	l->arg = arg;
	memcpy(l->name, what->name, sizeof(l->name));
	l->family = what->family;
	l->addr = what->addr;
	l->job.run = read_files;
	l->job.done = files_read;
	if (pool_submit(env->pool, &l->job) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

struct dns_lookup *
dns_lookup_name(const struct dns_env *env, const char *name, size_t name_len,
    enum dns_family family, dns_lookup_fn *fn, void *arg)
{
	struct dns_lookup what;

	memset(&what, 0, sizeof(what));
	what.family = family;
	/* What is no name stays empty and is answered so. */
	if (name_len < DNS_NAME_MAX && memchr(name, '\0', name_len) == NULL)
		memcpy(what.name, name, name_len);
	return lookup_start(env, fn, arg, &what);
}

struct dns_lookup *
dns_lookup_addr(const struct dns_env *env, const struct dns_addr *addr,
    dns_lookup_fn *fn, void *arg)
{
	struct dns_lookup what;

	memset(&what, 0, sizeof(what));
	what.addr = *addr;
	return lookup_start(env, fn, arg, &what);
}

void
dns_lookup_free(struct dns_lookup **lp)
{
	struct dns_lookup *l = *lp;

	if (l == NULL)
		return;
	*lp = NULL;
	if (l->job_over) {
		lookup_destroy(l);
		return;
	}
	l->fn = NULL;
	pool_cancel(l->env->pool, &l->job);
}
