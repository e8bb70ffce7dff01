#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""confined.py PROFILE PROGRAM [ARGUMENT...]: runs a program under a seccomp profile as Docker and containerd read it."""
import json
import os
import sys

import seccomp

ACTIONS = {"SCMP_ACT_ALLOW": lambda rule: seccomp.ALLOW, "SCMP_ACT_ERRNO": lambda rule: seccomp.ERRNO(rule.get("errnoRet", 1))}
OPS = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}


def confine(profile):
    whole = seccomp.SyscallFilter(seccomp.ERRNO(profile["defaultErrnoRet"]))
    for rule in profile["syscalls"]:
        args = [seccomp.Arg(a["index"], OPS[a["op"]], a["value"], a.get("valueTwo", 0)) for a in rule.get("args", [])]
        for name in rule["names"]:
            try:
                whole.add_rule(ACTIONS[rule["action"]](rule), name, *args)
            except (RuntimeError, OSError) as e:  # runtimes pass over what this machine does not have
                print(f"confined.py: {name}: {e}", file=sys.stderr)
    whole.load()


with open(sys.argv[1], encoding="utf-8") as file:
    confine(json.load(file))
os.execvp(sys.argv[2], sys.argv[2:])
