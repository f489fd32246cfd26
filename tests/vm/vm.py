#!/usr/bin/env python3
"""Runs a command on Debian's stock kernel, in an emulated machine: for what this kernel lacks.

	python3 tests/vm/vm.py COMMAND...      # its output, its exit status; VM_SECONDS (900) at most

The guest sees this machine's programs (/usr, /etc) and the project's tree at their usual places,
read-only through virtio-9p, so whatever runs here runs there: no image is built, nothing is
installed.  All else (/tmp, /run, /var) is empty memory.  No network device, no route out.  The
directory given as 'out' is the only thing that it can write: there as /out.

Emulated (TCG), never KVM: it must run where there is none, and on some hosts KVM hangs stock
kernels.  So it is slow, and says nothing about speed: functions only.

The kernel is Debian's linux-image-amd64 from its archive, unpacked under build/vm and not
installed; downloaded once.
"""

import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = ROOT / os.environ.get("BUILD", "build") / "vm"
SECONDS = int(os.environ.get("VM_SECONDS", "900"))
QEMU = "qemu-system-x86_64"
MEMORY_MB = 2048

# What must be there before the root is: everything else is loaded from it on demand.
FIRST_MODULES = ("virtio_pci", "9pnet_virtio", "9p")
# Of the kernel package: what tests may need. The rest (drivers of machines) stays packed.
WANTED = ("./boot/vmlinuz-*", "./lib/modules/*/modules.*", "./lib/modules/*/kernel/arch",
          "./lib/modules/*/kernel/crypto", "./lib/modules/*/kernel/drivers/net/*.ko",
          "./lib/modules/*/kernel/drivers/net/vxlan", "./lib/modules/*/kernel/drivers/virtio",
          "./lib/modules/*/kernel/drivers/char/virtio*", "./lib/modules/*/kernel/fs/9p",
          "./lib/modules/*/kernel/drivers/char/hw_random/virtio*",
          "./lib/modules/*/kernel/fs/fscache", "./lib/modules/*/kernel/fs/netfs",
          "./lib/modules/*/kernel/lib", "./lib/modules/*/kernel/net")

INIT = """#!/bin/busybox sh
# First process of the guest.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in @FIRST@; do insmod /first/$m; done
share="trans=virtio,version=9p2000.L,msize=262144"
mount -t 9p -o "$share,ro,cache=loose" root /host || poweroff -f
mount -t 9p -o "$share,cache=none" out /out || poweroff -f
mount --bind "/host@MODULES@" /lib/modules
# Loaded on demand like all others, they and the tests of ciphers take their time when a router starts.
modprobe -a tun veth bridge vxlan xfrm_user esp4 esp6
mount -t tmpfs -o mode=755 tmpfs /new
cd /new
mkdir -p usr etc proc sys dev run tmp var/tmp var/lib root out ".@ROOT@"
chmod 1777 tmp var/tmp
for d in bin sbin lib lib32 lib64 libx32; do
	[ -L /host/$d ] && ln -s usr/$d $d
done
mount --bind /host/usr usr
mount --bind /host/etc etc
mount --bind "/host@ROOT@" ".@ROOT@"
mount --bind /out out
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
mkdir -p dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs -o mode=755 tmpfs run
mount -t bpf bpf sys/fs/bpf 2>/dev/null
ip link set lo up
hostname weave-vm
echo 1 >/proc/sys/kernel/panic_on_oops
# Its own session, and no console to wait for: output goes through the serial line.
chroot /new /bin/sh /out/command </dev/null >/dev/console 2>&1
echo $? >/out/status
sync
poweroff -f
"""


class Unavailable(Exception):
    """No such machine can be had here; the text says why."""


def quiet(command, what, **options):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            errors="replace", **options)
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise Unavailable(f"{what}: {lines[-1] if lines else 'failed'}")
    return result.stdout


def kernel_package():
    """Name of the package behind the meta package, e.g. linux-image-6.1.0-56-amd64."""
    command = ["apt-cache", "depends", "linux-image-amd64"]
    for update in (False, True):
        if update:
            quiet(["apt-get", "update", "-qq"], "apt-get update")
        for line in quiet(command, "apt-cache", timeout=60).splitlines():
            kind, _, name = line.strip().partition(": ")
            if kind == "Depends" and name.startswith("linux-image-"):
                return name
    raise Unavailable("Debian's archive offers no linux-image-amd64")


def download(name, folder):
    """The .deb, even when the list of packages is older than the archive."""
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", name]
    try:
        quiet(command, f"download of {name}", cwd=folder, timeout=300)
    except Unavailable:
        quiet(["apt-get", "update", "-qq"], "apt-get update", timeout=300)
        quiet(command, f"download of {name}", cwd=folder, timeout=300)
    return next(pathlib.Path(folder).glob("*.deb"))


