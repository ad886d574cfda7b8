/* options: the agent's command line and environment (spec/agent.md A.2-3). */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/log.h"

enum agent_mode {
	AGENT_TARGETLESS, /* no mode word */
	AGENT_TARGETED,
	AGENT_EPHEMERAL,
	AGENT_STANDALONE, /* started by tributaryd's supervisor */
};

enum { AGENT_POD_IPS_MAX = 16 };

struct agent_ip {
	int family; /* AF_INET or AF_INET6 */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} u;
};

/* Strings point into argv or the environment, which outlive it. */
struct agent_options {
	enum agent_mode mode;
	const char *name; /* standalone: for logs and the table's comment */
	/* stock command line */
	uint16_t port;
	unsigned first_client_s;
	const char *container_id; /* targeted; ephemeral when shared pids */
	const char *tls_cert_pem; /* NULL = no TLS */
	unsigned idle_ttl_s;
	/* standalone */
	int control_fd; /* -1 */
	int pidfd;      /* -1 */
	int log_fd;     /* -1 = stderr */
	/* incoming traffic */
	bool flush_connections;
	bool external_ip_fix;
	bool clean_on_start;
	unsigned port_linger_s;
	struct agent_ip pod_ips[AGENT_POD_IPS_MAX];
	size_t pod_ip_count;
	/* DNS; 0 = what the target's resolv.conf says */
	unsigned dns_attempts;
	unsigned dns_timeout_s;
	enum log_level log_level;
	bool print_sandbox;
	bool print_version;
	bool print_help;
};

/*
 * Fills *o from argv and the environment. -ERR_INVALID with a whole sentence
 * for a wrong command line; a malformed environment variable counts as unset
 * (as the stock agent does), with a warning in the log.
 */
int agent_options_parse(
    struct agent_options *o, int argc, char **argv, struct err *e);

#endif
