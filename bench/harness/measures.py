"""One measurement between two containers each: (metrics, raw).

Metrics are numbers with a unit and a direction (METRICS); raw is what the tools said, short of what
can be had again from it.
"""

import contextlib
import dataclasses
import json
import typing

from . import cpu

PORT = 5201
LIMIT = 60          # seconds for a tool beyond its measuring time
LOSS_MAX = 0.001    # of the highest UDP rate
SEARCH_STEPS = 6
SEARCH_SECONDS = 0.6


@dataclasses.dataclass(frozen=True)
class Metric:
    title: str
    unit: str
    better: str     # "higher" or "lower"


@dataclasses.dataclass
class Settings:
    seconds: int = 1    # of each measurement
    congestion: str = "cubic"
    tolerate: float = 0.1    # part of all processors that others may use


@contextlib.contextmanager
def server(box, command, ready):
    """A listening program in a container; when it says 'ready', the body runs."""
    process = box.start(command)
    said = []
    try:
        for line in process.stdout:
            said.append(line.strip())
            if ready in line:
                break
        else:
            raise RuntimeError(f"{command[0]} ended: {' '.join(said)}")
        yield process
        process.wait(LIMIT)
    finally:
        end(box, process)


def end(box, process):
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()
    if process in box.lab.processes:
        box.lab.processes.remove(process)


# --- bulk ----------------------------------------------------------------------------------------

def iperf(scene, settings, *options):
    """iperf3's own result, and the processors' time meanwhile."""
    with server(scene.server, ["iperf3", "-s", "-1", "-p", PORT, "--forceflush"], "listening"):
        with cpu.Meter(scene.hosts) as meter:
            done = scene.client.try_run(
                ["iperf3", "-c", scene.ip, "-p", PORT, "-t", settings.seconds, "-C",
                 settings.congestion, "-J", *options], limit=settings.seconds + LIMIT)
    out = json.loads(done.stdout or "{}")
    if "error" in out or not out.get("end"):
        raise RuntimeError(f"iperf3: {out.get('error') or done.stderr or 'no result'}")
    return out["end"], meter


def cost(meter, total):
    return {"cpu_s_per_gb": meter.used / (total / 1e9)}


def spent(meter):
    return {"cpu": {k: round(v, 3) for k, v in meter.each.items()},
            "strangers": round(meter.strangers, 3), "steal": round(meter.steal, 3)}


def tcp(streams):
    def measure(scene, settings):
        out, meter = iperf(scene, settings, "-P", streams)
        got, sent = out["sum_received"], out["sum_sent"]
        return ({"gbps": got["bits_per_second"] / 1e9, **cost(meter, got["bytes"]),
                 "retransmits_per_gb": sent["retransmits"] / (sent["bytes"] / 1e9)},
                {"bytes": got["bytes"], "seconds": got["seconds"], "retransmits":
                 sent["retransmits"], "sender_cpu_percent":
                 out["cpu_utilization_percent"]["host_total"], "receiver_cpu_percent":
                 out["cpu_utilization_percent"]["remote_total"], **spent(meter)})
    return measure


def tcp_both(scene, settings):
    out, meter = iperf(scene, settings, "--bidir")
    there, back = out["sum_received"], out["sum_received_bidir_reverse"]
    return ({"gbps": (there["bits_per_second"] + back["bits_per_second"]) / 1e9,
             **cost(meter, there["bytes"] + back["bytes"])},
            {"there_bytes": there["bytes"], "back_bytes": back["bytes"],
             "seconds": there["seconds"], **spent(meter)})


# --- packets -------------------------------------------------------------------------------------

def datagrams(scene, seconds, size, rate=0, pinned=True):
    """What was sent, what of it arrived (both as the programs say), the processors' time."""
    cpus = ("0", "1") if pinned else ("-", "-")
    probe = scene.hosts[0].probe()
    with server(scene.server, [probe, "receive", scene.ip, seconds if not rate else seconds + 9,
                               cpus[1]], "ready") as receiver:
        with cpu.Meter(scene.hosts) as meter:
            sent = json.loads(scene.client.run(
                [probe, "send", scene.ip, seconds + (0 if rate else 0.2), cpus[0], size,
                 *([f"{rate:.1f}"] if rate else [])], limit=LIMIT))
        got = json.loads(receiver.stdout.readline())
    return sent, got, meter


def packets(scene, settings):
    """One sender as fast as it goes, sender and receiver on a processor each."""
    sent, got, meter = datagrams(scene, settings.seconds, 64)
    return ({"kpps": got["received"] / got["seconds"] / 1e3,
             "cpu_us_per_packet": meter.used / got["received"] * 1e6},
            {"sent": sent, "got": got, **spent(meter)})


