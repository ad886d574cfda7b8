"""The mirrord protocol for tests: just enough to talk to an agent.

Written apart from protocol/ on purpose, so that the two check each other.
"""
import os
import select
import socket
import struct
import time


def uv(n):
    if n < 251:
        return bytes([n])
    if n < 1 << 16:
        return b'\xfb' + struct.pack('<H', n)
    if n < 1 << 32:
        return b'\xfc' + struct.pack('<I', n)
    if n < 1 << 64:
        return b'\xfd' + struct.pack('<Q', n)
    return b'\xfe' + n.to_bytes(16, 'little')


def iv(n):
    return uv(2 * n if n >= 0 else -2 * n - 1)


def by(b):
    return uv(len(b)) + b


def st(s):
    return by(s.encode())


def opt(v, enc):
    return b'\0' if v is None else b'\1' + enc(v)


def strset(items):
    return uv(len(items)) + b''.join(st(i) for i in items)


def sockaddr(ip, port):
    if ':' in ip:
        return b'\1' + socket.inet_pton(socket.AF_INET6, ip) + uv(port)
    return b'\0' + socket.inet_pton(socket.AF_INET, ip) + uv(port)


def addr_ip(ip, port):
    return b'\0' + sockaddr(ip, port)


def addr_path(path):
    return b'\1\0' + st(path)


def addr_abstract(name):
    return b'\1\1' + by(name)


ADDR_UNNAMED = b'\1\2'


class Short(Exception):
    pass


class Reader:
    def __init__(self, b):
        self.b = b
        self.at = 0

    def raw(self, n):
        if self.at + n > len(self.b):
            raise Short()
        self.at += n
        return bytes(self.b[self.at - n:self.at])

    def uv(self):
        m = self.raw(1)[0]
        if m < 251:
            return m
        return int.from_bytes(self.raw({251: 2, 252: 4, 253: 8, 254: 16}[m]), 'little')

    def iv(self):
        n = self.uv()
        return n >> 1 if n % 2 == 0 else -(n + 1 >> 1)

    def by(self):
        return self.raw(self.uv())

    def st(self):
        return self.by().decode()

    def boolean(self):
        return self.raw(1)[0] == 1

    def opt(self, f):
        return f() if self.raw(1)[0] else None

    def ip(self):
        if self.uv():
            return socket.inet_ntop(socket.AF_INET6, self.raw(16))
        return socket.inet_ntop(socket.AF_INET, self.raw(4))

    def sockaddr(self):
        return (self.ip(), self.uv())

    def address(self):
        if self.uv() == 0:
            return self.sockaddr()
        t = self.uv()
        return ('path', self.st()) if t == 0 else ('abstract', self.by()) if t == 1 else ('unnamed',)

    def res(self, f):
        """A result: the value, or an Err."""
        return f() if self.uv() == 0 else self.error()

    def error(self):
        t = self.uv()
        name = ('IdsExhausted NotFound NotDirectory NotFile RemoteIO DnsLookup Remote PortAlreadyStolen '
                'NotImplemented Forbidden StripPrefix OpenLocal ForbiddenWithReason SystemFailure').split()[t]
        if t in (0, 10):
            return Err(name, self.st())
        if t in (1, 2, 3, 7):
            return Err(name, self.uv())
        if t == 4:
            errno = self.opt(self.iv)
            kind = self.uv()
            if kind == 40:
                self.st()
            return Err(name, errno, kind)
        if t == 5:
            kind = self.uv()
            return Err(name, kind, self.st() if kind == 0 else self.uv() if kind == 2 else None)
        if t in (9, 12):
            what = self.uv()
            if what == 0:
                steal = self.uv()
                detail = (steal, self.uv())
                if steal == 1:
                    self.st()
                elif steal == 2:
                    self.http_filter()
            else:
                detail = self.uv() if what == 1 else self.address()
            policy = self.opt(self.st)
            return Err(name, what, detail, policy, self.st() if t == 12 else None)
        return Err(name)

    def http_filter(self):
        t = self.uv()
        if t == 2:
            self.boolean()
            for _ in range(self.uv()):
                self.http_filter()
        elif t == 3:
            if self.uv() == 9:
                self.st()
        elif t == 4:
            self.uv()
            self.st()
            self.st()
        else:
            self.st()

    def metadata(self):
        names = 'dev ino mode nlink uid gid rdev size atime mtime ctime blksize blocks'.split()
        return {n: self.iv() if n.endswith('time') else self.uv() for n in names}

    def fs(self, v2):
        d = {'type': self.iv(), 'bsize': self.iv()}
        for n in 'blocks bfree bavail files ffree'.split():
            d[n] = self.uv()
        if v2:
            d['fsid'] = (self.iv(), self.iv())
            d['namelen'], d['frsize'], d['flags'] = self.iv(), self.iv(), self.iv()
        return d

    def dirent(self):
        return (self.uv(), self.uv(), self.st(), self.raw(1)[0])

    def file(self):
        t = self.uv()
        unit = lambda: None
        ents = lambda: [self.dirent() for _ in range(self.uv())]
        f = {0: self.uv, 1: lambda: (self.by(), self.uv()), 2: lambda: (self.by(), self.uv()),
             3: self.uv, 4: self.uv, 5: self.uv, 6: unit, 7: self.metadata, 8: lambda: self.fs(False),
             9: lambda: self.opt(self.dirent), 10: self.uv, 11: lambda: (self.uv(), ents(), self.uv()),
             12: self.st, 13: lambda: (self.uv(), ents()), 17: lambda: self.fs(True)}.get(t, unit)
        return ('File', t, self.res(f))

    def connect(self):
        return (self.uv(), self.address(), self.address())

    def outgoing(self, name, v1):
        t = self.uv() + (0 if v1 else 1)
        if t == 0:
            return (name, 'Connect', self.res(self.connect))
        if t == 1:
            return (name, 'Read', self.res(lambda: (self.uv(), self.by())))
        if t == 2:
            return (name, 'Close', self.uv())
        return (name, 'ConnectV2', self.uv(), self.res(self.connect))

    def transport(self):
        return None if self.uv() == 0 else (self.opt(self.by), self.opt(self.st))

    def tcp(self, name):
        t = self.uv()
        conn = lambda: (self.uv(), self.ip(), self.uv(), self.uv(), self.ip())
        if t == 0:
            return (name, 'NewConnectionV1') + conn()
        if t == 1:
            return (name, 'Data', self.uv(), self.by())
        if t == 2:
            return (name, 'Close', self.uv())
        if t == 3:
            return (name, 'SubscribeResult', self.res(self.uv))
        if t == 7:
            return (name, 'NewConnectionV2') + conn() + (self.transport(),)
        raise ValueError('%s %d' % (name, t))

    def message(self):
        t = self.uv()
        if t == 0:
            return ('Close', self.st())
        if t in (1, 2):
            return self.tcp('Tcp' if t == 1 else 'TcpSteal')
        if t in (3, 4):
            return self.outgoing('TcpOutgoing' if t == 3 else 'UdpOutgoing', True)
        if t == 5:
            return ('Log', self.st(), self.uv())
        if t == 6:
            return self.file()
        if t == 7:
            return ('Pong',)
        if t == 8:
            return ('Env', self.res(lambda: {self.st(): self.st() for _ in range(self.uv())}))
        if t == 9:
            return ('Dns', self.res(lambda: [(self.st(), self.ip()) for _ in range(self.uv())]))
        if t == 11:
            return ('Version', self.st())
        if t == 14:
            return ('Reverse', self.res(lambda: self.res(self.st)))
        if t == 15:
            return self.outgoing('Seqpacket', False)
        raise ValueError('kind %d' % t)


