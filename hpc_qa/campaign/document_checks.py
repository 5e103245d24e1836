"""What doctor says about reading documents: OCR, and the converters of the site."""

from collections.abc import Iterator

from hpc_qa.campaign.checks import Check
from hpc_qa.config import Config
from hpc_qa.documents.converters import registered
from hpc_qa.documents.ocr import look_for
from hpc_qa.errors import ConfigError


def document_checks(config: Config | None) -> Iterator[Check]:
    """Nothing of a site's converters is loaded; tesseract is asked for its version and its languages."""
    yield _ocr(config)
    try:
        found = registered()
    except ConfigError as exc:
        yield Check("converters", "fail", "; ".join(exc.faults), exc.hint)
        return
    for media_type, converter in found.items():
        yield Check("converters", "ok", f"{media_type} is read by {converter.name}, a package of this environment")


def _ocr(config: Config | None) -> Check:
    wanted = config is not None and config.documents.ocr == "auto"
    found = look_for(config.documents.ocr_language if config is not None else "eng")
    if not found.fault:
        used = "reads pages that are pictures" if wanted else "is not used unless documents.ocr is auto"
        return Check("ocr", "ok", f"tesseract {found.description} {used}")
    if wanted:
        what, _, advice = found.fault.partition(": ")
        return Check("ocr", "warn", f"{what}; pages that are pictures stay without text", advice)
    return Check("ocr", "ok", "no tesseract, and none needed: pages that are pictures are counted, not read")
