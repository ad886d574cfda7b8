"""agent_outgoing: connections from the target's network through a real agent."""
import errno
import os
import socket
import sys
import threading
import time
import zlib

import pm
from agent_target import Target, wait_for
from pm import Err, addr_abstract, addr_ip, addr_path, uv

NAME = 'agent_outgoing'
pm.need_root(NAME)
T = pm.Report(NAME)
LO = '127.0.0.1'


def io(n, kind):
    return Err('RemoteIO', n, kind)


OTHER = io(None, 39)


def talk(c, kind, addr, what, data=b'ping'):
    r = c.connect(addr, kind)
    if not T.check(what + ': connects', isinstance(r, tuple), r):
        return None
    c.owrite(r[0], data, kind)
    got = b''
    while len(got) < len(data):
        d = c.oread(r[0], kind)
        if d is None:
            break
        got += d
    T.equal(what + ': echo', got, data)
    return r


def basics(c):
    r = talk(c, 'tcp', addr_ip(LO, 7001), 'TCP')
    T.equal('TCP: addresses', (r[1], r[2][0]), ((LO, 7001), LO))
    r6 = talk(c, 'tcp', addr_ip('::1', 7001), 'TCP over IPv6')
    T.equal('IPv6: remote', r6[1], ('::1', 7001))
    u = talk(c, 'udp', addr_ip(LO, 7101), 'UDP')
    T.equal('UDP: first id, own space', u[0], 0)
    x = talk(c, 'tcp', addr_path('/run/echo.sock'), 'unix stream')
    T.equal('unix: addresses', (x[1], x[2]), (('path', '/run/echo.sock'), ('unnamed',)))
    talk(c, 'tcp', addr_abstract(b'hidden'), 'unix abstract')
    s = talk(c, 'seq', addr_path('/run/seq.sock'), 'seqpacket')
    T.equal('seqpacket: id and local', (s[0], s[2]), (0, ('unnamed',)))
    talk(c, 'seq', addr_abstract(b'seq'), 'seqpacket abstract')
    T.equal('TCP ids count up', [r[0], r6[0], x[0]], [0, 1, 2])
    # datagrams keep their edges
    for d in (b'a', b'bb' * 500, b'c' * 9000):
        c.owrite(u[0], d, 'udp')
    T.equal('datagrams', [len(c.oread(u[0], 'udp')) for _ in range(3)], [1, 1000, 9000])
    for d in (b'x', b'y' * 65535):
        c.owrite(s[0], d, 'seq')
    T.equal('packets', [len(c.oread(s[0], 'seq')) for _ in range(2)], [1, 65535])
    big = os.urandom(3_000_000)
    talk(c, 'tcp', addr_ip(LO, 7001), 'TCP, 3 MB', big)


def refusals(c):
    rows = [
        ('refused', 'tcp', addr_ip(LO, 1), io(errno.ECONNREFUSED, 2)),
        ('no route', 'tcp', addr_ip('192.0.2.1', 80), io(errno.ENETUNREACH, 5)),
        ('no IPv6 route', 'tcp', addr_ip('2001:db8::1', 80), io(errno.ENETUNREACH, 5)),
        ('no socket there', 'tcp', addr_path('/run/none.sock'), io(errno.ENOENT, 0)),
        ('a file, not a socket', 'tcp', addr_path('/data/file'), io(errno.ECONNREFUSED, 2)),
        ('a stream for seqpacket', 'seq', addr_path('/run/echo.sock'), io(errno.EPROTOTYPE, 39)),
        ('no abstract name', 'tcp', addr_abstract(b'nobody'), io(errno.ECONNREFUSED, 2)),
        ('abstract name too long', 'tcp', addr_abstract(b'x' * 200), io(errno.ENAMETOOLONG, 33)),
        ('path with NUL', 'tcp', addr_path('/run/\0echo.sock'), io(errno.EINVAL, 20)),
        ('path too long', 'tcp', addr_path('/' + 'y' * 5000), io(errno.ENAMETOOLONG, 33)),
        ('unnamed', 'tcp', pm.ADDR_UNNAMED, OTHER),
        ('unix for UDP', 'udp', addr_path('/run/echo.sock'), OTHER),
        ('IP for seqpacket', 'seq', addr_ip(LO, 7001), OTHER),
        ('unnamed for seqpacket', 'seq', pm.ADDR_UNNAMED, OTHER),
    ]
    for what, kind, addr, want in rows:
        T.equal(what, c.connect(addr, kind), want)
    t = time.monotonic()
    got = c.connect(addr_path('/run/full.sock'), 'tcp', 9)
    T.check('a full unix listener times out after 5 s', got == io(None, 22) and 4 < time.monotonic() - t < 7, got)
    for kind in ('tcp', 'udp', 'seq'):
        c.owrite(4711, b'x', kind)
        c.oclose(4711, kind)
    T.equal('unknown ids are ignored', c.ping(), ('Pong',))


