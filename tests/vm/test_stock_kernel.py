"""What does not depend on a password, on Debian's stock kernel: fastdp, and sleeve under netem."""

from lab import mesh, transfer, wait_until


def overlay(host, peer):
    """(overlay, why no better one) of the connection to that peer."""
    for c in host.connections():
        if c["NickName"] == peer.short and c["State"] == "established":
            return c["Overlay"], c.get("NotBetter") or ""
    return None, ""


def boxes(a, b):
    a.box, b.box = a.container("10.2.1.1/24"), b.container("10.2.1.2/24")
    wait_until(30, lambda: a.box.reaches(b.box.ip), "ping between containers")


def test_fastdp_loads_and_carries(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch()
    b.launch(a.ip)
    mesh([a, b], seconds=60)
    for host, peer in ((a, b), (b, a)):
        wait_until(30, lambda: overlay(host, peer)[0] == "fastdp",
                   f"fastdp from {host.short}: {overlay(host, peer)}")
    boxes(a, b)
    # By hand (small ones) and by the device (super-frames), every byte compared.
    assert a.box.ping(b.box.ip, count=10) == 10
    assert a.box.ping(b.box.ip, count=3, size=1376 - 28, dont_fragment=True) == 3
    transfer(a.box, b.box, b.box.ip, 5_000_000, limit=120)
    transfer(b.box, a.box, a.box.ip, 5_000_000, limit=120)


def test_sleeve_loses_no_byte_under_loss_disorder_and_doubles(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--no-fastdp")
    b.launch("--no-fastdp", a.ip)
    mesh([a, b], seconds=60)
    boxes(a, b)
    for host in (a, b):
        host.run("tc qdisc add dev eth1 root netem delay 2ms 1ms loss 1% duplicate 2% reorder 20%")
    transfer(a.box, b.box, b.box.ip, 2_000_000, limit=120)
    transfer(b.box, a.box, a.box.ip, 2_000_000, limit=120)
    assert overlay(a, b)[0] == "sleeve"


def test_large_frames_behind_vlan_tags(lab):
    lan = lab.lan()
    a, b = lan.host("a"), lan.host("b")
    a.launch("--no-fastdp")
    b.launch("--no-fastdp", a.ip)
    mesh([a, b], seconds=60)
    boxes(a, b)
    for host, n in ((a, 1), (b, 2)):
        host.box.run("ip link add link ethwe name v5 type vlan id 5")
        host.box.run(f"ip address add 10.9.0.{n}/24 dev v5")
        host.box.run("ip link set v5 up")
    wait_until(10, lambda: a.box.reaches("10.9.0.2"), "ping")
    transfer(a.box, b.box, "10.9.0.2", 3_000_000, limit=120)
