"""isolation: what each worker is and holds while a session runs over three
clusters (issue "Done when" 3). Looks from outside, as root: /proc/PID.

Arguments: DAEMON=SUPERVISOR-PID of each daemon, the primary first. By
environment: URL and CREDENTIAL of a user there, STATE of the daemons' keys,
BIN, PRIMARY, MEMBERS.
"""
import base64
import os
import re
import subprocess
import sys

import api

R = api.Results()
check = R.check
ENV = os.environ
BIN = ENV["BIN"]
ROLES = ("frontend", "stateful", "secrets", "connector", "cluster", "own")


def sanitized():
    with open(os.path.join(BIN, "tributaryd"), "rb") as f:
        return b"__asan_init" in f.read()


ASAN = sanitized()


def slurp(path):
    with open(path, "rb") as f:
        return f.read()


class Process:
    def __init__(self, daemon, pid):
        self.daemon, self.pid = daemon, pid
        self.title = slurp("/proc/%d/cmdline" % pid).replace(b"\0", b" ").decode().strip()
        m = re.match(r"tributaryd: (\w+)( .*)?$", self.title)
        self.role, self.name = (m.group(1), self.title.split()[-1]) if m else (None, None)

    def __str__(self):
        return "%s %s" % (self.daemon, self.title.replace("tributaryd: ", ""))

    def status(self):
        text = slurp("/proc/%d/status" % self.pid).decode()
        return {k: v.strip() for k, v in (line.split(":", 1) for line in text.splitlines() if ":" in line)}

    def descriptors(self):
        d = "/proc/%d/fd" % self.pid
        return sorted(os.readlink(os.path.join(d, n)) for n in os.listdir(d))

    def find(self, needles):
        """Names of the needles somewhere in its readable memory."""
        found = set()
        with open("/proc/%d/maps" % self.pid) as f:
            maps = f.read().splitlines()
        with open("/proc/%d/mem" % self.pid, "rb", buffering=0) as mem:
            for line in maps:
                span, perm = line.split()[:2]
                if "r" not in perm or "[vvar" in line or "[vsyscall" in line:
                    continue
                start, end = (int(x, 16) for x in span.split("-"))
                found |= self.search(mem, start, end, needles)
        return found

    @staticmethod
    def search(mem, start, end, needles):
        found, tail, step = set(), b"", 8 << 20
        while start < end:
            try:
                mem.seek(start)
                piece = mem.read(min(step, end - start))
            except OSError:
                break
            if not piece:
                break
            data = tail + piece
            found |= {name for name, n in needles if n in data}
            tail = data[-256:]
            start += len(piece)
        return found


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


SUPERVISORS = {}  # daemon -> pipes that its supervisor reads


# ---- what may be open: descriptor targets by role

COMMON = (
    r"socket:\[\d+\]",  # IPC, and what it serves
    r"anon_inode:\[event(fd|poll)\]",
    r"anon_inode:\[timerfd\]",
    r"/dev/null",
)
FILES = {
    # openat below these descriptors is in their tables
    "secrets": (r"{state}/{daemon}/keys", r"{state}/{daemon}/credentials"),
    "own": (r"{run}/{daemon}/sessions", r"{state}/{daemon}/closed"),
}


def descriptors_are_the_tables(p):
    allowed = list(COMMON)
    for f in FILES.get(p.role, ()):
        allowed.append(f.format(state=re.escape(ENV["STATE"]), run=re.escape(ENV["RUN"]), daemon=p.daemon))
    mine = p.descriptors()
    # a pipe of its own (the event loop's), and where its stderr goes
    own = {d for d in mine if d.startswith("pipe:") and mine.count(d) == 2 and d not in SUPERVISORS[p.daemon]}
    mine = [d for d in mine if d not in own and d not in SUPERVISORS[p.daemon]]
    check("%s: at most one pipe of its own" % p, len(own) <= 1, own)
    odd = [d for d in mine if not any(re.fullmatch(a, d) for a in allowed)]
    check("%s: only sockets, event descriptors and what its table says are open" % p, not odd, odd)


