"""A small threaded server: the target's service, and the local program.

    line_server.py NAME ADDRESS PORT

The first line of a connection says what to do: GET x answers "NAME x";
ECHO sends everything back; SINK answers with the SHA-256 of what came;
SOURCE n sends n bytes of the pattern; HELLO is said by the server before
anything is asked when NAME begins with "first". Each ends with the end of
the connection. Prints "ready" once it listens.
"""
import hashlib
import socket
import sys
import threading

BLOCK = bytes((i * 31 + (i >> 8) * 7) & 255 for i in range(65536))


def pattern(n):
    """n bytes that do not repeat within a buffer, as blocks."""
    sent = 0
    while sent < n:
        block = sent.to_bytes(8, "big") + BLOCK[8:]
        block = block[: n - sent]
        sent += len(block)
        yield block


def pattern_hash(n):
    h = hashlib.sha256()
    for block in pattern(n):
        h.update(block)
    return h.hexdigest()


def answer(conn, name, what, rest):
    word, _, arg = what.partition(" ")
    if word == "GET":
        conn.sendall(f"{name} {arg}\n".encode())
    elif word == "ECHO":
        while rest:
            conn.sendall(rest)
            rest = conn.recv(65536)
            if not rest:
                break
        else:
            while data := conn.recv(65536):
                conn.sendall(data)
    elif word == "SINK":
        h = hashlib.sha256(rest)
        while data := conn.recv(1 << 18):
            h.update(data)
        conn.sendall((h.hexdigest() + "\n").encode())
    elif word == "SOURCE":
        for block in pattern(int(arg)):
            conn.sendall(block)


def serve(conn, name):
    try:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if name.startswith("first"):
            conn.sendall(b"HELLO\n")
        head = b""
        while b"\n" not in head:
            data = conn.recv(65536)
            if not data:
                return
            head += data
        line, _, rest = head.partition(b"\n")
        answer(conn, name, line.decode(), rest)
    except OSError:
        pass
    finally:
        conn.close()


def listen(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
    s.bind((address, port))
    s.listen(1024)
    return s


def run(listener, name):
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(conn, name), daemon=True).start()


def start(name, address="127.0.0.1", port=0):
    """In this process; the address it listens on."""
    listener = listen(address, port)
    threading.Thread(target=run, args=(listener, name), daemon=True).start()
    return listener.getsockname()[:2]


if __name__ == "__main__":
    sock = listen(sys.argv[2], int(sys.argv[3]))
    print("ready", flush=True)
    run(sock, sys.argv[1])
