"""Messages as the model reads them: rendered with its own chat template, and counted with its own tokenizer.

The server does the same for a real request; this is for looking at a prompt before any server runs, so it needs
neither transformers nor torch. Templates come with models from elsewhere and run in jinja2's sandbox.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from hpc_qa.errors import ConfigError
from hpc_qa.qa.prompts import Message


def render(messages: Sequence[Message], model_folder: Path) -> tuple[str, int]:
    """The whole prompt as text, and its number of tokens.

    Raises:
        ConfigError: the folder lacks its chat template or tokenizer, or the template refuses the messages.
    """
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # trim_blocks, lstrip_blocks and loop controls are what chat templates are written for.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals.update(raise_exception=_refuse, strftime_now=lambda form: datetime.now(UTC).strftime(form))
    settings = _tokenizer_config(model_folder)
    try:
        template = environment.from_string(_chat_template(model_folder, settings))
        text = template.render(messages=list(messages), add_generation_prompt=True, **_special_tokens(settings))
    except TemplateError as exc:
        raise ConfigError(f"{model_folder}: the chat template refuses these messages: {exc}") from exc
    return text, count_tokens(text, model_folder)


def count_tokens(text: str, model_folder: Path) -> int:
    """Tokens of a rendered prompt, by the model's tokenizer.json; no token is added, the template has them all."""
    from tokenizers import Tokenizer

    path = model_folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(f"{path} is missing: the tokens cannot be counted")
    return len(Tokenizer.from_file(str(path)).encode(text, add_special_tokens=False))


def _refuse(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _tokenizer_config(model_folder: Path) -> dict[str, Any]:
    path = model_folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise ConfigError(f"{path}: not JSON: {exc}") from exc
    return settings if isinstance(settings, dict) else {}


def _chat_template(model_folder: Path, settings: dict[str, Any]) -> str:
    """chat_template.jinja where there is one, else the template inside tokenizer_config.json."""
    path = model_folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = settings.get("chat_template")
    if isinstance(template, list):  # several named ones
        template = next((one.get("template") for one in template if one.get("name") == "default"), None)
    if not isinstance(template, str):
        raise ConfigError(
            f"{model_folder}: the model has no chat template (chat_template.jinja or tokenizer_config.json)",
            hint="use an instruction-tuned model",
        )
    return template


def _special_tokens(settings: dict[str, Any]) -> dict[str, str]:
    """bos_token and the like, which a template may name; they are text or objects with `content`."""
    tokens = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = settings.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        tokens[name] = value if isinstance(value, str) else ""
    return tokens
