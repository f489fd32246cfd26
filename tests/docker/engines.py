"""Real Docker engines in the hosts of a laboratory, each with a router and its plugin.

	lab = EngineLab()
	lan = lab.lan()
	a, b = lab.engine_host(lan, "a"), lab.engine_host(lan, "b")
	a.start_engine(); a.start_plugin(); a.launch()
	a.docker("run", "-d", "--net", "weave", "--name", "c1", IMAGE, "sleep", "1000")

An engine sees only its host: a network namespace, and a mount namespace with folders of its own at
/run/docker (where plugins' sockets are) and /etc/docker.  The mount namespace lives as long as the
lab, since it holds what the engine mounts for containers, which outlive the engine.  Nothing is
downloaded: the image is made of busybox.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "net"))
import lab as net_lab  # noqa: E402
from lab import BIN, CommandFailed, Host, Lab, is_zombie, wait_until  # noqa: E402,F401

IMAGE = "bb:1"
# With bash and ping of the host's C library: busybox, being static, cannot resolve names.
IMAGE_NAMES = "bb:2"
APPLETS = ("sh", "ip", "ping", "ping6", "sleep", "nslookup", "cat", "hostname", "httpd", "wget", "nc",
           "arping", "ls", "true", "kill", "echo")
DOCKER = "/usr/bin/docker"
RANGES = ("--ipalloc-range", "10.32.0.0/12", "--ipalloc-range", "fd32::/64")  # of all routers
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def why_not():
    """Why no engine can run here; empty when one can."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("dockerd", "containerd", "runc", "busybox", "iptables"):
        if not shutil.which(program):
            return f"{program} is not installed (tools/deps)"
    if not os.path.exists(DOCKER):
        return f"no {DOCKER}"
    return ""


def end_process(pid, number, seconds):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    wait_until(seconds, lambda: not os.path.exists(f"/proc/{pid}") or is_zombie(pid),
               f"process {pid} is gone")


