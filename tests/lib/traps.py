"""traps: the 15 traps of spec/operator-api.md §24, tried on real daemons.

By environment: HUB and MEMBER are URLs (a management-only primary and its
member, which is an ordinary operator to its own users), FILES the directory
of credentials, STOP_MEMBER a command that stops the member's daemon.
"""
import base64
import datetime
import json
import os
import re
import subprocess
import sys
import time
from urllib.parse import quote

import api
import pm
from api import Api, Credential, OPERATOR, WebSocket

ENV = os.environ
R = api.Results()
check = R.check
E3 = OPERATOR + "/mirrordclusteroperatorusercredentials?"
E4 = OPERATOR + "/mirrordoperators/operator/certificate?"
JSON = [("content-type", "application/json")]
RETRIED = (429, 503, 504)


def at(cluster, user="dev"):
    url = ENV["HUB"] if cluster == "hub" else ENV["MEMBER"]
    return Api(url, Credential.load(os.path.join(ENV["FILES"], "%s-%s" % (cluster, user))))


BOTH = ("hub", "east")


def open_socket(a, xder, sid=None, more=(), **kw):
    sid = sid or api.random_id()
    return sid, a.upgrade(api.connect_path(**kw), api.session_headers(sid, xder, more))


def is_open(what, ws):
    return check(what, isinstance(ws, WebSocket), repr(ws))


def operator(a):
    return a.get(OPERATOR + "/mirrordoperators/operator").json()


# ---- 1: the CSR's OID, the certificate's NULLs



def without_nulls(blob):
    """As OpenSSL would write it: AlgorithmIdentifiers without parameters."""
    tag, at_, end = api.der_read(blob)
    out = []
    while at_ < end:
        t, s, e = api.der_read(blob, at_)
        if t == 0x30 and blob[s:e] in (api.OID_ED25519 + api.NULL, api.OID_X25519 + api.NULL):
            out.append(api.der(t, blob[s : e - 2]))
        elif t in (0x30, 0x31, 0xA0, 0xA3):
            out.append(without_nulls(blob[at_:e]))
        else:
            out.append(blob[at_:e])
        at_ = e
    return api.der(tag, *out)


def trap_01_csr_and_nulls():
    a, key = at("hub"), api.Ed25519()
    csr = api.make_csr(key)
    check("the CSR names X25519 for an Ed25519 key", api.OID_X25519 in csr)
    certs = []
    for how, path, body in (
        ("E3", E3, api.credential_object(api.pem("CERTIFICATE REQUEST", csr))),
        ("E3, LF", E3, api.credential_object(api.pem("CERTIFICATE REQUEST", csr, "\n"))),
        ("E3 for ci", E3, api.credential_object(api.pem("CERTIFICATE REQUEST", csr), "ci")),
        ("E3 with the right OID", E3, api.credential_object(api.pem("CERTIFICATE REQUEST", api.make_csr(key, oid=api.OID_ED25519)))),
        ("E4, raw PEM", E4, api.pem("CERTIFICATE REQUEST", csr).encode()),
        ("E4, a JSON string", E4, json.dumps(api.pem("CERTIFICATE REQUEST", csr)).encode()),
    ):
        r = a.request("POST", path, JSON, body)
        if not check("%s is answered" % how, r.status in (200, 201), repr(r)):
            continue
        v = r.json()
        text = v if isinstance(v, str) else v["status"]["certificate"]
        blob = api.unpem(text)
        check("%s: the CLI's re-encoding does not change the certificate" % how, api.cli_reencode(blob) == blob)
        check("%s: it is for that key" % how, key.public in blob)
        if isinstance(v, dict):
            check("%s: spec and metadata come back" % how, v["spec"]["csr"] and v["spec"]["kind"] and v["metadata"]["name"])
        certs.append(blob)
    for how, blob in (("as issued", certs[0]), ("without its NULLs", without_nulls(certs[0]))):
        _, ws = open_socket(a, base64.b64encode(blob).decode())
        if is_open("x-client-der %s is taken" % how, ws):
            ws.close()
    ids = [s["user_id"] for s in operator(a)["status"]["sessions"]]
    check("user_id is the unpadded base64 of the key", key.user_id in ids, ids)
    i = csr.index(key.public)
    for how, bad in (
        ("another key", csr[:i] + bytes(32) + csr[i + 32 :]),
        ("another signature", csr[:-1] + bytes([csr[-1] ^ 1])),
        ("a byte less", csr[:-1]),
        ("a byte more", csr + b"\0"),
        ("nothing", b""),
    ):
        r = a.request("POST", E3, JSON, api.credential_object(api.pem("CERTIFICATE REQUEST", bad)))
        check("a CSR with %s is refused: 4xx Status" % how, 400 <= r.status < 429 and r.is_status(r.status), repr(r))
    for how, body in (("no JSON", b"{"), ("no spec", b"{}"), ("a list", b"[]"), ("a null", b"null"), ("nothing", b"")):
        r = a.request("POST", E3, JSON, body)
        check("E3 with %s: 4xx Status" % how, 400 <= r.status < 429 and r.is_status(r.status), repr(r))
    for how, body in (("no PEM", b"hello"), ("a JSON object", b"{}"), ("an open string", b'"-----BEGIN'), ("nothing", b"")):
        r = a.request("POST", E4, JSON, body)
        check("E4 with %s: 4xx Status" % how, 400 <= r.status < 429 and r.is_status(r.status), repr(r))


