"""flow MODE ...: bytes through stolen connections, by hash.

  flow local PORT DIR            the developer's program: see serve()
  flow echo HOST PORT SIZE       SIZE bytes out and back at once
  flow sink HOST PORT SIZE       SIZE bytes out, then our end; a hash comes back
  flow source HOST PORT SIZE     SIZE bytes in
  flow early HOST PORT SIZE      its end comes first; we still send
  flow many HOST:PORT... COUNT   COUNT connections open at once, all used
  flow hold HOST PORT FILE       open until it is closed from there

Exit 0 when all bytes were right. HTTP requests are answered as a shop would.
"""
import hashlib
import os
import select
import socket
import socketserver
import sys
import threading
import time

BLOCK = 65536
LIMIT_SECS = 100


def bytes_of(seed, size):
    """size bytes that no two offsets share for long."""
    at = 0
    while at < size:
        digest = hashlib.sha256(b"%d %d" % (seed, at)).digest()
        block = (digest * (BLOCK // len(digest)))[: min(BLOCK, size - at)]
        yield block
        at += len(block)


def hash_of(seed, size):
    h = hashlib.sha256()
    for block in bytes_of(seed, size):
        h.update(block)
    return h.hexdigest()


class Conn:
    def __init__(self, sock):
        self.sock = sock
        self.left = b""

    def line(self):
        while b"\n" not in self.left:
            data = self.sock.recv(BLOCK)
            if not data:
                return None
            self.left += data
        line, self.left = self.left.split(b"\n", 1)
        return line.decode()

    def blocks(self):
        if self.left:
            yield self.left
            self.left = b""
        while True:
            data = self.sock.recv(BLOCK)
            if not data:
                return
            yield data

    def hash(self):
        h, n = hashlib.sha256(), 0
        for block in self.blocks():
            h.update(block)
            n += len(block)
        return n, h.hexdigest()


class Local(socketserver.BaseRequestHandler):
    """One line says what is wanted; HTTP gets a shop's answer."""

    def handle(self):
        conn = Conn(self.request)
        line = conn.line()
        if line is None:
            return
        word, *rest = line.split()
        if word in ("GET", "POST"):
            self.http(conn)
        elif word == "echo":
            for block in conn.blocks():
                self.request.sendall(block)
        elif word == "sink":
            self.request.sendall(("%d %s\n" % conn.hash()).encode())
        elif word == "source":
            for block in bytes_of(int(rest[0]), int(rest[1])):
                self.request.sendall(block)
        elif word == "early":
            self.request.sendall(b"bye\n")
            self.request.shutdown(socket.SHUT_WR)
            with open(os.path.join(DIR, rest[0]), "w", encoding="ascii") as f:
                f.write("%d %s" % conn.hash())
        elif word == "hold":
            self.request.sendall(b"held\n")
            self.request.recv(1)

    def http(self, conn):
        while conn.line().strip():
            pass
        with open(os.path.join(DIR, "requests"), "a", encoding="ascii") as f:
            f.write("x\n")
        body = b'{"answered_by": "local"}\n'
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
            % (len(body), body)
        )


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


def connect(host, port):
    sock = socket.create_connection((host, int(port)), timeout=20)
    sock.settimeout(LIMIT_SECS)
    return sock


def send_all(sock, seed, size):
    for block in bytes_of(seed, size):
        sock.sendall(block)
    sock.shutdown(socket.SHUT_WR)


def echo(sock, seed, size):
    sock.sendall(b"echo\n")
    sender = threading.Thread(target=send_all, args=(sock, seed, size), daemon=True)
    sender.start()
    got = Conn(sock).hash()
    sender.join()
    assert got == (size, hash_of(seed, size)), "echo: %d of %d bytes" % (got[0], size)


def sink(sock, seed, size):
    sock.sendall(b"sink\n")
    send_all(sock, seed, size)
    want = "%d %s" % (size, hash_of(seed, size))
    got = Conn(sock).line()
    assert got == want, "sink: %s, wanted %s" % (got, want)


def source(sock, seed, size):
    sock.sendall(b"source %d %d\n" % (seed, size))
    got = Conn(sock).hash()
    assert got == (size, hash_of(seed, size)), "source: %d of %d bytes" % (got[0], size)


def early(sock, seed, size):
    name = "early-%d" % seed
    sock.sendall(b"early %s\n" % name.encode())
    conn = Conn(sock)
    assert conn.line() == "bye"
    assert conn.line() is None, "more came after its end"
    send_all(sock, seed, size)
    want = "%d %s" % (size, hash_of(seed, size))
    end, got = time.monotonic() + 20, ""
    while got != want:
        assert time.monotonic() < end, "early: %s, wanted %s" % (got, want)
        select.select([], [], [], 0.05)
        try:
            with open(os.path.join(DIR, name), encoding="ascii") as f:
                got = f.read()
        except FileNotFoundError:
            pass


def many(places, count):
    socks = [connect(*places[i % len(places)].rsplit(":", 1)) for i in range(count)]
    for i, sock in enumerate(socks):
        sock.sendall(b"echo\nconnection %d" % i)
    for i, sock in enumerate(socks):
        sock.sendall(b" ends")
        sock.shutdown(socket.SHUT_WR)
    for i, sock in enumerate(socks):
        got = b"".join(Conn(sock).blocks())
        assert got == b"connection %d ends" % i, "%d: %r" % (i, got)
        sock.close()


def hold(sock, ready):
    sock.sendall(b"hold\n")
    assert Conn(sock).line() == "held"
    with open(ready, "w", encoding="ascii"):
        pass
    try:
        assert sock.recv(1) == b""
    except ConnectionResetError:
        pass


DIR = os.environ.get("FLOW_DIR", "/nonexistent")
mode, args = sys.argv[1], sys.argv[2:]
if mode == "local":
    DIR = args[1]
    Server(("::", int(args[0])), Local).serve_forever()
elif mode == "many":
    many(args[:-1], int(args[-1]))
elif mode == "hold":
    hold(connect(args[0], args[1]), args[2])
else:
    run = {"echo": echo, "sink": sink, "source": source, "early": early}[mode]
    run(connect(args[0], args[1]), os.getpid(), int(args[2]))
