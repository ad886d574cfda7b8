"""trust: who may what, tried from outside (design §6 and §8, issue "Done when" 7).

Everything comes by environment from tests/e2e/trust.sh: HUB and MEMBER are
URLs, FILES the directory of credentials (CLUSTER-USER), STATE that of the
daemons' keys, TRIBUTARY the client, CONTROL_hub and CONTROL_east the control
sockets.
"""
import atexit
import base64
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

import api
from api import Api, CHILDREN, Credential, OPERATOR, WebSocket

ENV = os.environ
R = api.Results()
check = R.check
WORK = tempfile.mkdtemp(prefix="trust-", dir=ENV["FILES"])
atexit.register(shutil.rmtree, WORK, ignore_errors=True)


def cred(cluster, user):
    return Credential.load(os.path.join(ENV["FILES"], "%s-%s" % (cluster, user)))


def at(cluster, user):
    return Api(ENV["HUB"] if cluster == "hub" else ENV["MEMBER"], cred(cluster, user))


def tributary(*args, cluster="hub"):
    return subprocess.run(
        (ENV["TRIBUTARY"],) + args + ("--control", ENV["CONTROL_" + cluster]), capture_output=True, check=True, text=True
    )


def refused(r, code, reason=None):
    return not isinstance(r, WebSocket) and r.is_status(code, reason)


def until(fn, secs=10):
    """Waits for a condition; its last value."""
    end = time.monotonic() + secs
    while True:
        v = fn()
        if v or time.monotonic() > end:
            return v
        time.sleep(0.05)


# ---- every path


def table():
    """Method and path of every row of the frontend's table, and more."""
    with open(os.path.join(ENV["LAB_SRC"], "workers/frontend/api.c")) as f:
        text = f.read()
    word = {"GET": "GET", "POST": "POST", "DEL": "DELETE"}
    base = {"OP ": OPERATOR[1:] + "/", "CHILD ": CHILDREN[1:], "CHILD": CHILDREN[1:], "": ""}
    rows = []
    for m, b, p in re.findall(r'\{(GET|POST|DEL), (OP |CHILD )?(?:"([^"]*)")', text):
        rows.append((word[m], "/" + base[b] + p.replace("{ns}", "default").replace("**", "a/b").replace("*", "web")))
    for m in re.findall(r"\{(GET|POST|DEL), CHILD,", text):
        rows.append((word[m], CHILDREN))
    assert len(rows) > 40, rows
    unknown = ["/", "/healthz", "/health/", "/healthx", "/HEALTH", "/metrics", "/openapi/v2", "/openapi/v3", "/livez", "/readyz"]
    unknown += ["/api/v2", "/apis/none", OPERATOR + "/none", OPERATOR + "/links", "/health/../version", "/%68ealth/x"]
    unknown += [OPERATOR + "/mirrordoperators/operator/", OPERATOR + "//sessions", "/.well-known/x"]
    return [r for r in rows if r[1] != "/health"] + [("GET", p) for p in unknown]


def every_path_is_401():
    for cluster in ("hub", "east"):
        a = Api(at(cluster, "dev").url, cred(cluster, "dev").nobody())
        r = a.get("/health")
        check("%s: /health is for everybody" % cluster, r.status == 200 and r.body == b"ok\n", repr(r))
        rows = table()
        bad = [(m, p, x) for m, p in rows for x in [a.request(m, p)] if not refused(x, 401, "Unauthorized")]
        check("%s: %d paths without a credential are 401" % (cluster, len(rows)), not bad, bad[:3])
        gets = sorted({p for m, p in rows if m == "GET"})
        head = api.session_headers(1, None)
        bad = [(p, x) for p in gets for x in [a.upgrade(p, head)] if not refused(x, 401, "Unauthorized")]
        check("%s: %d upgrades without a credential are 401" % (cluster, len(gets)), not bad, bad[:3])
        for m in ("PUT", "PATCH", "OPTIONS", "TRACE", "FOO", "POST"):
            x = a.request(m, OPERATOR + "/sessions", body=b"{}" if m in ("PUT", "POST") else b"")
            check("%s: %s without a credential is 401" % (cluster, m), refused(x, 401), repr(x))
        x = a.request("HEAD", OPERATOR + "/sessions")
        check("%s: HEAD without a credential is 401" % cluster, x.status == 401 and not x.body, repr(x))
        x = a.request("POST", "/health")
        check("%s: POST /health without a credential is 401" % cluster, refused(x, 401), repr(x))


