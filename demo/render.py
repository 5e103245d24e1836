"""reStructuredText to HTML and to PDF, for the demo's documents only.

docutils comes from its own unpacked source archive, whose folder is given. The PDF has headings, paragraphs, lists,
preformatted text, tables, and a running header and footer, which is what conversion has to cope with; inline markup,
images and links are left out. The same source gives the same bytes.
"""

import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Flowable, Paragraph, Preformatted, SimpleDocTemplate, Spacer, Table, TableStyle

_SETTINGS = {
    "report_level": 5,  # links between files that are not here are not worth a message
    "halt_level": 5,
    "_disable_config": True,  # nothing from the user's own configuration
    "embed_stylesheet": False,
    "stylesheet_path": "",
    "raw_enabled": False,
}
_STYLES = getSampleStyleSheet()
_GRID = TableStyle(
    [
        ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
)


def html(source: Path, docutils: Path) -> bytes:
    """The document as docutils' own HTML 5."""
    core = _docutils(docutils, "docutils.core")
    page: bytes = core.publish_string(
        source.read_text(encoding="utf-8"), source_path=str(source), writer="html5", settings_overrides=_SETTINGS
    )
    return page


def pdf(source: Path, docutils: Path) -> bytes:
    """The document as a PDF of A4 pages."""
    core, nodes = _docutils(docutils, "docutils.core"), _docutils(docutils, "docutils.nodes")
    tree = core.publish_doctree(
        source.read_text(encoding="utf-8"), source_path=str(source), settings_overrides=_SETTINGS
    )
    for message in list(tree.findall(nodes.system_message)):  # they name a temporary folder
        message.parent.remove(message)
    title = str(tree.get("title") or source.stem)

    def furniture(canvas: Any, document: Any) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawString(72, A4[1] - 40, title)
        canvas.drawRightString(A4[0] - 72, 40, f"Page {document.page}")

    out = io.BytesIO()
    document = SimpleDocTemplate(out, pagesize=A4, title=title, invariant=1)
    document.build(
        [Paragraph(escape(title), _STYLES["Title"]), *_flow(tree, nodes, depth=0)],
        onFirstPage=furniture,
        onLaterPages=furniture,
    )
    return out.getvalue()


def _docutils(folder: Path, module: str) -> Any:
    """A module of the unpacked docutils; it is not installed, so mypy and import know nothing of it."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(module)


def _flow(node: Any, nodes: Any, depth: int) -> Iterator[Flowable]:
    """What ReportLab prints for this node's children."""
    for child in node.children:
        if isinstance(child, nodes.section):
            heading = _STYLES[f"Heading{min(depth + 1, 4)}"]
            yield Paragraph(_text(child.children[0]), heading)
            yield from _flow(child, nodes, depth + 1)
        elif isinstance(child, nodes.table):
            yield from (_table(child, nodes), Spacer(1, 8))
        elif isinstance(child, nodes.literal_block):
            yield from (Preformatted(child.astext(), _STYLES["Code"]), Spacer(1, 6))
        elif isinstance(child, nodes.bullet_list | nodes.enumerated_list):
            yield from _items(child, nodes, depth)
        elif isinstance(child, nodes.paragraph | nodes.term):
            yield Paragraph(_text(child), _STYLES["BodyText"])
        elif _shown(child, nodes):
            yield from _flow(child, nodes, depth)


def _shown(node: Any, nodes: Any) -> bool:
    front_matter = (nodes.title, nodes.subtitle, nodes.docinfo, nodes.decoration, nodes.topic)
    markup = (nodes.comment, nodes.raw, nodes.substitution_definition)
    return isinstance(node, nodes.Element) and not isinstance(node, (*front_matter, *markup))


def _items(node: Any, nodes: Any, depth: int) -> Iterator[Flowable]:
    numbered = isinstance(node, nodes.enumerated_list)
    for number, item in enumerate(node.children, 1):
        bullet = f"{number}." if numbered else "\u2022"
        first, *rest = _flow(item, nodes, depth) if item.children else [Paragraph("", _STYLES["BodyText"])]
        if isinstance(first, Paragraph):
            first = Paragraph(first.text, _STYLES["Bullet"], bulletText=bullet)
        yield from (first, *rest)


def _table(node: Any, nodes: Any) -> Table:
    rows = [[Paragraph(_text(entry), _STYLES["BodyText"]) for entry in row.children] for row in node.findall(nodes.row)]
    columns = max(len(row) for row in rows)
    rows = [row + [Paragraph("", _STYLES["BodyText"])] * (columns - len(row)) for row in rows]
    return Table(rows, colWidths=[(A4[0] - 144) / columns] * columns, style=_GRID, repeatRows=1)


def _text(node: Any) -> str:
    return escape(" ".join(node.astext().split()))