# ---- 2, 3: what a client is sent, and when


def nothing_comes(ws, secs):
    try:
        got = ws.recv(secs)
    except TimeoutError:
        return True, None
    return False, got


def trap_02_no_control_frames():
    """Silence, then work: not one frame that is not binary."""
    for cluster in BOTH:
        a = at(cluster)
        _, ws = open_socket(a, api.client_der(a))
        ws.version()
        ws.send(b"\x0b")
        odd = []
        end = time.monotonic() + 6  # longer than any liveness interval of ours
        while time.monotonic() < end:
            try:
                op, p = ws.recv(max(0.01, end - time.monotonic()))
            except TimeoutError:
                break
            if op != 2:
                odd.append((op, p))
                break
        check("%s: 6 s of silence bring no Ping, Pong, Text or Close" % cluster, not odd, odd)
        for n in (0, 1, 125):  # the CLI sends none; RFC 6455 asks for a Pong
            ws.frame(9, b"x" * n)
            check("%s: a Ping frame of %d bytes brings its Pong" % (cluster, n), ws.recv(10) == (10, b"x" * n))
        ws.send(b"\x07")
        check("%s: and nothing else" % cluster, ws.recv(10) == (2, b"\x07"))
        got, eof = ws.close()
        check("%s: an empty Close is answered by an empty Close" % cluster, got == [(8, b"")] and eof, got)
        _, ws = open_socket(a, api.client_der(a))
        for part, fin, op in ((b"\x0a\x06", False, 2), (b"1.2", False, 0), (b"9.0", True, 0)):
            ws.frame(op, part, fin)
        check("%s: fragments are put together" % cluster, ws.want("Version")[1] == "1.29.0")
        ws.frame(1, b"\x07")
        got, eof = ws.ended()
        check("%s: a Text frame ends the socket" % cluster, eof, got)
        _, ws = open_socket(a, api.client_der(a))
        ws.frame(2, b"\x07", masked=False)
        got, eof = ws.ended()
        check("%s: an unmasked frame ends the socket" % cluster, eof and not any(g[0] == "Pong" for g in got), got)


