#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""words.py CHECK: holds what is written about the programs against what they are.

What they are is asked of them: `shcount help`, `shcount help COMMAND`, `shcounterd --help` and `shcount-gateway --help`, which are made from the tables in
the code, COMMAND DOCS and CONFIG GET of a running daemon ($SHC_SOCK), and the exit statuses that the sources name. Prints a
line for each difference, and fails when there is one. Run in the top directory, with the programs on the PATH.
"""
import glob
import json
import os
import re
import shlex
import subprocess
import sys

import metric_table

# Manuals of others that ours may point to.
FOREIGN_PAGES = {
    ("awk", "1"), ("cp", "1"), ("gzip", "1"), ("jq", "1"), ("nohup", "1"), ("pkg-config", "1"), ("redis-cli", "1"),
    ("sqlite3", "1"), ("systemd", "1"), ("top", "1"), ("uniq", "1"), ("watch", "1"), ("zstd", "1"), ("execve", "2"), ("fdatasync", "2"),
    ("fork", "2"), ("sd_listen_fds", "3"), ("sd_notify", "3"), ("strftime", "3"), ("vis", "3"), ("crontab", "5"), ("systemd.exec", "5"),
    ("epoll", "7"), ("io_uring", "7"), ("locale", "7"), ("pthreads", "7"), ("cron", "8"), ("ld.so", "8"), ("logrotate", "8"),
}
SYSEXITS = {
    "EX_USAGE": 64, "EX_DATAERR": 65, "EX_NOINPUT": 66, "EX_NOUSER": 67, "EX_NOHOST": 68, "EX_UNAVAILABLE": 69,
    "EX_SOFTWARE": 70, "EX_OSERR": 71, "EX_OSFILE": 72, "EX_CANTCREAT": 73, "EX_IOERR": 74, "EX_TEMPFAIL": 75,
    "EX_PROTOCOL": 76, "EX_NOPERM": 77, "EX_CONFIG": 78,
}
# What depends on the machine, so that no page can name it.
MACHINE_DEFAULTS = {"socket", "socket-group", "db", "workers", "listen", "access", "audit", "uplink"}
# The same thing by another name, in the argument of an option.
ALIASES = {"duration": "dur"}
WIDTH_MAX = 80

differences = []


def differ(where, what):
    differences.append(f"{where}: {what}")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def said(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout


def compare(where, found, wanted, kind):
    found, wanted = set(found), set(wanted)
    for word in sorted(wanted - found):
        differ(where, f"{kind} {word} is missing")
    for word in sorted(found - wanted):
        differ(where, f"there is no {kind} {word}")


# ---- what the programs say ----

OPTION = re.compile(r"^ +(?:-(.), )?--([a-z0-9-]+)(\[=|=| )?([^] ]*)\]? *(.*)$")


class Option:
    def __init__(self, match):
        self.letter, self.word, self.how, self.arg, self.help = match.groups()
        self.how = self.how if self.arg else None

    def default(self):
        """What help calls the default; null when it names none."""
        found = re.search(r"(?:^|[ ,:])([^ ,:]+)(?: there)? \(default\)|default:? ([^ ();]+)", self.help)
        return found and (found[1] or found[2])


def options_in(lines):
    """The options of a page of help, by word. What an option is may go on in lines that are indented more."""
    options, last = {}, None
    for line in lines:
        match = OPTION.match(line)
        if match:
            last = options[match[2]] = Option(match)
        elif last and re.match(r" {8}", line):
            last.help = (last.help + " " + line.strip()).strip()
        else:
            last = None
    return options


class Command:
    def __init__(self, name):
        self.name = name
        self.page = said("shcount", "help", name)
        lines = self.page.splitlines()
        usage = next(line for line in lines if line.startswith("Usage: "))
        self.operands = usage.removeprefix(f"Usage: shcount [OPTION...] {name}").strip()
        split = lines.index("Options of every command:")
        self.options = options_in(lines[:split])
        self.globals = options_in(lines[split:])


class Shcount:
    def __init__(self):
        self.page = said("shcount", "help")
        lines = self.page.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("Usage:"))
        end = lines.index("Options, before or behind the command:")
        names = [line.split()[0] for line in lines[start:end] if re.match(r"  [a-z]", line)]
        self.globals = options_in(lines[end:])
        self.commands = {name: Command(name) for name in names if name != "help"}

    def options_of(self, name):
        return {**self.globals, **(self.commands[name].options if name in self.commands else {})}

    def all_options(self):
        every = dict(self.globals)
        for command in self.commands.values():
            every.update(command.options)
        return every


class Service:
    """shcounterd, or the gateway."""

    def __init__(self, program):
        self.page = said(program, "--help")
        head, settings = self.page.split("Settings, each an option")
        self.others = options_in(head.splitlines())
        self.settings = options_in(settings.splitlines())


def Shcounterd():
    return Service("shcounterd")


def Gateway():
    return Service("shcount-gateway")


def redis(*words):
    reply = said("redis-cli", "-s", os.environ["SHC_SOCK"], "-3", "--json", *words)
    return json.loads(reply)


# ---- what stands in a manual ----

MACRO_TEXT = {"Ic": "", "Ar": "", "Cm": "", "Li": "", "Ql": "", "Ev": "", "Pa": "", "Dv": "", "Em": "", "No": "", "Nm": ""}


def macro_words(line):
    """`.It Ic list Oo Ar glob Oc Op Fl \\-limit Ar n` as the words a reader sees: list [ glob ] [ --limit n ]."""
    words, glue, tail = [], False, []

    def put(word):
        nonlocal glue
        if glue and words:
            words[-1] += word
        else:
            words.append(word)
        glue = False

    is_option = False
    for token in line.split():
        token = token.replace("\\-", "-").replace("\\&", "")
        if token == "Op":
            put("[")
            tail.append("]")
        elif token == "Oo":
            put("[")
        elif token == "Oc":
            words.append("]")
        elif token == "Fl":
            is_option = True
        elif token == "Ns":
            glue = True
        elif token in MACRO_TEXT:
            is_option = False
        elif is_option and token not in ("|", ","):
            put("-" + token)
            is_option = False
        else:
            put(token)
    return words + tail


def plain(text):
    return text.replace("\\-", "-").replace("\\&", "").replace("\\(aq", "'").replace("\\(dq", '"').replace("\\e", "\\")


class Manual:
    def __init__(self, path):
        self.path = path
        self.text = read(path)
        self.lines = self.text.splitlines()

    def section(self, title):
        inside, lines = False, []
        for line in self.lines:
            if re.match(r"\.S[hs] ", line):
                inside = line[4:].strip().upper() == title.upper()
            elif inside:
                lines.append(line)
        return lines

    def items(self, macro):
        """(head, lines of the body) of every `.It MACRO ...`; heads in a row share the body behind the last."""
        found, open_heads = [], []
        for line in self.lines:
            if line.startswith(".It "):
                if open_heads and open_heads[-1][1]:
                    open_heads = []
                entry = (line[4:], [])
                open_heads.append(entry)
                if line.startswith(f".It {macro} "):
                    found.append(entry)
            elif line.startswith((".El", ".Sh", ".Ss")):
                open_heads = []
            else:
                for _, body in open_heads:
                    body.append(line)
        return found

    def examples(self):
        """Lines of shell: behind `$ ` in what is shown literally."""
        for line in self.lines:
            match = re.match(r"(?:\.Dl )?[$#] (.*)", line)
            if match:
                yield plain(match[1])

    def quoted(self):
        for line in self.lines:
            match = re.match(r"\.?Ql (shcount.*)", line)
            if match:
                yield plain(match[1])


MANUALS = {os.path.basename(path): Manual(path) for path in sorted(glob.glob("man/*.[1-8]"))}


def alike(page_arg, table_arg):
    def normal(arg):
        return "|".join(ALIASES.get(part, part) for part in arg.lower().replace(" ", "").split("|"))

    return normal(page_arg) == normal(table_arg)


def options_of_head(words):
    """{option as written: its argument}: `[ --sort name | value ]`, `--durable [ =disk ]`, `-f format , --format format`."""
    found, i = {}, 0
    while i < len(words):
        word = words[i]
        i += 1
        if not re.match(r"-.", word):
            continue
        name, arg = word.rstrip("["), ""
        if i < len(words) and words[i] not in ("[", "]", ",", "|") and not words[i].startswith("-"):
            arg = words[i].lstrip("=")
            i += 1
            while i + 1 < len(words) and words[i] == "|" and not words[i + 1].startswith("-"):
                arg += "|" + words[i + 1]
                i += 2
        found[name] = arg
    return found


# ---- the checks ----


def check_shcount_manual():
    """shcount(1) has every command with its operands, every option with its argument and default, and no others."""
    program, page = Shcount(), MANUALS["shcount.1"]
    commands = {}
    for head, body in page.items("Ic"):
        words = macro_words(head)
        # Of one with verbs, each has a head.
        all_words, all_lines = commands.setdefault(words[0], ([], []))
        all_words += words[1:]
        all_lines += body
    compare("shcount.1", [c for c in commands if c != "help"], program.commands, "command")
    described = {}
    for head, body in page.items("Fl"):
        for option, arg in options_of_head(macro_words(head)).items():
            described.setdefault(option, []).append((arg, body))
    for name, command in program.commands.items():
        words, body = commands.get(name, ([], []))
        given = options_of_head(words)
        operands = [one for w in command.operands.split() for one in w.strip("[]").removesuffix("...").split("|")]
        shown = [w for w in words if re.match(r"[a-z_]", w)]
        for operand in operands:
            if operand and operand.lower() not in [w.lower() for w in shown] and words != []:
                differ("shcount.1", f"{name}: the operand {operand} is not in its head")
        for option, arg in given.items():
            known = {f"--{o.word}" for o in program.options_of(name).values()}
            known |= {f"-{o.letter}" for o in program.options_of(name).values() if o.letter}
            if option not in known:
                differ("shcount.1", f"{name} has no option {option}")
        for option in command.options.values():
            check_described("shcount.1", name, option, given, described, body)
    known = {f"--{o.word}" for o in program.all_options().values()}
    known |= {f"-{o.letter}" for c in program.commands for o in program.options_of(c).values() if o.letter}
    for option in set(described) - known:
        differ("shcount.1", f"no command has the option {option}")
    for line in page.lines:
        for option in re.findall(r"\bFl (\S+)", line) if not line.startswith('.\\"') else []:
            option = "-" + plain(option)
            if option not in known and option != "--":
                differ("shcount.1", f"no command has the option {option}: {line}")
    synopsis = options_of_head(macro_words(" ".join(line.lstrip(".") for line in page.section("SYNOPSIS"))))
    for option in program.globals.values():
        check_described("shcount.1", "every command", option, {}, described, [])
        if option.word not in ("help", "version") and not {f"--{option.word}", f"-{option.letter}"} & set(synopsis):
            differ("shcount.1", f"--{option.word} is not in the synopsis")


def check_described(where, name, option, given, described, body):
    """In the command's head, or in an item of its own; of those that several commands have one must fit."""
    forms = [f for f in (f"--{option.word}", option.letter and f"-{option.letter}") if f]
    choices = option.arg.split("|")

    def fits(arg, text):
        # `-f format`, with each format where it is explained.
        is_named = arg == option.word and (choices[1:] == [] or all(f"Cm {c}" in "\n".join(text) for c in choices))
        return alike(arg, option.arg) or is_named

    heads = [(f, given[f]) for f in forms if f in given]
    items = [(f, arg, text) for f in forms for arg, text in described.get(f, [])]
    if not heads and not items:
        differ(where, f"{name}: the option --{option.word} is missing")
    for form, arg in heads:
        if not fits(arg, body):
            differ(where, f"{name}: {form} takes '{option.arg}', not '{arg}'")
    for form in {f for f, _, _ in items}:
        if not any(fits(arg, text) for f, arg, text in items if f == form):
            differ(where, f"{name}: {form} takes '{option.arg}', which no item says")
    default = option.default()
    texts = [" ".join(text) for _, _, text in items] + ([" ".join(body)] if heads else [])
    if texts and default and not any("default" in t and default in plain(t) for t in texts):
        differ(where, f"{name}: --{option.word}: the default {default} is not named")


