"""SIP-like datagrams through a TUN device and `tun_echo`: Linux reassembles what the library
fragments, and the library reassembles what Linux fragments. Run as root in a network namespace.

usage: tun_check.py TUN_ECHO
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
ENDS = {
    socket.AF_INET: ("10.9.0.2", "10.9.0.1", "24"),
    socket.AF_INET6: ("2001:db8:9::2", "2001:db8:9::1", "64"),
}
SIZES = [300, 1200, 1231, 1232, 1233, 1452, 1453, 1472, 1473, 1992, 2600, 4000, 6001, 8000]


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def message(number, size):
    text = b"REGISTER sip:ims.example SIP/2.0\r\nCSeq: %d REGISTER\r\n\r\n" % number
    return (text * (size // len(text) + 1))[:size]


def check(program, family, mtu, seed):
    device = os.open("/dev/net/tun", os.O_RDWR)
    name = "tun%d" % (mtu + seed % 7)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    own, peer, prefix = ENDS[family]
    ip("link", "set", name, "mtu", str(mtu), "up")
    ip("addr", "add", "%s/%s" % (own, prefix), "dev", name, *(["nodad"] if family == socket.AF_INET6 else []))
    disturb = ["--disturb", str(seed)] if seed else []
    echo = subprocess.Popen([program, "--mtu", str(mtu), *disturb], stdin=device, stdout=device)
    # The library knows the UE's ports from the first datagram: one socket for all.
    with socket.socket(family, socket.SOCK_DGRAM) as sip:
        sip.bind((own, 40001))
        sip.settimeout(0.3 if seed else 5)
        sent, came = 0, 0
        for number in range(len(SIZES) * (12 if seed else 2)):
            datagram = message(number, SIZES[number % len(SIZES)])
            sip.sendto(datagram, (peer, 50002))
            sent += 1
            try:
                while True:
                    back, _ = sip.recvfrom(70000)
                    # Late answers are those of earlier messages, whole and unchanged.
                    late = back.split(b"CSeq: ")[1].split()[0]
                    if back != message(int(late), len(back)) or len(back) != SIZES[int(late) % len(SIZES)]:
                        sys.exit("%s octets came back as something else" % len(back))
                    if back == datagram:
                        came += 1
                        break
            except TimeoutError:
                pass
        if echo.poll() is not None:
            sys.exit("tun_echo has ended")
        if came < (sent // 4 if seed else sent):
            sys.exit("%d of %d came back" % (came, sent))
    echo.kill()
    echo.wait()
    os.close(device)
    kind = "IPv4" if family == socket.AF_INET else "IPv6"
    print("%s, MTU %d%s: %d of %d datagrams of 300 to 8000 octets came back" % (
        kind, mtu, ", disturbed" if seed else "", came, sent))


def main():
    ip("link", "set", "lo", "up")
    for mtu in (1280, 1500):
        for family in ENDS:
            for seed in (0, 7):
                check(sys.argv[1], family, mtu, seed)


if __name__ == "__main__":
    main()
