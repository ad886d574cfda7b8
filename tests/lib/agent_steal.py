"""Stealing with the real agent, over the wire."""
import socket

import line_server
from agent_net import (OTHER_PORT, PEER4, PEER6, PORT, TARGET4, TARGET6,
                       download, is_reset, main, netns, read_all,
                       refuses, signal, until, upload)
from mirrord_wire import MIRROR, STEAL, text, varint

BIG = 48 * 1024 * 1024
NEW = ("new1", "new2")


def start(rig):
    rig.service("target")
    rig.service("target-v4", "0.0.0.0", OTHER_PORT)
    rig.start_agent()
    rig.local = line_server.start("local")
    rig.equal("before: not through the agent", rig.ask(), "target x")


def every_way_in(rig):
    c = rig.client(local=rig.local)
    c.subscribe(STEAL, PORT)
    ways = (
        ("v4 from outside", TARGET4, False, PEER4),
        ("v6 from outside", TARGET6, False, PEER6),
        ("v4 loopback", "127.0.0.1", True, "127.0.0.1"),
        ("another loopback address", "127.3.2.1", True, None),
        ("v6 loopback", "::1", True, "::1"),
        ("v4 to its own address", TARGET4, True, TARGET4),
        ("v6 to its own address", TARGET6, True, TARGET6),
    )
    for name, where, inside, peer in ways:
        c.clear()
        rig.equal(name, rig.ask(where=where, inside=inside), "local x")
        conn = c.wait(lambda e: e[0] == STEAL and e[1] in NEW)[2]
        rig.equal(name + ": whom", (conn["local"], conn["port"]),
                  (where, PORT))
        if peer:
            rig.equal(name + ": who", conn["peer"], peer)
    c.unsubscribe(STEAL, PORT)
    c.ping()
    for name, where, inside, _ in ways:
        rig.equal(name + ", given back",
                  rig.ask(where=where, inside=inside), "target x")
    c.close()


def messages_of_a_connection(rig):
    c = rig.client()
    c.subscribe(STEAL, PORT)
    for cid in range(3):
        with rig.connect() as s:
            conn = c.wait(lambda e, i=cid: e[:2] == (STEAL, "new2") and
                          e[2]["id"] == i, what=f"connection {cid}")[2]
            rig.equal("source port", conn["peer_port"], s.getsockname()[1])
            c.data(cid, b"server first\n")
            rig.equal("the server speaks first", s.recv(100),
                      b"server first\n")
            s.sendall(b"hello")
            c.wait(lambda e, i=cid: e == (STEAL, "data", i, b"hello"))
            s.shutdown(socket.SHUT_WR)
            c.wait(lambda e, i=cid: e == (STEAL, "data", i, b""))
            c.data(cid, b"after the peer's end")
            rig.equal("half-closed by the peer", s.recv(100),
                      b"after the peer's end")
            rig.check("not closed yet", not c.has(
                lambda e, i=cid: e == (STEAL, "close", i)))
            c.data(cid, b"")
            rig.equal("the end", s.recv(100), b"")
            c.wait(lambda e, i=cid: e == (STEAL, "close", i))
    c.ping()
    rig.equal("one close each", sum(
        e[:2] == (STEAL, "close") for e in c.events), 3)
    c.close()


def half_close_by_the_client(rig):
    c = rig.client()
    c.subscribe(STEAL, PORT)
    with rig.connect() as s:
        c.wait(lambda e: e[:2] == (STEAL, "new2"))
        c.data(0, b"all I say")
        c.data(0, b"")
        rig.equal("answer, then its end", read_all(s), b"all I say")
        s.sendall(b"but I talk on")
        c.wait(lambda e: e == (STEAL, "data", 0, b"but I talk on"))
        s.shutdown(socket.SHUT_WR)
        c.wait(lambda e: e == (STEAL, "close", 0))
        rig.check("half-closed by the client", True)
    c.close()


def dropped_connection(rig):
    c = rig.client()
    c.subscribe(STEAL, PORT)
    with rig.connect() as s:
        c.wait(lambda e: e[:2] == (STEAL, "new2"))
        c.data(0, b"bye")
        c.drop(STEAL, 0)
        c.data(0, b"dead")
        rig.equal("dropped", read_all(s), b"bye")
        c.ping()
        rig.check("no close follows", not c.has(
            lambda e: e[:2] == (STEAL, "close")))
    c.close()


def big_transfers(rig):
    c = rig.client(local=rig.local)
    c.keep_data = False
    c.subscribe(STEAL, PORT)
    for where in (TARGET4, TARGET6):
        with rig.connect(where, timeout=60) as s:
            rig.check("stolen upload " + where, upload(s, BIG), "hash")
        with rig.connect(where, timeout=60) as s:
            rig.check("stolen download " + where, download(s, BIG), "hash")
    c.close()


