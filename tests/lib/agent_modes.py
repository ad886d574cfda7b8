"""agent_modes: each way of starting the agent, what it gives up, how it ends."""
import errno
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import pm
from agent_target import Standalone, Stock, Target, agent_path, free_port, wait_for
from pm import Err, st, uv

NAME = 'agent_modes'
pm.need_root(NAME)
T = pm.Report(NAME)
ID = 'c0ffee' * 10 + 'abcd'
SANITIZED = b'__asan_init' in open(agent_path(), 'rb').read()
READY = re.compile(r'agent ready( - version (\S+))?$')


def run(*args, env=None, seconds=10, **kw):
    e = {'PATH': os.environ['PATH']}
    e.update(env or {})
    p = subprocess.run([agent_path()] + list(args), env=e, capture_output=True, text=True, timeout=seconds, **kw)
    return p.returncode, p.stdout, p.stderr


def gone(c, seconds=5):
    try:
        c.next(seconds)
    except pm.Gone:
        return True
    except TimeoutError:
        pass
    return False


def command_line():
    rows = [
        (['--nonsense'], 1), (['-l'], 1), (['-l', '70000'], 1), (['-l', 'x'], 1), (['-t', '-1'], 1), (['-t'], 1),
        (['targeted'], 1), (['targeted', '--container-id', ''], 1), (['targeted', '-l', '1'], 1), (['sideways'], 1),
        (['ephemeral', 'targeted'], 1), (['--control-fd', '3'], 1), (['--target-pidfd', '3'], 1),
        (['--control-fd', '3', '--target-pidfd', '4', 'ephemeral'], 1), (['--container-id', 'x'], 1),
        (['targeted', '--container-id', 'short'], 1), (['targeted', '--container-id', '../../../../etc/passwd'], 1),
        (['targeted', '--container-id', 'f' * 64], 1), (['--pod-ips', '1.2.3'], 1),
        (['--version'], 0), (['--help'], 0), (['--print-sandbox'], 0),
    ]
    for args, want in rows:
        rc, out, err = run(*(['-l', str(free_port()), '-t', '1'] if want and args[0] == 'targeted' else []), *args)
        T.check('exit %d for %r' % (want, args), rc == want and (want == 0 or len(err) > 20), (rc, err))
    _, out, _ = run('--print-sandbox')
    lines = [l for l in out.splitlines() if l.startswith('  ')]
    T.check('the sandbox table has a reason in every row',
            len(lines) > 60 and all(re.match(r'  \S.*\s{2,}\S', l) or len(l.split()) > 2 for l in lines))
    T.check('no exec, no open, no ptrace in it',
            not re.search(r'^  (execve|execveat|open|openat|ptrace|setns|mount|kill)\b', out, re.M) or 'sanitizer' in out)


def first_client():
    t = time.monotonic()
    rc, out, _ = run('-l', str(free_port()), '-t', '1', 'targetless')
    T.check('nobody comes: exit 1 after -t', rc == 1 and 0.9 < time.monotonic() - t < 3, rc)
    T.check('ready line', READY.match(out.strip()), out)
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    s.listen(1)
    rc, _, err = run('-l', str(s.getsockname()[1]), '-t', '1')
    T.check('port in use: exit 1 and a sentence', rc == 1 and 'port' in err, err)
    s.close()


def refusals(c):
    """Spec B.11, in targetless mode."""
    rows = [('mirror', b'\1\0' + uv(80)), ('steal', b'\2\0\0' + uv(80)), ('pause', b'\x09\1'), ('vpn', b'\x0c\0')]
    for what, data in rows:
        c.send(data)
        m = c.want('Close')
        T.check(what + ' is refused by a Close with a sentence', len(m[1]) > 30 and m[1].endswith('.'), m)
        T.equal('and the stream stays', c.ping(), ('Pong',))
    c.send(b'\x0e' + uv(1 << 100))
    c.send(b'\x11\0' + st('key'))
    c.send(b'\x11\1' + st('key'))
    T.equal('OperatorPong and ShareLink are not answered', c.ping(), ('Pong',))


def versions(c, agent):
    T.equal('lower version', c.version('1.3.0'), '1.3.0')
    T.equal('higher version', c.version('2.0.0'), '1.29.0')
    T.equal('pre-release', c.version('1.29.0-rc.1'), '1.29.0-rc.1')
    T.equal('again', c.version('1.29.0'), '1.29.0')
    d = agent.client()
    d.send(b'\x0a' + st('1.' + '2' * 200 + '.0'))
    T.check('an absurd version ends the stream', gone(d))


