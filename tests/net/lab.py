"""A laboratory of hosts in one machine: network namespaces, links between them, routers on them.

	lab = Lab()
	lan = lab.lan()
	a, b = lan.host("a"), lan.host("b")     # 10.99.1.1 and .2, fd99:1::1 and ::2
	a.launch(); b.launch(a.ip)
	c = a.container("10.2.1.1/24")
	lan.cut(a, b)                           # silently, both ways; lan.heal() undoes all cuts
	lab.close()

Nothing here has a route out: every namespace is new, and links lead to namespaces of the same lab.
Names start with "wl-<pid>-", so that the next run finds and removes what a killed one left behind.
Only processes inside namespaces of the lab are ever ended.
"""

import atexit
import contextlib
import ctypes
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pinger

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = (ROOT / os.environ.get("BIN", "bin")).resolve()
NETNS = pathlib.Path("/run/netns")
COMMAND_LIMIT = 30  # seconds that any one command may take
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class CommandFailed(AssertionError):
    def __init__(self, result):
        self.result = result
        super().__init__(f"{result.args} ended with {result.returncode}\n"
                         f"stdout: {result.stdout}\nstderr: {result.stderr}")


def wait_until(seconds, condition, what, step=0.05):
    """Calls 'condition' until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            last = None
        except (CommandFailed, OSError, ValueError, KeyError, IndexError) as error:
            value, last = None, error
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"after {seconds} s still not: {what}"
                                 + (f" ({last})" if last else ""))
        time.sleep(step)


class Namespace:
    """A network namespace with a name that `ip netns` knows."""

    def __init__(self, lab, short):
        self.lab = lab
        self.short = short
        self.name = f"{lab.prefix}{short}"
        self.path = NETNS / self.name
        lab.namespaces.append(self)
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.run("ip link set lo up")

    def command(self, command):
        words = command.split() if isinstance(command, str) else [str(w) for w in command]
        return ["nsenter", f"--net={self.path}", "--", *words]

    def try_run(self, command, limit=COMMAND_LIMIT, env=None, **options):
        return subprocess.run(self.command(command), capture_output=True, text=True,
                              errors="replace", timeout=limit, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(env or {})}, **options)

    def run(self, command, **options):
        result = self.try_run(command, **options)
        if result.returncode:
            raise CommandFailed(result)
        return result.stdout

    def start(self, command, **options):
        """A process in the background; ended with the lab."""
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.STDOUT)
        if options.setdefault("text", True):
            options.setdefault("errors", "replace")
        process = subprocess.Popen(self.command(command), stdin=subprocess.DEVNULL, **options)
        self.lab.processes.append(process)
        return process

    def inside(self, function, *args):
        """Calls 'function' in this namespace: in a thread of its own, for sockets belong to the
        namespace in which they were made."""
        box = {}

        def body():
            try:
                with open(self.path, "rb") as handle:
                    if _libc.setns(handle.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), f"setns {self.name}")
                box["value"] = function(*args)
            except BaseException as error:  # handed to the caller
                box["error"] = error

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if "error" in box:
            raise box["error"]
        return box["value"]

    def socket(self, *args):
        return self.inside(socket.socket, *args)

    def links(self):
        return {link["ifname"]: link for link in json.loads(self.run("ip -j -d link") or "[]")}

    def addresses(self, interface):
        listing = json.loads(self.run(["ip", "-j", "address", "show", "dev", interface]))
        return [f"{a['local']}/{a['prefixlen']}" for link in listing
                for a in link.get("addr_info", []) if a.get("scope") != "link"]

    def sysctl(self, name, value):
        self.run(["sysctl", "-q", "-w", f"{name}={value}"])

    def processes(self):
        out = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True)
        return [int(p) for p in out.stdout.split()]

    def delete(self):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    # --- what a person at this place would do ---

    def ping(self, ip, count=3, wait=None, size=56, dont_fragment=False, interval=0.05):
        """The number of answers.  Asking whether anybody is there has less patience than counting
        what is lost."""
        if wait is None:
            wait = 1 if count == 1 else 5
        return self.inside(pinger.ping, ip, count, wait, size, dont_fragment, interval)

    def reaches(self, ip, **options):
        return self.ping(ip, count=1, **options) == 1

    def open_port(self, port):
        """Whether somebody here listens on this TCP port."""
        return bool(self.run(["ss", "-Hltn", f"sport = :{port}"]).strip())

    def capture(self, interface, keep=lambda frame: True):
        return Capture(self, interface, keep)

    def send_frame(self, interface, frame):
        def send():
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
                s.bind((interface, 0))
                s.send(frame)
        self.inside(send)


class Capture:
    """Frames that come in at an interface, collected in the background; use it with `with`."""

    def __init__(self, namespace, interface, keep):
        def open_socket():
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
            s.bind((interface, 0x0003))
            s.settimeout(0.1)
            return s
        self.frames = []
        self._keep = keep
        self._socket = namespace.inside(open_socket)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._collect)

    def _collect(self):
        while not self._stop.is_set():
            try:
                frame, address = self._socket.recvfrom(70000)
            except socket.timeout:
                continue
            except OSError:
                return
            if address[2] != socket.PACKET_OUTGOING and self._keep(frame):
                self.frames.append(frame)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._socket.close()


class Container(Namespace):
    """A namespace that stands in for a container, attached to its host's router."""

    def __init__(self, host, short, cidrs):
        super().__init__(host.lab, short)
        self.host = host
        self.cidrs = cidrs
        self.attach_output = host.weave("attach", *cidrs, self.name) if cidrs else ""

    @property
    def ip(self):
        return self.cidrs[0].split("/")[0]


