"""Plans: what is known of documents and servers, and what a job array makes of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hpc_qa import manifest
from hpc_qa.campaign import provenance
from hpc_qa.campaign.plan import RunPlan, plan_run
from hpc_qa.config import Config
from hpc_qa.documents import facts as facts_json
from hpc_qa.documents.cache import DocumentCache, converter_key
from hpc_qa.documents.conversion import FACTS
from hpc_qa.documents.convert import limits_of
from hpc_qa.documents.facts import Facts
from hpc_qa.errors import ConfigError
from hpc_qa.manifest import Entry
from hpc_qa.store.revocation import Revocation, revoke_content
from tests import made_documents as made
from tests.made_runs import attempt, planned_run

PACE = {"startup": "00:05:00", "tokens_per_s": 1_000.0}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made.write_tokenizer(tmp_path / "model")
    return tmp_path


def config(**sections: Any) -> Config:
    """A Slurm run on two GPUs, with these settings."""
    given = {
        "name": "x",
        "manifest": "m.jsonl",
        "vllm": {"model": "model", "tensor_parallel_size": 2},
        "qa": {"judge": False, "questions_per_chunk": 1, "chunk_size": 1_000},
    }
    return Config.model_validate(given | sections)


def entry(number: int, tokens: int | None = 10_000) -> Entry:
    """A document that nobody has: whoever opens it fails."""
    sha256 = f"{number:064x}"
    return Entry(
        doc_id=f"d{number:03}", path=f"nowhere/{number}.txt", root=".", sha256=sha256, bytes=4_000_000,
        media_type="text/plain", pages=None, size_class="medium", tokens=tokens,
    )  # fmt: skip


def plan(project: Path, entries: list[Entry], settings: Config, *, convert_first: bool = False) -> RunPlan:
    manifest.write(project / "m.jsonl", entries)
    return plan_run(settings, project=project, convert_first=convert_first)


def keep(project: Path, settings: Config, of: Entry, **facts: Any) -> None:
    """Put a conversion of this entry into the cache."""
    cache = DocumentCache(project / settings.documents.cache, converter_key(settings, project))
    folder = cache.folder(of.sha256, of.media_type)
    folder.mkdir(parents=True)
    known = Facts(**({"status": "ok", "sha256": of.sha256, "media_type": of.media_type, "size_bytes": 1} | facts))
    (folder / FACTS).write_text(facts_json.to_json(known))


def fails_if_asked() -> None:
    raise AssertionError("the GPUs of a login node say nothing about a Slurm run")


def measure(project: Path, **summary: float) -> None:
    """A run of the same model on as many GPUs that took this."""
    run = planned_run(project, [["a"]])
    taken = {"model": "model", "gpus_per_server": 2, "serving_s": 10.0} | summary
    (attempt(run.shard(0), []).path / "summary.json").write_text(json.dumps(taken))


def test_documents_whose_tokens_are_known_are_planned_for_slurm_without_being_touched(project: Path) -> None:
    planned = plan(project, [entry(number) for number in range(20)], config())
    assert planned.not_converted == 20
    assert planned.demand.requests == 20 * 10  # ten chunks of a thousand tokens
    assert sum(len(shard.documents) for shard in planned.shards) == 20


def test_without_tokens_a_document_has_to_be_converted_first(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"90 documents \(360 MB\) are not converted yet"):
        plan(project, [entry(1), *(entry(number, None) for number in range(100, 190))], config())


def test_a_sample_of_chunks_needs_the_chunks(project: Path) -> None:
    settings = config(documents={"sample_chunks": 5, "convert_on_submit_mb": 1})
    with pytest.raises(ConfigError, match="not converted yet"):
        plan(project, [entry(1)], settings)


def test_only_documents_without_tokens_are_converted(project: Path) -> None:
    (project / "here.txt").write_text("Some text is here.")
    [here] = manifest.build([project / "here.txt"], project=project).entries
    planned = plan(project, [entry(1), here], config())
    assert planned.not_converted == 1
    assert planned.settled == ()


def test_what_the_cache_knows_goes_before_the_tokens_of_the_manifest(project: Path) -> None:
    settings = config()
    keep(project, settings, entry(1), chunks=3, tokens=2_500)
    keep(project, settings, entry(2), status="failed", reason="encrypted")
    planned = plan(project, [entry(1), entry(2), entry(3)], settings)
    assert planned.demand.requests == 3 + 10
    assert [(one.doc_id, one.state, one.reason) for one in planned.settled] == [("d002", "failed", "encrypted")]
    assert planned.not_converted == 1


def test_a_failure_by_a_limit_that_has_changed_counts_no_more(project: Path) -> None:
    settings = config()
    now = limits_of(settings)
    keep(project, settings, entry(1), status="failed", reason="too_large", limits=now)
    keep(project, settings, entry(2), status="failed", reason="too_large", limits=now | {"max_file_mb": 1.0})
    planned = plan(project, [entry(1), entry(2)], settings)
    assert [one.doc_id for one in planned.settled] == ["d001"]


def test_the_gpus_of_a_slurm_run_are_those_of_its_config(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "visible_gpus", fails_if_asked)
    assert plan(project, [entry(1)], config()).gpus_per_server == 2


def test_without_a_known_pace_there_is_a_shard_for_each_place_and_no_hours(project: Path) -> None:
    planned = plan(project, [entry(number) for number in range(20)], config()).to_json()
    assert (len(planned["shards"]), planned["servers_at_once"], planned["waves"]) == (8, 8, 1)
    assert planned["gpu_hours"]["p50"] is planned["wall_hours"]["p50"] is planned["startup_share"] is None
    assert (planned["startup_s"], planned["tokens_per_s"], planned["pace_source"]) == (None, None, None)
    [note] = planned["notes"]
    assert "plan.startup and plan.tokens_per_s are null" in note
    assert "--limit 20" in note


def test_the_note_names_the_key_that_is_missing(project: Path) -> None:
    [note] = plan(project, [entry(1)], config(plan={"startup": "00:05:00"})).notes
    assert "plan.tokens_per_s is null" in note
    assert "plan.startup" not in note


def test_the_configs_pace_gives_shards_and_hours(project: Path) -> None:
    many = [entry(number, 1_000_000) for number in range(150)]  # 1.38 million tokens each with their prompts
    planned = plan(project, many, config(plan=PACE)).to_json()
    assert (planned["startup_s"], planned["tokens_per_s"], planned["pace_source"]) == (300, 1_000, "config")
    assert planned["waves"] == 3
    assert planned["servers_at_once"] == 8
    assert planned["startup_share"] < 0.05
    assert planned["notes"] == []
    assert all(shard["predicted_s"]["p50"] <= 0.8 * 4 * 3600 for shard in planned["shards"])
    held_s = sum(shard["predicted_s"]["p50"] for shard in planned["shards"])
    assert planned["gpu_hours"]["p50"] == pytest.approx(2 * held_s / 3600)


def test_a_config_can_name_the_number_of_shards(project: Path) -> None:
    planned = plan(project, [entry(number, 1_000) for number in range(20)], config(plan={"shards": 7}))
    assert len(planned.shards) == 7


def test_what_was_measured_goes_before_what_the_config_says(project: Path) -> None:
    measure(project, startup_s=100.0, predicted_tokens=20_000)
    planned = plan(project, [entry(1)], config(plan=PACE))
    assert planned.pace_source == "measured"
    assert planned.pace is not None
    assert (planned.pace.startup_s, planned.pace.tokens_per_s) == (100, 2_000)


def test_a_document_beyond_the_time_limit_is_refused_with_the_limit_that_would_do(project: Path) -> None:
    slow = config(plan=PACE, slurm={"time": "00:30:00"})
    with pytest.raises(ConfigError) as refused:
        plan(project, [entry(1), entry(2, 2_000_000)], slow)
    [fault] = refused.value.faults
    assert fault == "d002: 0.85 hours with start-up are more than 80 % of slurm.time 00:30:00 (0.40 hours)"
    assert refused.value.hint is not None
    assert 'slurm.time "01:04:00" is enough' in refused.value.hint
    enough = config(plan=PACE, slurm={"time": "01:04:00"})
    assert len(plan(project, [entry(1), entry(2, 2_000_000)], enough).shards) > 0


def test_a_time_limit_shorter_than_startup_is_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"slurm\.time 00:05:00 is too short: a server starts for 5 min 00 s"):
        plan(project, [entry(1)], config(plan=PACE, slurm={"time": "00:05:00"}))


def test_a_share_that_cannot_be_reached_is_noted(project: Path) -> None:
    [note] = plan(project, [entry(1)], config(plan=PACE)).notes
    assert note.startswith("start-up takes ")


def test_a_run_on_this_machine_has_as_many_shards_as_servers_whatever_the_time_limit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "visible_gpus", list)
    settings = config(executor="local", plan=PACE, slurm={"time": "00:04:00"}, client={"local_servers": 3})
    for number in range(5):
        keep(project, settings, entry(number), chunks=10, tokens=10_000)
    planned = plan(project, [entry(number) for number in range(5)], settings)
    assert (len(planned.shards), planned.servers_at_once, planned.notes) == (3, 3, ())


def test_everything_settled_leaves_no_shard(project: Path) -> None:
    planned = plan(project, [entry(1, 0)], config(plan=PACE)).to_json()
    assert (planned["shards"], planned["waves"], planned["notes"]) == ([], 0, [])
    assert planned["settled_by_reason"] == {"skipped(no_chunks)": 1}


def test_plan_json_holds_every_document_once(project: Path) -> None:
    planned: Mapping[str, Any] = json.loads(json.dumps(plan(project, [entry(n) for n in range(9)], config()).to_json()))
    assert sorted(name for shard in planned["shards"] for name in shard["documents"]) == [f"d{n:03}" for n in range(9)]


@pytest.mark.parametrize("convert_first", [False, True])
def test_a_content_that_was_revoked_is_skipped_whatever_it_is_called_now(project, convert_first):
    settings = config(plan=PACE)
    said = Revocation(entry(1).sha256, ("old-name",), ("old/name.txt",), "ann", "2026-01-02T03:04:05.000Z", None)
    revoke_content(project, said)
    keep(project, settings, entry(2), status="ok", reason=None, chunks=2, tokens=900)
    made = plan(project, [entry(1), entry(2), entry(3)], settings, convert_first=convert_first)
    assert [(one.doc_id, one.state, one.reason) for one in made.settled] == [("d001", "skipped", "revoked")]
    assert sorted(doc_id for shard in made.shards for doc_id in shard.documents) == ["d002", "d003"]


def test_a_prompt_set_that_leaves_a_required_binary_unasked_is_said(project: Path) -> None:
    judged = {"judge": True, "questions_per_chunk": 1, "chunk_size": 1_000, "prompts": "own.yaml"}
    (project / "own.yaml").write_text("judge: 'Is it grounded? {{question}} {{answer}}'\n")
    (note,) = [one for one in plan(project, [entry(0)], config(qa=judged)).notes if "own.yaml" in one]
    assert "does not ask for answerable, self_contained" in note
    settled = judged | {"accept": {"require": ["grounded"]}}
    assert not [one for one in plan(project, [entry(0)], config(qa=settled)).notes if "own.yaml" in one]
