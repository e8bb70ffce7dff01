# SPDX-License-Identifier: MIT
"""The connections of proxy.py: from clients (Front) to a node (Back), which break what the plan says; and among nodes (Pipe)."""
import asyncio
import collections
import socket
import time

from proxy_requests import ANSWER_SECONDS_MAX, ELIGIBLE, reply_end, request_end, told, told_reply
from shc import encode

REPLICATION = (b"REPLCONF", b"PSYNC", b"SYNC")
BUFFER_BYTES = 1 << 20


class Back(asyncio.Protocol):
    """To the node; counts replies, and does with them what is planned for their requests."""

    def __init__(self, front):
        self.front = front
        self.transport = None
        self.data = bytearray()
        self.replies = 0
        self.is_silent = False  # the client is gone, or must not hear any more
        self.queue = collections.deque()  # (when, bytes): those that are delayed, and all behind them
        self.timer = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        front = self.front
        if front.is_raw:
            front.send(data)
            return
        self.data += data
        at = 0
        while at < len(self.data):
            is_reply = self.data[at] != 62
            end = reply_end(self.data, at)
            if end < 0:
                break
            if is_reply:
                self.answered(self.data[at:end])
            else:
                self.pass_on(self.data[at:end])
            at = end
        del self.data[:at]
        if self.is_silent and self.replies >= front.requests:
            self.transport.close()

    def answered(self, reply):
        fault = self.front.faults.pop(self.replies, None)
        self.replies += 1
        if fault:
            kind, number, seconds = fault
            self.front.node.note(kind, number, seconds=seconds, reply=told_reply(reply))
            if kind == "lose":
                self.is_silent = True
                self.flush()
                self.front.close()
            else:
                self.queue.append((time.monotonic() + seconds, b""))
        self.pass_on(reply)

    def pass_on(self, data):
        if self.is_silent:
            return
        if not self.queue:
            self.front.send(data)
            return
        self.queue.append((self.queue[-1][0], bytes(data)))
        if not self.timer:
            self.wait()

    def wait(self):
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(max(0, self.queue[0][0] - time.monotonic()), self.due)

    def due(self):
        self.timer = None
        while self.queue and self.queue[0][0] <= time.monotonic():
            self.front.send(self.queue.popleft()[1])
        if self.queue:
            self.wait()

    def flush(self):
        while self.queue:
            self.front.send(self.queue.popleft()[1])

    def pause_writing(self):
        self.front.set_reading(False)

    def resume_writing(self):
        self.front.set_reading(True)

    def connection_lost(self, _):
        self.flush()
        if not self.is_silent:
            self.front.close()