def check_cluster():
    """shcount(1) names the commands that a Redis Cluster serves, and the others say so."""
    program = Shcount()
    served = {name for name in program.commands if "Not for a Redis Cluster." not in program.commands[name].page.splitlines()}
    intro = " ".join(MANUALS["shcount.1"].section("ON A REDIS CLUSTER"))
    listed = re.search(r"\.Ic (.*?) work there", intro)[1]
    compare("shcount.1, ON A REDIS CLUSTER", set(re.findall(r"\b[a-z]+\b", listed)) - {"and"}, served, "command")
    refusal = subprocess.run(["shcount", "-c", "127.0.0.1:1", "sync"], stderr=subprocess.PIPE, check=False, encoding="utf-8").stderr
    compare("shcount -c HOSTS sync", re.findall(r"[a-z]+", re.search(r"these are: (.*)", refusal)[1]), served, "command")


def check_help():
    """What is written for people fits 80 columns, begins with an example, and has what the tables have."""
    program = Shcount()
    words = set()
    for path in glob.glob("cmd/*.c"):
        words |= set(re.findall(r"\{(?:0|'.'),\s*\"([a-z0-9-]+)\",\s*OPTION_", read(path)))
    compare("shcount help", program.all_options(), words, "option")
    for name in program.commands:
        for option in program.options_of(name).values():
            if option.arg.isupper() and re.search(r"\b[a-z]+ \(default\)", option.help):
                differ(f"shcount help {name}", f"--{option.word} {option.arg}: for completions its words belong in its argument, as this|that")
    pages = {"shcount help": program.page, "shcounterd --help": Shcounterd().page, "shcount-gateway --help": Gateway().page}
    for name in "shcounterd", "shcount-gateway":
        lines = pages[f"{name} --help"].splitlines()
        if not next(line for line in lines[1:] if line and not line.startswith("       ")).startswith(f"  {name} -"):
            differ(f"{name} --help", f"does not begin with an example: {lines[2]}")
    for name, command in program.commands.items():
        pages[f"shcount help {name}"] = command.page
        lines = command.page.splitlines()
        if not re.match(rf"  .*\bshcount .*\b{name}\b", lines[2]):
            differ(f"shcount help {name}", f"does not begin with an example: {lines[2]}")
        for form in ((name, "--help"), ("--help", name), ("-h", name)):
            if said("shcount", *form) != command.page:
                differ(f"shcount {' '.join(form)}", f"is not shcount help {name}")
    for form in (("--help",), ("help", "help")):
        if said("shcount", *form) != program.page:
            differ(f"shcount {' '.join(form)}", "is not shcount help")
    for name, text in pages.items():
        for line in text.splitlines():
            if len(line) > WIDTH_MAX:
                differ(name, f"{len(line)} columns: {line}")


