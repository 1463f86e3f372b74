"""Names the program of every process that has the word from standard input in its command line.

That is what `ps` shows to everybody. Each is named once, until standard input ends.
"""

import os
import select
import sys

_EVERY = 0.05
"""Seconds between two looks."""


def main() -> None:
    word = sys.stdin.buffer.raw.readline().strip()
    seen: set[bytes] = set()
    while not select.select([sys.stdin], [], [], _EVERY)[0]:
        for line in _command_lines():
            if word in line and line not in seen:
                seen.add(line)
                sys.stdout.write(os.fsdecode(line.partition(b"\0")[0]) + "\n")
                sys.stdout.flush()


def _command_lines():
    for number in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb", buffering=0) as file:
                yield file.read()
        except OSError:  # it has ended
            continue


if __name__ == "__main__":
    main()
