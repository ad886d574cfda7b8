"""systemd's protocol, reload, the orderly end, the lock, life without root."""
import os
import signal
import stat
import subprocess
import time

import daemon as d

ONE = d.MULTI.replace('  - {name: west, server: "https://127.0.0.1:1", authType: mtls}\n', "")
THREE = d.MULTI + '  - {name: north, server: "https://127.0.0.1:1", authType: mtls}\n'


def run(*args, **kw):
    return subprocess.run([d.DAEMON, *args], capture_output=True, text=True, timeout=20, **kw)


def command_line(c):
    c.ok("--version", run("--version").stdout.startswith("tributaryd "))
    c.ok("--help", "usage:" in run("--help").stdout)
    for bad in (["--no-such"], ["word"], ["-c"]):
        r = run(*bad)
        c.ok(f"{bad} is refused", r.returncode == 2 and "usage:" in r.stderr, r)
    r = run("--worker", "nobody")
    c.ok("an unknown worker is refused", r.returncode == 2)
    r = run("--worker", "frontend", stdin=subprocess.DEVNULL)
    c.ok("a worker without a supervisor does not start", r.returncode != 0)
    daemon = d.Daemon()
    c.ok("-n: fine", run("-n", "-c", daemon.config).returncode == 0)
    daemon.write_config("frontends: none\n")
    r = run("-n", "-c", daemon.config)
    c.ok("-n: problems with their place", r.returncode == 1 and f"{daemon.config}:8:" in r.stderr, r.stderr)
    r = run("-f", "-c", daemon.config)
    c.ok("no start with errors", r.returncode == 1 and "cannot start" in r.stderr, r.stderr)
    r = run("-f", "-c", daemon.dir + "/none.yaml")
    c.ok("no start without a file", r.returncode == 1 and "cannot start" in r.stderr, r.stderr)
    daemon.stop()


def notify_and_reload(c):
    daemon = d.Daemon(notify=True, watchdog_us=500000).start()
    try:
        c.ok("READY=1", daemon.expect_notify("READY=1", "STATUS=7 workers"))
        c.ok("WATCHDOG=1", daemon.expect_notify("WATCHDOG=1"))
        before = daemon.wait_workers(7)
        # a configuration with errors changes nothing
        daemon.write_config(d.MULTI + "frontends: none\n")
        mark = daemon.mark()
        daemon.signal(signal.SIGHUP)
        c.ok("RELOADING=1", daemon.expect_notify("RELOADING=1", "MONOTONIC_USEC="))
        c.ok("READY=1 after it", daemon.expect_notify("READY=1"))
        c.ok("errors are logged", daemon.logged("`frontends`", after=mark))
        c.ok("the old one stays", daemon.logged("the old one stays in force", after=mark))
        c.ok("nobody was touched", daemon.workers() == before)
        # a new cluster, then one less
        daemon.write_config(THREE)
        daemon.signal(signal.SIGHUP)
        after = daemon.wait_workers(8)
        c.ok("a new cluster gets a worker", "cluster 2 north" in after, after)
        c.ok("the others live on", before.items() <= after.items(), after)
        mark = daemon.mark()
        daemon.write_config(ONE)
        daemon.signal(signal.SIGHUP)
        after = daemon.wait_workers(6)
        c.ok("removed clusters lose theirs", not [k for k in after if "west" in k or "north" in k], after)
        c.ok("in order", d.until(lambda: daemon.logged("cluster west", "ended", after=mark)))
        c.ok("east lives on", after.get("cluster 0 east") == before["cluster 0 east"])
        daemon.write_config(THREE)
        daemon.signal(signal.SIGHUP)
        after = daemon.wait_workers(8)
        c.ok("a name that comes back has its number", "cluster 1 west" in after and "cluster 2 north" in after, after)
        # what only a restart changes
        mark = daemon.mark()
        daemon.write_config(THREE + "frontends: 2\n")
        daemon.signal(signal.SIGHUP)
        c.ok("a key that needs a restart is named",
             d.until(lambda: daemon.logged("frontends", "only a restart changes it", after=mark)))
        d.until(lambda: daemon.logged("configuration reloaded", after=mark))
        c.ok("and not used", len(daemon.wait_workers(8)) == 8)
        orderly_end(c, daemon)
    finally:
        daemon.stop(keep_log=c.failed > 0)


def orderly_end(c, daemon):
    sock = f"{daemon.dir}/run/test/control.sock"
    st = os.stat(sock)
    c.ok("control socket 0660 root", stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o660 and
         st.st_uid == 0 and st.st_gid == 0, st)
    for path, uid, mode in (("run/test/sessions", 65201, 0o700), ("state/test/closed", 65201, 0o700),
                            ("state/test/keys", 65200, 0o700), ("state/test/credentials", 0, 0o750)):
        st = os.stat(f"{daemon.dir}/{path}")
        c.ok(f"{path}: owner and mode", (st.st_uid, stat.S_IMODE(st.st_mode)) == (uid, mode), st)
    pids, mark = list(daemon.workers().values()), daemon.mark()
    daemon.signal(signal.SIGTERM)
    c.ok("STOPPING=1", daemon.expect_notify("STOPPING=1"))
    c.ok("SIGTERM: exit 0", daemon.wait() == 0)
    c.ok("no worker is left", not any(d.alive(p) for p in pids))
    c.ok("all ended by themselves", not daemon.logged("was killed", after=mark) and not daemon.logged("died", after=mark))
    c.ok("frontends first, secrets last", daemon.log().rfind("frontend 0[") < daemon.log().rfind("secrets["))
    c.ok("the control socket is gone", not os.path.exists(sock))