class EngineHost(Host):
    def __init__(self, lab, short, number):
        super().__init__(lab, short)
        self.number = number
        self.root = lab.dir / short
        self.mounts = lab.mounts / short
        self.engine = None
        self.plugin = None
        for folder in ("run-docker/plugins", "etc-docker", "data", "exec", "run", "state"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.mounts.touch()
        subprocess.run(["unshare", f"--mount={self.mounts}", "--propagation", "slave", "sh", "-ec",
                        f"mount --bind {self.root}/run-docker /run/docker;"
                        f"mount --bind {self.root}/etc-docker /etc/docker"], check=True)

    def command(self, command):
        words = command.split() if isinstance(command, str) else [str(w) for w in command]
        mount = [f"--mount={self.mounts}"] if getattr(self, "mounts", None) else []
        return ["nsenter", f"--net={self.path}", *mount, "--", *words]

    @property
    def api(self):
        return f"unix://{self.root}/docker.sock"

    # --- the engine ---

    def start_engine(self, *args, wait=True):
        """Whatever a killed one left behind that would stop it is removed first."""
        for stale in ("docker.pid", "exec/containerd/containerd.pid"):
            (self.root / stale).unlink(missing_ok=True)
        self.engine_log = open(self.root / "dockerd.log", "a")
        self.engine = self.start(
            ["dockerd", "--data-root", self.root / "data", "--exec-root", self.root / "exec",
             "-H", self.api, "--pidfile", self.root / "docker.pid", "--storage-driver", "vfs",
             "--cgroup-parent", f"/{self.lab.prefix}{self.short}",
             "--bip", f"172.30.{self.number}.1/24", "--default-address-pool",
             f"base=172.31.{self.number * 8}.0/21,size=24", *args],
            stdout=self.engine_log, stderr=subprocess.STDOUT)
        if wait:
            self.wait_engine()

    def wait_engine(self, seconds=60):
        """Seconds until it answered."""
        begun = time.monotonic()
        wait_until(seconds, lambda: self.try_docker("version", "--format", "{{.Server.Version}}")
                   .returncode == 0, f"engine of {self.short} answers")
        return time.monotonic() - begun

    def stop_engine(self, seconds=60):
        end_process(self.engine.pid, signal.SIGTERM, seconds)
        self.engine.wait()
        self.engine = None

    def kill_engine(self):
        """With its containerd, as a crash of the machine's service would; shims stay."""
        victims = [self.engine.pid]
        with contextlib.suppress(OSError, ValueError):
            victims.append(int((self.root / "exec/containerd/containerd.pid").read_text()))
        for pid in victims:
            end_process(pid, signal.SIGKILL, 10)
        self.engine.wait()
        self.engine = None

    def load_image(self):
        """IMAGE, and IMAGE_NAMES on top of it."""
        image = self.root / "image/bin"
        image.mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), image / "busybox")
        for applet in APPLETS:
            (image / applet).symlink_to("busybox")
        for folder in ("etc", "tmp", "proc", "sys", "www"):
            (self.root / "image" / folder).mkdir()
        self.import_image(IMAGE)
        for program in ("bash", "ping", "getent"):
            path = shutil.which(program)
            (image / program).unlink(missing_ok=True)
            shutil.copy(path, image / program)
            libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=True)
            for library in re.findall(r"(/\S+)", libraries.stdout):
                target = self.root / "image" / library.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, target)
        self.import_image(IMAGE_NAMES)

    def import_image(self, name):
        tar = subprocess.run(["tar", "-C", str(self.root / "image"), "-c", "."],
                             capture_output=True, check=True).stdout
        subprocess.run([DOCKER, "-H", self.api, "import", "-", name], input=tar, check=True,
                       capture_output=True)

    def docker_command(self, *args):
        return [DOCKER, "-H", self.api, *[str(a) for a in args]]

    def try_docker(self, *args, limit=60):
        # The client needs no namespace: the socket is a file.
        return subprocess.run(self.docker_command(*args), capture_output=True, text=True,
                              errors="replace", timeout=limit, stdin=subprocess.DEVNULL)

    def docker(self, *args, limit=60):
        result = self.try_docker(*args, limit=limit)
        if result.returncode:
            raise CommandFailed(result)
        return result.stdout.strip()

    def background(self, *args):
        return subprocess.Popen(self.docker_command(*args), stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait_default_network(self):
        """The router makes it when it sees the engine."""
        wait_until(30, lambda: self.try_docker("network", "inspect", "weave").returncode == 0,
                   f"network weave on {self.short}")

    def run_container(self, name, *options, network="weave", image=IMAGE,
                      command=("sleep", "10000")):
        return self.docker("run", "-d", "--stop-timeout", 1, "--name", name, "--net", network,
                           *options, image, *command)

    def inspect(self, name):
        return json.loads(self.docker("inspect", name))[0]

    def address(self, name, network="weave", six=False):
        networks = self.inspect(name)["NetworkSettings"]["Networks"]
        return networks[network]["GlobalIPv6Address" if six else "IPAddress"]

    def exec(self, name, *command, limit=30):
        return self.try_docker("exec", name, *command, limit=limit)

    def fetch(self, name, target):
        """The page that a web server shows."""
        script = (f"exec 3<>/dev/tcp/{target}/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && "
                  "while read -r -t 3 line; do last=$line; done <&3; echo \"$last\"")
        return self.exec(name, "bash", "-c", script).stdout.strip()

    def pings(self, name, target, count=1):
        program = "ping6" if ":" in target else "ping"
        return self.exec(name, program, "-c", count, "-W", 2, target).returncode == 0

    # --- plugin and router ---

    @property
    def sockets(self):
        return [self.root / "run-docker/plugins" / f"{name}.sock" for name in ("weave", "weavemesh")]

    def launch(self, *args, **options):
        """A router and, unless one runs, the plugin."""
        plugin = ["--docker-api", self.api, "--plugin"]
        if "--docker-api" in args or "--no-plugin" in args:
            plugin = []
        return super().launch(*plugin, *args, **options)

    @property
    def plugin_pid(self):
        return int((self.run_dir / "plugin.pid").read_text())

    def start_plugin(self, level="debug"):
        """Without a router."""
        sockets = [word for path in ("weave", "weavemesh")
                   for word in ("--socket", f"/run/docker/plugins/{path}.sock")]
        self.plugin_log = open(self.run_dir / "plugin.log", "a")
        self.plugin = self.start([BIN / "weave-plugin", "--run-dir", self.run_dir, "--state-dir",
                                  self.state_dir, "--log-level", level, *sockets],
                                 stdout=self.plugin_log, stderr=subprocess.STDOUT)
        wait_until(10, lambda: all(self.answers(s) for s in self.sockets), "plugin's sockets")

    def kill_plugin(self, number=signal.SIGKILL):
        end_process(self.plugin_pid, number, 10)

    @staticmethod
    def answers(path):
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(str(path))
            except OSError:
                return False
            return True

    def call(self, call, body="", method="POST", path=None, headers=()):
        """(HTTP status, text) of a request to the plugin, byte by byte as given."""
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        data = body.encode() if isinstance(body, str) else body
        head = [f"{method} /{call} HTTP/1.1", "Host: ", "User-Agent: Go-http-client/1.1",
                f"Content-Length: {len(data)}", "Connection: close", *headers, "", ""]
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(path or self.sockets[0]))
            s.sendall("\r\n".join(head).encode() + data)
            answer = b""
            while part := s.recv(65536):
                answer += part
        head, _, text = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, text.decode()

    def endpoints(self):
        """Host ends of Docker's endpoints."""
        return [link["ifname"] for link in self.links().values()
                if " docker:" in link.get("ifalias", "")]

    def held(self):
        """Addresses that Docker holds, as the router knows it."""
        owned = json.loads(self.run(["curl", "-s", "--unix-socket", self.run_dir / "weave.sock",
                                     "http://weave/ip"]))["owned"]
        return sorted(address.split("/")[0] for row in owned or []
                      if row["containerid"].startswith("docker:") for address in row["addrs"])


