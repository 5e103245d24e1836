"""Read the settings of a run, and of a project, from YAML files: everything that is wrong comes in one `ConfigError`.

A fault names file, line and key, says what is allowed and, where one is near, what was probably meant. Whether the
files and folders that a setting names exist is not looked at here: that belongs to whoever opens them.
"""

import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from hpc_qa.config import CURRENCY, ENVIRONMENT_NAME, MEMORY, OPTION_NAME, SLURM_WORD, Budget, Config, Section, Site
from hpc_qa.errors import ConfigError
from hpc_qa.strict_yaml import Fault, KeyPath, YamlFile, dotted, read

PROJECT_FILE = "project.yaml"
S = TypeVar("S", bound=Section)
_ROUNDS = 5  # a fault can hide another one: the first is taken out and the rest is checked again
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "up to 64 letters, digits and . _ -, a letter or digit first",
    r"^[a-z]{2}$": 'a language code of two small letters, "en" for example',
    SLURM_WORD: "one word as sbatch takes it, without spaces and quotes",
    OPTION_NAME: "the name of an option: letters, digits and _ . -",
    ENVIRONMENT_NAME: "the name of a variable: letters, digits and _",
    CURRENCY: 'three capital letters, "USD" for example',
    MEMORY: 'a size as sbatch --mem takes it, "64G" for example',
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ELSEWHERE = {
    "vllm": "other options of the server go under vllm.extra_args",
    "slurm": "other options of sbatch go under slurm.additional_parameters",
}


class Strategies(Section):
    """Two records or runs each, before and after: the strategies that the benchmark document compares."""

    concurrency_tuning: list[str] | None = Field(None, min_length=2, max_length=2)
    memory_management: list[str] | None = Field(None, min_length=2, max_length=2)
    batch_sizing: list[str] | None = Field(None, min_length=2, max_length=2)


class ReportSettings(Section):
    """What stands in the benchmark document and is not measured."""

    contact: str | None = None
    review_frequency: str | None = None
    strategies: Strategies = Strategies()


class Project(Section):
    """What holds for all runs of a project folder; the file is optional and so is every key in it."""

    budget: Budget = Budget()
    corpus: str | None = None  # the manifest of everything that is to be done
    site: str | None = None  # profile of the cluster
    report: ReportSettings = ReportSettings()


def load(path: Path, *, project: Path, overrides: Mapping[str, object] | None = None) -> Config:
    """The settings of one run, with what `project.yaml` adds and what the command line replaces.

    `overrides` are dotted keys, `{"executor": "local", "budget.gpu_hours": 10.0}`; None leaves the file's value.

    Raises:
        ConfigError: with all faults of the file, of the project file and of the overrides.
    """
    file = read(path)
    faults = [located(path, fault.line, fault.text) for fault in file.faults]
    settings, project_faults = _read_project(project)
    data = _overridden(_with_project(file.data, settings), overrides or {})
    site, site_faults = _site_of(data, project)
    if file.data or not file.faults:  # with nothing readable, "name is missing" would only be noise
        faults += _control_characters(file.data, path, file)
        faults += faults_of(Config, data, path, file, overrides or {})
    if faults or project_faults or site_faults:
        every = (*_in_order(faults), *project_faults, *site_faults)
        raise ConfigError(*every, hint="configs/example.yaml explains every setting")
    config = _with_site(Config.model_validate(data), site)
    config._source = str(path)
    return config


def load_project(project: Path) -> Project:
    """What `project.yaml` of this folder says; the defaults where there is none.

    Raises:
        ConfigError: with all faults of the file.
    """
    settings, faults = _read_project(project)
    if faults:
        raise ConfigError(*faults)
    return settings


def load_site(project: Path) -> Site | None:
    """The profile of the cluster that `project.yaml` names; None where it names none.

    Raises:
        ConfigError: with all faults of the project's file and of the profile.
    """
    name = load_project(project).site
    if name is None:
        return None
    if not (project / name).is_file():
        raise ConfigError(f"{project / PROJECT_FILE}: site: there is no file {name} in {project}")
    return read_section(project / name, Site)


def setting_names() -> list[str]:
    """Every setting of a config as a dotted key, sections left out."""
    names = [dotted(key) for key in _settings(Config)]
    return [name for name in names if not any(other.startswith(f"{name}.") for other in names)]


def _read_project(project: Path) -> tuple[Project, list[str]]:
    path = project / PROJECT_FILE
    if not path.exists():
        return Project(), []
    file = read(path)
    faults = [located(path, fault.line, fault.text) for fault in file.faults if fault.text != "is empty"]
    if file.data:
        faults += faults_of(Project, file.data, path, file, {})
    return (Project(), _in_order(faults)) if faults else (Project.model_validate(file.data), [])


