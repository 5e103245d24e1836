"""The YAML in front of a dataset card, from which `datasets.load_dataset` learns what there is."""

from typing import Any

import yaml

from hpc_qa.campaign.card import Card
from hpc_qa.campaign.licenses import as_front_matter
from hpc_qa.store.dataset import FILES, REJECTED, TRAIN, VALIDATION
from hpc_qa.store.exports import CHAT_FILES


def front_matter(card: Card) -> str:
    """The YAML, between its two lines."""
    document = {
        "pretty_name": card.runs[0].name,
        "language": sorted({run.language for run in card.runs if run.language}) or ["und"],
        **as_front_matter(card.license),
        "size_categories": [_size_category(card.counts[TRAIN] + card.counts[VALIDATION])],
        "task_categories": ["question-answering", "text-generation"],
        "annotations_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "tags": ["synthetic"],
        "configs": _configs(card),
    }
    return f"---\n{yaml.safe_dump(document, sort_keys=False, allow_unicode=True)}---"


def _configs(card: Card) -> list[dict[str, Any]]:
    """What `load_dataset` finds. Empty tables are left out: datasets 5.2 refuses a split without a row."""
    accepted = [{"split": split, "path": FILES[split]} for split in (TRAIN, VALIDATION) if card.counts[split]]
    rejected = [{"split": REJECTED, "path": FILES[REJECTED]}] if card.counts[REJECTED] else []
    chat = [{"split": split, "path": CHAT_FILES[split]} for split in card.chat]
    configs = [("default", accepted), ("chat", chat), ("rejected", rejected)]
    return [{"config_name": name, "data_files": files} for name, files in configs if files]


def _size_category(rows: int) -> str:
    for limit, category in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return category
    return "n>1M"
