"""expose and hide: the host itself on the overlay."""

import pytest

from lab import mesh, wait_until


@pytest.fixture(scope="module")
def pair(module_lab):
    lan = module_lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    b.launch(a.ip)
    mesh([a, b])
    a.box, b.box = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: a.box.reaches(b.box.ip), "ping")
    return a, b


def test_host_reaches_containers_only_while_exposed(pair):
    a, b = pair
    assert not a.reaches(b.box.ip, wait=0.5)
    assert a.weave("expose", "10.2.1.100/24") == "10.2.1.100\n"
    wait_until(10, lambda: a.reaches(a.box.ip), "a container of this host")
    wait_until(10, lambda: a.reaches(b.box.ip), "a container of the other host")
    assert b.box.reaches("10.2.1.100")
    assert "weave:expose" in a.weave("ps")
    assert a.weave("expose", "10.2.1.100/24") == "10.2.1.100\n"  # again: nothing to do
    assert a.weave("hide", "10.2.1.100/24") == "10.2.1.100\n"
    assert not a.reaches(b.box.ip, wait=0.5)
    assert "weave:expose" not in a.weave("ps")
    assert a.weave("hide", "10.2.1.100/24").strip() in ("", "10.2.1.100")  # again


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_exposed_address_survives_a_restart(pair, end):
    a, b = pair
    a.weave("expose", "10.2.1.100/24", "fd02::100/64")
    if end == "kill":
        a.kill()
    else:
        a.weave("stop")
    a.launch(b.ip)
    mesh([a, b])
    assert set(a.addresses("weave")) == {"10.2.1.100/24", "fd02::100/64"}
    wait_until(10, lambda: a.reaches(b.box.ip), "the host reaches containers")
    assert "10.2.1.100/24" in a.weave("ps", "weave:expose")
    a.weave("hide")
    assert a.addresses("weave") == []


def test_masquerade_and_without(pair):
    """A machine that is no peer sees a container's packets as the host's own, or as they are."""
    a, b = pair
    lan = a.lab.lans[0]
    outside = lan.host("outside")
    outside.run(["ip", "route", "add", "10.2.1.0/24", "via", a.ip])
    a.box.run("ip route add default via 10.2.1.100")
    a.sysctl("net.ipv4.ip_forward", 1)

    def sources():
        keep = lambda f: f[12:14] == b"\x08\x00" and f[23] == 1 and f[34] == 8
        with outside.capture("eth1", keep) as capture:
            assert a.box.reaches(outside.ip)
            wait_until(2, lambda: capture.frames, "the request was captured")
        return {".".join(map(str, f[26:30])) for f in capture.frames}

    a.weave("expose", "10.2.1.100/24")
    assert sources() == {a.ip}
    a.weave("hide")
    a.weave("expose", "10.2.1.100/24", "--without-masquerade")
    assert sources() == {a.box.ip}
    a.weave("hide")


def test_flushed_firewall_is_put_back_by_expose(pair):
    a, b = pair
    a.weave("expose", "10.2.1.100/24")
    assert "weave" in a.run("nft list tables")
    a.run("nft flush ruleset")
    a.weave("expose", "10.2.1.100/24")
    assert "masquerade" in a.run("nft list ruleset")
    a.weave("hide")
