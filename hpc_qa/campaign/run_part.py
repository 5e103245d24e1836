"""What one run brings to a dataset: the facts that its rows and its card carry, and the row of a pair."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hpc_qa.campaign.attempt_folders import attempt_folders
from hpc_qa.campaign.calibration import a_score_decides
from hpc_qa.campaign.card import RunFacts
from hpc_qa.campaign.review import Review, review_of
from hpc_qa.config import BINARIES, Documents
from hpc_qa.qa.judge import SCORES
from hpc_qa.store.files import read_json, read_jsonl
from hpc_qa.store.records import Record
from hpc_qa.store.run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One document of a manifest."""

    path: str
    sha256: str
    license: str | None  # as its manifest line says it; None: it says nothing


@dataclass(slots=True)
class RunPart:
    """One run: what its rows carry, and what the first pass found."""

    facts: RunFacts
    threshold: float
    reissue_similarity: float
    judge: bool
    a_score_decides: bool  # whether a verdict of the judge can reject a pair
    sources: dict[str, SourceFile]  # by doc_id
    control_tokens: tuple[str, ...] = ()  # of its model; none are known of a run that did not keep them
    review: Review | None = None  # what people said of a sample of its pairs; None: nobody rated any
    published: set[str] = field(default_factory=set)  # keys of rated pairs
    states: dict[str, str] = field(default_factory=dict)  # "ok", "failed: poison"; absent: unfinished

    def note_published(self, key: str) -> None:
        """A pair is published; kept of those that people rated."""
        if self.review is not None and key in self.review.scores:
            self.published.add(key)

    def card_facts(self) -> RunFacts:
        """What the card says of the run, once it is known which of its pairs are published."""
        return replace(self.facts, review=self.review.words(self.published) if self.review else None)

    def row(
        self, chunk: Record, pair: Record, *, reject_reason: str | None, split_group: str,
        contaminated_with: str | None = None, duplicate_of: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """One row of the published dataset."""
        source = self.sources[pair["doc_id"]]
        return {
            "id": pair["key"],
            "question": pair["question"],
            "answer": pair["answer"],
            "evidence": pair["evidence"],
            "context": chunk["context"],
            "table_header": chunk.get("table_header"),
            "doc_id": pair["doc_id"],
            "source_path": source.path,
            "source_sha256": source.sha256,
            "pages": chunk["pages"],
            "headings": pair.get("headings", chunk["headings"]),
            "question_type": pair["question_type"],
            "difficulty": pair.get("difficulty"),
            "clarity": pair["clarity"],
            "accuracy": pair["accuracy"],
            "relevance": pair["relevance"],
            **{name: pair.get(name) for name in BINARIES},
            "quality_score": pair["quality_score"],
            "round_trip_answer": (pair.get("round_trip") or {}).get("answer"),
            "checks": pair["checks"],
            "reject_reason": reject_reason,
            "model": self.facts.model,
            "model_revision": self.facts.revision,
            "prompt_sha256": self.facts.prompt_sha256,
            "seed": self.facts.seed,
            "converter": self.facts.converter,
            "run_id": self.facts.run_id,
            "created_at": pair["created_at"],
            "contaminated_with": contaminated_with,
            "duplicate_of": duplicate_of,
            "split_group": split_group,
            "flags": chunk.get("flags"),
            "page_fidelity": chunk.get("page_fidelity"),
        }


def read_part(run: RunDirectory) -> RunPart:
    """What is frozen of a run, what its attempts took, and what people said of it.

    Raises:
        StoreError: it cannot be read, or is not as it was written.
    """
    facts = run.facts()
    config = facts["config"]
    return RunPart(
        RunFacts(
            run_id=run.run_id,
            name=config["name"],
            model=facts["model"]["name"],
            revision=facts["model"]["revision"],
            prompt_sha256=facts["prompts"]["sha256"],
            seed=config["seed"],
            converter=run.frozen_plan()["converter_key"],
            language=config["qa"]["language"],
            cost=_cost(run),
            judge=config["qa"]["judge"],
            answer_style=config["qa"]["answer_style"],
            accepts=_accepts(config["qa"]),
            versions=facts.get("versions") or {},
            commit=facts.get("commit_sha"),
            license=(config.get("dataset") or {}).get("license"),
            prompts=_prompts(run),
        ),
        threshold=config["qa"]["checks"]["near_duplicate"],
        reissue_similarity=config["documents"].get("reissue_similarity", Documents().reissue_similarity),
        judge=config["qa"]["judge"],
        a_score_decides=a_score_decides(config["qa"], _prompts(run).get("judge")),
        sources={
            entry["doc_id"]: SourceFile(entry["path"], entry["sha256"], entry.get("license"))
            for entry in read_jsonl(run.manifest)
        },
        control_tokens=tuple(facts["model"].get("control_tokens") or ()),
        review=_review(run),
    )


def _accepts(qa: Mapping[str, Any]) -> str:
    """What a pair had to reach to be accepted, in words."""
    accept = qa["accept"]
    minima = {name: accept[f"min_{name}"] for name in SCORES if accept[f"min_{name}"] is not None}
    asked = [f"{name} of at least {minimum}" for name, minimum in minima.items()]
    asked += [f"{name}: yes" for name in accept.get("require", ())]
    if not qa["judge"] or not asked:
        return "every check; no score of a judge decided"
    unjudged = " (pairs without a verdict were accepted too)" if accept["unjudged"] == "accept" else ""
    return f"every check, and from the judge {', '.join(asked)}{unjudged}"


def _prompts(run: RunDirectory) -> Mapping[str, str]:
    """The frozen templates by name."""
    templates = read_json(run.prompts).get("templates")
    return templates if isinstance(templates, dict) else {}


def _cost(run: RunDirectory) -> str:
    """What its attempts held by their own marks, killed ones to the last; the ledger has what the site accounts for."""
    milliseconds, gpus = 0, None
    for folder in attempt_folders([run]):
        if folder.began_ms is not None and folder.last_mark_ms is not None:
            milliseconds += max(0, folder.last_mark_ms - folder.began_ms)
            gpus = folder.gpus
    hours = milliseconds / 3.6e6
    if not hours:
        return "not measured"
    if gpus is None:
        return f"{hours:.2f} hours of array tasks, GPUs unknown"
    return f"{hours * gpus:.2f} GPU-hours" if gpus else f"no GPU, {hours:.2f} hours of array tasks"


def _review(run: RunDirectory) -> Review | None:
    """What people said of a sample of its pairs, accepted and rejected ones; None where nobody rated any."""
    review = review_of(run)
    return review if review is not None and review.scores else None
