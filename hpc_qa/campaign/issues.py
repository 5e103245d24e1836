"""What people noted about a run: `issues.yaml` in its folder.

    issues:
      - the scratch disk was nearly full
      - {text: "every answer of manual 7 is about another state", severity: critical}

A text alone is a minor issue, unless it begins with `Critical:`; no file, or `issues: none`, says that there are none.
"""

import re
from dataclasses import dataclass

from hpc_qa.errors import ConfigError
from hpc_qa.store.run_directory import RunDirectory
from hpc_qa.strict_yaml import Value, YamlFile, read

NAME = "issues.yaml"
MINOR, CRITICAL = "minor", "critical"
_LEADING = re.compile(rf"\s*({MINOR}|{CRITICAL})\s*:\s*(?=\S)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Issue:
    """One of them."""

    text: str
    severity: str  # minor | critical


def read_issues(run: RunDirectory) -> list[Issue]:
    """The issues of this run.

    Raises:
        ConfigError: with all faults of the file.
    """
    path = run.path / NAME
    if not path.exists():
        return []
    file = read(path)
    faults = [(fault.line or 0, fault.text) for fault in file.faults if fault.text != "is empty"]
    faults += [
        (file.lines[name,], f"{name} is not a key; there is only issues") for name in file.data if name != "issues"
    ]
    listed = file.data.get("issues", [])
    issues: list[Issue] = []
    if isinstance(listed, list):
        for index, item in enumerate(listed):
            issue = _issue(item)
            if isinstance(issue, str):
                faults.append((file.lines["issues", index], f"issues[{index}]: {issue}"))
            else:
                issues.append(issue)
    elif listed not in (None, "none"):
        faults.append((_line(file), "issues: is a list, of texts or of {text, severity}"))
    if faults:
        lines = [f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in sorted(faults)]
        raise ConfigError(*lines, hint='write `- "what was seen"`, or `- {text: "...", severity: critical}`')
    return issues


def with_severity(written: Value) -> tuple[str | None, Value]:
    """The severity that people write in front of an issue, and the issue without it; None where there is none.

    Without quotes YAML reads such a line as a key with its value, which is taken for the same.

    >>> with_severity("Critical: the disk was full"), with_severity({"minor": "slow"}), with_severity("no critical one")
    (('critical', 'the disk was full'), ('minor', 'slow'), (None, 'no critical one'))
    """
    if isinstance(written, dict) and len(written) == 1:
        (key, value), *_ = written.items()
        if key.lower() in (MINOR, CRITICAL) and isinstance(value, str):
            written = f"{key}: {value}"
    found = _LEADING.match(written) if isinstance(written, str) else None
    return (found[1].lower(), written[found.end() :]) if found and isinstance(written, str) else (None, written)


def _line(file: YamlFile) -> int:
    return file.lines.get(("issues",), 0)


def _issue(item: Value) -> Issue | str:
    """The issue, or what is wrong with it."""
    said, item = with_severity(item)
    if isinstance(item, str) and item.strip():
        return Issue(item, said or MINOR)
    if not isinstance(item, dict):
        return "is neither a text nor {text, severity}"
    if unknown := sorted(item.keys() - {"text", "severity"}):
        return f"{unknown[0]} is not a key; there are text and severity"
    text, severity = item.get("text"), item.get("severity", MINOR)
    if not isinstance(text, str) or not text.strip():
        return "text is missing"
    if severity not in (MINOR, CRITICAL):
        return f"severity {severity}: is minor or critical"
    return Issue(text, str(severity))
