"""The archive of runs: all but pairs and secrets, the same bytes each time, read back, never in place of a file."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile

import pyarrow as pa
import pytest

from hpc_qa.bench import archive as archive_module
from hpc_qa.bench.archive import SUMS, archive, verify
from hpc_qa.cli.main import run as hpc_qa
from hpc_qa.errors import ConfigError, StoreError
from hpc_qa.store.run_directory import RunDirectory
from tests.made_campaign import Campaign
from tests.made_runs import leave_traces

SECRETS = {
    "hf_AbCdEfGhIjKlMnOpQrStUvWx": "downloading with hf_AbCdEfGhIjKlMnOpQrStUvWx\n",
    "canary-of-the-key": "VLLM_API_KEY=canary-of-the-key\n",
    "canary-bearer": "Authorization: Bearer canary-bearer\n",
    "canary-word": "fetching https://me:canary-word@host/model\n",
    "canary-token": '{"hf_token": "canary-token", "completion_tokens": 123456789}\n',
}


@pytest.fixture
def made(tmp_path) -> tuple[Campaign, list[RunDirectory]]:
    """Two runs with logs, in which somebody's secrets stand."""
    campaign = Campaign(tmp_path, 12)
    runs = [campaign.done(0, 4, name="a"), campaign.done(4, 8, name="b", nonce="0002")]
    campaign.sync()
    for run in runs:
        (attempt,) = run.shard(0).attempts()
        attempt.attempt_json.unlink()
        attempt.stages.unlink()
        leave_traces(attempt)
        attempt.server_log.write_text("".join(SECRETS.values()))
        (run.logs / "101_0_log.err").write_text("slurmstepd: killed\n")
        (run.submit / "101_submitted.pkl").write_bytes(b"pickle")
        (run.path / "issues.yaml").write_text("issues: [the disk was nearly full]\n")
        (attempt.path / "elsewhere.log").symlink_to("/etc/passwd")
        (run.logs / "link.out").symlink_to("/etc/passwd")
    return campaign, runs


def members(path) -> dict[str, bytes]:
    with pa.input_stream(str(path), compression="zstd") as stream:
        data = stream.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar} == {(0, 0, 0, "", "", 0o644)}
        return {m.name: tar.extractfile(m).read() for m in tar}


def test_it_holds_record_config_manifest_logs_and_rows_of_the_ledger_with_checksums(made):
    campaign, runs = made
    archive(runs, campaign.project, campaign.project / "a.tar.zst")
    found = members(campaign.project / "a.tar.zst")
    for run in runs:
        (attempt,) = run.shard(0).attempts()
        inside = f"{run.run_id}/shards/0000/{attempt.name}"
        for name in ("record.yaml", "config.yaml", "manifest.jsonl", "run.json", "plan.json", "logs/101_0_log.err"):
            assert f"{run.run_id}/{name}" in found
        assert {
            f"{inside}/{name}" for name in ("worker.log", "server.log", "stages.jsonl", "gpu.jsonl")
        } <= found.keys()
        (row,) = map(json.loads, found[f"{run.run_id}/ledger/attempt.jsonl"].splitlines())
        assert row["run_id"] == run.run_id
        assert len(found[f"{run.run_id}/ledger/document.jsonl"].splitlines()) == 4
        assert b"the disk was nearly full" in found[f"{run.run_id}/record.yaml"]
    assert not [
        name for name in found if name.endswith((".pkl", "seg-000.jsonl")) or "link" in name or "elsewhere" in name
    ]
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in found.items() if name != SUMS}
    assert found[SUMS].decode() == "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    assert any("link.out" in name for name in json.loads(found["archive.json"])["left_out"])


def test_the_same_runs_in_any_order_give_the_same_bytes(made):
    campaign, runs = made
    for name, those in (("a", runs), ("b", [*reversed(runs), runs[0]])):
        archive(those, campaign.project, campaign.project / f"{name}.tar.zst")
    assert (campaign.project / "a.tar.zst").read_bytes() == (campaign.project / "b.tar.zst").read_bytes()


def test_secrets_in_logs_are_left_out_and_counted_and_counts_of_tokens_are_not(made, capsys):
    campaign, runs = made
    out = campaign.project / "a.tar.zst"
    command = ["--project", str(campaign.project), "bench", "archive", runs[0].run_id, "-o", str(out)]
    assert hpc_qa(command) == 0
    assert f"server.log: {len(SECRETS)}" in capsys.readouterr().err
    whole = b"".join(members(out).values())
    assert [secret for secret in SECRETS if secret.encode() in whole] == []
    assert b'"completion_tokens": 123456789' in whole


def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(made, capsys):
    campaign, runs = made
    out = campaign.project / "a.tar.zst"
    out.write_text("mine")
    assert hpc_qa(["--project", str(campaign.project), "bench", "archive", runs[0].run_id, "-o", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    with pytest.raises(ConfigError, match=r"is not called \*\.tar\.zst"):
        archive(runs, campaign.project, campaign.project / "a.zip")


def test_an_archive_that_cannot_be_read_back_gets_no_name(made, monkeypatch):
    campaign, runs = made
    monkeypatch.setattr(archive_module, "_sums", lambda sums: str(len(sums)) + str(id(sums)))
    with pytest.raises(StoreError, match="does not say what is in it"):
        archive(runs, campaign.project, campaign.project / "a.tar.zst")
    assert [path.name for path in campaign.project.iterdir() if "tar.zst" in path.name] == []


def test_every_flipped_byte_of_the_content_is_found(made):
    campaign, runs = made
    out = campaign.project / "a.tar.zst"
    archive(runs, campaign.project, out)
    whole = bytearray(out.read_bytes())
    assert len(verify(out)) > 20
    for at in range(20, len(whole), len(whole) // 40):
        broken = whole.copy()
        broken[at] ^= 0xFF
        path = campaign.project / "broken.tar.zst"
        path.write_bytes(broken)
        with pytest.raises(StoreError, match=r"cannot be read back|does not say"):
            verify(path)


def test_a_folder_that_is_not_there_is_said(made, capsys):
    campaign, runs = made
    out = campaign.project / "none" / "a.tar.zst"
    assert hpc_qa(["--project", str(campaign.project), "bench", "archive", runs[0].run_id, "-o", str(out)]) == 1
    assert "the archive cannot be written: No such file" in capsys.readouterr().err
    assert hpc_qa(["--project", str(campaign.project), "bench", "archive", "nothing", "-o", "a.tar.zst"]) == 2


def test_the_usual_programs_unpack_and_check_it(made, tmp_path_factory):
    campaign, runs = made
    out, folder = campaign.project / "a.tar.zst", tmp_path_factory.mktemp("unpacked")
    archive(runs, campaign.project, out)
    with pa.input_stream(str(out), compression="zstd") as stream:
        (folder / "a.tar").write_bytes(stream.read())
    subprocess.run([shutil.which("tar"), "-xf", "a.tar"], cwd=folder, check=True)
    subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=folder, check=True)