def trap_03_order_on_connection_1():
    for cluster in BOTH:
        a = at(cluster)
        x = api.client_der(a)
        sid, one = open_socket(a, x)
        quiet, got = nothing_comes(one, 2)
        check("%s: nothing comes before the client has spoken" % cluster, quiet, got)
        one.send(bytes.fromhex("0a06312e32392e30"))
        op, p = one.recv()
        check("%s: the first message is the version" % cluster, (op, p.hex()) == (2, "0b06312e32392e30"), p.hex())
        one.send(bytes.fromhex("060001012a"))
        kinds = []
        while not kinds or kinds[-1] == 5:
            kinds.append(one.recv()[1][0])
        check("%s: then the environment, with no OperatorPing before it" % cluster, kinds[-1] == 8, kinds)
        _, two = open_socket(a, x, sid)
        two.send(b"\x07")
        check("%s: connection 2: Ping brings Pong at once" % cluster, two.recv() == (2, b"\x07"))
        two.send(bytes.fromhex("0a06312e32392e30"))
        check("%s: connection 2: then the version" % cluster, two.recv()[1].hex() == "0b06312e32392e30")
        three = Api(a.url, a.cred)
        _, ws = open_socket(three, x, sid)
        for m in ("07", "0a06312e32392e30", "060001012a", "07"):
            ws.send(bytes.fromhex(m))  # all at once
        kinds = []
        while len([k for k in kinds if k != 5]) < 4:
            kinds.append(ws.recv()[1][0])
        kinds = [k for k in kinds if k != 5]
        check("%s: asked all at once: each is answered once" % cluster, sorted(kinds) == [7, 7, 8, 11], kinds)
        check("%s: no message of a newer version before the version" % cluster, kinds[0] == 7 and kinds.index(11) < kinds.index(8), kinds)
        for w in (one, two, ws):
            w.close()


# ---- 4: the upgrade's headers


def trap_04_upgrade_headers():
    for cluster in BOTH:
        a = at(cluster)
        x = api.client_der(a)
        _, ws = open_socket(a, x)
        h = [(k.lower(), v) for k, v in ws.reply.headers]
        want = {
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-protocol": api.SUBPROTOCOL,
            "sec-websocket-accept": api.accept_of(ws.key),
        }
        for k, v in want.items():
            check("%s: %s is exactly %s" % (cluster, k, v), [b for c, b in h if c == k] == [v], h)
        check("%s: no extension is chosen" % cluster, "sec-websocket-extensions" not in dict(h), h)
        ws.close()
        base = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
            "sec-websocket-protocol": api.SUBPROTOCOL,
        }
        for what, change in (
            ("WebSocket in capitals, and keep-alive beside Upgrade", {"upgrade": "WebSocket", "connection": "keep-alive, Upgrade"}),
            ("several subprotocols", {"sec-websocket-protocol": "v5.channel.k8s.io, v4.channel.k8s.io"}),
            ("an extension offered", {"sec-websocket-extensions": "permessage-deflate"}),
        ):
            hs = list({**base, **change}.items()) + api.session_headers(api.random_id(), x)
            r = a.upgrade(api.connect_path(), hs)
            if is_open("%s: %s is taken" % (cluster, what), r):
                r.close()
        for what, change in (
            ("no subprotocol", {"sec-websocket-protocol": None}),
            ("another subprotocol", {"sec-websocket-protocol": "v5.channel.k8s.io"}),
            ("no key", {"sec-websocket-key": None}),
            ("a short key", {"sec-websocket-key": "abcd"}),
            ("a key that is no base64", {"sec-websocket-key": "!" * 24}),
            ("no version", {"sec-websocket-version": None}),
            ("version 8", {"sec-websocket-version": "8"}),
            ("another upgrade", {"upgrade": "h2c"}),
            ("no Connection", {"connection": None}),
            ("Connection: close", {"connection": "close"}),
        ):
            hs = [(k, v) for k, v in {**base, **change}.items() if v is not None]
            r = a.upgrade(api.connect_path(), hs + api.session_headers(api.random_id(), x))
            ok = not isinstance(r, WebSocket) and r.status in (400, 426) and r.is_status(r.status)
            check("%s: an upgrade with %s is 400" % (cluster, what), ok, repr(r))
        r = a.request("GET", api.connect_path(), api.session_headers(api.random_id(), x))
        check("%s: a connect that is no upgrade is 400" % cluster, r.is_status(400), repr(r))


