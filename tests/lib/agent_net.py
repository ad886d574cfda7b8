"""What the tests of intercepted traffic share: namespaces, a real agent,
peers, and the count of what passed.

Two network namespaces are made, the target's and a peer's, joined by a pair
of interfaces with IPv4 and IPv6 addresses. The target has a PID and a mount
namespace too; the agent runs inside all three, as an ephemeral container of a
pod would. All of it is removed at the end.
"""
import contextlib
import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import line_server
from mirrord_wire import MIRROR, STEAL, Client

HERE = os.path.dirname(os.path.abspath(__file__))
PORT, OTHER_PORT, AGENT_PORT = 8080, 8081, 20111
TARGET4, TARGET6 = "10.99.77.2", "fd99::2"
PEER4, PEER6 = "10.99.77.1", "fd99::1"
CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWNS = 0x40000000, 0x20000000, 0x20000
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # in children too
libc = ctypes.CDLL(None, use_errno=True)


def sh(*args, check=True):
    p = subprocess.run(args, capture_output=True, text=True, check=False)
    if check and p.returncode:
        raise RuntimeError(f"{' '.join(args)}: {p.stderr.strip()}")
    return p.stdout


@contextlib.contextmanager
def netns(name):
    """The calling thread makes its sockets in this namespace meanwhile."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        setns(there, CLONE_NEWNET)
        yield
    finally:
        libc.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)


def setns(fd, kind):
    if libc.setns(fd, kind):
        raise OSError(ctypes.get_errno(), "setns")


def child_of(pid):
    """The first child of a process, by its parent's number in /proc."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/stat", encoding="ascii") as f:
                    if f.read().rpartition(")")[2].split()[1] == str(pid):
                        return int(entry)
    return None


def until(cond, timeout=10):
    """Waits for a condition that has no event of its own."""
    end = time.monotonic() + timeout
    pause = threading.Event()
    while not cond():
        if time.monotonic() > end:
            return False
        pause.wait(0.005)
    return True


def agent_program():
    """Of the build directory that BIN names, or of this one."""
    path = os.path.abspath(
        os.path.join(os.environ.get("BIN", "."), "tributary-agent"))
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"{path} is not there: build it, or set BIN to "
                           "the build directory")
    return path