def logs(agent):
    """LogMessages only after ReadyForLogs; info as warning for old clients."""
    c = agent.client()
    c.ping()
    port = pm.addr_ip('127.0.0.1', 7006)
    r = c.connect(port)
    if isinstance(r, Err):  # targetless: nothing listens there
        return
    c.owrite(r[0], b'x')
    c.oread(r[0])
    c.ping()
    T.check('no log before ReadyForLogs', not [m for m in c.pending if m[0] == 'Log'])
    c.send(b'\x0b')
    r = c.connect(port)
    c.owrite(r[0], b'x')
    c.oread(r[0])
    T.check('then logs come', c.want('Log')[2] == 0)


def targetless():
    a = Stock(0, 'targetless', (), env={'FOO': 'own', 'MIRRORD_AGENT_IDLE_TTL': '0', 'AGENT_OPERATOR_CERT_ENV': ''})
    try:
        T.check('targetless: ready', READY.match(a.ready()))
        c = a.client()
        T.equal('fresh stream: ping first', c.ping(), ('Pong',))
        e = c.env()
        T.check('own environment', e.get('FOO') == 'own' and not any(k.startswith('MIRRORD_AGENT') for k in e), e)
        T.equal('own root', c.slurp('/etc/hostname'), open('/etc/hostname', 'rb').read())
        refusals(c)
        versions(c, a)
        c.send(b'\0')
        T.check('Close ends the stream', gone(c))
        T.equal('last client gone, no idle time: exit 0', a.wait(), 0)
    finally:
        a.kill()


def idle():
    a = Stock(0, 'targetless', (), env={'MIRRORD_AGENT_IDLE_TTL': '2'})
    try:
        a.ready()
        a.client().close()
        time.sleep(0.7)
        T.check('idle time: it waits', a.proc.poll() is None)
        c = a.client()
        c.ping()
        time.sleep(1.6)
        T.check('a new client stops the clock', a.proc.poll() is None and c.ping() == ('Pong',))
        t = time.monotonic()
        c.close()
        T.check('then it ends', a.wait() == 0 and 1.5 < time.monotonic() - t < 4)
    finally:
        a.kill()


def in_target(c, what, target):
    T.equal(what + ': file', c.slurp('/etc/hostname'), b'target-host\n')
    T.equal(what + ': environment', c.env((), ('CLUSTER',)), {'CLUSTER': 'east'})
    T.equal(what + ': name of the hosts file', c.lookup('db', 0), [('db.', '10.77.0.9')])
    T.equal(what + ': name server', c.lookup('a.test', 0), [('a.test.', '10.1.1.1')])
    for kind, addr in (('tcp', pm.addr_ip('127.0.0.1', 7001)), ('tcp', pm.addr_path('/run/echo.sock')),
                       ('tcp', pm.addr_abstract(b'hidden')), ('udp', pm.addr_ip('127.0.0.1', 7101)),
                       ('seq', pm.addr_path('/run/seq.sock'))):
        r = c.connect(addr, kind)
        if T.check('%s: outgoing %s %r' % (what, kind, addr[:2]), isinstance(r, tuple), r):
            c.owrite(r[0], b'hi', kind)
            T.equal(what + ': echo', c.oread(r[0], kind), b'hi')


def gave_up(a, what, target, pid):
    s = {k: a.status(k, pid) for k in ('NoNewPrivs', 'Seccomp', 'CapEff', 'CapPrm', 'CapBnd', 'CapInh', 'CapAmb')}
    want = sum(1 << n for n in (0, 1, 2, 3, 4, 12))  # CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID NET_ADMIN
    T.equal(what + ': filter', (s['NoNewPrivs'], s['Seccomp']), ('1', '2'))
    T.equal(what + ': capabilities', [int(s[k], 16) for k in ('CapEff', 'CapPrm', 'CapBnd', 'CapInh', 'CapAmb')],
            [want, want, want, 0, 0])
    gid = int(a.status('Gid', pid))
    T.check(what + ': a group of its own', 3000 <= gid < 65535, gid)
    limits = open('/proc/%d/limits' % pid, encoding='ascii').read()
    T.check(what + ': no core files', re.search(r'Max core file size\s+0\s+0', limits))
    # not dumpable: its /proc entries belong to root's root, not to its group
    T.check(what + ': not dumpable', os.stat('/proc/%d/environ' % pid).st_gid == 0)
    T.equal(what + ": in the target's network", os.readlink('/proc/%d/ns/net' % pid), os.readlink('/proc/%d/ns/net' % target.pid))


def child_of(pid, name):
    for p in os.listdir('/proc'):
        if p.isdigit():
            try:
                if open('/proc/%s/comm' % p).read().strip() == name[:15] and '-l %d' % pid in open(
                        '/proc/%s/cmdline' % p).read().replace('\0', ' '):
                    return int(p)
            except OSError:
                pass
    return 0


