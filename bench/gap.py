#!/usr/bin/env python3
"""How long traffic pauses when the path between two of five peers fails silently.

	/usr/bin/python3 bench/gap.py [--rounds 10]

One ping every 10 ms between two containers; their hosts' link is cut by nftables in the switch, no
interface goes down and nobody gets an answer.  The pause is the longest time between two answers.
"""

import argparse
import time

from harness import machine
from harness.stats import median
import lab


def one_round(lan, hosts, a, b):
    lab.mesh(hosts, 60)
    lab.wait_until(15, lambda: a.box.reaches(b.box.ip), "ping")
    pinger = lab.Pinger(a.box, b.box.ip)
    lab.wait_until(5, lambda: len(pinger.times) > 100, "pings are answered")
    lan.cut(a, b)
    cut = time.time()
    try:
        lab.wait_until(30, lambda: pinger.answers_after(cut + 0.05) > 50, "traffic flows again")
    finally:
        pinger.stop()
        lan.heal()
    return pinger.longest_gap() * 1e3


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    m = machine.describe()
    machine.print_machine(m)
    gaps = []
    with lab.Lab() as laboratory:
        lan = laboratory.lan()
        hosts = [lan.host(f"h{i}") for i in range(5)]
        for i, host in enumerate(hosts):
            host.launch(*([hosts[0].ip] if i else []))
        for i, host in enumerate(hosts):
            host.box = host.container(f"10.2.1.{i + 1}/24")
        for i in range(options.rounds):
            a, b = hosts[i % 5], hosts[(i + 1 + i // 5) % 5]
            gaps.append(one_round(lan, hosts, a, b))
            print(f"round {i + 1}: {gaps[-1]:.0f} ms", flush=True)
    print(f"\ngap: median {median(gaps):.0f} ms, worst {max(gaps):.0f} ms")
    machine.save("gap", m, {"gap_ms": gaps})


if __name__ == "__main__":
    machine.main(body)
