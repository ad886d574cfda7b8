"""agent_files: file requests and the environment through a real agent."""
import errno
import os
import socket
import stat
import struct
import sys
import threading
import time

import pm
from agent_target import Target, wait_for
from pm import Err, opt, st, uv

NAME = 'agent_files'
pm.need_root(NAME)
T = pm.Report(NAME)


def io(n):
    kinds = {errno.ENOENT: 0, errno.EINVAL: 20, errno.ENOTDIR: 14, errno.EISDIR: 15, errno.EEXIST: 12,
             errno.ENOTEMPTY: 16, errno.ELOOP: 18, errno.ENAMETOOLONG: 33, errno.ESPIPE: 25, errno.EACCES: 1}
    return Err('RemoteIO', n, kinds.get(n, 39))


def env_tests(c):
    rows = [
        ((), (), {'CLUSTER', 'FOO', 'FOBAR', 'EMPTY', 'EQ'}),
        ((), ('FO*',), {'FOO', 'FOBAR'}),
        (('FOO',), ('FO*',), {'FOBAR'}),
        (('*',), (), set()),
        ((), ('PATH', 'HOME', 'RUST_LOG'), set()),
        ((), ('FO?',), {'FOO'}),
        ((), ('fo*',), set()),
        ((), ('',), set()),
    ]
    for exclude, include, want in rows:
        got = c.env(exclude, include)
        got = {k for k in got if k != 'BAD' and not k.startswith('LC_')}
        T.equal('env %r %r' % (exclude, include), got, want)
    all_ = c.env()
    T.equal('env values', (all_['CLUSTER'], all_['EMPTY'], all_['EQ']), ('east', '', 'a=b'))
    T.check('env of the agent itself is not shown', 'SECRET' not in all_)
    T.check('env: an entry that is no text is left out, and only it', 'BAD' not in all_ and 'FOO' in all_)


def containment(c, target):
    host = open('/etc/hostname', 'rb').read() if os.path.exists('/etc/hostname') else b'?'
    T.check('the test can tell the roots apart', host != b'target-host\n')
    for p in ('/etc/hostname', '/data/abs', '/data/rel', '/data/up', '/../../etc/hostname', '/linkdir/hostname',
              '/linkdir2/hostname', '//etc/./hostname', '/data/../data/rel', '/data/dir/../../etc/hostname'):
        T.equal('read ' + p, c.slurp(p), b'target-host\n')
    for p in ('/data/dirlink/er/leaf', '/data/l2/er/leaf'):
        T.equal('read ' + p, c.slurp(p), b'leaf\n')
    d = c.open('/data')
    for p in ('../etc/hostname', '../../../../etc/hostname', 'abs', 'rel', '/etc/hostname', 'dir/../../etc/hostname',
              './rel', 'up'):
        fd = c.open_at(d, p)
        T.equal('relative open ' + p, c.read(fd) if not isinstance(fd, Err) else fd, b'target-host\n')
    inner = c.open_at(d, 'dir')
    T.equal('directory below a directory', c.read(c.open_at(inner, 'inner')), b'inner\n')
    T.equal('up from it', c.read(c.open_at(inner, '../file')), b'hello, world\n')
    T.equal('link loop', c.open('/data/loop'), io(errno.ELOOP))
    T.equal('dangling link', c.open('/data/dangling'), io(errno.ENOENT))
    # The agent may not even look at other processes any more (no SYS_PTRACE); if it may, links stay closed.
    for p in ('/proc/1/root/etc/hostname', '/proc/1/cwd/etc/hostname'):
        T.check('magic links lead nowhere: ' + p, c.open(p) in (io(errno.ELOOP), io(errno.EACCES)))
    T.equal('lstat through a linked parent', c.xstat('/linkdir2/hostname', follow=False)['size'], 12)
    T.equal('readlink through a linked parent', c.file(15, st('/data/l2/../data/abs')), '/etc/hostname')
    # changes stay inside as well
    marker = '/trib-agent-test-%d' % os.getpid()
    T.equal('mkdirat upwards', c.file(18, uv(d) + st('../../../..' + marker) + uv(0o755)), None)
    T.check('it is in the target, not outside', os.path.isdir(target.path(marker)) and not os.path.exists(marker))
    T.equal('unlinkat upwards', c.file(21, opt(d, uv) + st('../..' + marker) + uv(0x200)), None)
    T.equal('rename through links', c.file(25, st('/data/l2/er/leaf') + st('/linkdir2/leaf')), None)
    T.equal('moved inside', open(target.path('/etc/leaf'), 'rb').read(), b'leaf\n')
    T.equal('and back', c.file(25, st('/etc/leaf') + st('/deep/er/leaf')), None)
    fd = c.open('/data/up2', 'wc')
    T.check('a new file', fd is not None and os.path.exists(target.path('/data/up2')))
    st_ = c.xstat('file', d)
    T.equal('fstatat by a directory', st_['size'] if isinstance(st_, dict) else st_, 13)
    T.equal('fstatat upwards', c.xstat('../../../etc/hostname', d)['size'], 12)