def claims_are_no_proof():
    a = Api(ENV["HUB"], cred("hub", "dev").nobody())
    xder = api.client_der(at("hub", "dev"))
    path = OPERATOR + "/mirrordoperators/operator"
    token = os.urandom(32).hex()
    for what, h in (
        ("an unknown token", [("authorization", "Bearer trib_" + token)]),
        ("an empty token", [("authorization", "Bearer ")]),
        ("the hash in place of the token", [("authorization", "Bearer " + "0" * 64)]),
        ("a very long token", [("authorization", "Bearer " + "a" * 30000)]),
        ("basic authentication", [("authorization", "Basic ZGV2OmRldg==")]),
        ("x-client-der alone", [("x-client-der", xder)]),
        ("X-Remote-User", [("x-remote-user", "dev"), ("x-remote-group", "system:masters")]),
        ("impersonation", [("impersonate-user", "dev")]),
    ):
        r = a.get(path, h)
        check("%s is 401" % what, refused(r, 401, "Unauthorized"), repr(r))


# ---- certificates that are not login certificates


def make_cert(name, ca_cert, ca_key, subject, ext, days=None):
    """A P-256 certificate signed by what we were given."""
    f = lambda e: os.path.join(WORK, name + e)
    api.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f(".key"))
    api.openssl("req", "-new", "-key", f(".key"), "-subj", subject, "-out", f(".csr"))
    with open(f(".cnf"), "w") as c:
        c.write(
            "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=%s\ndatabase=%s\nserial=%s\ndefault_md=%s\npolicy=p\nunique_subject=no\n"
            "x509_extensions=e\n[p]\ncommonName=supplied\norganizationName=optional\n[e]\n%s\n"
            % (WORK, f(".db"), f(".srl"), "default" if days == "eddsa" else "sha256", ext)
        )
    open(f(".db"), "w").close()
    with open(f(".srl"), "w") as s:
        s.write(os.urandom(8).hex() + "\n")
    start, end = ("20200101000000Z", "20200102000000Z") if days == "past" else ("20200101000000Z", "20401231000000Z")
    if days == "future":
        start = "20401230000000Z"
    args = ["ca", "-batch", "-config", f(".cnf"), "-in", f(".csr"), "-out", f(".crt"), "-notext", "-startdate", start]
    args += ["-enddate", end, "-keyfile", ca_key]
    args += ["-cert", ca_cert] if ca_cert else ["-selfsign"]
    api.openssl(*args)
    return Credential(cred("hub", "dev").ca, f(".crt"), f(".key"))


def key_of(cluster, ca):
    d = os.path.join(ENV["STATE"], cluster, "keys")
    return os.path.join(d, ca + ".crt"), os.path.join(d, ca + ".key")


