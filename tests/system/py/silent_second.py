# SPDX-License-Identifier: MIT
"""silent_second.py PORT_FILE: a Redis server for one connection that says who it is, deletes (`:1`), and hangs up on the
next request. Writes its port into PORT_FILE.
"""
import os
import socket
import sys

HELLO = b"*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"

with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(20)
    with open(sys.argv[1] + ".new", "w") as port:
        print(listener.getsockname()[1], file=port)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    client = listener.accept()[0]
    client.settimeout(20)
    for word, answer in ((b"HELLO", HELLO), (b"\r\na\r\n$1\r\nb\r\n", b":1\r\n"), (b"shc:", b"")):
        seen = b""
        while word not in seen and (more := client.recv(4096)):
            seen += more
        client.sendall(answer)