def check_settings():
    """Every setting of --help is in shcounterd(8), shcounterd.conf(5), the installed file and CONFIG GET, with its default."""
    program = Shcounterd()
    settings = program.settings
    page = MANUALS["shcounterd.8"]
    listed = {plain(o)[1:] for line in page.section("DESCRIPTION") for o in re.findall(r"^\.Fl (\S+)", line)}
    listed = {o for o in listed if o not in program.others and len(o) > 1}
    compare("shcounterd.8", listed, settings, "setting")
    for option in program.others.values():
        if f"Fl \\-{option.word}" not in page.text:
            differ("shcounterd.8", f"the option --{option.word} is missing")
    items = {}
    for head, body in MANUALS["shcounterd.conf.5"].items("Ic"):
        words = macro_words(head)
        items[words[0]] = ("".join(words[1:]), " ".join(body))
    compare("shcounterd.conf.5", items, settings, "setting")
    sample = dict(re.findall(r"^#([a-z-]+) = (.*)$", read("systemd/shcounterd.conf"), re.M))
    compare("systemd/shcounterd.conf", sample, settings, "setting")
    told = redis("CONFIG", "GET", "*")
    compare("CONFIG GET", [name for name in told if name in settings], settings, "setting")
    started_with = set(os.environ.get("SHC_GIVEN", "").split())
    for name, option in settings.items():
        arg, body = items.get(name, (option.arg, ""))
        if not alike(arg, option.arg):
            differ("shcounterd.conf.5", f"{name} takes '{option.arg}', not '{arg}'")
        default = re.search(r"default: (\S+)$", option.help)[1]
        if name in MACHINE_DEFAULTS:
            continue
        if name in items and not re.search(rf"(Default:|, the default|the default).*", body):
            differ("shcounterd.conf.5", f"{name}: no default is named")
        elif name in items and default not in re.findall(r"\w+", plain(body)):
            differ("shcounterd.conf.5", f"{name}: the default is {default}")
        if sample.get(name, default) != default:
            differ("systemd/shcounterd.conf", f"{name}: the default is {default}, not {sample[name]}")
        if name not in started_with and told.get(name, default) not in (default, ""):
            differ("CONFIG GET", f"{name}: the default of --help is {default}, not {told[name]}")