def foreign_certificates_are_401():
    client = "extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature\n"
    login, credential = key_of("hub", "login-ca"), key_of("hub", "credential-ca")
    own = os.path.join(WORK, "own")
    api.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", own + ".key")
    api.openssl("req", "-x509", "-key", own + ".key", "-subj", "/CN=login CA", "-days", "10", "-out", own + ".crt")
    dev = cred("hub", "dev")
    subject = "/CN=dev"
    good = make_cert("good", *login, subject, client)
    r = Api(ENV["HUB"], good).get("/version")
    check("control: a certificate of the login CA made here is let in", r.status == 200, repr(r))
    for what, c in (
        ("a certificate of the credential CA", make_cert("credential", *credential, subject, client, "eddsa")),
        ("a certificate of an unknown CA", make_cert("unknown", own + ".crt", own + ".key", subject, client)),
        ("a certificate signed by a user's certificate", make_cert("leaf", dev.cert, dev.key, subject, client)),
        ("an expired login certificate", make_cert("past", *login, subject, client, "past")),
        ("a login certificate of the future", make_cert("future", *login, subject, client, "future")),
        (
            "a serving certificate",
            make_cert("serving", *login, subject, client.replace("clientAuth", "serverAuth")),
        ),
        ("a login certificate of another cluster", Credential(dev.ca, cred("east", "dev").cert, cred("east", "dev").key)),
        ("a login certificate without a name", make_cert("noname", *login, "/CN= ", client)),
    ):
        try:
            r = Api(ENV["HUB"], c).get(OPERATOR + "/mirrordoperators/operator")
            ok = refused(r, 401, "Unauthorized")
            if "without a name" in what:
                ok = refused(r, 401) or refused(r, 403)
        except (ssl.SSLError, ConnectionError, EOFError) as e:
            r, ok = e, True  # TLS ended it: also nobody got in
        check("%s is refused" % what, ok, repr(r))


def no_tls_resumption():
    w = api.Wire(ENV["HUB"], cred("hub", "dev"))
    w.s.sendall(api.format_request(w.host, "GET", "/version", [], b""))
    api.read_head(w, time.monotonic() + 10)
    s = w.s.session
    check("TLS sessions are not resumed", s is None or not s.has_ticket or s.ticket_lifetime_hint == 0, s)
    w.close()


# ---- x-client-der


def expired_der(xder):
    """The same certificate with a validity in the past, signed anew by the CA."""
    blob = base64.b64decode(xder)
    _, at_, end = api.der_read(blob)
    _, _, tbs_end = api.der_read(blob, at_)
    tbs = blob[at_:tbs_end]
    times = re.findall(rb"\x17\x0d\d{12}Z\x17\x0d\d{12}Z", tbs)
    assert len(times) == 1, tbs.hex()
    tbs = tbs.replace(times[0], b"\x17\x0d200101000000Z\x17\x0d200102000000Z")
    sig = api.sign_raw(key_of("hub", "credential-ca")[1], tbs)
    rest = api.der(0x30, api.OID_ED25519, api.NULL) + api.der(0x03, b"\0" + sig)
    return base64.b64encode(api.der(0x30, tbs, rest)).decode()


def client_der_is_checked():
    a = at("hub", "dev")
    xder = api.client_der(a)
    raw = base64.b64decode(xder)
    broken = lambda i: base64.b64encode(raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :]).decode()
    pem_der = lambda p: base64.b64encode(api.unpem(open(p).read())).decode()
    east = api.client_der(at("east", "dev"))
    for what, value in (
        ("no x-client-der", None),
        ("an empty x-client-der", ""),
        ("x-client-der that is no base64", "%%%"),
        ("x-client-der that is no certificate", base64.b64encode(b"hello").decode()),
        ("x-client-der cut short", base64.b64encode(raw[:100]).decode()),
        ("x-client-der with a byte more", base64.b64encode(raw + b"\0").decode()),
        ("x-client-der with another signature", broken(len(raw) - 1)),
        ("x-client-der with another name", broken(raw.index(b"vm"))),
        ("x-client-der of another cluster", east),
        ("x-client-der that has expired", expired_der(xder)),
        ("x-client-der that is the login certificate", pem_der(a.cred.cert)),
        ("x-client-der that is the credential CA", pem_der(key_of("hub", "credential-ca")[0])),
        ("a large x-client-der", "A" * 60000),
    ):
        r = a.upgrade(api.connect_path(), api.session_headers(api.random_id(), value))
        check("%s is 401" % what, refused(r, 401, "Unauthorized"), repr(r))
    two = [("x-client-der", api.client_der(a))]
    r = a.upgrade(api.connect_path(), api.session_headers(api.random_id(), xder, two))
    check("two different x-client-der are 401", refused(r, 401), repr(r))
    r = a.upgrade(api.connect_path(), api.session_headers(api.random_id(), xder, [("X-Client-Der", xder)]))
    check("the same x-client-der twice is one", isinstance(r, WebSocket), repr(r))
    if isinstance(r, WebSocket):
        r.close()


