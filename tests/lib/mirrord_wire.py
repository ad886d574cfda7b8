"""The messages of the mirrord protocol that tests of the agent need.

Written from the protocol's description, not from the product's codec, so
that one checks the other. Clients speak it over a plain TCP connection.
"""
import ipaddress
import socket
import struct
import threading
import time

MIRROR, STEAL = 1, 2  # outer variants, both directions


def varint(n):
    if n < 251:
        return bytes([n])
    if n < 1 << 16:
        return b"\xfb" + struct.pack("<H", n)
    if n < 1 << 32:
        return b"\xfc" + struct.pack("<I", n)
    return b"\xfd" + struct.pack("<Q", n)


def text(s):
    raw = s.encode()
    return varint(len(raw)) + raw


class Short(Exception):
    """The message is not complete yet."""


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, n):
        if self.at + n > len(self.data):
            raise Short
        out = bytes(self.data[self.at : self.at + n])
        self.at += n
        return out

    def num(self):
        first = self.take(1)[0]
        if first < 251:
            return first
        size = {0xFB: "<H", 0xFC: "<I", 0xFD: "<Q"}[first]
        return struct.unpack(size, self.take(struct.calcsize(size)))[0]

    def signed(self):
        n = self.num()
        return n >> 1 if n % 2 == 0 else -(n >> 1) - 1

    def blob(self):
        return self.take(self.num())

    def str(self):
        return self.blob().decode()

    def ip(self):
        return str(ipaddress.ip_address(self.take(16 if self.num() else 4)))

    def opt(self, what):
        return what() if self.take(1)[0] else None


def steal_type(r):
    kind = r.num()
    return (kind, r.num()) if kind == 0 else (kind, r.num(), r.str())


def blocked_action(r):
    kind = r.num()
    if kind == 0:
        return ("steal",) + steal_type(r)
    assert kind == 1, kind
    return ("mirror", r.num())


def response_error(r):
    tag = r.num()
    if tag == 9:
        return ("forbidden", blocked_action(r), r.opt(r.str))
    if tag == 12:
        action, policy = blocked_action(r), r.opt(r.str)
        return ("forbidden-why", action, policy, r.str())
    if tag == 4:
        code, kind = r.opt(r.signed), r.num()
        return ("io", code, kind)
    raise ValueError(f"ResponseError {tag}")


def new_connection(r):
    keys = ("id", "peer", "port", "peer_port", "local")
    return dict(zip(keys, (r.num(), r.ip(), r.num(), r.num(), r.ip())))


def daemon_tcp(r, side):
    tag = r.num()
    if tag == 0:
        return (side, "new1", new_connection(r))
    if tag == 1:
        return (side, "data", r.num(), r.blob())
    if tag == 2:
        return (side, "close", r.num())
    if tag == 3:
        return (side, "ok", r.num()) if r.num() == 0 else (
            side, "error", response_error(r))
    if tag == 7:
        conn = new_connection(r)
        assert r.num() == 0, "not plain TCP"
        return (side, "new2", conn)
    raise ValueError(f"DaemonTcp {tag}")


def daemon_outgoing(r):
    """What comes of the one connection that a test makes at a time."""
    tag = r.num()
    if tag == 0:
        if r.num() != 0:
            return ("outgoing", "error", response_error(r))
        cid = r.num()
        r.at = len(r.data)  # both addresses; nothing follows them in a test
        return ("outgoing", "connected", cid)
    if tag == 1:
        assert r.num() == 0, "an error in a Read"
        return ("outgoing", "read", r.num(), r.blob())
    assert tag == 2, tag
    return ("outgoing", "close", r.num())


def daemon_message(r):
    tag = r.num()
    if tag == 3:
        return daemon_outgoing(r)
    if tag in (MIRROR, STEAL):
        return daemon_tcp(r, tag)
    if tag == 0:
        return ("closing", r.str())
    if tag == 5:
        return ("log", r.str(), r.num())
    if tag == 7:
        return ("pong",)
    if tag == 11:
        return ("version", r.str())
    raise ValueError(f"DaemonMessage {tag}")


