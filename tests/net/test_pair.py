"""Two hosts, a container on each: the ordinary day, and what a person is shown of it."""

import json
import re
import urllib.request

import pytest

from lab import Lab, iperf, mesh, transfer, wait_until

NAME = r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"


@pytest.fixture(scope="module", params=["fastdp", "sleeve"])
def pair(request):
    with Lab() as lab:
        yield make_pair(lab.lan(), request.param)


def make_pair(lan, overlay):
    lan.overlay = overlay
    a, b = lan.host("a"), lan.host("b")
    options = ["--no-fastdp"] if overlay == "sleeve" else []
    a.lan = lan
    a.name_printed = a.launch(*options)
    b.name_printed = b.launch("--name", "7a:00:00:00:00:0b", *options, a.ip)
    mesh([a, b])
    for host in (a, b):
        wait_until(10, lambda: host.connections()[0]["Overlay"] == overlay, overlay)
    a.box = a.container("10.2.1.1/24", "fd02::1/64")
    b.box = b.container("10.2.1.2/24", "fd02::2/64")
    return a, b


def test_launch_prints_the_name(pair):
    a, b = pair
    assert re.fullmatch(NAME, a.name_printed)
    assert b.name_printed == "7a:00:00:00:00:0b"


def test_attach_prints_addresses_without_prefix(pair):
    assert pair[0].box.attach_output == "10.2.1.1 fd02::1\n"
    assert pair[0].box.addresses("ethwe") == ["10.2.1.1/24", "fd02::1/64"]


@pytest.mark.parametrize("way", [0, 1], ids=["a-to-b", "b-to-a"])
@pytest.mark.parametrize("ips", [("10.2.1.1", "10.2.1.2"), ("fd02::1", "fd02::2")],
                         ids=["ipv4", "ipv6"])
def test_ping(pair, way, ips):
    source, target = pair[way].box, ips[1 - way]
    wait_until(10, lambda: source.reaches(target), f"ping {target}")
    assert source.ping(target, count=20, interval=0.01) == 20


@pytest.mark.parametrize("way", [0, 1], ids=["a-to-b", "b-to-a"])
def test_iperf(pair, way, say):
    ips = ["10.2.1.1", "10.2.1.2"]
    speed = iperf(pair[way].box, pair[1 - way].box, ips[1 - way])
    say(f"iperf3: {speed / 1e6:.0f} Mbit/s")
    assert speed > 1e6


@pytest.mark.parametrize("ip", ["10.2.1.2", "fd02::2"])
def test_bytes_arrive_as_they_were_sent(pair, ip):
    transfer(pair[0].box, pair[1].box, ip, 20_000_000)


def test_large_datagrams(pair):
    assert pair[0].box.ping("10.2.1.2", size=10000) == 3
    assert pair[0].box.ping("10.2.1.2", size=60000) == 3


def test_status_text(pair):
    a, b = pair
    text = a.weave("status")
    labels = re.findall(r"^ *([A-Za-z]+): ", text, re.MULTILINE)
    assert labels[0] == "Version"
    wanted = ["Protocol", "Name", "Encryption", "PeerDiscovery", "Targets", "Connections", "Peers",
              "TrustedSubnets"]
    assert [label for label in labels if label in wanted] == wanted
    assert re.search(rf"Name: {a.name_printed}\(a\)", text)
    assert re.search(r"Connections: 1 \(1 established\)", text)
    assert re.search(r"Peers: 2 \(with 2 established connections\)", text)


def test_status_connections_columns(pair):
    a, b = pair
    line = b.weave("status", "connections")
    overlay, n = a.lan.overlay, a.lan.number
    assert re.fullmatch(rf"-> 10\.99\.{n}\.1:6783 {{8}}established {overlay} " + a.name_printed
                        + r"\(a\)[^\n]*mtu=\d+[^\n]*\n", line)
    line = a.weave("status", "connections")
    assert re.match(rf"<- 10\.99\.{n}\.2:\d+ +established {overlay} "
                    r"7a:00:00:00:00:0b\(b\)", line)


def test_status_peers_and_targets(pair):
    a, b = pair
    text, lan = b.weave("status", "peers"), rf"10\.99\.{a.lan.number}"
    assert re.search(rf"^{a.name_printed}\(a\)\n   <- {lan}\.2:\d+ +7a:00:00:00:00:0b\(b\) +"
                     r"established$", text, re.MULTILINE)
    assert re.search(rf"^7a:00:00:00:00:0b\(b\)\n   -> {lan}\.1:6783 +{a.name_printed}\(a\) +"
                     r"established$", text, re.MULTILINE)
    assert b.weave("status", "targets") == f"{a.ip}\n"
    assert a.weave("status", "targets") == ""


