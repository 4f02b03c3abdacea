"""Captures of every kind, made by scapy from those of `registration`, in `gm_trace`: what went in
comes out. Then its speed compared with tshark, and its memory.

usage: trace_check.py PROGRAMS WORK
"""

import gzip
import os
import random
import re
import struct
import subprocess
import sys
import time

from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import PcapNgWriter, PcapReader, RawPcapReader

programs, work = sys.argv[1:]
PAIRS = [
    ("b40ba9a3c58b2a05bbf0d987b21bf8cb", "f769bcd751044604127672711c6d3441"),
    ("58c433ff7a7082acd424220f2b67c556", "21a8c1f929702adb3e738488b9f5c5da"),
]
KEYS = [word for ck, ik in PAIRS for word in ("--ck", ck, "--ik", ik)]


def path(name):
    return os.path.join(work, name)


def fail(text):
    sys.exit("FAILED: " + text)


def trace(name, *more, keys=KEYS, status=0):
    done = subprocess.run([os.path.join(programs, "gm_trace"), *keys, *more, "-o", path("plain"), path(name)],
                          capture_output=True, text=True)
    if done.returncode != status:
        fail("%s: status %d\n%s%s" % (name, done.returncode, done.stdout, done.stderr))
    return done.stdout


def opened(report):
    return int(re.search(r"(\d+) ESP packets opened", report)[1])


def datagrams(name):
    """The IP datagrams of a capture, without any link layer."""
    found = []
    with PcapReader(path(name)) as reader:
        for packet in reader:
            layer = packet.getlayer(IP) or packet.getlayer(IPv6)
            found.append(bytes(layer))
    return sorted(found)


def ip(octets):
    return IP(octets) if octets[0] >> 4 == 4 else IPv6(octets)


def ether(octets, *tags):
    kind = 0x0800 if octets[0] >> 4 == 4 else 0x86DD
    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for number, tag in enumerate(tags):
        packet = packet / Dot1Q(vlan=tag, **({"type": kind} if number + 1 == len(tags) else {}))
    if not tags:
        packet.type = kind
    return bytes(packet) + octets


