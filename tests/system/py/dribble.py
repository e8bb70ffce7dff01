# SPDX-License-Identifier: MIT
"""dribble.py FILE: its first byte to standard output, a pipe; when that was taken, the rest."""
import fcntl
import sys
import termios
import time

with open(sys.argv[1], "rb") as f:
    sys.stdout.buffer.write(f.read(1))
    sys.stdout.buffer.flush()
    end = time.monotonic() + 20
    while fcntl.ioctl(sys.stdout, termios.FIONREAD, b"\0" * 4) != b"\0" * 4:
        if time.monotonic() > end:
            sys.exit("nobody takes the first byte")
        time.sleep(0.001)  # between two looks
    sys.stdout.buffer.write(f.read())
