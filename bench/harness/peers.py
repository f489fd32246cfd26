"""Overlays that others make, from Debian's packages, each as its manual sets up two hosts.

Layer 2 (tap): the device is a port of a bridge, like the VXLAN device of the baseline.  Layer 3
(tun): the containers' subnets are routed through it.  n2n drops what another MAC sends through its
tap, so that lives in the container, which is one hop less.  MTU: what fits the underlay whole.
"""

import re

import lab
from .modes import MODES, SETTLE, Expect, Mode, Scene, Unavailable, bottom

PLAIN_ROOM, SEALED_ROOM = 50, 72    # what the tap peers put around a frame, at most
N2N_ROOM, NEBULA_ROOM, WIREGUARD_ROOM = 200, 60, 80


def device_name(kind, host):
    """Unique on this machine: namespaces share /var/run, where wireguard-go has its sockets."""
    return f"{kind}{host.lab.prefix.split('-')[2]}{host.short}"[:15]


def wait_for_device(host, device, daemon):
    def there():
        if daemon.poll() is not None:
            raise RuntimeError(f"it ended: {host.daemon_log(daemon)}")
        return host.try_run(["ip", "link", "show", device]).returncode == 0
    lab.wait_until(SETTLE, there, f"{device} is there")


def closer(hosts, daemons, links):
    def close():
        for host, daemon in daemons:
            host.end_daemon(daemon)
        for host in hosts:
            for link in links:
                host.try_run(["ip", "link", "del", link])
    return close


def bridged(place, mtu, start, expect, devices):
    """The taps that 'start' makes become ports of a bridge; a container is another one."""
    hosts = place.hosts(2)
    names = [device_name(devices, h) for h in hosts]
    daemons = list(zip(hosts, start(hosts, names, mtu)))
    boxes = []
    for (host, daemon), name, last in zip(daemons, names, (1, 2)):
        wait_for_device(host, name, daemon)
        host.run("ip link add wbbr type bridge stp_state 0 forward_delay 0")
        host.run(["ip", "link", "set", "wbbr", "mtu", mtu, "up"])
        host.run(["ip", "link", "set", name, "master", "wbbr", "mtu", mtu, "up"])
        box, port = host.plain_box(f"10.3.1.{last}/24", mtu)
        host.run(["ip", "link", "set", port, "master", "wbbr"])
        boxes.append(box)
    return Scene(*boxes, "10.3.1.2", hosts, mtu, expect, bottom(hosts),
                 daemons=lambda: [(h, h.daemon_pid(d)) for h, d in daemons],
                 close=closer(hosts, daemons, ["wbbr"]))


def routed(place, mtu, start, expect, devices):
    """Each container is alone in a subnet that is routed through the tun of 'start'."""
    hosts = place.hosts(2)
    names = [device_name(devices, h) for h in hosts]
    daemons = list(zip(hosts, start(hosts, names, mtu)))
    boxes = []
    for (host, daemon), name, own, other in zip(daemons, names, (1, 2), (2, 1)):
        wait_for_device(host, name, daemon)
        host.run(["ip", "link", "set", name, "mtu", mtu, "up"])
        host.run(["ip", "route", "replace", f"10.4.{other}.0/24", "dev", name])
        box, port = host.plain_box(f"10.4.{own}.2/24", mtu)
        host.run(["ip", "address", "add", f"10.4.{own}.1/24", "dev", port])
        box.run(["ip", "route", "add", "default", "via", f"10.4.{own}.1"])
        for device in (name, port):
            host.sysctl(f"net.ipv4.conf.{device}.forwarding", 1)
            host.sysctl(f"net.ipv4.conf.{device}.rp_filter", 0)
        boxes.append(box)
    return Scene(*boxes, "10.4.2.2", hosts, mtu, expect, bottom(hosts),
                 daemons=lambda: [(h, h.daemon_pid(d)) for h, d in daemons],
                 close=closer(hosts, daemons, []))


# --- tinc ----------------------------------------------------------------------------------------

def tinc(sealed):
    def start(hosts, devices, _mtu):
        dirs, known = [], []
        for name, host, device in zip("ab", hosts, devices):
            options = "" if sealed else "Cipher = none\nDigest = none\n"
            dirs.append(host.write("tinc/tinc.conf", f"Name = {name}\nMode = switch\nDeviceType = "
                                   f"tap\nInterface = {device}\nAddressFamily = ipv4\n"
                                   + ("ConnectTo = a\n" if name == "b" else ""))
                        .removesuffix("/tinc.conf"))
            own = host.write(f"tinc/hosts/{name}", f"Address = {host.ip}\n{options}")
            host.run(["tincd", "-c", dirs[-1], "-K", "2048"])
            known.append(host.run(["cat", own]))
        hosts[0].write("tinc/hosts/b", known[1])
        hosts[1].write("tinc/hosts/a", known[0])
        return [h.daemon(["tincd", "-c", d, "-D", f"--pidfile={d}/pid"])
                for h, d in zip(hosts, dirs)]

    def build(place):
        return bridged(place, place.mtu - (SEALED_ROOM if sealed else PLAIN_ROOM), start,
                       Expect("udp", 655, clear=not sealed), "ti")
    return build


