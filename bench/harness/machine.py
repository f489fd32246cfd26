"""What a result was measured on, and what the small benchmarks share."""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

from . import ROOT
import lab

RESULTS = ROOT / "bench" / "results"


def first_line(*command):
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        return (result.stdout or result.stderr).splitlines()[0].strip()
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown"


def cpu_model(cpuinfo):
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def describe():
    """This machine; the date and the load are those of this moment."""
    return {
        "date": now(),
        "cpu": cpu_model(pathlib.Path("/proc/cpuinfo").read_text()),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "weave": first_line(str(lab.BIN / "weaver"), "--version"),
        "commit": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "iperf3": first_line("iperf3", "--version"),
        "load": os.getloadavg()[0],
    }


def print_machine(m):
    print(f"{m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, {m['weave']} ({m['commit']}), "
          f"{m['iperf3']}, {m['date']}, load before: {m['load']:.2f}\n", flush=True)


def save(name, m, results):
    """The result file of one of the small benchmarks."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": m, "results": results}, indent=1) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


def need_root():
    if os.geteuid() != 0:
        sys.exit("run as root: benchmarks make network namespaces")


def main(body):
    """Of the small benchmarks."""
    need_root()
    lab.install_cleanup()
    body()
