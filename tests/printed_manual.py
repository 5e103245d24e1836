"""PDFs of a made manual from three programs: ReportLab, Chromium's print, and LibreOffice."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen import canvas
from reportlab.platypus import Flowable, SimpleDocTemplate, Spacer, Table, TableStyle
from reportlab.platypus import Paragraph as Prose

from tests.made_manual import FOOTER, HEADER, Heading, MadeTable, Paragraph, Part
from tests.real_browser.chromium import Chromium

WIDE = 230  # points of a column with wrapped text
A4_INCHES = {"paperWidth": 8.27, "paperHeight": 11.69}
MARGINS = {"marginTop": 0.9, "marginBottom": 0.9, "marginLeft": 0.8, "marginRight": 0.8}  # inches
CSS = """
body { font: 11pt 'Liberation Serif', serif } h1 { font-size: 20pt; break-before: page } h2 { font-size: 16pt }
h3 { font-size: 13pt } table { border-collapse: collapse; margin: 10pt 0 } td, th { padding: 2pt 8pt; text-align: left }
tr { break-inside: avoid } .ruled td, .ruled th, .wrapped td, .wrapped th, .merged td, .merged th, .long td, .long th {
border: 1px solid black } .wrapped td:last-child { width: 230pt }
"""


def by_reportlab(parts: Sequence[Part]) -> bytes:
    """Header, footer and page numbers drawn on the canvas; headers of tables repeated on each page."""
    styles = getSampleStyleSheet()
    story: list[Flowable] = []
    for part in parts:
        if isinstance(part, Heading):
            story.append(Prose(part.text, styles[f"Heading{part.level}"]))
        elif isinstance(part, Paragraph):
            story.append(Prose(part.text, styles["BodyText"]))
        else:
            story += (Spacer(0, 6), _reportlab_table(part), Spacer(0, 6))
    target = io.BytesIO()
    SimpleDocTemplate(target, pagesize=A4, title=HEADER).build(
        story, onFirstPage=_running_lines, onLaterPages=_running_lines
    )
    return target.getvalue()


def _running_lines(drawing: canvas.Canvas, _: object) -> None:
    drawing.setFont("Helvetica", 9)
    drawing.drawString(72, A4[1] - 40, HEADER)
    drawing.drawString(72, 40, FOOTER)
    drawing.drawRightString(A4[0] - 72, 40, f"Page {drawing.getPageNumber()}")


def _reportlab_table(table: MadeTable) -> Table:
    cell = getSampleStyleSheet()["BodyText"]
    grid = [] if table.style == "borderless" else [("GRID", (0, 0), (-1, -1), 0.5, "black")]
    bold = ("FONTNAME", (0, 0), (-1, table.header_rows - 1), "Helvetica-Bold")
    spans = [("SPAN", (1, 0), (2, 0)), ("SPAN", (3, 0), (4, 0))] if table.style == "merged" else []
    data: list[list[object]] = [list(row) for row in table.rows]
    widths = None
    if table.style == "merged":
        first, second, third = table.rows[0]
        data[0] = [first, second, "", third, ""]
    elif table.style == "wrapped":
        data = [[*row[:-1], Prose(str(row[-1]), cell)] for row in data]
        widths = [60, 160, WIDE]
    return Table(data, colWidths=widths, style=TableStyle([*grid, bold, *spans]), repeatRows=table.header_rows)


def by_chromium(parts: Sequence[Part], folder: Path) -> bytes:
    """The manual as a page, printed with a header and footer; the browser keeps its profile in this folder."""
    page = folder / "manual.html"
    page.write_text(as_html(parts), encoding="utf-8")
    small = "<div style='font-size:9px; width:100%; padding:0 0.8in; display:flex; justify-content:space-between'>"
    browser = Chromium(folder)
    try:
        browser.open(page.as_uri())
        printed = browser.call(
            "Page.printToPDF",
            displayHeaderFooter=True,
            printBackground=True,
            headerTemplate=f"{small}<span>{HEADER}</span></div>",
            footerTemplate=f"{small}<span>{FOOTER}</span><span>Page <span class=pageNumber></span></span></div>",
            **A4_INCHES,
            **MARGINS,
        )
    finally:
        browser.close()
    return base64.b64decode(printed["data"])


def as_html(parts: Sequence[Part]) -> str:
    """The manual as one page."""
    body = "\n".join(_html_part(part) for part in parts)
    return f"<!doctype html><meta charset=utf-8><title>{HEADER}</title><style>{CSS}</style><body>{body}</body>"


def _html_part(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{html.escape(part.text)}</h{part.level}>"
    if isinstance(part, Paragraph):
        return f"<p>{html.escape(part.text)}</p>"
    lines = []
    for number, row in enumerate(part.rows):
        tag = "th" if number < part.header_rows else "td"
        span = " colspan=2" if part.style == "merged" and number == 0 else ""
        cells = [f"<{tag}{span if at else ''}>{html.escape(cell)}</{tag}>" for at, cell in enumerate(row)]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    head, rest = lines[: part.header_rows], lines[part.header_rows :]
    return f"<table class={part.style}><thead>{''.join(head)}</thead><tbody>{''.join(rest)}</tbody></table>"