def process_is_confined(p):
    s = p.status()
    uids, gids = set(s["Uid"].split()), set(s["Gid"].split())
    check("%s: one uid, not root" % p, len(uids) == 1 and uids != {"0"}, s["Uid"])
    check("%s: one gid, not root's, no groups" % p, len(gids) == 1 and gids != {"0"} and not s["Groups"], s["Gid"] + s["Groups"])
    check("%s: Seccomp 2, NoNewPrivs 1" % p, (s["Seccomp"], s["NoNewPrivs"]) == ("2", "1"), (s["Seccomp"], s["NoNewPrivs"]))
    caps = {c: s[c] for c in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(s[c], 16)}
    check("%s: no capability in any set" % p, not caps, caps)
    # a process that is not dumpable has its /proc files owned by root
    owner = os.stat("/proc/%d/environ" % p.pid).st_uid
    check("%s: not dumpable" % p, owner == 0, owner)
    left = os.listdir("/proc/%d/root" % p.pid)
    if ASAN and left == ["proc"]:
        left = []  # the sanitizer reads its maps there; named in main()
    check("%s: its root is empty" % p, not left, left)
    cwd = os.readlink("/proc/%d/cwd" % p.pid)
    same = os.stat("/proc/%d/cwd" % p.pid).st_ino == os.stat("/proc/%d/root" % p.pid).st_ino
    check("%s: it stands in it" % p, same, cwd)
    environ = slurp("/proc/%d/environ" % p.pid)
    check("%s: no environment" % p, not environ or ASAN, environ[:200])
    limits = slurp("/proc/%d/limits" % p.pid).decode()
    core = re.search(r"Max core file size\s+(\S+)\s+(\S+)", limits).groups()
    check("%s: no core file" % p, core == ("0", "0"), core)
    descriptors_are_the_tables(p)
    return uids


# ---- secrets


def key_needles(name, text):
    """A private key as it may lie in memory: its scalar in either byte order,
    and lines of its PEM."""
    der = api.openssl("pkey", "-outform", "DER", data=text)
    scalar = api.openssl("ec", "-outform", "DER", data=text) if b"EC" in text or True else der
    n = scalar.index(b"\x04\x20") + 2  # OCTET STRING of 32 bytes
    k = scalar[n : n + 32]
    lines = [x for x in text.split(b"\n") if len(x) == 64]
    return [(name, k), (name, k[::-1])] + [(name, x) for x in lines]


def raw_ed25519(name, text):
    der = api.openssl("pkey", "-outform", "DER", data=text)
    return [(name, der[-32:])] + [(name, x) for x in text.split(b"\n") if len(x) >= 60]


def needles():
    out = []
    base = os.path.join(ENV["STATE"], ENV["PRIMARY"])
    for m in ENV["MEMBERS"].split():
        d = os.path.join(base, "credentials", m)
        if os.path.exists(os.path.join(d, "tls.key")):
            out += key_needles(m, slurp(os.path.join(d, "tls.key")))
        if os.path.exists(os.path.join(d, "bearerToken")):
            out.append((m, slurp(os.path.join(d, "bearerToken")).strip()))
    out += key_needles("login CA", slurp(os.path.join(base, "keys/login-ca.key")))
    out += raw_ed25519("credential CA", slurp(os.path.join(base, "keys/credential-ca.key")))
    return out


def memory_holds_its_own_only(p, what):
    found = p.find(what)
    if p.role == "secrets":
        check("%s: the search finds the CAs' keys where they belong" % p, "login CA" in found, found)
    elif p.role == "cluster":
        check("%s: holds the credential of %s and no other" % (p, p.name), found == {p.name}, found)
    else:
        check("%s: holds no credential and no CA's key" % p, not found, found)


