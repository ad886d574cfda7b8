"""A target for agent tests: a process with network, mount and PID namespaces
and a root directory of its own, in which small servers run; and the agent
beside it, started in each of its ways. Everything is the test's own and ends
with it.
"""
import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import pm

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x20000000, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def libc(name, *args):
    if getattr(LIBC, name)(*args) < 0:
        n = ctypes.get_errno()
        raise OSError(n, os.strerror(n), name)


def mount(src, dst, fs, flags=0):
    libc('mount', src.encode(), dst.encode(), fs.encode(), flags, None)


def agent_path():
    here = os.path.dirname(os.path.abspath(__file__))
    for d in (os.environ.get('BIN'), os.environ.get('BUILDDIR'), '.', os.path.join(here, '../..')):
        if d and os.access(os.path.join(d, 'tributary-agent'), os.X_OK):
            return os.path.abspath(os.path.join(d, 'tributary-agent'))
    raise SystemExit('tributary-agent is not built; set BIN to its directory')


# ---- what runs inside the target

def each(listener, serve):
    while True:
        s, _ = listener.accept()
        threading.Thread(target=serve, args=(s,), daemon=True).start()


def tcp(port, serve, rcvbuf=None, addr='127.0.0.1'):
    s = socket.socket(socket.AF_INET6 if ':' in addr else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.bind((addr, port))
    s.listen(64)
    threading.Thread(target=each, args=(s, serve), daemon=True).start()


def echo(s):
    while True:
        d = s.recv(65536)
        if not d:
            break
        s.sendall(d)
    s.shutdown(socket.SHUT_WR)


def late_sink(s):
    """Starts to read late, then says how much came and its checksum."""
    import zlib
    time.sleep(2)
    crc = n = 0
    while True:
        d = s.recv(65536)
        if not d:
            break
        crc = zlib.crc32(d, crc)
        n += len(d)
    s.sendall(b'%d %d' % (n, crc))
    s.close()


def never(s):
    KEPT.append(s)


KEPT = []


def greeter(s):
    """Speaks first and ends its side; then says what it got."""
    s.sendall(b'hello')
    s.shutdown(socket.SHUT_WR)
    got = b''
    while True:
        d = s.recv(65536)
        if not d:
            break
        got += d
    open('/data/greeter', 'wb').write(got)
    s.close()


def source(s):
    """Sends for ever."""
    chunk = bytes(65536)
    try:
        while True:
            s.sendall(chunk)
    except OSError:
        pass


def resetter(s):
    s.recv(1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()


def udp_echo(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('127.0.0.1', port))

    def run():
        while True:
            d, a = s.recvfrom(65536)
            s.sendto(d, a)
    threading.Thread(target=run, daemon=True).start()


def unix(name, serve, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(name)
    s.listen(16)
    threading.Thread(target=each, args=(s, serve), daemon=True).start()


def seq_echo(s):
    while True:
        d = s.recv(65536)
        if not d:
            break
        s.send(d)
    s.shutdown(socket.SHUT_WR)


# A name server: name -> list of records; a name's own way to misbehave.
ZONE = {
    ('a.test', 1): ['10.1.1.1'],
    ('both.test', 1): ['10.2.2.2', '10.2.2.3'],
    ('both.test', 28): ['fd00::2'],
    ('six.test', 28): ['fd00::6'],
    ('cn.test', 5): 'a.test',
    ('far.test', 5): 'both.test',
    ('web.shop.svc.test', 1): ['10.3.3.3'],
    ('under_score.test', 1): ['10.4.4.4'],
    ('slow.test', 1): ['10.5.5.5'],
    ('big.test', 1): ['10.6.%d.%d' % (i // 250, i % 250) for i in range(60)],
    ('1.1.1.10.in-addr.arpa', 12): 'a.test',
    ('6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa', 12): 'six.test',
}


def dns_name(s):
    return b''.join(bytes([len(p)]) + p.encode() for p in s.split('.')) + b'\0'


def dns_rr(owner, kind, value):
    data = (socket.inet_pton(socket.AF_INET if kind == 1 else socket.AF_INET6, value)
            if kind in (1, 28) else dns_name(value))
    return owner + struct.pack('>HHIH', kind, 1, 60, len(data)) + data


def dns_answer(q, is_tcp):
    qid = q[:2]
    at, labels = 12, []
    while q[at]:
        labels.append(q[at + 1:at + 1 + q[at]].decode())
        at += 1 + q[at]
    question = q[12:at + 5]
    kind = struct.unpack('>H', q[at + 1:at + 3])[0]
    name = '.'.join(labels).lower()
    if name == 'drop.test':
        return None
    if name == 'slow.test':
        time.sleep(0.4)
    if name == 'garbage.test':
        return qid + b'\x81\x80\0\1\xff\xff\0\0\0\0' + question + b'\xc0\xff'
    if name == 'fail.test':
        return qid + b'\x81\x82\0\1\0\0\0\0\0\0' + question
    if name == 'liar.test':  # somebody else's id first, then the truth
        return [b'\0\0' + b'\x81\x80\0\1\0\1\0\0\0\0' + question + dns_rr(b'\xc0\x0c', 1, '6.6.6.6'),
                qid + b'\x81\x80\0\1\0\1\0\0\0\0' + question + dns_rr(b'\xc0\x0c', 1, '10.9.9.9')]
    if name == 'big.test' and not is_tcp:
        return qid + b'\x83\x80\0\1\0\0\0\0\0\0' + question
    records = b''
    count = 0
    target = ZONE.get((name, 5))
    owner = b'\xc0\x0c'
    if target and kind != 5:
        records += dns_rr(owner, 5, target)
        count = 1
        if name != 'far.test':  # far.test leaves the target to be asked for
            for v in ZONE.get((target, kind), []):
                records += dns_rr(dns_name(target), kind, v)
                count += 1
    else:
        v = ZONE.get((name, kind), [])
        for one in ([v] if isinstance(v, str) else v):
            records += dns_rr(owner, kind, one)
            count += 1
    known = any(n == name for n, _ in ZONE)
    flags = b'\x81\x80' if known else b'\x81\x83'
    return qid + flags + struct.pack('>HHHH', 1, count, 0, 0) + question + records


def dns_server():
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(('127.0.0.53', 53))

    def one(q, a):
        r = dns_answer(q, False)
        for p in ([r] if isinstance(r, bytes) else r or []):
            u.sendto(p, a)

    def run():
        while True:
            q, a = u.recvfrom(4096)
            threading.Thread(target=one, args=(q, a), daemon=True).start()

    def serve(s):
        n = struct.unpack('>H', s.recv(2))[0]
        r = dns_answer(s.recv(n), True)
        s.sendall(struct.pack('>H', len(r)) + r)
        s.close()
    threading.Thread(target=run, daemon=True).start()
    tcp(53, serve, addr='127.0.0.53')


def serve_target():
    tcp(7001, echo)
    tcp(7001, echo, addr='::1')
    tcp(7002, late_sink, rcvbuf=65536)
    tcp(7003, never, rcvbuf=4096)
    tcp(7004, greeter)
    tcp(7005, source)
    tcp(7006, resetter)
    udp_echo(7101)
    os.makedirs('/run', exist_ok=True)
    unix('/run/echo.sock', echo)
    unix('\0hidden', echo)
    unix('/run/seq.sock', seq_echo, socket.SOCK_SEQPACKET)
    unix('\0seq', seq_echo, socket.SOCK_SEQPACKET)
    full = socket.socket(socket.AF_UNIX)
    full.bind('/run/full.sock')
    full.listen(0)
    KEPT.append(full)
    filler = socket.socket(socket.AF_UNIX)
    filler.connect('/run/full.sock')
    KEPT.append(filler)
    dns_server()


def target_main(root, mark):
    """In a process of its own: becomes the target."""
    libc('unshare', CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET)
    mount('none', '/', 'none', 0x44000)  # MS_REC | MS_PRIVATE
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        libc('prctl', 1, signal.SIGKILL, 0, 0, 0)
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
        os.makedirs(root + '/proc', exist_ok=True)
        mount('proc', root + '/proc', 'proc')
        if mark:
            libc('unshare', CLONE_NEWNS)  # only this process shall be seen with it
            os.makedirs(root + '/mnt/' + mark)
            mount('tmpfs', root + '/mnt/' + mark, 'tmpfs')
        os.chroot(root)
        os.chdir('/')
        serve_target()
        os.write(w, b'+')
        while True:
            signal.pause()
    os.close(w)
    ok = os.read(r, 1)
    print(json.dumps({'pid': pid if ok else 0}), flush=True)
    os.waitpid(pid, 0)


# ---- used by the tests

def build_root(root):
    for d in ('etc', 'data', 'data/dir', 'tmp', 'run', 'deep/er'):
        os.makedirs(os.path.join(root, d))

    def put(path, text):
        with open(os.path.join(root, path), 'w', encoding='utf-8') as f:
            f.write(text)
    put('etc/hostname', 'target-host\n')
    put('etc/hosts', '127.0.0.1 localhost\n10.77.0.9 Db.Internal db alias # note\nfd77::9 db\nbad line\n')
    put('etc/resolv.conf', 'nameserver 127.0.0.53\nsearch shop.svc.test test\noptions ndots:2 timeout:1 attempts:2\n')
    put('data/file', 'hello, world\n')
    put('data/dir/inner', 'inner\n')
    for name, to in (('abs', '/etc/hostname'), ('rel', 'abs'), ('up', '../../../../etc/hostname'), ('loop', 'loop'),
                     ('dangling', '/nowhere'), ('dirlink', '/deep'), ('l2', '/data/dirlink')):
        os.symlink(to, os.path.join(root, 'data', name))
    os.symlink('/etc', os.path.join(root, 'linkdir'))
    os.symlink('/linkdir', os.path.join(root, 'linkdir2'))
    put('deep/er/leaf', 'leaf\n')
    open(os.path.join(root.encode(), b'data', b'bad\xff'), 'w').close()


class Target:
    def __init__(self, env=None, mark=None):
        self.root = tempfile.mkdtemp(prefix='tribagent.')
        self.agents = []
        build_root(self.root)
        e = {'CLUSTER': 'east', 'FOO': 'foo', 'FOBAR': 'bar', 'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/x',
             'EMPTY': '', 'EQ': 'a=b', 'RUST_LOG': 'debug'}
        e.update(env or {})
        self.proc = subprocess.Popen([sys.executable, '-u', os.path.abspath(__file__), self.root, mark or ''],
                                     stdout=subprocess.PIPE, env=e)
        line = self.proc.stdout.readline()
        self.pid = json.loads(line)['pid'] if line else 0
        if not self.pid:
            self.close()
            raise SystemExit('the target did not start')

    def path(self, p):
        return os.path.join(self.root, p.lstrip('/'))

    def close(self):
        for a in self.agents:
            a.kill()
        if getattr(self, 'pid', 0):
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.proc.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def standalone(self, *more, **kw):
        a = Standalone(self.pid, more, **kw)
        self.agents.append(a)
        return a

    def stock(self, mode, *more, **kw):
        a = Stock(self.pid, mode, more, **kw)
        self.agents.append(a)
        return a


def wait_for(cond, seconds=5):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if cond():
            return True
        time.sleep(0.02)
    return False


class Agent:
    proc = None
    in_pod = None

    def kill(self):
        """By SIGTERM if that will do: only then are leaks looked for."""
        if self.proc.poll() is None:
            try:
                os.kill(self.real_pid(), signal.SIGTERM)
                self.proc.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                self.proc.kill()
        self.proc.wait()
        if 'Sanitizer' in self.log() or 'runtime error:' in self.log():
            print(self.log())  # ./check makes it a failure

    def wait(self, seconds=8):
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def real_pid(self):
        """The agent itself, where it was started through other programs."""
        if self.in_pod:
            with open('/proc/%d/task/%d/children' % (self.proc.pid, self.proc.pid), encoding='ascii') as f:
                return int((f.read().split() or [self.proc.pid])[0])
        return self.proc.pid

    def status(self, key, pid=None):
        for line in open('/proc/%d/status' % (pid or self.real_pid()), encoding='ascii'):
            if line.startswith(key + ':'):
                return line.split(':')[1].split()[0]
        return None

    def threads(self):
        return int(self.status('Threads'))

    def log(self):
        self.logfile.seek(0)
        return self.logfile.read().decode(errors='replace')


class Standalone(Agent):
    """As tributaryd's supervisor starts it."""

    def __init__(self, pid, more, env=None):
        self.ctl, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ctl.settimeout(8)
        pidfd = os.pidfd_open(pid)
        self.logfile = tempfile.TemporaryFile()
        args = [agent_path(), '--control-fd', str(theirs.fileno()), '--target-pidfd', str(pidfd), '--name', 'test',
                '--log-fd', str(self.logfile.fileno())]
        self.proc = subprocess.Popen(args + list(more), pass_fds=(theirs.fileno(), pidfd, self.logfile.fileno()),
                                     env=env or {'RUST_LOG': 'info', 'SECRET': 'not-the-targets'})
        theirs.close()
        os.close(pidfd)

    def hear(self):
        d = self.ctl.recv(1024)
        return (chr(d[0]), d[1:].decode()) if d else None

    def client(self):
        ours, theirs = socket.socketpair()
        socket.send_fds(self.ctl, [b'C'], [theirs.fileno()])
        theirs.close()
        ours.settimeout(30)
        return pm.Client(ours)


class Stock(Agent):
    """By the stock command line, where a kubelet would put it."""

    def __init__(self, pid, mode, more, port=None, env=None, timeout=20, where=None):
        self.port = port or free_port()
        self.logfile = tempfile.TemporaryFile()
        args = [agent_path(), '-l', str(self.port), '-t', str(timeout), mode] + list(more)
        self.host = '127.0.0.1'
        if where == 'pod':  # in the target's network and PID namespaces
            args = ['nsenter', '-t', str(pid), '-n', '-p', '--', 'unshare', '-m', 'sh', '-c',
                    'mount -t proc proc /proc; exec "$0" "$@"'] + args
        e = {'RUST_LOG': 'info', 'PATH': os.environ['PATH']}
        e.update(env or {})
        self.in_pod = pid if where == 'pod' else None
        self.proc = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=self.logfile, env=e)

    def ready(self):
        return self.proc.stdout.readline().decode().strip()

    def connect(self):
        if not self.in_pod:
            return pm.connect_tcp(self.port)
        own = os.open('/proc/self/ns/net', os.O_RDONLY)
        theirs = os.open('/proc/%d/ns/net' % self.in_pod, os.O_RDONLY)
        libc('setns', theirs, CLONE_NEWNET)
        try:
            return pm.connect_tcp(self.port)
        finally:
            libc('setns', own, CLONE_NEWNET)
            os.close(own)
            os.close(theirs)

    def client(self):
        return pm.Client(self.connect())


def free_port():
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    p = s.getsockname()[1]
    s.close()
    return p


if __name__ == '__main__':
    target_main(sys.argv[1], sys.argv[2])
