#!/usr/bin/env python3
"""What a router costs that has nothing to do: memory, CPU with 10 peers, time from start to ready.

	/usr/bin/python3 bench/idle.py [--seconds 60] [--peers 10]

Each of the 11 routers has a connection with each other and one container.  The target (issue 2):
under 20 MB resident, under 0.2 % of a core, ready in under 0.5 s.
"""

import argparse
import time

from harness import machine
from harness.stats import median
import lab


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--peers", type=int, default=10)
    options = parser.parse_args()
    m = machine.describe()
    machine.print_machine(m)
    starts = []
    with lab.Lab() as laboratory:
        lan = laboratory.lan()
        hosts = [lan.host(f"h{i}") for i in range(options.peers + 1)]
        for i, host in enumerate(hosts):
            begin = time.monotonic()
            host.launch(*([hosts[0].ip] if i else []))
            starts.append((time.monotonic() - begin) * 1e3)
        lab.mesh(hosts, 60)
        for i, host in enumerate(hosts):
            host.container(f"10.2.1.{i + 1}/24")
        time.sleep(15)  # the mesh settles: entries travel, first probes of paths end
        before = [h.cpu_seconds() for h in hosts]
        begin = time.monotonic()
        time.sleep(options.seconds)
        elapsed = time.monotonic() - begin
        shares = [(h.cpu_seconds() - c) / elapsed * 100 for h, c in zip(hosts, before)]
        memory = [h.memory_kb() / 1024 for h in hosts]
    print(f"start to ready   median {median(starts):.0f} ms, worst {max(starts):.0f} ms")
    print(f"resident         median {median(memory):.1f} MB, worst {max(memory):.1f} MB")
    print(f"CPU              median {median(shares):.3f} %, worst {max(shares):.3f} % of a core, "
          f"{options.peers} peers, {elapsed:.0f} s")
    machine.save("idle", m, {"start_ms": starts, "memory_mb": memory, "cpu_percent": shares,
                              "peers": options.peers, "seconds": elapsed})


if __name__ == "__main__":
    machine.main(body)