class Host(Namespace):
    """A machine: a namespace with a router's directories and, maybe, a router."""

    def __init__(self, lab, short):
        super().__init__(lab, short)
        self.run_dir = lab.dir / short / "run"
        self.state_dir = lab.dir / short / "state"
        self.ips = []
        self.containers = 0

    @property
    def ip(self):
        return self.ips[0]

    @property
    def ip6(self):
        return next(ip for ip in self.ips if ":" in ip)

    # --- the router ---

    def weave_command(self, *args):
        return [str(BIN / "weave"), "--run-dir", str(self.run_dir), "--state-dir",
                str(self.state_dir), *[str(a) for a in args]]

    def try_weave(self, *args, limit=COMMAND_LIMIT, env=None):
        return self.try_run(self.weave_command(*args), limit=limit, env=env)

    def weave(self, *args, limit=COMMAND_LIMIT):
        return self.run(self.weave_command(*args), limit=limit)

    def launch(self, *args, **options):
        """Its peer name.  The nickname is the short name, so that outputs are readable."""
        if "--nickname" not in args:
            args = ("--nickname", self.short, *args)
        if "--docker-api" not in args:
            args = ("--docker-api", "", *args)  # an engine of this machine is none of the lab's
        return self.weave("launch", *args, **options).strip()

    @property
    def pid(self):
        return int((self.run_dir / "weaver.pid").read_text())

    def is_running(self):
        # Not by its namespace: it visits those of containers.
        try:
            words = pathlib.Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return False
        return str(self.run_dir).encode() in words

    def kill(self, number=signal.SIGKILL):
        """Ends the router the hard way and waits until it is gone."""
        pid = self.pid
        assert self.is_running(), f"no router on {self.short}"
        os.kill(pid, number)
        wait_until(10, lambda: not os.path.exists(f"/proc/{pid}") or is_zombie(pid),
                   f"weaver of {self.short} is gone")

    def log(self):
        try:
            return (self.run_dir / "weaver.log").read_text(errors="replace")
        except OSError:
            return ""

    def status(self, what=""):
        return json.loads(self.weave("status", *([what] if what else []), "--json"))

    def report(self):
        return json.loads(self.weave("report"))

    def connections(self):
        return self.status("connections")

    def established(self):
        """Nicknames of the peers with an established connection."""
        return sorted(c["NickName"] for c in self.connections() if c["State"] == "established")

    def is_meshed(self, *hosts):
        return set(h.short for h in hosts) <= set(self.established())

    def peers(self):
        return sorted(p["NickName"] for p in self.status("peers"))

    def memory_kb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        raise ValueError("no VmRSS")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def container(self, *cidrs):
        self.containers += 1
        return Container(self, f"{self.short}c{self.containers}", cidrs)


def is_zombie(pid):
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == "Z"
    return True


