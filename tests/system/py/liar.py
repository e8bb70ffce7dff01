# SPDX-License-Identifier: MIT
"""liar.py SOCKET TARGET LIE: stands at SOCKET before the server at TARGET (Unix sockets), and passes everything on but for each
tenth answer of the second connection and later ones, of which it changes the value:

    above     one more
    negative  the other sign
    absent    (of a get) there is none

It understands `:N` and `$L N` of RESP, and `N` and `VALUE` of memcached's text. SIGTERM ends it; so does the end of its parent.
"""
import asyncio
import itertools
import os
import re
import signal
import sys

ANSWER = re.compile(rb"(?P<head>:|\$\d+\r\n|VALUE \S+ 0 \d+ *\r\n|(?=\d))(?P<value>-?\d+) *\r\n(?P<tail>END\r\n)?")
EVERY = 10


class Liar:
    def __init__(self, lie):
        self.lie, self.told = lie, 0

    def change(self, match):
        self.told += 1
        if self.told % EVERY:
            return match[0]
        head, tail = match["head"], match["tail"] or b""
        if self.lie == "absent":
            return b"$-1\r\n" if head.startswith(b"$") else tail
        value = int(match["value"])
        text = b"%d" % (value + 1 if self.lie == "above" else -value)
        if head.startswith(b"$"):
            head = b"$%d\r\n" % len(text)
        elif head.startswith(b"VALUE"):
            head = re.sub(rb"\d+ *\r\n$", b"%d\r\n" % len(text), head)
        return head + text + b"\r\n" + tail


async def pass_on(reader, writer, change):
    while data := await reader.read(1 << 16):
        writer.write(change(data))
        await writer.drain()
    writer.close()


async def main(path, target, lie):
    count = itertools.count()

    async def serve(reader, writer):
        liar = Liar(lie) if next(count) > 0 else None
        server_reader, server_writer = await asyncio.open_unix_connection(target)
        # One request at a time: an answer comes in one piece.
        await asyncio.gather(pass_on(reader, server_writer, lambda data: data),
                             pass_on(server_reader, writer, lambda data: ANSWER.sub(liar.change, data) if liar else data),
                             return_exceptions=True)

    server = await asyncio.start_unix_server(serve, path + ".new")
    os.rename(path + ".new", path)  # whoever finds it is listened to
    parent = os.getppid()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    while server.is_serving() and os.getppid() == parent:
        await asyncio.sleep(0.1)  # between two looks


asyncio.run(main(*sys.argv[1:]))