# ---- 5: ids


def names(a):
    return [i["metadata"]["name"] for i in a.get(OPERATOR + "/sessions").json()["items"]]


def delete(a, x, name):
    return a.request("DELETE", "%s/sessions/%s?" % (OPERATOR, name), JSON + [("x-client-der", x)], b"{}")


def trap_05_ids():
    for cluster in BOTH:
        a = at(cluster)
        x = api.client_der(a)
        for spell in (str, "{:X}".format, "{:x}".format, "mc-{:X}".format, "mc-copy-{:x}".format):
            sid, ws = open_socket(a, x)
            ws.version()
            check("%s: listed in upper hex" % cluster, "%X" % sid in names(a), names(a))
            r = delete(a, x, spell(sid))
            check("%s: DELETE %s" % (cluster, spell(0xABC)), r.is_status(200), repr(r))
            got, eof = ws.ended()
            check("%s: it ends by Close" % cluster, eof and got and got[-1][0] == "Close" or (8, b"") in got, got)
        # listed as digits alone, which another session has as its decimal id
        hexa, deci = 0x1234567812345678, 1234567812345678
        _, one = open_socket(a, x, hexa)
        _, two = open_socket(a, x, deci)
        if is_open("%s: two sessions with one spelling" % cluster, one) and is_open("%s: the other" % cluster, two):
            r = delete(a, x, "1234567812345678")
            left = names(a)
            check("%s: the listed form wins" % cluster, "%X" % hexa not in left and "%X" % deci in left, left)
            r = delete(a, x, "1234567812345678")
            check("%s: then the decimal one" % cluster, r.is_status(200) and "%X" % deci not in names(a), repr(r))
        for bad in (None, "", "0x12", "12ab", "-1", "18446744073709551616", "1 2", "+5", "1.0", "mc-12"):
            h = [("x-client-der", x)] + ([("x-session-id", bad)] if bad is not None else [])
            r = a.upgrade(api.connect_path(), h)
            ok = not isinstance(r, WebSocket) and r.is_status(400)
            check("%s: x-session-id %r is 400" % (cluster, bad), ok, repr(r))
        for edge in (0, 1, (1 << 64) - 1):
            _, ws = open_socket(a, x, edge)
            ok = isinstance(ws, WebSocket) or (edge == 0 and ws.is_status(400))
            check("%s: x-session-id %d" % (cluster, edge), ok, repr(ws))
            if isinstance(ws, WebSocket):
                delete(a, x, str(edge))
        for name in ("none", "12345", "ABCDEF", "%2e", "a" * 300):
            r = delete(a, x, name)
            check("%s: DELETE of %s is 404" % (cluster, name[:8]), r.status in (404, 400) and r.is_status(r.status), repr(r))


# ---- 6, 13: codes