class Front(asyncio.Protocol):
    """From a client."""

    def __init__(self, node):
        self.node = node
        self.transport = None
        self.back = None
        self.data = bytearray()
        self.waiting = bytearray()  # for the connection to the node
        self.requests = 0  # sent to the node
        self.faults = {}  # by the number of the request: what is to happen to its reply
        self.is_raw = self.is_asking = self.is_open = False
        self.held = None  # requests that the node has not seen

    def connection_made(self, transport):
        self.transport = transport
        self.is_open = True
        self.node.fronts.add(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asyncio.get_running_loop().create_task(self.connect())

    async def connect(self):
        try:
            _, back = await asyncio.get_running_loop().create_connection(lambda: Back(self), *self.node.address)
        except OSError:
            self.reset()
            return
        self.back = back
        back.transport.set_write_buffer_limits(BUFFER_BYTES)
        self.transport.set_write_buffer_limits(BUFFER_BYTES)
        back.transport.write(bytes(self.waiting))
        self.waiting.clear()
        if not self.is_open:
            self.leave()

    def data_received(self, data):
        if self.is_raw:
            self.forward(data)
            return
        self.data += data
        at, begin = 0, 0
        while at < len(self.data) and not self.is_raw:
            word, end = request_end(self.data, at)
            if end < 0:
                break
            if self.held is not None:
                self.held += self.data[at:end]
                begin = end
            elif word in REPLICATION:
                self.is_raw = True
                if self.node.is_isolated:
                    self.reset()
                    return
            elif word in ELIGIBLE and self.is_held(word, at, end):
                self.forward(self.data[begin:at])
                self.held += self.data[at:end]
                begin = end
            else:
                self.requests += 1
            self.is_asking = word == b"ASKING"
            at = end
        if self.is_raw:
            at = len(self.data)
        self.forward(self.data[begin:at])
        del self.data[:at]

    def is_held(self, word, at, end):
        """Draws, and notes what becomes of the request."""
        node = self.node
        fault, number, lot = node.proxy.plan.draw(node.name, word)
        if not fault:
            return False
        plan, request = node.proxy.plan, bytes(self.data[at:end])
        node.proxy.counts[fault] += 1
        node.note("drawn", number, fault=fault, request=told(request))
        if fault == "double":
            asking = encode("ASKING") if self.is_asking else b""
            node.deliver_later("double", number, asking + request, plan.seconds("late_ms", lot))
        elif fault == "refuse":
            # Behind this turn, for it cuts this connection.
            asyncio.get_running_loop().call_soon(node.refuse, plan.seconds("refuse_ms", lot))
        elif fault == "hold":
            self.held = bytearray(encode("ASKING") if self.is_asking else b"")
            silent, late = plan.seconds("silent_ms", lot), plan.seconds("late_ms", 1 - lot)
            asyncio.get_running_loop().call_later(silent, self.close)
            node.deliver_later("hold", number, self.held, silent + late)
            return True
        else:
            self.faults[self.requests] = fault, number, plan.seconds("delay_ms", lot) if fault == "delay" else 0
        return False

    def forward(self, data):
        if not data:
            return
        if not self.back:
            self.waiting += data
        elif not self.back.transport.is_closing():
            self.back.transport.write(bytes(data))

    def send(self, data):
        if self.is_open and not self.transport.is_closing():
            self.transport.write(bytes(data))

    def set_reading(self, is_on):
        if self.is_open:
            (self.transport.resume_reading if is_on else self.transport.pause_reading)()

    def pause_writing(self):
        if self.back:
            self.back.transport.pause_reading()

    def resume_writing(self):
        if self.back and not self.back.transport.is_closing():
            self.back.transport.resume_reading()

    def close(self):
        if self.is_open:
            self.transport.close()

    def reset(self):
        if self.is_open:
            self.transport.abort()

    def connection_lost(self, _):
        self.is_open = False
        self.node.fronts.discard(self)
        if self.back:
            self.leave()

    def leave(self):
        """What the node was sent is to be executed: closing with replies unread may take it away from it."""
        back = self.back
        back.is_silent = True
        back.transport.resume_reading()
        if self.is_raw or back.replies >= self.requests:
            back.transport.close()
        else:
            asyncio.get_running_loop().call_later(ANSWER_SECONDS_MAX, back.transport.close)


class Pipe(asyncio.Protocol):
    """Between nodes: from one of them, and on to the bus of another. Who it is from stands in its first message."""

    SENDER = slice(40, 80)  # of clusterMsg, in redis 7.0's src/cluster.h

    def __init__(self, node, other=None):
        self.node, self.other = node, other
        self.transport = None
        self.waiting = bytearray()
        self.sender = other.sender if other else None

    def connection_made(self, transport):
        self.transport = transport
        if not self.other:
            self.node.pipes.add(self)

    def data_received(self, data):
        if self.other:
            self.other.write(data)
            return
        self.waiting += data
        if self.sender is None and len(self.waiting) >= self.SENDER.stop:
            self.sender = bytes(self.waiting[self.SENDER]).decode("ascii", "replace")
            asyncio.get_running_loop().create_task(self.connect())

    async def connect(self):
        if self.node.proxy.is_parted(self):
            self.close()
            return
        try:
            _, self.other = await asyncio.get_running_loop().create_connection(lambda: Pipe(self.node, self), *self.node.bus_address)
        except OSError:
            self.close()
            return
        self.other.write(self.waiting)
        if self.transport.is_closing():
            self.other.close()

    def write(self, data):
        if not self.transport.is_closing():
            self.transport.write(bytes(data))

    def close(self):
        self.transport.close()

    def connection_lost(self, _):
        self.node.pipes.discard(self)
        if self.other:
            self.other.close()
