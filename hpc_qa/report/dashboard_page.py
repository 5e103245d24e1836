"""The live page: one file without anything from elsewhere, whose figures come as data and are drawn by its script."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

PLOTS = (  # key of a point, title, unit, digits after the point
    ("documents_per_hour", "Documents per hour", "", 1),
    ("quality_score_avg", "Quality score", "", 3),
    ("memory_used_gb", "Memory", "GB", 1),
    ("gpu_utilization_percent", "GPU utilisation", "%", 0),
)


def render(*, nonce: str, project: str, every_s: float, hours: int) -> str:
    """The page; `nonce` is new for each answer."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("dashboard.html.j2")
    return template.render(nonce=nonce, project=project, plots=PLOTS, every_s=every_s, hours=hours)
