"""replay URL CREDENTIAL CAPTURE [OPTION...]: a recorded run of the stock CLI
against a real daemon.

The same requests go out with the same headers in the same order, and the same
WebSocket frames; only what is ours by nature is put in: the login certificate,
the CSR and x-client-der made with a key of this run, session ids that exist,
the address of a server that exists. Equal means: HTTP status, upgrade
headers, JSON keys and types, order of message kinds.

Options: echo=ADDRESS:PORT, token (the recorded `authorization: Bearer` with a
token of ours, no certificate), kill=SHELL-COMMAND (where the recorded operator
dropped its TCP connection).
"""
import base64
import ipaddress
import json
import os
import re
import struct
import subprocess
import sys
import time

import api
import pm

# Parts of recorded answers that say what the recording's cluster could do,
# not what an operator must: path -> why no element of it must be there.
MAY_BE_EMPTY = {
    "$.spec.supported_features": "what is not done is not advertised",
}
# Keys whose value ours may leave null.
MAY_BE_NULL = {
    ".http_filter": "filters are refused before the upgrade, as not there yet",
}
DROPPED = "server dropped TCP"


def kind_of(v):
    if v is None:
        return "null"
    if isinstance(v, bool):
        return "boolean"
    if isinstance(v, (int, float)):
        return "number"
    return {str: "string", list: "array", dict: "object"}[type(v)]


def differences(rec, our, path="$", filled=None):
    """Where our JSON lacks a key or has another type than the recorded.
    filled: lists that the recorded one has elements in -> ours has one in some
    place too."""
    top = filled is None
    filled = {} if top else filled
    out = compare(rec, our, path, filled)
    if top:
        out += [p + ": is empty" for p, some in filled.items() if not some]
    return out


def compare(rec, our, path, filled):
    if rec is None:
        return []  # a null says nothing about the type
    if our is None and any(path.endswith(k) for k in MAY_BE_NULL):
        return []
    if kind_of(rec) != kind_of(our):
        return ["%s: %s recorded, %s here" % (path, kind_of(rec), kind_of(our))]
    out = []
    if isinstance(rec, dict):
        for k, v in rec.items():
            p = "%s.%s" % (path, k)
            if k in our:
                out += differences(v, our[k], p, filled)
            else:
                out.append(p + ": missing")
    elif isinstance(rec, list):
        if rec and path not in MAY_BE_EMPTY:
            filled[path] = filled.get(path, False) or bool(our)
        for v in our:
            ways = [differences(r, v, path + "[]", filled) for r in rec]
            if ways and all(ways):
                out += min(ways, key=len)
    return out


def message_kind(payload):
    """"TcpOutgoing/ConnectV2": the name of a daemon message and its variant."""
    m = pm.Reader(payload).message()
    return m[0] + ("/" + m[1] if m[0] in ("Tcp", "TcpSteal", "TcpOutgoing") else "")