def check_gateway():
    """shcount-gateway(8) and its installed file have every setting of --help with its default, and no others."""
    program, page = Gateway(), MANUALS["shcount-gateway.8"]
    described = {}
    for head, body in page.items("Fl"):
        for option, arg in options_of_head(macro_words(head)).items():
            described[option] = (arg, " ".join(body))
    known = {**program.settings, **program.others}
    compare("shcount-gateway.8", [o for o in described if o.startswith("--")], {f"--{word}" for word in known}, "option")
    sample = dict(re.findall(r"^#([a-z-]+) = (.*)$", read("systemd/shcount-gateway.conf"), re.M))
    compare("systemd/shcount-gateway.conf", sample, program.settings, "setting")
    for name, option in program.settings.items():
        arg, body = described.get(f"--{name}", (option.arg, ""))
        if not alike(arg, option.arg):
            differ("shcount-gateway.8", f"--{name} takes '{option.arg}', not '{arg}'")
        found = re.search(r"default: (\S+)$", option.help)
        default = re.search(r"Default: ([^\s,;]+?)[.,;]?(?: |$)", plain(body))
        if f"--{name}" in described and not default:
            differ("shcount-gateway.8", f"--{name}: no default is named")
        elif found and default and default[1] != found[1]:
            differ("shcount-gateway.8", f"--{name}: the default is {found[1]}, not {default[1]}")
        if found and sample.get(name, found[1]) != found[1]:
            differ("systemd/shcount-gateway.conf", f"{name}: the default is {found[1]}, not {sample[name]}")
    paths = set(re.findall(r"\{\"(/[^\"]*)\", METHOD", read("gateway/route.c")))
    told = set(re.findall(r"\b(?:POST|GET|PUT) (/[a-z/.]*)", "\n".join(page.section("Requests"))))
    told |= {path for path in paths if re.search(r"\.(js|css|svg)$", path)}  # of the live page
    compare("shcount-gateway.8", told, paths, "path")