def refusals(a, x):
    """Requests that can't be granted: (what, reply)."""
    sid = api.random_id

    def connect(query="", target="deployment.web", ns="default", **kw):
        q = "connect=true&key=k" + ("&" + query if query else "")
        return a.upgrade(api.connect_path(target, ns, q, **kw), api.session_headers(sid(), x))

    js = lambda name, v: "%s=%s" % (name, api.json.dumps(v).replace('"', "%22").replace("{", "%7B").replace("}", "%7D").replace(" ", ""))
    yield "a target that is not there", connect(target="deployment.none")
    yield "a namespace that is not there", connect(ns="none")
    yield "a container that is not there", connect(target="deployment.web.container.none")
    yield "a target without a replica", connect(ns="other")
    yield "no target at all", connect(target="targetless")
    yield "a target by label", connect(js("label_target", {"labels": {"app": "web"}}), "label")
    yield "a kind that is none", connect(target="gadget.web")
    yield "a name that is none", connect(target="deployment.")
    yield "an unknown on_concurrent_steal", connect("on_concurrent_steal=maybe")
    yield "broken JSON", connect("sqs_splits=%7B")
    yield "a key twice", connect("key=a&key=b&multi_cluster=perhaps")
    yield "an HTTP filter", connect("header_filter=x")
    for p in ("sqs_splits", "kafka_splits", "rmq_splits", "gcp_pubsub_splits", "azure_service_bus_splits", "redis_pubsub_splits"):
        yield p, connect(js(p, {"q": {"a": "b"}}))
    for p in ("temporal_splits", "bullmq_splits"):
        yield p, connect(js(p, {"q": {"a": "b"}}))
    for p in ("sqs_jq_filters", "kafka_jq_filters", "bullmq_jq_filters"):
        yield p, connect(js(p, {"q": "."}))
    for p in ("mysql_branch_names", "pg_branch_names", "mongodb_branch_names", "branch_db_names"):
        yield p, connect(js(p, ["a"]))
    yield "a broken escape", connect("key=%zz")
    yield "a copy target", a.upgrade(OPERATOR + "/proxy/namespaces/default/copytargets/x?connect=true", api.session_headers(sid(), x))
    yield "copy targets", a.get(OPERATOR + "/namespaces/default/copytargets?")
    yield "a new copy target", a.request("POST", OPERATOR + "/namespaces/default/copytargets?", JSON, b"{}")
    yield "branch credentials", a.request("POST", OPERATOR + "/branchcredentials?", JSON, b"{}")
    yield "preview mounts", a.request("POST", OPERATOR + "/previewsecretmounts?", JSON, b"{}")
    yield "queue splits", a.get(OPERATOR + "/queuesplits?")
    yield "events", a.get(OPERATOR + "/events?watch=true&session_key=k")
    yield "a preview", a.get("/apis/operator.metalbear.co/v1alpha1/namespaces/default/previews/x")
    yield "branch databases", a.get("/apis/dbs.mirrord.metalbear.co/v1alpha1/namespaces/default/branchdatabases")
    yield "a profile", a.get("/apis/profiles.mirrord.metalbear.co/v1alpha/mirrordclusterprofiles/x")
    yield "a custom resource", a.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    yield "a deployment that is not there", a.get("/apis/apps/v1/namespaces/default/deployments/none")
    yield "a wrong method", a.request("PUT", OPERATOR + "/sessions", JSON, b"{}")
    yield "a broken field selector", a.get(OPERATOR + "/sessions?fieldSelector=%5C")
    yield "a broken label selector", a.get("/api/v1/namespaces/default/pods?labelSelector=%21%21")
    yield "a large body", a.request("POST", E3, JSON, b"{" + b" " * (2 << 20))


def trap_06_and_13_codes():
    for cluster in BOTH:
        a = at(cluster)
        x = api.client_der(a)
        for what, r in refusals(a, x):
            if isinstance(r, WebSocket):
                check("%s: %s is refused" % (cluster, what), False, "101")
                r.close()
                continue
            ok = 400 <= r.status and r.is_status(r.status) and r.status not in RETRIED
            check("%s: %s: a Status whose code is the HTTP status, never 429, 503, 504" % (cluster, what), ok, repr(r))
            if ok:
                text = r.json()["message"]
                check("%s: %s: its message is a sentence" % (cluster, what), len(text) > 15 and " " in text, text)
        r = a.request("DELETE", OPERATOR + "/sessions/inactive?", JSON, b"{}")
        check("%s: a success is a Status with code 200" % cluster, r.is_status(200), repr(r))


