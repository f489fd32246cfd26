"""Those who wait for addresses: what others notice of them, what they are told, and what is shown.

Every router here needs a second vote that never comes, so requests wait until the test ends them.
"""

import http.client
import json
import socket
import subprocess
import time

import pytest

from lab import Container, mesh, wait_until

ALONE = ("--ipalloc-range", "10.32.0.0/20", "--ipalloc-init", "consensus=2")


def pending(host):
    ipam = host.report()["IPAM"]
    return len(ipam["PendingAllocates"]), len(ipam["PendingClaims"])


def connect(host):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(30)
    s.connect(str(host.run_dir / "weave.sock"))
    return s


def ask(host, method, path):
    s = connect(host)
    s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    return s


def answer(s):
    response = http.client.HTTPResponse(s)
    response.begin()
    return response.status, response.read().decode()


def metrics(host):
    with connect(host) as s:
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return answer(s)[1]


@pytest.fixture
def lan(lab):
    return lab.lan()


@pytest.fixture
def host(lan):
    h = lan.host("a")
    h.launch(*ALONE)
    return h


def start_attach(host, *wants):
    c = Container(host, f"{host.short}w", [])
    return c, host.start(host.weave_command("attach", *wants, c.name), stderr=subprocess.PIPE)


def test_hundreds_wait_and_nobody_else_does(host):
    waiting = [ask(host, "POST", f"/ip/c{n}") for n in range(300)]
    wait_until(20, lambda: pending(host) == (300, 0), "all of them wait")
    begin = time.monotonic()
    host.weave("status")
    host.weave("ps")
    assert host.weave("expose", "10.99.0.1/24").strip() == "10.99.0.1"
    assert host.weave("hide").strip() == "10.99.0.1"
    assert time.monotonic() - begin < 20, "quick requests are not behind those that wait"
    assert 'weave_ipam_pending_allocates{range="10.32.0.0/20"} 300' in metrics(host)
    for s in waiting:
        s.close()
    wait_until(20, lambda: pending(host) == (0, 0), "their ends are noticed")


def test_who_waits_too_much_is_told(host):
    """896 may wait; then more are refused, and nobody else."""
    waiting = [ask(host, "POST", f"/ip/c{n}") for n in range(900)]
    wait_until(30, lambda: pending(host)[0] == 896, "as many as may")
    refused = [answer(s) for s in waiting[896:]]
    assert all(status == 503 and "too many requests wait" in text for status, text in refused)
    host.weave("status")
    for s in waiting:
        s.close()
    wait_until(20, lambda: pending(host) == (0, 0), "room again")


def test_the_answer_comes_when_it_comes(lan, host):
    """Longer than any other request may take, if the second vote takes that long."""
    c, attach = start_attach(host)
    exposing = host.start(host.weave_command("expose"))
    priming = ask(host, "GET", "/ring")
    claim = ask(host, "PUT", "/ip/c9/10.32.15.9/20")
    wait_until(10, lambda: pending(host) == (2, 1), "all wait")
    status = host.weave("status", "ipam")
    assert "awaiting consensus (quorum: 2, known: " in status and "2 allocations, 1 claims" in status
    time.sleep(35)
    assert attach.poll() is None and exposing.poll() is None
    other = lan.host("b")
    other.launch(*ALONE, host.ip)
    mesh([host, other])
    out, err = attach.communicate(timeout=30)
    assert attach.returncode == 0, err
    assert "weave status ipam" in err, "it said that it waits"
    assert [a.split("/")[0] for a in c.addresses("ethwe")] == out.split()
    assert exposing.wait(30) == 0
    assert answer(priming)[0] == 200
    assert answer(claim)[0] == 204
    wait_until(10, lambda: "Status: ready" in host.weave("status", "ipam"), "ready")
    assert 'weave_ipam_ready{range="10.32.0.0/20"} 1' in metrics(host)


def test_a_stop_tells_who_waits(host):
    c, attach = start_attach(host)
    raw = ask(host, "POST", "/ip/c1")
    wait_until(10, lambda: pending(host) == (2, 0), "both wait")
    host.weave("stop")
    _, err = attach.communicate(timeout=10)
    assert attach.returncode == 1 and "the router stops" in err
    assert answer(raw) == (503, "the router stops\n")
    assert "ethwe" not in c.links()


def test_a_killed_router_ends_the_wait(host):
    c, attach = start_attach(host)
    wait_until(10, lambda: pending(host) == (1, 0), "it waits")
    host.kill()
    _, err = attach.communicate(timeout=10)
    assert attach.returncode not in (0, 1, 4) and "does not answer" in err
    assert "ethwe" not in c.links()


def test_bad_requests_do_not_wait(host):
    for words in (["attach", "net:10.99.0.0/24", "EMPTY"], ["expose", "net:10.99.0.0/24"]):
        c = Container(host, f"{host.short}e", [])
        result = host.try_weave(*[c.name if w == "EMPTY" else w for w in words], limit=10)
        assert result.returncode == 1 and "10.99.0.0/24" in result.stderr
        c.delete()
    assert pending(host) == (0, 0)


def test_reports_for_people_and_programs(lan):
    a, b = lan.host("a"), lan.host("b")
    a.launch("--ipalloc-default-subnet", "10.33.0.0/16")
    b.launch("--ipalloc-default-subnet", "10.33.0.0/16", a.ip)
    mesh([a, b])
    a.weave("prime")
    b.weave("expose")
    name_b = b.weave("report", "-f", "{{.Router.Name}}").strip()
    assert a.weave("report", "-f", "{{.IPAM.DefaultSubnet}} {{.IPAM.Range}}").split() == [
        "10.33.0.0/16", "10.32.0.0/12"]
    shown = json.loads(a.weave("status", "ipam", "--json"))
    assert shown == a.report()["IPAM"] and shown["RangeNumIPs"] == 1 << 20
    assert sum(e["Size"] for e in shown["Entries"]) == 1 << 20
    owners = [line for line in a.weave("status", "ipam").splitlines() if " IPs (" in line]
    assert len(owners) == len(shown["Owners"]) and "active)" in owners[0]
    assert "unreachable!" not in "".join(owners)
    b.kill()
    wait_until(20, lambda: any("- unreachable!" in line and name_b in line
                               for line in a.weave("status", "ipam").splitlines()), "b is missed")
    assert 'weave_ipam_unreachable_count{range="10.32.0.0/12"} 1' in metrics(a)
    head = a.weave("status")
    assert "Service: ipam" in head and "DefaultSubnet: 10.33.0.0/16" in head
