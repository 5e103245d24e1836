"""Empty records to fill in by hand: the quick one, the detailed one and the full one."""

from hpc_qa.bench.record import JudgeScores, Quality, Record, SizeClass, SlowDocument, Stage, as_yaml

FULL_ID = "ENVIRONMENT_BATCH_DATE_NUMBER"
QUICK = """\
run_id: test_DATE_NUMBER
date: null # "2026-01-31"
environment: null # local or cluster
batch: null # local_5, smoke, batch_50, ... or a name of your own
pdfs: null # how many
time_minutes: null # from start to end
qa_pairs: null # how many
gpu_hours: null # allocated GPUs x hours
quality_ok: null # true or false
issues: none # or a list, one `- text` a line
"""
DETAILED = """\
benchmark_run:
  id: ENVIRONMENT_DESCRIPTION_DATE
  date: null # "2026-01-31"
  environment: null # local or cluster
  batch: null # local_5, smoke, batch_50, ... or a name of your own

  hardware:
    gpu_model: null
    gpu_count: null
    gpu_vram_gb: null # of one GPU

  configuration:
    commit_sha: null # in quotes
    config_file: null
    chunk_size: null # tokens
    questions_per_chunk: null
    concurrency_limit: null

  dataset:
    pdfs_processed: null
    manifest: null

  results:
    total_time_minutes: null
    avg_time_per_pdf_minutes: null
    qa_pairs_generated: null
    qa_pairs_per_pdf: null
    throughput_pdfs_per_hour: null
    gpu_hours: null # allocated GPUs x hours
    avg_gpu_utilization_percent: null
    max_gpu_memory_gb: null # of one GPU
    avg_cpu_memory_gb: null

  quality_sample:
    sample_size: null # pairs
    avg_clarity_score: null # 1-5
    avg_accuracy_score: null # 1-5
    avg_relevance_score: null # 1-5
    acceptance_rate: null # 0-1

  issues: none # or a list, one `- text` a line
"""


def full() -> str:
    """Every key of a record, without a value."""
    empty = Record(
        id=FULL_ID, quality=Quality(judge=JudgeScores()), by_size_class=[SizeClass()],
        stages=[Stage()], slowest_documents=[SlowDocument()],
    )  # fmt: skip
    return as_yaml({"benchmark_run": empty.model_dump()})


IDS = frozenset({"test_DATE_NUMBER", "ENVIRONMENT_DESCRIPTION_DATE", FULL_ID})  # which a record replaces
TEMPLATES = {"quick": lambda: QUICK, "detailed": lambda: DETAILED, "full": full}
