"""Two real hosts, over ssh: what bench/run measures between with --host A --host B.

One mode stands at a time, for they share the hosts' own network.  All that is made there has a name
of this run; a guard on each host, which waits for the end of our connection to it, takes it away
however we end.  Programs are copied into a folder of their own.  Nothing that was there is changed:
a mode whose ports are taken is skipped.
"""

import json
import pathlib
import shlex
import socket
import subprocess

import lab
from . import place
from .machine import cpu_model

CONNECT_SECONDS = 15
LINKS = "wbbr wbvx"     # what modes make in the host's own network

# $1: our folder; $2: how names of our namespaces begin.
GUARD = """cat >/dev/null
for f in "$1"/pids/*; do
	read -r pid start <"$f" 2>/dev/null || continue
	[ "$(cut -d' ' -f22 /proc/$pid/stat 2>/dev/null)" = "$start" ] && kill -9 "$pid"
done
"$1/weave" --run-dir "$1/run" --state-dir "$1/state" reset --force >/dev/null 2>&1
for n in $(ip netns list | cut -d' ' -f1 | grep "^$2"); do
	for pid in $(ip netns pids "$n"); do kill -9 "$pid"; done
	ip netns del "$n"
done
for l in LINKS; do ip link del "$l" 2>/dev/null; done
rm -rf "$1"
""".replace("LINKS", LINKS)

# The process writes down who it is, then becomes the program.
REGISTERED = 'echo "$$ $(cut -d" " -f22 /proc/$$/stat)" >"$0"; exec "$@"'


class Unreachable(Exception):
    """A host that we cannot use; the text says why."""


class Process(subprocess.Popen):
    """A program on a host: ending it ends it there."""

    host = None
    record = ""

    def _end(self, signal):
        script = f'read -r pid start <{shlex.quote(self.record)} && kill -{signal} "$pid"'
        try:
            self.host.try_run(["sh", "-c", script], limit=5)
        except subprocess.TimeoutExpired:
            pass

    def terminate(self):
        if self.poll() is None:
            self._end("TERM")

    def kill(self):
        if self.poll() is None:
            self._end("KILL")
        super().kill()


class Remote:
    """What a host and a container on it have in common."""

    def start(self, command, **options):
        self.owner.started += 1
        record = f"{self.owner.folder}/pids/{self.owner.started}"
        words = command.split() if isinstance(command, str) else [str(w) for w in command]
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.STDOUT)
        if options.setdefault("text", True):
            options.setdefault("errors", "replace")
        process = Process(self.command(["sh", "-c", REGISTERED, record, *words]),
                          stdin=subprocess.DEVNULL, **options)
        process.host, process.record = self.owner, record
        self.lab.processes.append(process)
        return process

    def reaches(self, ip, **_):
        """By the ping that is there, since nothing of ours runs inside its namespaces."""
        return self.try_run(["ping", "-n", "-q", "-c", 1, "-W", 1, ip]).returncode == 0


class Host(Remote, place.Host):
    def __init__(self, laboratory, short, target, ssh):
        # Not a namespace of ours: nothing of the parent's constructors.
        self.lab, self.short, self.machine = laboratory, short, target
        self.owner, self.started, self.containers = self, 0, 0
        self.ips, self.device_to, self.sudo = [], {}, []
        self.ssh = [*ssh, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-o",
                    "ControlMaster=auto", "-o", f"ControlPath={laboratory.dir}/{short}", "-o",
                    "ControlPersist=60", target]
        self.guard, self.boxes, self.folder = None, [], ""

    def command(self, command):
        words = command.split() if isinstance(command, str) else [str(w) for w in command]
        return [*self.ssh, shlex.join([*self.sudo, *words])]

    def feed(self, command, data):
        """Runs a command with that input."""
        done = subprocess.run(self.command(command), input=data, capture_output=True, timeout=60)
        if done.returncode:
            raise Unreachable(f"{self.machine}: {done.stderr.decode(errors='replace').strip()}")

    def put(self, path, name):
        target = f"{self.folder}/{name}"
        self.feed(["sh", "-c", f"cat >{target}; chmod 755 {target}"],
                  pathlib.Path(path).read_bytes())

    def open(self):
        """Logs in, makes our folder, leaves the guard there."""
        who = self.try_run("id -u")
        if who.returncode:
            raise Unreachable(f"{self.machine}: {who.stderr.strip() or 'ssh failed'}")
        if who.stdout.strip() != "0":
            self.sudo = ["sudo", "-n"]
            if self.try_run("id -u").stdout.strip() != "0":
                raise Unreachable(f"{self.machine}: not root, and sudo asks for a password")
        for tool in ("ip", "iperf3", "tcpdump", "nsenter"):
            if self.try_run(["sh", "-c", f"command -v {tool}"]).returncode:
                raise Unreachable(f"{self.machine}: {tool} is not installed there")
        self.folder = self.run(["mktemp", "-d", "/tmp/weave-bench-XXXXXX"]).strip()
        self.run_dir = pathlib.Path(self.folder) / "run"
        self.state_dir = pathlib.Path(self.folder) / "state"
        self.run(["mkdir", f"{self.folder}/pids"])
        self.write("guard", GUARD)
        self.guard = subprocess.Popen(
            self.command(["sh", f"{self.folder}/guard", self.folder, self.prefix]),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)     # a Ctrl-C is for us; it sees our end
        for path, name in ((lab.BIN / "weaver", "weaver"), (lab.BIN / "weave", "weave"),
                           (place.PROBE, "probe")):
            self.put(path, name)

    def close(self):
        if self.guard:
            self.guard.stdin.close()
            try:
                self.guard.wait(30)
            except subprocess.TimeoutExpired:
                self.guard.kill()
        subprocess.run([*self.ssh[:-1], "-O", "exit", self.machine], capture_output=True)

    @property
    def prefix(self):
        return f"{self.lab.prefix}{self.short}"

    def facts(self):
        text = self.run(["sh", "-c", "cat /proc/loadavg; nproc; uname -r; iperf3 --version | head "
                         "-1; cat /proc/cpuinfo"]).splitlines()
        return {"cpu": cpu_model("\n".join(text[4:])), "cpus": int(text[1]), "kernel": text[2],
                "iperf3": text[3], "load": float(text[0].split()[0])}

    # --- what place.Host does on files of this machine ---

    def probe(self):
        return f"{self.folder}/probe"

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        self.feed(["sh", "-c", f"mkdir -p $(dirname {path}); cat >{path}; chmod 600 {path}"],
                  text.encode())
        return path

    def daemon(self, command):
        log = self.write(f"daemon{self.started}.log", "")
        process = self.start(["sh", "-c", 'log=$0; exec "$@" >"$log" 2>&1', log, *command])
        process.log = log
        return process

    def daemon_log(self, daemon):
        return self.run(["cat", daemon.log])[-300:]

    def daemon_pid(self, daemon):
        return int(self.run(["cut", "-d ", "-f1", daemon.record]))

    def container(self, *cidrs):
        self.containers += 1
        box = Container(self, f"{self.short}c{self.containers}", cidrs)
        return box

    def weave_command(self, *args):
        return [f"{self.folder}/weave", "--run-dir", self.run_dir, "--state-dir", self.state_dir,
                *args]

    @property
    def pid(self):
        return int(self.run(["cat", self.run_dir / "weaver.pid"]))