def unpack(deb, target):
    """Only what is wanted of it."""
    read = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE)
    result = subprocess.run(["tar", "-x", "-C", str(target), "--wildcards", *WANTED],
                            stdin=read.stdout, capture_output=True, text=True)
    read.stdout.close()
    read.wait()
    if not list(target.glob("boot/vmlinuz-*")) or not list(target.glob("lib/modules/*/kernel/net")):
        raise Unavailable(f"the kernel's package does not unpack: {result.stderr.strip()[-200:]}")


def kernel():
    """Folder with boot/ and lib/modules/, made if need be."""
    folder = HOME / "kernel"
    if (folder / "ready").exists():
        return folder
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        fresh = pathlib.Path(scratch) / "kernel"
        fresh.mkdir()
        unpack(download(kernel_package(), scratch), fresh)
        version = next(fresh.glob("lib/modules/*")).name
        quiet(["busybox", "depmod", "-b", str(fresh), version], "depmod")
        (fresh / "ready").touch()
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return folder


def first_modules(folder):
    """Files of FIRST_MODULES and all that they need, those that are needed first."""
    base = next(folder.glob("lib/modules/*"))
    needs = {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    order = []

    def add(path):
        for other in needs[path]:
            add(other)
        if path not in order:
            order.append(path)

    for path in list(needs):
        if pathlib.Path(path).stem in FIRST_MODULES:  # the others are built in
            add(path)
    return [base / path for path in order]


def initramfs(folder, target):
    """A few files in front of the real root."""
    with tempfile.TemporaryDirectory() as scratch:
        top = pathlib.Path(scratch)
        for name in ("bin", "sbin", "proc", "sys", "dev", "host", "out", "new", "first",
                     "lib/modules"):
            (top / name).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), top / "bin/busybox")
        (top / "sbin/modprobe").symlink_to("/bin/busybox")  # the kernel calls it, outside /new
        modules = first_modules(folder)
        for module in modules:
            shutil.copy(module, top / "first")
        init = (INIT.replace("@FIRST@", " ".join(m.name for m in modules))
                .replace("@ROOT@", str(ROOT)).replace("@MODULES@", str(folder / "lib/modules")))
        (top / "init").write_text(init)
        (top / "init").chmod(0o755)
        names = "\n".join(str(p.relative_to(top)) for p in sorted(top.rglob("*")))
        with open(target, "wb") as out:
            subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=top, input=names.encode(),
                           stdout=out, stderr=subprocess.DEVNULL, check=True)


def machine(folder, ramdisk, out):
    image = next(folder.glob("boot/vmlinuz-*"))
    share = "local,security_model=none,multidevs=remap"
    return [QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-accel", "tcg,thread=multi", "-cpu", "max,la57=off", "-M", "q35,usb=off",
            "-smp", str(min(2, os.cpu_count() or 1)), "-m", str(MEMORY_MB),
            "-kernel", str(image), "-initrd", str(ramdisk),
            "-append", "console=ttyS0 quiet panic=-1 oops=panic random.trust_cpu=on mitigations=off"
                       " nokaslr tsc=reliable",
            "-fsdev", f"{share},id=root,path=/,readonly=on",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
            "-fsdev", f"{share},id=out,path={out}",
            "-device", "virtio-9p-pci,fsdev=out,mount_tag=out",
            "-device", "virtio-rng-pci", "-serial", "stdio", "-nic", "none"]


def run(command, out, log, seconds=SECONDS):
    """Exit status of 'command' (words) inside; None when the machine ended without one.  'log' is
    called with each line of its output.  Files that it leaves in /out are in the folder 'out'."""
    for program in (QEMU, "busybox", "dpkg-deb", "apt-get"):
        if not shutil.which(program):
            raise Unavailable(f"no {program} here (tools/deps installs it)")
    folder = kernel()
    out = pathlib.Path(out)
    words = " ".join(shlex.quote(w) for w in command)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
                   "PYTHONDONTWRITEBYTECODE": "1", "WEAVE_VM": "1"}
    for name in ("BIN", "BUILD"):
        if name in os.environ:
            environment[name] = os.environ[name]
    exports = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in environment.items())
    (out / "command").write_text(f"{exports}cd {shlex.quote(str(ROOT))}\n{words}\n")
    with tempfile.TemporaryDirectory() as scratch:
        ramdisk = pathlib.Path(scratch) / "initramfs"
        initramfs(folder, ramdisk)
        guest = subprocess.Popen(machine(folder, ramdisk, out), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # Whoever ends us ends it: it must not outlive the test run.
        timer = threading.Timer(seconds, guest.kill)
        timer.start()
        try:
            for line in guest.stdout:
                log(line.decode(errors="replace").rstrip("\r\n"))
            guest.wait()
        finally:
            timer.cancel()
            guest.kill()
            guest.wait()
    with contextlib.suppress(OSError, ValueError):
        return int((out / "status").read_text())
    return None


def on_signal(number, _frame):
    sys.exit(128 + number)  # through the finally of run()


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="weave-vm-") as out:
        try:
            status = run(sys.argv[1:], out, lambda line: print(line, flush=True))
        except Unavailable as error:
            print(f"vm: {error}", file=sys.stderr)
            return 3
    return 1 if status is None else status


if __name__ == "__main__":
    sys.exit(main())
