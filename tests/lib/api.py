"""The daemon's HTTPS API for tests: requests byte for byte, WebSockets, CSRs.

Written on sockets rather than on a client library: tests say exactly which
headers go out, in which order, and see exactly what comes back.
"""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import time
from urllib.parse import urlsplit

import pm

OPERATOR = "/apis/operator.metalbear.co/v1"
CHILDREN = "/apis/mirrord.metalbear.co/v1alpha/mirrordclustersessions"
SUBPROTOCOL = "v4.channel.k8s.io"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Credential:
    """What a user or a primary proves itself by: a directory of
    `tributary kubeconfig --credentials`, or a bearer token."""

    def __init__(self, ca, cert=None, key=None, token=None):
        self.ca, self.cert, self.key, self.token = ca, cert, key, token

    @classmethod
    def load(cls, path):
        f = lambda n: os.path.join(path, n)
        token = None
        if os.path.exists(f("bearerToken")):
            with open(f("bearerToken")) as t:
                token = t.read().strip()
            return cls(f("ca.crt"), token=token)
        return cls(f("ca.crt"), f("tls.crt"), f("tls.key"))

    def nobody(self):
        return Credential(self.ca)

    def context(self):
        c = ssl.create_default_context(cafile=self.ca)
        if self.cert:
            c.load_cert_chain(self.cert, self.key)
        return c


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def get(self, name):
        found = [v for k, v in self.headers if k.lower() == name.lower()]
        return found[0] if found else None

    def json(self):
        return json.loads(self.body)

    def is_status(self, code, reason=None):
        """A Status object whose code is the HTTP status (§3)."""
        try:
            s = self.json()
        except ValueError:
            return False
        return (
            self.status == code
            and isinstance(s, dict)
            and s.get("kind") == "Status"
            and s.get("apiVersion") == "v1"
            and s.get("metadata") == {}
            and s.get("code") == code
            and s.get("status") == ("Success" if code < 300 else "Failure")
            and (code < 300 or bool(s.get("reason")))
            and bool(s.get("message"))
            and (reason is None or s.get("reason") == reason)
        )

    def __repr__(self):
        return "%d %r" % (self.status, self.body[:400])


