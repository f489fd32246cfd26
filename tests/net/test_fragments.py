"""Frames that do not fit the path: nothing is ever swallowed without a word."""

import re

import pytest

from lab import mesh, transfer, wait_until

PATHS = ["with-icmp", "without-icmp", "silent-drop-udp", "silent-drop"]


@pytest.fixture(scope="module", params=PATHS)
def narrow(request, module_lab):
    """Two hosts between which packets of at most 700 bytes pass.  A lab for all four, and names
    that differ."""
    k = PATHS.index(request.param)
    if "icmp" in request.param:
        a, b = module_lab.routed_pair(700, f"a{k}", f"b{k}", icmp=request.param == "with-icmp")
    else:
        lan = module_lab.lan()
        a, b = lan.host(f"a{k}"), lan.host(f"b{k}")
        for host in (a, b):
            # Packets as they are on a wire: the rule would see sixty as one.
            host.run(["ethtool", "-K", next(n for n in host.links() if n != "lo"), "gro", "off",
                      "gso", "off", "tso", "off", "tx-udp-segmentation", "off"])
        lan.rule("ip protocol udp ip length > 700 drop" if request.param.endswith("udp")
                 else "ip length > 700 drop")
    for host in (a, b):
        # What the kernel does for TCP on such paths; sleeve has to find out by itself.
        host.sysctl("net.ipv4.tcp_mtu_probing", 2)
        host.sysctl("net.ipv4.tcp_base_mss", 512)
    a.launch()
    b.launch(a.ip)
    mesh([a, b], 30)
    a.box, b.box = a.container("10.2.1.1/24", "fd02::1/64"), b.container("10.2.1.2/24", "fd02::2/64")
    wait_until(15, lambda: a.box.reaches(b.box.ip), "ping")
    wait_until(30, lambda: a.box.reaches(b.box.ip, size=10000), "a ping of 10000 bytes")
    # While a path is measured nobody is told what fits.
    wait_until(30, lambda: is_told(a.box, b.box.ip) and is_told(b.box, a.box.ip), "a settled size")
    return a, b


def is_told(box, ip):
    result = box.try_run(["ping", "-n", "-c", 1, "-W", 1, "-M", "do", "-s", 1200, ip])
    return "mtu" in result.stdout + result.stderr


def test_ten_thousand_bytes(narrow):
    a, b = narrow
    assert a.box.ping(b.box.ip, count=10, size=10000) == 10
    assert b.box.ping(a.box.ip, count=10, size=10000) == 10
    # Routers do not fragment IPv6, so the first ones, each way, are answered by "too big".
    wait_until(5, lambda: a.box.reaches("fd02::2", size=10000), "both ends know the size")
    assert a.box.ping("fd02::2", count=10, size=10000) == 10


@pytest.mark.parametrize("size", [500, 600, 630, 640, 650, 660, 672, 680, 700, 1000, 1372])
def test_all_sizes(narrow, size):
    a, b = narrow
    # ping sets DF while it believes that a packet fits, so the first one may only teach it.
    wait_until(3, lambda: a.box.reaches(b.box.ip, size=size), "both ends know the size")
    assert a.box.ping(b.box.ip, count=3, size=size) == 3


def test_too_big_with_dont_fragment_gets_an_answer(narrow):
    a, b = narrow
    result = a.box.try_run(["ping", "-n", "-c", 3, "-i", 0.2, "-W", 1, "-M", "do", "-s", 1200,
                            b.box.ip])
    text = result.stdout + result.stderr
    assert re.search(r"[Ff]rag(mentation)? needed|message too long", text), text
    # What the router said fits.
    found = re.search(r"mtu ?= ?(\d+)", text)
    assert found, text
    mtu = int(found.group(1))
    assert 400 < mtu < 700
    assert a.box.ping(b.box.ip, size=mtu - 28, dont_fragment=True) == 3


def test_tcp_moves_data(narrow, say):
    a, b = narrow
    seconds = transfer(a.box, b.box, b.box.ip, 2_000_000)
    say(f"2 MB over 700 bytes of path: {seconds:.2f} s")
    transfer(b.box, a.box, "fd02::1", 1_000_000)


def test_path_that_shrinks_and_grows(lab, say):
    """The path MTU falls under traffic, silently, and comes back."""
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    for host in (a, b):
        host.run("ethtool -K eth1 gro off gso off tso off tx-udp-segmentation off")
    a.launch()
    b.launch(a.ip)
    mesh([a, b])
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: x.reaches("10.2.1.2", size=10000), "a large ping")
    lan.rule("ip protocol udp ip length > 900 drop")
    wait_until(30, lambda: x.reaches("10.2.1.2", size=10000), "a large ping over the small path")
    transfer(x, y, "10.2.1.2", 1_000_000)
    lan.heal()
    assert x.ping("10.2.1.2", size=10000) == 3


def test_given_mtu(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--mtu", "1000")
    b.launch("--mtu", "1000", a.ip)
    mesh([a, b])
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    assert x.links()["ethwe"]["mtu"] == 1000
    wait_until(10, lambda: x.reaches("10.2.1.2", size=5000), "ping")