def syntax_of(name, docs):
    words = [name.replace("|", " ").upper()]
    for argument in docs.get("arguments", []):
        is_optional = "optional" in argument.get("flags", [])
        words.append(f"[{argument['name']}]" if is_optional else argument["name"])
    return " ".join(words)


def check_protocol():
    """shcounter-protocol(7) has every command and subcommand of COMMAND DOCS with its syntax, and no others."""
    wanted = []
    for name, docs in redis("COMMAND", "DOCS").items():
        subcommands = docs.get("subcommands")
        for sub, sub_docs in (subcommands or {name: docs}).items():
            if not sub.endswith("|help"):
                wanted.append(syntax_of(sub, sub_docs))
    found = []
    page = MANUALS["shcounter-protocol.7"]
    for title in re.findall(r"^\.S[hs] (.*)$", page.text, re.M):
        if title not in ("ERROR CODES", "LIMITS", "A stream of additions"):
            found += [re.match(r'\.It Li "(.*)"', line)[1] for line in page.section(title) if line.startswith('.It Li "')]
    compare("shcounter-protocol.7", found, wanted, "command")


def check_metrics():
    """shcounter-metrics(7) has every row of lib/metric_table.h, and says of it what stands there."""
    page = MANUALS["shcounter-metrics.7"]
    for title, wanted in metric_table.lists(metric_table.read()).items():
        lines = page.section(title)
        start = next((i for i, line in enumerate(lines) if line.startswith(".Bl ")), len(lines))
        if lines[start + 1:] != wanted + [".El"]:
            differ("shcounter-metrics.7", f"{title}: is not what tests/system/py/metric_table.py prints")
        compare("shcounter-metrics.7", [line for line in lines if line.startswith(".It ")],
                [line for line in wanted if line.startswith(".It ")], "item")


def check_examples():
    """The examples of shcounter-protocol(7) answer what stands there."""
    command, expected, runs = None, [], []
    inside = False
    for line in MANUALS["shcounter-protocol.7"].lines:
        if re.match(r"\.(Bd|Ed)", line):
            inside = line.startswith(".Bd")
            command = None
        elif inside and line.startswith("$ "):
            command = plain(line[2:])
            runs.append((command, []))
        elif inside and command:
            runs[-1][1].append(plain(line))
    if not any("SHC.APPLY" in command for command, _ in runs):
        differ("shcounter-protocol.7", "no examples were found")
    for command, expected in runs:
        shell = command.replace("redis-cli", 'redis-cli -s "$SHC_SOCK" --no-raw')
        got = said("bash", "-c", shell).rstrip("\n")
        if got != "\n".join(expected):
            differ("shcounter-protocol.7", f"$ {command}\n  answers {got!r}")


