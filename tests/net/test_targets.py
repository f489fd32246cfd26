"""connect, connect --replace and forget; and whom a router refuses, with the reason on both sides."""

import pytest

from lab import mesh, wait_until


@pytest.fixture
def three(lab):
    lan = lab.lan()
    hosts = [lan.host(n) for n in "abc"]
    for host in hosts:
        host.launch("--no-discovery")
    return hosts


def test_connect_and_forget(three):
    a, b, c = three
    assert a.weave("connect", b.ip, f"{c.ip}:6783") == ""
    mesh([a, b])
    mesh([a, c])
    assert sorted(a.status("targets")) == sorted([b.ip, f"{c.ip}:6783"])
    assert a.weave("forget", b.ip) == ""
    assert a.status("targets") == [f"{c.ip}:6783"]
    # As in Weave Net: a live connection is not cut.
    assert a.is_meshed(b, c)
    # An unknown one is no mistake.
    assert a.weave("forget", "10.99.1.77") == ""


def test_forgotten_peer_is_not_dialled_again(three):
    a, b, c = three
    a.weave("connect", b.ip)
    mesh([a, b])
    a.weave("forget", b.ip)
    b.kill()
    wait_until(5, lambda: not a.established(), "a notices")
    b.launch("--no-discovery")
    c.weave("connect", a.ip, b.ip)
    mesh([c, a])
    mesh([c, b])  # by now a would have dialled too
    assert not a.is_meshed(b)


def test_connect_replace(three):
    a, b, c = three
    a.weave("connect", b.ip)
    mesh([a, b])
    a.weave("connect", "--replace", c.ip)
    mesh([a, c])
    assert a.status("targets") == [c.ip]
    a.weave("connect", "--replace")
    assert a.status("targets") == []


def test_targets_survive_a_crash(three):
    a, b, c = three
    a.weave("connect", b.ip)
    mesh([a, b])
    a.kill()
    a.launch("--no-discovery", "--resume")
    assert a.status("targets") == [b.ip]
    mesh([a, b])


def test_peer_that_is_not_there_yet(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch(b.ip)
    wait_until(5, lambda: any(c["State"] in ("failed", "retrying") and c["Error"]
                              for c in a.connections()), "the failure is shown with its reason")
    text = a.weave("status", "connections")
    assert text.startswith("-> 10.99.1.2:6783")
    b.launch()
    mesh([a, b], 30)


def test_name_that_does_not_resolve(three):
    """It may do so later, so it is a target like any other, and status says what is wrong."""
    a, b, _ = three
    a.weave("connect", "no-such-host.invalid", b.ip)
    mesh([a, b])
    wait_until(20, lambda: any(c["Address"].startswith("no-such-host.invalid") and c["Error"]
                               for c in a.connections()), "the reason is shown")


def test_two_routers_with_the_same_name(lab):
    """Both say so, nothing crashes, and the third peer stays fine."""
    name = "7a:00:00:00:00:07"
    lan = lab.lan()
    a, b, c = lan.host("a"), lan.host("b"), lan.host("c")
    c.launch()
    a.launch("--name", name, c.ip)
    mesh([a, c])
    x, y = a.container("10.2.1.1/24"), c.container("10.2.1.3/24")
    wait_until(10, lambda: x.reaches("10.2.1.3"), "ping")
    b.launch("--name", name, c.ip, a.ip)

    def complaints(host):
        router = host.report()["Router"]
        texts = router["Warnings"] + [str(k["Error"]) for k in router["Connections"]]
        return [t for t in texts if "same name" in t or "name" in t and name in t]

    wait_until(20, lambda: complaints(a), "a says that another router has its name")
    wait_until(20, lambda: complaints(b), "b says that another router has its name")
    assert c.is_running() and a.is_running() and b.is_running()
    # The third one goes on talking to whichever keeps the name, and to a newcomer.
    d = lan.host("d")
    d.launch(c.ip)
    mesh([c, d])
    z = d.container("10.2.1.4/24")
    wait_until(10, lambda: y.reaches("10.2.1.4"), "c and d talk")
    assert c.memory_kb() < 40_000
    b.weave("stop")
    a.weave("stop")
    a.launch("--name", name, c.ip)
    mesh([a, c, d], 30)
    wait_until(20, lambda: x.reaches("10.2.1.4"), "all is well without the double")


def test_connection_to_itself(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    a.weave("connect", a.ip)
    wait_until(10, lambda: any("own address" in str(c["Error"])
                               for c in a.connections()),
               "it says that this is itself")
    b.launch(a.ip)
    mesh([a, b])


def test_other_port(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--port", "7000")
    b.launch("--port", "7100", f"{a.ip}:7000")
    mesh([a, b])
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: x.reaches("10.2.1.2"), "ping")


def test_stop_says_why_on_the_other_side(three):
    a, b, _ = three
    a.weave("connect", b.ip)
    mesh([a, b])
    b.weave("stop")
    wait_until(5, lambda: any(c["State"] != "established" and c["Error"] for c in a.connections()),
               "a shows why the connection ended")
    errors = " ".join(str(c["Error"]) for c in a.connections())
    assert "stop" in errors or "shut" in errors or "refused" in errors


def test_connection_limit(lab):
    lan = lab.lan()
    hub = lan.host("hub")
    others = [lan.host(f"o{i}") for i in range(3)]
    for other in others:
        other.launch()
    hub.launch("--conn-limit", "2", *[o.ip for o in others])
    wait_until(15, lambda: len(hub.established()) >= 2, "two connections")
    # Everybody is reachable all the same.
    wait_until(20, lambda: len(hub.peers()) == 4, "all peers are known and reachable")
