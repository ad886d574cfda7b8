"""One tributaryd of the test's own: configuration, processes, log, notify.

BIN is the build directory. Everything lives below a temporary directory and
is gone after stop(); only processes started here are ever signalled.
"""
import ctypes
import os
import signal
import shutil
import socket
import subprocess
import sys
import tempfile
import time

BIN = os.environ.get("BIN", "build/release")
DAEMON = os.path.abspath(os.path.join(BIN, "tributaryd"))

CONFIG = """\
instance: {instance}
listen: ["127.0.0.1:{port}"]
runDir: {dir}/run
stateDir: {dir}/state
workerUids: {{first: {uid}, count: 32}}
controlGroup: root
logLevel: debug
{more}
"""
MULTI = """\
multiCluster: {clusterName: hub, defaultCluster: east, managementOnly: true}
clusters:
  - {name: east, server: "https://127.0.0.1:1", authType: mtls}
  - {name: west, server: "https://127.0.0.1:1", authType: mtls}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Checks:
    """Counts; finish() prints the line that the check reads."""

    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, 0

    def ok(self, what, cond, detail=""):
        if cond:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {what} {detail}", flush=True)
        return cond

    def finish(self):
        print(f"{self.name}: {self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def need_root(name):
    if os.geteuid() != 0:
        print(f"{name}: skipped: worker identities need root")
        sys.exit(77)


def until(cond, seconds=20):
    """The first true value of cond(), or its last one when time is up."""
    end = time.monotonic() + seconds
    while True:
        value = cond()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)


def status(pid):
    """/proc/PID/status as a dictionary; empty when there is none."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)
    except OSError:
        return {}


def alive(pid):
    s = status(pid)
    return bool(s) and not s.get("State", "Z").startswith(("Z", "X"))


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(x) for x in f.read().split()]
    except OSError:
        return []


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().split(b"\0")[0].decode()
    except OSError:
        return ""


class Daemon:
    def __init__(self, instance="test", more=MULTI, args=(), uid=65200, notify=False, env=None, user=None,
                 watchdog_us=None):
        self.dir = tempfile.mkdtemp(prefix="tributaryd-")
        os.chmod(self.dir, 0o755)
        self.instance, self.uid, self.args, self.user = instance, uid, list(args), user
        self.config, self.port = os.path.join(self.dir, "tributaryd.yaml"), free_port()
        self.log_path = os.path.join(self.dir, "log")
        self.env = dict(os.environ, **(env or {}))
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID", "JOURNAL_STREAM"):
            if name not in (env or {}):
                self.env.pop(name, None)
        self.notify = None
        if notify:
            self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            path = os.path.join(self.dir, "notify")
            self.notify.bind(path)
            os.chmod(path, 0o777)
            self.notify.settimeout(20)
            self.env["NOTIFY_SOCKET"] = path
        if watchdog_us:
            self.env["WATCHDOG_USEC"] = str(watchdog_us)
        self.write_config(more)
        if user:
            os.chown(self.dir, user, user)
        self.proc = None

    def write_config(self, more):
        with open(self.config, "w") as f:
            f.write(CONFIG.format(instance=self.instance, dir=self.dir, uid=self.uid, port=self.port, more=more))

    def start(self, wait=True):
        self.log_file = open(self.log_path, "ab")
        if self.user:
            os.chown(self.log_path, self.user, self.user)
        who = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        program = DAEMON
        if self.user:  # who may not look into the tree the tests run from
            program = shutil.copy(DAEMON, os.path.join(self.dir, "tributaryd"))
        self.proc = subprocess.Popen([program, "-f", "-c", self.config] + self.args, stdout=self.log_file,
                                     stderr=self.log_file, stdin=subprocess.DEVNULL, env=self.env, **who)
        if wait and not until(lambda: self.logged("ready: ") or self.proc.poll() is not None):
            print(self.log())
        return self

    @property
    def pid(self):
        return self.proc.pid

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def logged(self, *parts, after=0):
        return any(all(p in line for p in parts) for line in self.log()[after:].splitlines())

    def mark(self):
        return len(self.log())

    def workers(self):
        """{label: pid} of the workers that are confined and named."""
        out = {}
        for pid in children(self.pid):
            line = cmdline(pid)
            if line.startswith("tributaryd: ") and status(pid).get("Seccomp") == "2":
                out[line[len("tributaryd: "):].strip()] = pid
        return out

    def wait_workers(self, n, seconds=20):
        until(lambda: len(self.workers()) == n, seconds)
        return self.workers()

    def expect_notify(self, *parts):
        """The first datagram with all parts; None when none comes."""
        try:
            while True:
                text = self.notify.recv(4096).decode()
                if all(p in text for p in parts):
                    return text
        except socket.timeout:
            return None

    def signal(self, signo):
        os.kill(self.pid, signo)

    def wait(self, seconds=25):
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, keep_log=False):
        if self.proc is not None and self.proc.poll() is None:
            kids = children(self.pid)
            self.signal(signal.SIGTERM)
            if self.wait() is None:
                self.proc.kill()
                self.proc.wait()
            until(lambda: not any(alive(k) for k in kids), 10)
        if self.notify:
            self.notify.close()
        log = self.log() if os.path.exists(self.log_path) else ""
        if keep_log or "Sanitizer" in log or "runtime error:" in log:
            print(log)  # what a sanitizer said fails ./check
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- a call made in another process, as if its code had been taken over ----

PTRACE_POKEDATA, PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH = 5, 7, 12, 13, 16, 17
SYS_epoll_wait, SYS_epoll_pwait = 232, 281
REGS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base "
        "ds es fs gs").split()


class Regs(ctypes.Structure):
    _fields_ = [(n, ctypes.c_ulonglong) for n in REGS]


def ptrace(request, pid, addr=0, data=0):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, pid, addr, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def make_call(pid, number, args=(), memory=b""):
    """Lets pid, which waits in a call, make another one instead.

    memory is laid down below its stack; an argument "mem" points there. The
    process goes on afterwards wherever that leads: it is dead by its filter,
    or about to be ended by its supervisor.
    """
    regs = Regs()
    for _ in range(1000):
        ptrace(PTRACE_ATTACH, pid)
        os.waitpid(pid, 0)
        ptrace(PTRACE_GETREGS, pid, 0, ctypes.addressof(regs))
        if regs.orig_rax in (SYS_epoll_wait, SYS_epoll_pwait):
            break
        ptrace(PTRACE_DETACH, pid)  # busy with something: it will wait again
        time.sleep(0.01)
    at = (regs.rsp - 4096) & ~7
    for i in range(0, len(memory), 8):
        word = int.from_bytes(memory[i:i + 8].ljust(8, b"\0"), "little")
        ptrace(PTRACE_POKEDATA, pid, at + i, word)
    for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), args):
        setattr(regs, name, at if value == "mem" else value & (2 ** 64 - 1))
    regs.rax = number
    regs.orig_rax = 2 ** 64 - 1  # no restart of the interrupted call
    regs.rip -= 2  # the syscall instruction it waits behind
    ptrace(PTRACE_SETREGS, pid, 0, ctypes.addressof(regs))
    ptrace(PTRACE_DETACH, pid)
