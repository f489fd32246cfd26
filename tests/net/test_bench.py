"""The benchmark harness itself: it measures, it stops when told, it leaves nothing behind."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from lab import ROOT, wait_until

RUN = str(ROOT / "bench" / "run")


def namespaces_of(pid):
    return [p.name for p in pathlib.Path("/run/netns").glob(f"wl-{pid}-*")]


def start(tmp_path, *options):
    with open(tmp_path / "log", "w") as log:
        return subprocess.Popen([RUN, "--out", str(tmp_path / "r.json"), *options], stdout=log,
                                stderr=subprocess.STDOUT, start_new_session=True)


@pytest.mark.parametrize("modes, measures, runs", [
    # All that a way can be, with little; then all that can be measured, of one way.
    ("vxlan,fastdp-relay,sleeve-pcap,sleeve-sealed", "tcp1,memory", 4 + 3),
    ("sleeve-sealed", "pps64,udp-best,tcp-rr,udp-rr,tcp-crr", 5),
])
def test_measures_and_leaves_nothing(tmp_path, modes, measures, runs):
    process = start(tmp_path, "--modes", modes, "--measures", measures, "--baseline",
                    modes.split(",")[0], "--rounds", "1", "--tolerate", "100")
    status = process.wait(240)
    text = (tmp_path / "log").read_text()
    assert status == 0, text
    result = json.loads((tmp_path / "r.json").read_text())
    states = {m: s["status"] for m, s in result["state"]["veth"].items()}
    assert states == dict.fromkeys(modes.split(","), "measured"), text
    assert not [r for r in result["runs"] if "error" in r], text
    # Three of those modes have a daemon to weigh.
    assert len(result["runs"]) == runs
    assert all(v > 0 for r in result["runs"] for k, v in r["metrics"].items()
               if k != "retransmits_per_gb")
    assert (tmp_path / "r.csv").read_text().count("\n") > runs
    assert namespaces_of(process.pid) == []


def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing(tmp_path):
    process = start(tmp_path, "--modes", "vxlan,fastdp", "--measures", "tcp1", "--rounds", "50",
                    "--tolerate", "100")
    try:
        wait_until(60, lambda: "round 2" in (tmp_path / "log").read_text(), "the second round")
        made = namespaces_of(process.pid)
        inside = [pid for name in made for pid in subprocess.run(
            ["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()]
        assert len(made) == 8 and inside    # 2 modes, 2 hosts each, 2 containers each
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)
    assert namespaces_of(process.pid) == []
    wait_until(5, lambda: not any(os.path.exists(f"/proc/{pid}") for pid in inside),
               "what ran in them has ended")
    rounds = {r["round"] for r in json.loads((tmp_path / "r.json").read_text())["runs"]}
    assert 1 in rounds


def test_bad_options_change_nothing(tmp_path):
    process = start(tmp_path, "--modes", "vxlan,nosuch")
    assert process.wait(30) == 2
    assert "'nosuch' is none of: host, vxlan, fastdp" in (tmp_path / "log").read_text()
    assert not (tmp_path / "r.json").exists()
    (tmp_path / "r.json").write_text("{}")
    process = start(tmp_path, "--append", "--modes", "vxlan")
    assert process.wait(60) == 1
    assert "is not a result of this harness" in (tmp_path / "log").read_text()
    assert (tmp_path / "r.json").read_text() == "{}"


# --- two hosts over ssh: namespaces with an sshd each --------------------------------------------

# A bash below another one reads no .bashrc, which here and there takes half a second each time.
SSHD = """ListenAddress {ip}
SetEnv SHLVL=9
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/user_key.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
"""


@pytest.fixture
def desk(lab, tmp_path):
    """A place to sit at, from which two hosts are reached by ssh; .hosts, .ssh."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if not sshd:
        pytest.skip("openssh-server is not installed")
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / key],
                       check=True)
    lan = lab.lan()
    here = lan.host("desk")
    here.hosts = [lan.host("a"), lan.host("b")]
    for host in here.hosts:
        config = tmp_path / f"{host.short}.conf"
        config.write_text(SSHD.format(ip=host.ip, dir=tmp_path))
        host.start([sshd, "-D", "-e", "-f", config])
        wait_until(10, lambda: host.open_port(22), "sshd listens")
    here.ssh = (f"ssh -F none -i {tmp_path}/user_key -o StrictHostKeyChecking=no "
                "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR")
    return here


def left_behind(host):
    links = [n for n in host.links() if n in ("wbbr", "wbvx", "weave") or n.startswith("vxlan")]
    return links, [p.name for p in pathlib.Path("/tmp").glob("weave-bench-*")]


def run_between(desk, tmp_path, *options):
    hosts = [f"--host=root@{h.ip}" for h in desk.hosts]
    return desk.start([RUN, *hosts, "--ssh", desk.ssh, "--out", tmp_path / "r.json",
                       "--tolerate", "100", *options])


def test_two_hosts_over_ssh(desk, tmp_path):
    before = [left_behind(h) for h in desk.hosts]
    process = run_between(desk, tmp_path, "--modes", "host,vxlan,fastdp,fastdp-relay", "--measures",
                          "tcp1,memory", "--rounds", "1")
    text = process.communicate(timeout=240)[0]
    assert process.returncode == 0, text
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["place"] == " and ".join(f"root@{h.ip}" for h in desk.hosts)
    state = {m: (s["status"], s["reason"]) for m, s in result["state"]["asis"].items()}
    assert state.pop("fastdp-relay") == ("skipped", "needs 3 hosts")
    assert set(state.values()) == {("measured", "")}, text
    assert not [r for r in result["runs"] if "error" in r], text
    assert len(result["runs"]) == 4
    cpu = next(r["raw"]["cpu"] for r in result["runs"] if r["measure"] == "tcp1")
    assert list(cpu) == [f"root@{h.ip}" for h in desk.hosts]   # of each host
    assert [left_behind(h) for h in desk.hosts] == before
    assert namespaces_of(process.pid) == []


def test_a_killed_run_leaves_nothing_on_the_hosts(desk, tmp_path):
    before = [left_behind(h) for h in desk.hosts]
    process = run_between(desk, tmp_path, "--modes", "fastdp", "--measures", "tcp1", "--rounds",
                          "50")
    for line in process.stdout:
        if "weave fastdp" in line and "tcp1" in line:
            break
    assert desk.hosts[0].links().keys() >= {"weave"}
    process.kill()
    process.wait(10)
    wait_until(30, lambda: [left_behind(h) for h in desk.hosts] == before,
               "the guards have tidied up")


def test_hosts_that_cannot_be_used_are_named(desk, tmp_path):
    process = desk.start([RUN, "--host", f"root@{desk.hosts[0].ip}", "--host", "root@10.99.1.200",
                          "--ssh", desk.ssh + " -o ConnectTimeout=1"])
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "bench/run: root@10.99.1.200: " in text and "Traceback" not in text