class Client:
    """One client of an agent. Keeps all events; may bridge stolen connections
    to a local server, as the real client's proxy does."""

    def __init__(self, sock, version="1.29.0", local=None):
        self.sock, self.local = sock, local
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.cond = threading.Condition()
        self.wlock = threading.Lock()
        self.events, self.conns, self.bytes = [], {}, {}
        self.dead, self.keep_data = None, True
        self.reading = threading.Event()
        self.reading.set()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        if version:
            self.send(b"\x0a" + text(version))
            self.wait(lambda e: e[0] == "version")
            self.send(b"\x0b")

    def send(self, raw):
        with self.wlock:
            self.sock.sendall(raw)

    def _read(self):
        buf, at = bytearray(), 0
        try:
            while True:
                self.reading.wait()
                more = self.sock.recv(1 << 18)
                if not more:
                    raise EOFError
                del buf[:at]
                buf += more
                at = self._dispatch(buf)
        except Exception as e:  # told to whoever waits
            with self.cond:
                self.dead = e
                self.cond.notify_all()
            for conn in list(self.conns.values()):
                conn.close()

    def _dispatch(self, buf):
        at = 0
        while at < len(buf):
            r = Reader(buf, at)
            try:
                event = daemon_message(r)
            except Short:
                break
            at = r.at
            self._on_event(event)
        return at

    def _on_event(self, e):
        if e[0] == STEAL and self.local:
            self._bridge(e)
        with self.cond:
            if len(e) == 4 and e[1] == "data" and not self.keep_data:
                pass
            else:
                self.events.append(e)
            self.cond.notify_all()

    def _bridge(self, e):
        if e[1] in ("new1", "new2"):
            conn = socket.create_connection(self.local)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            cid = e[2]["id"]
            self.conns[cid] = conn
            threading.Thread(
                target=self._pump, args=(cid, conn), daemon=True).start()
        elif e[1] == "data" and e[2] in self.conns:
            try:
                if e[3]:
                    self.conns[e[2]].sendall(e[3])
                else:
                    self.conns[e[2]].shutdown(socket.SHUT_WR)
            except OSError:
                pass
        elif e[1] == "close":
            conn = self.conns.pop(e[2], None)
            if conn:
                conn.close()

    def _pump(self, cid, conn):
        try:
            while True:
                data = conn.recv(65536)
                self.data(cid, data)
                if not data:
                    return
        except OSError:
            pass

    def wait(self, pred, timeout=15, what="an event"):
        end = time.monotonic() + timeout
        with self.cond:
            while True:
                for e in self.events:
                    if pred(e):
                        return e
                left = end - time.monotonic()
                if self.dead or left <= 0:
                    raise AssertionError(
                        f"no {what}: {self.dead or 'timeout'}; had "
                        f"{[x[:3] for x in self.events[-8:]]}")
                self.cond.wait(left)

    def has(self, pred):
        with self.cond:
            return any(pred(e) for e in self.events)

    def clear(self):
        with self.cond:
            self.events.clear()

    def collected(self, side, cid):
        with self.cond:
            return b"".join(
                e[3] for e in self.events
                if e[:3] == (side, "data", cid) and len(e) == 4)

    def ping(self, timeout=15):
        """A Pong behind everything that was sent before."""
        with self.cond:
            self.events = [e for e in self.events if e[0] != "pong"]
        self.send(b"\x07")
        self.wait(lambda e: e[0] == "pong", timeout, "pong")

    def subscribe(self, side, port, ok=True):
        if side == STEAL:
            self.send(b"\x02\x00\x00" + varint(port))
        else:
            self.send(b"\x01\x00" + varint(port))
        if ok:
            self.result(side, port)

    def result(self, side, port):
        self.wait(lambda e: e == (side, "ok", port), what=f"ok {port}")
        with self.cond:
            self.events.remove((side, "ok", port))

    def unsubscribe(self, side, port):
        self.send(bytes([side, 2]) + varint(port))

    def data(self, cid, data):
        self.send(b"\x02\x03" + varint(cid) + varint(len(data)) + data)

    def drop(self, side, cid):
        self.send(bytes([side, 1]) + varint(cid))

    def outgoing(self, where, port, question):
        """The whole answer to a question asked from within the target."""
        ip = ipaddress.ip_address(where)
        self.send(b"\x03\x00\x00" + bytes([ip.version == 6]) + ip.packed +
                  varint(port))
        e = self.wait(lambda e: e[:2] in (("outgoing", "connected"),
                                          ("outgoing", "error")))
        assert e[1] == "connected", e
        cid = e[2]
        self.send(b"\x03\x01" + varint(cid) + varint(len(question)) +
                  question)
        self.wait(lambda e: e == ("outgoing", "read", cid, b""))
        with self.cond:
            got = b"".join(e[3] for e in self.events
                           if e[:3] == ("outgoing", "read", cid))
            self.events = [e for e in self.events if e[0] != "outgoing"]
        self.send(b"\x03\x02" + varint(cid))
        return got

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.thread.join(5)
