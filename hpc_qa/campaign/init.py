"""Make a project folder: commented config and site profile, `project.yaml`, `manifests/`, `projections/`, `.gitignore`.

What is there already is never touched. A project needs none of this: every command makes the folders that it writes.
"""

from importlib.resources import files
from pathlib import Path

from hpc_qa.errors import ConfigError

# the same files as in the checkout, which a test holds equal
TEMPLATES = {"configs/example.yaml": "example.yaml", "slurm/generic.yaml": "site.yaml"}
FILES = {
    "project.yaml": """\
# What holds for every run of this project. All of it is optional.

# budget:
#   gpu_hours: 1000 # the allocation
#   corpus_documents: 1100 # how many documents there are to do in the end
#   clusters: [campus] # whose jobs count; all of them when it is not said
# corpus: manifests/corpus.jsonl # the manifest of everything that is to be done
# site: slurm/generic.yaml # profile of the cluster
# report: # what stands in the benchmark document and is not measured
#   contact: "Ada Example"
#   review_frequency: after each batch
#   strategies: # records or runs, before and after
#     concurrency_tuning: [local_first_2026-01-31_001, local_first_2026-01-31_002]
""",
    "manifests/README.md": """\
Lists of documents, one JSON line each, made by `hpc-qa manifest build` and `hpc-qa manifest batch`.
A manifest that was used is never edited: a run copies it, and a batch is comparable only while its list stays.
""",
    "projections/README.md": "Forecasts and reports, each naming the measured runs that it was computed from.\n",
    ".gitignore": "/runs/\n/ledger/\n/sweeps/\n/cache/\n/models/\n",
}


def init(folder: Path) -> list[Path]:
    """Make what is missing in `folder`; the files that were written.

    Raises:
        ConfigError: the folder cannot be written.
    """
    contents = {name: _template(source) for name, source in TEMPLATES.items()} | FILES
    contents["configs/example.yaml"] = left_to_the_project(left_to_the_site(contents["configs/example.yaml"]))
    written = []
    try:
        for name, text in contents.items():
            path = folder / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                written.append(path)
    except OSError as exc:
        raise ConfigError(f"{exc.filename or folder}: cannot be written: {exc.strerror}") from exc
    return written


def left_to_the_site(config: str) -> str:
    r"""A config whose `slurm` section says nothing but which profile counts; its other keys are comments.

    >>> left_to_the_site("a: 1\nslurm:\n  site: null\n  time: x # why\n\nplan:\n  b: 2\n")
    'a: 1\nslurm:\n  site: null\n  # time: x # why\n\nplan:\n  b: 2\n'
    """
    lines: list[str] = []
    inside = False
    for line in config.splitlines():
        inside = line.startswith(" ") and (inside or lines[-1:] == ["slurm:"])
        lines.append(f"  # {line[2:]}" if inside and not line.startswith("  site:") else line)
    return "\n".join(lines) + "\n"


def left_to_the_project(config: str) -> str:
    r"""A config without a `budget` section, which would count before that of project.yaml: it is a comment.

    >>> left_to_the_project("a: 1\nbudget:\n  gpu_hours: null\n\nb: 2\n")
    'a: 1\n# budget:\n#   gpu_hours: null\n\nb: 2\n'
    """
    lines: list[str] = []
    for line in config.splitlines():
        inside = line == "budget:" or (line.startswith(" ") and lines[-1].startswith(("# budget:", "#   ")))
        lines.append(f"# {line}" if inside else line)
    return "\n".join(lines) + "\n"


def _template(name: str) -> str:
    """A commented file that comes with the package."""
    return files("hpc_qa.campaign").joinpath(name).read_text()
