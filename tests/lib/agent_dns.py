"""agent_dns: names and addresses looked up with the target's own files."""
import os
import sys
import threading
import time

import pm
from agent_target import Target
from pm import Err

NAME = 'agent_dns'
pm.need_root(NAME)
T = pm.Report(NAME)
V4, V6, BOTH, ANY, NEWER = 0, 1, 2, 3, 4
NX, NODATA, SERVFAIL = Err('DnsLookup', 2, 3), Err('DnsLookup', 2, 0), Err('DnsLookup', 2, 2)
NO_CONNECTIONS, PROTO, TIMEOUT, NO_CONFIG = (Err('DnsLookup', k, None) for k in (1, 3, 4, 6))


def names(c):
    rows = [
        ('a.test', V4, [('a.test.', '10.1.1.1')]),
        ('a.test.', V4, [('a.test.', '10.1.1.1')]),
        ('A.TEST', None, 'case'),
        ('a.test', V6, NODATA),
        ('both.test', BOTH, [('both.test.', '10.2.2.2'), ('both.test.', '10.2.2.3'), ('both.test.', 'fd00::2')]),
        ('both.test', NEWER, [('both.test.', '10.2.2.2'), ('both.test.', '10.2.2.3'), ('both.test.', 'fd00::2')]),
        ('both.test', ANY, [('both.test.', '10.2.2.2'), ('both.test.', '10.2.2.3')]),
        ('six.test', ANY, [('six.test.', 'fd00::6')]),
        ('six.test', V4, NODATA),
        ('cn.test', V4, [('a.test.', '10.1.1.1')]),
        ('far.test', BOTH, [('both.test.', '10.2.2.2'), ('both.test.', '10.2.2.3'), ('both.test.', 'fd00::2')]),
        ('under_score.test', V4, [('under_score.test.', '10.4.4.4')]),
        ('web', V4, [('web.shop.svc.test.', '10.3.3.3')]),       # first search domain
        ('a', V4, [('a.test.', '10.1.1.1')]),                    # second one
        ('web.shop.svc', V4, [('web.shop.svc.test.', '10.3.3.3')]),  # enough dots: as it is first, then searched
        ('web.', V4, NX),                                        # absolute: not searched
        ('none.test', V4, NX),
        ('none', BOTH, NX),
        ('fail.test.', V4, SERVFAIL),
        ('garbage.test.', V4, PROTO),
        ('liar.test', V4, [('liar.test.', '10.9.9.9')]),
        ('10.1.2.3', V4, [('10.1.2.3', '10.1.2.3')]),
        ('fd00::1', ANY, [('fd00::1', 'fd00::1')]),
        ('10.1.2.3', V6, NODATA),
        ('localhost', ANY, [('localhost.', '127.0.0.1')]),
        ('localhost', V6, [('localhost.', '::1')]),
        ('x.localhost', V4, [('x.localhost.', '127.0.0.1')]),
        ('db', V4, [('db.', '10.77.0.9')]),
        ('DB.internal', V4, [('DB.internal.', '10.77.0.9')]),
        ('db', BOTH, [('db.', '10.77.0.9'), ('db.', 'fd77::9')]),
        ('alias.', V4, [('alias.', '10.77.0.9')]),
    ]
    for name, family, want in rows:
        if want == 'case':
            want = [('A.TEST.', '10.1.1.1')]
        got = c.lookup(name, family)
        if isinstance(got, list):
            got = [(n if n.lower() != 'a.test.' else n, ip) for n, ip in got]
            if name == 'A.TEST':
                got = [(n.upper(), ip) for n, ip in got]
        T.equal('%s family %r' % (name, family), got, want)
    big = c.lookup('big.test', V4)
    T.check('a large answer over TCP', isinstance(big, list) and len(big) == 60, big)
    for bad in ('', '.', 'a..test', '.test', 'x' * 64 + '.test', 'y.' * 130 + 'test', 'nul\0.test', 'sp ace.test', 'é.test'):
        r = c.lookup(bad, V4)
        T.check('no name: %r' % bad[:20], isinstance(r, Err), r)
    T.equal('the client lives', c.ping(), ('Pong',))


