"""The README and the program say the same."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hpc_qa.cli.main import COMMANDS, LazyGroup, cli

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md", "manifests/README.md")]


def commands(group: click.Group = cli, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every subcommand with its words, those of groups included."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


ALL = dict(commands())


def typed_commands(text: str) -> Iterator[list[str]]:
    """Command lines of hpc-qa in the fenced blocks of a page, as words after the program."""
    for block in re.findall(r"^```(?:console|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and words[0].endswith("hpc-qa"):
                yield words[1:]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_subcommand_has_help_that_ends_in_an_example(words):
    help_text = ALL[words].help or ""
    assert "Example: hpc-qa " + " ".join(words) in help_text


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_example_of_every_subcommand_parses(words):
    example = (ALL[words].help or "").partition("Example: ")[2].splitlines()[0]
    parse(shlex.split(example)[1:])


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_subcommand_stands_in_the_readme(words):
    assert " ".join(words) in README


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_line_on_a_page_parses(page):
    for words in typed_commands(page.read_text()):
        parse(words)


def parse(words: list[str]) -> None:
    """Let click read the words without running anything."""
    group: click.Command = cli
    context = click.Context(cli)
    while isinstance(group, click.Group):
        found = group.get_command(context, words[0])
        assert found is not None, f"no command {words}"
        group, words = found, words[1:]
    group.make_context("x", list(words), parent=context, resilient_parsing=False)


def test_the_table_of_commands_is_what_can_be_called():
    assert isinstance(cli, LazyGroup)
    assert set(COMMANDS) == {words[0] for words in ALL}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`?make ([a-z-]+)`", page.read_text())) <= targets


def test_every_config_and_folder_that_is_named_exists():
    for name in re.findall(r"`((?:configs|requirements|tests|docs|slurm|demo)/[\w./-]+)`", README):
        assert (ROOT / name).exists() or name == "tests/long_lane.json", name
