#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""host_root.py ROOT PACKAGE...: a Debian of its own in ROOT, without a network: the essential packages of this machine,
those that are named, and what they depend on, with dpkg's own records of them, and nothing else that dpkg knows here.
Configuration is as in a new system: what maintainer scripts have made here is not taken along, but for the loader's cache,
nor are manuals and translations."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

INFO = pathlib.Path("/var/lib/dpkg/info")
LEFT_OUT = re.compile(r"/usr/share/(man|doc|locale|i18n|info)/.")


def installed():
    """Name -> (stanza, fields) of each package that is installed."""
    packages = {}
    for stanza in pathlib.Path("/var/lib/dpkg/status").read_text().strip().split("\n\n"):
        fields = dict(re.findall(r"^(\S+): (.*)$", stanza, re.M))
        if fields["Status"].endswith(" installed"):
            packages.setdefault(fields["Package"], (stanza, fields))
    return packages


def providers(packages):
    by_name = {}
    for name, (_, fields) in packages.items():
        for provided in [name] + fields.get("Provides", "").split(", "):
            by_name.setdefault(provided.split(" ")[0], []).append(name)
    return by_name


def closure(packages, wanted):
    by_name = providers(packages)
    todo = [name for name, (_, fields) in packages.items() if fields.get("Essential") == "yes"] + wanted
    chosen = set()
    while todo:
        name = todo.pop()
        if name in chosen:
            continue
        chosen.add(name)
        fields = packages[name][1]
        for need in ", ".join(fields.get(kind, "") for kind in ("Pre-Depends", "Depends")).split(", "):
            for alternative in need.split("|"):
                found = by_name.get(re.split(r"[ :(]", alternative.strip())[0])
                if found:
                    todo.append(found[0])
                    break
    return sorted(chosen)


def records(name, fields):
    """dpkg's files about a package."""
    for prefix in (name, f"{name}:{fields['Architecture']}"):
        yield from INFO.glob(f"{prefix}.*")


def main():
    root = pathlib.Path(sys.argv[1])
    packages = installed()
    chosen = closure(packages, sys.argv[2:])
    files, info = set(), root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    shutil.copy(INFO / "format", info)
    for kept in ("updates", "triggers"):
        (root / "var/lib/dpkg" / kept).mkdir()
    for name in chosen:
        for record in records(name, packages[name][1]):
            shutil.copy(record, info)
            if record.suffix == ".list":
                files.update(record.read_text().split("\n"))
    # What usrmerge has made, and no package has; before all that goes through it.
    for name in os.listdir("/"):
        if os.path.islink(f"/{name}") and os.readlink(f"/{name}").startswith("usr/"):
            (root / os.readlink(f"/{name}")).mkdir(parents=True)
            os.symlink(os.readlink(f"/{name}"), root / name)
            files.discard(f"/{name}")
    files = sorted(f for f in files if f.startswith("/") and os.path.lexists(f) and not LEFT_OUT.match(f))
    pack = subprocess.Popen(["tar", "-C", "/", "--no-recursion", "-c", "--null", "-T", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpack = subprocess.Popen(["tar", "-C", root, "--keep-directory-symlink", "-xp"], stdin=pack.stdout)
    pack.stdin.write(b"\0".join(("." + f).encode() for f in files))
    pack.stdin.close()
    if unpack.wait() != 0 or pack.wait() != 0:
        sys.exit("host_root.py: tar failed")

    (root / "var/lib/dpkg/status").write_text("\n\n".join(packages[name][0] for name in chosen) + "\n")
    shutil.copy("/var/lib/dpkg/triggers/ldconfig", root / "var/lib/dpkg/triggers")
    for name in ("passwd", "group"):
        shutil.copy(f"/usr/share/base-passwd/{name}.master", root / "etc" / name)
    shutil.copy("/etc/ld.so.cache", root / "etc")


main()
