"""The settings of one run: what one YAML file may say, with defaults, units and bounds.

A key under `vllm` or `slurm` is the upstream option with underscores. The sections about a cluster are written in
`config_cluster.py`, and found here as the others are. Reading a file, with the strictness that YAML lacks and messages
that name file and line, is in `config_file.py`; this module only says what is allowed.
"""

import math
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, PrivateAttr, model_validator

from hpc_qa.config_cluster import CURRENCY, MEMORY, Charging, Site, Slurm
from hpc_qa.config_values import (
    ENVIRONMENT_NAME,
    LONGEST,
    MANY,
    OPTION_NAME,
    SLURM_WORD,
    Clock,
    Day,
    EnvironmentName,
    Name,
    OptionName,
    Section,
    Share,
)

__all__ = [
    "BINARIES", "CURRENCY", "ENVIRONMENT_NAME", "MEMORY", "OPTION_NAME", "QUESTION_TYPES", "SLURM_WORD", "Accept",
    "Budget", "Charging", "Checks", "Client", "Clock", "Config", "Controls", "Dataset", "Day", "DocumentLimits",
    "Documents", "Name", "Plan", "Qa", "Regenerate", "RoundTrip", "Section", "Site", "Slurm", "Vllm",
]  # fmt: skip


Score = Annotated[int, Field(ge=1, le=5)]
SkipRule = Literal[
    "no_sentences", "contents", "index", "bibliography", "revisions", "form", "navigation", "numbers", "little_text",
    "language", "boilerplate", "duplicate",
]  # fmt: skip
QuestionType = Literal[
    "factual", "definition", "numeric", "requirement", "condition", "procedure", "comparison", "exception", "scenario"
]
QUESTION_TYPES: tuple[QuestionType, ...] = get_args(QuestionType)
OF_A_SENTENCE = frozenset({"factual", "definition", "numeric", "requirement"})  # what one sentence by itself can answer
Difficulty = Literal["easy", "medium", "hard"]
Binary = Literal["grounded", "answerable", "self_contained"]
BINARIES: tuple[Binary, ...] = get_args(Binary)


class DocumentLimits(Section):
    """What one document may cost in its own child process before it is given up."""

    max_file_mb: float = Field(50, gt=0, le=1e6)
    max_pages: int = Field(10_000, gt=0, le=MANY)
    timeout: Clock = "00:05:00"
    memory_gib: float = Field(2.0, ge=0.25, le=1e5)
    min_word_coverage: float = Field(0.90, ge=0, le=1)


class Boilerplate(Section):
    """When a paragraph is taken for boilerplate: it stands word for word in many documents of the manifest."""

    min_documents: int = Field(5, ge=2, le=MANY)  # re-issues of one document count as one
    min_share: float = Field(0.05, ge=0, le=1)  # of the documents, re-issues counted as one
    chunk_share: Share = 0.8  # of the characters of a chunk: with as much boilerplate it is left out


class Documents(Section):
    """How files become Markdown and chunks, on CPU, before any GPU is held."""

    cache: str = "cache/documents"
    limits: DocumentLimits = DocumentLimits()
    processes: int | None = Field(None, ge=1, le=10_000)  # None: one per CPU we may use
    max_chunks: int | None = Field(None, ge=1, le=MANY)  # documents with more are skipped(too_many_chunks)
    sample_chunks: int | None = Field(None, ge=1, le=MANY)  # a seeded sample over the whole manifest
    convert_on_submit_mb: float = Field(200, ge=0, le=1e9)
    skip: list[SkipRule] = list(get_args(SkipRule))  # chunks that are left out, and for what
    low_pages: Literal["keep", "skip"] = "keep"  # skip: chunks of pages whose lines did not stay together are left out
    boilerplate: Boilerplate = Boilerplate()
    reissues: Literal["keep", "newest"] = "keep"  # newest: of near-identical documents only that with the latest date
    reissue_similarity: float = Field(0.7, ge=0.5, le=1)  # Jaccard similarity of word 3-shingles
    ocr: Literal["off", "auto"] = "off"  # auto: pages that are pictures are read by Tesseract, where it is installed
    ocr_language: str = Field("eng", pattern=r"^[A-Za-z_]{3,20}(\+[A-Za-z_]{3,20}){0,9}$")  # in Tesseract's words


class Accept(Section):
    """Which pairs are accepted, beside the deterministic checks, which must all pass."""

    min_clarity: Score | None = 4
    min_accuracy: Score | None = 4
    min_relevance: Score | None = 4
    require: list[Binary] = list(BINARIES)  # to which the judge must say yes, where the prompts ask for them
    unjudged: Literal["reject", "accept"] = "reject"  # a pair without a verdict has no score


