"""However the agent ends, the target is as it was."""
import signal

import line_server
from agent_net import (OTHER_PORT, PORT, TARGET4, TARGET6, is_reset, main,
                       read_all, until)
from mirrord_wire import MIRROR, STEAL


def subscribed(rig):
    rig.start_agent()
    c = rig.client(local=line_server.start("local"))
    c.subscribe(STEAL, PORT)
    c.subscribe(MIRROR, OTHER_PORT)
    rig.equal("stolen", rig.ask(), "local x")
    rig.check("one table, with an owner", rig.tables().startswith(
        "table inet mrd_") and "\n" not in rig.tables(), rig.tables())
    return c


def untouched(rig, how):
    rig.equal(how + ": no table", rig.tables(), "")
    for where, inside in ((TARGET4, False), (TARGET6, False),
                          ("127.0.0.1", True), ("::1", True)):
        rig.equal(f"{how}: {where} answers", rig.ask(
            where=where, inside=inside), "target x")


def start(rig):
    rig.service("target")
    rig.service("other", "::", OTHER_PORT)


def killed(rig):
    for i in range(10):
        subscribed(rig)
        running = rig.connect()
        running.sendall(b"ECHO\nx")
        running.recv(10)
        rig.stop_agent(signal.SIGKILL)
        untouched(rig, f"SIGKILL {i}")
        running.settimeout(5)
        try:
            read_all(running)
        except ConnectionError:
            pass
        rig.check("its connections end", True)
        running.close()


def killed_under_load(rig):
    """No request may hang behind a table that is gone."""
    subscribed(rig)
    held = [rig.connect() for _ in range(50)]
    rig.stop_agent(signal.SIGKILL)
    untouched(rig, "SIGKILL with connections")
    for s in held:
        s.settimeout(5)
        try:
            s.sendall(b"GET x\n")
            read_all(s)
        except ConnectionError:
            pass
        s.close()
    rig.check("no connection hangs", True)


def terminated(rig):
    subscribed(rig)
    rig.equal("exit code", rig.stop_agent(signal.SIGTERM), 0)
    untouched(rig, "SIGTERM")


def terminated_while_passing_through(rig):
    """A request that is under way is answered before the agent ends."""
    c = subscribed(rig)
    s = rig.connect(port=OTHER_PORT)
    s.sendall(b"ECHO\nfirst")
    rig.equal("under way", s.recv(10), b"first")
    rig.agent.send_signal(signal.SIGTERM)
    rig.check("no longer redirected", until(lambda: rig.ports() == []))
    rig.equal("new ones reach the target", rig.ask(), "target x")
    s.sendall(b"second")
    rig.equal("it goes on", s.recv(10), b"second")
    s.close()
    rig.equal("exit code", rig.stop_agent(signal.SIGTERM), 0)
    untouched(rig, "SIGTERM with a connection")
    c.close()


def terminated_against_a_stubborn_peer(rig):
    subscribed(rig)
    s = rig.connect(port=OTHER_PORT)
    s.sendall(b"ECHO\nx")
    s.recv(10)
    rig.equal("exit code", rig.stop_agent(signal.SIGTERM), 0)
    rig.check("cut in the end", is_reset(s))
    s.close()
    untouched(rig, "SIGTERM, stubborn peer")


def last_client_leaves(rig):
    c = subscribed(rig)
    c.close()
    rig.check("the set is empty", until(lambda: rig.ports() == []))
    rig.equal("the target answers", rig.ask(), "target x")
    rig.stop_agent(signal.SIGTERM)
    untouched(rig, "the end")


def last_client_leaves_a_connection(rig):
    """Without idle time the agent ends by itself, but cuts nobody off."""
    rig.start_agent(MIRRORD_AGENT_IDLE_TTL="0")
    c = rig.client()
    c.subscribe(MIRROR, PORT)
    s = rig.connect()
    s.sendall(b"ECHO\nx")
    rig.equal("passes through", s.recv(10), b"x")
    c.close()
    rig.check("the agent waits for it", until(
        lambda: "connections still run count=1" in rig.log))
    rig.equal("no longer redirected", rig.ports(), [])
    s.sendall(b"y")
    rig.equal("it goes on", s.recv(10), b"y")
    s.close()
    rig.equal("then the agent ends by itself", rig.wait_agent(), 0)
    untouched(rig, "idle")


TESTS = (start, killed, killed_under_load, terminated,
         terminated_while_passing_through, terminated_against_a_stubborn_peer,
         last_client_leaves, last_client_leaves_a_connection)

if __name__ == "__main__":
    main("agent_cleanup", TESTS)