class EngineLab(Lab):
    def __init__(self):
        super().__init__()
        self.mounts = self.dir / "mounts"
        self.mounts.mkdir()
        for folder in ("/run/docker", "/etc/docker"):
            os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "--bind", self.mounts, self.mounts], check=True)
        subprocess.run(["mount", "--make-private", self.mounts], check=True)
        self.engines = []

    def engine_host(self, lan, short):
        host = EngineHost(self, short, len(self.engines) + 1)
        self.engines.append(host)
        host.lan = lan
        lan.join(host)
        return host

    def describe(self):
        out = [super().describe()]
        for host in self.engines:
            for name in ("run/plugin.log", "dockerd.log"):
                with contextlib.suppress(OSError):
                    lines = (host.root / name).read_text(errors="replace").splitlines()
                    keep = [line for line in lines if "level=info" not in line][-25:]
                    out.append(f"=== {host.short} {name}")
                    out += keep
        return "\n".join(out)

    def close(self):
        if self not in Lab.open_labs:
            return
        for host in self.engines:
            with contextlib.suppress(Exception):
                if host.engine and host.engine.poll() is None:
                    names = host.docker("ps", "-q").split()
                    if names:
                        host.docker("kill", *names)
                    host.stop_engine(20)
        for host in self.engines:
            end_tree(host)
            subprocess.run(["umount", str(host.mounts)], capture_output=True)
        subprocess.run(["umount", str(self.mounts)], capture_output=True)
        prefixes = [f"{self.prefix}{host.short}" for host in self.engines]
        super().close()
        for controller in CGROUPS.iterdir():
            for prefix in prefixes:
                top = controller / prefix
                for folder, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(folder)


def end_tree(host):
    """What an engine left running in the host's namespace: shims of containers, and these."""
    for pid in pids_with(f"{host.root}/"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for procs in CGROUPS.glob(f"*/{host.lab.prefix}{host.short}/**/cgroup.procs"):
        with contextlib.suppress(OSError):
            for pid in procs.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def pids_with(text):
    """Processes whose command line names the host's own folder: all are this lab's."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                yield int(path.parent.name)