# --- fastd ---------------------------------------------------------------------------------------

def fastd(sealed):
    def start(hosts, devices, mtu):
        keys = [re.findall(r"(?:Secret|Public): (\w+)", h.run("fastd --generate-key"))
                for h in hosts]
        daemons = []
        for i, (host, device) in enumerate(zip(hosts, devices)):
            other = hosts[1 - i]
            path = host.write("fastd.conf", f"""log level info;
bind {host.ip}:10000;
interface "{device}";
mode tap;
mtu {mtu};
method "{'salsa2012+umac' if sealed else 'null'}";
secret "{keys[i][0]}";
peer "other" {{
	key "{keys[1 - i][1]}";
	remote {other.ip}:10000;
}}
""")
            daemons.append(host.daemon(["fastd", "--config", path]))
        return daemons

    def build(place):
        return bridged(place, place.mtu - (SEALED_ROOM if sealed else PLAIN_ROOM), start,
                       Expect("udp", 10000, clear=not sealed), "fd")
    return build


# --- OpenVPN -------------------------------------------------------------------------------------

def certificate(host):
    """(key, certificate, fingerprint): self-signed, known to the other side by the last."""
    key, cert = host.write("openvpn/key.pem", ""), host.write("openvpn/cert.pem", "")
    host.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
              "-nodes", "-keyout", key, "-out", cert, "-subj", f"/CN={host.short}", "-days", "9"])
    out = host.run(["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"])
    return key, cert, out.partition("=")[2].strip()


def openvpn(sealed):
    def start(hosts, devices, mtu):
        papers = [certificate(h) for h in hosts] if sealed else []
        daemons = []
        for i, (host, device) in enumerate(zip(hosts, devices)):
            command = ["openvpn", "--dev", device, "--dev-type", "tap", "--proto", "udp4",
                       "--local", host.ip, "--remote", hosts[1 - i].ip, "--port", "1194",
                       "--tun-mtu", mtu, "--mssfix", "0"]
            if sealed:
                key, cert, _ = papers[i]
                command += ["--tls-client" if i else "--tls-server", "--key", key, "--cert", cert,
                            "--peer-fingerprint", papers[1 - i][2], "--cipher", "AES-256-GCM",
                            "--data-ciphers", "AES-256-GCM", *([] if i else ["--dh", "none"])]
            daemons.append(host.daemon(command))
        return daemons

    def build(place):
        return bridged(place, place.mtu - (SEALED_ROOM if sealed else PLAIN_ROOM), start,
                       Expect("udp", 1194, clear=not sealed), "ov")
    return build


# --- WireGuard in user space ---------------------------------------------------------------------

def start_wireguard(hosts, devices, _mtu):
    keys = []
    for host in hosts:
        secret = host.write("wg.key", host.run("wg genkey"))
        keys.append((secret, host.run(["sh", "-c", f"wg pubkey <{secret}"]).strip()))
    daemons = []
    for i, (host, device) in enumerate(zip(hosts, devices)):
        daemons.append(host.daemon(["env", "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1",
                                    "wireguard-go", "-f", device]))
        wait_for_device(host, device, daemons[-1])
        host.run(["wg", "set", device, "listen-port", "51820", "private-key", keys[i][0], "peer",
                  keys[1 - i][1], "endpoint", f"{hosts[1 - i].ip}:51820", "allowed-ips",
                  f"10.4.{2 - i}.0/24"])
    return daemons


def build_wireguard(place):
    return routed(place, place.mtu - WIREGUARD_ROOM, start_wireguard,
                  Expect("udp", 51820, clear=False), "wg")


# --- nebula --------------------------------------------------------------------------------------