def write(name, link, packets):
    with open(path(name), "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link))
        for number, octets in enumerate(packets):
            file.write(struct.pack("<IIII", 1000 + number // 100, number % 100 * 10000, len(octets), len(octets)) + octets)


def is_esp(octets):
    return octets[9 if octets[0] >> 4 == 4 else 6] == 50


subprocess.run([os.path.join(programs, "registration"), "--all", "--out", work], check=True, capture_output=True)
packets = [octets for octets, _ in RawPcapReader(path("registration.pcap"))]
base = trace("registration.pcap", "--strict")
esp = sum(map(is_esp, packets))
plain = datagrams("plain")
if opened(base) != esp or len(plain) != len(packets) or any(map(is_esp, plain)) or esp < 100:
    fail("registration.pcap\n" + base)

# Link layers and file formats.
made = {}


def same(name, what):
    report = trace(name, "--strict")
    if opened(report) != esp or datagrams("plain") != plain:
        fail("%s: %d of %d\n%s" % (what, opened(report), esp, report))
    made[what] = esp
    return report


write("ether.pcap", 1, [ether(octets) for octets in packets])
same("ether.pcap", "Ethernet")
write("vlan.pcap", 1, [ether(octets, 7) if number % 2 else ether(octets, 7, 8) for number, octets in enumerate(packets)])
same("vlan.pcap", "VLAN, also one in another")
write("sll.pcap", 113, [bytes(CookedLinux(proto=0x0800 if o[0] >> 4 == 4 else 0x86DD)) + o for o in packets])
same("sll.pcap", "SLL")
write("sll2.pcap", 276, [bytes(CookedLinuxV2(proto=0x0800 if o[0] >> 4 == 4 else 0x86DD)) + o for o in packets])
same("sll2.pcap", "SLL2")
with open(path("ether.pcap"), "rb") as file, gzip.open(path("ether.pcap.gz"), "wb") as zipped:
    zipped.write(file.read())
same("ether.pcap.gz", "gzip")
writer = PcapNgWriter(path("ether.pcapng"))
for octets in packets:
    writer.write(Ether(ether(octets)))
writer.close()
same("ether.pcapng", "pcapng")
with open(path("ether.pcapng"), "rb") as file, gzip.open(path("ether.pcapng.gz"), "wb") as zipped:
    zipped.write(file.read())
same("ether.pcapng.gz", "pcapng in gzip")

# Tunnels: what is opened comes out of them.
gtp = []
for number, octets in enumerate(packets):
    header = GTP_U_Header(gtp_type=255, teid=number, **({"S": 1, "seq": number} if number % 2 else {}))
    outer = IP(src="192.0.2.1", dst="192.0.2.2") if number % 3 else IPv6(src="2001:db8:5::1", dst="2001:db8:5::2")
    gtp.append(bytes(outer / UDP(sport=2152, dport=2152) / header / Raw(octets)))
write("gtp.pcap", 101, gtp)
report = trace("gtp.pcap", "--strict")
inner = [octets for octets, _ in RawPcapReader(path("plain"))]
if opened(report) != esp or "%d packets were in GTP-U" % len(packets) not in report:
    fail("GTP-U\n" + report)
if not set(plain) - {o for o in packets if not is_esp(o)} <= set(inner):
    fail("GTP-U: what was opened is not what went in")
made["GTP-U"] = esp
nat = []
for octets in packets:
    packet = ip(octets)
    if is_esp(octets):
        outer = packet.copy()
        outer.remove_payload()
        for field in ("len", "plen", "chksum"):
            if field in outer.fields:
                delattr(outer, field)
        setattr(outer, "proto" if isinstance(outer, IP) else "nh", 17)
        octets = bytes(outer / UDP(sport=4500, dport=4500, chksum=0) / Raw(bytes(packet.payload)))
    nat.append(octets)
write("nat.pcap", 101, nat)
report = same("nat.pcap", "ESP in UDP at port 4500")
if "%d ESP packets were in UDP" % esp not in report:
    fail("UDP\n" + report)

# Fragments, in any order within a datagram; clear ones stay what they are.
pieces = []
random.seed(7)
for octets in packets:
    packet = ip(octets)
    if isinstance(packet, IP):
        parts = [bytes(part) for part in fragment(packet, 400)]
    elif len(octets) > 600:
        header = IPv6ExtHdrFragment(id=len(pieces) + 1, nh=packet.nh)
        whole = packet.copy()
        whole.remove_payload()
        whole.nh = 44
        del whole.plen
        parts = [bytes(part) for part in fragment6(whole / header / Raw(bytes(packet.payload)), 500)]
    else:
        parts = [octets]
    random.shuffle(parts)
    pieces += parts
write("fragments.pcap", 101, pieces)
report = trace("fragments.pcap", "--strict")
if opened(report) != esp or len(pieces) < len(packets) + 100:
    fail("fragments\n" + report)


def without_flags(octets):
    """What may be fragmented has no DF; scapy takes it away."""
    return octets[:6] + b"\0\0" + octets[8:10] + b"\0\0" + octets[12:] if octets[0] >> 4 == 4 else octets


out = {without_flags(octets) for octets, _ in RawPcapReader(path("plain"))}
missing = [octets for octets in set(plain) - {o for o in packets if not is_esp(o)} if without_flags(octets) not in out]
if len(missing) > 0:
    fail("fragments: %d datagrams are not what went in" % len(missing))
made["fragments, shuffled"] = esp

# Several phones at once.
four = [octets for octets in packets if octets[0] >> 4 == 4]
six = [octets for octets in packets if octets[0] >> 4 == 6]
mixed = [octets for pair in zip(four, six) for octets in pair]
mixed += (four if len(four) > len(six) else six)[min(len(four), len(six)):]
write("mixed.pcap", 101, mixed)
same("mixed.pcap", "two phones at once")

# Cut in the middle of a packet.
with open(path("ether.pcap"), "rb") as file:
    octets = file.read()
at, whole = 24, []
while at + 16 <= len(octets) // 2:
    (length,) = struct.unpack("<I", octets[at + 8:at + 12])
    if at + 16 + length > len(octets) // 2:
        break
    whole.append(octets[at + 30:at + 16 + length])
    at += 16 + length
with open(path("cut.pcap"), "wb") as file:
    file.write(octets[:len(octets) // 2])
report = trace("cut.pcap")
if opened(report) != sum(map(is_esp, whole)) or "record cut off at the end" not in report:
    fail("cut\n" + report)
if "(frame %d)" % (len(whole) + 1) not in report:
    fail("cut: no frame\n" + report)
trace("cut.pcap", "--strict", status=1)
made["cut in the middle"] = opened(report)

# Mw in the same capture: its 401 carries the keys, and none are given.
nonces, with_mw = {}, []
for name, pair in (("401.sip", PAIRS[0]), ("401-again.sip", PAIRS[1])):
    with open(os.path.join(os.path.dirname(__file__), "../examples/data", name)) as file:
        nonces[re.search(r'nonce="([^"]*)"', file.read())[1]] = pair


def mw(text, pair):
    call = re.search(r"Call-ID: (\S+)", text)[1]
    nonce = re.search(r'nonce="([^"]*)"', text)[1]
    message = ('SIP/2.0 401 Unauthorized\r\nCall-ID: %s\r\nCSeq: 1 REGISTER\r\nWWW-Authenticate: Digest realm="ims",nonce="%s",'
               'algorithm=AKAv1-MD5,ck="%s",ik="%s"\r\nContent-Length: 0\r\n\r\n' % (call, nonce, *pair))
    return bytes(IP(src="192.0.2.9", dst="192.0.2.1") / UDP(sport=5060, dport=5060) / Raw(message.encode()))


# The challenges, in clear or in the plain capture, where they belong.
trace("registration.pcap")
carried = 0
for before, after in zip(packets, [octets for octets, _ in RawPcapReader(path("plain"))]):
    text = after.decode("latin-1")
    if "SIP/2.0 401" in text and "Security-Server" in text:
        nonce = re.search(r'nonce="([^"]*)"', text)[1]
        with_mw.append(mw(text, nonces[nonce]))
        carried += 1
    with_mw.append(before)
write("mw.pcap", 101, with_mw)
report = trace("mw.pcap", "--strict", keys=[])
if opened(report) != esp or report.count("carries CK and IK") < 2:
    fail("Mw: %d of %d\n%s" % (opened(report), esp, report))
made["keys out of %d challenges" % carried] = esp

# Standard input and output, and a command that tshark takes.
with open(path("ether.pcap"), "rb") as file:
    done = subprocess.run([os.path.join(programs, "gm_trace"), *KEYS, "-o", "-", "-"], stdin=file, capture_output=True)
with open(path("plain-from-stdout"), "wb") as file:
    file.write(done.stdout)
if datagrams("plain-from-stdout") != plain:
    fail("standard input and output")
report = trace("registration.pcap")
command = report[report.index("  sed"):report.index("Wireshark reads")]
read = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
sip = len(read.stdout.splitlines())
if "WARNING" in read.stderr or sip < 60:
    fail("tshark: %d\n%s%s" % (sip, command, read.stderr))
print("gm_trace: %s" % ", ".join("%s (%d)" % pair for pair in made.items()))
print("tshark takes the printed command: %d SIP messages, no warning" % sip)

# Speed: the same capture in the same run, decrypted by both.
COUNT = 100_000
text = b"MESSAGE sip:x SIP/2.0\r\nCall-ID: %06d\r\nCSeq: 1 MESSAGE\r\nContent-Length: 400\r\n\r\n" % 0 + b"x" * 400


def udp4(number):
    payload = text.replace(b"000000", b"%06d" % number, 1)
    datagram = struct.pack(">HHHH", 6101, 7060, 8 + len(payload), 0) + payload
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), number & 0xFFFF, 0, 64, 17, 0, bytes([10, 0, 0, 2]), bytes([10, 0, 0, 1]))
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return header[:10] + struct.pack(">H", checksum) + header[12:] + datagram


write("long-plain.pcap", 101, map(udp4, range(COUNT)))
with open(path("long.json"), "w") as file:
    file.write('{"sas": [{"src": "10.0.0.2", "dst": "10.0.0.1", "spi": 8192, "alg": "hmac-sha-1-96", "ealg": "aes-cbc", '
               '"ck": "%s", "ik": "%s"}]}' % PAIRS[0])
subprocess.run([os.path.join(programs, "esp_pcap"), "seal", "--sas", path("long.json"), path("long-plain.pcap"), path("long.pcap")],
               check=True, capture_output=True)
rows = subprocess.run([os.path.join(programs, "xfrm"), "--wireshark", path("long.json")], check=True, capture_output=True, text=True)
times = {"gm_trace": [], "gm_trace, writing the capture": [], "tshark": []}
commands = {
    "gm_trace": [os.path.join(programs, "gm_trace"), *KEYS[:4], "--strict", "--no-output", path("long.pcap")],
    "gm_trace, writing the capture": [os.path.join(programs, "gm_trace"), *KEYS[:4], "--strict", "-o", path("plain"), path("long.pcap")],
    "tshark": ["tshark", "-r", path("long.pcap"), "-ouat:esp_sa:" + rows.stdout.strip(), "-oesp.enable_encryption_decode:TRUE",
               "-Y", "sip.Call-ID"],
}
for _ in range(3):
    for name, command in commands.items():
        began = time.monotonic()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        times[name].append(time.monotonic() - began)
        read = len(done.stdout.splitlines()) if name == "tshark" else opened(done.stdout)
        if read != COUNT:
            fail("%s read %d of %d" % (name, read, COUNT))
ours, writing, theirs = (sorted(each)[1] for each in times.values())
print("speed: %d packets in %.2f s (%.2f s with the capture in plain), tshark %.2f s: %.1f times as fast" %
      (COUNT, ours, writing, theirs, theirs / ours))
if theirs < 10 * ours:
    fail("less than ten times as fast as tshark")

# Memory: SPIs that are all unknown, fragments that stay alone, registrations and their sets without
# end, TCP streams with the begin of a message each.
flood = []
register = packets[0]
MECHANISM = "ipsec-3gpp;alg=hmac-%s-96;ealg=%s;spi-c=%d;spi-s=%d;port-c=6101;port-s=6100"
SUITES = [(a, e) for a in ("md5", "sha-1") for e in ("null", "des-ede3-cbc", "aes-cbc")]


def offers(spi):
    return ", ".join(MECHANISM % (*suite, spi, spi + 1) for suite in SUITES)


def plain_udp(source, destination, message):
    return bytes(IP(src=source, dst=destination) / UDP(sport=5060, dport=5060) / Raw(message.encode()))


for number in range(200_000):
    spi = struct.pack(">II", 0x10000 + number, 1)
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 1028, number & 0xFFFF, 0x2000 if number % 2 else 0, 64, 50, 0,
                         struct.pack(">I", 0x0A000000 + number), bytes([10, 0, 0, 1]))
    flood.append(header + spi + bytes(1000))
    if number % 20 == 0:
        ue = "10.%d.%d.%d" % (64 + (number >> 16), number >> 8 & 255, number & 255)
        same = "Call-ID: %d\r\nCSeq: 1 REGISTER\r\n" % number
        flood.append(plain_udp(ue, "10.0.0.1", "REGISTER sip:x SIP/2.0\r\n%sTo: <sip:%d@x>\r\nSecurity-Client: %s\r\n\r\n" % (same, number, offers(1000 + number))))
        flood.append(plain_udp("10.0.0.1", ue, 'SIP/2.0 401 No\r\n%sWWW-Authenticate: Digest nonce="%d"\r\nSecurity-Server: %s\r\n\r\n' % (same, number, offers(900000 + number))))
        segment = b"REGISTER sip:x SIP/2.0\r\nX: " + b"x" * 1300
        flood.append(bytes(IP(src=ue, dst="10.0.0.1") / TCP(sport=1024 + number % 60000, dport=5060, seq=1, flags="A") / Raw(segment)))
    if number % 4 == 0:
        again = register.replace(b"Call-ID: ", b"Call-ID: %08d" % number, 1)
        length = struct.pack(">H", len(again))
        udp = struct.pack(">H", len(again) - 20)
        flood.append(again[:2] + length + again[4:24] + udp + b"\0\0" + again[28:])
write("flood.pcap", 101, flood)
size = os.path.getsize(path("flood.pcap"))
report = trace("flood.pcap")
measured = subprocess.run([sys.executable, "-c", "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
                           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
                           os.path.join(programs, "gm_trace"), *KEYS, "--no-output", path("flood.pcap")], capture_output=True, text=True)
peak = int(measured.stdout) / 1024
print("memory: %.0f MB at most, for a capture of %.0f MB of unknown SPIs, lone fragments, %d REGISTERs, %d sets" %
      (peak, size / 1e6, report.count("SM1"), report.count("     set ")))
if not 1 < peak < 256:
    fail("memory: %.0f MB" % peak)
