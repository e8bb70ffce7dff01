#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gate.py SOCKET WHO: lets WHO in five times an hour, with redis-py. Prints which visit it is, or when to come again (exit
status 1).
"""
import sys

import redis

TIMES, PER_MS = 5, 3_600_000


def main():
    if len(sys.argv) != 3:
        print("usage: gate.py SOCKET WHO", file=sys.stderr)
        return 64
    _, path, who = sys.argv
    server = redis.Redis(unix_socket_path=path, socket_timeout=5)
    try:
        # One step, however many ask at the same time.
        is_allowed, _, retry_ms = server.execute_command("SHC.ALLOW", f"gate:{who}", TIMES, PER_MS)
        if not is_allowed:
            print(f"come again in {-(-retry_ms // 1000)} s")
            return 1
        # Nobody sees one of the two without the other.
        with server.pipeline() as both:
            visit, own = both.incr("visits").incr(f"visits:{who}").execute()
        print(f"visit {visit}, {own} of them by {who}")
        return 0
    except redis.RedisError as e:
        print(f"gate.py: {e}", file=sys.stderr)
        return 69 if isinstance(e, (redis.ConnectionError, redis.TimeoutError)) else 1


sys.exit(main())
