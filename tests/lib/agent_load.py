"""Subscriptions come and go under load, and no request is lost."""
import collections
import os
import select
import socket
import subprocess
import sys
import threading

import line_server
from agent_net import (HERE, OTHER_PORT, PORT, TARGET4, TARGET6, main,
                       netns, read_all)
from mirrord_wire import MIRROR, STEAL

CYCLES = int(os.environ.get("AGENT_LOAD_CYCLES", "45"))
BURST = 600  # connections at once
PER_CYCLE = 100  # requests that must pass between two changes


class Load:
    """Requests from the peer's namespace, from a process of its own: four
    threads, each with one connection per request."""

    def __init__(self, rig):
        self.answers = collections.Counter()
        self.cond = threading.Condition()
        self.proc = subprocess.Popen(
            ("ip", "netns", "exec", rig.peer, sys.executable,
             os.path.join(HERE, "agent_load.py"), "--requests"),
            stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        rig.procs.append(self.proc)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.proc.stdout:
            with self.cond:
                self.answers[line.strip()] += 1
                self.cond.notify_all()

    def total(self):
        return sum(self.answers.values())

    def some_more(self, n=PER_CYCLE):
        with self.cond:
            want = self.total() + n
            if not self.cond.wait_for(lambda: self.total() >= want, 60):
                raise AssertionError("the load has come to a halt")

    def stop(self):
        self.proc.stdin.close()
        self.proc.wait(30)

    def failures(self):
        return {k: v for k, v in self.answers.items()
                if k not in ("target x", "local x", "second x")}


def one_request(where):
    try:
        with socket.create_connection((where, PORT), timeout=20) as s:
            s.sendall(b"GET x\n")
            return read_all(s).decode().strip() or "empty answer"
    except OSError as e:
        return f"{type(e).__name__} {e}"


def requests():
    """The load's own process; ends with its standard input."""
    stop = threading.Event()
    lock = threading.Lock()

    def worker(where):
        while not stop.is_set():
            answer = one_request(where)
            with lock:
                print(answer, flush=True)

    threads = [threading.Thread(target=worker, args=(w,))
               for w in (TARGET4, TARGET4, TARGET6, TARGET6)]
    for t in threads:
        t.start()
    sys.stdin.read()
    stop.set()
    for t in threads:
        t.join()


def start(rig):
    rig.service("target")
    rig.start_agent()
    rig.local = line_server.start("local")
    rig.second = line_server.start("second")


def under_load(rig, name, cycle):
    load = Load(rig)
    load.some_more()
    for i in range(CYCLES):
        cycle(rig, load, i)
    load.some_more()
    load.stop()
    print(f"agent_load: {name}: {dict(load.answers)}", flush=True)
    rig.equal(f"{name}: failures of {load.total()}", load.failures(), {})
    rig.check(f"{name}: both answered", load.answers["target x"] and
              load.answers["local x"], load.answers)
    rig.equal(f"{name}: the set at the end", rig.ports(), [])


def subscribe_and_unsubscribe(rig):
    c = rig.client(local=rig.local)

    def cycle(rig, load, i):
        c.subscribe(STEAL, PORT)
        load.some_more()
        c.unsubscribe(STEAL, PORT)
        c.ping()
        load.some_more()

    under_load(rig, "one client", cycle)
    c.close()


def mirrors_come_and_go(rig):
    c = rig.client()
    s = rig.client(local=rig.local)

    def cycle(rig, load, i):
        c.subscribe(MIRROR, PORT)
        load.some_more()
        if i % 2:
            s.subscribe(STEAL, PORT)
            load.some_more()
            s.unsubscribe(STEAL, PORT)
        c.unsubscribe(MIRROR, PORT)
        load.some_more()
        c.clear()

    under_load(rig, "mirrors", cycle)
    c.close()
    s.close()


def two_clients_take_turns(rig):
    """Each takes the port from the other, and leaves when it has it not."""
    a = rig.client(local=rig.local)
    b = rig.client(local=rig.second)

    def cycle(rig, load, i):
        a.subscribe(STEAL, PORT)
        load.some_more()
        b.subscribe(STEAL, PORT)
        load.some_more()
        a.unsubscribe(STEAL, PORT)
        load.some_more()
        b.unsubscribe(STEAL, PORT)
        b.ping()
        load.some_more()

    under_load(rig, "two clients", cycle)
    a.close()
    b.close()


def burst(rig):
    """Many at once, and the port is given back in the middle of them."""
    c = rig.client(local=rig.local)
    for _ in range(3):
        c.subscribe(STEAL, PORT)
        with netns(rig.peer):
            conns = [socket.socket() for _ in range(BURST)]
        for i, s in enumerate(conns):
            s.setblocking(False)
            s.connect_ex((TARGET4, PORT))
            if i == BURST // 2:
                c.unsubscribe(STEAL, PORT)
        answers = collections.Counter()
        for s in conns:
            s.settimeout(20)
            select.select([], [s], [], 20)
            s.sendall(b"GET x\n")
        for s in conns:
            answers[read_all(s)] += 1
            s.close()
        rig.equal("every one is answered", sum(
            answers[k] for k in (b"target x\n", b"local x\n")), BURST)
        print(f"agent_load: burst: {dict(answers)}", flush=True)
    c.close()


TESTS = (start, burst, subscribe_and_unsubscribe, mirrors_come_and_go,
         two_clients_take_turns)

if __name__ == "__main__":
    if sys.argv[1:] == ["--requests"]:
        requests()
    else:
        main("agent_load", TESTS)
