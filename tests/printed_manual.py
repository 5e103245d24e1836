"""PDFs of a made manual from three programs: ReportLab, Chromium's print, and LibreOffice."""

import base64
import html
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen import canvas
from reportlab.platypus import Flowable, SimpleDocTemplate, Spacer, Table, TableStyle
from reportlab.platypus import Paragraph as Prose

from tests.made_manual import FOOTER, HEADER, Heading, MadeTable, Paragraph, Part
from tests.real_browser.chromium import Chromium
from tests.real_slurm.packages import install_packages, missing

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


def install_libreoffice() -> None:
    """Install LibreOffice's writer unless it is there.

    Raises:
        RuntimeError: it is not there and cannot be installed.
    """
    if absent := missing(["soffice"]):
        install_packages(("libreoffice-writer-nogui", "fonts-liberation"), for_want_of=absent)


def by_libreoffice(parts: Sequence[Part], folder: Path) -> bytes:
    """The manual as a flat OpenDocument file, converted in this folder."""
    source = folder / "manual.fodt"
    source.write_text(as_opendocument(parts), encoding="utf-8")
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    subprocess.run(
        ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", folder, source],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    return source.with_suffix(".pdf").read_bytes()


def as_opendocument(parts: Sequence[Part]) -> str:
    """The manual as one XML file, with a header and a footer on every page."""
    return FODT.format(header=HEADER, footer=FOOTER, body="\n".join(_office_part(part) for part in parts))


def _office_part(part: Part) -> str:
    if isinstance(part, Heading):
        text = html.escape(part.text)
        return f'<text:h text:style-name="Heading_{part.level}" text:outline-level="{part.level}">{text}</text:h>'
    if isinstance(part, Paragraph):
        return f'<text:p text:style-name="Body">{html.escape(part.text)}</text:p>'
    columns = len(part.rows[-1])
    lines = []
    for number, row in enumerate(part.rows):
        span = part.style == "merged" and number == 0
        cells = (_office_cell(cell, part.style, span=span and at > 0) for at, cell in enumerate(row))
        lines.append(f"<table:table-row>{''.join(cells)}</table:table-row>")
    head, rest = "".join(lines[: part.header_rows]), "".join(lines[part.header_rows :])
    widths = "".join(f'<table:table-column table:style-name="{width}"/>' for width in _office_widths(part, columns))
    return (f"<table:table>{widths}<table:table-header-rows>{head}</table:table-header-rows>{rest}</table:table>"
            '<text:p text:style-name="Body"/>')  # fmt: skip


def _office_widths(table: MadeTable, columns: int) -> list[str]:
    return ["Narrow", "Middle", "Wide"] if table.style == "wrapped" else ["Middle"] * columns


def _office_cell(text: str, style: str, *, span: bool) -> str:
    name = "Plain" if style == "borderless" else "Ruled"
    paragraph = f'<text:p text:style-name="Cell">{html.escape(text)}</text:p>'
    over = ' table:number-columns-spanned="2"' if span else ""
    covered = "<table:covered-table-cell/>" if span else ""
    return f'<table:table-cell table:style-name="{name}"{over}>{paragraph}</table:table-cell>{covered}'


FODT = """<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0"
 office:version="1.3" office:mimetype="application/vnd.oasis.opendocument.text">
<office:styles>
<style:style style:name="Body" style:family="paragraph"><style:paragraph-properties fo:margin-bottom="6pt"/>
<style:text-properties fo:font-family="Liberation Serif" fo:font-size="11pt"/></style:style>
<style:style style:name="Cell" style:family="paragraph">
<style:text-properties fo:font-family="Liberation Serif" fo:font-size="10pt"/></style:style>
<style:style style:name="Heading_1" style:family="paragraph" style:default-outline-level="1">
<style:paragraph-properties fo:margin-top="12pt" fo:margin-bottom="6pt" fo:keep-with-next="always"/>
<style:text-properties fo:font-family="Liberation Sans" fo:font-size="20pt" fo:font-weight="bold"/></style:style>
<style:style style:name="Heading_2" style:family="paragraph" style:default-outline-level="2">
<style:paragraph-properties fo:margin-top="10pt" fo:margin-bottom="6pt" fo:keep-with-next="always"/>
<style:text-properties fo:font-family="Liberation Sans" fo:font-size="16pt" fo:font-weight="bold"/></style:style>
<style:style style:name="Heading_3" style:family="paragraph" style:default-outline-level="3">
<style:paragraph-properties fo:margin-top="8pt" fo:margin-bottom="6pt" fo:keep-with-next="always"/>
<style:text-properties fo:font-family="Liberation Sans" fo:font-size="13pt" fo:font-weight="bold"/></style:style>
</office:styles>
<office:automatic-styles>
<style:style style:name="Ruled" style:family="table-cell">
<style:table-cell-properties fo:border="0.5pt solid #000000" fo:padding="2pt"/></style:style>
<style:style style:name="Plain" style:family="table-cell"><style:table-cell-properties fo:padding="2pt"/></style:style>
<style:style style:name="Narrow" style:family="table-column">
<style:table-column-properties style:column-width="2.4cm"/></style:style>
<style:style style:name="Middle" style:family="table-column">
<style:table-column-properties style:column-width="3.4cm"/></style:style>
<style:style style:name="Wide" style:family="table-column">
<style:table-column-properties style:column-width="8cm"/></style:style>
<style:page-layout style:name="A4"><style:page-layout-properties fo:page-width="21cm" fo:page-height="29.7cm"
 fo:margin="2cm"/><style:header-style><style:header-footer-properties fo:min-height="1cm" fo:margin-bottom="0.5cm"/>
</style:header-style><style:footer-style><style:header-footer-properties fo:min-height="1cm" fo:margin-top="0.5cm"/>
</style:footer-style></style:page-layout>
</office:automatic-styles>
<office:master-styles><style:master-page style:name="Standard" style:page-layout-name="A4">
<style:header><text:p text:style-name="Cell">{header}</text:p></style:header>
<style:footer><text:p text:style-name="Cell">{footer} Page <text:page-number/></text:p></style:footer>
</style:master-page></office:master-styles>
<office:body><office:text>
{body}
</office:text></office:body></office:document>
"""