def check_exit_status():
    """EXIT STATUS has the statuses that the sources name, and no others."""
    used = {0, 1}
    for path in glob.glob("cmd/*.[ch]"):
        used |= {SYSEXITS[name] for name in re.findall(r"\bEX_[A-Z]+\b", strip_comments(read(path))) if name in SYSEXITS}
    compare_statuses("shcount.1", used)
    named = re.search(r"Exit status: (.*?)\. More", " ".join(said("shcount", "help").split()))[1]
    compare("shcount help", re.findall(r"\b(\d+)\b", named.replace("74 I/O", "74")), map(str, used), "exit status")
    used = {0}
    for path in glob.glob("daemon/*.[ch]"):
        used |= {int(n) for n in re.findall(r"\b(?:STATUS|EXIT|CONFIG)_[A-Z_]+ = (\d+)", read(path)) if 64 <= int(n) <= 78}
    compare_statuses("shcounterd.8", used)
    used = {0}
    for path in glob.glob("gateway/*.c"):
        used |= {SYSEXITS[name] for name in re.findall(r"\bEX_[A-Z]+\b", strip_comments(read(path))) if name in SYSEXITS}
    compare_statuses("shcount-gateway.8", used)


def strip_comments(source):
    return re.sub(r"/\*.*?\*/", "", source, flags=re.S)


def compare_statuses(name, used):
    listed = re.findall(r"^\.It (\d+)", "\n".join(MANUALS[name].section("EXIT STATUS")), re.M)
    compare(name, listed, map(str, used), "exit status")


def check_references():
    """Manuals point to pages that there are, all of ours to each other, and to sections that there are."""
    ours = {tuple(name.rsplit(".", 1)) for name in MANUALS}
    for name, page in MANUALS.items():
        for target in re.findall(r"\bXr (\S+) (\d)", page.text):
            if target not in ours and target not in FOREIGN_PAGES:
                differ(name, f"there is no page {target[0]}({target[1]}) here, and it is none of the allowed ones")
        named = re.findall(r"\bXr (\S+) (\d)", "\n".join(page.section("SEE ALSO")))
        see = set(named)
        for other in sorted({n for n in named if named.count(n) > 1}):
            differ(name, f"SEE ALSO names {other[0]}({other[1]}) more than once")
        # Who counts from the shell need not know of C.
        for other in sorted({page for page in ours if page[1] != "3"} - {tuple(name.rsplit(".", 1))} - see):
            differ(name, f"SEE ALSO does not name {other[0]}({other[1]})")
        titles = {title.upper() for m in MANUALS.values() for title in re.findall(r"^\.S[hs] (.*)$", m.text, re.M)}
        for title in re.findall(r"^\.Sx (.*?)(?: [.,;:)])*$", page.text, re.M):
            if title.upper() not in titles:
                differ(name, f"there is no section {title}")


def check_quotes():
    """A quote in an argument of a macro is part of mdoc, and no reader sees it: JSON needs \\(dq there."""
    for name, page in MANUALS.items():
        for line in page.text.splitlines():
            if re.match(r'\.[A-Z].*\{.*"', line):
                differ(name, f"quotes are lost: {line}")


def segments(line):
    """The words of each simple command of a line of shell that calls one of our programs."""
    for part in re.split(r"\|\|?|&&|;|\$\(|[()]", line.split(" # ")[0]):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:  # a quote that began before the part
            words = part.split()
        while words and re.match(r"[A-Za-z_]+=|sudo$|time$|!$|if$|while$|until$|then$|do$|xargs$|env$|-", words[0]):
            words.pop(0)
        if words and words[0] in ("shcount", "shcounterd", "shcount-gateway"):
            yield words


