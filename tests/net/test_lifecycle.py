"""launch, stop, reset: start errors say why and leave nothing, and reset takes everything away."""

import os
import re
import signal
import socket
import time

import pytest

from lab import BIN, mesh, wait_until


@pytest.fixture
def host(lab):
    return lab.lan().host("a")


def objects(host):
    """Everything that a router may leave on a machine."""
    files = [p for d in (host.run_dir, host.state_dir) if d.exists() for p in d.rglob("*")
             if not p.is_dir()]
    return {
        "links": sorted(n for n in host.links() if n not in ("lo", "eth1")),
        "nft": host.run("nft list tables").split("\n")[:-1],
        "files": sorted(str(f) for f in files),
        "processes": host.processes(),
        "sockets": host.run("ss -Hltunp").strip(),
        "rules": host.run("ip rule"),
        "routes": host.run("ip route show table all type unicast"),
    }


def test_everything_is_gone_after_reset(host):
    before = objects(host)
    host.launch("10.99.1.77")
    boxes = [host.container("10.2.1.1/24"), host.container("10.2.1.2/24", "fd02::2/64")]
    host.weave("expose", "10.2.1.100/24")
    assert host.run("nft list tables") and "weave" in host.links()
    host.weave("reset")
    assert objects(host) == before
    for box in boxes:
        assert set(box.links()) == {"lo"}
    host.weave("reset")  # nothing there: nothing to do
    assert objects(host) == before


def test_reset_after_a_crash(host):
    before = objects(host)
    host.launch()
    host.container("10.2.1.1/24")
    host.weave("expose", "10.2.1.100/24")
    host.kill()
    host.weave("reset", "--force")
    assert objects(host) == before


def test_reset_gives_a_new_name(host):
    first = host.launch()
    host.weave("stop")
    assert host.launch() == first
    host.weave("reset")
    assert host.launch() != first


def test_reset_leaves_what_is_not_ours(host):
    host.run("ip link add other type bridge")
    host.run("nft add table ip other")
    host.launch()
    host.weave("reset")
    assert "other" in host.links()
    assert "other" in host.run("nft list tables")


def test_launch_twice(host):
    host.launch()
    pid = host.pid
    again = host.try_weave("launch")
    assert again.returncode == 3
    assert "already running" in again.stderr and not again.stdout
    assert host.pid == pid and host.is_running()


def test_two_launches_at_once(host):
    first = host.start(host.weave_command("launch"))
    second = host.start(host.weave_command("launch"))
    codes = sorted([first.wait(20), second.wait(20)])
    assert codes == [0, 3]
    assert host.is_running()
    assert len(host.processes()) == 1


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_port_in_use(host, kind):
    before = objects(host)
    with host.socket(socket.AF_INET, kind) as taken:
        taken.bind(("0.0.0.0", 6783))
        if kind == socket.SOCK_STREAM:
            taken.listen(1)
        result = host.try_weave("launch")
        assert result.returncode == 1
        assert "6783" in result.stderr and re.search("in use", result.stderr, re.IGNORECASE)
        assert not result.stdout
        now = objects(host)
        for kind_of in ("links", "nft", "processes"):
            assert now[kind_of] == before[kind_of]
    host.launch()  # and now it works


def test_status_port_in_use(host):
    with host.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 6784))
        taken.listen(1)
        result = host.try_weave("launch")
        assert result.returncode == 1 and "6784" in result.stderr
        assert host.processes() == []
        host.launch("--status-addr", "")


def test_bridge_name_taken_by_something_else(host):
    host.run("ip link add weave type veth peer name weavex")
    result = host.try_weave("launch")
    assert result.returncode == 1 and "weave" in result.stderr and "bridge" in result.stderr
    assert host.processes() == []
    assert "weave" in host.links()


def test_other_bridge_name(host):
    host.launch("--weave-bridge", "wv1")
    assert "wv1" in host.links() and "weave" not in host.links()
    host.weave("stop")
    # Starting on another one would leave the first behind.
    result = host.try_weave("launch")
    assert result.returncode == 1 and "wv1" in result.stderr and "reset" in result.stderr
    assert "weave" not in host.links()
    host.weave("reset", "--force")
    assert "wv1" not in host.links()
    host.launch()