def ephemeral(target):
    a = target.stock('ephemeral', where='pod', env={'POD_SPEC': 'yes', 'CLUSTER': 'overwritten', 'RUST_LOG': 'info',
                                                         'MIRRORD_AGENT_DNS_ATTEMPTS': '1', 'MIRRORD_AGENT_DNS_TIMEOUT': '1'})
    T.check('ephemeral: ready', READY.match(a.ready()), a.log())
    c = a.client()
    in_target(c, 'ephemeral', target)
    e = c.env()
    T.check("ephemeral: pod spec's variables below the target's", e.get('POD_SPEC') == 'yes' and 'RUST_LOG' not in e)
    t = time.monotonic()
    T.equal('a silent name server', c.lookup('drop.test.', 0), Err('DnsLookup', 4, None))
    T.check("the variables win over resolv.conf", 0.9 < time.monotonic() - t < 1.8, time.monotonic() - t)
    pid = child_of(a.port, 'tributary-agent')
    gave_up(a, 'ephemeral', target, pid)
    logs(a)
    os.kill(pid, signal.SIGTERM)
    T.check('ephemeral: SIGTERM is a plain end of stream', gone(c))
    T.equal('ephemeral: exit 0', a.wait(), 0)


def targeted(target):
    a = target.stock('targeted', '--container-id', ID, '--container-runtime', 'containerd', '--mesh', 'none')
    T.check('targeted: ready', READY.match(a.ready()), a.log())
    c = a.client()
    in_target(c, 'targeted', target)
    gave_up(a, 'targeted', target, a.real_pid())
    T.check("targeted: nothing of the agent's environment", 'PATH' not in c.env() and 'MIRRORD' not in str(c.env()))
    c.close()
    T.equal('targeted: exit after the last client', a.wait(), 0)
    a = target.stock('targeted', '-c', ID, '-r', 'docker')
    a.ready()
    c = a.client()
    c.ping()
    a.proc.kill()
    T.check('targeted: SIGKILL ends the streams', gone(c))


def standalone(target):
    t = time.monotonic()
    a = target.standalone('--pod-ips', '10.0.0.1,fd00::1', '--external-ip-fix')
    m = a.hear()
    t = time.monotonic() - t  # spec C.4: the stock agent needs 250 to 500 ms and 18 processes
    T.check('standalone: ready soon, without other processes', t < 0.25 and os.path.exists('/proc') and not open(
        '/proc/%d/task/%d/children' % (a.proc.pid, a.proc.pid)).read(), t)
    T.check('standalone: small', int(a.status('VmRSS')) < 16000 or SANITIZED, a.status('VmRSS'))
    T.check('standalone: ready with the version', m and m[0] == 'R' and re.match(r'\d+\.\d+\.\d+$', m[1]), (m, a.log()))
    c = a.client()
    in_target(c, 'standalone', target)
    gave_up(a, 'standalone', target, a.proc.pid)
    logs(a)
    c.close()
    time.sleep(0.3)
    T.check('standalone: stays without clients', a.proc.poll() is None)
    d = a.client()
    T.equal('standalone: next client', d.ping(), ('Pong',))
    fds = lambda: len(os.listdir('/proc/%d/fd' % a.proc.pid))
    n = fds()
    for _ in range(50):
        x = a.client()
        x.ping()
        x.close()
    T.check('standalone: descriptors come back', wait_for(lambda: fds() <= n), (n, fds()))
    a.ctl.close()
    T.check('standalone: end of control ends the streams', gone(d))
    T.equal('standalone: exit 0', a.wait(), 0)
    early = Standalone(target.pid, ())
    target.agents.append(early)
    c = early.client()
    T.equal('a client sent before ready is served', c.ping(), ('Pong',))
    early.proc.send_signal(signal.SIGTERM)
    T.equal('SIGTERM: exit 0', early.wait(), 0)


def bad_supervisors(target):
    def packet(a, data, fds):
        socket.send_fds(a.ctl, [data], fds) if fds else a.ctl.send(data)
    u, v = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    r, w = os.pipe()
    for what, data, fds in (('no descriptor', b'C', []), ('unknown type', b'?', []), ('two descriptors', b'C', [r, w]),
                            ('not a stream', b'C', [u.fileno()]), ('not a socket', b'C', [r])):
        a = target.standalone()
        a.hear()
        packet(a, data, fds)
        T.equal('bad packet (%s): a clean end' % what, a.wait(), 0)
    for what, args, kw in (('a pidfd that is none', ['--control-fd', '{c}', '--target-pidfd', '{c}'], {}),
                           ('a control that is none', ['--control-fd', '{p}', '--target-pidfd', '{p}'], {})):
        c, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pidfd = os.pidfd_open(target.pid)
        args = [x.format(c=theirs.fileno(), p=pidfd) for x in args]
        p = subprocess.run([agent_path()] + args, pass_fds=(theirs.fileno(), pidfd), capture_output=True, timeout=10)
        theirs.close()
        c.settimeout(3)
        said = c.recv(1024)
        T.check('%s: exit 1' % what, p.returncode == 1 and p.stderr)
        T.check('%s: told where it can be' % what, said == b'' if 'control' in what else said[:1] == b'F', said)
        os.close(pidfd)


