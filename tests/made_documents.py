"""Documents whose truth is known, good and bad ones, and a tokenizer to measure them: made here, never committed."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import docx
import pikepdf
import pypdfium2
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen import canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table, TableStyle
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from hpc_qa.config import Config, DocumentLimits, Documents, Qa, Vllm

SENTENCES = (
    "The State Medicaid agency must redetermine eligibility every 12 months under 42 CFR 435.916. "
    "A beneficiary may ask for a fair hearing within 90 days of the notice. "
    "The agency shall not end coverage before the hearing, e.g. when the appeal is late for a good cause. "
    "Copayments are limited to $4.00 for a preferred drug and to $8.00 for any other drug. "
)
ROWS = [["State", "Limit", "Year"], ["Ohio", "138", "2024"], ["Texas", "17", "2023"], ["Maine", "133", "2022"]]


def write_tokenizer(folder: Path) -> Path:
    """A small byte-level BPE tokenizer, of the kind that served models have."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<|im_start|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([SENTENCES, " | --- | ", "\n\n## "], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def write_tokenizer_over_spaces(folder: Path) -> Path:
    """A byte-level BPE tokenizer without words: its tokens run over spaces and line ends."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tables = "| a | b |\n|---|---|\n| x | y |\n| y | z |\n\n# The agency\n\n- agency 42\n\n"
    tokenizer.train_from_iterator([f"{SENTENCES}\n\n{SENTENCES}", tables, "x" * 99], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def config(chunk_size: int = 200, limits: DocumentLimits | None = None, processes: int | None = None) -> Config:
    """A run whose model folder is `model` in the project folder."""
    return Config(
        name="made",
        manifest="manifest.jsonl",
        documents=Documents(limits=limits or DocumentLimits(), processes=processes),
        qa=Qa(chunk_size=chunk_size, max_tokens=64),
        vllm=Vllm(model="model"),
    )


def manual(chapters: int = 8) -> bytes:
    """A manual with a running header and footer, headings of two levels, prose and a ruled table."""
    styles = getSampleStyleSheet()
    story: list[object] = []
    for chapter in range(1, chapters + 1):
        story += [
            Paragraph(f"Chapter {chapter}", styles["Heading1"]),
            Paragraph(SENTENCES, styles["BodyText"]),
            Paragraph(f"Limits of chapter {chapter}", styles["Heading2"]),
            Paragraph(SENTENCES * 3, styles["BodyText"]),
            Table(ROWS, style=TableStyle([("GRID", (0, 0), (-1, -1), 0.5, "black")])),
        ]
    target = io.BytesIO()
    SimpleDocTemplate(target, pagesize=A4, title="Made manual").build(
        story, onFirstPage=_running_lines, onLaterPages=_running_lines
    )
    return target.getvalue()


def _running_lines(drawing: canvas.Canvas, _: object) -> None:
    drawing.drawString(72, A4[1] - 40, "Provider Handbook of Nowhere")
    drawing.drawString(72, 40, f"Page {drawing.getPageNumber()}")


def plain_pdf(lines: Sequence[str]) -> bytes:
    """One page with these lines."""
    target = io.BytesIO()
    drawing = canvas.Canvas(target, pagesize=A4)
    for index, line in enumerate(lines):
        drawing.drawString(72, 750 - 14 * index, line)
    drawing.save()
    return target.getvalue()


def letter(*, hidden: str = "", header: str = "", chapters: int = 2) -> bytes:
    """A Word document with headings of two levels, lists, a table, a merged cell and a title in its properties."""
    document = docx.Document()
    document.core_properties.title = "Made letter"
    document.sections[0].header.paragraphs[0].text = header
    document.add_heading("Made letter", 0)
    for chapter in range(1, chapters + 1):
        document.add_heading(f"Chapter {chapter}", 1)
        document.add_paragraph(SENTENCES).add_run(hidden).font.hidden = True
        document.add_heading(f"Limits of chapter {chapter}", 2)
        document.add_paragraph("First point.", style="List Bullet")
        document.add_paragraph("First step.", style="List Number")
        table = document.add_table(rows=len(ROWS), cols=len(ROWS[0]))
        for place, row in enumerate(ROWS):
            for cell, text in zip(table.rows[place].cells, row, strict=True):
                cell.text = text
    merged = document.add_table(rows=2, cols=2)
    merged.cell(0, 0).merge(merged.cell(0, 1)).text = "Over both columns"
    merged.cell(1, 0).text, merged.cell(1, 1).text = "Left", "Right"
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def scan() -> bytes:
    """A page that is nothing but a picture."""
    document = pikepdf.new()
    page = document.add_blank_page(page_size=(600, 800))
    image = pikepdf.Stream(document, bytes(64 * 64))
    image.update({"/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Image, "/Width": 64, "/Height": 64,
                  "/ColorSpace": pikepdf.Name.DeviceGray, "/BitsPerComponent": 8})  # fmt: skip
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Scan=image))
    page.Contents = document.make_stream(b"600 0 0 800 0 0 cm /Scan Do")
    return _saved(document)


def scanned(pages: Sequence[bytes]) -> bytes:
    """A PDF like that of a scanner: its pages are grey pictures of the first pages of these PDFs, a bit askew."""
    document = pikepdf.new()
    for data in pages:
        drawn = (
            pypdfium2.PdfDocument(data)[0].render(scale=200 / 72, grayscale=True).to_pil().rotate(0.4, fillcolor=255)
        )
        page = document.add_blank_page(page_size=A4)
        image = pikepdf.Stream(document, zlib.compress(drawn.tobytes()))
        image.update({"/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Image, "/Width": drawn.width,
                      "/Height": drawn.height, "/ColorSpace": pikepdf.Name.DeviceGray, "/BitsPerComponent": 8,
                      "/Filter": pikepdf.Name.FlateDecode})  # fmt: skip
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Scan=image))
        page.Contents = document.make_stream(b"%f 0 0 %f 0 0 cm /Scan Do" % A4)
    return _saved(document)


def appended(first: bytes, second: bytes) -> bytes:
    """The pages of one PDF and behind them those of another."""
    document = pikepdf.open(io.BytesIO(first))
    document.pages.extend(pikepdf.open(io.BytesIO(second)).pages)
    return _saved(document)


def encrypted() -> bytes:
    """A good file that needs a password."""
    document = pikepdf.open(io.BytesIO(manual(1)))
    target = io.BytesIO()
    document.save(target, encryption=pikepdf.Encryption(user="secret", owner="secret"))
    return target.getvalue()


def blank() -> bytes:
    """A page with nothing on it."""
    document = pikepdf.new()
    document.add_blank_page()
    return _saved(document)


def form_bomb() -> bytes:
    """A form that draws itself twice: readers that follow it without end use up all memory."""
    document = pikepdf.new()
    page = document.add_blank_page()
    form = document.make_indirect(pikepdf.Stream(document, b"/F Do /F Do"))
    form.update({"/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Form, "/BBox": [0, 0, 100, 100]})
    form.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(F=form))
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(F=form))
    page.Contents = document.make_stream(b"/F Do")
    return _saved(document)


def _saved(document: pikepdf.Pdf) -> bytes:
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    """A ZIP archive with these members."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A ZIP archive with these members, in a file."""
    path.write_bytes(zipped(members))
    return path


