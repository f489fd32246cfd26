#!/usr/bin/env python3
"""Sleeve, in clear and sealed, against a plain kernel bridge + VXLAN device, side by side on the same
kind of underlay.

	/usr/bin/python3 bench/sleeve.py [--rounds 5] [--seconds 2]

For each variant: container, veth, bridge, tunnel, underlay veth (MTU 1500), and the same back.
Rounds are interleaved: each round measures all variants one after the other, so that a slow minute
of the machine hits all of them; ratios are medians of the ratios of single rounds.

	tcp       one iperf3 stream, Mbit/s received
	udp64     UDP datagrams of 64 bytes payload, thousands per second received, sender unbounded
	rtt p50   TCP ping-pong of one byte, microseconds
"""

import argparse
import json
import socket
import subprocess
import threading
import time

import benchlib
from benchlib import lab, median


def start_server(side):
    side.start(["iperf3", "-s", "-p", "5201"], stdout=subprocess.DEVNULL)
    lab.wait_until(5, lambda: side.open_port(5201), "iperf3 listens")


def tcp(client, ip, seconds):
    out = json.loads(client.run(["iperf3", "-c", ip, "-t", seconds, "-J"], limit=60))
    return out["end"]["sum_received"]["bits_per_second"] / 1e6


def udp(client, ip, seconds):
    out = json.loads(client.run(["iperf3", "-c", ip, "-u", "-b", "0", "-l", "64", "-t", seconds,
                                 "-J"], limit=60))
    total = out["end"]["sum"]
    return (total["packets"] - total["lost_packets"]) / total["seconds"] / 1e3


def round_trip(client, server, ip, count=2000):
    listener = server.socket(socket.AF_INET, socket.SOCK_STREAM)
    near = client.socket(socket.AF_INET, socket.SOCK_STREAM)
    times = []
    with listener, near:
        listener.bind((ip, 0))
        listener.listen(1)

        def echo():
            far, _ = listener.accept()
            with far:
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while byte := far.recv(1):
                    far.sendall(byte)

        thread = threading.Thread(target=echo)
        thread.start()
        near.connect((ip, listener.getsockname()[1]))
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            start = time.perf_counter()
            near.sendall(b"x")
            near.recv(1)
            times.append((time.perf_counter() - start) * 1e6)
        near.shutdown(socket.SHUT_RDWR)
        thread.join()
    return median(times)


def make_vxlan(laboratory):
    """Two hosts joined by their bridges and a VXLAN device each."""
    lan = laboratory.lan()
    a, b = lan.host("va"), lan.host("vb")
    boxes = []
    for host, other, ip in ((a, b, "10.3.1.1"), (b, a, "10.3.1.2")):
        under = f"eth{lan.number}"
        host.run("ip link add br0 type bridge")
        host.run("ip link set br0 mtu 1450 up")
        host.run(["ip", "link", "add", "vx0", "type", "vxlan", "id", "42", "dstport", "4789",
                  "local", host.ip, "remote", other.ip, "dev", under])
        host.run("ip link set vx0 master br0 mtu 1450 up")
        box = host.container()
        host.run(["ip", "link", "add", "v0", "mtu", "1450", "type", "veth", "peer", "name",
                  "eth0", "mtu", "1450", "netns", box.name])
        host.run("ip link set v0 master br0 up")
        box.run(["ip", "address", "add", f"{ip}/24", "dev", "eth0"])
        box.run("ip link set eth0 up")
        boxes.append(box)
    return boxes, "10.3.1.2"


def make_sleeve(laboratory, names, *options):
    lan = laboratory.lan()
    a, b = (lan.host(n) for n in names)
    a.launch("--no-fastdp", *options)
    b.launch("--no-fastdp", *options, a.ip)
    lab.mesh([a, b])
    return [a.container("10.2.1.1/24"), b.container("10.2.1.2/24")], "10.2.1.2"


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    m = benchlib.machine()
    benchlib.print_machine(m)
    with lab.Lab() as laboratory:
        variants = {
            "vxlan": make_vxlan(laboratory),
            "sleeve": make_sleeve(laboratory, ("sa", "sb")),
            "sealed": make_sleeve(laboratory, ("ea", "eb"), "--password", "bench"),
        }
        for (client, server), ip in variants.values():
            lab.wait_until(15, lambda: client.reaches(ip), "ping")
            start_server(server)
        samples = {v: {"tcp": [], "udp64": [], "rtt": []} for v in variants}
        for number in range(options.rounds):
            for name, ((client, server), ip) in variants.items():
                s = samples[name]
                s["tcp"].append(tcp(client, ip, options.seconds))
                s["udp64"].append(udp(client, ip, options.seconds))
                s["rtt"].append(round_trip(client, server, ip))
                print(f"round {number + 1} {name:7} tcp {s['tcp'][-1]:7.0f} Mbit/s   udp64 "
                      f"{s['udp64'][-1]:6.1f} k/s   rtt {s['rtt'][-1]:6.1f} us", flush=True)
    print(f"\n{'medians':10} {'tcp Mbit/s':>11} {'ratio':>7} {'udp64 k/s':>10} {'ratio':>7} "
          f"{'rtt us':>8} {'ratio':>7}")
    results = {}
    for name, s in samples.items():
        row = {}
        for what, values in s.items():
            ratios = [x / y for x, y in zip(values, samples["vxlan"][what])]
            row[what] = {"samples": values, "median": median(values), "ratio": median(ratios)}
        results[name] = row
        print(f"{name:10} {row['tcp']['median']:11.0f} {row['tcp']['ratio']:7.3f} "
              f"{row['udp64']['median']:10.1f} {row['udp64']['ratio']:7.3f} "
              f"{row['rtt']['median']:8.1f} {row['rtt']['ratio']:7.3f}")
    pairs = zip(samples["sealed"]["tcp"], samples["sleeve"]["tcp"])
    print(f"\nsealed against clear sleeve: tcp {median(x / y for x, y in pairs):.3f}")
    benchlib.save("sleeve", m, results)


if __name__ == "__main__":
    benchlib.main(body)