def test_every_status_has_json(pair):
    a, b = pair
    assert a.status()["Router"]["Name"] == a.name_printed
    assert b.status("targets") == [a.ip]
    assert [c["State"] for c in a.status("connections")] == ["established"]
    assert sorted(p["Name"] for p in a.status("peers")) == sorted([a.name_printed, b.name_printed])
    row = json.loads(a.weave("ps", "--json"))
    assert [x["Addresses"] for x in row] == [["10.2.1.1/24", "fd02::1/64"]]


def test_ps(pair):
    lines = pair[0].weave("ps").splitlines()
    assert len(lines) == 1
    assert re.fullmatch(rf"\S+ {NAME} 10\.2\.1\.1/24 fd02::1/64", lines[0])
    mac = pair[0].box.links()["ethwe"]["address"]
    assert mac in lines[0]
    assert pair[0].weave("ps", "nobody") == ""


def test_report(pair):
    a, b = pair
    report = a.report()
    assert report["Ready"] is True
    assert [c["State"] for c in report["Router"]["Connections"]] == ["established"]
    assert a.weave("report", "-f", "{{.Router.NickName}} {{len .Router.Peers}}").strip() == "a 2"
    assert a.weave("report", "-f", "{{range .Router.Peers}}<{{.NickName}}>{{end}}").strip() in (
        "<a><b>", "<b><a>")
    bad = a.try_weave("report", "-f", "{{.Router")
    assert bad.returncode == 1 and bad.stderr.strip() and not bad.stdout


def fetch(host, path, method="GET"):
    def ask():
        request = urllib.request.Request(f"http://127.0.0.1:6784{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
    return host.inside(ask)


def test_read_only_http(pair):
    a, _ = pair
    assert fetch(a, "/status/connections") == (200, a.weave("status", "connections"))
    assert fetch(a, "/status")[0] == 200
    assert fetch(a, "/nothing")[0] == 404
    status, text = fetch(a, "/stop", "POST")
    assert status in (403, 405) and text.strip()
    assert a.is_running()


def test_metrics_are_prometheus_text(pair):
    status, text = fetch(pair[0], "/metrics")
    assert status == 200
    described = set()
    for line in text.splitlines():
        found = re.match(r"# (HELP|TYPE) (\w+) \S", line)
        if found:
            described.add(found.group(2))
            continue
        found = re.fullmatch(r'(\w+)(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[0-9.e+-]+', line)
        assert found, line
        assert found.group(1) in described, line
    assert re.search(r'^weave_connections\{[^}]*state="established"[^}]*\} 1$', text, re.MULTILINE)


def test_detach(pair):
    a, b = pair
    box = a.container("10.2.1.7/24", "10.2.1.8/24")
    wait_until(5, lambda: b.box.reaches("10.2.1.8"), "ping the new container")
    assert a.weave("detach", "10.2.1.8/24", box.name) == "10.2.1.8\n"
    assert box.addresses("ethwe") == ["10.2.1.7/24"]
    assert not b.box.reaches("10.2.1.8", wait=0.5)
    assert b.box.reaches("10.2.1.7")
    assert a.weave("detach", box.name) == "10.2.1.7\n"
    assert "ethwe" not in box.links()
    assert not b.box.reaches("10.2.1.7", wait=0.5)


def test_attach_takes_name_path_and_pid(pair):
    a, b = pair
    holder = a.container()
    sleeper = holder.start(["sleep", "100"])
    try:
        a.weave("attach", "10.2.1.21/24", holder.name)
        a.weave("attach", "10.2.1.22/24", holder.path)
        wait_until(5, lambda: holder.processes(), "the process is there")
        a.weave("attach", "10.2.1.23/24", sleeper.pid)
        assert holder.addresses("ethwe") == ["10.2.1.21/24", "10.2.1.22/24", "10.2.1.23/24"]
        wait_until(5, lambda: b.box.reaches("10.2.1.23"), "ping it")
        # What is there already is success.
        assert a.weave("attach", "10.2.1.21/24", holder.name) == "10.2.1.21\n"
        assert len(holder.addresses("ethwe")) == 3
    finally:
        sleeper.kill()
        a.weave("detach", holder.name)


def test_a_container_that_goes_away_leaves_nothing(pair):
    a, b = pair
    before = set(a.links())
    box = a.container("10.2.1.30/24")
    wait_until(5, lambda: b.box.reaches("10.2.1.30"), "ping it")
    box.delete()
    wait_until(10, lambda: set(a.links()) == before, "its interface is gone")
    wait_until(10, lambda: "10.2.1.30/24" not in a.weave("ps"), "its row in ps is gone")


def test_ipv6_underlay(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    for host in (a, b):
        host.run(["ip", "address", "del", f"{host.ip}/24", "dev", "eth1"])
    a.launch()
    b.launch(f"[{a.ip6}]:6783")
    mesh([a, b])
    assert all("fd99:1::" in c["Address"] for c in a.connections() + b.connections())
    x, y = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(5, lambda: x.reaches("10.2.1.2"), "ping")
    transfer(y, x, "10.2.1.1", 1_000_000)
    assert x.ping("10.2.1.2", size=10000) == 3
