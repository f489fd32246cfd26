"""Docker's users: `docker run --net=weave`, networks of their own, and what the plugin refuses.
Only the `docker` client drives the engines."""

import concurrent.futures
import json
import subprocess
import time

import pytest

from engines import IMAGE, IMAGE_NAMES, CommandFailed, wait_until

POOL = "weave-10.32.0.0/12-10.32.0.0/12"


def start_web(host, name, *options, network="weave"):
    host.run_container(name, *options, network=network, image=IMAGE_NAMES, command=(
        "sh", "-c", f"echo page of {name} >/www/index.html; exec httpd -f -p 80 -h /www"))


def fetches(host, name, target, page):
    """Waits until the page is there: the server starts with its container."""
    wait_until(10, lambda: host.fetch(name, target) == page, f"{page} at {target}")


def test_containers_of_two_hosts_reach_each_other(pair):
    a, b = pair
    start_web(a, "one")
    start_web(b, "two")
    assert a.address("one") != b.address("two")
    wait_until(10, lambda: a.pings("one", b.address("two")), "ping across hosts")
    fetches(a, "one", b.address("two"), "page of two")
    fetches(b, "two", a.address("one"), "page of one")


def test_a_container_that_goes_gives_everything_back(pair):
    a, _ = pair
    a.run_container("one")
    ip = a.address("one")
    assert ip in a.held() and len(a.endpoints()) == 1
    a.docker("rm", "-f", "one")
    assert ip not in a.held() and a.endpoints() == []


def test_the_next_one_with_an_address_is_reached_at_once(pair):
    a, b = pair
    a.run_container("one")
    b.run_container("two")
    ip = a.address("one")
    wait_until(10, lambda: b.pings("two", ip), "ping across hosts")
    a.docker("rm", "-f", "one")
    a.run_container("next")
    assert a.address("next") == ip
    # Nobody waits for half a minute until what it remembers is old.
    assert b.pings("two", ip)


def test_own_subnet_range_fixed_address_and_mac(pair):
    a, b = pair
    for host in pair:
        host.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--subnet",
                    "10.40.0.0/16", "--ip-range", "10.40.3.0/24", "own")
    a.run_container("one", network="own")
    b.run_container("two", "--ip", "10.40.7.7", "--mac-address", "02:00:00:00:77:77", network="own")
    assert a.address("one", "own").startswith("10.40.3.")
    assert b.address("two", "own") == "10.40.7.7"
    assert "02:00:00:00:77:77" in b.exec("two", "ip", "link", "show", "ethwe0").stdout
    wait_until(10, lambda: a.pings("one", "10.40.7.7"), "ping on the own subnet")
    # The same address once more, on either host.
    for host, name in ((a, "three"), (b, "four")):
        with pytest.raises(CommandFailed, match="10.40.7.7"):
            host.run_container(name, "--ip", "10.40.7.7", network="own")


def test_addresses_of_the_engines_own(pair):
    """Without --ipam-driver each engine gives out addresses by itself: a range for each host."""
    for n, host in enumerate(pair, 1):
        host.docker("network", "create", "-d", "weave", "--subnet", "172.29.0.0/16", "--ip-range",
                    f"172.29.{n}.0/24", "engines")
        host.run_container(f"own{n}", network="engines")
    a, b = pair
    one, two = a.address("own1", "engines"), b.address("own2", "engines")
    assert one.startswith("172.29.1.") and two.startswith("172.29.2.")
    wait_until(15, lambda: a.pings("own1", two) and b.pings("own2", one), "ping across hosts")
    assert one not in a.held(), "not of our range"


def test_both_hosts_may_name_the_same_gateway(pair):
    for host in pair:
        host.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--subnet",
                    "10.41.0.0/24", "--gateway", "10.41.0.1", "gated")
    addresses = []
    for i, host in enumerate(pair):
        host.run_container(f"g{i}", network="gated")
        addresses.append(host.address(f"g{i}", "gated"))
    assert len({*addresses, "10.41.0.1"}) == 3


def test_dual_stack(pair):
    a, b = pair
    for host in pair:
        host.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--ipv6",
                    "--subnet", "10.42.0.0/24", "--subnet", "fd32::4200/120", "dual")
    start_web(a, "one", network="dual")
    start_web(b, "two", "--ip6", "fd32::4242", network="dual")
    assert b.address("two", "dual", six=True) == "fd32::4242"
    six = a.address("one", "dual", six=True)
    wait_until(10, lambda: b.pings("two", six), "ping by IPv6")
    fetches(b, "two", six, "page of one")
    fetches(b, "two", a.address("one", "dual"), "page of one")
    fetches(a, "one", "fd32::4242", "page of two")


