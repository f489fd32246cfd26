"""Echo requests from the namespace of the calling thread, and how many of them were answered.

ping(8) waits for the last answer only as long as twice the slowest one before it took, or one
interval: on a machine held up for a tenth of a second it calls lost what is on its way.  Here every
answer has the whole patience, and must bring back the very bytes that were sent."""

import secrets
import select
import socket
import struct
import time

from checksum import checksum

IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2


class _Echo:
    """The requests of one run: what was sent is what must come back."""

    def __init__(self, v6, size):
        self.request, self.reply = (128, 129) if v6 else (8, 0)
        self.v6 = v6
        self.ident = secrets.randbelow(0x10000)
        self.body = secrets.token_bytes(size)

    def packet(self, kind, sequence):
        head = struct.pack("!BBHHH", kind, 0, 0, self.ident, sequence)
        if not self.v6:  # the kernel fills in ICMPv6's
            head = struct.pack("!BBHHH", kind, 0, checksum(head + self.body), self.ident, sequence)
        return head + self.body

    def answered(self, packet):
        """The sequence number that this packet answers, or None."""
        if not self.v6:
            packet = packet[(packet[0] & 15) * 4:]
        if len(packet) < 8 or packet[8:] != self.body:
            return None
        kind, code, _, ident, sequence = struct.unpack("!BBHHH", packet[:8])
        return sequence if (kind, code, ident) == (self.reply, 0, self.ident) else None


def ping(ip, count, wait, size, dont_fragment, interval):
    """Sends 'count' requests, one each 'interval' seconds, and waits at most 'wait' seconds after
    the last one.  What the kernel refuses to send counts as not answered."""
    family, _, _, _, address = socket.getaddrinfo(ip, None, type=socket.SOCK_RAW,
                                                  flags=socket.AI_NUMERICHOST)[0]
    v6 = family == socket.AF_INET6
    echo = _Echo(v6, size)
    waiting, answers = set(), 0
    with socket.socket(family, socket.SOCK_RAW, socket.getprotobyname("ipv6-icmp" if v6 else "icmp")) as s:
        s.setblocking(False)
        if dont_fragment:
            s.setsockopt(*((socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) if v6
                           else (socket.IPPROTO_IP, IP_MTU_DISCOVER)), PMTUDISC_DO)
        for sequence in range(1, count + 1):
            try:
                s.sendto(echo.packet(echo.request, sequence), address)
                waiting.add(sequence)
            except OSError:
                pass
            last = sequence == count
            end = time.monotonic() + (wait if last else interval)
            while (waiting or not last) and (left := end - time.monotonic()) > 0:
                if not select.select([s], [], [], left)[0]:
                    continue
                try:
                    sequence_back = echo.answered(s.recv(65536))
                except OSError:
                    continue
                if sequence_back in waiting:
                    waiting.remove(sequence_back)
                    answers += 1
    return answers
