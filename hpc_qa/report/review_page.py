"""The page of a review: one file without anything from elsewhere, whose text comes later as data.

No word of a document is in it: its script asks for the pairs and puts them in as text. The policy lets exactly this
script and this style run, lets the script talk to where it came from, and lets it make no markup out of text.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hpc_qa.campaign.review_ratings import MOST_COMMENT_CHARS


def render(*, nonce: str, run: str, token_header: str) -> str:
    """The page; `nonce` is new for each answer."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("review.html.j2")
    return template.render(nonce=nonce, run=run, token_header=token_header, most_comment_chars=MOST_COMMENT_CHARS)


def policy(nonce: str) -> str:
    """The Content-Security-Policy of the page."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'nonce-{nonce}'",
            f"style-src 'nonce-{nonce}'",
            "img-src data:",  # its icon
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
