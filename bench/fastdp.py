#!/usr/bin/env python3
"""fastdp against a plain kernel bridge + VXLAN device, as flannel and Docker's overlay set it up.

	/usr/bin/python3 bench/fastdp.py [--rounds 7] [--seconds 2] [--only name,name] [--what tcp,...]
	                                 [--realtime]

For each variant: container, veth, host, underlay veth (MTU 1500), and the same back; MTU 1450 in
all containers.  Rounds are interleaved: each measures all variants one after the other, so that a
slow minute of the machine hits all of them; ratios are medians of the ratios of single rounds, each
to the variant named in the table.

	tcp, tcp4  iperf3 with one and four streams, Gbit/s received
	cpu        seconds of CPU of the whole machine for a GB of the former, other processes left out
	udp64      datagrams of 64 bytes payload, thousands per second received, one sender
	rtt        TCP ping-pong of one byte, both ends on one CPU, median in microseconds

On a machine that others use too, --realtime lets the measuring programs go first.

Variants: vxlan and fastdp; the same on an underlay like a plain NIC, which segments what leaves it
and joins what comes (seg-...); two containers of one host (local-...); through a third host
(relay, to the direct vxlan).
"""

import argparse
import json
import os
import subprocess
import time

import benchlib
from benchlib import lab, median

MTU = 1450
RATE = benchlib.ROOT / "build" / "release" / "bench" / "rate"
MINE = ("iperf3", "rate", "ksoftirqd", "kworker", "rcu_", "weaver")


# --- measuring -----------------------------------------------------------------------------------