class Wire:
    """One TLS connection with a buffer; every wait is bounded."""

    def __init__(self, url, cred, timeout=15, tls=None):
        u = urlsplit(url)
        self.host = u.netloc
        raw = socket.create_connection((u.hostname, u.port), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ctx = tls or cred.context()
        self.s = ctx.wrap_socket(raw, server_hostname=u.hostname)
        self.buf = b""

    def close(self, abort=False):
        if abort:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            self.s.close()
        except OSError:
            pass

    def fill(self, until):
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came in time")
        self.s.settimeout(left)
        try:
            d = self.s.recv(65536)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            d = b""
        except socket.timeout:
            raise TimeoutError("nothing came in time")
        self.buf += d
        return bool(d)

    def until(self, mark, deadline):
        while mark not in self.buf:
            if not self.fill(deadline):
                raise EOFError("the server ended the connection: %r" % self.buf[:200])
        head, self.buf = self.buf.split(mark, 1)
        return head

    def exactly(self, n, deadline):
        while len(self.buf) < n:
            if not self.fill(deadline):
                raise EOFError("the server ended the connection")
        out, self.buf = self.buf[:n], self.buf[n:]
        return out


def read_head(wire, deadline):
    lines = wire.until(b"\r\n\r\n", deadline).decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ", 2)[1])
    return status, [tuple(x.strip() for x in h.split(":", 1)) for h in lines[1:]]


def read_body(wire, reply, deadline, head=False):
    if head or reply.status in (101, 204, 304):
        return b""
    if reply.get("transfer-encoding"):
        out = b""
        while True:
            n = int(wire.until(b"\r\n", deadline).split(b";")[0], 16)
            out += wire.exactly(n, deadline)
            wire.exactly(2, deadline)
            if n == 0:
                return out
    if reply.get("content-length") is not None:
        return wire.exactly(int(reply.get("content-length")), deadline)
    while wire.fill(deadline):
        pass
    return wire.buf


def format_request(host, method, path, headers, body):
    lines = ["%s %s HTTP/1.1" % (method, path)]
    names = [k.lower() for k, _ in headers]
    for k, v in headers:
        lines.append("%s: %s" % (k, v))
    if "host" not in names:
        lines.append("host: " + host)
    if body and "content-length" not in names:
        lines.append("content-length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class Api:
    """One server, one credential."""

    def __init__(self, url, cred):
        self.url, self.cred = url.rstrip("/"), cred

    def _auth(self, headers):
        headers = list(headers)
        if self.cred.token and not any(k.lower() == "authorization" for k, _ in headers):
            headers.insert(0, ("authorization", "Bearer " + self.cred.token))
        return headers

    def request(self, method, path, headers=(), body=b"", timeout=15):
        w = Wire(self.url, self.cred, timeout)
        deadline = time.monotonic() + timeout
        try:
            w.s.sendall(format_request(w.host, method, path, self._auth(headers), body))
            status, hs = read_head(w, deadline)
            r = Reply(status, hs, b"")
            r.body = read_body(w, r, deadline, method == "HEAD")
            return r
        finally:
            w.close()

    def get(self, path, headers=()):
        return self.request("GET", path, headers)

    def upgrade(self, path, headers=(), timeout=30, key=None):
        """A WebSocket, or a Reply when the server refused. The headers are
        sent as they are; without an `upgrade` among them the usual ones are
        added in front."""
        names = [k.lower() for k, _ in headers]
        headers = self._auth(headers)
        if "upgrade" not in names:
            key = base64.b64encode(os.urandom(16)).decode()
            headers = [
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", key),
                ("sec-websocket-protocol", SUBPROTOCOL),
            ] + headers
        w = Wire(self.url, self.cred, timeout)
        deadline = time.monotonic() + timeout
        w.s.sendall(format_request(w.host, "GET", path, headers, b""))
        status, hs = read_head(w, deadline)
        r = Reply(status, hs, b"")
        if status != 101:
            r.body = read_body(w, r, deadline)
            w.close()
            return r
        return WebSocket(w, r, key)


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


class WebSocket:
    def __init__(self, wire, reply, key):
        self.wire, self.reply, self.key = wire, reply, key
        self.kinds = []  # what came, by name

    def frame(self, opcode, payload=b"", fin=True, masked=True):
        n = len(payload)
        head = bytes([(0x80 if fin else 0) | opcode])
        bit = 0x80 if masked else 0
        if n < 126:
            head += bytes([bit | n])
        elif n < 65536:
            head += bytes([bit | 126]) + struct.pack(">H", n)
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", n)
        if masked:
            mask = os.urandom(4)
            payload = bytes(b ^ mask[i & 3] for i, b in enumerate(payload))
            head += mask
        self.wire.s.sendall(head + payload)

    def send(self, payload):
        self.frame(2, payload)

    def recv(self, timeout=10):
        """(opcode, payload), reassembled; (None, b"") at the end."""
        deadline = time.monotonic() + timeout
        out, op = b"", None
        try:
            while True:
                h = self.wire.exactly(2, deadline)
                n = h[1] & 0x7F
                if h[1] & 0x80:
                    raise ValueError("a masked frame from the server")
                if n == 126:
                    n = struct.unpack(">H", self.wire.exactly(2, deadline))[0]
                elif n == 127:
                    n = struct.unpack(">Q", self.wire.exactly(8, deadline))[0]
                out += self.wire.exactly(n, deadline)
                op = op if op is not None else h[0] & 15
                if h[0] & 0x80:
                    return op, out
        except EOFError:
            return None, b""

    def message(self, timeout=10):
        """The next daemon message, decoded; OperatorPing is answered."""
        while True:
            op, p = self.recv(timeout)
            if op is None:
                raise EOFError("the socket ended")
            if op != 2:
                raise ValueError("a frame of kind %d: %s" % (op, p.hex()))
            if p[0] == 13:
                self.send(b"\x0e" + p[1:])
                continue
            return pm.Reader(p).message()

    def want(self, name, timeout=10):
        """The next message of that name; LogMessages may come before."""
        while True:
            m = self.message(timeout)
            if m[0] == name:
                return m
            if m[0] != "Log":
                raise ValueError("%r came instead of %s" % (m, name))

    def version(self, v="1.29.0"):
        self.send(b"\x0a" + pm.st(v))
        return self.want("Version")[1]

    def env(self):
        self.send(bytes.fromhex("060001012a"))
        return self.want("Env")[1]

    def ping(self):
        self.send(b"\x07")
        return self.want("Pong")

    def ended(self, timeout=10):
        """Everything until the end: (messages or opcodes, True at EOF)."""
        out = []
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            op, p = self.recv(max(0.01, until - time.monotonic()))
            if op is None:
                return out, True
            out.append(pm.Reader(p).message() if op == 2 and p[0] != 13 else (op, p))
        return out, False

    def close(self):
        """An orderly end, as the CLI does it: an empty Close frame."""
        self.frame(8)
        got, end = self.ended()
        self.wire.close()
        return got, end

    def drop(self):
        self.wire.close(abort=True)


# ---- the CLI's certificate (spec/operator-api.md §7)


def openssl(*args, data=None):
    return subprocess.run(("openssl",) + args, input=data, check=True, capture_output=True).stdout


def der(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    if n < 128:
        return bytes([tag, n]) + body
    size = (n.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + n.to_bytes(size, "big") + body


def der_read(b, at=0):
    """(tag, content start, end) of the element at `at`."""
    n, start = b[at + 1], at + 2
    if n & 0x80:
        size = n & 0x7F
        n = int.from_bytes(b[start : start + size], "big")
        start += size
    return b[at], start, start + n


OID_ED25519 = bytes.fromhex("06032b6570")
OID_X25519 = bytes.fromhex("06032b656e")
NULL = b"\x05\x00"


class Ed25519:
    def __init__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, "key.pem")
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.path)
        self.public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-32:]

    @property
    def user_id(self):
        return base64.b64encode(self.public).decode().rstrip("=")

    def sign(self, data):
        return sign_raw(self.path, data)


def sign_raw(key_path, data):
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        return openssl("pkeyutl", "-sign", "-rawin", "-inkey", key_path, "-in", f.name)


def pem(label, blob, eol="\r\n"):
    text = base64.b64encode(blob).decode()
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return eol.join(["-----BEGIN %s-----" % label] + lines + ["-----END %s-----" % label, ""])


def unpem(text):
    body = text.replace("\r", "").split("-----\n", 1)[1].split("\n-----END", 1)[0]
    return base64.b64decode(body)


def make_csr(key, name="vm", oid=OID_X25519):
    """Byte for byte what the CLI sends: the X25519 OID for an Ed25519 key."""
    info = der(
        0x30,
        b"\x02\x01\x00",
        der(0x30, der(0x31, der(0x30, bytes.fromhex("0603550403"), der(0x0C, name.encode())))),
        der(0x30, der(0x30, oid, NULL), der(0x03, b"\0" + key.public)),
        b"\xa0\x00",
    )
    return der(0x30, info, der(0x30, OID_ED25519, NULL), der(0x03, b"\0" + key.sign(info)))


def cli_reencode(blob):
    """The certificate as the CLI stores it: each AlgorithmIdentifier without
    parameters gains an explicit NULL (§7.5)."""
    tag, at, end = der_read(blob)
    out = []
    while at < end:
        t, s, e = der_read(blob, at)
        inner = blob[s:e]
        if t == 0x30 and inner in (OID_ED25519, OID_X25519):
            out.append(der(t, inner + NULL))
        elif t in (0x30, 0x31, 0xA0, 0xA3):
            out.append(cli_reencode(blob[at:e]))
        else:
            out.append(blob[at:e])
        at = e
    return der(tag, *out)


CLI_HEADERS = [
    ("x-mirrord-cli-version", "3.250.0"),
    ("x-client-name", "dev"),
    ("x-client-hostname", "laptop"),
]


def credential_object(csr_pem, kind="regular"):
    return json.dumps(
        {
            "apiVersion": "operator.metalbear.co/v1",
            "kind": "MirrordClusterOperatorUserCredential",
            "metadata": {"generateName": "mirrord-operator-%s-cred-" % kind},
            "spec": {"csr": csr_pem, "kind": kind},
        },
        separators=(",", ":"),
    ).encode()


def client_der(api, key=None):
    """x-client-der for a key: asked for through E3, as the CLI does."""
    key = key or Ed25519()
    r = api.request(
        "POST",
        OPERATOR + "/mirrordclusteroperatorusercredentials?",
        [("content-type", "application/json")] + CLI_HEADERS,
        credential_object(pem("CERTIFICATE REQUEST", make_csr(key))),
    )
    if r.status not in (200, 201):
        raise RuntimeError("no client certificate: %r" % r)
    blob = unpem(r.json()["status"]["certificate"])
    return base64.b64encode(cli_reencode(blob)).decode()


def connect_path(target="deployment.web", ns="default", query="connect=true&on_concurrent_steal=abort&key=k1", proxy=True):
    return "%s%s/namespaces/%s/targets/%s?%s" % (OPERATOR, "/proxy" if proxy else "", ns, target, query)


def session_headers(session_id, xder, more=()):
    h = [("x-session-id", str(session_id))] + CLI_HEADERS
    if xder is not None:
        h.append(("x-client-der", xder))
    return h + list(more)


def random_id():
    return int.from_bytes(os.urandom(8), "big") | 1 << 60


# ---- results


class Results:
    """Prints a line per check; the shell side counts them."""

    def __init__(self):
        self.failed = 0

    def check(self, what, ok, seen=""):
        if ok:
            print("ok: " + what, flush=True)
        else:
            self.failed += 1
            print("FAILED: %s %s" % (what, seen), flush=True)
        return bool(ok)
