"""What a running router has given up, and that it still can do what it is for."""

import os
import pathlib
import subprocess

from lab import wait_until

KEPT = {"cap_net_bind_service": 10, "cap_net_admin": 12, "cap_net_raw": 13, "cap_sys_ptrace": 19,
        "cap_sys_admin": 21}
GONE = {"cap_chown": 0, "cap_kill": 5, "cap_setuid": 7, "cap_sys_module": 16, "cap_sys_rawio": 17,
        "cap_sys_boot": 22, "cap_sys_time": 25, "cap_mknod": 27}


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_a_running_router_has_only_what_it_needs(lab):
    lan = lab.lan()
    a = lan.host("a")
    own = int(status_of(os.getpid())["CapEff"], 16)
    a.launch("--password", "x")
    status = status_of(a.pid)
    for task in pathlib.Path(f"/proc/{a.pid}/task").iterdir():
        assert status_of(task.name)["NoNewPrivs"] == "1"
        assert status_of(task.name)["Seccomp"] == "2"
        # Threads have capabilities of their own.
        for name, number in GONE.items():
            assert not int(status_of(task.name)["CapEff"], 16) >> number & 1, (task.name, name)
            assert not int(status_of(task.name)["CapPrm"], 16) >> number & 1, (task.name, name)
    effective = int(status["CapEff"], 16)
    for name, number in KEPT.items():
        assert effective >> number & 1 == own >> number & 1, name
    assert "cannot" not in a.log()


def test_it_attaches_containers_of_other_users_and_repairs_its_bridge(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    b.launch(a.ip)
    wait_until(10, lambda: a.is_meshed(b), "the two are connected")
    # A container as Docker makes it: known by its process, which belongs to somebody else.
    box = a.start(["unshare", "-n", "setpriv", "--reuid=65534", "--regid=65534",
                   "--clear-groups", "sleep", "600"], stdout=subprocess.DEVNULL)
    wait_until(5, lambda: status_of(box.pid)["Uid"].startswith("65534")
               and os.stat(f"/proc/{box.pid}/ns/net").st_ino != a.path.stat().st_ino,
               "the container runs")
    a.weave("attach", "10.2.1.1/24", box.pid)
    other = b.container("10.2.1.2/24")
    wait_until(10, lambda: other.reaches("10.2.1.1"), "it can be reached")
    a.weave("expose", "10.2.1.100/24")
    wait_until(10, lambda: other.reaches("10.2.1.100"), "the host can be reached")
    a.run("ip link del vethwe-bridge")
    wait_until(10, lambda: other.reaches("10.2.1.1"), "it can be reached again")
    a.weave("detach", box.pid)
    a.weave("hide")