def test_unwritable_state_dir(host):
    """A file stands where a folder should be: root's permissions do not matter there."""
    host.state_dir.parent.mkdir(parents=True, exist_ok=True)
    host.state_dir.write_text("in the way")
    result = host.try_weave("launch")
    assert result.returncode == 1
    assert str(host.state_dir) in result.stderr
    assert host.processes() == []
    assert host.state_dir.read_text() == "in the way"


def test_full_disk_at_launch(host):
    """Generation and name could not be made durable, so the router must not start."""
    host.state_dir.mkdir(parents=True)
    mount = ["unshare", "--mount", "sh", "-c",
             'mount -t tmpfs -o size=4k,nr_inodes=2 tmpfs "$0" && head -c 4096 /dev/zero >"$0/x";'
             ' exec "$@"', str(host.state_dir)]
    result = host.try_run([*mount, *host.weave_command("launch")])
    assert result.returncode == 1, result
    assert re.search(r"[Nn]o space", result.stderr), result.stderr
    assert host.processes() == []


def test_sigterm_ends_cleanly(host):
    host.launch()
    host.kill(signal.SIGTERM)
    assert not (host.run_dir / "weave.sock").exists() or host.try_weave("status").returncode == 7
    host.launch()


def test_stop_and_status_without_router(host):
    result = host.try_weave("stop")
    assert result.returncode == 0 and result.stderr.strip()
    for command in (["status"], ["status", "peers"], ["report"], ["ps"], ["connect", "10.0.0.1"],
                    ["expose", "10.2.1.1/24"]):
        result = host.try_weave(*command)
        assert result.returncode == 7, command
        assert result.stderr.strip() and not result.stdout


def test_environment_names_the_directories(host):
    env = {"WEAVE_RUN_DIR": str(host.run_dir), "WEAVE_STATE_DIR": str(host.state_dir)}
    name = host.run([str(BIN / "weave"), "launch"], env=env).strip()
    assert host.is_running()
    assert name in host.run([str(BIN / "weave"), "status"], env=env)
    assert any(host.state_dir.iterdir())


def test_two_routers_on_one_machine(lab):
    """Each in a network namespace, with its own directories; commands work from anywhere."""
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    b.launch(a.ip)
    mesh([a, b])
    outside = lab.lan().switch  # no route to either
    text = outside.run(b.weave_command("status", "connections"))
    assert "established" in text


def test_ready_quickly_small_and_few_descriptors(host, say):
    """The issue: under 20 MB resident, ready in under 0.5 s (printed; bench/idle.py measures)."""
    start = time.monotonic()
    host.launch()
    seconds = time.monotonic() - start
    host.container("10.2.1.1/24")
    memory = host.memory_kb()
    descriptors = len(os.listdir(f"/proc/{host.pid}/fd"))
    say(f"ready after {seconds * 1000:.0f} ms, {memory / 1024:.1f} MB resident, "
        f"{descriptors} descriptors")
    assert memory < 20 * 1024
    assert descriptors < 64


def test_version_and_help(host):
    assert "weave" in host.weave("version")
    result = host.try_weave("--help")
    assert result.returncode == 0 and "launch" in result.stderr
    result = host.try_run([str(BIN / "weaver"), "--version"])
    assert result.returncode == 0 and re.search(r"\d+\.\d+", result.stdout)


def test_socket_is_for_root_only(host):
    host.launch()
    mode = os.stat(host.run_dir / "weave.sock").st_mode & 0o777
    assert mode & 0o007 == 0
    result = host.try_run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                           *host.weave_command("stop")])
    assert result.returncode != 0
    assert host.is_running()


def test_many_starts_and_stops_leave_nothing(host):
    host.launch()
    wait_until(5, lambda: host.status()["Ready"], "ready")
    links = len(host.links())
    for _ in range(5):
        host.weave("stop")
        host.launch()
    assert len(host.links()) == links
