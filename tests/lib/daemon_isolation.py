"""What each worker has given away, seen from outside; what happens when it asks for it back."""
import os
import struct
import sys

import daemon as d

need = {"NoNewPrivs": "1", "Seccomp": "2", "CapInh": "0" * 16, "CapPrm": "0" * 16, "CapEff": "0" * 16,
        "CapBnd": "0" * 16, "CapAmb": "0" * 16, "Groups": " "}
LABELS = {"frontend 0", "stateful 0", "secrets 0", "connector 0", "own 0 hub", "cluster 0 east", "cluster 1 west"}
SYS_socket, SYS_connect, SYS_fork, SYS_execve, SYS_kill, SYS_ptrace, SYS_openat, SYS_socketpair, SYS_bpf = \
    41, 42, 57, 59, 62, 101, 257, 53, 321
AF_UNIX, AF_INET, AF_NETLINK, AF_PACKET, SOCK_STREAM, SOCK_RAW = 1, 2, 16, 17, 1, 3
# Something that each must never do, another one for each.
PROBES = {
    "frontend 0": ("openat", SYS_openat, (-100, "mem", 0), b"/etc/passwd\0"),
    "stateful 0": ("socket", SYS_socket, (AF_INET, SOCK_STREAM, 0), b""),
    "secrets 0": ("connect", SYS_connect, (1, "mem", 16), struct.pack("<HHI8x", AF_INET, 0x5000, 0x0100007F)),
    "connector 0": ("raw socket", SYS_socket, (AF_PACKET, SOCK_RAW, 0), b""),
    "own 0 hub": ("execve", SYS_execve, ("mem", 0, 0), b"/bin/sh\0"),
    "cluster 0 east": ("fork", SYS_fork, (), b""),
    "cluster 1 west": ("ptrace", SYS_ptrace, (0, 0, 0, 0), b""),
}
# Some may make sockets of one kind; these are nobody's.
NEVER = ["execve", "execveat", "fork", "vfork", "ptrace", "bpf", "mount", "setuid", "listen", "bind", "kill",
         "process_vm_readv", "init_module", "open_by_handle_at", "io_uring_setup", "userfaultfd"]


def check_status(c, workers):
    uids = set()
    for label, pid in sorted(workers.items()):
        s = d.status(pid)
        for key, want in need.items():
            c.ok(f"{label}: {key}", s.get(key) == want, repr(s.get(key)))
        ids = s["Uid"].split()
        c.ok(f"{label}: one uid", len(set(ids)) == 1 and 65200 <= int(ids[0]) < 65232, ids)
        c.ok(f"{label}: gid like uid", s["Gid"].split() == ids, s["Gid"])
        uids.add(ids[0])
        c.ok(f"{label}: name", s["Name"].startswith("tributaryd"), s["Name"])
    c.ok("a uid of its own for each", len(uids) == len(workers), uids)


def check_files(c, workers, sanitizers):
    for label, pid in sorted(workers.items()):
        root = [n for n in os.listdir(f"/proc/{pid}/root/") if not (sanitizers and n == "proc")]
        c.ok(f"{label}: empty root", root == [], root)
        cwd = os.readlink(f"/proc/{pid}/cwd")
        c.ok(f"{label}: in its root", cwd == os.readlink(f"/proc/{pid}/root"), cwd)
        c.ok(f"{label}: no environment", not open(f"/proc/{pid}/environ", "rb").read().strip(b"\0") or sanitizers)
        limits = open(f"/proc/{pid}/limits").read()
        c.ok(f"{label}: no core", "Max core file size        0                    0" in limits)
        for fd in os.listdir(f"/proc/{pid}/fd"):
            to = os.readlink(f"/proc/{pid}/fd/{fd}")
            fine = to == "/dev/null" or to.startswith(("socket:", "pipe:", "anon_inode:"))
            if label.startswith(("own", "secrets")):
                # the store, the keys: directories, nothing outside the daemon's own
                fine = fine or "/test/" in to or os.path.basename(to) == "test"
            c.ok(f"{label}: descriptor {fd}", fine, to)


def check_print(c):
    out = os.popen(f"{d.DAEMON} --print-sandbox").read()
    for role in ("frontend", "stateful", "secrets", "connector", "cluster", "own"):
        c.ok(f"--print-sandbox has {role}", f"{role}: seccomp" in out)
    rows = [l for l in out.splitlines() if l.startswith("  ")]
    c.ok("--print-sandbox has rows", len(rows) > 100, len(rows))
    for row in rows:
        if "sanitizer" not in row:
            call = row.split()[0].split("(")[0]
            c.ok(f"{call} is nobody's", call not in NEVER, row)
    c.ok("every row has a reason", all(len(l.strip().split("  ")) > 1 for l in rows))
    return "sanitizer" in out


def main():
    d.need_root("daemon_isolation")
    c = d.Checks("daemon_isolation")
    sanitizers = check_print(c)
    daemon = d.Daemon().start()
    try:
        workers = daemon.wait_workers(len(LABELS))
        c.ok("all workers", set(workers) == LABELS, workers)
        check_status(c, workers)
        check_files(c, workers, sanitizers)
        sup = d.status(daemon.pid)
        c.ok("supervisor's name", sup["Name"] == "tributaryd", sup["Name"])
        for label, (what, number, args, memory) in PROBES.items():
            if sanitizers and what in ("openat", "fork", "ptrace"):
                continue  # marked rows of that build
            pid, mark = workers[label], daemon.mark()
            d.make_call(pid, number, args, memory)
            c.ok(f"{label}: {what} is death", d.until(lambda: not d.alive(pid)))
            c.ok(f"{label}: {what} is logged",
                 d.until(lambda: daemon.logged(f"[{pid}] died", "sandbox", after=mark)), daemon.log()[mark:])
        again = daemon.wait_workers(len(LABELS))
        c.ok("all are back", set(again) == LABELS, again)
    finally:
        daemon.stop(keep_log=c.failed > 0)
    c.finish()


if __name__ == "__main__":
    main()
