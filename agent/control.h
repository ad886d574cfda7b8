/*
 * control: what tributaryd's supervisor and an agent that it started say
 * to each other. The contract of both sides.
 *
 *   tributary-agent --control-fd 3 --target-pidfd 4 --name NAME [--log-fd N]
 *       [--pod-ips IP,IP...] [--flush-connections] [--external-ip-fix]
 *
 * Descriptor 3 is one end of a SOCK_SEQPACKET socketpair, 4 a pidfd of the
 * target's first process. One packet is one message: its type in the first
 * byte, then text without an end mark (AGENT_CONTROL_MAX_BYTES in all).
 *
 * supervisor to agent:
 *   CLIENT   no text, one descriptor (SCM_RIGHTS): a connected stream socket
 *            that carries protocol messages back to back. The agent owns it
 *            from then on.
 *   end of file: remove the redirects, let running connections end (bounded),
 *            exit 0.
 * agent to supervisor:
 *   READY    the version. Once, when everything works; clients may be sent
 *            before, they are served after it.
 *   FAILED   a sentence that says why it cannot start. Exits 1 after it.
 *   ENDED    a sentence: the target has ended. Exits 0 after it.
 */
#ifndef AGENT_CONTROL_H
#define AGENT_CONTROL_H

enum {
	AGENT_CONTROL_CLIENT = 'C',
	AGENT_CONTROL_READY = 'R',
	AGENT_CONTROL_FAILED = 'F',
	AGENT_CONTROL_ENDED = 'E',
	AGENT_CONTROL_MAX_BYTES = 1024,
};

#endif