class Lan:
    """A switch in a namespace of its own.  Hosts get 10.99.<number>.<n>/24, fd99:<number>::<n>/64.

    Cuts are nftables rules in the switch: nobody gets an answer, no interface goes down."""

    def __init__(self, lab, number):
        self.lab = lab
        self.number = number
        self.switch = Namespace(lab, f"lan{number}")
        self.hosts = []
        self.rules = []
        self.switch.run("ip link add sw type bridge stp_state 0 forward_delay 0 mcast_snooping 0")
        self.switch.run("ip link set sw up")

    def host(self, short):
        return self.join(Host(self.lab, short))

    def join(self, host):
        self.hosts.append(host)
        n = len(self.hosts)
        port, name = f"p-{host.short}"[:15], f"eth{self.number}"
        self.switch.run(["ip", "link", "add", port, "type", "veth", "peer", "name", name,
                         "netns", host.name])
        self.switch.run(["ip", "link", "set", port, "master", "sw", "up"])
        host.run(["ip", "link", "set", name, "up"])
        for address in (f"10.99.{self.number}.{n}/24", f"fd99:{self.number}::{n}/64"):
            options = ["nodad"] if ":" in address else []
            host.run(["ip", "address", "add", address, "dev", name, *options])
            host.ips.append(address.split("/")[0])
        return host

    def rule(self, text):
        """Adds an nftables rule to the frames that this switch forwards."""
        self.rules.append(text)
        self._apply()

    def heal(self, rule=None):
        self.rules = [r for r in self.rules if rule is not None and r != rule]
        self._apply()

    def _apply(self):
        script = "\n".join(["table bridge lab {}", "delete table bridge lab",
                            "table bridge lab {", "chain f {",
                            "type filter hook forward priority 0;", *self.rules, "}", "}", ""])
        subprocess.run(self.switch.command(["nft", "-f", "-"]), input=script, text=True,
                       check=True)

    @staticmethod
    def between(source, target):
        return f'iifname "p-{source.short}" oifname "p-{target.short}"'

    def cut_way(self, source, target, what=""):
        """Frames from 'source' to 'target' vanish; 'what' limits it, like "ip protocol udp"."""
        self.rule(f"{self.between(source, target)} {what} drop")

    def cut(self, a, b, what=""):
        self.rules.append(f"{self.between(a, b)} {what} drop")
        self.cut_way(b, a, what)

    def partition(self, left, right):
        for a in left:
            for b in right:
                self.rules += [f"{self.between(a, b)} drop", f"{self.between(b, a)} drop"]
        self._apply()


class Lab:
    open_labs = []

    def __init__(self):
        remove_leftovers()
        self.prefix = f"wl-{os.getpid()}-{secrets.token_hex(2)}-"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="wl-"))
        self.namespaces = []
        self.processes = []
        self.lans = []
        Lab.open_labs.append(self)

    def lan(self):
        self.lans.append(Lan(self, len(self.lans) + 1))
        return self.lans[-1]

    def routed_pair(self, mtu, short_a="a", short_b="b", icmp=True, end_mtu=1500):
        """Two hosts with an IP router between them; its link towards the second host takes
        packets of at most 'mtu' bytes.  Without 'icmp' it does not say so."""
        self.lans.append(None)
        k = len(self.lans)
        middle = Namespace(self, f"ip{k}")
        middle.sysctl("net.ipv4.ip_forward", 1)
        hosts = [Host(self, short_a), Host(self, short_b)]
        for i, host in enumerate(hosts):
            port, leg_mtu = f"leg{i}", mtu if i else end_mtu
            middle.run(["ip", "link", "add", port, "mtu", leg_mtu, "type", "veth", "peer", "name",
                        "eth0", "mtu", end_mtu, "netns", host.name])
            middle.run(["ip", "address", "add", f"10.98.{k * 2 + i}.1/24", "dev", port])
            middle.run(["ip", "link", "set", port, "up"])
            # Segments as they are on a wire: without this, packets of 64 KB would meet the limit.
            middle.run(["ethtool", "-K", port, "gro", "off", "gso", "off", "tso", "off"])
            host.ips.append(f"10.98.{k * 2 + i}.2")
            host.run(["ip", "address", "add", f"{host.ip}/24", "dev", "eth0"])
            host.run(["ip", "link", "set", "eth0", "up"])
            host.run(["ethtool", "-K", "eth0", "gro", "off", "gso", "off", "tso", "off"])
            host.run(["ip", "route", "add", "10.98.0.0/16", "via", f"10.98.{k * 2 + i}.1"])
        if not icmp:
            middle.run(["nft", "add table ip lab"])
            middle.run(["nft", "add chain ip lab o { type filter hook output priority 0 ; }"])
            middle.run(["nft", "add rule ip lab o icmp type destination-unreachable drop"])
        return hosts

    def hosts(self):
        return [n for n in self.namespaces if isinstance(n, Host)]

    def describe(self):
        """What a person would want to see after a failure."""
        out = []
        for host in self.hosts():
            out.append(f"=== {host.short} {'running' if host.is_running() else 'not running'}")
            if host.is_running():
                with contextlib.suppress(Exception):
                    out.append(host.try_weave("status", "connections", limit=5).stdout)
            out += host.log().splitlines()[-25:]
        return "\n".join(out)

    def close(self):
        if self not in Lab.open_labs:
            return
        Lab.open_labs.remove(self)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            if process.stdout:
                process.stdout.close()
            process.wait()
        for namespace in self.namespaces:
            namespace.delete()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def close_all(*_):
    for lab in list(Lab.open_labs):
        lab.close()