def paths(c):
    for name, body, kind in (('open', st('etc/hostname') + b'\1\0\0\0\0\0', 0), ('access', st('etc') + b'\0', 8),
                             ('readlink', st('data/abs'), 15)):
        r = c.file(kind, body)
        T.equal(name + ' of a path without /', r, Err('StripPrefix', 'the path does not start with /'))
    T.equal('empty path', c.open(''), Err('StripPrefix', 'the path does not start with /'))
    T.equal('NUL in a path', c.open('/etc\0/x'), io(errno.EINVAL))
    T.equal('path too long', c.open('/' + 'x/' * 3000), io(errno.ENAMETOOLONG))
    T.equal('name too long', c.open('/' + 'x' * 300), io(errno.ENAMETOOLONG))
    T.equal('the client lives', c.slurp('/data/file'), b'hello, world\n')


def open_rules(c, target):
    rows = [('', errno.EINVAL), ('t', errno.EINVAL), ('rt', errno.EINVAL), ('rc', errno.EINVAL), ('rn', errno.EINVAL),
            ('at', errno.EINVAL), ('wn', errno.EEXIST), ('an', errno.EEXIST)]
    for flags, want in rows:
        T.equal('open flags %r' % flags, c.open('/data/file', flags), io(want))
    T.equal('the file is whole', open(target.path('/data/file'), 'rb').read(), b'hello, world\n')
    fd = c.open('/data/new', 'wcn')
    T.equal('write', c.write(fd, b'0123456789'), 10)
    T.equal('mode of a new file', stat.S_IMODE(os.stat(target.path('/data/new')).st_mode), 0o644)
    T.equal('pwrite', c.pwrite(fd, 2, b'XY'), 2)
    T.equal('read of a write-only file', c.read(fd), io(errno.EBADF))
    a = c.open('/data/new', 'ra')
    T.equal('append', c.write(a, b'end'), 3)
    T.equal('result', open(target.path('/data/new'), 'rb').read(), b'01XY456789end')
    T.equal('pread', c.pread(a, 4, 1), b'1XY4')
    T.equal('pread behind the end', c.pread(a, 4, 100), b'')
    T.equal('pread with an absurd offset', c.pread(a, 4, 2 ** 64 - 1), io(errno.EINVAL))
    w = c.open('/data/new', 'wt')
    T.equal('truncated by open', c.xstat(fd=w)['size'], 0)
    T.equal('open of a directory for writing', c.open('/data', 'w'), io(errno.EISDIR))


