"""What commands share: --project and --json, reading the config, tables, one JSON document.

Everything that is printed goes through `say`, `print_table` or `print_json`: names of files, documents and logs come
from other people, and a terminal obeys what is in them.
"""

import functools
import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpc_qa.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from hpc_qa.config import Config


def common(function: Callable[..., int]) -> Callable[..., int]:
    """Add `--project` and `--json`; the command gets `project: Path` and `as_json: bool`.

    `--project` may stand before or after the command; the one after it wins.
    """

    @click.option(
        "--project",
        "project_here",
        type=click.Path(file_okay=False),
        help="Project folder; paths in a config count from it.",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
    @click.pass_context
    @functools.wraps(function)
    def wrapped(ctx: click.Context, /, *args: Any, project_here: str | None, **kwargs: Any) -> int:
        before = ctx.find_root().obj or {}
        project = Path(os.path.realpath(project_here or before.get("project") or "."))
        if not project.is_dir():
            raise ConfigError(f"--project {project} is not a folder", hint=f"hpc-qa init {project}")
        return function(*args, project=project, **kwargs)

    return wrapped


def is_confirmed(lines: Sequence[str]) -> bool:
    """Whether somebody agrees to a removal for good that these lines describe.

    Raises:
        UsageError: nobody is there to ask.
    """
    for line in lines:
        say(line, err=True)
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask; nothing was removed", hint="the same command with --yes")
    if not click.confirm("Remove it for good?", err=True):
        say("nothing was removed", err=True)
        return False
    return True


class GpuHours(click.FloatRange):
    """GPU-hours of a budget: above zero, and a number."""

    def __init__(self) -> None:
        super().__init__(0, 1e12, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        return found if math.isfinite(found) else self.fail(f"{value!r} is no number of GPU-hours", param, ctx)


def load_config(path: str, project: Path, **overrides: Any) -> "Config":
    """The config with what the command line says instead; options that were not given are left out."""
    from hpc_qa.config_file import load

    return load(Path(path), project=project, overrides={k: v for k, v in overrides.items() if v is not None})


def manifest_option(manifest: str | None) -> str | None:
    """The manifest given on the command line, as the config would name it."""
    # paths on the command line count from the current folder, paths in a config from the project
    return os.path.abspath(manifest) if manifest else None  # resolve() fails for a loop of links


def printable(line: str) -> str:
    r"""The line with everything spelled out that is no visible character: a document cannot steer the terminal.

    >>> printable("naïve\u00a0\x1b[2Jtext\u202e\n")
    'naïve\xa0\\x1b[2Jtext\\u202e\\n'
    """
    if line.isprintable():
        return line
    return "".join(c if _visible(c) or c == "\t" else c.encode("unicode_escape").decode() for c in line)


def say(line: str, *, err: bool = False) -> None:
    """One line for people, on stdout or stderr; nothing in it reaches the terminal but visible characters."""
    click.echo(printable(line), err=err)


def as_json_text(document: object) -> str:
    r"""One JSON document in one line, without NaN; what is not visible is escaped, which changes no value.

    >>> as_json_text({"a": "\u202e\u009b\U000e0041é"})
    '{"a": "\\u202e\\u009b\\udb40\\udc41é"}'
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, default=str)
    return re.sub(r"[^\x20-\x7e]", lambda found: found[0] if _visible(found[0]) else json.dumps(found[0])[1:-1], text)


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    click.echo(as_json_text(document))


def _visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def print_table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    """Rows as an aligned table; `columns` maps keys to headings. Unknown values are shown as "-"."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for key, heading in columns.items():
        numeric = all(isinstance(row.get(key), int | float | None) for row in rows)
        table.add_column(heading, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns))
    wide = None if sys.stdout.isatty() else 200
    console = Console(width=wide, highlight=False, markup=False)
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))