def busy():
    fields = [int(x) for x in open("/proc/stat").readline().split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / os.sysconf("SC_CLK_TCK")


def foreign():
    """CPU seconds of processes that have nothing to do with the measurement, by number."""
    out = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, _, rest = open(f"/proc/{pid}/stat").read().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if not name.startswith(MINE):
            fields = rest.split()
            out[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return out


FIRST = []  # in front of each command that is measured


def tcp(pair, seconds, streams):
    client, _, ip = pair
    others, start = foreign(), busy()
    out = json.loads(client.run([*FIRST, "iperf3", "-c", ip, "-t", seconds, "-P", streams, "-J"],
                                limit=60))["end"]["sum_received"]
    used, after = busy() - start, foreign()
    used -= sum(max(0, v - others.get(k, 0)) for k, v in after.items())
    return out["bits_per_second"] / 1e9, used / (out["bytes"] / 1e9)


def udp64(pair, seconds):
    client, server, ip = pair
    receiver = server.start([*FIRST, RATE, "receive", ip, seconds, 1])
    receiver.stdout.readline()
    client.run([*FIRST, RATE, "send", ip, seconds + 0.3, 0, 64])
    rate = float(receiver.stdout.readline())
    receiver.wait()
    return rate


def round_trip(pair):
    client, server, ip = pair
    echo = server.start([*FIRST, RATE, "echo", ip, 0])
    echo.stdout.readline()
    value = float(client.run([*FIRST, RATE, "ask", ip, 20000, 0]))
    echo.wait()
    return value


# --- what is measured ----------------------------------------------------------------------------

def plain_nic(host, interface):
    host.run(["ethtool", "-K", interface, "tso", "off", "gso", "off", "tx-udp_tnl-segmentation",
              "off", "tx-udp_tnl-csum-segmentation", "off", "gro", "on"])


def plain_box(host, ip, bridge="br0"):
    box = host.container()
    port = f"v{len(host.links())}"
    host.run(["ip", "link", "add", port, "mtu", MTU, "type", "veth", "peer", "name", "eth0", "mtu",
              MTU, "netns", box.name])
    host.run(["ip", "link", "set", port, "master", bridge, "up"])
    box.run(["ip", "address", "add", ip, "dev", "eth0"])
    box.run("ip link set eth0 up")
    return box


def wire(laboratory, names, segmenting):
    """Hosts joined by one veth pair each to the next, without a switch in between."""
    laboratory.lans.append(None)
    number = len(laboratory.lans)
    hosts = [lab.Host(laboratory, f"{n}{number}") for n in names]
    for i, (a, b) in enumerate(zip(hosts, hosts[1:])):
        a.run(["ip", "link", "add", f"r{i}", "mtu", 1500, "type", "veth", "peer", "name", f"l{i}",
               "netns", b.name])
        for host, name, last in ((a, f"r{i}", 1), (b, f"l{i}", 2)):
            ip = f"10.77.{number * 4 + i}.{last}"
            host.ips.append(ip)
            host.run(["ip", "address", "add", f"{ip}/24", "dev", name])
            host.run(["ip", "link", "set", name, "up"])
            if segmenting:
                plain_nic(host, name)
    return hosts


def make_vxlan(laboratory, segmenting=False):
    a, b = wire(laboratory, "ab", segmenting)
    boxes = []
    for host, other, last, under in ((a, b, 1, "r0"), (b, a, 2, "l0")):
        host.run("ip link add br0 type bridge")
        host.run(["ip", "link", "set", "br0", "mtu", MTU, "up"])
        host.run(["ip", "link", "add", "vx0", "type", "vxlan", "id", "42", "dstport", "4789",
                  "local", host.ip, "remote", other.ip, "dev", under])
        host.run(["ip", "link", "set", "vx0", "master", "br0", "mtu", MTU, "up"])
        boxes.append(plain_box(host, f"10.3.1.{last}/24"))
    return boxes[0], boxes[1], "10.3.1.2"


def overlay(host):
    return [c["Overlay"] for c in host.connections()]


def make_fastdp(laboratory, segmenting=False):
    a, b = wire(laboratory, "ab", segmenting)
    a.launch("--mtu", MTU)
    b.launch("--mtu", MTU, a.ip)
    for host in (a, b):
        lab.wait_until(15, lambda: overlay(host) == ["fastdp"], "fastdp")
    return a.container("10.2.1.1/24"), b.container("10.2.1.2/24"), "10.2.1.2"


def make_local_bridge(laboratory):
    host = wire(laboratory, "a", False)[0]
    host.run("ip link add br0 type bridge")
    host.run(["ip", "link", "set", "br0", "mtu", MTU, "up"])
    return plain_box(host, "10.3.1.1/24"), plain_box(host, "10.3.1.2/24"), "10.3.1.2"


def make_local_fastdp(laboratory):
    host = wire(laboratory, "a", False)[0]
    host.launch("--mtu", MTU)
    return host.container("10.2.1.1/24"), host.container("10.2.1.2/24"), "10.2.1.2"


def make_relay(laboratory):
    a, m, b = wire(laboratory, "amb", False)
    m.launch("--mtu", MTU, "--no-discovery")
    a.launch("--mtu", MTU, "--no-discovery", m.ips[0])
    b.launch("--mtu", MTU, "--no-discovery", m.ips[1])
    for host in (a, b):
        lab.wait_until(15, lambda: overlay(host) == ["fastdp"], "fastdp")
    return a.container("10.2.1.1/24"), b.container("10.2.1.2/24"), "10.2.1.2"


# name: (how it is made, what its ratios are to)
VARIANTS = {
    "vxlan": (make_vxlan, "vxlan"),
    "fastdp": (make_fastdp, "vxlan"),
    "relay": (make_relay, "vxlan"),
    "seg-vxlan": (lambda l: make_vxlan(l, True), "seg-vxlan"),
    "seg-fastdp": (lambda l: make_fastdp(l, True), "seg-vxlan"),
    "local-bridge": (make_local_bridge, "local-bridge"),
    "local-fastdp": (make_local_fastdp, "local-bridge"),
}
UNITS = {"tcp": "Gbit/s", "cpu": "s/GB", "tcp4": "Gbit/s", "cpu4": "s/GB", "udp64": "k/s",
         "rtt": "us"}


def measure(pair, options):
    out = {}
    if "tcp" in options.what:
        out["tcp"], out["cpu"] = tcp(pair, options.seconds, 1)
    if "tcp4" in options.what:
        out["tcp4"], out["cpu4"] = tcp(pair, options.seconds, 4)
    if "udp64" in options.what:
        out["udp64"] = udp64(pair, options.seconds)
    if "rtt" in options.what:
        out["rtt"] = round_trip(pair)
    return out


def summarize(samples):
    results = {}
    for name, rounds in samples.items():
        base = samples.get(VARIANTS[name][1])
        results[name] = {
            what: {"samples": [r[what] for r in rounds], "median": median(r[what] for r in rounds),
                   "ratio": base and median(r[what] / b[what] for r, b in zip(rounds, base))}
            for what in rounds[0]}
    return results


def print_table(results):
    whats = list(next(iter(results.values())))
    print("\n" + " " * 13 + "".join(f"{w + ' ' + UNITS[w]:>14}  ratio" for w in whats))
    for name, row in results.items():
        print(f"{name:13}" + "".join(
            f"{row[w]['median']:14.2f}  " + (f"{row[w]['ratio']:5.2f}" if row[w]["ratio"] else "    -")
            for w in whats))


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default=",".join(VARIANTS))
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--what", default="tcp,tcp4,udp64,rtt")
    options = parser.parse_args()
    options.what = options.what.split(",")
    if options.realtime:
        FIRST.extend(["chrt", "-f", "10"])
    subprocess.run(["make", "-s", "-C", benchlib.ROOT, "build/release/bench/rate"], check=True)
    m = benchlib.machine()
    benchlib.print_machine(m)
    with lab.Lab() as laboratory:
        pairs = {}
        for name in options.only.split(","):
            client, server, ip = pairs[name] = VARIANTS[name][0](laboratory)
            lab.wait_until(15, lambda: client.reaches(ip), f"ping in {name}")
            server.start([*FIRST, "iperf3", "-s"], stdout=subprocess.DEVNULL)
            lab.wait_until(5, lambda: server.open_port(5201), "iperf3 listens")
        samples = {name: [] for name in pairs}
        for number in range(options.rounds):
            started = time.monotonic()
            for name, pair in pairs.items():
                samples[name].append(measure(pair, options))
            print(f"round {number + 1}: {time.monotonic() - started:.0f} s, load "
                  f"{os.getloadavg()[0]:.1f}", flush=True)
    results = summarize(samples)
    print_table(results)
    benchlib.save("fastdp", m, results)


if __name__ == "__main__":
    benchlib.main(body)