def check_call(where, words, shcount, services):
    if words[0] in services:
        known = {**services[words[0]].settings, **services[words[0]].others}
        letters = {o.letter for o in known.values()}
    else:
        names = [w for w in words[1:] if w in shcount.commands or w == "help"]
        operands = [w for w in words[1:] if re.match(r"[a-z]+$", w)]
        if not names and operands and not any(w.startswith("-") for w in words):
            differ(where, f"there is no command {operands[0]}: {' '.join(words)}")
        known = shcount.options_of(names[0]) if names else shcount.all_options()
        letters = {o.letter for o in known.values()}
    for word in words[1:]:
        if word == "--":
            break
        name = re.match(r"--([a-z0-9-]+)", word)
        if name and name[1] not in known:
            differ(where, f"there is no option --{name[1]}: {' '.join(words)}")
        letter = re.match(r"-([A-Za-z])", word)
        if letter and letter[1] not in letters:
            differ(where, f"there is no option -{letter[1]}: {' '.join(words)}")


def check_calls():
    """README, manuals and help call commands that there are, with options that they have."""
    shcount, services = Shcount(), {name: Service(name) for name in ("shcounterd", "shcount-gateway")}
    lines, readme = [], read("README.md")
    lines += [("README.md", line) for line in re.findall(r"^\$ (.*)$", readme, re.M)]
    lines += [("README.md", code) for code in re.findall(r"`([^`\n]+)`", readme)]
    for name, page in MANUALS.items():
        lines += [(name, line) for line in [*page.examples(), *page.quoted()]]
    for name, command in shcount.commands.items():
        shown = [line for line in command.page.splitlines() if line.startswith("  ") and "shcount " in line]
        # Behind the example, in a column of its own, stands what it does.
        lines += [(f"shcount help {name}", re.split(r" {3,}", line.strip())[0]) for line in shown]
    calls = [(where, words) for where, line in lines for words in segments(line)]
    if len(calls) < 30:
        differ("words.py", f"only {len(calls)} calls were found")
    for where, words in calls:
        check_call(where, words, shcount, services)


# ---- the completions ----


def offers_of_terminal(shell, lines):
    """What completing a word with everything that fits makes of each line."""
    typed = "".join(f"all {line}\n" for line in lines)
    driver = os.path.join(os.path.dirname(__file__), "complete.py")
    out = subprocess.run([sys.executable, driver, shell, "completions"], input=typed, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    return out.splitlines()


def offers_of_fish(lines):
    script = "for file in completions/*.fish; source $file; end; while read -l line; echo (complete -C $line | string replace -r '\\t.*' ''); end"
    return subprocess.run(["fish", "--no-config", "-c", script], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, check=True,
                          encoding="utf-8").stdout.splitlines()


def check_completion(shell):
    """The completion of a shell offers every command, option and word that an argument may be, and nothing else."""
    program, daemon, gateway = Shcount(), Shcounterd(), Gateway()
    cases = [("shcount ", set(program.commands) | {"help"}), ("shcount help ", set(program.commands) | {"help"})]
    tables = [(f"shcount {name} ", program.options_of(name)) for name in program.commands]
    tables += [("shcounterd ", {**daemon.settings, **daemon.others})]
    tables += [("shcount-gateway ", {**gateway.settings, **gateway.others})]
    for name, command in program.commands.items():
        if re.match(r"[a-z]", command.operands):
            cases.append((f"shcount {name} ", set(command.operands.split()[0].split("|"))))
    for line, options in tables:
        wanted = {f"--{word}" for word in options}
        for option in options.values():
            choices = option.arg.split("|") if re.match(r"[a-z]", option.arg) else []
            if option.how == "[=":
                wanted |= {f"--{option.word}={choice}" for choice in choices}
            elif choices:
                cases.append((f"{line}--{option.word} ", set(choices)))
        cases.append((f"{line}--", wanted))
    lines = [line for line, _ in cases]
    answers = offers_of_fish(lines) if shell == "fish" else offers_of_terminal(shell, lines)
    for (line, wanted), answer in zip(cases, answers, strict=True):
        stem = "" if shell == "fish" else line.rstrip("-")
        compare(f"{shell}: {line}", answer.removeprefix(stem).split(), wanted, "completion")


CHECKS = {name.removeprefix("check_").replace("_", "-"): function for name, function in list(globals().items())
          if name.startswith("check_") and name not in ("check_call", "check_described")}


def main():
    CHECKS[sys.argv[1]](*sys.argv[2:])
    for difference in differences:
        print(difference)
    sys.exit(1 if differences else 0)


main()