class Checks(Section):
    """Bounds of the deterministic checks, in words and characters."""

    min_question_words: int = Field(4, ge=1, le=1_000)
    max_question_chars: int = Field(300, ge=10, le=MANY)
    min_answer_chars: int = Field(2, ge=1, le=MANY)
    max_answer_chars: int = Field(1_500, ge=10, le=MANY)
    near_duplicate: float = Field(0.7, gt=0, le=1)  # Jaccard similarity of character 5-shingles


class RoundTrip(Section):
    """The question is answered again, from the chunk alone; a pair counts when both answers say the same."""

    enabled: bool = False
    min_token_f1: float = Field(0.5, ge=0, le=1)


class Regenerate(Section):
    """Pairs that were rejected are asked for again, with the reason."""

    attempts: int = Field(0, ge=0, le=5)  # for a chunk
    max_token_share: float = Field(1.0, gt=0, le=5)  # of the tokens that the chunk took until then


class Controls(Section):
    """Pairs of which it is known whether they are good, mixed in to see how far the judge can be trusted."""

    share: float = Field(0.03, ge=0, le=0.5)  # of the judged pairs


class Qa(Section):
    """Which questions are asked, and which answers count."""

    answer_style: Literal["abstractive", "extractive"] = "abstractive"
    questions_per_chunk: int = Field(5, ge=1, le=50)
    question_types: list[QuestionType] = list(QUESTION_TYPES)
    difficulty: list[Difficulty] = []  # empty: the model is not asked for it
    max_pairs_per_document: int | None = Field(None, ge=1, le=MANY)
    chunk_size: int = Field(1_500, ge=64, le=10_000_000)  # tokens of the served model's tokenizer
    prompts: str | None = None  # a YAML file that replaces the built-in prompts
    language: str | None = Field("en", pattern=r"^[a-z]{2}$")
    judge: bool = True
    judge_repeats: int = Field(1, ge=1, le=9)  # judgements of a pair near the threshold, the median counts; odd
    temperature: float = Field(0.7, ge=0, le=2)
    max_tokens: int = Field(1_024, ge=16, le=10_000_000)  # completion tokens of one generation request
    checks: Checks = Checks()
    round_trip: RoundTrip = RoundTrip()
    accept: Accept = Accept()
    regenerate: Regenerate = Regenerate()
    controls: Controls = Controls()

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if not self.question_types:
            raise ValueError("question_types is empty; leave it out for all types")
        for name in ("question_types", "difficulty"):
            listed = getattr(self, name)
            if len(set(listed)) < len(listed):
                raise ValueError(f"{name} names one of them twice")
        if self.judge_repeats % 2 == 0:
            raise ValueError(f"judge_repeats {self.judge_repeats} has no middle; use an odd number")
        if self.answer_style == "extractive":
            if self.difficulty:
                raise ValueError("difficulty is asked for with an answer, and extractive asks for none; leave it empty")
            if OF_A_SENTENCE.isdisjoint(self.question_types):
                raise ValueError(f"question_types: extractive knows only {', '.join(sorted(OF_A_SENTENCE))}")
        return self


class Dataset(Section):
    """What a published dataset says of itself."""

    license: str | None = Field(None, min_length=1, max_length=200)  # an SPDX identifier or a name; None: not known


class Vllm(Section):
    """The server: options of `vllm serve` with underscores, and how it is started and watched."""

    model: str | None = None  # a folder; a name of a hub works where the node has network
    revision: str | None = None
    tokenizer: str | None = None
    tensor_parallel_size: int = Field(1, ge=1, le=1_024)
    pipeline_parallel_size: int = Field(1, ge=1, le=1_024)
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    quantization: str | None = None
    max_model_len: int | None = Field(None, ge=256, le=100_000_000)
    max_num_seqs: int | None = Field(None, ge=1, le=1_000_000)
    max_num_batched_tokens: int | None = Field(None, ge=1, le=100_000_000)
    gpu_memory_utilization: Share = 0.90
    kv_cache_dtype: str | None = None
    enforce_eager: bool = False
    enable_prefix_caching: bool = True
    safetensors_load_strategy: str | None = None
    extra_args: dict[OptionName, str | int | float | bool] = {}  # any other option, underscores as well
    env: dict[EnvironmentName, str] = {}  # environment of the server, VLLM_* for example
    startup_timeout: Clock = "00:20:00"
    stall_timeout: Clock = "00:02:00"  # no token for so long while requests are out: the server hangs
    max_restarts: int = Field(2, ge=0, le=10)
    attach: str | None = None  # socket of a server that somebody else runs; never stopped by us
    attach_key_file: str | None = None  # its key, in a file of mode 0600
    attach_pid: int | None = Field(None, ge=1, le=2**22)  # its process, where it is ours: what it uses is ours as well

    @model_validator(mode="after")
    def _either_ours_or_theirs(self) -> Self:
        if self.model is None:
            raise ValueError("model is missing: the folder of the model (with attach: of the model that it serves)")
        return self


