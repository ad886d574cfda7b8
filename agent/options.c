/*
 * The command line is the stock agent's (so that launchers need not know
 * which agent they start) plus the few words of the standalone platform.
 * Both are tables: one row per option, one row per environment variable.
 */
#include "config.h"

#include "agent/options.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "lib/str.h"

enum opt_kind {
	OPT_FLAG,
	OPT_STR,
	OPT_U16,
	OPT_UINT,
	OPT_FD,
	OPT_IGNORED_FLAG,
	OPT_IGNORED_VALUE,
	OPT_POD_IPS,
	OPT_LOG,
};

enum {
	IN_GLOBAL = 1,
	IN_TARGETED = 2,
	IN_EPHEMERAL = 4,
};

struct opt_row {
	const char *long_name;
	const char *short_name;
	enum opt_kind kind;
	int where;
	size_t offset;
};

#define AT(field) offsetof(struct agent_options, field)

static const struct opt_row opt_rows[] = {
    {"--communicate-port", "-l", OPT_U16, IN_GLOBAL, AT(port)},
    {"--communication-timeout", "-t", OPT_UINT, IN_GLOBAL, AT(first_client_s)},
    {"--operator-tls-cert-pem", NULL, OPT_STR, IN_GLOBAL, AT(tls_cert_pem)},
    {"--clean-iptables-on-start", NULL, OPT_FLAG, IN_GLOBAL,
	AT(clean_on_start)},
    {"--metrics", NULL, OPT_IGNORED_VALUE, IN_GLOBAL, 0},
    {"--is-mesh", NULL, OPT_IGNORED_FLAG, IN_GLOBAL, 0},
    {"--ipv6", NULL, OPT_IGNORED_FLAG, IN_GLOBAL, 0},
    {"--test-error", NULL, OPT_IGNORED_FLAG, IN_GLOBAL, 0},
    {"--control-fd", NULL, OPT_FD, IN_GLOBAL, AT(control_fd)},
    {"--target-pidfd", NULL, OPT_FD, IN_GLOBAL, AT(pidfd)},
    {"--log-fd", NULL, OPT_FD, IN_GLOBAL, AT(log_fd)},
    {"--name", NULL, OPT_STR, IN_GLOBAL, AT(name)},
    {"--pod-ips", NULL, OPT_POD_IPS, IN_GLOBAL, 0},
    {"--flush-connections", NULL, OPT_FLAG, IN_GLOBAL, AT(flush_connections)},
    {"--external-ip-fix", NULL, OPT_FLAG, IN_GLOBAL, AT(external_ip_fix)},
    {"--print-sandbox", NULL, OPT_FLAG, IN_GLOBAL, AT(print_sandbox)},
    {"--version", "-V", OPT_FLAG, IN_GLOBAL, AT(print_version)},
    {"--help", "-h", OPT_FLAG, IN_GLOBAL, AT(print_help)},
    {"--container-id", "-c", OPT_STR, IN_TARGETED, AT(container_id)},
    {"--container-runtime", "-r", OPT_IGNORED_VALUE, IN_TARGETED, 0},
    {"--mesh", NULL, OPT_IGNORED_VALUE, IN_TARGETED | IN_EPHEMERAL, 0},
};

struct env_row {
	const char *name;
	enum opt_kind kind;
	size_t offset;
};