PDF_LINE = "The agency must decide within 45 days of the request."
PDF_TEXT = f"BT /F1 12 Tf 72 700 Td ({PDF_LINE}) Tj ET ".encode()
HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def raw_pdf(objects: Sequence[bytes]) -> bytes:
    """A PDF with these objects, numbered from 1, the first of them the catalog; what they say is up to the caller."""
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    return bytes(out) + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, start)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """The body of a stream object."""
    return b"<< /Length %d %s>>\nstream\n%s\nendstream" % (len(data), entries, data)


def one_page(
    content: bytes = PDF_TEXT, *, catalog: bytes = b"", page: bytes = b"", filters: bytes = b"",
    font: bytes = HELVETICA, more: Sequence[bytes] = (),
) -> bytes:  # fmt: skip
    """A PDF of one page; objects of `more` are numbered from 6."""
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R %s>>" % catalog,
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> >> %s>>" % page,
            stream(content, filters),
            font,
            *more,
        ]
    )


def many_pages(count: int) -> bytes:
    """A small PDF whose page tree names the same page so many times."""
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count %d /Kids [%s] >>" % (count, b"3 0 R " * count),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] >>",
        ]
    )


def deflate_bomb(size: int, layers: int) -> bytes:
    """So many zero bytes, deflated so many times."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 24)
    data = b"".join([*(packer.compress(block) for _ in range(size // len(block))), packer.flush()])
    for _ in range(layers - 1):
        data = zlib.compress(data, 9)
    return data