class Replay:
    def __init__(self, url, cred, capture, options):
        self.results = api.Results()
        self.name = os.path.basename(capture)[:-5]
        with open(capture) as f:
            self.capture = json.load(f)
        self.options = options
        self.key = api.Ed25519()
        self.other_ids = {}  # recorded session id -> ours
        self.der = None
        self.token = None
        if "token" in options:
            self.token = cred.token
            cred = cred.nobody()
        self.api = api.Api(url, cred)
        self.last = []  # recorded ends of sockets, put off
        self.live = None  # (id, socket) of a session made for a command
        self.key_name = None

    def check(self, what, ok, seen=""):
        return self.results.check("%s: %s" % (self.name, what), ok, seen)

    # ---- what is ours

    def headers(self, recorded):
        out = []
        for k, v in recorded:
            if k == "authorization":
                if self.token:
                    out.append((k, "Bearer " + self.token))
            elif k == "x-client-der":
                out.append((k, self.der))
            elif k == "x-session-id":
                out.append((k, str(self.session_id(int(v)))))
            elif k not in ("host", "content-length"):
                out.append((k, v))
        return out

    def session_id(self, recorded):
        return self.other_ids.setdefault(recorded, api.random_id())

    def body(self, text):
        if "CERTIFICATE REQUEST" not in text:
            return text.encode()
        csr = api.pem("CERTIFICATE REQUEST", api.make_csr(self.key))
        return api.credential_object(csr)

    def path(self, path):
        """A session that a command names is one that is there."""
        if self.live and "/sessions/" in path and "inactive" not in path:
            sid = self.live[0]
            decimal = re.search(r"/sessions/\d{19}\?", path)
            return re.sub(r"/sessions/[0-9A-F]+\?", "/sessions/%s?" % (sid if decimal else "%X" % sid), path)
        return path

    # ---- plain requests

    def expect_json(self, n, rec, r):
        try:
            ours = r.json()
        except ValueError:
            return self.check("%d has the recorded keys and types" % n, False, repr(r))
        d = differences(rec, ours)
        if "certificate" in str((rec.get("status") or {}) if isinstance(rec, dict) else ""):
            self.der = base64.b64encode(api.cli_reencode(api.unpem(ours["status"]["certificate"]))).decode()
        return self.check("%d has the recorded keys and types" % n, not d, "; ".join(d[:6]))

    def plain(self, q):
        r = self.api.request(q["method"], self.path(q["path"]), self.headers(q["headers"]), self.body(q["body"] or ""))
        short = q["path"].split("?")[0].split("/v1")[-1]
        self.check(
            "%d %s %s is %d" % (q["n"], q["method"], short, q["response_status"]),
            r.status == q["response_status"],
            repr(r),
        )
        if isinstance(q["response_body"], (dict, list)):
            self.expect_json(q["n"], q["response_body"], r)

    # ---- upgrades

    def upgrade(self, q):
        r = None
        for _ in range(100):  # only after a drop is more than one try needed
            try:
                r = self.api.upgrade(q["path"], self.headers(q["headers"]))
                break
            except (ConnectionError, OSError, EOFError):
                if not self.dropped:
                    raise
                time.sleep(0.1)  # as the CLI waits between its tries
        what = "%d upgrade is %d" % (q["n"], q["response_status"])
        if not self.check(what, isinstance(r, api.WebSocket), repr(r)):
            return
        key = dict(q["headers"])["sec-websocket-key"]
        want = {k.lower(): v for k, v in q["response_headers"]}
        want["sec-websocket-accept"] = api.accept_of(key)
        got = {k.lower(): v for k, v in r.reply.headers}
        self.check("%d has the recorded upgrade headers" % q["n"], all(got.get(k) == v for k, v in want.items()), got)
        frames = q["ws_frames_hex"]
        end = next((f for f in frames if f["dir"] == "cli->operator" and f.get("opcode") != 2), None)
        self.finish()
        self.exchange(q["n"], r, frames[: frames.index(end)] if end else frames)
        self.last.append((q["n"], r, end))

    def finish(self):
        """The recorded ends, put off until the next socket was open: the CLI
        opens its second one while the first is there."""
        for n, ws, end in self.last:
            if end and end.get("opcode") == 8:
                got, eof = ws.close()
                self.check("%d an empty Close is answered by an empty Close" % n, (8, b"") in got and eof, repr(got))
            else:
                ws.drop()
        self.last = []

    dropped = False

    def exchange(self, n, ws, frames):
        self.conn_id, want, got = {}, [], []
        for f in frames:
            if f.get("note") == DROPPED:
                self.check("%d the operator's end is gone" % n, self.drop_by_server(ws))
            elif f.get("note") in ("OperatorPing", "OperatorPong"):
                continue  # an operator may ask whenever it likes, or never
            elif f["dir"] == "cli->operator":
                nxt = frames[frames.index(f) + 1 :]
                if nxt and nxt[0].get("note") == DROPPED:
                    continue  # it was never answered
                ws.send(self.rewrite(bytes.fromhex(f["payload_hex"])))
            elif self.own_close(frames, f):
                continue
            else:
                rec = bytes.fromhex(f["payload_hex"])
                want.append(message_kind(rec))
                try:
                    got.append(self.receive(ws, rec))
                except Exception as e:  # pylint: disable=broad-except
                    got.append("%s: %s" % (type(e).__name__, e))
                    break
        what = ", ".join(want) if len(want) < 8 else "%d messages" % len(want)
        self.check("%d order of kinds: %s" % (n, what or "none"), want == got, "came: %s" % got)

    @staticmethod
    def own_close(frames, f):
        """The recording's peer answered the client's Close of an outgoing
        connection; spec/protocol.md §9: that is never answered."""
        asked = frames[frames.index(f) - 1]
        return f["payload_hex"].startswith("0302") and asked["payload_hex"] == f["payload_hex"]

    def receive(self, ws, rec):
        while True:
            op, p = ws.recv(20)
            if op is None:
                return "end"
            if op != 2:
                return "opcode %d" % op
            if p[0] == 13:
                ws.send(b"\x0e" + p[1:])
                continue
            if p[0] == 5 and rec[0] != 5:
                continue  # LogMessages have their own time
            self.learn(rec, p)
            return message_kind(p)

    def learn(self, rec, our):
        """Which connection id of ours stands for the recorded one."""
        r, o = pm.Reader(rec).message(), pm.Reader(our).message()
        if r[:2] == ("TcpOutgoing", "ConnectV2") and o[:2] == r[:2] and not isinstance(o[3], pm.Err):
            self.conn_id[r[3][0]] = o[3][0]
        if r[:2] == ("TcpOutgoing", "Read") and o[:2] == r[:2]:
            self.check("the same bytes come back", r[2][1] == o[2][1], repr(o))

    def rewrite(self, p):
        if p[0] != 3:
            return p
        if p[1] == 3:  # ConnectV2: uid, address
            host, port = self.options["echo"].rsplit(":", 1)
            return p[:-7] + self.address(host, int(port))
        r = pm.Reader(p[2:])
        ours = self.conn_id.get(r.uv(), 0)
        return p[:2] + pm.uv(ours) + r.b[r.at :]

    @staticmethod
    def address(host, port):
        return ipaddress.ip_address(host).packed + pm.uv(port)

    def drop_by_server(self, ws):
        self.dropped = True
        subprocess.run(self.options["kill"], shell=True, check=True)
        got, eof = ws.ended()
        return eof and not any(g[0] == "Close" for g in got)

    # ---- sessions that commands name

    def session(self):
        """A live session with what the recorded ones have: a key and a stolen
        port."""
        if self.live:
            return
        q = "connect=true&on_concurrent_steal=abort&key=k1%2Ca%3Db"
        sid = api.random_id()
        ws = self.api.upgrade(api.connect_path(query=q), self.auth() + api.session_headers(sid, self.der))
        if not isinstance(ws, api.WebSocket):
            raise RuntimeError("no session: %r" % ws)
        ws.version()
        ws.send(b"\x0b")
        ws.send(bytes.fromhex("02000050"))
        m = ws.want("TcpSteal", 20)
        if m[1] != "SubscribeResult" or isinstance(m[2], pm.Err):
            raise RuntimeError("no port: %r" % (m,))
        self.live = (sid, ws)

    def auth(self):
        return [("authorization", "Bearer " + self.token)] if self.token else []

    def before(self, q):
        if self.name == "session_commands" and self.der and q["n"] >= 3:
            self.session()
            if "inactive" in q["path"]:
                self.live[1].drop()
        if self.name == "operator_status":
            self.der = api.client_der(api.Api(self.api.url, self.api.cred), self.key)
            self.session()

    def after(self, q):
        if q["method"] != "DELETE" or not self.live:
            return
        sid, ws = self.live
        self.live = None
        if "inactive" not in q["path"]:
            got, eof = ws.ended()
            self.check("%d the client is told so: Close" % q["n"], eof and [g for g in got if g[0] == "Close"], repr(got))
        r = self.api.get(api.OPERATOR + "/sessions", self.auth())
        names = [i["metadata"]["name"] for i in r.json()["items"]]
        self.check("%d the session is not listed any more" % q["n"], "%X" % sid not in names, names)

    def run(self):
        for q in self.capture:
            self.before(q)
            if q["response_status"] == 101:
                self.upgrade(q)
            else:
                self.plain(q)
            self.after(q)
        self.finish()
        if self.live:
            self.live[1].drop()
        return 1 if self.results.failed else 0


def main():
    url, cred, capture = sys.argv[1:4]
    options = dict(o.split("=", 1) if "=" in o else (o, True) for o in sys.argv[4:])
    return Replay(url, api.Credential.load(cred), capture, options).run()


if __name__ == "__main__":
    sys.exit(main())
