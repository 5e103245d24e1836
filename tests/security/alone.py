"""Run a command where there is no network but the loopback: `python alone.py COMMAND...`.

A network namespace of its own, inside a user namespace where we are not root.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


def leave_the_network() -> None:
    """Raises OSError where the kernel does not allow it."""
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare: " + os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))


def nobody_answers() -> bool:
    """Whether the kernel knows no way to any address but our own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 53))
        except OSError:
            return True
    return False


if __name__ == "__main__":
    leave_the_network()
    if not nobody_answers():
        raise SystemExit("there is still a network")
    os.execvp(sys.argv[1], sys.argv[1:])
