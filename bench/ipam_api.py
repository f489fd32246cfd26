#!/usr/bin/env python3
"""Allocate + free per second through the router's API, with everything durable before it is answered.

	make all build/release/bench/ipam_load
	/usr/bin/python3 bench/ipam_api.py [--seconds 5] [--clients 1,16,64,256]

One router alone, so no vote and no other peer is waited for.  Each client keeps its connection and
has one request out at a time.  The disk's own rate stands beside: how often it makes 4 KiB durable
when asked one after the other; answers to many clients share a sync.  The target (issue 3): 5 000
pairs per second.
"""

import argparse
import json
import os
import subprocess
import time

from harness import ROOT, machine
import lab

LOAD = ROOT / "build" / "release" / "bench" / "ipam_load"


def syncs_per_second(directory, seconds=2.0):
    path = directory / "sync-rate"
    count = 0
    with open(path, "wb", buffering=0) as file:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / seconds


def measure(host, clients, seconds):
    before = host.cpu_seconds()
    result = subprocess.run([LOAD, host.run_dir / "weave.sock", str(clients), str(seconds)],
                            check=True, stdout=subprocess.PIPE, text=True)
    row = json.loads(result.stdout)
    row["cpu_percent"] = (host.cpu_seconds() - before) / seconds * 100
    latency = row["allocate_ms"]
    print(f"{clients:5} clients  {row['per_second']:7.0f} allocate + free per second   allocate: "
          f"median {latency['median']:.2f} ms, 99 % {latency['p99']:.2f} ms, worst "
          f"{latency['worst']:.0f} ms   router's CPU {row['cpu_percent']:.0f} %"
          + (f"   {row['errors']} ERRORS" if row["errors"] else ""), flush=True)
    return row


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", default="1,16,64,256")
    options = parser.parse_args()
    m = machine.describe()
    machine.print_machine(m)
    with lab.Lab() as laboratory:
        host = laboratory.lan().host("h0")
        host.launch("--ipalloc-range", "10.32.0.0/12")
        host.weave("prime")
        rate = syncs_per_second(host.state_dir)
        print(f"disk: {rate:.0f} syncs of 4 KiB per second, one after the other\n", flush=True)
        rows = [measure(host, int(n), options.seconds) for n in options.clients.split(",")]
    machine.save("ipam_api", m, {"syncs_per_second": rate, "rows": rows})


if __name__ == "__main__":
    machine.main(body)