def big_transfers_passed_through(rig):
    """After a late unsubscribe: redirected, and nobody is there."""
    c = rig.client()
    c.subscribe(MIRROR, PORT)
    c.keep_data = False
    for where in (TARGET4, TARGET6):
        with rig.connect(where, timeout=60) as s:
            rig.check("mirrored upload " + where, upload(s, BIG), "hash")
        with rig.connect(where, timeout=60) as s:
            rig.check("mirrored download " + where, download(s, BIG), "hash")
    s = rig.connect(timeout=60)
    c.wait(lambda e: e[:2] == (MIRROR, "new2") and e[2]["id"] == 4)
    c.drop(MIRROR, 4)  # nobody watches any more: by splice
    c.unsubscribe(MIRROR, PORT)
    c.ping()
    with s:
        rig.check("passed-through upload", upload(s, BIG), "hash")
    c.close()


def running_connections_stay(rig):
    c = rig.client(local=rig.local)
    c.subscribe(STEAL, PORT)
    with rig.connect() as s:
        s.sendall(b"ECHO\nbefore ")
        rig.equal("stolen", s.recv(100), b"before ")
        c.unsubscribe(STEAL, PORT)
        c.ping()
        rig.equal("new ones go to the target", rig.ask(), "target x")
        rig.equal("ports", rig.ports(), [])
        s.sendall(b"after")
        rig.equal("the running one stays", s.recv(100), b"after")
    c.close()


def two_clients_two_ports(rig):
    a = rig.client(local=rig.local)
    b = rig.client(local=line_server.start("second"))
    a.subscribe(STEAL, PORT)
    b.subscribe(STEAL, OTHER_PORT)
    rig.equal("set", rig.ports(), [PORT, OTHER_PORT])
    rig.equal("first port", rig.ask(), "local x")
    rig.equal("second port", rig.ask(port=OTHER_PORT), "second x")
    a.close()
    until(lambda: rig.ports() == [OTHER_PORT])
    rig.equal("the first client left", rig.ask(), "target x")
    rig.equal("the second stays", rig.ask(port=OTHER_PORT), "second x")
    b.close()
    until(lambda: rig.ports() == [])
    rig.equal("both left", rig.ask(port=OTHER_PORT), "target-v4 x")


def replaced_stealer(rig):
    a = rig.client(local=rig.local)
    a.subscribe(STEAL, PORT)
    with rig.connect() as s:
        s.sendall(b"ECHO\nmine")
        rig.equal("the first has it", s.recv(100), b"mine")
        b = rig.client(local=line_server.start("second"))
        b.subscribe(STEAL, PORT)
        rig.equal("the newest wins", rig.ask(), "second x")
        s.sendall(b"still mine")
        rig.equal("what runs stays", s.recv(100), b"still mine")
    a.unsubscribe(STEAL, PORT)
    a.ping()
    rig.equal("the replaced one holds nothing", rig.ask(), "second x")
    a.close()
    rig.equal("nor takes anything with it", rig.ask(), "second x")
    b.close()


def lost_client(rig):
    c = rig.client()
    c.subscribe(STEAL, PORT)
    with rig.connect() as s:
        c.wait(lambda e: e[:2] == (STEAL, "new2"))
        c.data(0, b"half an ans")
        rig.equal("some of it", s.recv(100), b"half an ans")
        c.close()
        rig.check("the peer learns that it is cut", is_reset(s))
    until(lambda: rig.ports() == [])
    rig.equal("the target answers again", rig.ask(), "target x")


def refused_filters(rig):
    want = {
        "1.29.0": ("forbidden-why", ("steal", 1, PORT, "^x: y$"), None),
        "1.17.0": ("forbidden-why", ("steal", 1, PORT, "^x: y$"), None),
        "1.16.0": ("forbidden", ("steal", 1, PORT, "^x: y$"), None),
        "1.2.2": ("forbidden", ("steal", 1, PORT, "^x: y$"), None),
    }
    legacy = b"\x02\x00\x01" + varint(PORT) + text("^x: y$")
    for version, answer in want.items():
        c = rig.client(version)
        c.send(legacy)
        e = c.wait(lambda e: e[:2] == (STEAL, "error"))[2]
        rig.equal("refused, " + version, e[:3], answer)
        if e[0] == "forbidden-why":
            rig.check("a whole sentence", e[3].endswith("."), e[3])
        c.ping()  # and is not lost by it
        c.close()
    mirrors = {"1.29.0": "forbidden-why", "1.16.0": "forbidden"}
    request = b"\x01\x03" + varint(PORT) + b"\x00" + text("^x: y$")
    for version, answer in mirrors.items():
        c = rig.client(version)
        c.send(request)
        e = c.wait(lambda e: e[:2] == (MIRROR, "error"))[2]
        rig.equal("mirror refused, " + version, e[:2],
                  (answer, ("mirror", PORT)))
        c.close()
    c = rig.client("1.11.0")
    c.send(request)
    e = c.wait(lambda e: e[0] == "closing")
    rig.check("too old for a refusal", e[1].endswith("."), e)
    c.close()
    rig.equal("nothing was redirected", rig.ports(), [])


