#include "config.h"

#include "client/remote_err.h"

#include <errno.h>
#include <string.h>

static const struct {
	uint32_t kind;
	enum err_code code;
	const char *text;
} io_kinds[] = {
    {PM_ErrorKindInternal_NotFound, ERR_NOT_FOUND, "there is none"},
    {PM_ErrorKindInternal_PermissionDenied, ERR_UNSUPPORTED,
	"the target itself has no permission"},
    {PM_ErrorKindInternal_ConnectionRefused, ERR_UNSUPPORTED,
	"the connection was refused"},
    {PM_ErrorKindInternal_HostUnreachable, ERR_UNSUPPORTED,
	"no route to the host"},
    {PM_ErrorKindInternal_NetworkUnreachable, ERR_UNSUPPORTED,
	"no route to the network"},
    {PM_ErrorKindInternal_TimedOut, ERR_UNSUPPORTED, "it timed out"},
    {PM_ErrorKindInternal_IsADirectory, ERR_UNSUPPORTED, "it is a directory"},
};

static int
io_error(const struct pm_RemoteIOError *why, const char *what, struct err *e)
{
	if (why->raw_os_error.some && why->raw_os_error.value > 0)
		return err_set(e,
		    why->raw_os_error.value == ENOENT ? ERR_NOT_FOUND
						      : ERR_UNSUPPORTED,
		    "%s: %s", what, strerror(why->raw_os_error.value));
	for (size_t i = 0; i < sizeof(io_kinds) / sizeof(io_kinds[0]); i++) {
		if (io_kinds[i].kind == why->kind.tag)
			return err_set(e, io_kinds[i].code, "%s: %s", what,
			    io_kinds[i].text);
	}
	return err_set(
	    e, ERR_UNSUPPORTED, "%s: an input or output error", what);
}

static int
policy(const struct pm_opt_str *name, const char *what, struct err *e)
{
	if (!name->some)
		return err_set(e, ERR_DENIED,
		    "%s: a policy of the operator forbids it", what);
	return err_set(e, ERR_DENIED,
	    "%s: the policy %.*s of the operator forbids it", what,
	    (int)name->value.n, name->value.p);
}

int
cli_remote_error(
    const struct pm_ResponseError *why, const char *what, struct err *e)
{
	switch (why->tag) {
	case PM_ResponseError_RemoteIO:
		return io_error(&why->u.RemoteIO, what, e);
	case PM_ResponseError_DnsLookup:
		return err_set(e, ERR_NOT_FOUND,
		    "%s: the target finds no address for the name", what);
	case PM_ResponseError_PortAlreadyStolen:
		return err_set(e, ERR_CONFLICT,
		    "%s is stolen by another session; see `tributary session "
		    "list`, or use --on-concurrent-steal override",
		    what);
	case PM_ResponseError_Forbidden:
		return policy(&why->u.Forbidden.policy_name, what, e);
	case PM_ResponseError_ForbiddenWithReason:
		return err_set(e, ERR_DENIED, "%s: not allowed: %.*s", what,
		    (int)why->u.ForbiddenWithReason.reason.n,
		    why->u.ForbiddenWithReason.reason.p);
	case PM_ResponseError_NotImplemented:
		return err_set(
		    e, ERR_UNSUPPORTED, "%s: the agent can't do that", what);
	case PM_ResponseError_SystemFailure:
		return err_set(e, ERR_UNSUPPORTED, "%s: %.*s", what,
		    (int)why->u.SystemFailure.message.n,
		    why->u.SystemFailure.message.p);
	default:
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: the agent failed (error kind %u)", what,
		    (unsigned)why->tag);
	}
}