def read_section(path: Path, model: type[S], more: Callable[[YamlFile], Iterable[Fault]] = lambda _: ()) -> S:
    """What a file of its own says; `more` finds faults that the model does not see.

    Raises:
        ConfigError: with all faults of the file, by line.
    """
    file = read(path)
    faults = [located(path, fault.line, fault.text) for fault in (*file.faults, *more(file))]
    if file.data or not file.faults:
        faults += _control_characters(file.data, path, file)
        faults += faults_of(model, file.data, path, file, {})
    if faults:
        raise ConfigError(*_in_order(faults))
    return model.model_validate(file.data)


def _site_of(data: Mapping[str, Any], project: Path) -> tuple[Site | None, list[str]]:
    """The profile that the settings name, and what is wrong with it."""
    section = data.get("slurm")
    name = section.get("site") if isinstance(section, dict) else None
    if not isinstance(name, str):
        return None, []
    if not (project / name).is_file():
        return None, [f"slurm.site: there is no file {name} in {project}"]
    try:
        return read_section(project / name, Site), []
    except ConfigError as error:
        return None, list(error.faults)


def _with_site(config: Config, site: Site | None) -> Config:
    """The config with what its site says where it says nothing itself."""
    if site is None:
        return config
    config = config.model_copy(update={"slurm": _completed(config.slurm, site.slurm)})
    config = config.model_copy(update={"slurm": site.complete(config.slurm, config.gpus_per_node)})
    config._site = site
    return config


def _completed(own: S, theirs: S) -> S:
    """A section with what another says where it says nothing itself: null and what is empty say nothing."""
    said = {name for name in own.model_fields_set if getattr(own, name) not in (None, [], {})}
    unsaid = {name: getattr(theirs, name) for name in theirs.model_fields_set - said}
    for name in theirs.model_fields_set & said:
        mine, other = getattr(own, name), getattr(theirs, name)
        if isinstance(mine, Section) and isinstance(other, Section):
            unsaid[name] = _completed(mine, other)
    return own.model_copy(update=unsaid)


def _with_project(data: Mapping[str, Any], project: Project) -> dict[str, Any]:
    """The file's values; the project's budget and site where the file says nothing."""
    merged = dict(data)
    budget = project.budget.model_dump(exclude_unset=True)
    if budget and isinstance(merged.get("budget", {}), dict):
        merged["budget"] = budget | merged.get("budget", {})
    if project.site is not None and isinstance(merged.get("slurm", {}), dict):
        section = merged.get("slurm", {})
        merged["slurm"] = section | {"site": section.get("site") or project.site}
    return merged


def _overridden(data: Mapping[str, Any], overrides: Mapping[str, object]) -> dict[str, Any]:
    result = dict(data)
    for key, value in overrides.items():
        if value is not None:
            *sections, last = key.split(".")
            here = result
            for section in sections:
                inner = here.get(section)
                here[section] = dict(inner) if isinstance(inner, dict) else {}
                here = here[section]
            here[last] = value
    return result


def faults_of(
    model: type[BaseModel], data: Mapping[str, Any], path: Path, file: YamlFile, overrides: Mapping[str, object]
) -> list[str]:
    """Every fault that the model sees, those included that only show once others are out of the way."""
    data = _copy(data)
    seen: dict[KeyPath, str] = {}
    for _ in range(_ROUNDS):
        try:
            model.model_validate(data)
            break
        except ValidationError as exc:
            found = {_known_part(error, data): error for error in exc.errors(include_url=False)}
            for key, error in found.items():
                if key not in seen and not (error["type"] == "missing" and key in file.lines):
                    seen[key] = _text(model, error, key, file, path, overrides)
                _take_out(data, key, error)
    return list(seen.values())


def _control_characters(data: Any, path: Path, file: YamlFile, above: KeyPath = ()) -> list[str]:
    """Texts with line breaks and the like: no setting has any, and in a batch script they would begin a new line."""
    faults = []
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        here = (*above, key)
        found = next((text for text in (key, value) if isinstance(text, str) and _CONTROL.search(text)), None)
        if found is not None:
            said = f"{dotted(here)}: {_shown(found)} holds a line break or another control character"
            faults.append(located(path, _line(file, here), said))
        elif isinstance(value, dict | list):
            faults += _control_characters(value, path, file, here)
    return faults


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _known_part(error: ErrorDetails, data: Any) -> KeyPath:
    """The error's location as far as the file knows it: pydantic adds the branches of a union behind the key."""
    if error["type"] == "missing":
        return error["loc"]
    part: Any
    for depth, part in enumerate(error["loc"]):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return error["loc"][:depth]
    return error["loc"]


def _take_out(data: Any, key: KeyPath, error: ErrorDetails) -> None:
    """Make the value harmless, so that the next round shows what it hid."""
    if not key:
        return
    last: Any = key[-1]
    part: Any
    for part in key[:-1]:
        data = data.setdefault(part, {}) if isinstance(data, dict) else data[part]
    if error["type"] == "missing":
        data[last] = {} if last == "vllm" else "missing"
    elif error["type"] == "value_error" and last == "vllm" and isinstance(data[last], dict):
        data[last] = data[last] | {"model": "missing"}
    elif isinstance(data, list):
        data[last] = "missing"
    else:
        del data[last]