# ---- whose session it is


def open_session(a, xder, sid=None, **kw):
    sid = sid or api.random_id()
    ws = a.upgrade(api.connect_path(**kw), api.session_headers(sid, xder))
    if not isinstance(ws, WebSocket):
        raise RuntimeError("no session: %r" % ws)
    ws.version()
    return sid, ws


def spellings(sid):
    return [str(sid), "%X" % sid, "%x" % sid, "mc-%x" % sid, "mc-copy-%x" % sid, "MC-%x" % sid]


def names(a):
    return [i["metadata"]["name"] for i in a.get(OPERATOR + "/sessions").json()["items"]]


def sessions_belong_to_their_user():
    dev, dev2, admin = at("hub", "dev"), at("hub", "dev2"), at("hub", "admin")
    d1, d2, other_key = api.client_der(dev), api.client_der(dev2), api.client_der(dev)
    sid, ws = open_session(dev, d1)
    path = api.connect_path()

    def all_refused(when):
        for what, a, x in (
            ("another user", dev2, d2),
            ("another user with a copy of the owner's x-client-der", dev2, d1),
            ("the same user with another key", dev, other_key),
            ("an administrator", admin, api.client_der(admin)),
        ):
            r = a.upgrade(path, api.session_headers(sid, x))
            check("%s: %s can't join: 403" % (when, what), refused(r, 403, "Forbidden"), repr(r))
        for name in spellings(sid):
            for what, a, x in (("another user", dev2, d2), ("a copied x-client-der", dev2, d1)):
                r = a.request("DELETE", "%s/sessions/%s?" % (OPERATOR, name), [("x-client-der", x)], b"{}")
                want = 404 if name.startswith("MC") else 403
                check("%s: %s can't kill it as %s: %d" % (when, what, name, want), refused(r, want), repr(r))
        r = dev2.request("DELETE", OPERATOR + "/namespaces/default/sessions/%X" % sid, [("x-client-der", d2)], b"{}")
        check("%s: nor by its namespace" % when, refused(r, 403), repr(r))
        for p in ("sessions?", "sessions/inactive?", "namespaces/default/sessions?"):
            r = dev2.request("DELETE", "%s/%s" % (OPERATOR, p), [("x-client-der", d2)])
            check("%s: DELETE %s of another user leaves it" % (when, p), r.status == 200 and "%X" % sid in names(dev), repr(r))

    all_refused("live")
    check("the session has not noticed", ws.ping() is not None)
    ws.drop()
    all_refused("without a socket")
    r = dev.upgrade(path, api.session_headers(sid, d1))
    check("its owner resumes it", isinstance(r, WebSocket), repr(r))
    r.version()
    x = dev.request("DELETE", "%s/sessions/%d?" % (OPERATOR, sid), [], b"{}")
    check("its owner without his certificate can't kill it: 403", refused(x, 403), repr(x))
    x = admin.request("DELETE", "%s/sessions/%d?" % (OPERATOR, sid), [], b"{}")
    check("an administrator kills it", x.is_status(200), repr(x))
    got, eof = r.ended()
    check("its client is told: Close", eof and any(g[0] == "Close" for g in got), got)
    r = dev.upgrade(path, api.session_headers(sid, d1))
    check("afterwards it is 410 ReconnectNotPossible", refused(r, 410, "ReconnectNotPossible"), repr(r))
    # nothing of it may be left with the id for the next one either
    r = dev2.upgrade(path, api.session_headers(sid, d2))
    check("for anybody else too it is no session to join", not isinstance(r, WebSocket), repr(r))


# ---- the member