def order(c):
    c.dns('slow.test', V4)
    c.dns('a.test', V4)
    c.dns('none.test.', V4)
    c.dns('10.0.0.1')
    t = time.monotonic()
    c.ping(2)
    T.check('pings pass lookups', time.monotonic() - t < 0.3)
    got = [c.want('Dns')[1] for _ in range(4)]
    T.equal('answers come in the order of the requests', got,
            [[('slow.test.', '10.5.5.5')], [('a.test.', '10.1.1.1')], NX, [('10.0.0.1', '10.0.0.1')]])
    t = time.monotonic()
    for _ in range(10):
        c.dns('slow.test', V4)
    for _ in range(10):
        c.want('Dns')
    T.check('lookups run side by side', time.monotonic() - t < 2, time.monotonic() - t)
    for _ in range(700):
        c.dns('a.test')
    T.equal('many at once', sum(c.want('Dns', 20)[1] == [('a.test.', '10.1.1.1')] for _ in range(700)), 700)
    t = time.monotonic()
    T.equal('a server that does not answer', c.lookup('drop.test.', V4), TIMEOUT)
    T.check('attempts and timeout of resolv.conf', 1.8 < time.monotonic() - t < 4, time.monotonic() - t)


def reverse(c):
    T.equal('by the hosts file', c.reverse('10.77.0.9'), 'db.internal')
    T.equal('by the hosts file, IPv6', c.reverse('fd77::9'), 'db')
    T.equal('by PTR', c.reverse('10.1.1.1'), 'a.test')
    T.equal('by PTR, IPv6', c.reverse('fd00::6'), 'six.test')
    T.equal('unknown', c.reverse('10.200.0.1'), NX)


def files(c, target):
    """They are read afresh for each lookup."""
    conf, hosts = target.path('/etc/resolv.conf'), target.path('/etc/hosts')
    old = open(conf).read()
    with open(hosts, 'a') as f:
        f.write('10.88.0.1 fresh\n')
    T.equal('a new line in hosts counts at once', c.lookup('fresh', V4), [('fresh.', '10.88.0.1')])
    with open(conf, 'w') as f:
        f.write('nameserver 127.0.0.99\noptions attempts:3\n')
    t = time.monotonic()
    T.equal('no server there', c.lookup('a.test', V4), NO_CONNECTIONS)
    T.check('is said at once', time.monotonic() - t < 0.5)
    with open(conf, 'w') as f:
        f.write('nameserver 192.0.2.1\nnameserver 127.0.0.99\nnameserver 127.0.0.53\n')
    T.equal('the next server is asked', c.lookup('a.test', V4), [('a.test.', '10.1.1.1')])
    os.unlink(conf)
    T.equal('no resolv.conf', c.lookup('a.test', V4), NO_CONFIG)
    T.equal('hosts still count', c.lookup('fresh', V4), [('fresh.', '10.88.0.1')])
    os.symlink('/data/conf', conf)
    with open(target.path('/data/conf'), 'w') as f:
        f.write(old)
    T.equal("a link is followed in the target's root", c.lookup('a.test', V4), [('a.test.', '10.1.1.1')])
    os.unlink(conf)
    os.mkfifo(conf)
    T.check('a FIFO in its place hangs nothing', isinstance(c.lookup('a.test', V4), Err))
    os.unlink(conf)
    with open(conf, 'wb') as f:
        f.write(os.urandom(50000))
    T.check('nor does noise', isinstance(c.lookup('none.test.', V4), Err))
    with open(conf, 'w') as f:
        f.write(old)
    os.unlink(hosts)
    T.equal('no hosts file: the servers are asked', c.lookup('a.test', V4), [('a.test.', '10.1.1.1')])
    T.equal('localhost needs none', c.lookup('localhost', V4), [('localhost.', '127.0.0.1')])


def main():
    with Target() as target:
        agent = target.standalone()
        if not T.check('ready', (agent.hear() or ('',))[0] == 'R', agent.log()):
            return
        c = agent.client()
        c.version()
        names(c)
        order(c)
        reverse(c)
        gone = agent.client()
        for _ in range(30):
            gone.dns('drop.test.', V4)
        gone.close()
        files(c, target)
        agent.ctl.close()
        T.equal('exit', agent.wait(), 0)


try:
    main()
finally:
    code = T.end()
sys.exit(code)