def _text(
    model: type[BaseModel],
    error: ErrorDetails,
    key: KeyPath,
    file: YamlFile,
    path: Path,
    overrides: Mapping[str, object],
) -> str:
    name = dotted(key)
    if error["type"] == "extra_forbidden":
        said = f"{name} is not a setting{_did_you_mean(model, key)}"
    elif error["type"] == "value_error":
        said = f"{name}{': ' if name else ''}{error['ctx']['error']}"
    else:
        alone = error["loc"] in (key, (*key, "[key]"))  # otherwise one branch of a union, and the others failed as well
        said = f"{name} {_must_be(error) if alone else 'cannot be ' + _shown(error['input'])}"
    if overrides.get(name) is not None:
        return f"{said} (given on the command line)"
    return located(path, _line(file, key), said)


def _line(file: YamlFile, key: KeyPath) -> int | None:
    """The line of the key, or of the section that it is missing from."""
    while key and key not in file.lines:
        key = key[:-1]
    return file.lines.get(key)


def located(path: Path, line: int | None, text: str) -> str:
    """A fault with its file and line."""
    return f"{path}:{line}: {text}" if line else f"{path}: {text}"


def _in_order(faults: Sequence[str]) -> list[str]:
    """By line; what has no line comes last, as it usually is what is missing."""

    def line(fault: str) -> int:
        number = fault.partition(": ")[0].rpartition(":")[2]
        return int(number) if number.isdigit() else 1_000_000_000

    return sorted(dict.fromkeys(faults), key=line)


def _must_be(error: ErrorDetails) -> str:
    """What is allowed, and what stands there instead."""
    kind, allowed, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        return "is missing"
    bounds = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
    if kind in bounds:
        words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}[bounds[kind]]
        return f"must be {words} {allowed[bounds[kind]]}, not {_shown(value)}"
    if kind == "literal_error":
        near = difflib.get_close_matches(str(value), _quoted(allowed["expected"]), n=1)
        return f"must be {allowed['expected']}, not {_shown(value)}" + (f"; did you mean {near[0]}?" if near else "")
    if kind == "string_pattern_mismatch":
        return f"must be {_PATTERNS.get(allowed['pattern'], allowed['pattern'])}, not {_shown(value)}"
    wanted = {
        "string_type": "text",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "list_type": "a list, one `- item` a line",
        "dict_type": "a section with keys",
        "model_type": "a section with keys",
        "finite_number": "a finite number",
    }.get(kind)
    if wanted is None:
        return f"cannot be {_shown(value)}: {error['msg']}"
    return f"must be {wanted}, not {_shown(value)}{_advice(kind, value)}"


def _quoted(expected: str) -> list[str]:
    """The words of pydantic's list of choices: "'a', 'b' or 'c'"."""
    return expected.split("'")[1::2]


def _advice(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        return "; write it in quotes" if not isinstance(value, bool) else ""
    if kind in ("int_type", "float_type") and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return ""
        if not math.isfinite(number):
            return ""
        return f"; write {_yaml_number(number)}, without quotes" if kind == "float_type" else _whole(value)
    return ""


def _yaml_number(value: float) -> str:
    """A number as YAML 1.1 reads it as one: with a full stop in front of the exponent.

    >>> _yaml_number(0.1), _yaml_number(1e300)
    ('0.1', '1.0e+300')
    """
    text = repr(value)
    return text if "e" not in text or "." in text else text.replace("e", ".0e")


def _whole(text: str) -> str:
    return f"; write {int(float(text))}, without quotes" if float(text).is_integer() else ""


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    text = str(value)
    text = f"{text[:57]}..." if len(text) > 60 else text
    return repr(text) if isinstance(value, str) else text


def _did_you_mean(model: type[BaseModel], key: KeyPath) -> str:
    """The nearest setting: in the same section, then by its name in another one, then anything alike."""
    *sections, last = (part for part in key if isinstance(part, str))  # places in a list are no settings
    settings = [setting for setting in _settings(model) if isinstance(setting[-1], str)]
    siblings = [str(s[-1]) for s in settings if list(s[:-1]) == sections]
    near = difflib.get_close_matches(last, siblings, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    for cutoff in (1.0, 0.8):
        by_name = {str(s[-1]): dotted(s) for s in reversed(settings)}
        elsewhere = difflib.get_close_matches(last, list(by_name), n=1, cutoff=cutoff)
        if elsewhere:
            return f"; did you mean {by_name[elsewhere[0]]}?"
    return f"; {_ELSEWHERE[sections[0]]}" if len(sections) == 1 and sections[0] in _ELSEWHERE else ""


def _settings(model: type[BaseModel], above: KeyPath = ()) -> Iterator[KeyPath]:
    """The path of every key that the model knows, sections included."""
    for name, field in model.model_fields.items():
        yield (*above, name)
        if section := _section_of(field.annotation):
            yield from _settings(section, (*above, name))


def _section_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list):
        return next(filter(None, map(_section_of, typing.get_args(annotation))), None)
    return None