def descriptors(c):
    f, d = c.open('/data/file'), c.open('/data')
    s = c.file(11, uv(d))
    bad = 999999
    nf, nd, nfile = (lambda n: Err('NotFound', n)), (lambda n: Err('NotDirectory', n)), (lambda n: Err('NotFile', n))
    rows = [
        ('read unknown', 2, uv(bad) + uv(1), nf(bad)), ('read directory', 2, uv(d) + uv(1), nfile(d)),
        ('read stream', 2, uv(s) + uv(1), nf(s)), ('write directory', 5, uv(d) + pm.by(b'x'), nfile(d)),
        ('seek directory', 4, uv(d) + uv(0) + uv(0), nfile(d)), ('seek unknown', 4, uv(bad) + uv(0) + uv(0), nf(bad)),
        ('open below a file', 1, uv(f) + st('x') + b'\1\0\0\0\0\0', nd(f)),
        ('open below unknown', 1, uv(bad) + st('x') + b'\1\0\0\0\0\0', nf(bad)),
        ('opendir of a file', 11, uv(f), nd(f)), ('readdir of a file', 12, uv(f), nf(f)),
        ('readdir of an open directory', 12, uv(d), nf(d)), ('getdents of a file', 14, uv(f) + uv(500), nd(f)),
        ('getdents of a stream', 14, uv(s) + uv(500), nf(s)), ('batch of unknown', 16, uv(bad) + uv(1), nf(bad)),
        ('ftruncate directory', 26, uv(d) + pm.iv(0), nfile(d)), ('fchmod unknown', 29, uv(bad) + uv(0o600), nf(bad)),
        ('fchown directory', 28, uv(d) + uv(0) + uv(0), nfile(d)), ('futimens unknown', 27, uv(bad) + b'\0', nf(bad)),
        ('mkdirat below a file', 18, uv(f) + st('x') + uv(0), nd(f)),
        ('xstat by a file and a path', 9, opt('x', st) + opt(f, uv) + b'\1', nd(f)),
        ('xstat of nothing', 9, b'\0\0\1', io(errno.EINVAL)),
        ('xstat unknown', 9, b'\0' + opt(bad, uv) + b'\1', nf(bad)),
        ('statfs unknown', 10, uv(bad), nf(bad)), ('unlinkat flags', 21, b'\0' + st('/data/x') + uv(7), io(errno.EINVAL)),
        ('access with wrong bits', 8, st('/data') + b'\x08', io(errno.EINVAL)),
        ('rmdir not empty', 19, st('/data'), io(errno.ENOTEMPTY)), ('rmdir of a file', 19, st('/data/file'), io(errno.ENOTDIR)),
        ('unlink of a directory', 20, st('/data/dir'), io(errno.EISDIR)),
        ('unlink of nothing', 20, st('/data/none'), io(errno.ENOENT)),
        ('mkdir of what is there', 17, st('/data/dir') + uv(0o755), io(errno.EEXIST)),
        ('mkdir of ..', 17, st('/data/..') + uv(0o755), io(errno.EEXIST)),
        ('mkdir of /', 17, st('/') + uv(0o755), io(errno.EEXIST)),
        ('rename of nothing', 25, st('/data/none') + st('/data/x'), io(errno.ENOENT)),
        ('rename into nothing', 25, st('/data/file') + st('/none/x'), io(errno.ENOENT)),
        ('readlink of a file', 15, st('/data/file'), io(errno.EINVAL)),
        ('access of nothing', 8, st('/none') + b'\0', io(errno.ENOENT)),
        ('statfs of nothing', 22, st('/none'), io(errno.ENOENT)),
    ]
    for what, kind, body, want in rows:
        T.equal(what, c.file(kind, body), want)
    c.close_fd(s)  # the wrong close for a stream: nothing happens
    c.close_dir(d)
    c.close_fd(bad)
    T.check('streams and files have closes of their own', isinstance(c.file(12, uv(s)), tuple) and
            isinstance(c.xstat(fd=d), dict))
    c.close_dir(s)
    c.close_fd(d)
    c.close_fd(f)
    T.equal('closed stream', c.file(12, uv(s)), nf(s))
    T.equal('closed directory', c.xstat(fd=d), nf(d))
    T.equal('closed file', c.read(f), nf(f))
    T.check('numbers are not used again', c.open('/data/file') > s)