def child(name="mc-1a2b3c4d5e6f7081-east", parent="mc-1a2b3c4d5e6f7081", user="dev"):
    return json.dumps(
        {
            "apiVersion": "mirrord.metalbear.co/v1alpha",
            "kind": "MirrordClusterSession",
            "metadata": {"name": name, "annotations": {"tributary.dev/groups": "system:masters"}},
            "spec": {
                "multiClusterParentName": parent,
                "namespace": "default",
                "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "container": "app"},
                "owner": {"userId": "x", "username": "dev", "hostname": "h", "k8sUsername": user},
            },
        }
    ).encode()


CLUSTER_PARAMS = (
    "is_default_cluster=true",
    "is_default_cluster=false",
    "sqs_output_queues=%7B%22a%22%3A%22b%22%7D",
    "rmq_output_queues=%7B%22a%22%3A%22b%22%7D",
    "output_tmp_resources=%5B%5D",
)


def only_primaries_make_children():
    hub, other = at("east", "hub"), at("east", "other-hub")
    one = CHILDREN + "/mc-1a2b3c4d5e6f7081-east"
    for user in ("dev", "admin"):
        a = at("east", user)
        for m, p, b in (
            ("POST", CHILDREN, child()),
            ("GET", CHILDREN, b""),
            ("GET", CHILDREN + "?watch=true", b""),
            ("GET", one, b""),
            ("DELETE", one, b""),
        ):
            r = a.request(m, p, [("content-type", "application/json")] if b else [], b)
            check("member: %s of %s by %s is 403" % (m, p[len(CHILDREN) :] or "children", user), refused(r, 403), repr(r))
    r = hub.request("POST", CHILDREN, [("content-type", "application/json")], child())
    check("member: its primary makes a child", r.status == 201, repr(r))
    ready = lambda: hub.get(one).json().get("status", {}).get("phase") == "Ready"
    check("member: the child gets ready", until(ready), repr(hub.get(one)))
    sid = 0x1A2B3C4D5E6F7081
    tag = [("x-mirrord-mc-session", "mc-1a2b3c4d5e6f7081-east")]
    for user in ("dev", "admin"):
        a = at("east", user)
        x = api.client_der(a)
        r = a.upgrade(api.connect_path(), api.session_headers(sid, x, tag))
        check("member: %s can't join a child by its header: 403" % user, refused(r, 403, "Forbidden"), repr(r))
        r = a.upgrade(api.connect_path(), api.session_headers(api.random_id(), x, tag))
        check("member: %s can't send that header at all: 403" % user, refused(r, 403), repr(r))
        if user == "dev":
            for name in spellings(sid)[:-1] + ["mc-1a2b3c4d5e6f7081-east"]:
                r = a.request("DELETE", "%s/sessions/%s?" % (OPERATOR, name), [("x-client-der", x)], b"{}")
                check("member: dev can't kill a child as %s" % name, refused(r, 403) or refused(r, 404), repr(r))
            # the id is not taken here: it is a session of his own
            r = a.upgrade(api.connect_path(), api.session_headers(sid, x))
            if isinstance(r, WebSocket):
                r.drop()
            check("member: the child's id alone does not lead to the child", ready(), repr(hub.get(one)))
    for q in CLUSTER_PARAMS:
        for cluster in ("east", "hub"):
            a = at(cluster, "dev")
            x = api.client_der(a)
            query = "connect=true&" + q
            r = a.upgrade(api.connect_path(query=query), api.session_headers(api.random_id(), x))
            check("%s: a user's %s is 403" % (cluster, q), refused(r, 403), repr(r))
            packed = [("x-mirrord-connect-params", base64.b64encode(query.encode()).decode())]
            r = a.upgrade(api.connect_path(query="connect=true"), api.session_headers(api.random_id(), x, packed))
            check("%s: also in the header" % cluster, refused(r, 403), repr(r))
    r = hub.request("POST", CHILDREN, [("content-type", "application/json")], child("mc-77-east", "mc-77"))
    check("member: a second child", r.status == 201, repr(r))
    r = other.get(CHILDREN + "/mc-77-east")
    check("member: another primary does not see it", refused(r, 404), repr(r))
    r = other.request("DELETE", CHILDREN + "/mc-77-east")
    check("member: nor can it delete it", refused(r, 404) and hub.get(CHILDREN + "/mc-77-east").status == 200, repr(r))
    r = other.request("POST", CHILDREN, [("content-type", "application/json")], child("mc-77-east", "mc-77"))
    check("member: nor take its name", refused(r, 409), repr(r))
    check("member: nor is it in its list", not other.get(CHILDREN).json()["items"])
    tag = [("x-mirrord-mc-session", "mc-77-east")]
    r = other.upgrade(api.connect_path(), api.session_headers(0x77, None, tag))
    check("member: nor can it join it: 403", refused(r, 403), repr(r))
    r = hub.upgrade(api.connect_path(), api.session_headers(0x77, None))
    check("member: a primary without a child's name is 403", refused(r, 403), repr(r))
    r = hub.upgrade(api.connect_path(), api.session_headers(0x77, None, [("x-mirrord-mc-session", "mc-none")]))
    check("member: a child that was not made is 404", refused(r, 404), repr(r))
    r = hub.upgrade(api.connect_path(query="connect=true&is_default_cluster=true"), api.session_headers(0x77, None, tag))
    check("member: its primary joins it", isinstance(r, WebSocket), repr(r))
    if isinstance(r, WebSocket):
        r.drop()
    for n in ("mc-77-east", "mc-1a2b3c4d5e6f7081-east"):
        hub.request("DELETE", CHILDREN + "/" + n)
    r = at("hub", "dev").request("POST", CHILDREN, [("content-type", "application/json")], child())
    check("hub: a user makes no child here either: 403", refused(r, 403), repr(r))
    r = Api(ENV["HUB"], cred("hub", "dev")).request("POST", CHILDREN, [], child())
    check("hub: a child without a content type is 403 too", refused(r, 403), repr(r))


