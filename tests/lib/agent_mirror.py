"""Mirroring with the real agent, over the wire."""
import hashlib
import socket

import line_server
from agent_net import (PORT, TARGET4, TARGET6, download, main, read_all,
                       until, upload)
from mirrord_wire import MIRROR, STEAL

BIG = 4 * 1024 * 1024
FLOOD = 64 * 1024 * 1024


def start(rig):
    rig.service("target")
    rig.start_agent()


def copies(rig):
    a, b = rig.client(), rig.client()
    a.subscribe(MIRROR, PORT)
    b.subscribe(MIRROR, PORT)
    for cid, where in enumerate((TARGET4, TARGET6)):
        rig.equal("answered by the target", rig.ask(where=where), "target x")
        for c in (a, b):
            c.wait(lambda e, i=cid: e == (MIRROR, "close", i))
            conn = c.wait(lambda e, i=cid: e[:2] == (MIRROR, "new2") and
                          e[2]["id"] == i)[2]
            rig.equal("whom", conn["local"], where)
            rig.equal("the question only", c.collected(MIRROR, cid),
                      b"GET x\n")
    a.close()
    rig.ask("GET y")
    b.wait(lambda e: e == (MIRROR, "close", 2))
    rig.equal("one left", b.collected(MIRROR, 2), b"GET y\n")
    b.close()
    until(lambda: rig.ports() == [])
    rig.equal("set", rig.ports(), [])


def big_copy(rig):
    c = rig.client()
    c.subscribe(MIRROR, PORT)
    with rig.connect(timeout=60) as s:
        rig.check("upload", upload(s, BIG), "hash")
    c.wait(lambda e: e == (MIRROR, "close", 0), 60)
    got = c.collected(MIRROR, 0)
    rig.equal("every byte of it", hashlib.sha256(
        got.removeprefix(b"SINK\n")).hexdigest(),
        line_server.pattern_hash(BIG))
    with rig.connect(timeout=60) as s:
        rig.check("download", download(s, FLOOD), "hash")
    c.close()


def half_close(rig):
    c = rig.client()
    c.subscribe(MIRROR, PORT)
    with rig.connect() as s:
        s.sendall(b"SINK\n")
        s.shutdown(socket.SHUT_WR)
        rig.check("the target answers behind it", len(read_all(s)) == 65)
    c.wait(lambda e: e == (MIRROR, "data", 0, b""))
    c.wait(lambda e: e == (MIRROR, "close", 0))
    rig.equal("one end", sum(
        e == (MIRROR, "data", 0, b"") for e in c.events), 1)
    c.close()


def unsubscribed_connection(rig):
    a, b = rig.client(), rig.client()
    a.subscribe(MIRROR, PORT)
    b.subscribe(MIRROR, PORT)
    with rig.connect() as s:
        s.sendall(b"ECHO\n1")
        rig.equal("echo", s.recv(10), b"1")
        a.wait(lambda e: e[:2] == (MIRROR, "data"))
        a.drop(MIRROR, 0)
        a.ping()
        s.sendall(b"2")
        rig.equal("echo", s.recv(10), b"2")
    b.wait(lambda e: e == (MIRROR, "close", 0))
    a.ping()
    rig.check("no more of it", b"2" not in a.collected(MIRROR, 0))
    rig.check("and no close", not a.has(lambda e: e[1:2] == ("close",)))
    a.close()
    b.close()


def beside_a_stealer(rig):
    m = rig.client()
    m.subscribe(MIRROR, PORT)
    s = rig.client(local=line_server.start("local"))
    s.subscribe(STEAL, PORT)
    rig.equal("stolen", rig.ask(), "local x")
    m.wait(lambda e: e == (MIRROR, "close", 0))
    rig.equal("and mirrored", m.collected(MIRROR, 0), b"GET x\n")
    s.close()
    until(lambda: rig.ask() == "target x")
    rig.equal("the stealer left", rig.ask(), "target x")
    rig.equal("the mirror keeps the port", rig.ports(), [PORT])
    m.close()


def slow_mirror(rig):
    """One that does not read at all costs the real connection nothing."""
    slow, good = rig.client(), rig.client()
    good.keep_data = False
    slow.subscribe(MIRROR, PORT)
    good.subscribe(MIRROR, PORT)
    slow.reading.clear()
    with rig.connect(timeout=60) as s:
        rig.check("upload", upload(s, FLOOD), "hash")
    rig.equal("others are served", rig.ask(), "target x")
    slow.reading.set()
    e = slow.wait(lambda e: e[0] == "log", 60)
    rig.check("it is told", "faster than they were read" in e[1], e[1])
    slow.wait(lambda e: e == (MIRROR, "close", 0), 60)
    rig.equal("new connections come again", rig.ask("GET again"),
              "target again")
    slow.wait(lambda e: len(e) == 4 and e[3] == b"GET again\n", 60)
    slow.close()
    good.close()


TESTS = (start, copies, big_copy, half_close, unsubscribed_connection,
         beside_a_stealer, slow_mirror)

if __name__ == "__main__":
    main("agent_mirror", TESTS)
