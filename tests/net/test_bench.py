"""The benchmark harness itself: it measures, it stops when told, it leaves nothing behind."""

import json
import os
import pathlib
import signal
import subprocess

from lab import ROOT, wait_until

RUN = str(ROOT / "bench" / "run")


def namespaces_of(pid):
    return [p.name for p in pathlib.Path("/run/netns").glob(f"wl-{pid}-*")]


def start(tmp_path, *options):
    with open(tmp_path / "log", "w") as log:
        return subprocess.Popen([RUN, "--out", str(tmp_path / "r.json"), *options], stdout=log,
                                stderr=subprocess.STDOUT, start_new_session=True)


def test_measures_and_leaves_nothing(tmp_path):
    process = start(tmp_path, "--modes", "host,vxlan,fastdp,fastdp-relay,sleeve-sealed",
                    "--measures", "tcp1,pps64,udp-best,tcp-rr,udp-rr,tcp-crr,memory",
                    "--rounds", "1")
    status = process.wait(240)
    text = (tmp_path / "log").read_text()
    assert status == 0, text
    result = json.loads((tmp_path / "r.json").read_text())
    states = {m: s["status"] for m, s in result["state"]["veth"].items()}
    assert states == dict.fromkeys(
        ["host", "vxlan", "fastdp", "fastdp-relay", "sleeve-sealed"], "measured"), text
    assert not [r for r in result["runs"] if "error" in r], text
    # Five modes with six measures, three with a daemon to weigh.
    assert len(result["runs"]) == 33
    assert all(v > 0 for r in result["runs"] for k, v in r["metrics"].items()
               if k != "retransmits_per_gb")
    assert (tmp_path / "r.csv").read_text().count("\n") > 33
    assert namespaces_of(process.pid) == []


def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing(tmp_path):
    process = start(tmp_path, "--modes", "vxlan,fastdp", "--measures", "tcp1", "--rounds", "50")
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
