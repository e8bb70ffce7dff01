# SPDX-License-Identifier: MIT
"""What goes through proxy.py: where requests and replies end, which of them a plan breaks, and those that come late."""
import asyncio
import random

RATES = ("lose", "double", "delay", "hold", "refuse")
TIMES_MS = {"delay_ms": (1, 300), "silent_ms": (0, 1500), "late_ms": (50, 3000), "refuse_ms": (50, 500)}
ONCE = (b"EVALSHA", b"EVAL")
ELIGIBLE = ONCE + (b"INCRBY",)
# An answer that nobody waits for; a frozen node gives none.
ANSWER_SECONDS_MAX = 5


# ---- RESP, as far as it takes to see where something ends ----

def request_end(data, at):
    """(first word, where the request ends); (None, -1): it is not whole."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None, -1
    if data[at] != 42:
        return bytes(data[at:line]).split(b" ", 1)[0].upper(), line + 2
    count, at, first = int(data[at + 1:line]), line + 2, b""
    for i in range(count):
        line = data.find(b"\r\n", at)
        if line < 0:
            return None, -1
        size = int(data[at + 1:line])
        at = line + 4 + size
        if at > len(data):
            return None, -1
        if i == 0:
            first = bytes(data[line + 2:line + 2 + size]).upper()
    return first, at


def reply_end(data, at):
    """Where the reply ends; -1: it is not whole."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return -1
    kind = data[at]
    if kind in b"$=!":
        size = int(data[at + 1:line])
        end = line + 2 if size < 0 else line + 4 + size
        return end if end <= len(data) else -1
    if kind in b"*~>%":
        count, end = int(data[at + 1:line]), line + 2
        for _ in range(count * (2 if kind == 37 else 1)):
            end = reply_end(data, end)
            if end < 0:
                return -1
        return end
    return line + 2


def told(request):
    """A request as the log has it."""
    return " ".join(word for word in request.decode("latin-1").split("\r\n")[2::2] if len(word) < 100)[:300]


def told_reply(reply):
    return reply.decode("latin-1").replace("\r\n", " ").strip()[:200]


# ---- the plan ----

class Plan:
    def __init__(self, seed=0, rates=None):
        rates = dict(rates or {})
        self.times = {name: rates.pop(name, bounds) for name, bounds in TIMES_MS.items()}
        unknown = set(rates) - set(RATES)
        if unknown:
            raise ValueError(f"a plan has no {', '.join(sorted(unknown))}")
        self.rates = [(name, rates[name]) for name in RATES if rates.get(name)]
        self.seed = seed
        self.drawn = {}  # by node: its lot, and how many were drawn

    def draw(self, node, word):
        """(fault or None, number of the request, a lot for its times)"""
        lot, number = self.drawn.get(node) or (random.Random(f"{self.seed} {node}"), 0)
        self.drawn[node] = lot, number + 1
        at = lot.random()
        times = lot.random()
        for name, rate in self.rates:
            if at < rate:
                return (None if name == "double" and word not in ONCE else name), number, times
            at -= rate
        return None, number, times

    def seconds(self, name, lot):
        least, most = self.times[name]
        return (least + (most - least) * lot) / 1000


# ---- late ones ----

class Late:
    """Requests that come when nobody waits for them."""

    def __init__(self, node, kind, number, data):
        self.node, self.kind, self.number, self.data = node, kind, number, data
        self.timer = None

    def wait(self, seconds):
        self.node.proxy.late.add(self)
        self.timer = asyncio.get_running_loop().call_later(seconds, self.begin)

    def begin(self):
        if self.timer:
            self.timer.cancel()
            self.timer = None
            asyncio.get_running_loop().create_task(self.deliver())

    async def deliver(self):
        try:
            replies = await asyncio.wait_for(self.exchange(), ANSWER_SECONDS_MAX)
            self.node.note(self.kind, self.number, late=True, replies=[told_reply(r) for r in replies])
        except (OSError, asyncio.TimeoutError, EOFError) as e:
            self.node.note(self.kind, self.number, late=True, lost=str(e) or type(e).__name__)
        self.node.proxy.late.discard(self)

    async def exchange(self):
        count, at = 0, 0
        while at < len(self.data):
            count, at = count + 1, request_end(self.data, at)[1]
        reader, writer = await asyncio.open_connection(*self.node.address)
        try:
            writer.write(bytes(self.data))
            replies, data = [], b""
            while len(replies) < count:
                more = await reader.read(1 << 16)
                if not more:
                    raise EOFError("the node has closed the connection")
                data += more
                while data and (end := reply_end(data, 0)) >= 0:
                    replies.append(data[:end])
                    data = data[end:]
            return replies
        finally:
            writer.close()
