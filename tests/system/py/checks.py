# SPDX-License-Identifier: MIT
"""What every driver says of what it sees: that it is so, that it comes to be so, or that it cannot be told here."""
import time


class Skip(Exception):
    """This machine cannot run the case; says why."""


def check(is_so, *what):
    if not is_so:
        raise AssertionError(" ".join(str(w) for w in what))


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: got {shown(got)}, want {shown(want)}")


def shown(value, limit=400):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + f"... ({len(text)} characters)"


def wait_until(condition, what, seconds=20):
    """Polls, with a bound. Returns the first true value."""
    end = time.monotonic() + seconds
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