static const struct env_row env_rows[] = {
    {"RUST_LOG", OPT_LOG, AT(log_level)},
    {"MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS", OPT_FLAG,
	AT(flush_connections)},
    {"MIRRORD_AGENT_EXTERNAL_IP_FIX", OPT_FLAG, AT(external_ip_fix)},
    {"MIRRORD_AGENT_CLEAN_IPTABLES_ON_START", OPT_FLAG, AT(clean_on_start)},
    {"MIRRORD_AGENT_UNUSED_PORT_LINGER_SECS", OPT_UINT, AT(port_linger_s)},
    {"MIRRORD_AGENT_IDLE_TTL", OPT_UINT, AT(idle_ttl_s)},
    {"MIRRORD_AGENT_DNS_ATTEMPTS", OPT_UINT, AT(dns_attempts)},
    {"MIRRORD_AGENT_DNS_TIMEOUT", OPT_UINT, AT(dns_timeout_s)},
    {"MIRRORD_AGENT_POD_IPS", OPT_POD_IPS, 0},
    {"AGENT_OPERATOR_CERT_ENV", OPT_STR, AT(tls_cert_pem)},
    {"MIRRORD_AGENT_EPHEMERAL_TARGET_CONTAINER_ID", OPT_STR, AT(container_id)},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool
parse_uint(const char *s, unsigned *out)
{
	uint64_t v;

	/* A week is enough for every time here, and fits any arithmetic. */
	if (!str_to_u64(s, &v) || v > 604800)
		return false;
	*out = (unsigned)v;
	return true;
}

static bool
parse_one_ip(const char *s, size_t n, struct agent_ip *ip)
{
	char text[INET6_ADDRSTRLEN];

	if (n == 0 || n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	ip->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	return inet_pton(ip->family, text, &ip->u) == 1;
}

static bool
parse_pod_ips(struct agent_options *o, const char *s)
{
	o->pod_ip_count = 0;
	for (;;) {
		size_t n = strcspn(s, ",");

		if (o->pod_ip_count == AGENT_POD_IPS_MAX ||
		    !parse_one_ip(s, n, &o->pod_ips[o->pod_ip_count]))
			return false;
		o->pod_ip_count++;
		if (s[n] == '\0')
			return true;
		s += n + 1;
	}
}

/*
 * A tracing filter such as "info,mirrord=debug": the most talkative level in
 * it counts, since this program has one level.
 */
static bool
parse_log(const char *s, enum log_level *out)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	int best = -1;

	for (int i = 0; i < 4; i++) {
		if (strcasestr(s, names[i]) != NULL)
			best = i;
	}
	if (strcasestr(s, "trace") != NULL)
		best = LOG_LV_DEBUG;
	if (best < 0)
		return false;
	*out = (enum log_level)best;
	return true;
}

static bool
set_value(
    struct agent_options *o, enum opt_kind kind, size_t offset, const char *s)
{
	void *at = (char *)o + offset;
	unsigned fd;

	switch (kind) {
	case OPT_STR:
		*(const char **)at = s;
		return true;
	case OPT_U16:
		return str_to_u16(s, at);
	case OPT_UINT:
		return parse_uint(s, at);
	case OPT_FD:
		if (!parse_uint(s, &fd))
			return false;
		*(int *)at = (int)fd;
		return true;
	case OPT_FLAG: /* the environment's form */
		*(bool *)at = strcmp(s, "true") == 0;
		return *(bool *)at || strcmp(s, "false") == 0;
	case OPT_POD_IPS:
		return parse_pod_ips(o, s);
	case OPT_LOG:
		return parse_log(s, at);
	case OPT_IGNORED_FLAG:
	case OPT_IGNORED_VALUE:
		return true;
	}
	return false;
}

static void
apply_env(struct agent_options *o)
{
	for (size_t i = 0; i < COUNT(env_rows); i++) {
		const struct env_row *r = &env_rows[i];
		struct agent_options before = *o;
		const char *s = getenv(r->name);

		if (s == NULL || *s == '\0')
			continue;
		if (!set_value(o, r->kind, r->offset, s)) {
			*o = before;
			log_warn(
			    "%s is malformed and counts as unset", r->name);
		}
	}
}

static const struct opt_row *
find_option(const char *word, size_t n, int where)
{
	for (size_t i = 0; i < COUNT(opt_rows); i++) {
		const struct opt_row *r = &opt_rows[i];

		if ((r->where & where) == 0)
			continue;
		if (strlen(r->long_name) == n &&
		    memcmp(r->long_name, word, n) == 0)
			return r;
		if (r->short_name != NULL && strlen(r->short_name) == n &&
		    memcmp(r->short_name, word, n) == 0)
			return r;
	}
	return NULL;
}

/* One option at argv[*i]; "--name value", "--name=value", "-lVALUE". */
static int
take_option(struct agent_options *o, int argc, char **argv, int *i, int where,
    struct err *e)
{
	const char *word = argv[*i];
	bool is_long = word[1] == '-';
	size_t n = is_long ? strcspn(word, "=") : 2;
	const struct opt_row *r = find_option(word, n, where);
	const char *value;

	if (r == NULL)
		return err_set(e, ERR_INVALID,
		    "The option %s is not known here; see tributary-agent(8).",
		    word);
	if (r->kind == OPT_FLAG || r->kind == OPT_IGNORED_FLAG) {
		if (word[n] != '\0')
			return err_set(e, ERR_INVALID,
			    "The option %s takes no value.", r->long_name);
		if (r->kind == OPT_FLAG)
			*(bool *)((char *)o + r->offset) = true;
		return 0;
	}
	if (word[n] != '\0') {
		value = word + n + (is_long ? 1 : 0);
	} else {
		if (*i + 1 >= argc)
			return err_set(e, ERR_INVALID,
			    "The option %s needs a value.", r->long_name);
		value = argv[++*i];
	}
	if (!set_value(o, r->kind, r->offset, value))
		return err_set(e, ERR_INVALID,
		    "The value \"%s\" of the option %s is malformed.", value,
		    r->long_name);
	return 0;
}

static int
take_mode(struct agent_options *o, const char *word, int *where, struct err *e)
{
	static const struct {
		const char *word;
		enum agent_mode mode;
		int where;
	} modes[] = {
	    {"targeted", AGENT_TARGETED, IN_TARGETED},
	    {"ephemeral", AGENT_EPHEMERAL, IN_EPHEMERAL},
	    {"targetless", AGENT_TARGETLESS, 0},
	};

	for (size_t i = 0; i < COUNT(modes); i++) {
		if (*where == IN_GLOBAL && strcmp(word, modes[i].word) == 0) {
			o->mode = modes[i].mode;
			*where = modes[i].where;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
	    "\"%s\" is no mode; use one of targeted, ephemeral, targetless.",
	    word);
}

static int
check_options(struct agent_options *o, struct err *e)
{
	if (o->print_help || o->print_version || o->print_sandbox)
		return 0;
	if (o->control_fd >= 0) {
		if (o->mode != AGENT_TARGETLESS)
			return err_set(e, ERR_INVALID,
			    "--control-fd cannot be used with a mode word.");
		if (o->pidfd < 0)
			return err_set(e, ERR_INVALID,
			    "--control-fd needs --target-pidfd too.");
		o->mode = AGENT_STANDALONE;
		return 0;
	}
	if (o->pidfd >= 0)
		return err_set(
		    e, ERR_INVALID, "--target-pidfd needs --control-fd too.");
	if (o->mode == AGENT_TARGETED &&
	    (o->container_id == NULL || *o->container_id == '\0'))
		return err_set(e, ERR_INVALID,
		    "targeted needs --container-id with the id of the "
		    "target's container.");
	return 0;
}

int
agent_options_parse(
    struct agent_options *o, int argc, char **argv, struct err *e)
{
	int where = IN_GLOBAL, rc;

	memset(o, 0, sizeof(*o));
	o->port = 61337;
	o->first_client_s = 30;
	o->control_fd = o->pidfd = o->log_fd = -1;
	o->log_level = LOG_LV_ERROR;
	apply_env(o);
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1] != '\0')
			rc = take_option(o, argc, argv, &i, where, e);
		else
			rc = take_mode(o, argv[i], &where, e);
		if (rc < 0)
			return rc;
	}
	return check_options(o, e);
}
