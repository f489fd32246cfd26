"""Whether the check of the way, and the accounting of processors, see what they must."""

import struct

from harness import cpu, path
from harness.modes import Expect


def frame(protocol, payload, source=(10, 0, 0, 1), port=None):
    ports = struct.pack("!HH", 40000, port) + b"\0" * 4 if port else b"\0" * 8
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, protocol, 0, bytes(source),
                         bytes((10, 0, 0, 2)))
    return b"\2" * 12 + b"\x08\x00" + header + ports + payload


def capture(*frames):
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 400, 1)
    for f in frames:
        out += struct.pack("<IIII", 0, 0, len(f), len(f)) + f
    return list(path.packets(out))


CLEAR = path.PATTERN * 8
SEALED = bytes(range(128))
VXLAN = Expect("udp", 4789)


def test_packets_are_read():
    assert [p[:3] for p in capture(frame(17, CLEAR, port=4789), frame(1, CLEAR))] == [
        ("udp", "10.0.0.1", 4789), ("icmp", "10.0.0.1", None)]
    assert not list(path.packets(b""))
    assert not list(path.packets(b"\0" * 30))


def test_the_right_way_is_right():
    assert path.judge(capture(*[frame(17, CLEAR, port=4789)] * 8), VXLAN, 8) is None
    assert path.judge(capture(*[frame(1, CLEAR)] * 8), Expect("icmp"), 8) is None
    assert path.judge(capture(*[frame(50, SEALED)] * 8), Expect("esp", clear=False), 8) is None


def test_another_way_is_found():
    seen = capture(*[frame(17, CLEAR, port=4789)] * 7, frame(17, CLEAR, port=6783))
    assert "another way: udp to 6783" in path.judge(seen, VXLAN, 8)
    assert "only 7 packets" in path.judge(capture(*[frame(17, CLEAR, port=4789)] * 7), VXLAN, 8)
    assert "only 0 packets" in path.judge([], VXLAN, 8)


def test_clear_and_sealed_are_told_apart():
    sealed = Expect("udp", 6783, clear=False)
    in_clear = capture(*[frame(17, CLEAR, port=6783)] * 8)
    hidden = capture(*[frame(17, SEALED, port=6783)] * 8)
    assert "not encrypted" in path.judge(in_clear, sealed, 8)
    assert path.judge(hidden, sealed, 8) is None
    assert "could be read" in path.judge(hidden, Expect("udp", 6783), 8)


def test_the_relay_must_be_seen():
    direct = capture(*[frame(17, CLEAR, port=6784)] * 8)
    assert "another way" in path.judge(direct, Expect("udp", 6784, source="10.0.0.9"), 8)


def test_nothing_means_nothing():
    assert path.judge([], Expect("nothing"), 8) is None
    assert "the long way" in path.judge(capture(frame(1, CLEAR)), Expect("nothing"), 8)


STAT = "cpu  {} 0 100 900 0 0 50 30 0 0\ncpu0 1 1 1\n=\n{} (cc1) R 1 1 1 0 -1 0 0 0 0 0 {} 0 0\n" \
       "8 (iperf3) R 1 1 1 0 -1 0 0 0 0 0 77 0 0"


def test_strangers_are_left_out():
    whole, strangers = cpu.parse(STAT.format(200, 7, 40), 100)
    assert whole == {"busy": 3.5, "steal": 0.3, "cpus": 1}
    assert strangers == {"7": 0.4}
    assert cpu.strangers_time({"7": 0.4, "9": 1.0}, {"7": 0.9, "10": 0.25}) == 0.75