class Container(Remote, lab.Container):
    def __init__(self, host, short, cidrs):
        self.lab, self.host, self.owner, self.short, self.cidrs = host.lab, host, host, short, cidrs
        self.name = f"{host.lab.prefix}{short}"
        self.path = lab.NETNS / self.name
        host.boxes.append(self)
        host.run(["ip", "netns", "add", self.name])
        self.run("ip link set lo up")
        self.attach_output = host.weave("attach", *cidrs, self.name) if cidrs else ""

    def command(self, command):
        words = command.split() if isinstance(command, str) else [str(w) for w in command]
        return self.host.command(["nsenter", f"--net={self.path}", "--", *words])

    def processes(self):
        return [int(p) for p in self.host.try_run(["ip", "netns", "pids", self.name]).stdout.split()]

    def delete(self):
        for pid in self.processes():
            self.host.try_run(["kill", "-9", str(pid)])
        self.host.try_run(["ip", "netns", "del", self.name])


class RemotePlace:
    exclusive = True
    hosts_max = 2

    def __init__(self, laboratory, specs, ssh):
        self.lab = laboratory
        self.pair = []
        for short, spec in zip("ab", specs):
            target, _, ip = spec.partition("=")
            host = Host(laboratory, short, target, shlex.split(ssh))
            host.wanted_ip = ip
            self.pair.append(host)
        self.profile = place.Profile("asis", f"{self.pair[0].machine} and {self.pair[1].machine}, "
                                             "as they are joined")
        self.mtu = 0

    def __enter__(self):
        try:
            for host in self.pair:
                host.open()
                host.ips = [host.wanted_ip or address_of(host)]
            for host, other in (self.pair, self.pair[::-1]):
                self._find_way(host, other)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for host in self.pair:
            host.close()

    def _find_way(self, host, other):
        found = host.try_run(["ip", "-j", "route", "get", other.ip])
        if found.returncode:
            raise Unreachable(f"{host.machine} has no route to {other.ip}: {found.stderr.strip()}")
        device = json.loads(found.stdout)[0]["dev"]
        if device == "lo":
            raise Unreachable(f"{host.machine} and {other.machine} are the same host")
        host.device_to[other.ip] = device
        mtu = json.loads(host.run(["ip", "-j", "link", "show", "dev", device]))[0]["mtu"]
        self.mtu = min(self.mtu or mtu, mtu)

    def hosts(self, count):
        assert count == 2
        return self.pair

    def has(self, program):
        return all(h.try_run(["sh", "-c", f"command -v {program}"]).returncode == 0
                   for h in self.pair)

    def why_not(self):
        return None

    def clear(self):
        """After a mode: its containers go, so that the next finds the hosts as they were."""
        for host in self.pair:
            for box in host.boxes:
                box.delete()
            host.boxes = []
            host.try_run(["sh", "-c", f"rm -rf {host.run_dir} {host.state_dir}"])

    def describe(self):
        return {"title": self.profile.title, "mtu": self.mtu, "nic": None, "loss": 0.0,
                "delay_ms": 0.0, "longer": 1,
                "devices": [next(iter(h.device_to.values())) for h in self.pair]}

    def facts(self):
        """For the header of a result: the first host, and the other beside it."""
        first, other = (h.facts() for h in self.pair)
        return {**first, "load": max(first["load"], other["load"]), "other_host": other}


def address_of(host):
    """By which the other one reaches it, unless we are told: what ssh uses."""
    out = subprocess.run([*host.ssh[:-1], "-G", host.machine], capture_output=True, text=True)
    name = next((line.split()[1] for line in out.stdout.splitlines()
                 if line.startswith("hostname ")), host.machine.rpartition("@")[2])
    try:
        return socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0]
    except OSError:
        raise Unreachable(f"{host.machine}: '{name}' has no IPv4 address; give one: "
                          f"--host {host.machine}=IP") from None
