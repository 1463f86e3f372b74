"""The table of providers that --list_providers prints. Every fact in it is read off a class."""

import io
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from request_engine import own_provider
from request_engine.provider import Profile, Provider
from request_engine.records import Limit

WIDE = 150
"""Columns from which on a provider's facts stand beside each other, else below each other."""

_INDENT = 4
_LINE_BELOW_HEAD = "    \n    \n -- \n" + 5 * "    \n"
"""For rich, and without a sign that some terminal cannot show."""
_LAST = (
    "A server on this machine or in a private network needs no key. A service of your own: "
    "--provider path/to/file.py:ClassName."
)


def show(providers: Sequence[Provider], own: str | None) -> None:
    """Print all that can be chosen, the one in a file too if *own* means one."""
    if own is not None and own_provider.is_file(own):
        providers = (*providers[:-1], own_provider.load(own), providers[-1])
    width = shutil.get_terminal_size().columns
    text = table(own_provider.joined(providers), os.environ, width)
    if sys.stdout is not None:
        with suppress(OSError):  # nobody reads it any more
            sys.stdout.write(text)


def table(providers: Sequence[Provider], environ: Mapping[str, str], width: int) -> str:
    """All about *providers* in *width* columns. Of a key only whether it is in *environ*."""
    rows = [_facts(one, environ) for one in providers]
    told = _beside(rows, width) if width >= WIDE else _below(rows, width)
    return f"{told}\n\n{textwrap.fill(_LAST, width)}\n"


def _facts(provider: Provider, environ: Mapping[str, str]) -> dict[str, str]:
    also = f" ({', '.join(provider.aliases)})" if provider.aliases else ""
    hosts = [f"*{one}" if one[0] == "." else one for one in provider.hosts]
    keys = [f"{one} (set)" if environ.get(one) else one for one in provider.key_variables]
    if provider.key_command is not None:
        keys.append(f"what `{provider.key_command}` prints")
    return {
        "provider": provider.name + also,
        "hosts": ", ".join(hosts) or _usual_host(provider),
        "key": " or ".join(keys) or "--api_key",
        "endpoints": ", ".join(dict.fromkeys(provider.endpoints)) or "any",
        "limits": _limits(provider) or "found out",
        "embeddings": _caps(provider.profile) or "no cap known",
    }


def _usual_host(provider: Provider) -> str:
    """Of one that may be anywhere."""
    return f"{urlsplit(provider.base_url).netloc} or any" if provider.base_url else "any"


def _limits(provider: Provider) -> str:
    profile, told = provider.profile, []
    if profile.max_concurrent is not None:
        told.append(f"{profile.max_concurrent} requests in flight")
    elif provider.only_limit is Limit.CONCURRENCY:
        told.append("requests in flight only")
    if profile.burst_seconds == 0:
        told.append("by the second as well as by the minute")
    elif profile.burst_seconds != Profile().burst_seconds:
        told.append(f"in windows of {profile.burst_seconds:g} s as well")
    if profile.charges_ceiling:
        told.append("max_tokens is charged in full")
    return ", ".join(told)


def _caps(profile: Profile) -> str:
    """What one embeddings request may hold, each on a line where there is a column of it."""
    told = []
    if profile.inputs_per_request is not None:
        told.append(f"{profile.inputs_per_request} texts at once")
    if profile.tokens_per_input is not None:
        told.append(f"{profile.tokens_per_input} tokens each")
    if profile.tokens_per_request is not None:
        told.append(f"{profile.tokens_per_request} in all")
    if profile.base64_vectors:
        told.append("base64")
    return ",\n".join(told)


def _below(rows: Sequence[Mapping[str, str]], width: int) -> str:
    """A block of lines for each provider."""
    return "\n\n".join("\n".join(_block(row, width)) for row in rows)


def _block(row: Mapping[str, str], width: int) -> list[str]:
    (_, name), *facts = row.items()
    start = _INDENT + 2 + max(len(label) for label, _ in facts)
    lines = [name]
    for label, fact in facts:
        lines += textwrap.wrap(
            fact,
            max(width, 2 * start),
            initial_indent=(" " * _INDENT + label).ljust(start),
            subsequent_indent=" " * start,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _beside(rows: Sequence[Mapping[str, str]], width: int) -> str:
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=Box(_LINE_BELOW_HEAD, ascii=True), pad_edge=False, show_edge=False)
    for label in rows[0]:
        drawn.add_column(label)
    for row in rows:
        drawn.add_row(*row.values(), end_section=True)
    paper = Console(file=io.StringIO(), width=width, color_system=None, markup=False)
    with paper.capture() as capture:
        paper.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())