def trap_13_a_cluster_that_is_away():
    """Not 503: the client would ask silently for minutes."""
    a = at("hub")
    x = api.client_der(a)
    subprocess.run(ENV["STOP_MEMBER"], shell=True, check=True)
    start = time.monotonic()
    r = a.upgrade(api.connect_path(), api.session_headers(api.random_id(), x), timeout=60)
    took = time.monotonic() - start
    ok = not isinstance(r, WebSocket) and r.is_status(r.status) and r.status not in RETRIED
    check("with its only cluster away a connect is refused for good", ok, repr(r))
    if ok:
        check("its message names the cluster", "east" in r.json()["message"], repr(r))
    check("within 30 s", took < 30, took)
    check("the operator object is still there", operator(a)["kind"] == "MirrordOperator")
    start = time.monotonic()
    r = a.get(OPERATOR + "/sessions")
    check("sessions are still listed, soon", r.status == 200 and time.monotonic() - start < 5, repr(r))
    r = a.get("/apis/apps/v1/namespaces/default/deployments")
    check("workloads are still answered, soon", r.status not in RETRIED and time.monotonic() - start < 10, repr(r))


# ---- 7, 8, 9, 10: the operator object


def trap_07_to_09_operator_object():
    for cluster in BOTH:
        o = operator(at(cluster))
        spec = o["spec"]
        check("%s: features has at most ProxyApi" % cluster, set(spec.get("features") or []) <= {"ProxyApi"}, spec)
        f = spec["supported_features"]
        known = {"ProxyApi", "ExtendableUserCredentials", "LayerReconnect", "ConnectParamsInHeader", "SessionManagement"}
        check("%s: all of the minimal set is in supported_features" % cluster, known <= set(f), f)
        check("%s: MultiClusterPrimary says who is one" % cluster, ("MultiClusterPrimary" in f) == (cluster == "hub"), f)
        later = ("Copy", "Queue", "Branch", "Preview", "Splitting", "LabelTargeting")
        check("%s: what is not there is not advertised" % cluster, not [x for x in f if any(w in x for w in later)], f)
        check(
            "%s: operator_namespace is for a management-only primary alone" % cluster,
            ("operator_namespace" in spec) == (cluster == "hub"),
            spec,
        )
        day = datetime.date.fromisoformat(spec["license"]["expire_at"])
        check("%s: the license is good for years" % cluster, day > datetime.date.today() + datetime.timedelta(days=1000), day)
        check("%s: it has a fingerprint and a name that is no trial" % cluster, spec["license"]["fingerprint"] and "(Trial)" not in spec["license"]["name"])
        check("%s: operator_version makes `ls` list all kinds" % cluster, tuple(map(int, spec["operator_version"].split("."))) >= (3, 84, 0))
    again = operator(at("hub"))["spec"]["license"]
    check("fingerprint and subscription stay", again == operator(at("hub"))["spec"]["license"], again)


SESSION_TYPES = {
    "id": str,
    "duration_secs": int,
    "user": str,
    "target": str,
    "namespace": str,
    "locked_ports": list,
    "user_id": str,
}


def trap_10_sessions_parse():
    """Names as odd as headers allow, and each entry still parses."""
    odd = ['"quo"te\\', "tab\there", "\u00e4\u00f6\u00fc", "\xff\xfe", "a" * 2000, "</script>", "{}", "null", "%s%n", ""]
    for cluster in BOTH:
        a = at(cluster)
        x = api.client_der(a)
        live = []
        for i, name in enumerate(odd):
            h = [("x-session-id", str(api.random_id())), ("x-mirrord-cli-version", name[:60] or "3"), ("x-client-name", name)]
            h += [("x-client-hostname", name), ("x-client-der", x), ("baggage", name), ("traceparent", name)]
            key = "".join("%%%02X" % b for b in name.encode("utf-8")[:200])
            r = a.upgrade(api.connect_path(query="connect=true&key=" + (key or "k")), h)
            if isinstance(r, WebSocket):
                r.version()
                r.send(b"\x0b")
                r.send(b"\x02\x00\x00" + pm.uv(1000 + i))
                live.append(r)
            else:
                ok = 400 <= r.status < 500 and r.is_status(r.status)
                check("%s: client name %r is refused properly" % (cluster, name[:12]), ok, repr(r))
        raw = a.get(OPERATOR + "/mirrordoperators/operator").body
        try:
            o = json.loads(raw.decode("utf-8"))
        except ValueError as e:
            check("%s: the operator object is JSON in UTF-8" % cluster, False, e)
            continue
        listed = o["status"]["sessions"]
        check("%s: %d odd sessions are listed" % (cluster, len(live)), len(listed) >= len(live) == len(odd), len(listed))
        for s in listed:
            bad = [k for k, t in SESSION_TYPES.items() if not isinstance(s.get(k), t)]
            bad += [p for p in s["locked_ports"] if not (isinstance(p["port"], int) and isinstance(p["kind"], str))]
            if not re.fullmatch("[0-9A-F]{1,16}", s["id"]) or bad:
                check("%s: session %s parses" % (cluster, s["id"]), False, (bad, s))
        check("%s: every session entry parses" % cluster, True)
        items = a.get(OPERATOR + "/sessions").json()["items"]
        check("%s: so do the listed ones" % cluster, all(i["spec"]["session"]["id"] == i["metadata"]["name"] for i in items))
        for ws in live:
            ws.close()
        a.request("DELETE", OPERATOR + "/sessions?", [("x-client-der", x)])