def target_ends():
    with Target() as t:
        a = t.standalone()
        a.hear()
        c = a.client()
        c.ping()
        os.kill(t.pid, signal.SIGKILL)
        T.check('the target ends: clients are cut', gone(c))
        m = a.hear()
        T.check('and the supervisor is told', m and m[0] == 'E' and m[1].endswith('.'), m)
        T.equal('exit 0', a.wait(), 0)
        b = Standalone(os.getpid(), ())  # a process that lives: this one
        t.agents.append(b)
        T.check('the own network namespace needs no entering', (b.hear() or 'F')[0] == 'R', b.log())


def make_cert(d, name, *more):
    key, crt = os.path.join(d, name + '.key'), os.path.join(d, name + '.crt')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days',
                    '2', '-subj', '/CN=' + name, '-keyout', key, '-out', crt] + list(more), check=True, capture_output=True)
    return crt, key


def tls_client(a, crt, key, seconds=5):
    s = pm.connect_tcp(a.port)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(crt, key)
    seen = []
    ctx.sni_callback = lambda sock, name, _: seen.append(name)
    s.settimeout(seconds)
    return pm.Client(ctx.wrap_socket(s, server_side=True)), seen


def tls():
    with tempfile.TemporaryDirectory() as d:
        san = ['-addext', 'subjectAltName=DNS:operator.test,IP:10.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE']
        crt, key = make_cert(d, 'good', *san)
        other = make_cert(d, 'other', *san)
        a = Stock(0, 'targetless', (), env={'AGENT_OPERATOR_CERT_ENV': open(crt).read(), 'MIRRORD_AGENT_IDLE_TTL': '20'})
        try:
            T.check('TLS: ready', READY.match(a.ready()))
            c, seen = tls_client(a, crt, key)
            T.equal('TLS: the one who dialled is the server', c.ping(), ('Pong',))
            T.equal('TLS: SNI is the first name', seen, ['operator.test'])
            T.equal('TLS: version', c.s.version(), 'TLSv1.3')
            c.version()
            T.equal('TLS: requests', c.slurp('/etc/hostname'), open('/etc/hostname', 'rb').read())
            big = os.urandom(3_000_000)
            with tempfile.NamedTemporaryFile() as f:
                f.write(big)
                f.flush()
                fd = c.open(f.name)
                got = b''
                while len(got) < len(big):
                    got += c.read(fd, 1 << 20)
                T.check('TLS: 3 MB', got == big)
            for what, pair in (('another certificate', other),):
                try:
                    x, _ = tls_client(a, *pair)
                    x.send(b'\7')
                    T.check('TLS: %s is refused' % what, gone(x))
                except (ssl.SSLError, OSError):
                    T.check('TLS: %s is refused' % what, True)
            p = pm.Client(pm.connect_tcp(a.port))
            p.send(b'\7' * 100)
            try:
                m = p.s.recv(5)
                T.check('TLS: plain bytes get no answer but a hello', m[:1] in (b'\x16', b'\x15', b''))
            except OSError:
                T.check('TLS: plain bytes get no answer', True)
            T.equal('TLS: a failed handshake hurts nobody', c.ping(), ('Pong',))
        finally:
            a.kill()
        for what, more, want in (('an IP address first', ['-addext', 'subjectAltName=IP:10.0.0.1,DNS:x.test'], []),
                                 ('no name', [], []),
                                 ('a CA flag', ['-addext', 'subjectAltName=DNS:ca.test', '-addext',
                                                'basicConstraints=critical,CA:TRUE'], ['ca.test'])):
            crt, key = make_cert(d, what.replace(' ', '-'), *more)
            a = Stock(0, 'targetless', (), env={'AGENT_OPERATOR_CERT_ENV': 'text\n' + open(crt).read() + open(other[0]).read()})
            try:
                a.ready()
                c, seen = tls_client(a, crt, key)
                T.equal('TLS: a certificate with %s' % what, (c.ping(), [s for s in seen if s]), (('Pong',), want))
            finally:
                a.kill()
    rc, _, err = run('-l', str(free_port()), '-t', '1', env={'AGENT_OPERATOR_CERT_ENV': 'nonsense'})
    T.check('TLS: no certificate: exit 1 and a sentence', rc == 1 and 'certificate' in err, err)


def main():
    command_line()
    first_client()
    targetless()
    idle()
    tls()
    with Target(mark=ID) as target:
        ephemeral(target)
        targeted(target)
        standalone(target)
        bad_supervisors(target)
    target_ends()


try:
    main()
finally:
    code = T.end()
sys.exit(code)
