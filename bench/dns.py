#!/usr/bin/env python3
"""WeaveDNS under load: answers per second on one core, how long they take, and what names cost.

	make all build/release/bench/dns_load
	/usr/bin/python3 bench/dns.py [--names 10000] [--seconds 5] [--rounds 3]

A router with so many names of its own, asked by dnsperf from a container at an exposed address.  The
router has the first core to itself, who asks the other.  First as fast as it can; then at a fixed
rate, with the time of each answer; then at a fifth of it, with and without 4 000 names that come from
another router.  Last, how long the router's API takes, with and without a flood of questions.
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/net"))

import lab  # noqa: E402


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("weave")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def request(connection, method, path):
    connection.request(method, path)
    answer = connection.getresponse()
    answer.read()
    if answer.status // 100 != 2:
        raise SystemExit(f"{method} {path}: {answer.status}")


def put_names(host, prefix, count, net):
    connection = Connection(host.run_dir / "weave.sock")
    for n in range(count):
        request(connection, "PUT", f"/name/c{n}/10.{net}.{n // 250}.{n % 250 + 1}"
                                   f"?fqdn={prefix}{n}.weave.local")


def heap_kb(host):
    """What the process holds that is no file's."""
    total = 0
    for line in pathlib.Path(f"/proc/{host.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Dirty", "Private_Clean")):
            total += int(line.split()[1])
    return total


def cpu_of_threads(host):
    ticks = {}
    for task in pathlib.Path(f"/proc/{host.pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        ticks[task.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return ticks


def pin(host, core):
    subprocess.run(["taskset", "-a", "-p", "-c", str(core), str(host.pid)], check=True,
                   capture_output=True)


def dnsperf(box, server, questions, seconds, *options):
    """What it says.  Into a file: who reads along would take time from one of the two."""
    out = questions.with_suffix(".out")
    command = ["taskset", "-c", "1", "dnsperf", "-s", server, "-d", questions, "-l", seconds, "-t",
               1, *options]
    with open(out, "w", encoding="ascii") as f:
        subprocess.run(box.command(command), stdout=f, check=True, timeout=seconds + 30)
    return out.read_text()


def rate(text):
    lost = re.search(r"Queries lost:\s+(\d+)", text).group(1)
    return float(re.search(r"Queries per second:\s+([\d.]+)", text).group(1)), int(lost)


def load(box, server, arguments, per_second):
    """What bench/dns_load.c says."""
    return json.loads(box.run(["taskset", "-c", "1", ROOT / "build/release/bench/dns_load", server,
                               arguments.names, per_second, arguments.seconds],
                              limit=arguments.seconds + 30))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=10000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=50000)
    arguments = parser.parse_args()
    laboratory = lab.Lab()
    result = {}
    try:
        lan = laboratory.lan()
        a, b = lan.host("a"), lan.host("b")
        a.launch("--resolv-conf", "")
        b.launch("--resolv-conf", "", a.ip)
        lab.mesh([a, b])
        a.weave("expose", "10.2.0.254/16")
        box = a.container("10.2.0.1/16")
        pin(a, 0)
        pin(b, 1)
        before, before_b = heap_kb(a), heap_kb(b)
        begin = time.monotonic()
        put_names(a, "name", arguments.names, 3)
        result["put_per_s"] = arguments.names / (time.monotonic() - begin)
        lab.wait_until(20, lambda: len(b.status("dns")["Entries"]) == arguments.names,
                       "the other knows all", step=0.5)
        time.sleep(1)
        result["own_names_kb"] = heap_kb(a) - before
        result["others_names_kb"] = heap_kb(b) - before_b
        questions = laboratory.dir / "questions"
        questions.write_text("".join(f"name{n}.weave.local A\n" for n in range(arguments.names)))
        full, steady, calm, burst = [], [], [], []
        for _ in range(arguments.rounds):
            cpu = cpu_of_threads(a)
            begin = time.monotonic()
            text = dnsperf(box, "10.2.0.254", questions, arguments.seconds, "-q", "100")
            spent = time.monotonic() - begin
            used = max(v - cpu.get(k, 0) for k, v in cpu_of_threads(a).items())
            qps, lost = rate(text)
            full.append({"qps": qps, "lost": lost, "core": used / spent,
                         "us_per_answer": used / (qps * spent) * 1e6})
            steady.append(load(box, "10.2.0.254", arguments, arguments.rate))
            # Who asks, and who makes the burst, share the other core: so at less than that.
            calm.append(load(box, "10.2.0.254", arguments, arguments.rate // 5))
            thread = threading.Thread(target=put_names, args=(b, "burst", 4000, 4))
            thread.start()
            burst.append(load(box, "10.2.0.254", arguments, arguments.rate // 5))
            thread.join()
            request(Connection(b.run_dir / "weave.sock"), "DELETE", "/name")
        # What a flood of questions does to the router itself.
        quiet, flooded = [], []
        for values, options in ((quiet, None), (flooded, ["-q", "1000"])):
            process = options and box.start(["taskset", "-c", "1", "dnsperf", "-s", "10.2.0.254",
                                             "-d", str(questions), "-l", "4", *options])
            end = time.monotonic() + 3
            while time.monotonic() < end:
                begin = time.perf_counter()
                request(Connection(a.run_dir / "weave.sock"), "GET", "/domain")
                values.append((time.perf_counter() - begin) * 1000)
                time.sleep(0.02)
            if process:
                process.wait()
        result.update(full=full, steady=steady, calm=calm, burst=burst,
                      api_ms={"quiet": statistics.median(quiet),
                              "flooded": statistics.median(flooded)})
        print(json.dumps(result, indent=1))
    finally:
        laboratory.close()


if __name__ == "__main__":
    main()
