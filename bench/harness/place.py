"""Where is measured.

Namespaces of this machine: each mode gets hosts of its own, joined by veth pairs in the way that a
profile says, and stands until all rounds are done.  Real hosts (harness/remote.py) carry one mode
at a time.
"""

import dataclasses
import os
import shutil

import lab
from . import ROOT

PROBE = ROOT / os.environ.get("BUILD", "build") / "release" / "bench" / "probe"


@dataclasses.dataclass(frozen=True)
class Profile:
    """What the hosts are joined by.  Of the offloads, 'nic' leaves what a plain network card has:
    segments are cut before they leave and joined when they arrive.  Loss and delay, in a switch
    between the hosts, act on packets as they are on a wire, so they come with 'nic'."""
    name: str
    title: str
    mtu: int = 1500
    nic: bool = False
    loss: float = 0.0   # of packets, each way
    delay_ms: float = 0.0

    @property
    def switched(self):
        return self.loss > 0 or self.delay_ms > 0

    @property
    def longer(self):
        """How many times longer a measurement takes, to mean something: TCP takes its time."""
        return 4 if self.switched else 1


PROFILES = {p.name: p for p in (
    Profile("veth", "MTU 1500, all offloads"),
    Profile("jumbo", "MTU 9000, all offloads", mtu=9000),
    Profile("nic", "MTU 1500, like a plain network card (TSO and tunnel segmentation off, GRO on)",
            nic=True),
    Profile("nic-jumbo", "MTU 9000, like a plain network card", mtu=9000, nic=True),
    Profile("loss0.1", "MTU 1500, like a plain network card, 0.1 % of packets lost each way",
            nic=True, loss=0.001),
    Profile("loss1", "MTU 1500, like a plain network card, 1 % of packets lost each way", nic=True,
            loss=0.01),
    Profile("delay10", "MTU 1500, like a plain network card, 10 ms each way", nic=True,
            delay_ms=10),
)}

NIC = ("tso", "off", "gso", "off", "tx-udp_tnl-segmentation", "off",
       "tx-udp_tnl-csum-segmentation", "off", "gro", "on")
WIRE = ("tso", "off", "gso", "off", "gro", "off")


class Host(lab.Host):
    """A host whose links to the others are known: device_to[its address there]."""

    def __init__(self, laboratory, short):
        super().__init__(laboratory, short)
        self.device_to = {}

    def probe(self):
        return str(PROBE)

    def write(self, name, text):
        """A file of this host; its path."""
        path = self.lab.dir / self.short / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def daemon(self, command):
        """A program that carries frames, until end_daemon() or the end of the laboratory."""
        with open(self.write(f"daemon{len(self.lab.processes)}.log", ""), "w") as log:
            process = self.start(command, stdout=log)
        process.log = log.name
        return process

    def daemon_log(self, daemon):
        with open(daemon.log, errors="replace") as log:
            return log.read()[-300:]

    def daemon_pid(self, daemon):
        return daemon.pid   # nsenter becomes the program

    def end_daemon(self, daemon):
        daemon.terminate()
        daemon.wait(10)

    def plain_box(self, cidr, mtu):
        """A container that no router knows; the name of the host's end of its veth pair too."""
        box = self.container()
        port = f"bx{self.containers}"
        self.run(["ip", "link", "add", port, "mtu", mtu, "type", "veth", "peer", "name", "eth0",
                  "mtu", mtu, "netns", box.name])
        box.run(["ip", "address", "add", cidr, "dev", "eth0"])
        box.run("ip link set eth0 up")
        self.run(["ip", "link", "set", port, "up"])
        return box, port


class LocalPlace:
    exclusive = False   # several modes can stand at a time
    hosts_max = 3

    def __init__(self, laboratory, profile):
        self.lab = laboratory
        self.profile = profile
        self.mtu = profile.mtu
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass    # the laboratory takes its namespaces away

    def has(self, program):
        return shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:"
                                          "/usr/local/bin") is not None

    def why_not(self):
        """Why this profile cannot be measured here, or None."""
        if not self.profile.delay_ms:
            return None
        box = lab.Namespace(self.lab, f"t{len(self.lab.namespaces)}")
        done = box.try_run("tc qdisc add dev lo root netem delay 1ms")
        return None if done.returncode == 0 else "this kernel has no netem to delay packets with"

    def hosts(self, count):
        """Hosts in a row, each joined to the next."""
        self.count += 1
        number = len(self.lab.namespaces)
        made = [Host(self.lab, f"{letter}{number}") for letter in "abc"[:count]]
        for i, (left, right) in enumerate(zip(made, made[1:])):
            self._join(left, right, f"10.77.{self.count % 60 * 4 + i}")
        return made

    def _join(self, left, right, net):
        ends = ((left, "r0", 1, right), (right, "l0", 2, left))
        if self.profile.switched:
            switch = lab.Namespace(self.lab, f"s{len(self.lab.namespaces)}")
            switch.run("ip link add sw type bridge stp_state 0 forward_delay 0 mcast_snooping 0")
            switch.run(["ip", "link", "set", "sw", "mtu", self.mtu, "up"])
            for host, device, last, _ in ends:
                host.run(["ip", "link", "add", device, "mtu", self.mtu, "type", "veth", "peer",
                          "name", f"p{last}", "mtu", self.mtu, "netns", switch.name])
                switch.run(["ethtool", "-K", f"p{last}", *WIRE])
                switch.run(["ip", "link", "set", f"p{last}", "master", "sw", "up"])
            self._spoil(switch)
        else:
            left.run(["ip", "link", "add", "r0", "mtu", self.mtu, "type", "veth", "peer", "name",
                      "l0", "mtu", self.mtu, "netns", right.name])
        for host, device, last, other in ends:
            ip = f"{net}.{last}"
            host.ips.append(ip)
            host.device_to[f"{net}.{3 - last}"] = device
            host.run(["ip", "address", "add", f"{ip}/24", "dev", device])
            host.run(["ip", "link", "set", device, "up"])
            if self.profile.nic:
                host.run(["ethtool", "-K", device, *NIC])

    def _spoil(self, switch):
        if self.profile.loss:
            lost = round(self.profile.loss * 100000)
            switch.run("nft add table bridge spoil")
            switch.run("nft add chain bridge spoil f { type filter hook forward priority 0 ; }")
            switch.run(f"nft add rule bridge spoil f numgen random mod 100000 < {lost} drop")
        if self.profile.delay_ms:
            for port in ("p1", "p2"):
                switch.run(f"tc qdisc add dev {port} root netem limit 20000 "
                           f"delay {self.profile.delay_ms}ms")

    def describe(self):
        p = self.profile
        return {"title": p.title, "mtu": p.mtu, "nic": p.nic, "loss": p.loss,
                "delay_ms": p.delay_ms, "longer": p.longer}
