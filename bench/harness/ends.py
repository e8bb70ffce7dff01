# SPDX-License-Identifier: MIT
"""How a measurement is ended from outside: SIGINT, SIGTERM and SIGHUP all raise SystemExit, wherever the program is, so that
servers end and directories go; but not in the midst of that.
"""
import contextlib
import signal
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_heard = None  # the last of them
_is_due = False  # it came inside of whole()
_depth = 0  # of these


def listen():
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a background job
            signal.signal(number, _hear)


def is_heard():
    """Whether there is no point in waiting for what takes long."""
    return _heard is not None


@contextlib.contextmanager
def whole():
    """What is done in here is done to its end; a signal is heard behind it. Not by blocking it: a server that is started in
    here would inherit that."""
    global _depth  # pylint: disable=global-statement
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if _is_due:
            _end()


def _end():
    global _is_due  # pylint: disable=global-statement
    _is_due = _depth > 0
    if not _is_due:
        sys.exit(128 + _heard)


def _hear(number, _frame):
    global _heard  # pylint: disable=global-statement
    _heard = number
    _end()
