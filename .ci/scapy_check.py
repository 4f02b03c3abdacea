"""scapy opens what the library seals, and the library opens what scapy seals: eight suites, both address families.

Usage: scapy_check.py ESP_PCAP FOLDER
"""

import json
import pathlib
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")
from scapy.all import ESP, IP, TCP, UDP, IPv6, Raw, RawPcapReader, RawPcapWriter  # noqa: E402
from scapy.layers.ipsec import SecurityAssociation  # noqa: E402

INTEGRITY = {"hmac-md5-96": ("HMAC-MD5-96", 16), "hmac-sha-1-96": ("HMAC-SHA1-96", 20)}
ENCRYPTION = {"null": ("NULL", 0), "des-ede3-cbc": ("3DES", 24), "aes-cbc": ("AES-CBC", 16)}
SUITES = [(alg, *auth, ealg, *crypt) for alg, auth in INTEGRITY.items() for ealg, crypt in ENCRYPTION.items()]
# Keys with the salt. To scapy, GMAC is an encryption algorithm.
SUITES += [("null", "NULL", 0, "aes-gcm", "AES-GCM", 20), ("aes-gmac", "AES-NULL-GMAC", 20, "null", "NULL", 0)]
LINKTYPE_RAW = 101
PAYLOADS = [b"", b"x", b"ab" * 7, bytes(range(256)) * 4, b"\x00" * 1300]


def datagrams(ipv6):
    """UDP and TCP of several lengths, as octets."""
    ip = IPv6(src="2001:db8::2", dst="2001:db8::1", hlim=64) if ipv6 else IP(src="10.0.0.2", dst="10.0.0.1", id=7)
    for payload in PAYLOADS:
        yield ip / UDP(sport=6101, dport=7060) / Raw(payload)
        yield ip / TCP(sport=6101, dport=7060, flags="PA", seq=5) / Raw(payload)


def main(esp_pcap, folder):
    folder = pathlib.Path(folder)
    checked = 0
    for family, layer in ((4, IP), (6, IPv6)):
        plain = [layer(bytes(packet)) for packet in datagrams(family == 6)]
        for alg, auth_algo, auth_len, ealg, crypt_algo, crypt_len in SUITES:
            auth_key = bytes(range(1, auth_len + 1))
            crypt_key = bytes(range(101, 101 + crypt_len))
            sa = {"src": plain[0].src, "dst": plain[0].dst, "spi": 0x12345678, "alg": alg, "ealg": ealg,
                  "auth_key": auth_key.hex(), "enc_key": crypt_key.hex()}
            (folder / "sas.json").write_text(json.dumps({"sas": [sa]}))

            def run(direction, packets):
                # As raw octets: scapy must not mend what it writes.
                with RawPcapWriter(str(folder / "in.pcap"), linktype=LINKTYPE_RAW) as writer:
                    writer.write([bytes(packet) for packet in packets])
                subprocess.run([esp_pcap, direction, "--strict", "--sas", folder / "sas.json", folder / "in.pcap",
                                folder / "out.pcap"], check=True, stderr=subprocess.DEVNULL)
                out = [octets for octets, _ in RawPcapReader(str(folder / "out.pcap"))]
                assert len(out) == len(packets), f"{direction}: {len(out)} of {len(packets)} packets"
                return out

            def association():
                if auth_algo == "AES-NULL-GMAC":
                    return SecurityAssociation(ESP, spi=0x12345678, crypt_algo=auth_algo, crypt_key=auth_key)
                return SecurityAssociation(ESP, spi=0x12345678, crypt_algo=crypt_algo, crypt_key=crypt_key or None,
                                           auth_algo=auth_algo, auth_key=auth_key or None)

            scapy = association()
            for sealed, expected in zip(run("seal", plain), plain, strict=True):
                assert bytes(expected) not in sealed
                opened = scapy.decrypt(layer(sealed))
                assert bytes(opened) == bytes(expected), f"{alg}+{ealg}, IPv{family}: scapy opens something else"
                checked += 1
            scapy = association()
            sealed = [scapy.encrypt(packet.copy()) for packet in plain]
            for opened, expected in zip(run("open", sealed), plain, strict=True):
                assert opened == bytes(expected), f"{alg}+{ealg}, IPv{family}: the library opens something else"
                checked += 1
    expected = 2 * len(SUITES) * 2 * 2 * len(PAYLOADS)
    assert checked == expected, f"{checked} of {expected} packets were checked"
    print(f"scapy: {checked} packets, both ways, eight suites, two families")


main(*sys.argv[1:])