def metadata(c, target):
    p = target.path('/data/file')
    os.utime(p, ns=(1_700_000_000_123456789, 1_600_000_000_987654321))
    m, s = c.xstat('/data/file'), os.stat(p)
    T.equal('metadata', (m['ino'], m['mode'], m['nlink'], m['uid'], m['size'], m['blksize'], m['blocks']),
            (s.st_ino, s.st_mode, s.st_nlink, s.st_uid, s.st_size, s.st_blksize, s.st_blocks))
    T.equal('only the nanoseconds of times', (m['atime'], m['mtime']), (123456789, 987654321))
    T.equal('lstat', stat.S_ISLNK(c.xstat('/data/abs', follow=False)['mode']), True)
    T.equal('stat', c.xstat('/data/abs')['size'], 12)
    v, fs = os.statvfs(p), c.file(24, st('/data/file'))
    T.equal('statfs', (fs['bsize'], fs['blocks'], fs['files'], fs['namelen'], fs['frsize']),
            (v.f_bsize, v.f_blocks, v.f_files, v.f_namemax, v.f_frsize))
    T.equal('statfs v1', c.file(22, st('/data'))['blocks'], v.f_blocks)
    f = c.open('/data/file', 'rw')
    T.equal('xstatfs', c.file(10, uv(f))['blocks'], v.f_blocks)
    T.equal('xstatfs v2', c.file(23, uv(f))['fsid'], fs['fsid'])
    for what, at, n, want in (('start', 0, uv(7), 7), ('end', 1, pm.iv(-3), 10), ('current', 2, pm.iv(2), 12)):
        T.equal('seek ' + what, c.file(4, uv(f) + uv(at) + n), want)
    T.equal('seek before the start', c.file(4, uv(f) + uv(2) + pm.iv(-100)), io(errno.EINVAL))
    T.equal('seek too far', c.file(4, uv(f) + uv(0) + uv(2 ** 63)), io(errno.EINVAL))
    for mode in (0, 1, 2, 4, 6):
        ok = c.file(8, st('/data/file') + bytes([mode]))
        T.equal('access %d' % mode, ok, io(errno.EACCES) if mode & 1 else None)
    T.equal('fchmod', c.file(29, uv(f) + uv(0o4711)), None)
    T.equal('fchown', c.file(28, uv(f) + uv(1234) + uv(4321)), None)
    T.equal('futimens', c.file(27, uv(f) + b'\1' + pm.iv(1) + pm.iv(11) + pm.iv(2) + pm.iv(22)), None)
    s = os.stat(p)
    T.equal('their effect', (s.st_uid, s.st_gid, s.st_atime_ns, s.st_mtime_ns), (1234, 4321, 10 ** 9 + 11, 2 * 10 ** 9 + 22))
    T.equal('ftruncate', c.file(26, uv(f) + pm.iv(5)), None)
    T.equal('ftruncate below nothing', c.file(26, uv(f) + pm.iv(-1)), io(errno.EINVAL))
    T.equal('its effect', os.stat(p).st_size, 5)
    open(p, 'w').write('hello, world\n')


