# SPDX-License-Identifier: MIT
"""What the parts of bench/run share: servers that end, turns that make ratios, rows that make a table and a picture."""