def start_nebula(hosts, devices, mtu):
    a = hosts[0]
    ca, ca_key = a.write("nebula/ca.crt", ""), a.write("nebula/ca.key", "")
    a.run(["rm", ca, ca_key])   # it does not write over a file
    a.run(["nebula-cert", "ca", "-name", "bench", "-duration", "48h", "-out-crt", ca, "-out-key",
           ca_key])
    daemons = []
    for i, (host, device) in enumerate(zip(hosts, devices)):
        folder = ca.rpartition("/")[0]
        cert, key = f"{folder}/n{i}.crt", f"{folder}/n{i}.key"
        a.run(["nebula-cert", "sign", "-name", f"n{i}", "-ip", f"10.6.0.{i + 1}/24", "-subnets",
               f"10.4.{i + 1}.0/24", "-ca-crt", ca, "-ca-key", ca_key, "-out-crt", cert,
               "-out-key", key])
        paths = [host.write(f"nebula/{n}", a.run(["cat", p])) for n, p in
                 (("ca.crt", ca), (f"n{i}.crt", cert), (f"n{i}.key", key))] if i else \
            [ca, cert, key]
        config = host.write("nebula/config.yml", f"""pki: {{ca: {paths[0]}, cert: {paths[1]}, key: {paths[2]}}}
static_host_map:
  "10.6.0.{2 - i}": ["{hosts[1 - i].ip}:4242"]
lighthouse: {{am_lighthouse: {"false" if i else "true"}, interval: 10, hosts: {'["10.6.0.1"]' if i else '[]'}}}
listen: {{host: {host.ip}, port: 4242}}
punchy: {{punch: true}}
tun:
  dev: {device}
  mtu: {mtu}
  tx_queue: 500
  unsafe_routes:
    - {{route: 10.4.{2 - i}.0/24, via: 10.6.0.{2 - i}}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
""")
        daemons.append(host.daemon(["nebula", "-config", config]))
    return daemons


def build_nebula(place):
    return routed(place, place.mtu - NEBULA_ROOM, start_nebula, Expect("udp", 4242, clear=False),
                  "ne")


# --- n2n -----------------------------------------------------------------------------------------

def build_n2n(place):
    hosts = place.hosts(2)
    mtu = place.mtu - N2N_ROOM
    if mtu > 1500:
        raise Unavailable("n2n has no frames over 1500 bytes")
    daemons = [(hosts[0], hosts[0].daemon(["supernode", "-l", "7654"]))]
    boxes = []
    for host, last in zip(hosts, (1, 2)):
        device = device_name("n2", host)
        box = host.container()
        edge = host.daemon(["edge", "-d", device, "-a", f"10.5.1.{last}", "-c", "bench", "-k",
                            "bench-key", "-l", f"{hosts[0].ip}:7654", "-p", "5555", "-M", mtu,
                            "-u", "0", "-g", "0"])
        daemons.append((host, edge))
        wait_for_device(host, device, edge)
        host.run(["ip", "link", "set", device, "netns", box.name])
        box.run(["ip", "link", "set", device, "mtu", mtu, "up"])
        box.run(["ip", "address", "replace", f"10.5.1.{last}/24", "dev", device])
        boxes.append(box)
    return Scene(*boxes, "10.5.1.2", hosts, mtu,
                 Expect("udp", 5555, clear=False, source=hosts[0].ip), bottom(hosts),
                 daemons=lambda: [(h, h.daemon_pid(d)) for h, d in daemons[1:]],
                 close=closer(hosts, daemons, []))


def debian(package):
    return ("dpkg-query", "-W", "-f", "${Package} ${Version}", package)


def peer(name, title, build, package, tools, sealed=True):
    return Mode(name, title, build, "peer", sealed, tools=tools, version=debian(package))


PEERS = (
    peer("wireguard-go", "wireguard-go", build_wireguard, "wireguard-go", ("wireguard-go", "wg")),
    peer("tinc-plain", "tinc, no cipher", tinc(False), "tinc", ("tincd",), sealed=False),
    peer("tinc", "tinc", tinc(True), "tinc", ("tincd",)),
    peer("fastd-plain", "fastd, no cipher", fastd(False), "fastd", ("fastd",), sealed=False),
    peer("fastd", "fastd, Salsa20/12", fastd(True), "fastd", ("fastd",)),
    peer("nebula", "nebula", build_nebula, "nebula", ("nebula", "nebula-cert")),
    peer("openvpn-plain", "OpenVPN, no cipher", openvpn(False), "openvpn", ("openvpn",),
         sealed=False),
    peer("openvpn", "OpenVPN, AES-256-GCM", openvpn(True), "openvpn", ("openvpn", "openssl")),
    peer("n2n", "n2n", build_n2n, "n2n", ("edge", "supernode")),
)
MODES.update((p.name, p) for p in PEERS)
# What --peers names: packages.
NAMES = {}
for _peer in PEERS:
    NAMES.setdefault(_peer.name.removesuffix("-plain"), []).append(_peer.name)
PACKAGES = {"wireguard-go": "wireguard-go wireguard-tools"}
