#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""complete.py bash|zsh DIRECTORY [COMMAND] < LINES: what a shell on a terminal makes of each line when a key is pressed at its end.

DIRECTORY holds the completions. COMMAND is run by the shell before. A line is KEY, a blank, and what is typed; KEY is `tab`, or `all`: every match is put into the
line. A line is printed for each, as it then stands. With `list`, in zsh, it is what the shell has shown of each match.
"""
import os
import pty
import re
import select
import signal
import sys

SETUP = {
    "bash": r"""
PS1= PS2= HISTFILE=; set +o history
shopt -u direxpand; bind 'set enable-bracketed-paste off' 'set bell-style none' 'set completion-query-items 0'
bind 'set show-all-if-ambiguous off' 'set colored-stats off'
for file in "$COMPLETIONS"/*.bash; do source "$file"; done
dump() { printf '%s\n' "$READLINE_LINE" >&9; READLINE_LINE= READLINE_POINT=0; }
bind -x '"\C-xd": dump' 2>/dev/null; bind '"\C-xa": insert-completions'
""",
    "zsh": r"""
PS1= PS2= RPS1= HISTFILE=; setopt no_beep no_list_beep no_auto_menu; unsetopt prompt_sp prompt_cr
unset zle_bracketed_paste
fpath=("$COMPLETIONS" $fpath); autoload -Uz compinit; compinit -D -u
zstyle ':completion:all-matches:*' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert true
zle -C all-matches complete-word _generic; bindkey '^Xa' all-matches '^Xl' list-choices
dump() { print -r -- "$BUFFER" >&9; BUFFER=; zle -R }
zle -N dump; bindkey '^Xd' dump
""",
}
COMMAND = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
KEYS = {"tab": b"\t", "all": b"\x18a", "list": b"\x18l"}
SECONDS_MAX = 30


class Shell:
    def __init__(self, name, directory, command):
        """The shell writes what stands in its line to descriptor 9."""
        self.answers, answers_in = os.pipe()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.dup2(answers_in, 9)
            os.environ.update(TERM="dumb", COMPLETIONS=directory, LANG="C.UTF-8", LC_ALL="C.UTF-8")
            os.execvp(COMMAND[name][0], COMMAND[name])
        os.close(answers_in)
        self.shown = b""
        self.type(SETUP[name].encode() + command.encode() + b"\necho ready >&9\n")
        self.read_answer()

    def type(self, text):
        os.write(self.terminal, text)

    def read_answer(self):
        line = b""
        while not line.endswith(b"\n"):
            ready = select.select([self.answers, self.terminal], [], [], SECONDS_MAX)[0]
            if self.terminal in ready:
                self.shown += os.read(self.terminal, 65536)
            if self.answers in ready:
                line += os.read(self.answers, 65536)
            if not ready:
                sys.exit(f"no answer within {SECONDS_MAX} s; the terminal shows: {self.shown[-2000:]!r}")
        return line

    def complete(self, key, text):
        before = len(self.shown)
        self.type(text + KEYS[key] + b"\x18d")
        line = self.read_answer()
        if key != "list":
            return line
        # The terminal may be behind.
        while not (matches := re.findall(rb"(\S+ +-- .*)\n", self.shown[before:])):
            if not select.select([self.terminal], [], [], SECONDS_MAX)[0]:
                break
            self.shown += os.read(self.terminal, 65536)
        return b", ".join(match.strip() for match in matches) + b"\n"

    def end(self):
        """Whatever went wrong behind a key must not show."""
        complaint = next((line for line in self.shown.split(b"\n") if b"shcount: " in line), None)
        if complaint:
            sys.exit(f"the terminal shows: {complaint!r}")
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def main():
    shell = Shell(sys.argv[1], os.path.abspath(sys.argv[2]), "".join(sys.argv[3:]))
    for line in sys.stdin.buffer:
        key, _, text = line.rstrip(b"\n").partition(b" ")
        sys.stdout.buffer.write(shell.complete(key.decode(), text))
    shell.end()


main()
