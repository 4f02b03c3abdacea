"""Runs a program with a TUN device as its standard input. Run as root, where a kernel has ESP.

usage: tun.py PROGRAM [ARGUMENT...]
"""

import fcntl
import os
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000

device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"gm0", IFF_TUN | IFF_NO_PI))
for words in ("link set gm0 up", "addr add 10.9.0.1/24 dev gm0", "-6 addr add 2001:db8:9::1/64 dev gm0 nodad",
              "route add 10.0.0.0/8 dev gm0"):
    subprocess.run(["ip", *words.split()], check=True)
os.dup2(device, 0)
os.execv(sys.argv[1], sys.argv[1:])
