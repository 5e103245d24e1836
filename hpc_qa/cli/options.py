"""What commands share: --project and --json, reading the config, tables, one JSON document."""

import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpc_qa.errors import ConfigError

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
        project = Path(project_here or before.get("project") or ".").resolve()
        if not project.is_dir():
            raise ConfigError(f"--project {project} is not a folder", hint=f"hpc-qa init {project}")
        return function(*args, project=project, **kwargs)

    return wrapped


def load_config(path: str, project: Path, **overrides: Any) -> "Config":
    """The config with what the command line says instead; options that were not given are left out."""
    from hpc_qa.config_file import load

    return load(Path(path), project=project, overrides={k: v for k, v in overrides.items() if v is not None})


def manifest_option(manifest: str | None) -> str | None:
    """The manifest given on the command line, as the config would name it."""
    # paths on the command line count from the current folder, paths in a config from the project
    return str(Path(manifest).resolve()) if manifest else None


def print_json(document: object) -> None:
    """One JSON document on stdout, without NaN."""
    click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False, default=str))


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
    return str(value)