class Rig:
    def __init__(self):
        self.target = f"trt{os.getpid()}"
        self.peer = f"trp{os.getpid()}"
        self.procs, self.clients, self.agent = [], [], None
        self.passed = self.failed = 0
        self.log = ""

    # ---- namespaces and processes ----

    def up(self):
        for ns in (self.target, self.peer):
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        sh("ip", "link", "add", "eth0", "netns", self.target, "type", "veth",
           "peer", "name", "eth0", "netns", self.peer)
        for ns, v4, v6 in ((self.target, TARGET4, TARGET6),
                           (self.peer, PEER4, PEER6)):
            sh("ip", "-n", ns, "addr", "add", v4 + "/24", "dev", "eth0")
            sh("ip", "-n", ns, "addr", "add", v6 + "/64", "dev", "eth0",
               "nodad")
            sh("ip", "-n", ns, "link", "set", "eth0", "up")
        pod = self.spawn("unshare", "--pid", "--fork", "--kill-child",
                         "--mount-proc", "sleep", "infinity")
        self.procs.append(pod)
        until(lambda: child_of(pod.pid) and self.comm(
            child_of(pod.pid)) == "sleep")
        self.root_pid = child_of(pod.pid)

    @staticmethod
    def comm(pid):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                return f.read().strip()
        return ""

    def down(self):
        for c in self.clients:
            c.close()
        if self.agent and self.agent.poll() is None:
            try:  # leaks are looked for when it ends by itself
                self.stop_agent(signal.SIGTERM)
            except subprocess.TimeoutExpired:
                self.stop_agent(signal.SIGKILL)
        for p in self.procs:
            p.kill()
            p.wait()
        for ns in (self.target, self.peer):
            sh("ip", "netns", "del", ns, check=False)

    def spawn(self, *args, **kw):
        p = subprocess.Popen(
            ("ip", "netns", "exec", self.target) + args, text=True,
            stdin=subprocess.DEVNULL, **kw)
        return p

    def service(self, name, address="::", port=PORT):
        """The target's own server, a process of its own."""
        p = self.spawn(sys.executable, os.path.join(HERE, "line_server.py"),
                       name, address, str(port), stdout=subprocess.PIPE)
        assert p.stdout.readline() == "ready\n", "the service did not start"
        self.procs.append(p)
        return p

    def start_agent(self, **env):
        argv = (agent_program(), "-l", str(AGENT_PORT), "-t", "30",
                "ephemeral")
        full = dict(os.environ, **{"MIRRORD_AGENT_IDLE_TTL": "3600",
                                   "RUST_LOG": "info", **env})
        agent = self.spawn_in_pod(argv, full)
        line = agent.stdout.readline()
        if not line.startswith("agent ready"):
            agent.kill()
            raise RuntimeError(
                f"the agent said {line!r}: {agent.stderr.read()}")
        self.agent = agent
        self.logger = threading.Thread(target=self._drain, daemon=True)
        self.logger.start()

    def spawn_in_pod(self, argv, env):
        """Inside all namespaces of the target; its pid is ours to signal."""
        kinds = (("pid", CLONE_NEWPID), ("net", CLONE_NEWNET),
                 ("mnt", CLONE_NEWNS))
        fds = {kind: os.open(f"/proc/{self.root_pid}/ns/{name}", os.O_RDONLY)
               for name, kind in kinds}
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        # Entering a mount namespace leads to its root, which is not ours
        # where the tests run in a chroot: go on to the target's.
        root = os.open(f"/proc/{self.root_pid}/root", os.O_PATH)
        fds["root"] = root

        def enter():
            setns(fds[CLONE_NEWNET], CLONE_NEWNET)
            setns(fds[CLONE_NEWNS], CLONE_NEWNS)
            os.fchdir(root)
            os.chroot(".")

        setns(fds[CLONE_NEWPID], CLONE_NEWPID)  # for children to come
        try:
            return subprocess.Popen(
                argv, env=env, text=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                preexec_fn=enter)
        finally:
            setns(own, CLONE_NEWPID)
            for fd in (own, *fds.values()):
                os.close(fd)

    def _drain(self):
        for line in self.agent.stderr:
            self.log += line

    def stop_agent(self, how=signal.SIGTERM, timeout=15):
        """The exit code; ends the agent by its process id."""
        if self.agent.poll() is None:
            self.agent.send_signal(how)
        return self.wait_agent(timeout)

    def wait_agent(self, timeout=15):
        code = self.agent.wait(timeout)
        self.logger.join(5)
        self.agent.stdout.close()
        self.agent = None
        return code

    def tables(self):
        return sh("ip", "netns", "exec", self.target, "nft", "list",
                  "tables").strip()

    def ports(self):
        """The ports in the kernel's set, as nft prints them."""
        out = sh("ip", "netns", "exec", self.target, "nft", "list", "ruleset")
        _, _, rest = out.partition("elements = {")
        found = rest.partition("}")[0].split(",") if rest else []
        return sorted(int(x) for x in found if x.strip())

    def sysctl(self, name, value=None):
        """A setting of the target's namespace, read or written."""
        path = "/proc/sys/" + name.replace(".", "/")
        with netns(self.target):
            with open(path, "r" if value is None else "w",
                      encoding="ascii") as f:
                return f.read() if value is None else f.write(value)

    def client(self, version="1.29.0", local=None):
        with netns(self.target):
            s = socket.create_connection(("127.0.0.1", AGENT_PORT))
        c = Client(s, version, local)
        self.clients.append(c)
        return c

    # ---- peers ----

    def connect(self, where=TARGET4, port=PORT, inside=False, timeout=15):
        with netns(self.target if inside else self.peer):
            s = socket.create_connection((where, port), timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def ask(self, what="GET x", **kw):
        """One line of question, everything of answer."""
        with self.connect(**kw) as s:
            s.sendall(what.encode() + b"\n")
            return read_all(s).decode().strip()

    # ---- counting ----

    def check(self, name, ok, why=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {why}", flush=True)

    def equal(self, name, got, want):
        self.check(name, got == want, f"got {got!r}, want {want!r}")

    def attempt(self, name, fn):
        """A whole test: an exception is a failure of it."""
        try:
            fn()
        except Exception as e:
            self.check(name, False, f"{type(e).__name__}: {e}")


def read_all(s):
    out = []
    while data := s.recv(1 << 18):
        out.append(data)
    return b"".join(out)


def upload(s, n):
    """Sends the pattern to a SINK; True when its hash comes back."""
    s.sendall(b"SINK\n")
    for block in line_server.pattern(n):
        s.sendall(block)
    s.shutdown(socket.SHUT_WR)
    return read_all(s).decode().strip() == line_server.pattern_hash(n)


def download(s, n):
    """Reads the pattern from a SOURCE; True when it is whole."""
    s.sendall(f"SOURCE {n}\n".encode())
    h = hashlib.sha256()
    while data := s.recv(1 << 18):
        h.update(data)
    return h.hexdigest() == line_server.pattern_hash(n)


def refuses(rig, where, port):
    """A connection is reset, at once or as soon as it stands."""
    try:
        with rig.connect(where, port=port) as s:
            return is_reset(s)
    except ConnectionError:
        return True


def is_reset(s):
    try:
        read_all(s)
        return False
    except ConnectionError:
        return True


def main(name, tests):
    if os.geteuid() != 0:
        print(f"{name}: skipped: needs root to make network namespaces")
        sys.exit(77)
    for tool in ("ip", "nft"):
        if not any(os.access(os.path.join(d, tool), os.X_OK)
                   for d in os.get_exec_path() + ["/usr/sbin", "/sbin"]):
            print(f"{name}: skipped: the program {tool} is missing")
            sys.exit(77)
    rig = Rig()
    try:
        rig.up()
        for test in tests:
            rig.attempt(test.__name__, lambda t=test: t(rig))
            if rig.agent and rig.agent.poll() is not None:
                rig.check(test.__name__, False,
                          f"the agent ended: {rig.log[-2000:]}")
                break
    except Exception as e:
        rig.check("set-up", False, f"{type(e).__name__}: {e}")
    finally:
        rig.down()
    if rig.log and (rig.failed or "Sanitizer" in rig.log
                    or "runtime error:" in rig.log):
        print(rig.log[-4000:])  # what a sanitizer said fails ./check
    print(f"{name}: {rig.passed} passed, {rig.failed} failed")
    sys.exit(1 if rig.failed else 0)