class Client(Section):
    """How requests are sent."""

    concurrency_limit: int = Field(20, ge=1, le=10_000)  # requests in flight per server
    actors: int = Field(2, ge=1, le=64)  # Ray actors per server
    local_servers: int = Field(1, ge=1, le=1_024)  # servers at once with `executor: local`
    request_timeout: Clock = "00:10:00"
    max_retries: int = Field(3, ge=0, le=20)


class Plan(Section):
    """How the shards are cut, and what one server does until a run of its model was measured here."""

    shards: int | None = Field(None, ge=1, le=1_000_000)  # so many, whatever the planner would choose
    max_startup_share: Share = 0.05
    startup: Clock | None = None
    tokens_per_s: float | None = Field(None, gt=0, le=1e9)  # predicted tokens: prompt without cache hits, completion


class Budget(Section):
    """What the group may use."""

    gpu_hours: float | None = Field(None, gt=0, le=1e12)
    corpus_documents: int | None = Field(None, gt=0, le=10**12)
    clusters: list[str] = []


class Config(Section):
    """One run, as its YAML file says it."""

    name: Name
    campaign: Name | None = None
    batch: Name | None = None
    manifest: str
    executor: Literal["slurm", "local"] = "slurm"
    seed: int = Field(0, ge=0, le=LONGEST)
    documents: Documents = Documents()
    qa: Qa = Qa()
    dataset: Dataset = Dataset()
    vllm: Vllm
    client: Client = Client()
    slurm: Slurm = Slurm()
    plan: Plan = Plan()
    budget: Budget = Budget()
    targets: str | None = None

    _source: str = PrivateAttr(default="")  # the file it was read from, as given on the command line
    _site: Site | None = PrivateAttr(default=None)  # the profile that slurm.site names

    @property
    def model(self) -> str:
        """The model's folder or name; never None, the loader has seen to it."""
        return self.vllm.model or ""

    @property
    def gpus_per_task(self) -> int:
        """GPUs that the server of one array task holds, on all its nodes."""
        return self.vllm.tensor_parallel_size * self.vllm.pipeline_parallel_size

    @property
    def gpus_per_node(self) -> int:
        """GPUs that an array task holds on each of its nodes."""
        return -(-self.gpus_per_task // self.slurm.nodes_per_task)

    @property
    def gpus_allocated(self) -> int:
        """GPUs that an array task holds: those of its server, or more where Slurm is asked for more."""
        more, gpu = self.slurm.additional_parameters, self._site.gpu if self._site else None
        whole = more.get("exclusive") in (True, "") and gpu is not None and gpu.per_node  # allocates whole nodes
        return max(self.gpus_per_task, self.slurm.gpus_asked, (whole or 0) * self.slurm.nodes_per_task)

    @property
    def conversion_job(self) -> Slurm:
        """The settings of an array task that converts: no GPU, and nothing that belongs to the nodes of GPUs."""
        job = self.slurm.convert
        memory_gib = math.ceil(job.cpus_per_task * self.documents.limits.memory_gib) + 2
        return self.slurm.model_copy(
            update={
                "partition": job.partition or self.slurm.partition,
                "qos": job.qos,
                "constraint": job.constraint,
                "gres": None,
                "time": job.time,
                "cpus_per_task": job.cpus_per_task,
                "mem": job.mem or f"{memory_gib}G",
                "nodes_per_task": 1,
                "array_parallelism": job.tasks,
                "additional_parameters": job.additional_parameters,
            }
        )

    @model_validator(mode="after")
    def _chunk_fits_the_context(self) -> Self:
        context = self.vllm.max_model_len
        if context is not None and self.qa.chunk_size + self.qa.max_tokens > context:
            raise ValueError(
                f"qa.chunk_size {self.qa.chunk_size} + qa.max_tokens {self.qa.max_tokens} do not fit into "
                f"vllm.max_model_len {context}, and the instruction needs room as well"
            )
        return self