# ---- rules


def rules_deny_by_default():
    a = at("hub", "mallory")  # a valid certificate, no rule
    bad = []
    for m, p in table():
        r = a.request(m, p)
        if p == "/health":
            continue
        if r.status not in (403, 404, 405, 400) or not refused(r, r.status):
            bad.append((m, p, r))
    check("a user without a rule gets nothing", not bad, bad[:3])
    x = api.client_der(at("hub", "dev"))
    for ns, target in (("default", "deployment.web"), ("other", "deployment.web"), ("default", "pod.web-1")):
        r = a.upgrade(api.connect_path(target, ns), api.session_headers(api.random_id(), x))
        check("a user without a rule can't use %s in %s: 403" % (target, ns), refused(r, 403), repr(r))
    r = a.request("POST", OPERATOR + "/mirrordclusteroperatorusercredentials", [], b"{}")
    check("a user without a rule gets no client certificate: 403", refused(r, 403), repr(r))

    reader = at("hub", "reader")  # get and list in default
    xr = api.client_der(at("hub", "dev"))
    check("reader: lists sessions in default", reader.get(OPERATOR + "/namespaces/default/sessions").status == 200)
    r = reader.get(OPERATOR + "/namespaces/other/sessions")
    check("reader: not in another namespace: 403", refused(r, 403), repr(r))
    r = reader.get("/apis/apps/v1/namespaces/other/deployments")
    check("reader: nor the workloads there: 403", refused(r, 403), repr(r))
    for p in ("/apis/apps/v1/deployments", OPERATOR + "/sessions", "/api/v1/pods", OPERATOR + "/targets", "/api/v1/namespaces"):
        r = reader.get(p)
        seen = {i["metadata"].get("namespace") for i in r.json().get("items", [])} if r.status == 200 else set()
        if p.endswith("/namespaces"):
            seen = {i["metadata"]["name"] for i in r.json().get("items", [])} if r.status == 200 else set()
        check("reader: %s shows nothing of another namespace" % p, "other" not in seen, repr(r))
    r = reader.upgrade(api.connect_path(), api.session_headers(api.random_id(), xr))
    check("reader: may not connect: 403", refused(r, 403), repr(r))
    r = reader.upgrade(api.connect_path(proxy=False), api.session_headers(api.random_id(), xr))
    check("reader: nor by the path without /proxy: 403", refused(r, 403), repr(r))
    r = reader.request("DELETE", OPERATOR + "/namespaces/default/sessions?")
    check("reader: may not delete: 403", refused(r, 403), repr(r))
    r = reader.request("DELETE", OPERATOR + "/sessions/12?", [], b"{}")
    check("reader: nor one by its id", refused(r, 403) or refused(r, 404), repr(r))

    narrow = at("hub", "narrow")  # proxy of deployment/other in default
    for t in ("deployment.web", "deploy.web", "deployment.web.container.app", "deployment.other.container.x.container.y/"):
        r = narrow.upgrade(api.connect_path(t), api.session_headers(api.random_id(), xr))
        check("narrow: %s is not his target" % t, not isinstance(r, WebSocket) and r.status in (400, 403, 404), repr(r))
    r = narrow.upgrade(api.connect_path("deployment%2Eweb"), api.session_headers(api.random_id(), xr))
    check("narrow: nor when its dot is written %2E: 403", refused(r, 403), repr(r))
    for t in ("deployment.other", "deploy.other"):
        r = narrow.upgrade(api.connect_path(t), api.session_headers(api.random_id(), xr))
        check("narrow: %s passes the rule and is not found" % t, refused(r, 404), repr(r))
    r = narrow.get(OPERATOR + "/namespaces/default/sessions")
    check("narrow: may not list: 403", refused(r, 403), repr(r))

    team = at("hub", "mate")  # by his group alone
    xt = api.client_der(team)
    r = team.upgrade(api.connect_path(), api.session_headers(api.random_id(), xt))
    check("team: a rule for a group counts", isinstance(r, WebSocket), repr(r))
    if isinstance(r, WebSocket):
        r.close()
    r = team.upgrade(api.connect_path(ns="other"), api.session_headers(api.random_id(), xt))
    check("team: in its namespace alone: 403", refused(r, 403), repr(r))
    sid, ws = open_session(at("hub", "dev"), xr)
    r = team.request("DELETE", "%s/sessions/%d?" % (OPERATOR, sid), [("x-client-der", xt)], b"{}")
    check("team: the verb * does not make an administrator: 403", refused(r, 403), repr(r))
    ws.close()