def test_internal_networks_lead_nowhere_else(pair):
    a, b = pair
    for host in pair:
        host.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--internal",
                    "--subnet", "10.43.0.0/24", "inner")
    a.run_container("one", network="inner")
    b.run_container("two", network="inner")
    routes = a.exec("one", "ip", "route").stdout
    assert "default" not in routes and "10.43.0.0/24" in routes
    wait_until(10, lambda: a.pings("one", b.address("two", "inner")), "ping")


def test_networks_are_removed_only_when_empty(pair):
    a, _ = pair
    a.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--subnet",
             "10.44.0.0/24", "busy")
    a.run_container("one", network="busy")
    with pytest.raises(CommandFailed, match="active endpoints"):
        a.docker("network", "rm", "busy")
    assert a.exec("one", "true").returncode == 0
    a.docker("rm", "-f", "one")
    a.docker("network", "rm", "busy")
    assert "busy" not in a.docker("network", "ls")


def test_multicast_is_an_option(pair):
    a, _ = pair
    for value, wanted in (("", True), ("=true", True), ("=false", False), (None, False)):
        option = [] if value is None else ["-o", f"works.weave.multicast{value}"]
        a.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--subnet",
                 "10.45.0.0/24", *option, "cast")
        a.run_container("one", network="cast")
        assert ("224.0.0.0/4" in a.exec("one", "ip", "route").stdout) == wanted
        a.docker("rm", "-f", "one")
        a.docker("network", "rm", "cast")


@pytest.mark.parametrize("options, says", [
    (("--subnet", "192.168.200.0/24"), "--ipalloc-range"),
    (("--subnet", "10.46.0.0/24", "-o", "works.weave.multicast=perhaps"), "works.weave.multicast"),
    (("--subnet", "10.46.0.0/24", "-o", "works.weave.mutlicast=1"), "works.weave.mutlicast"),
    (("--subnet", "10.46.0.0/24", "-o", "works.weave.segment="), "works.weave.segment"),
])
def test_what_cannot_be_is_said(pair, options, says):
    a, _ = pair
    with pytest.raises(CommandFailed, match=says):
        a.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", *options, "wrong")
    assert "wrong" not in a.docker("network", "ls")


def test_a_default_subnet_that_docker_would_refuse_for_ever(pair):
    """The engine asks again without end for another pool when it overlaps the host's routes."""
    a, _ = pair
    a.weave("expose", "ip:10.47.0.1/12")
    try:
        with pytest.raises(CommandFailed, match="--subnet"):
            a.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "loop", limit=20)
    finally:
        a.weave("hide")


def test_every_malformed_request_is_answered(pair):
    a, _ = pair
    ids = {"NetworkID": "f" * 64, "EndpointID": "e" * 64}
    cases = [
        ("NetworkDriver.Nothing", {}, 404), ("", {}, 404), ("../status", {}, 404),
        ("NetworkDriver.Join", "{", 400), ("NetworkDriver.Join", "[]", 400),
        ("NetworkDriver.Join", b"\xff\x00", 400), ("NetworkDriver.Join", "[" * 5000, 400),
        ("NetworkDriver.Join", ids, 400), ("NetworkDriver.CreateEndpoint", ids, 400),
        ("IpamDriver.RequestAddress", {"PoolID": "x"}, 400),
        ("IpamDriver.RequestPool", {"Pool": "1.2.3.4/99"}, 400),
        ("NetworkDriver.CreateNetwork", b"x" * (5 << 20), 413),
    ]
    for call, body, status in cases:
        got, text = a.call(call, body)
        assert got == status, (call, text)
        answer = json.loads(text)
        assert answer["Err"] and answer["Err"] == answer["Error"]
    # What fails is answered 200, as Docker wants it; what is gone already is fine.
    for call, body in (("NetworkDriver.CreateEndpoint", {**ids, "Interface": {}}),
                       ("NetworkDriver.Join", {**ids, "SandboxKey": "/x"})):
        got, text = a.call(call, body)
        assert got == 200 and "not known" in json.loads(text)["Err"]
    for call in ("NetworkDriver.Leave", "NetworkDriver.DeleteEndpoint",
                 "NetworkDriver.DeleteNetwork"):
        assert a.call(call, ids) == (200, a.call(call, ids)[1])
        assert json.loads(a.call(call, ids)[1]) == {}
    got, text = a.call("IpamDriver.ReleaseAddress", {"PoolID": POOL, "Address": "10.32.9.9"})
    assert got == 200 and json.loads(text) == {}
    assert a.call("Plugin.Activate", method="GET")[0] == 405
    assert a.call("Plugin.Activate", path=a.sockets[1])[0] == 200
    assert a.run_container("after")