def on_signal(number, _frame):
    # A second one must not interrupt the cleaning.
    for other in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    close_all()
    os._exit(128 + number)


def install_cleanup():
    """Called once by the program that makes labs, from its main thread."""
    atexit.register(close_all)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)


def remove_leftovers():
    """Namespaces of runs whose process is gone, with what still runs in them."""
    for path in NETNS.glob("wl-*"):
        found = re.match(r"wl-(\d+)-", path.name)
        if not found or os.path.exists(f"/proc/{found.group(1)}"):
            continue
        pids = subprocess.run(["ip", "netns", "pids", path.name], capture_output=True, text=True)
        for pid in pids.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", path.name], capture_output=True)


# --- traffic -------------------------------------------------------------------------------------

def mesh(hosts, seconds=15):
    """Waits until each of these hosts has an established connection with each other."""
    for host in hosts:
        others = [h for h in hosts if h is not host]
        wait_until(seconds, lambda: host.is_meshed(*others),
                   f"{host.short} connected to {[h.short for h in others]}")


def iperf(client, server, ip, seconds=1, *options):
    """TCP from client to server; bits per second that arrived."""
    port = 5201
    process = server.start(["iperf3", "-s", "-1", "-p", port])
    wait_until(5, lambda: server.open_port(port), "iperf3 listens")
    out = client.run(["iperf3", "-c", ip, "-p", port, "-t", seconds, "-J", *options],
                     limit=60 + seconds)
    process.wait(10)
    return json.loads(out)["end"]["sum_received"]["bits_per_second"]


def transfer(client, server, ip, size, limit=30):
    """Sends 'size' random bytes by TCP and checks that the same come out.  Returns seconds."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    data = os.urandom(size)
    listener = server.socket(family, socket.SOCK_STREAM)
    sender = client.socket(family, socket.SOCK_STREAM)
    with listener, sender:
        listener.bind((ip, 0))
        listener.listen(1)
        listener.settimeout(limit)
        sender.settimeout(limit)
        start = time.monotonic()
        sender.connect((ip, listener.getsockname()[1]))
        receiver, _ = listener.accept()

        def send():
            with contextlib.suppress(OSError):  # the receiver notices what is missing
                sender.sendall(data)
                sender.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        received = bytearray()
        try:
            with receiver:
                receiver.settimeout(limit)
                while chunk := receiver.recv(1 << 16):
                    received += chunk
        except socket.timeout:
            raise AssertionError(f"only {len(received)} of {size} bytes in {limit} s") from None
        finally:
            sender.close()
            thread.join()
        assert received == data, f"{len(received)} of {size} bytes, or others"
        return time.monotonic() - start


class Pinger:
    """One ping every 10 ms in the background; afterwards tells the longest silence."""

    def __init__(self, source, ip, interval=0.01):
        self.process = source.start(["ping", "-n", "-D", "-i", interval, ip])
        self.times = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            found = re.match(r"\[(\d+\.\d+)\] \d+ bytes from", line)
            if found:
                self.times.append(float(found.group(1)))

    def answers_after(self, moment):
        return sum(t > moment for t in list(self.times))

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(5)
        self._reader.join(5)
        return self

    def longest_gap(self):
        """Seconds."""
        return max((b - a for a, b in zip(self.times, self.times[1:])), default=float("inf"))


# --- frames --------------------------------------------------------------------------------------

def ethernet(target, source, ethertype, payload):
    mac = lambda text: bytes.fromhex(text.replace(":", ""))
    return mac(target) + mac(source) + struct.pack("!H", ethertype) + payload.ljust(46, b"\0")
