#include "config.h"

#include "agent/errkind.h"

#include <errno.h>

static const struct {
	int number;
	uint32_t kind;
} kinds[] = {
    {ENOENT, PM_ErrorKindInternal_NotFound},
    {EPERM, PM_ErrorKindInternal_PermissionDenied},
    {EACCES, PM_ErrorKindInternal_PermissionDenied},
    {ECONNREFUSED, PM_ErrorKindInternal_ConnectionRefused},
    {ECONNRESET, PM_ErrorKindInternal_ConnectionReset},
    {EHOSTUNREACH, PM_ErrorKindInternal_HostUnreachable},
    {ENETUNREACH, PM_ErrorKindInternal_NetworkUnreachable},
    {ECONNABORTED, PM_ErrorKindInternal_ConnectionAborted},
    {ENOTCONN, PM_ErrorKindInternal_NotConnected},
    {EADDRINUSE, PM_ErrorKindInternal_AddrInUse},
    {EADDRNOTAVAIL, PM_ErrorKindInternal_AddrNotAvailable},
    {ENETDOWN, PM_ErrorKindInternal_NetworkDown},
    {EPIPE, PM_ErrorKindInternal_BrokenPipe},
    {EEXIST, PM_ErrorKindInternal_AlreadyExists},
    {EAGAIN, PM_ErrorKindInternal_WouldBlock},
    {ENOTDIR, PM_ErrorKindInternal_NotADirectory},
    {EISDIR, PM_ErrorKindInternal_IsADirectory},
    {ENOTEMPTY, PM_ErrorKindInternal_DirectoryNotEmpty},
    {EROFS, PM_ErrorKindInternal_ReadOnlyFilesystem},
    {ELOOP, PM_ErrorKindInternal_FilesystemLoop},
    {ESTALE, PM_ErrorKindInternal_StaleNetworkFileHandle},
    {EINVAL, PM_ErrorKindInternal_InvalidInput},
    {ETIMEDOUT, PM_ErrorKindInternal_TimedOut},
    {ENOSPC, PM_ErrorKindInternal_StorageFull},
    {ESPIPE, PM_ErrorKindInternal_NotSeekable},
    {EDQUOT, PM_ErrorKindInternal_FilesystemQuotaExceeded},
    {EFBIG, PM_ErrorKindInternal_FileTooLarge},
    {EBUSY, PM_ErrorKindInternal_ResourceBusy},
    {ETXTBSY, PM_ErrorKindInternal_ExecutableFileBusy},
    {EDEADLK, PM_ErrorKindInternal_Deadlock},
    {EXDEV, PM_ErrorKindInternal_CrossesDevices},
    {EMLINK, PM_ErrorKindInternal_TooManyLinks},
    {ENAMETOOLONG, PM_ErrorKindInternal_InvalidFilename},
    {E2BIG, PM_ErrorKindInternal_ArgumentListTooLong},
    {EINTR, PM_ErrorKindInternal_Interrupted},
    {ENOSYS, PM_ErrorKindInternal_Unsupported},
    {EOPNOTSUPP, PM_ErrorKindInternal_Unsupported},
    {ENOMEM, PM_ErrorKindInternal_OutOfMemory},
};

uint32_t
errkind_of(int sys_errno)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].number == sys_errno)
			return kinds[i].kind;
	}
	return PM_ErrorKindInternal_Other;
}

struct pm_ResponseError
errkind_io(int sys_errno)
{
	struct pm_ResponseError e = errkind_plain(errkind_of(sys_errno));

	e.u.RemoteIO.raw_os_error.some = true;
	e.u.RemoteIO.raw_os_error.value = sys_errno;
	return e;
}

struct pm_ResponseError
errkind_plain(uint32_t kind)
{
	struct pm_ResponseError e;

	memset(&e, 0, sizeof(e));
	e.tag = PM_ResponseError_RemoteIO;
	e.u.RemoteIO.kind.tag = kind;
	return e;
}