def old_versions(rig):
    for version, kind in ((None, "new1"), ("1.2.2", "new1"),
                          ("1.19.3", "new1"), ("1.19.4", "new2"),
                          ("1.29.0", "new2")):
        c = rig.client(version)
        c.subscribe(STEAL, PORT)
        with rig.connect():
            e = c.wait(lambda e: e[0] == STEAL and e[1] in NEW)
            rig.equal(f"version {version}", e[1], kind)
        c.close()


def direct_to_the_listener(rig):
    c = rig.client(local=rig.local)
    c.subscribe(STEAL, PORT)
    port = int(rig.log.split("listener=")[1].split()[0])
    for where in (TARGET4, TARGET6):
        rig.check("closed at once " + where, refuses(rig, where, port))
    c.close()


def bound_to_one_address(rig):
    """Passed through to where the peer wanted to go, nowhere else."""
    rig.service("one", TARGET4, 8090)
    c = rig.client()
    c.subscribe(MIRROR, 8090)
    rig.equal("from outside", rig.ask(port=8090), "one x")
    rig.equal("from inside", rig.ask(port=8090, inside=True), "one x")
    c.close()


def own_outgoing_connections(rig):
    """What a client connects to in the target is stolen like anybody's; on
    loopback addresses it reaches the target itself."""
    c = rig.client(local=rig.local)
    c.subscribe(STEAL, PORT)
    for where, who in ((TARGET4, b"local"), (TARGET6, b"local"),
                       ("127.0.0.1", b"target"), ("::1", b"target")):
        rig.equal("to " + where, c.outgoing(where, PORT, b"GET own\n"),
                  who + b" own\n")
    c.close()


def forwarded_packets(rig):
    """Not addressed to the target: none of its business."""
    c = rig.client(local=rig.local)
    c.subscribe(STEAL, PORT)
    with netns(rig.peer):
        listener = line_server.listen("0.0.0.0", PORT)
    line_server.threading.Thread(
        target=line_server.run, args=(listener, "peer"), daemon=True).start()
    rig.equal("to another host", rig.ask(where=PEER4, inside=True), "peer x")
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    c.close()


def few_local_ports(rig):
    """More connections than the target's address has local ports."""
    name = "net.ipv4.ip_local_port_range"
    c = rig.client()
    c.subscribe(MIRROR, PORT)
    old = rig.sysctl(name)
    rig.sysctl(name, "40000 40015")
    conns = [rig.connect() for _ in range(60)]
    for s in conns:
        s.sendall(b"GET x\n")
    answers = {read_all(s) for s in conns}
    rig.equal("every one gets through", answers, {b"target x\n"})
    for s in conns:
        s.close()
    rig.sysctl(name, old)
    c.close()


def without_ipv6(rig):
    name = "net.ipv6.conf.all.disable_ipv6"
    rig.stop_agent(signal.SIGTERM)
    rig.sysctl(name, "1")
    rig.start_agent()
    c = rig.client(local=rig.local)
    c.subscribe(STEAL, OTHER_PORT)
    rig.equal("stolen", rig.ask(port=OTHER_PORT), "local x")
    rig.equal("on loopback", rig.ask(
        where="127.0.0.1", port=OTHER_PORT, inside=True), "local x")
    c.unsubscribe(STEAL, OTHER_PORT)
    c.ping()
    rig.equal("given back", rig.ask(port=OTHER_PORT), "target-v4 x")
    c.close()


def flush(rig):
    rig.stop_agent(signal.SIGTERM)
    rig.start_agent(MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS="true")
    keep = rig.connect()
    keep.sendall(b"ECHO\nx")
    rig.equal("from before", keep.recv(10), b"x")
    other = rig.connect(port=OTHER_PORT)
    other.sendall(b"ECHO\nx")
    other.recv(10)
    c = rig.client(local=rig.local)
    c.subscribe(STEAL, PORT)
    rig.check("reset", is_reset(keep))
    rig.equal("comes back and is stolen", rig.ask(), "local x")
    other.sendall(b"y")
    rig.equal("another port's stays", other.recv(10), b"y")
    keep.close()
    other.close()
    c.close()


TESTS = (start, every_way_in, messages_of_a_connection,
         half_close_by_the_client, dropped_connection, big_transfers,
         big_transfers_passed_through, running_connections_stay,
         two_clients_two_ports, replaced_stealer, lost_client,
         refused_filters, old_versions, direct_to_the_listener,
         bound_to_one_address, own_outgoing_connections, forwarded_packets,
         few_local_ports, flush, without_ipv6)

if __name__ == "__main__":
    main("agent_steal", TESTS)