def paths(c, target):
    os.symlink('/run', target.path('/data/runlink'))
    os.symlink('/data/runlink/echo.sock', target.path('/data/sock'))
    talk(c, 'tcp', addr_path('/data/sock'), 'unix path through links')
    out = '/tmp/trib-outside-%d.sock' % os.getpid()
    s = socket.socket(socket.AF_UNIX)
    s.bind(out)
    s.listen(1)
    try:
        T.equal("a socket of the agent's own root is out of reach", c.connect(addr_path(out)), io(errno.ENOENT, 0))
    finally:
        s.close()
        os.unlink(out)


def halves(c, target):
    r = c.connect(addr_ip(LO, 7004))
    T.equal('peer speaks first', c.oread(r[0]), b'hello')
    T.equal('peer half-close is an empty Read', c.oread(r[0]), b'')
    c.owrite(r[0], b'late ')
    c.owrite(r[0], b'words')
    c.owrite(r[0], b'')
    T.equal('then own half-close: one Close', c.oread(r[0]), None)
    T.check('all came', wait_for(lambda: os.path.exists(target.path('/data/greeter')) and
                                 open(target.path('/data/greeter'), 'rb').read() == b'late words'))
    c.owrite(r[0], b'more')
    r = c.connect(addr_ip(LO, 7001))
    c.owrite(r[0], b'x')
    c.owrite(r[0], b'')
    T.equal('echo before the end', c.oread(r[0]), b'x')
    T.equal('own half-close first: Close alone', c.oread(r[0]), None)
    c.send(b'\x0b')  # ReadyForLogs
    r = c.connect(addr_ip(LO, 7006))
    c.owrite(r[0], b'x')
    T.equal('a reset is a Close', c.oread(r[0]), None)
    log = c.want('Log')
    T.check('after a warning', log[2] == 0 and 'reset' in log[1], log)
    u = c.connect(addr_ip(LO, 7999), 'udp')
    c.owrite(u[0], b'nobody', 'udp')
    T.equal('UDP to a closed port', c.oread(u[0], 'udp'), None)
    s = c.connect(addr_path('/run/seq.sock'), 'seq')
    c.owrite(s[0], b'', 'seq')
    T.equal('seqpacket: both ends', c.oread(s[0], 'seq'), None)
    s = c.connect(addr_path('/run/seq.sock'), 'seq')
    c.owrite(s[0], b'z' * 70000, 'seq')
    T.equal('seqpacket: too large a packet', c.oread(s[0], 'seq'), None)


def old_connects(c):
    for i, a in enumerate((addr_ip(LO, 1), addr_ip(LO, 7001), addr_path('/run/none.sock'), addr_path('/run/echo.sock'),
                           addr_ip(LO, 7001), pm.ADDR_UNNAMED)):
        c.connect_v1_async(a)
    got = [c.want(lambda m: m[:2] == ('TcpOutgoing', 'Connect'))[2] for _ in range(6)]
    T.equal('old connects are answered in order', [isinstance(g, tuple) for g in got],
            [False, True, False, True, True, False])
    ids = [g[0] for g in got if isinstance(g, tuple)]
    T.equal('with ids that count up', ids, list(range(ids[0], ids[0] + 3)))
    c.connect_v1_async(addr_ip(LO, 7101), 'udp')
    T.check('old UDP connect', isinstance(c.want(lambda m: m[:2] == ('UdpOutgoing', 'Connect'))[2], tuple))
    for _ in range(50):
        c.connect_v1_async(pm.ADDR_UNNAMED)
    T.equal('many at once', len([c.want(lambda m: m[:2] == ('TcpOutgoing', 'Connect'))[2] for _ in range(50)]), 50)