def test_half_a_request_harms_nobody(pair):
    a, _ = pair
    import socket
    for data in (b"POST /NetworkDriver.Join HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
                 b"POST /Ne", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n"):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(a.sockets[0]))
            s.sendall(data)
    assert a.call("Plugin.Activate")[0] == 200


def inside(host, name, *command):
    """A command in the container's network namespace, with all that root may do."""
    pid = host.inspect(name)["State"]["Pid"]
    return subprocess.run(["nsenter", "-t", str(pid), "-n", *[str(c) for c in command]],
                          capture_output=True, text=True, timeout=30)


def test_networks_are_isolated_against_forged_frames(pair):
    """blue on both hosts is one network; red is another, though a container of blue takes an
    address of red, and sends to the MAC of a container there."""
    a, b = pair
    for host in pair:
        for name, subnet in (("blue", "10.60.0.0/16"), ("red", "10.61.0.0/16")):
            host.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--subnet",
                        subnet.replace("10.6", "10.4"), name)
    a.run_container("liar", network="blue")
    b.run_container("friend", network="blue")
    for host, name in ((a, "near"), (b, "far")):
        host.run_container(name, network="red")
    wait_until(15, lambda: a.pings("liar", b.address("friend", "blue")), "one network, two hosts")
    wait_until(15, lambda: a.pings("near", b.address("far", "red")), "the other one, too")
    assert inside(a, "liar", "ip", "address", "add", "10.41.200.1/16", "dev",
                  "ethwe0").returncode == 0
    for host, name in ((a, "near"), (b, "far")):
        ip = host.address(name, "red")
        mac = host.inspect(name)["NetworkSettings"]["Networks"]["red"]["MacAddress"]
        seen = subprocess.Popen(["nsenter", "-t", str(host.inspect(name)["State"]["Pid"]), "-n",
                                 "tcpdump", "-nlpi", "ethwe0", "host", "10.41.200.1"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while "listening on" not in (line := seen.stderr.readline()):
            assert line, "tcpdump has ended"
        assert inside(a, "liar", "ping", "-c", 2, "-W", 1, ip).returncode != 0
        inside(a, "liar", "ip", "neigh", "replace", ip, "lladdr", mac, "dev", "ethwe0")
        assert inside(a, "liar", "ping", "-c", 3, "-i", 0.2, "-W", 1, ip).returncode != 0
        seen.terminate()
        assert seen.communicate()[0].strip() == "", "a frame came through"
    assert a.pings("near", b.address("far", "red"))


def test_a_segment_may_be_named(pair):
    """Networks that Docker calls differently can be one; and one can be that of `weave attach`."""
    a, b = pair
    for host, name in ((a, "here"), (b, "there")):
        host.docker("network", "create", "-d", "weave", "--ipam-driver", "weave", "--subnet",
                    "10.43.0.0/16", "-o", "works.weave.segment=common", name)
        host.run_container(f"{name}1", network=name)
    wait_until(15, lambda: a.pings("here1", b.address("there1", "there")), "by the common name")
    assert "common" in a.weave("status", "networks")
    a.docker("rm", "-f", "here1")
    a.docker("network", "rm", "here")
    bridges = [n for n in a.links() if n.startswith("weave-")]
    assert not any("common" in a.links()[n].get("ifalias", "") for n in bridges), "closed with it"


def test_50_containers_at_once_on_each_host(pair, say):
    begun = time.monotonic()
    create = [(host, f"many{i}") for i in range(50) for host in pair]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda c: c[0].docker("create", "--name", c[1], "--net", "weave", IMAGE,
                                            "sleep", "10000"), create))
    created = time.monotonic() - begun
    # Several clients: each starts one container after another.
    names = {host: [name for h, name in create if h is host] for host in pair}
    starts = [host.background("start", *names[host][i::5]) for host in pair for i in range(5)]
    for process in starts:
        out, _ = process.communicate(timeout=150)
        assert process.returncode == 0, out
    own = {host: {host.address(name) for name in names[host]} for host in pair}
    assert len(set.union(*own.values())) == 100
    for host in pair:
        assert own[host] <= set(host.held()), "held by its router"
    a, b = pair
    wait_until(20, lambda: a.pings("many49", b.address("many49")), "the last reach each other")
    say(f"100 containers created in {created:.0f} s, and started within "
        f"{time.monotonic() - begun:.0f} s")
