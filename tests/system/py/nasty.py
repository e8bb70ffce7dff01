# SPDX-License-Identifier: MIT
"""Counters with every kind of name and value that is legal, written and read with Python's own csv and json.

    nasty.py csv|json write            a file of them, for import
    nasty.py csv|json check FILE       whether FILE, an export, has them and no others
"""
import base64
import csv
import io
import json
import random
import sys

I64_MAX = (1 << 63) - 1


def counters():
    draw = random.Random(20261127)
    legal = [b for b in range(0x20, 0x100) if b != 0x7F]
    names = {
        b",", b'"', b'""', b'"x"', b" lead", b"trail ", b"   ", b"=1+1", b"+1", b"-1", b"@x", b"#note", b"'", b"\\", b"a,b",
        b'a"b', b'",', b"name", b"value", b"name,value", b"{}", b'{"name":"x"}', b"0", b"null", b";", b"|",
        "\u00e4\u00f6\u00fc".encode(), "\u2028".encode(), "\U0001f600".encode(), "\u0085".encode(), "\ufeff".encode(), "\ufeffbom".encode(),
        b"\xff", b"\x80", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\xffb", b'"\xff"', b",\xfe", b"x" * 255, b'"' * 255, b"," * 255,
        b"\xff" * 255,
    }
    names |= {bytes([b]) for b in legal}
    while len(names) < 2000:
        names.add(bytes(draw.choice(legal) for _ in range(draw.choice([1, 2, 3, 20, 254, 255]))))
    values = [0, 1, -1, I64_MAX, -I64_MAX - 1, I64_MAX - 1, 1 << 53, (1 << 53) + 1]
    return {name: draw.choice(values + [draw.randrange(-I64_MAX - 1, I64_MAX)]) for name in sorted(names)}


# Latin 1 is how Python's csv is given bytes.
def write_csv(out):
    text = io.TextIOWrapper(out, encoding="latin-1", newline="")
    rows = csv.writer(text)
    rows.writerow(["name", "value"])
    rows.writerows((name.decode("latin-1"), value) for name, value in counters().items())
    text.flush()


def read_csv(file):
    with open(file, encoding="latin-1", newline="") as text:
        rows = list(csv.reader(text, strict=True))
    assert rows[0] == ["name", "value"], rows[0]
    return [(name.encode("latin-1"), int(value)) for name, value in rows[1:]]


def is_utf8(name):
    try:
        name.decode()
        return True
    except UnicodeDecodeError:
        return False


def write_json(out):
    for name, value in counters().items():
        if is_utf8(name):
            line = {"name": name.decode(), "value": value}
        else:
            line = {"value": value, "name_base64": base64.b64encode(name).decode()}
        out.write(json.dumps(line).encode() + b"\n")


def read_json(file):
    for text in open(file, "rb"):
        line = json.loads(text)
        if "name" in line:
            yield line["name"].encode(), line["value"]
        else:
            name = base64.b64decode(line["name_base64"], validate=True)
            assert not is_utf8(name), name
            yield name, line["value"]


def main():
    form, verb = sys.argv[1:3]
    if verb == "write":
        {"csv": write_csv, "json": write_json}[form](sys.stdout.buffer)
        return
    rows = list({"csv": read_csv, "json": read_json}[form](sys.argv[3]))
    got, want = dict(rows), counters()
    assert len(rows) == len(got), "a name stands there twice"
    for name in want.keys() | got.keys():
        assert got.get(name) == want.get(name), (name, got.get(name), want.get(name))


main()
