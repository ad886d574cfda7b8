"""Workers that die, hang or break the contract; a supervisor that is killed."""
import os
import signal

import daemon as d

N = 7
SYS_write, SYS_close = 1, 3
CHANNEL = 3


def label_in_log(label):
    role = label.split()[0]
    return {"frontend": "frontend 0", "cluster": "cluster " + label.split()[-1]}.get(role, role)


def kill_each(c, daemon):
    for label in sorted(daemon.wait_workers(N)):
        before, mark = daemon.wait_workers(N), daemon.mark()
        pid = before[label]
        os.kill(pid, signal.SIGKILL)
        c.ok(f"kill -9 {label}: logged",
             d.until(lambda: daemon.logged(f"{label_in_log(label)}[{pid}] died of signal 9", after=mark)))
        d.until(lambda: daemon.workers().get(label, pid) != pid)
        after = daemon.wait_workers(N)
        c.ok(f"kill -9 {label}: started again", after.get(label, pid) != pid, after)
        others = {k: v for k, v in before.items() if k != label}
        c.ok(f"kill -9 {label}: the others live", others == {k: v for k, v in after.items() if k != label}, after)
        c.ok(f"kill -9 {label}: says when", daemon.logged(f"{label_in_log(label)} is started again in", after=mark))
        c.ok(f"kill -9 {label}: same uid", d.status(after[label])["Uid"] == daemon.uids[label])


def back_off(c, daemon):
    """The same worker again: it waits longer."""
    waits = []
    for _ in range(2):
        mark, pid = daemon.mark(), daemon.wait_workers(N)["stateful 0"]
        os.kill(pid, signal.SIGKILL)
        d.until(lambda: daemon.logged("stateful is started again in", after=mark))
        line = [l for l in daemon.log()[mark:].splitlines() if "stateful is started again in" in l][0]
        waits.append(int(line.split(" in ")[1].split()[0]))
        d.until(lambda: daemon.workers().get("stateful 0", pid) != pid)
    c.ok("the back-off doubles", waits == [2000, 4000], waits)


def hung(c, daemon):
    pid, mark = daemon.wait_workers(N)["connector 0"], daemon.mark()
    os.kill(pid, signal.SIGSTOP)
    c.ok("a hung worker is killed",
         d.until(lambda: daemon.logged(f"connector[{pid}] was killed: it hangs", after=mark), 30))
    c.ok("and started again", d.until(lambda: daemon.workers().get("connector 0", pid) != pid))


def contract(c, daemon):
    """Garbage on a worker's channel ends that worker, with the reason."""
    pid, mark = daemon.wait_workers(N)["frontend 0"], daemon.mark()
    d.make_call(pid, SYS_write, (CHANNEL, "mem", 16), b"\x99" * 16)
    c.ok("a malformed frame is logged",
         d.until(lambda: daemon.logged(f"frontend 0[{pid}] broke the contract: unknown message type 0x9999",
                                       after=mark)))
    c.ok("and ends its worker", d.until(lambda: not d.alive(pid)))
    c.ok("with the reason", d.until(lambda: daemon.logged(f"frontend 0[{pid}] was killed: unknown", after=mark)))
    d.until(lambda: daemon.workers().get("frontend 0", pid) != pid)
    # START (0x0101) may come from the supervisor alone
    pid, mark = daemon.wait_workers(N)["frontend 0"], daemon.mark()
    d.make_call(pid, SYS_write, (CHANNEL, "mem", 16), b"\x01\x01".ljust(16, b"\0"))
    c.ok("a message that is not its to send is logged",
         d.until(lambda: daemon.logged("START may not be sent by frontend to supervisor", after=mark)))
    d.until(lambda: daemon.workers().get("frontend 0", pid) != pid)
    pid, mark = daemon.wait_workers(N)["frontend 0"], daemon.mark()
    d.make_call(pid, SYS_close, (CHANNEL,))
    c.ok("a worker without a channel is killed", d.until(lambda: not d.alive(pid)))
    d.until(lambda: daemon.workers().get("frontend 0", pid) != pid)
    c.ok("all are there in the end", len(daemon.wait_workers(N, 40)) == N, daemon.workers())


def supervisor_killed(c, daemon):
    pids = list(daemon.wait_workers(N).values())
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait()
    c.ok("kill -9 of the supervisor leaves no process", d.until(lambda: not any(d.alive(p) for p in pids), 5),
         [d.cmdline(p) for p in pids])
    mark = daemon.mark()
    daemon.start(wait=False)
    c.ok("and it starts again at once", d.until(lambda: daemon.logged("ready: 7 workers", after=mark)))


def main():
    d.need_root("daemon_restart")
    c = d.Checks("daemon_restart")
    daemon = d.Daemon().start()
    try:
        daemon.uids = {k: d.status(v)["Uid"] for k, v in daemon.wait_workers(N).items()}
        kill_each(c, daemon)
        back_off(c, daemon)
        hung(c, daemon)
        contract(c, daemon)
        supervisor_killed(c, daemon)
    finally:
        daemon.stop(keep_log=c.failed > 0)
    c.finish()


if __name__ == "__main__":
    main()
