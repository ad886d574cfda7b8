"""The real daemon's keys: kubeconfig, token, revoke, E3/E4, remote credentials.

The command line client and the control socket are used as an administrator
uses them; HTTPS is asked as any client would.
"""
import base64
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess

import daemon as d

CLIENT = os.path.abspath(os.path.join(d.BIN, "tributary"))
HERE = os.path.dirname(os.path.abspath(__file__))
CSR = os.path.join(HERE, "..", "unit", "secrets", "data", "regular.csr")
CREDENTIALS = "/apis/operator.metalbear.co/v1/mirrordclusteroperatorusercredentials"
ALLOW = d.MULTI + """
allow: [{groups: [dev], namespaces: "*", targets: "*", verbs: "*"}]
"""


class Admin:
    """tributary on the daemon's host."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.socket = os.path.join(daemon.dir, "run", daemon.instance, "control.sock")

    def run(self, *args, user=None):
        who = {"user": user, "group": user, "extra_groups": []} if user else {}
        return subprocess.run([CLIENT, *args, "--control", self.socket], capture_output=True, text=True, timeout=60,
                              check=False, **who)

    def file(self, name):
        return os.path.join(self.daemon.dir, name)

    def kubeconfig(self, user, *args):
        """(certificate, key, CA) as files, from the kubeconfig."""
        path = self.file(f"{user}.kubeconfig")
        out = self.run("kubeconfig", user, "--group", "dev", "--out", path, *args)
        if out.returncode != 0:
            raise RuntimeError(out.stderr)
        text = open(path).read()
        files = {}
        for key in ("client-certificate-data", "client-key-data", "certificate-authority-data"):
            data = re.search(rf"{key}: (\S+)", text).group(1)
            files[key] = self.file(f"{user}.{key}")
            with open(files[key], "wb") as f:
                f.write(base64.b64decode(data))
        return files

    def raw(self, data):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.socket)
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                out = b""
                while True:
                    more = s.recv(65536)
                    if not more:
                        return out
                    out += more
            except (ConnectionError, BrokenPipeError):
                return b""


def connect(daemon, files, cert=True):
    ctx = ssl.create_default_context(cafile=files["certificate-authority-data"])
    if cert:
        ctx.load_cert_chain(files["client-certificate-data"], files["client-key-data"])
    return http.client.HTTPSConnection("127.0.0.1", daemon.port, context=ctx, timeout=20)


def get(conn, path="/apis", method="GET", body=None, headers=None):
    try:
        conn.request(method, path, body, headers or {})
        r = conn.getresponse()
        return r.status, r.read().decode()
    except (OSError, http.client.HTTPException) as e:
        return 0, str(e)


def fresh(daemon, files, **more):
    conn = connect(daemon, files, more.pop("cert", True))
    try:
        return get(conn, **more)
    finally:
        conn.close()


def login(c, daemon, admin):
    ada = admin.kubeconfig("ada")
    c.ok("the kubeconfig is for its user's eyes", os.stat(admin.file("ada.kubeconfig")).st_mode & 0o777 == 0o600)
    c.ok("its certificate lets in", fresh(daemon, ada)[0] == 200)
    status, text = fresh(daemon, ada, cert=False)
    c.ok("nobody gets 401 and what to do", status == 401 and "tributary kubeconfig" in text, text)
    kubectl = subprocess.run(["sh", "-c", "command -v kubectl"], capture_output=True, check=False).returncode == 0
    if kubectl:
        out = subprocess.run(["kubectl", "--kubeconfig", admin.file("ada.kubeconfig"), "api-versions"],
                             capture_output=True, text=True, timeout=60, check=False)
        c.ok("kubectl takes it", out.returncode == 0, out.stderr)
    out = admin.run("kubeconfig", "ada", "--ttl", "soon")
    c.ok("a wrong time is refused with a sentence", out.returncode == 2 and "30d" in out.stderr, out.stderr)
    out = admin.run("kubeconfig", "a b")
    c.ok("a wrong name is refused with a sentence", out.returncode != 0 and "without blanks" in out.stderr, out.stderr)
    out = admin.run("kubeconfig", "eve", user=12345)
    c.ok("another user of the host may not", out.returncode == 77, out.stderr)
    return ada


def client_certificate(c, daemon, ada):
    """E3: what the CLI asks for is signed; NULLs in; never a way into TLS."""
    csr = open(CSR, newline="").read()
    body = {"apiVersion": "operator.metalbear.co/v1", "kind": "MirrordClusterOperatorUserCredential",
            "metadata": {"generateName": "mirrord-operator-regular-cred-"}, "spec": {"csr": csr, "kind": "regular"}}
    status, text = fresh(daemon, ada, path=CREDENTIALS + "?", method="POST", body=json.dumps(body))
    c.ok("E3 answers 201", status == 201, text)
    pem = json.loads(text)["status"]["certificate"]
    der = ssl.PEM_cert_to_DER_cert(pem.replace("\r\n", "\n"))
    c.ok("three AlgorithmIdentifiers have NULL", der.count(bytes.fromhex("300706032b65700500")) == 3)
    c.ok("its PEM has CRLF", "-----\r\n" in pem)
    body["spec"]["csr"] = csr.replace("A", "B")
    status, text = fresh(daemon, ada, path=CREDENTIALS, method="POST", body=json.dumps(body))
    c.ok("a broken request is 422", status == 422 and "not usable" in text, text)
    body["spec"] = {"csr": csr, "kind": "root"}
    status, text = fresh(daemon, ada, path=CREDENTIALS, method="POST", body=json.dumps(body))
    c.ok("an unknown kind is 422", status == 422, text)
    status, text = fresh(daemon, ada, path="/apis/operator.metalbear.co/v1/mirrordoperators/operator/certificate?",
                         method="POST", body=csr)
    c.ok("E4 answers a JSON string", status == 200 and "BEGIN CERTIFICATE" in json.loads(text), text)


def revocation(c, daemon, admin, ada):
    bob = admin.kubeconfig("bob")
    live, other = connect(daemon, ada), connect(daemon, bob)
    c.ok("a live connection", get(live)[0] == 200 and get(other)[0] == 200)
    out = admin.run("revoke", "ada")
    c.ok("revoke says how many", out.returncode == 0 and "revoked: " in out.stderr, out.stderr)
    c.ok("the live connection ends", d.until(lambda: get(live)[0] in (0, 401)))
    c.ok("a new one gets 401", fresh(daemon, ada)[0] == 401)
    c.ok("another user's goes on", get(other)[0] == 200)
    live.close()
    other.close()
    out = admin.run("revoke", "ada")
    c.ok("twice is told", out.returncode != 0 and "no valid certificate" in out.stderr, out.stderr)
    listing = admin.run("revoke", "--list").stdout
    c.ok("the list shows both", re.search(r"ada .* revoked", listing) and re.search(r"bob .* valid", listing), listing)
    serial = re.search(r"^(\S+) +login +bob", listing, re.M).group(1)
    c.ok("by serial", admin.run("revoke", "--serial", serial).returncode == 0 and fresh(daemon, bob)[0] == 401)


def tokens(c, daemon, admin, files):
    out = admin.run("token", "robot", "--group", "dev", "--ttl", "1h")
    token = out.stdout.strip()
    header = {"authorization": "Bearer " + token}
    c.ok("the token lets in", fresh(daemon, files, cert=False, headers=header)[0] == 200, out.stderr)
    state = open(os.path.join(daemon.dir, "state", daemon.instance, "keys", "state.json")).read()
    c.ok("only its hash is kept", token not in state and re.search(r"sha256 of the token: (\w+)", out.stderr).group(1) in state)
    c.ok("a wrong one gets 401", fresh(daemon, files, cert=False, headers={"authorization": "Bearer x"})[0] == 401)
    c.ok("it is revoked", admin.run("revoke", "robot").returncode == 0 and
         fresh(daemon, files, cert=False, headers=header)[0] == 401)


def abuse(c, daemon, admin):
    pid = daemon.workers()["secrets 0"]
    c.ok("no JSON", b'"ok":false' in admin.raw(b"hello\n"))
    c.ok("a line without end ends the connection", b'"ok":true' not in admin.raw(b"x" * 300000))
    c.ok("binary", b'"ok":false' in admin.raw(bytes(range(256)) + b"\n"))
    c.ok("many lines", admin.raw(b'{"do":"tokens"}\n' * 200).count(b"\n") == 200)
    held = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for s in held:
        s.connect(admin.socket)
    for s in held:
        s.close()
    c.ok("the worker lives through it", d.until(lambda: admin.run("revoke", "--list").returncode == 0) and
         daemon.workers().get("secrets 0") == pid)


def remote(c, daemon, admin):
    """Credentials for clusters: seen when they come, and when they change."""
    where = os.path.join(daemon.dir, "state", daemon.instance, "credentials", "east")
    c.ok("missing ones are told", daemon.logged("cluster=east", "kubeconfig NAME --credentials"))
    mark = daemon.mark()
    c.ok("written", admin.run("kubeconfig", "hub", "--credentials", where).returncode == 0)
    c.ok("taken", d.until(lambda: daemon.logged("cluster east", "credential taken kind=mtls", after=mark)))
    c.ok("by no other worker", not daemon.logged("cluster west", "credential taken", after=mark))
    for name in ("tls.crt", "tls.key"):
        st = os.stat(os.path.join(where, name))
        c.ok(f"{name} is not for everybody", st.st_mode & 0o007 == 0 and st.st_uid == 0, oct(st.st_mode))
    mark = daemon.mark()
    with open(os.path.join(where, "tls.key"), "w") as f:
        f.write("broken")
    c.ok("a broken one is told", d.until(lambda: daemon.logged("credential of cluster east", after=mark)))
    mark = daemon.mark()
    admin.run("kubeconfig", "hub", "--credentials", where)
    c.ok("and a new one taken", d.until(lambda: daemon.logged("cluster east", "credential taken", after=mark)))


def restart(c, daemon, admin, ada):
    """Killed and restarted, the worker knows everything again."""
    eve = admin.kubeconfig("eve")
    pid = daemon.workers()["secrets 0"]
    os.kill(pid, signal.SIGKILL)
    c.ok("started again", d.until(lambda: daemon.workers().get("secrets 0", pid) != pid))
    c.ok("the same CA", d.until(lambda: fresh(daemon, eve)[0] == 200))
    c.ok("still revoked", fresh(daemon, ada)[0] == 401)
    c.ok("still signs", d.until(lambda: admin.run("kubeconfig", "zoe").returncode == 0))
    keys = os.path.join(daemon.dir, "state", daemon.instance, "keys")
    for name in os.listdir(keys):
        c.ok(f"{name} is the worker's alone", os.stat(os.path.join(keys, name)).st_mode & 0o077 == 0)


def main():
    c = d.Checks("daemon_credentials")
    d.need_root(c.name)
    daemon = d.Daemon(more=ALLOW).start()
    try:
        daemon.wait_workers(7)
        admin = Admin(daemon)
        d.until(lambda: daemon.logged("serving certificate signed"))
        ada = login(c, daemon, admin)
        client_certificate(c, daemon, ada)
        revocation(c, daemon, admin, ada)
        tokens(c, daemon, admin, ada)
        abuse(c, daemon, admin)
        remote(c, daemon, admin)
        restart(c, daemon, admin, ada)
    finally:
        daemon.stop(keep_log=c.failed > 0)
    c.finish()


main()