def listing(c, target):
    d = c.open('/data')
    want = {n for n in os.listdir(target.path('/data').encode())}
    names = {n.decode() for n in want if b'\xff' not in n}
    fd, ents, size = c.file(14, uv(d) + uv(10 ** 6))
    T.equal('getdents: dots first', [(e[2], e[3], e[1]) for e in ents[:2]], [('.', 4, 0), ('..', 4, 1)])
    T.equal('getdents: names (no text = left out)', {e[2] for e in ents[2:]}, names)
    T.equal('getdents: size', size, sum((20 + len(e[2]) + 7) // 8 * 8 for e in ents))
    T.equal('getdents: end', c.file(14, uv(d) + uv(1000)), (d, [], 0))
    ino = os.stat(target.path('/data')).st_ino
    T.equal('getdents: inode of .', ents[0][0], ino)
    d2 = c.open('/data')
    T.equal('getdents: too small', c.file(14, uv(d2) + uv(8)), (d2, [], 0))
    got, sizes = [], []
    for _ in range(100):
        _, e, n = c.file(14, uv(d2) + uv(60))
        if not e:
            break
        got += [x[2] for x in e]
        sizes.append(n)
    T.equal('getdents in pieces', (set(got), len(got)), (names | {'.', '..'}, len(names) + 2))
    T.check('pieces fit', max(sizes) <= 60)
    root = c.open('/')
    T.equal('.. of the root is the root', len({e[0] for e in c.file(14, uv(root) + uv(48))[1]}), 1)
    s = c.file(11, uv(d))
    got = []
    while len(got) < 1000:
        e = c.file(12, uv(s))
        if e is None:
            break
        got.append(e)
    T.equal('readdir', ({e[2] for e in got}, [e[1] for e in got]), (names, list(range(len(names)))))
    s = c.file(11, uv(d))
    fd, first = c.file(16, uv(s) + uv(2))
    T.equal('batch', (fd, len(first)), (s, 2))
    rest = c.file(16, uv(s) + uv(2 ** 64 - 1))[1]
    T.equal('batch: the rest', {e[2] for e in first + rest}, names)
    T.equal('batch: end', c.file(16, uv(s) + uv(10)), (s, []))
    os.makedirs(target.path('/many'))
    for i in range(5000):
        open(target.path('/many/f%04d' % i), 'w').close()
    s = c.file(11, uv(c.open('/many')))
    total, rounds = 0, 0
    while rounds < 10:
        n = len(c.file(16, uv(s) + uv(2 ** 40))[1])
        total, rounds = total + n, rounds + 1
        if n == 0:
            break
    T.equal('a large directory comes in bounded answers', (total, rounds > 2), (5000, True))


def big_reads(c, target, agent):
    data = os.urandom(20 * 1024 * 1024)
    open(target.path('/data/big'), 'wb').write(data)
    before = int(agent.status('VmRSS'))
    f = c.open('/data/file')
    for n in (2 ** 63, 2 ** 64 - 1, 2 ** 40):
        T.equal('read of %d bytes of a small file' % n, c.pread(f, n, 0), b'hello, world\n')
    T.check('no memory taken for them', int(agent.status('VmRSS')) - before < 8192)
    f = c.open('/data/big')
    got = c.read(f, 2 ** 62, timeout=20)
    T.check('a read gives at most 16 MiB', got == data[:16 * 1024 * 1024], len(got))
    T.check('and the next goes on', c.read(f, 2 ** 62, timeout=20) == data[16 * 1024 * 1024:])
    T.equal('end of file', c.read(f, 100), b'')
    w = c.open('/data/copy', 'wc')
    at = 0
    while at < len(data):
        n = c.file(5, uv(w) + pm.by(data[at:at + 5 * 1024 * 1024]), timeout=20)
        if isinstance(n, Err) or n == 0:
            break
        at += n
    T.check('large writes', open(target.path('/data/copy'), 'rb').read() == data)
    # Spec C.4, head-of-line: the stock agent decodes a message from its start with every piece of it.
    msg = b'\5' + uv(5) + uv(w) + pm.by(data[:10 * 1024 * 1024])
    t = time.monotonic()
    for at in range(0, len(msg), 1000):
        c.send(msg[at:at + 1000])
    T.equal('a large message in small pieces', c.want('File', 20)[2], 10 * 1024 * 1024)
    T.check('costs no more than its length', time.monotonic() - t < 3, time.monotonic() - t)
    T.check('files of /proc', b'target' not in (c.slurp('/proc/version') or b'') and len(c.slurp('/proc/version')) > 10)


def slow_files(target, agent):
    os.mkfifo(target.path('/data/fifo'))
    a, b = agent.client(), agent.client()
    a.file_async(0, st('/data/fifo') + a.options('r'))
    for who, c in (('own', a), ('other', b)):
        t = time.monotonic()
        c.ping(2)
        T.check('a FIFO does not stop the %s pings' % who, time.monotonic() - t < 1)
    T.equal('nor the files of others', b.slurp('/data/file'), b'hello, world\n')
    T.equal('nor names', a.lookup('a.test', 0), [('a.test.', '10.1.1.1')])
    T.check('nor the environment', a.env()['CLUSTER'] == 'east')
    # later requests of the same client may overtake, their answers not
    a.file_async(9, opt('/data/file', st) + b'\0\1')
    a.file_async(0, st('/data/fifo') + a.options('w'))
    first, second, third = a.want('File'), a.want('File'), a.want('File')
    T.check('both ends of a FIFO by one client, answers in order',
            isinstance(first[2], int) and isinstance(second[2], dict) and third[2] == first[2] + 1,
            (first, second, third))
    rfd, wfd = first[2], third[2]
    a.file_async(2, uv(rfd) + uv(100))
    a.ping(2)
    T.equal('write into it', through(a, wfd), b'through')
    # a client that leaves while it hangs gives its thread back
    base = agent.threads()
    lost = [agent.client() for _ in range(20)]
    for c in lost:
        c.file_async(0, st('/data/fifo2') + c.options('r'))
    os.mkfifo(target.path('/data/fifo2'))
    for c in lost:
        c.file_async(0, st('/data/fifo2') + c.options('r'))
    T.check('many hang', wait_for(lambda: agent.threads() >= 20))
    T.equal('and one more client is served', b.slurp('/data/file'), b'hello, world\n')
    for c in lost:
        for _ in range(50):
            c.file_async(0, st('/data/fifo2') + c.options('r'))
    T.equal('however much they ask', b.slurp('/data/file'), b'hello, world\n')
    T.check('threads are bounded', agent.threads() <= 140, agent.threads())
    for c in lost:
        c.close()
    T.check('hanging calls of lost clients end', wait_for(lambda: b.ping() and in_fifo(agent) == 0, 8), in_fifo(agent))
    T.check('idle threads end or wait', agent.threads() >= 1 and base >= 1)
    # more requests than are kept: the client is told, not the agent hurt
    d = agent.client()
    d.file_async(0, st('/data/fifo2') + d.options('r'))
    d.send(b''.join(b'\5' + uv(0) + st('/data/fifo2') + d.options('r') for _ in range(2000)))
    try:
        m = d.want('Close', 15)
        T.check('too many waiting requests end that client with a sentence', 'FIFO' in m[1], m)
    except (TimeoutError, pm.Gone) as e:
        T.check('too many waiting requests end that client with a sentence', False, repr(e))
    T.equal('others do not notice', b.slurp('/data/file'), b'hello, world\n')


def through(a, wfd):
    """The read was asked first and waits: its answer comes first."""
    a.file_async(5, uv(wfd) + pm.by(b'through'))
    first, second = a.want('File'), a.want('File')
    return first[2][0] if second[2] == 7 else second


def in_fifo(agent):
    """Threads of the agent that wait in an open of a FIFO."""
    n = 0
    for t in os.listdir('/proc/%d/task' % agent.proc.pid):
        try:
            n += 'wait_for_partner' in open('/proc/%d/task/%s/wchan' % (agent.proc.pid, t), encoding='ascii').read()
        except OSError:
            pass
    return n


def order(c):
    """Many requests at once: every answer, in order."""
    for i in range(300):
        if i % 3 == 0:
            c.file_async(9, opt('/data/file', st) + b'\0\1')
        elif i % 3 == 1:
            c.file_async(15, st('/data/abs'))
        else:
            c.file_async(0, st('/none') + c.options('r'))
    kinds = [c.want('File')[1] for _ in range(300)]
    T.equal('pipelined answers', kinds, [7, 12, 0] * 100)


def broken(agent):
    b = agent.client()
    for what, data in (('an unknown kind', b'\x7f'), ('a reserved marker', b'\xff'), ('bad UTF-8', b'\x0a\x02\xff\xfe'),
                       ('an unknown file request', b'\5\x63'), ('a bool of 2', b'\x09\2'),
                       ('a string that is too long to be', b'\5\0\xfd' + struct.pack('<Q', 2 ** 62)),
                       ('an endless filter', b'\2\0\2\x50' + b'\2\1\1' * 2000)):
        c = agent.client()
        c.ping()
        try:
            c.send(data)
            m = c.next(5)
            T.check(what + ' ends the stream without a word', False, m)
        except (pm.Gone, ConnectionError):
            T.check(what + ' ends the stream without a word', True)
        except TimeoutError:
            # a length that may still be met is waited for, with no memory
            T.check(what + ' waits', 'too long' in what)
        c.close()
    half = agent.client()
    half.send(b'\5\0\x20/half')
    half.close()
    T.check('others live', b.ping() == ('Pong',))


def limits(agent):
    """A client that reads nothing stops being served, and nothing else."""
    a, b = agent.client(), agent.client()
    a.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    fd = a.open('/data/big')
    before = int(agent.status('VmRSS'))

    def ask():
        try:
            for _ in range(3000):
                a.file_async(3, uv(fd) + uv(1 << 20) + uv(0))
        except OSError:
            pass
    t = threading.Thread(target=ask, daemon=True)
    t.start()
    for _ in range(20):
        b.ping()
        b.slurp('/data/file')
    T.check('what waits for it is bounded', int(agent.status('VmRSS')) - before < 60000,
            int(agent.status('VmRSS')) - before)
    a.close()
    T.check('others are served', b.ping() == ('Pong',))


def main():
    bad = {b'BAD': b'\xff\xfe'}
    with Target(env=None) as target:
        agent = target.standalone()
        if not T.check('ready', (agent.hear() or ('',))[0] == 'R', agent.log()):
            return
        c = agent.client()
        c.version()
        env_tests(c)
        containment(c, target)
        paths(c)
        open_rules(c, target)
        descriptors(c)
        metadata(c, target)
        listing(c, target)
        order(c)
        big_reads(c, target, agent)
        broken(agent)
        limits(agent)
        slow_files(target, agent)
        agent.ctl.close()
        T.equal('exit', agent.wait(), 0)
    with Target(env={os.fsdecode(k): os.fsdecode(v) for k, v in bad.items()}) as target:
        agent = target.standalone()
        agent.hear()
        env_tests(agent.client())


try:
    main()
finally:
    code = T.end()
sys.exit(code)