def tables_are_printed(roles):
    out = subprocess.run([os.path.join(BIN, "tributaryd"), "--print-sandbox"], capture_output=True, text=True, check=True).stdout
    tables = {}
    for part in out.split("\n\n"):
        lines = [x for x in part.splitlines() if x.strip()]
        if lines:
            rows = [re.match(r"  (\w+)(\(.*\))?\s{2,}(\S.*)", x) for x in lines[1:]]
            check("--print-sandbox: each row of %s has a reason" % lines[0].split(":")[0], rows and all(rows), lines[1:3])
            tables[lines[0].split(":")[0]] = {r.group(1) for r in rows if r}
            check("--print-sandbox: %s: no core file" % lines[0].split(":")[0], "no core file" in lines[0], lines[0])
    check("--print-sandbox: all roles", set(roles) <= set(tables), sorted(tables))
    for role in roles:
        t = tables.get(role, set())
        never = {"execve", "execveat", "fork", "vfork", "clone", "clone3", "ptrace", "bind", "listen", "kill", "open", "unlink"}
        never |= {"process_vm_readv", "mount", "setns", "unshare", "setuid", "chroot", "pidfd_getfd", "bpf", "io_uring_setup"}
        check("--print-sandbox: %s starts, binds, traces nothing" % role, not t & never or ASAN, t & never)
        check("--print-sandbox: %s connects" % role, (role == "connector") == bool(t & {"connect"}), t & {"connect"})
        check("--print-sandbox: %s makes sockets" % role, (role == "connector") == bool(t & {"socket"}), t & {"socket"})
        opens = role in ("secrets", "own")
        check("--print-sandbox: %s opens files" % role, opens == bool(t & {"openat"}) or ASAN, t & {"openat"})
        accepts = role in ("frontend", "secrets")
        check("--print-sandbox: %s accepts" % role, accepts == ("accept4" in t), t & {"accept4"})


# CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID NET_ADMIN, and at most what
# the design names besides
AGENT_CAPS = sum(1 << n for n in (0, 1, 2, 3, 4, 12, 19, 21))


def agents_are_confined(pids):
    agents = [p for p in pids if "agent" in slurp("/proc/%d/comm" % p).decode()]
    check("there are agents", agents)
    for pid in agents:
        s = Process("", pid).status()
        check("agent %d: Seccomp 2, NoNewPrivs 1" % pid, (s["Seccomp"], s["NoNewPrivs"]) == ("2", "1"), s["Seccomp"])
        for c in ("CapEff", "CapPrm", "CapBnd"):
            more = int(s[c], 16) & ~AGENT_CAPS
            check("agent %d: %s has none but those it needs" % (pid, c), not more, hex(more))


def main():
    daemons = [a.split("=") for a in sys.argv[1:]]
    a = api.Api(ENV["URL"], api.Credential.load(ENV["CREDENTIAL"]))
    ws = a.upgrade(api.connect_path(), api.session_headers(api.random_id(), api.client_der(a)))
    if not check("a session over three clusters runs", isinstance(ws, api.WebSocket), repr(ws)):
        return 1
    ws.version()
    ws.send(bytes.fromhex("02000050"))
    check("its port is stolen everywhere", ws.want("TcpSteal", 30)[1] == "SubscribeResult")
    check("its environment is read", ws.env())
    workers, others = [], []
    for name, pid in daemons:
        found = [Process(name, p) for p in children(int(pid))]
        SUPERVISORS[name] = {d for d in Process(name, int(pid)).descriptors() if d.startswith("pipe:")}
        workers += [p for p in found if p.role in ROLES]
        others += [p.pid for p in found if p.role is None]
        roles = {p.role for p in found if p.role}
        want = set(ROLES) - (set() if name == ENV["PRIMARY"] else {"cluster"})
        check("%s: every worker is a process" % name, roles == want, sorted(roles))
        odd = [p.title for p in found if not p.title.startswith("tributaryd")]
        check("%s: their names start with tributaryd" % name, all("agent" in t for t in odd), odd)
    uids = [(p, next(iter(process_is_confined(p)))) for p in workers]
    check("no two of the %d workers share a uid" % len(uids), len({u for _, u in uids}) == len(uids), [u for _, u in uids])
    what = needles()
    if ASAN:
        print("skipped: /proc in an otherwise empty root: a sanitizer build reads its maps")
        print("skipped: memory of a sanitizer build (its shadow and its quarantine keep what was freed)")
    else:
        for p in workers:
            if p.daemon == ENV["PRIMARY"]:
                memory_holds_its_own_only(p, what)
        sup = Process(ENV["PRIMARY"], int(daemons[0][1]))
        found = sup.find(what)
        check("%s supervisor: holds no credential and no CA's key" % ENV["PRIMARY"], not found, found)
    agents_are_confined(others)
    tables_are_printed(ROLES)
    check("the session still runs", ws.ping())
    ws.close()
    return 1 if R.failed else 0


if __name__ == "__main__":
    sys.exit(main())
