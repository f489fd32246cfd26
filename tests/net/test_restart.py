"""Crash and restart: nothing to do by hand, and nothing lost that was on disk or in the kernel."""

import time

import pytest

from lab import Pinger, mesh, wait_until


@pytest.fixture
def pair(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    b.launch(a.ip)
    mesh([a, b])
    a.box, b.box = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(10, lambda: a.box.reaches(b.box.ip), "ping")
    return a, b


def test_kill_and_restart_under_traffic(pair, say):
    """The issue's deadline: same name, traffic back within 5 s of the start."""
    a, b = pair
    name = a.report()["Router"]["Name"]
    pinger = Pinger(b.box, a.box.ip)
    wait_until(5, lambda: len(pinger.times) > 20, "pings are answered")
    a.kill()
    assert a.try_weave("status").returncode == 7
    start, started = time.monotonic(), time.time()
    assert a.launch() == name
    say(f"start to ready: {(time.monotonic() - start) * 1000:.0f} ms")
    wait_until(20, lambda: pinger.answers_after(started) > 0, "traffic is back")
    back = next(t for t in pinger.stop().times if t > started) - started
    say(f"traffic back {back:.2f} s after the restart")
    assert back < 5
    mesh([a, b])
    assert a.box.ip in a.weave("ps")


def test_kill_of_all_and_restart(pair):
    a, b = pair
    a.kill()
    b.kill()
    b.launch("--resume")
    a.launch("--resume")
    mesh([a, b])
    wait_until(10, lambda: a.box.reaches(b.box.ip), "traffic is back")


def test_stop_leaves_containers_alone(pair):
    a, b = pair
    a.weave("stop")
    assert not a.is_running()
    assert a.box.addresses("ethwe") == ["10.2.1.1/24"]
    assert a.weave("stop") == ""  # again: only a note on stderr
    a.launch()
    wait_until(10, lambda: b.box.reaches(a.box.ip), "traffic is back")


def test_resume_and_plain_launch(pair):
    a, b = pair
    b.weave("stop")
    b.launch("--resume")
    assert b.status("targets") == [a.ip]
    b.weave("stop")
    b.launch()
    assert b.status("targets") == []


def test_bridge_deleted_under_a_dead_router(pair):
    a, b = pair
    a.kill()
    a.run("ip link del weave")
    a.launch(b.ip)
    wait_until(10, lambda: a.box.reaches(b.box.ip), "traffic is back")


def test_bridge_deleted_under_a_living_router(pair):
    a, b = pair
    a.run("ip link del weave")
    wait_until(10, lambda: "weave" in a.links(), "the bridge is back")
    wait_until(10, lambda: a.box.reaches(b.box.ip), "traffic is back")


def test_container_unplugged_by_hand_is_plugged_in_again(pair):
    a, b = pair
    port = next(n for n, link in a.links().items()
                if link.get("master") == "weave" and link.get("link_index")
                and link.get("link_netnsid") is not None)
    a.run(["ip", "link", "set", port, "nomaster"])
    wait_until(10, lambda: a.box.reaches(b.box.ip), "traffic is back")


def test_truncated_state_file_is_set_aside(pair):
    a, b = pair
    a.kill()
    files = [f for f in a.state_dir.iterdir() if f.is_file() and f.stat().st_size > 4]
    assert files, "a router that ran has state"
    for file in files:
        data = file.read_bytes()
        file.write_bytes(data[:len(data) // 2])
    before = {f.name for f in a.state_dir.iterdir()}
    a.launch(b.ip)
    mesh([a, b])
    assert {f.name for f in a.state_dir.iterdir()} - before, "the damaged file is kept beside"
    assert "damaged" in a.log()
    wait_until(10, lambda: a.box.reaches(b.box.ip), "traffic is back")


def test_clock_set_back_needs_no_generation_from_the_clock(pair):
    """A restart must get a higher generation even when nothing but the disk knows the last one."""
    a, b = pair
    first = a.report()["Router"]["Generation"]
    a.kill()
    a.launch(b.ip)
    assert a.report()["Router"]["Generation"] > first


def test_host_changes_its_address(pair):
    """Nobody is told: the other end knows only the address that is gone."""
    a, b = pair
    old = a.ip
    new = f"{old.rsplit('.', 1)[0]}.77"
    device = next(n for n, link in a.links().items() if n.startswith("eth"))
    a.run(["ip", "address", "add", f"{new}/24", "dev", device])
    a.run(["ip", "address", "del", f"{old}/24", "dev", device])
    a.run(["ip", "address", "replace", f"{new}/24", "dev", device])
    wait_until(40, lambda: a.box.reaches(b.box.ip), "traffic is back")
    wait_until(30, lambda: any(new in c["Address"] for c in b.connections()
                               if c["State"] == "established"), "b knows the new address")