# ---- tokens, revocation


def token_of(user, cluster="hub", *more):
    return tributary("token", user, *more, cluster=cluster).stdout.strip()


def bearer_tokens():
    ca = cred("hub", "dev").ca
    token = token_of("dev")
    a = Api(ENV["HUB"], Credential(ca, token=token))
    check("a bearer token is let in", a.get("/version").status == 200)
    for what, h in (
        ("cut short", token[:-1]),
        ("with a letter more", token + "a"),
        ("in other letters", token.upper()),
    ):
        r = Api(ENV["HUB"], a.cred.nobody()).get("/version", [("authorization", "Bearer " + h)])
        check("the token %s is 401" % what, refused(r, 401), repr(r))
    r = Api(ENV["MEMBER"], Credential(cred("east", "dev").ca, token=token)).get("/version")
    check("the token of another cluster is 401", refused(r, 401), repr(r))
    found = subprocess.run(["grep", "-rl", token, ENV["STATE"], ENV["LOGS"]], capture_output=True, text=True, check=False).stdout
    check("the token itself is stored nowhere", not found, found)
    return a


def revocation_is_at_once():
    """Everything that lives by what was revoked ends; the rest goes on."""
    lives = {}
    dev2 = at("hub", "dev2")
    token_api = Api(ENV["HUB"], Credential(dev2.cred.ca, token=token_of("dev2")))
    bystander = open_session(at("hub", "dev"), api.client_der(at("hub", "dev")))[1]
    for what, a in (("certificate", dev2), ("token", token_api)):
        x = api.client_der(a)
        sid, ws = open_session(a, x)
        ping = a.upgrade(OPERATOR + "/mirrordoperators/operator/ping", api.CLI_HEADERS)
        ping.ping()
        # a request that will not end by itself
        held = api.Wire(a.url, a.cred)
        held.s.sendall(api.format_request(held.host, "GET", "/version", a._auth([]), b""))
        api.read_head(held, time.monotonic() + 10)
        lives[what] = (a, x, sid, ws, ping, held)
    tributary("revoke", "dev2")
    start = time.monotonic()
    for what, (a, x, sid, ws, ping, held) in lives.items():
        got, eof = ws.ended(5)
        check("revoked %s: its session's socket ends, told why" % what, eof and any(g[0] == "Close" for g in got), got)
        got, eof = ping.ended(5)
        check("revoked %s: its ping socket ends" % what, eof, got)
        gone = not held.fill(time.monotonic() + 5) if not held.buf else True
        while held.buf and not gone:
            gone = not held.fill(time.monotonic() + 5)
        r = a.get("/version")
        check("revoked %s: 401" % what, refused(r, 401), repr(r))
        r = a.upgrade(api.connect_path(), api.session_headers(sid, x))
        check("revoked %s: resuming its session is 401" % what, refused(r, 401), repr(r))
    check("that took less than 3 s", time.monotonic() - start < 3, time.monotonic() - start)
    check("another user's session goes on", bystander.ping() is not None)
    bystander.close()