# ---- 11, 14: URLs


def trap_11_and_14_urls():
    for cluster in BOTH:
        a = at(cluster)
        x = api.client_der(a)
        for p in ("/sessions", "/sessions?", "/sessions?&", "/sessions?&&limit=500", "/sessions?&fieldSelector="):
            r = a.get(OPERATOR + p)
            check("%s: GET %s" % (cluster, p), r.status == 200, repr(r))
        for target in ("deployment.web", "deploy.web", "deployment.web.container.app", "deploy.web.container.app", "pod.web-1"):
            for query in ("?connect=true", "?&connect=true", "?&&connect=true&&key=k&", "?connect=true&key=a+b%2B"):
                if target != "deployment.web" and "&&" in query:
                    continue
                path = "%s/proxy/namespaces/default/targets/%s%s" % (OPERATOR, target, query)
                r = a.upgrade(path, api.session_headers(api.random_id(), x))
                if target.startswith("pod.") and not isinstance(r, WebSocket):
                    check("%s: %s is refused properly" % (cluster, target), r.is_status(r.status), repr(r))
                    continue
                if is_open("%s: connect to %s%s" % (cluster, target, query), r):
                    r.close()
        r = a.upgrade(api.connect_path(proxy=False), api.session_headers(api.random_id(), x))
        if is_open("%s: connect without /proxy" % cluster, r):
            r.close()
        r = a.get(OPERATOR + "/namespaces/default/targets/deploy.web")
        check("%s: E7 by deploy." % cluster, r.status == 200 and r.json()["spec"]["target"]["deployment"] == "web", repr(r))
        r = a.get("/api/v1/namespaces/default/pods?&labelSelector=app%3Dweb&limit=500")
        check("%s: a query that begins with &" % cluster, r.status == 200 and r.json()["items"], repr(r))
        r = a.get("/api/v1/namespaces/default/pods?labelSelector=app%21%3Dmirrord%2C%21operator.metalbear.co%2Fowner")
        check("%s: and with escapes" % cluster, r.status == 200 and r.json()["items"], repr(r))
        twice = [("x-client-der", x), ("baggage", "k=v"), ("baggage", "k=v")]
        _, ws = open_socket(a, x, more=twice)
        if is_open("%s: x-client-der and baggage twice on a connect" % cluster, ws):
            ws.close()
        h = [("x-client-der", x), ("x-client-der", x)] + api.CLI_HEADERS
        ws = a.upgrade(OPERATOR + "/mirrordoperators/operator/ping", h)
        if is_open("%s: and on the diagnostic ping" % cluster, ws):
            ws.ping()
            ws.close()
        # all parameters in the header, the query in the URL ignored
        packed = base64.b64encode(b"connect=true&on_concurrent_steal=abort&key=packed").decode()
        sid, ws = open_socket(a, x, more=[("x-mirrord-connect-params", packed)], query="connect=true")
        if is_open("%s: parameters in the header" % cluster, ws):
            one = [s for s in operator(a)["status"]["sessions"] if s["id"] == "%X" % sid]
            check("%s: they count" % cluster, one and one[0]["key"] == "packed", one)
            ws.close()
        # a protobuf descriptor makes them large (§10): read, then refused for what it asks
        decoding = json.dumps({"q": {"descriptor_base64": "A" * 180000, "message_type": "a.B"}}, separators=(",", ":"))
        big = base64.b64encode(("connect=true&key=k&kafka_protobuf_decoding=" + quote(decoding)).encode()).decode()
        _, r = open_socket(a, x, more=[("x-mirrord-connect-params", big)], query="connect=true")
        ok = not isinstance(r, WebSocket) and r.is_status(422) and "kafka_protobuf_decoding" in r.json()["message"]
        check("%s: %d KB of header are read" % (cluster, len(big) >> 10), ok, repr(r))
        for what, v in (("no base64", "%%%"), ("empty", ""), ("no UTF-8", base64.b64encode(b"key=\xff").decode())):
            _, r = open_socket(a, x, more=[("x-mirrord-connect-params", v)], query="connect=true")
            ok = not isinstance(r, WebSocket) and r.is_status(400)
            if isinstance(r, WebSocket):
                r.close()
            check("%s: a parameter header that is %s is 400" % (cluster, what), ok or v == "", repr(r))