class Err:
    def __init__(self, name, *args):
        self.name = name
        self.args = args

    def __eq__(self, other):
        return isinstance(other, Err) and (self.name, self.args) == (other.name, other.args)

    def __repr__(self):
        return 'Err(%s%r)' % (self.name, self.args)


class Gone(Exception):
    """The agent ended the stream."""


class Client:
    """One stream. Every wait is bounded."""

    def __init__(self, sock):
        self.s = sock
        self.buf = bytearray()
        self.pending = []
        self.uids = 0

    def fileno(self):
        return self.s.fileno()

    def close(self):
        self.s.close()

    def send(self, b):
        self.s.sendall(b)

    def fill(self, until):
        left = until - time.monotonic()
        tls = getattr(self.s, 'pending', None)
        if not (tls and tls()):
            r, _, _ = select.select([self.s], [], [], max(0, left))
            if not r:
                raise TimeoutError('no message in time')
        try:
            d = self.s.recv(1 << 20)
        except ConnectionResetError:
            d = b''
        if not d:
            raise Gone()
        self.buf += d

    def next(self, timeout=5):
        until = time.monotonic() + timeout
        while True:
            r = Reader(self.buf)
            try:
                m = r.message()
            except Short:
                self.fill(until)
                continue
            del self.buf[:r.at]
            return m

    def want(self, pred, timeout=5):
        """The next message that pred (or a name) fits; others are kept."""
        if isinstance(pred, str):
            name = pred
            pred = lambda m: m[0] == name
        for i, m in enumerate(self.pending):
            if pred(m):
                return self.pending.pop(i)
        until = time.monotonic() + timeout
        while True:
            m = self.next(max(0.001, until - time.monotonic()))
            if pred(m):
                return m
            self.pending.append(m)

    # ---- requests
    def version(self, v='1.29.0'):
        self.send(b'\x0a' + st(v))
        return self.want('Version')[1]

    def ping(self, timeout=5):
        self.send(b'\x07')
        return self.want('Pong', timeout)

    def env(self, exclude=(), include=()):
        self.send(b'\x06' + strset(list(exclude)) + strset(list(include)))
        return self.want('Env')[1]

    def file_async(self, kind, body):
        self.send(b'\x05' + uv(kind) + body)

    def file(self, kind, body, timeout=5):
        self.file_async(kind, body)
        return self.want('File', timeout)[2]

    @staticmethod
    def options(flags):
        return bytes([int(c in flags) for c in 'rwatcn'])

    def open(self, path, flags='r', timeout=5):
        return self.file(0, st(path) + self.options(flags), timeout)

    def open_at(self, fd, path, flags='r'):
        return self.file(1, uv(fd) + st(path) + self.options(flags))

    def read(self, fd, n=65536, timeout=5):
        r = self.file(2, uv(fd) + uv(n), timeout)
        return r if isinstance(r, Err) else r[0]

    def pread(self, fd, n, at):
        r = self.file(3, uv(fd) + uv(n) + uv(at))
        return r if isinstance(r, Err) else r[0]

    def slurp(self, path):
        fd = self.open(path)
        if isinstance(fd, Err):
            return fd
        d = self.read(fd)
        self.close_fd(fd)
        return d

    def write(self, fd, b):
        return self.file(5, uv(fd) + by(b))

    def pwrite(self, fd, at, b):
        return self.file(6, uv(fd) + uv(at) + by(b))

    def close_fd(self, fd):
        self.file_async(7, uv(fd))

    def close_dir(self, fd):
        self.file_async(13, uv(fd))

    def xstat(self, path=None, fd=None, follow=True):
        return self.file(9, opt(path, st) + opt(fd, uv) + bytes([follow]))

    def dns(self, node, family=None):
        if family is None:
            self.send(b'\x08' + st(node))
        else:
            self.send(b'\x0d' + st(node) + uv(0) + uv(family) + uv(0) + iv(0) + iv(0))

    def lookup(self, node, family=None, timeout=8):
        self.dns(node, family)
        return self.want('Dns', timeout)[1]

    def reverse(self, ip, timeout=8):
        v6 = ':' in ip
        self.send(b'\x0f' + (b'\1' if v6 else b'\0') +
                  socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, ip))
        return self.want('Reverse', timeout)[1]

    KINDS = {'tcp': (3, 'TcpOutgoing', 1, 2, 3), 'udp': (4, 'UdpOutgoing', 1, 2, 3),
             'seq': (16, 'Seqpacket', 0, 1, 2)}

    def connect(self, addr, kind='tcp', timeout=8):
        k, name, _, _, v2 = self.KINDS[kind]
        self.uids += 1
        uid = (1 << 120) + self.uids
        self.send(uv(k) + uv(v2) + uv(uid) + addr)
        m = self.want(lambda m: m[0] == name and m[1] == 'ConnectV2' and m[2] == uid, timeout)
        return m[3]

    def connect_v1_async(self, addr, kind='tcp'):
        self.send(uv(self.KINDS[kind][0]) + uv(0) + addr)

    def owrite(self, cid, b, kind='tcp'):
        k, _, w, _, _ = self.KINDS[kind]
        self.send(uv(k) + uv(w) + uv(cid) + by(b))

    def oclose(self, cid, kind='tcp'):
        k, _, _, c, _ = self.KINDS[kind]
        self.send(uv(k) + uv(c) + uv(cid))

    def oread(self, cid, kind='tcp', timeout=5):
        """The next Read or Close of a connection: bytes, or None for Close."""
        name = self.KINDS[kind][1]

        def fits(m):
            if m[0] != name:
                return False
            return (m[1] == 'Read' and m[2][0] == cid) or (m[1] == 'Close' and m[2] == cid)
        m = self.want(fits, timeout)
        return None if m[1] == 'Close' else m[2][1]


def connect_tcp(port, host='127.0.0.1', timeout=5):
    s = socket.create_connection((host, port), timeout)
    s.settimeout(30)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Report:
    """Counts checks; the last line is what the test runner reads."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failed = 0

    def check(self, what, ok, detail=''):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print('FAILED %s: %s %s' % (self.name, what, detail), flush=True)
        return ok

    def equal(self, what, got, want):
        return self.check(what, got == want, 'got %r, want %r' % (got, want))

    def end(self):
        print('%s: %d passed, %d failed' % (self.name, self.passed, self.failed), flush=True)
        return 1 if self.failed else 0


def need_root(name):
    if os.geteuid() != 0:
        print('%s: skipped, it needs root for namespaces' % name)
        raise SystemExit(77)
