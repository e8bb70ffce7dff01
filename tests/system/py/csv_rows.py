# SPDX-License-Identifier: MIT
"""csv_rows.py FILE SEED DELIMITER TERMINATOR QUOTING: random rows as Python's csv module writes them (field 2 is a name,
field 4 a delta, the others hold what they like), and in FILE.expected what they add up to, as `shcount list` prints it."""
import collections
import csv
import random
import sys

path, seed, delimiter, terminator, quoting = sys.argv[1:]
rng = random.Random(int(seed))
NAMES = [''.join(rng.choice('ab",;  \'é|:') for _ in range(rng.randint(1, 6))) for _ in range(40)]
ANYTHING = 'xyz",;\n\r\t \'"é\x00\x7f'

sums = collections.Counter()
with open(path, "w", encoding="utf-8", newline="") as f:
    writer = csv.writer(f, delimiter=delimiter, lineterminator={"lf": "\n", "crlf": "\r\n"}[terminator],
                        quoting=getattr(csv, quoting))
    for _ in range(2000):
        name, delta = rng.choice(NAMES), rng.randint(-1000, 10**12)
        # A NUL is what this module of Python 3.11 writes, and reads, as any other byte.
        text = [''.join(rng.choice(ANYTHING) for _ in range(rng.randint(0, 9))) for _ in range(2)]
        writer.writerow([text[0], name, text[1], delta, "last"])
        sums[name.encode()] += delta
with open(path + ".expected", "wb") as f:
    for name in sorted(sums):
        f.write(name + b"\t%d\n" % sums[name])