def slow_peer(c, c2):
    """Spec C.4, outgoing write path: what the stock agent corrupts."""
    data = os.urandom(6_000_000)
    r = c.connect(addr_ip(LO, 7002))
    t = time.monotonic()
    for at in range(0, len(data), 60000):
        c.owrite(r[0], data[at:at + 60000])
    c.owrite(r[0], b'')
    c.ping(2)
    T.check('pings go on while a slow peer waits', time.monotonic() - t < 1.5, time.monotonic() - t)
    got = b''
    while True:
        d = c.oread(r[0], timeout=15)
        if not d:
            break
        got += d
    T.equal('6 MB to a peer that reads late arrive whole', got, b'%d %d' % (len(data), zlib.crc32(data)))
    # a peer that never reads: only its connection ends
    r = c.connect(addr_ip(LO, 7003))
    other = c.connect(addr_ip(LO, 7001))
    chunk = bytes(1 << 20)
    for _ in range(40):
        c.owrite(r[0], chunk)
    c.owrite(other[0], b'alive')
    t = time.monotonic()
    c.ping(6)
    T.check('pings wait a bounded time at most', time.monotonic() - t < 4, time.monotonic() - t)
    T.equal('its connection is closed', c.oread(r[0], timeout=8), None)
    log = c.want(lambda m: m[0] == 'Log' and 'slowly' in m[1])
    T.check('with a warning that says why', log[2] == 0)
    T.equal('others go on', c.oread(other[0]), b'alive')
    T.equal('files too', c.slurp('/data/file'), b'hello, world\n')
    T.equal('other clients as well', c2.slurp('/data/file'), b'hello, world\n')


def fairness(c, agent):
    """Two endless sources and a slow client: both get their turns."""
    a, b = c.connect(addr_ip(LO, 7005)), c.connect(addr_ip(LO, 7005))
    before = int(agent.status('VmRSS'))
    time.sleep(0.5)  # the client reads nothing meanwhile
    T.check('what waits for a client is bounded', int(agent.status('VmRSS')) - before < 8000)
    counts = {a[0]: 0, b[0]: 0}
    for _ in range(400):
        m = c.want('TcpOutgoing')
        if m[1] == 'Read':
            counts[m[2][0]] += len(m[2][1])
    x, y = counts.values()
    T.check('sources take turns', min(x, y) * 3 > max(x, y), counts)
    t = time.monotonic()
    c.send(b'\x07')
    c.want('Pong', 5)
    T.check('a ping gets through', time.monotonic() - t < 3)
    c.oclose(a[0])
    c.oclose(b[0])
    c.ping()
    c.pending.clear()
    T.equal('closed connections are quiet', c.ping(), ('Pong',))


def closing(c, target):
    """Close after Write: what was written arrives, no answer comes."""
    try:
        os.unlink(target.path('/data/greeter'))
    except FileNotFoundError:
        pass
    r = c.connect(addr_ip(LO, 7004))
    c.owrite(r[0], b'last words' * 1000)
    c.oclose(r[0])
    T.check('queued writes are sent', wait_for(lambda: os.path.exists(target.path('/data/greeter'))))
    c.ping()
    T.check('no Close comes back', not any(m[1] == 'Close' and m[2] == r[0] for m in c.pending if m[0] == 'TcpOutgoing'))
    c.pending.clear()


def many(c, agent):
    ids = []
    for _ in range(300):
        r = c.connect(addr_ip(LO, 7001))
        if isinstance(r, tuple):
            ids.append(r[0])
    T.equal('300 connections', len(ids), 300)
    for i in ids:
        c.owrite(i, b'%d' % i)
    T.equal('each has its own stream', [c.oread(i) for i in ids], [b'%d' % i for i in ids])
    fds = lambda: len(os.listdir('/proc/%d/fd' % agent.proc.pid))
    full = fds()
    c.close()
    T.check('they end with the client', wait_for(lambda: fds() < full - 295), (full, fds()))


def main():
    with Target() as target:
        agent = target.standalone()
        if not T.check('ready', (agent.hear() or ('',))[0] == 'R', agent.log()):
            return
        c, c2 = agent.client(), agent.client()
        c.version()
        basics(c)
        refusals(c)
        paths(c, target)
        halves(c, target)
        old_connects(c)
        closing(c, target)
        slow_peer(c, c2)
        fairness(c, agent)
        many(agent.client(), agent)
        agent.ctl.close()
        T.equal('exit', agent.wait(), 0)


try:
    main()
finally:
    code = T.end()
sys.exit(code)
