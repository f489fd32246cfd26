#!/usr/bin/env python3
"""What attaching and detaching one container costs when many are attached already.

	make all
	/usr/bin/python3 bench/attach.py [--counts 10,300] [--samples 20]

A container is a fresh network namespace; requests go straight to the router's socket, one after
the other, so the time is the router's and the kernel's alone.  With every count a few containers are
attached and detached again; the rest stays.
"""

import argparse
import http.client
import json
import os
import socket
import statistics
import time
import urllib.parse

from harness import machine
import lab


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("weave")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Router:
    def __init__(self, host):
        self.host = host
        self.connection = Connection(host.run_dir / "weave.sock")

    def ask(self, method, **parameters):
        begun = time.perf_counter()
        self.connection.request(method, "/attach?" + urllib.parse.urlencode(parameters))
        answer = self.connection.getresponse()
        text = answer.read().decode()
        took = (time.perf_counter() - begun) * 1e3
        if answer.status != 200:
            raise SystemExit(f"{method} {parameters}: {answer.status} {text}")
        return took


def namespace(laboratory, number):
    box = lab.Namespace(laboratory, f"c{number}")
    return box.path


def row_of(values):
    return {"median": statistics.median(values), "worst": max(values)}


def measure(router, paths, count, samples):
    """'count' are attached; the paths behind them come and go."""
    cpu = router.host.cpu_seconds()
    attach, detach = [], []
    for n in range(samples):
        attach.append(router.ask("POST", id=f"s{n}", netns=paths[count + n]))
        time.sleep(0.12)  # what the router does a moment later counts as CPU time
    for n in range(samples):
        detach.append(router.ask("DELETE", id=f"s{n}", netns=paths[count + n]))
        time.sleep(0.12)
    cpu = (router.host.cpu_seconds() - cpu) * 1e3 / samples
    row = {"attached": count, "attach_ms": row_of(attach), "detach_ms": row_of(detach),
           "cpu_ms": cpu}
    print(f"{count:5} attached   attach: median {row['attach_ms']['median']:.2f} ms, worst "
          f"{row['attach_ms']['worst']:.2f}   detach: median {row['detach_ms']['median']:.2f} ms, "
          f"worst {row['detach_ms']['worst']:.2f}   router's CPU for both {cpu:.1f} ms", flush=True)
    return row


def body():
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", default="10,300")
    parser.add_argument("--samples", type=int, default=20)
    options = parser.parse_args()
    counts = [int(n) for n in options.counts.split(",")]
    m = machine.describe()
    machine.print_machine(m)
    rows = []
    with lab.Lab() as laboratory:
        host = laboratory.lan().host("h0")
        host.launch("--ipalloc-range", "10.32.0.0/16")
        host.weave("prime")
        paths = [namespace(laboratory, n) for n in range(max(counts) + options.samples)]
        router = Router(host)
        done = 0
        for count in counts:
            while done < count:
                router.ask("POST", id=f"c{done}", netns=paths[done])
                done += 1
            time.sleep(0.5)
            rows.append(measure(router, paths, count, options.samples))
    machine.save("attach", m, rows)


if __name__ == "__main__":
    machine.main(body)
