"""What the benchmarks share: places to measure in, the machine's description, result files."""

import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "net"))

import lab  # noqa: E402  (found through the path above)

RESULTS = ROOT / "bench" / "results"


def first_line(*command):
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return (result.stdout or result.stderr).splitlines()[0].strip()
    except (OSError, IndexError):
        return "unknown"


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": model,
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
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": m, "results": results}, indent=1) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


def median(values):
    return statistics.median(values)


def main(body):
    if os.geteuid() != 0:
        sys.exit("run as root: benchmarks make network namespaces")
    lab.install_cleanup()
    body()
