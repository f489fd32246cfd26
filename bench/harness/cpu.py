"""Processor time of a host while something is measured: all of it, less that of strangers.

Namespaces of one machine share its processors, so there all hosts are one.  The kernel counts in
ticks of 10 ms; processes that start and end between the two looks are counted in.
"""

import os
import pathlib

# Of the measurement: measuring programs, the kernel's threads that carry packets, daemons.
OURS = ("iperf3", "probe", "ksoftirqd", "kworker", "rcu_", "napi", "kswapd", "migration", "cpuhp",
        "weaver", "tincd", "fastd", "nebula", "openvpn", "wireguard-go", "edge", "supernode",
        "docker", "ping", "tcpdump")
LOOK = "cat /proc/stat; echo =; cat /proc/[0-9]*/stat 2>/dev/null; true"


def parse(text, ticks):
    """({"busy", "steal", "cpus"}, {pid: seconds of a stranger})."""
    head, _, rest = text.partition("\n=\n")
    cpus = sum(line.startswith("cpu") for line in head.splitlines()) - 1
    fields = [int(x) for x in head.splitlines()[0].split()[1:]]
    whole = {"busy": (sum(fields[:3]) + sum(fields[5:7])) / ticks, "steal": fields[7] / ticks,
             "cpus": cpus}
    strangers = {}
    for line in rest.splitlines():
        number, _, tail = line.partition(" (")
        name, _, numbers = tail.rpartition(") ")
        if not name or name.startswith(OURS):
            continue
        values = numbers.split()
        strangers[number] = (int(values[11]) + int(values[12])) / ticks
    return whole, strangers


def strangers_time(before, after):
    return sum(max(0.0, seconds - before.get(pid, 0.0)) for pid, seconds in after.items())


class Meter:
    """with Meter(hosts) as meter: ...; then meter.used, .strangers, .steal: seconds of all hosts,
    .each: seconds of each machine by its name."""

    def __init__(self, hosts):
        self.machines = {}
        for host in hosts:
            self.machines.setdefault(getattr(host, "machine", "this machine"), host)
        self.ticks = os.sysconf("SC_CLK_TCK")
        self.cpus = 0

    def _look(self):
        looks = {}
        for name, host in self.machines.items():
            if name == "this machine":
                looks[name] = parse(local_look(), self.ticks)
            else:
                looks[name] = parse(host.run(["sh", "-c", LOOK]), self.ticks)
        return looks

    def __enter__(self):
        self.before = self._look()
        return self

    def __exit__(self, *_):
        after = self._look()
        self.cpus = sum(whole["cpus"] for whole, _ in after.values())
        self.each, self.strangers, self.steal = {}, 0.0, 0.0
        for name, (whole, others) in after.items():
            old_whole, old_others = self.before[name]
            foreign = strangers_time(old_others, others)
            self.each[name] = max(0.0, whole["busy"] - old_whole["busy"] - foreign)
            self.strangers += foreign
            self.steal += whole["steal"] - old_whole["steal"]
        self.used = sum(self.each.values())


    def disturbed(self, seconds):
        """The part of all processors' time that went to strangers, or to other guests of the
        machine that ours is one of."""
        return (self.strangers + self.steal) / max(seconds * self.cpus, 1e-3)


def local_look():
    lines = [pathlib.Path("/proc/stat").read_text().rstrip("\n"), "="]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            lines.append(pathlib.Path(f"/proc/{pid}/stat").read_text().rstrip("\n"))
        except OSError:
            continue
    return "\n".join(lines)


def memory_kb(host, pid):
    """(resident, proportional) memory of a process: the latter shares out what several map."""
    text = host.run(["sh", "-c", f"cat /proc/{pid}/smaps_rollup"])
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in ("Rss", "Pss"):
            found[name] = int(value.split()[0])
    return found["Rss"], found["Pss"]
