# SPDX-License-Identifier: MIT
"""What bench/run measures, a part a file. Each has a class `Part` (harness/bench.py says what that is)."""