def a_revoked_kept_connection_ends():
    """An idle connection is gone at once, not at its next request."""
    a = at("hub", "late")
    w = api.Wire(a.url, a.cred)
    w.s.sendall(api.format_request(w.host, "GET", "/version", [], b""))
    deadline = time.monotonic() + 10
    r = api.Reply(*api.read_head(w, deadline), b"")
    api.read_body(w, r, deadline)
    check("a connection is kept alive", r.status == 200, r.status)
    tributary("revoke", "late")
    try:
        ended = not w.fill(time.monotonic() + 5)
    except TimeoutError:
        ended = False
    check("it ends at once when its user is revoked", ended)


def one_certificate_of_two():
    """revoke --serial ends one certificate, the user's other one stays."""
    a, b = at("hub", "two-1"), at("hub", "two-2")
    key = api.Ed25519()
    x = api.client_der(a, key)
    sid, first = open_session(a, x)
    second = b.upgrade(api.connect_path(), api.session_headers(sid, x))
    check("one session, two certificates of one user", isinstance(second, WebSocket), repr(second))
    second.version()
    serial = api.openssl("x509", "-in", a.cred.cert, "-noout", "-serial").decode().strip().split("=")[1]
    tributary("revoke", "--serial", serial.lower().lstrip("0"))
    got, eof = first.ended(5)
    check("the socket of the revoked one ends", eof and any(g[0] == "Close" for g in got), got)
    check("the socket of the other one lives", second.ping() is not None)
    check("the other certificate still works", b.get("/version").status == 200)
    check("the revoked one does not: 401", refused(a.get("/version"), 401))
    second.close()


def a_revoked_primary_ends():
    """The member ends the streams of a primary it was told to revoke."""
    dev = at("hub", "dev")
    x = api.client_der(dev)
    _, ws = open_session(dev, x)
    tributary("revoke", "hub", cluster="east")
    r = at("east", "hub").get(CHILDREN)
    check("a revoked primary is 401", refused(r, 401), repr(r))
    got, eof = ws.ended(40)
    check("a session whose default it reached ends", eof, got)


TESTS = (
    every_path_is_401,
    claims_are_no_proof,
    foreign_certificates_are_401,
    no_tls_resumption,
    client_der_is_checked,
    sessions_belong_to_their_user,
    only_primaries_make_children,
    rules_deny_by_default,
    bearer_tokens,
    revocation_is_at_once,
    a_revoked_kept_connection_ends,
    one_certificate_of_two,
    a_revoked_primary_ends,
)


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