def second_term(c):
    """A worker that does not end: the second SIGTERM does not wait for it."""
    daemon = d.Daemon().start()
    try:
        pid = daemon.wait_workers(7)["stateful 0"]
        os.kill(pid, signal.SIGSTOP)
        daemon.signal(signal.SIGTERM)
        d.until(lambda: daemon.logged("] ended"))
        c.ok("it waits", daemon.proc.poll() is None)
        start = time.monotonic()
        daemon.signal(signal.SIGTERM)
        c.ok("the second SIGTERM ends it", daemon.wait(8) == 0)
        c.ok("at once", time.monotonic() - start < 5)
        c.ok("nothing is left", not d.alive(pid))
    finally:
        daemon.stop(keep_log=c.failed > 0)


def drain_is_bounded(c):
    daemon = d.Daemon().start()
    try:
        pid = daemon.wait_workers(7)["frontend 0"]
        os.kill(pid, signal.SIGSTOP)
        daemon.signal(signal.SIGTERM)
        c.ok("the drain is bounded", daemon.wait(25) == 0)
        c.ok("who did not end is named", daemon.logged(f"frontend 0[{pid}]", "did not end in time"))
    finally:
        daemon.stop(keep_log=c.failed > 0)


def lock(c):
    daemon = d.Daemon().start()
    try:
        r = run("-f", "-c", daemon.config)
        c.ok("one daemon an instance", r.returncode == 1 and f"runs already (pid {daemon.pid})" in r.stderr, r.stderr)
        c.ok("the first one lives", daemon.proc.poll() is None and os.path.exists(f"{daemon.dir}/run/test/control.sock"))
    finally:
        daemon.stop(keep_log=c.failed > 0)


def background(c):
    daemon = d.Daemon()
    with open(daemon.log_path, "wb") as log:
        r = subprocess.run([d.DAEMON, "-c", daemon.config], stderr=log, stdin=subprocess.DEVNULL, timeout=30,
                           env=daemon.env)
    c.ok("background: 0 when ready", r.returncode == 0 and "ready: 7 workers" in daemon.log(), daemon.log())
    pid = int(open(f"{daemon.dir}/run/test/lock").read())
    c.ok("background: the daemon runs", d.alive(pid) and d.status(pid)["PPid"] != str(os.getpid()))
    kids = d.children(pid)
    os.kill(pid, signal.SIGTERM)
    c.ok("background: ends", d.until(lambda: not d.alive(pid) and not any(d.alive(k) for k in kids), 25))
    daemon.write_config("frontends: none\n")
    r = subprocess.run([d.DAEMON, "-c", daemon.config], capture_output=True, timeout=30, env=daemon.env)
    c.ok("background: 1 when it cannot start", r.returncode == 1)
    daemon.stop()


def without_root(c):
    daemon = d.Daemon(user=65534).start()
    try:
        c.ok("without root it says what is missing", daemon.logged("started without root"))
        workers = daemon.wait_workers(7)
        c.ok("without root all workers are there", len(workers) == 7, daemon.log())
        for label, pid in workers.items():
            s = d.status(pid)
            c.ok(f"without root {label}", (s["Seccomp"], s["NoNewPrivs"], s["CapEff"]) == ("2", "1", "0" * 16), s)
        pid, mark = workers["own 0 hub"], daemon.mark()
        d.make_call(pid, 59, ("mem", 0, 0), b"/bin/sh\0")
        c.ok("without root the filter kills", d.until(lambda: daemon.logged(f"own[{pid}] died", after=mark)))
        daemon.signal(signal.SIGTERM)
        c.ok("without root SIGTERM: exit 0", daemon.wait() == 0)
    finally:
        daemon.stop(keep_log=c.failed > 0)


def journal(c):
    """Priorities in front of lines when stderr is the journal's."""
    daemon = d.Daemon()
    open(daemon.log_path, "w").close()
    st = os.stat(daemon.log_path)
    daemon.env["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
    daemon.start()
    c.ok("journal: priorities", daemon.log().startswith("<6>"), daemon.log()[:80])
    daemon.stop()


def trap(c):
    """For developers: the call is named, through the worker's stderr, and kills all the same."""
    daemon = d.Daemon(args=["--sandbox-trap"]).start()
    try:
        pid = daemon.wait_workers(7)["stateful 0"]
        d.make_call(pid, 41, (16, 3, 0))  # a netlink socket
        c.ok("trap: the call is named", d.until(
            lambda: daemon.logged(f"stateful[{pid}]: stderr: sandbox: the call socket (41) with 0x10, 0x3, 0")))
        c.ok("trap: it kills", d.until(lambda: daemon.logged(f"stateful[{pid}] died: it made a call")))
    finally:
        daemon.stop(keep_log=c.failed > 0)


def main():
    d.need_root("daemon_signals")
    c = d.Checks("daemon_signals")
    command_line(c)
    notify_and_reload(c)
    second_term(c)
    drain_is_bounded(c)
    lock(c)
    background(c)
    without_root(c)
    journal(c)
    trap(c)
    c.finish()


if __name__ == "__main__":
    main()