# ---- 12, 15: two connections


def trap_12_connection_1_ends():
    for cluster in BOTH:
        for how in ("Close", "EOF"):
            a = at(cluster)
            x = api.client_der(a)
            sid, one = open_socket(a, x)
            one.version()
            check("%s: the environment is there" % cluster, one.env().get("CLUSTER") == "east")
            _, two = open_socket(a, x, sid)
            two.ping()
            two.version()
            two.send(b"\x0b")
            two.send(bytes.fromhex("02000050"))
            check("%s: connection 2 has its port" % cluster, two.want("TcpSteal", 20)[1:] == ("SubscribeResult", 80))
            if how == "Close":
                one.close()
            else:
                one.drop()
            check("%s: connection 1 ends by %s, connection 2 goes on" % (cluster, how), two.ping() is not None)
            one = [s for s in operator(a)["status"]["sessions"] if s["id"] == "%X" % sid]
            check("%s: its port is still listed" % cluster, one and [p["port"] for p in one[0]["locked_ports"]] == [80], one)
            two.drop()
            _, three = open_socket(a, x, sid)
            if is_open("%s: without any socket the session waits for its client" % cluster, three):
                three.version()
                check("%s: and works" % cluster, three.env().get("CLUSTER") == "east")
                three.close()
            r = delete(a, x, str(sid))
            check("%s: it is one session all the time" % cluster, r.is_status(200), repr(r))


def trap_15_decided_on_connection_1():
    for cluster in BOTH:
        a = at(cluster)
        x = api.client_der(a)
        sid, one = open_socket(a, x)
        one.version()
        one.env()
        for n in range(8):
            _, two = open_socket(a, x, sid)
            if is_open("%s: connection %d of the session is taken too" % (cluster, n + 2), two):
                two.ping()
                two.close()
        check("%s: connection 1 has not noticed" % cluster, one.ping() is not None)
        one.close()
        # what can't be granted is said before the first upgrade: refusals() of
        # trap 6 are first connections all


TESTS = [v for k, v in sorted(globals().items()) if k.startswith("trap_") and "away" not in k] + [trap_13_a_cluster_that_is_away]


def main():
    for t in TESTS:
        if len(sys.argv) > 1 and t.__name__ not in sys.argv[1:]:
            continue
        print("# " + t.__name__, flush=True)
        try:
            t()
        except Exception as e:  # pylint: disable=broad-except
            import traceback

            traceback.print_exc()
            check(t.__name__, False, "%s: %s" % (type(e).__name__, e))
    return 1 if R.failed else 0


if __name__ == "__main__":
    sys.exit(main())