def udp_best(scene, settings):
    """The highest rate at which no more than 0.1 % are lost, by halving an interval."""
    size = scene.mtu - 28
    _, free, _ = datagrams(scene, SEARCH_SECONDS, size, pinned=False)
    high = free["received"] / max(free["seconds"], 1e-3) * 1.1
    low, best, tries = 0.0, 0.0, []
    rate = high
    for _ in range(SEARCH_STEPS):
        sent, got, _ = datagrams(scene, SEARCH_SECONDS, size, rate, pinned=False)
        lost = 1 - got["received"] / max(sent["sent"], 1)
        reached = sent["sent"] / sent["seconds"]
        tries.append([round(reached), round(lost, 5)])
        if lost <= LOSS_MAX:
            low, best = rate, max(best, reached)
            if rate == high or reached < rate * 0.9:    # the sender does not do more
                break
        else:
            high = rate
        rate = (low + high) / 2
    return ({"gbps": best * size * 8 / 1e9}, {"size": size, "tries": tries})


# --- there and back ------------------------------------------------------------------------------

def percentiles(out):
    return {"p50_us": out["p50"], "p90_us": out["p90"], "p99_us": out["p99"],
            "p999_us": out["p999"]}


def round_trip(kind, cpu_number):
    def measure(scene, settings):
        probe = scene.hosts[0].probe()
        with server(scene.server, [probe, "echo", kind, scene.ip, cpu_number], "ready"):
            out = json.loads(scene.client.run(
                [probe, "ask", kind, scene.ip, settings.seconds, cpu_number], limit=LIMIT))
        return {**percentiles(out), "per_second": out["count"] / out["seconds"]}, out
    return measure


def connections(scene, settings):
    probe = scene.hosts[0].probe()
    with server(scene.server, [probe, "accept", scene.ip, "-"], "ready"):
        out = json.loads(scene.client.run([probe, "connect", scene.ip, settings.seconds, "-"],
                                          limit=LIMIT))
    return {"per_second": out["count"] / out["seconds"], "p50_us": out["p50"]}, out


def memory(scene, _settings):
    """Of the busiest daemon: the largest of them."""
    found = [cpu.memory_kb(host, pid) for host, pid in scene.daemons()]
    if not found:
        return {}, {}
    return ({"rss_mb": max(rss for rss, _ in found) / 1024,
             "pss_mb": max(pss for _, pss in found) / 1024}, {"kb": found})


@dataclasses.dataclass(frozen=True)
class Measure:
    name: str
    title: str
    function: typing.Callable


MEASURES = {m.name: m for m in (
    Measure("tcp1", "TCP, 1 stream", tcp(1)),
    Measure("tcp4", "TCP, 4 streams", tcp(4)),
    Measure("tcp32", "TCP, 32 streams", tcp(32)),
    Measure("tcp-both", "TCP, both directions at once", tcp_both),
    Measure("pps64", "64-byte UDP datagrams, one sender", packets),
    Measure("udp-best", "UDP, highest rate with at most 0.1 % loss", udp_best),
    Measure("tcp-rr", "TCP request and response", round_trip("tcp", "-")),
    Measure("tcp-rr-pinned", "TCP request and response, both ends on one processor",
            round_trip("tcp", "0")),
    Measure("udp-rr", "UDP request and response", round_trip("udp", "-")),
    Measure("tcp-crr", "TCP connections, one request each", connections),
    Measure("memory", "memory of the daemon that carries the frames", memory),
)}

METRICS = {
    "gbps": Metric("throughput", "Gbit/s", "higher"),
    "cpu_s_per_gb": Metric("CPU time, all hosts", "s/GB", "lower"),
    "retransmits_per_gb": Metric("retransmits", "/GB", "lower"),
    "kpps": Metric("datagrams received", "k/s", "higher"),
    "cpu_us_per_packet": Metric("CPU time for a datagram, all hosts", "µs", "lower"),
    "p50_us": Metric("median", "µs", "lower"),
    "p90_us": Metric("90 %", "µs", "lower"),
    "p99_us": Metric("99 %", "µs", "lower"),
    "p999_us": Metric("99.9 %", "µs", "lower"),
    "per_second": Metric("a second", "/s", "higher"),
    "rss_mb": Metric("resident", "MB", "lower"),
    "pss_mb": Metric("resident, what is shared counted in part", "MB", "lower"),
}
QUICK = ["tcp1", "tcp4", "pps64", "tcp-rr", "memory"]
