"""Every kind of file is read for what it says, with pages, headings and pictures."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ragvis.documents import load_figure, read
from ragvis.errors import BadFile
from ragvis.media import images


def picture(color: str = "red", size: tuple[int, int] = (80, 60)) -> Image.Image:
    return Image.new("RGB", size, color)


def png(color: str = "red") -> bytes:
    return images.save_png(picture(color))


def write_pdf(file: Path, *, title: str = "", password: str | None = None) -> None:
    canvas = Canvas(str(file), encrypt=password)
    canvas.setTitle(title)
    canvas.drawString(72, 720, "The pump runs at 12 volts.")
    canvas.drawImage(ImageReader(picture("blue")), 100, 200, 160, 120)
    canvas.showPage()
    canvas.drawImage(ImageReader(picture("green", (300, 400))), 0, 0, 595, 842)  # a scan
    canvas.showPage()
    canvas.drawString(72, 720, "Third page.")
    canvas.drawImage(ImageReader(picture("blue")), 100, 200, 160, 120)  # the same picture again
    canvas.save()


def test_markdown_text_is_the_files_own(tmp_path: Path) -> None:
    file = tmp_path / "pump.md"
    text = "# Acme pump\n\nText.\n\n```\n# not a heading\n```\n\nWarranty\n--------\n\nTwo years.\n"
    file.write_text(text)
    document = read(file)
    assert document.title == "Acme pump"
    assert document.pages[0].text == text
    assert [h.title for h in document.pages[0].headings] == ["Acme pump", "Warranty"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_in_many_encodings(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "brief.txt"
    text = "Fahrtkosten für März: 120 Euro. Die Straße ist gesperrt, außer für Züge.\n" * 3
    file.write_bytes(text.encode(encoding))
    assert "März" in read(file).pages[0].text


def test_a_torn_utf8_file_keeps_its_text(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    text = "Ошибка насоса номер семь. " * 20
    file.write_bytes(text.encode()[:-1] + b"\xff\xd0")
    assert read(file).pages[0].text.startswith(text[:-1])
    file.write_bytes(b"\xff\xfe\x00\x00" + "Pump".encode("utf-32-le"))
    assert read(file).pages[0].text == "Pump"


def test_long_lines_of_marks_and_many_fences_take_no_square_of_time(tmp_path: Path) -> None:
    """Each took many seconds when its work grew with the square of its length."""
    file = tmp_path / "a.md"
    for text in (
        "# " + "#" * 200_000 + "x",
        "# a" + " " * 200_000 + "b",
        "```\n# no\n```\n# yes\n" * 20_000,
    ):
        file.write_text(text)
        assert read(file).pages[0].headings
    assert len(read(file).pages[0].headings) == 20_000


def test_a_plain_notes_first_line_is_its_title(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Shopping list\n\nmilk\n")
    (tmp_path / "long_name-of.txt").write_text("It was a dark night.\n\nThen.")
    assert read(tmp_path / "a.txt").title == "Shopping list"
    assert read(tmp_path / "long_name-of.txt").title == "long name of"


def test_html_reads_what_is_visible(tmp_path: Path) -> None:
    data = base64.b64encode(png()).decode()
    file = tmp_path / "page.html"
    file.write_text(
        "<?xml version='1.0' encoding='utf-8'?><html><head><title>T &amp; U</title>"
        "<style>p{}</style></head><body><script>alert(1)</script><h2>Hours</h2><p>Open <b>from</b>"
        " nine.</p><table><tr><td>a</td><td>b</td></tr></table><!-- hidden -->"
        f"<img alt='a red box' src='data:image/png;base64,{data}'><img src='/etc/passwd'>"
        "<img src='http://127.0.0.1/x.png'></body></html>"
    )
    document = read(file)
    assert document.title == "T & U"
    page = document.pages[0]
    assert "Open from nine." in page.text
    assert "a | b" in page.text
    assert "alert" not in page.text and "hidden" not in page.text
    file.write_text("<p>before</p><svg><text>drawn</text><p>after</p>")
    assert re.sub(r"\s+", " ", read(file).pages[0].text).strip() == "before drawn after"
    file.write_text(
        "<head><title>T &amp; U</title></head><h2>Hours</h2><p>Open from nine.</p>"
        f"<img alt='a red box' src='data:image/png;base64,{data}'><img src='/etc/passwd'>"
    )
    document = read(file)
    page = document.pages[0]
    assert page.text[page.headings[0].start :].startswith("Hours")
    assert [f.caption for f in document.figures] == ["a red box"]
    assert document.figures[0].open().getpixel((0, 0)) == (255, 0, 0)


def test_deeply_nested_html_is_read_or_refused_never_cut(tmp_path: Path) -> None:
    file = tmp_path / "deep.html"
    file.write_text("<div>" * 1500 + "bottom" + "</div>" * 1500)
    assert "bottom" in read(file).pages[0].text
    file.write_text("<div>" * 5000 + "bottom" + "</div>" * 5000)
    with pytest.raises(BadFile, match="nested too deeply"):
        read(file)


def test_docx_in_reading_order_with_pictures(tmp_path: Path) -> None:
    document: Any = docx.Document()
    document.add_heading("Manual", 1)
    document.add_paragraph("Hold the red button.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Voltage", "12 V"
    document.add_picture(io.BytesIO(png("blue")))
    document.save(tmp_path / "m.docx")
    read_back = read(tmp_path / "m.docx")
    text = read_back.pages[0].text
    assert text.index("Manual") < text.index("Hold") < text.index("Voltage | 12 V")
    assert read_back.title == "Manual"
    assert read_back.figures[0].open().getpixel((0, 0)) == (0, 0, 255)


def test_docx_text_that_python_docx_leaves_out(tmp_path: Path) -> None:
    document: Any = docx.Document()
    document.add_paragraph("PLACE")
    document.sections[0].header.paragraphs[0].text = "In the header."
    outer = document.add_table(1, 1).cell(0, 0)
    outer.add_table(1, 1).cell(0, 0).text = "In an inner table."
    document.save(tmp_path / "plain.docx")
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    run = "<w:r><w:t>{}</w:t></w:r>"
    hard = (
        "<w:sdt><w:sdtContent><w:p>" + run.format("In a control.") + "</w:p></w:sdtContent></w:sdt>"
        "<w:p><w:ins>" + run.format("Inserted.") + "</w:ins><w:del><w:r><w:delText>Deleted."
        "</w:delText></w:r></w:del></w:p>"
    )
    with (
        zipfile.ZipFile(tmp_path / "plain.docx") as plain,
        zipfile.ZipFile(tmp_path / "hard.docx", "w") as out,
    ):
        for name in plain.namelist():
            data = plain.read(name)
            if name == "word/document.xml":
                assert w.encode() in data
                data = re.sub(rb"<w:p>(?:(?!</w:p>).)*PLACE.*?</w:p>", hard.encode(), data)
            out.writestr(name, data)
    text = read(tmp_path / "hard.docx").pages[0].text
    for wanted in ("In the header.", "In an inner table.", "In a control.", "Inserted."):
        assert text.count(wanted) == 1, wanted
    assert "Deleted." not in text


def test_pdf_pages_pictures_and_scans(tmp_path: Path) -> None:
    write_pdf(tmp_path / "p.pdf", title="Pump manual")
    document = read(tmp_path / "p.pdf")
    assert document.title == "Pump manual"
    assert [p.number for p in document.pages] == [1, 2, 3]
    assert "12 volts" in document.pages[0].text
    embedded, scan = document.figures  # the picture that comes again is taken once
    assert (embedded.page, scan.page) == (1, 2)
    assert embedded.bbox == (100, 200, 260, 320)
    assert embedded.open().getpixel((1, 1)) == (0, 0, 255)
    assert scan.bbox is None
    rendered = scan.open()
    assert max(rendered.size) == 1600
    assert rendered.getpixel((800, 800))[1] > 100
    again = load_figure(tmp_path / "p.pdf", scan.ordinal)
    assert images.pixel_key(again) == images.pixel_key(rendered)


def test_a_locked_pdf_says_so(tmp_path: Path) -> None:
    write_pdf(tmp_path / "p.pdf", password="secret")
    with pytest.raises(BadFile, match="password"):
        read(tmp_path / "p.pdf")


def test_pictures_are_upright_rgb_on_white(tmp_path: Path) -> None:
    tall = Image.new("RGB", (4, 8), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    tall.save(tmp_path / "turned.jpg", exif=exif)
    assert images.open_picture(tmp_path / "turned.jpg").size == (8, 4)
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert images.open_picture(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    Image.new("I;16", (2, 1)).save(tmp_path / "deep.png")
    deep = Image.new("I;16", (2, 1))
    deep.putpixel((1, 0), 40000)
    deep.save(tmp_path / "deep.png")
    opened = images.open_picture(tmp_path / "deep.png")
    assert [opened.getpixel((x, 0))[0] for x in (0, 1)] == [0, 255]
    Image.new("CMYK", (2, 2)).save(tmp_path / "print.jpg")
    assert images.open_picture(tmp_path / "print.jpg").mode == "RGB"


def test_a_thread_of_a_picture_is_widened(tmp_path: Path) -> None:
    """Encoders scale the short side up: one pixel by 60,000 would take gigabytes."""
    Image.new("RGB", (1, 60_000), "red").save(tmp_path / "thin.png")
    thin = images.open_picture(tmp_path / "thin.png")
    assert max(thin.size) <= 10 * min(thin.size) and max(thin.size) <= 4096


def test_every_page_of_a_tiff_and_one_of_an_animation(tmp_path: Path) -> None:
    frames = [picture("blue"), picture("green")]
    picture().save(tmp_path / "scan.tiff", save_all=True, append_images=frames)
    picture().save(tmp_path / "move.gif", save_all=True, append_images=frames)
    scan = read(tmp_path / "scan.tiff")
    assert [f.page for f in scan.figures] == [1, 2, 3]
    assert scan.figures[1].open().getpixel((0, 0)) == (0, 0, 255)
    assert len(read(tmp_path / "move.gif").figures) == 1


# --- files that are not what they should be -------------------------------------------------


def good_files(folder: Path) -> list[Path]:
    folder.mkdir()
    for suffix in ("jpg", "png", "webp", "gif", "bmp", "tiff"):
        picture().save(folder / f"good.{suffix}")
    write_pdf(folder / "good.pdf")
    document: Any = docx.Document()
    document.add_paragraph("Text.")
    document.save(folder / "good.docx")
    (folder / "good.html").write_text("<p>Text</p>")
    (folder / "good.md").write_text("# Title\n\nText")
    return sorted(folder.iterdir())


def test_every_good_file_is_read(tmp_path: Path) -> None:
    for file in good_files(tmp_path / "good"):
        document = read(file)
        assert document.pages or document.figures
        for figure in document.figures:
            assert figure.open().mode == "RGB"


def read_wholly(file: Path) -> None:
    """Success or BadFile with a one-line reason; anything else fails the test."""
    try:
        for figure in read(file).figures:
            figure.open()
    except BadFile as error:
        assert str(error) and "\n" not in str(error)


def test_truncated_and_mutated_files(tmp_path: Path) -> None:
    for file in good_files(tmp_path / "good"):
        data = file.read_bytes()
        broken = tmp_path / f"broken{file.suffix}"
        for part in range(12):
            broken.write_bytes(data[: len(data) * part // 12])
            read_wholly(broken)
        for seed in range(24):
            mutated = bytearray(data)
            for i in range(5):
                mutated[(seed * 7919 + i * 104729) % len(data)] ^= 1 + (seed * 31 + i) % 255
            broken.write_bytes(mutated)
            read_wholly(broken)


def test_a_file_that_vanishes_is_a_bad_file(tmp_path: Path) -> None:
    picture().save(tmp_path / "x.png")
    document = read(tmp_path / "x.png")
    (tmp_path / "x.png").unlink()
    with pytest.raises(BadFile, match="No such file"):
        document.figures[0].open()


@pytest.mark.parametrize(
    "suffix", [".jpg", ".png", ".tiff", ".gif", ".webp", ".bmp", ".pdf", ".docx", ".html", ".txt"]
)
@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        bytes(range(256)) * 8,
        b"PK\x03\x04" + b"\xff" * 64,
        b"%PDF-1.7\n" + b"1 0 obj<<>>" * 50,
        b"GIF89a" + b"\xff" * 40,
        b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + b"\xff" * 40,
        b"P6 99999 99999 255\n",
        b"\xff\xd8\xff\xe0" + b"\x00" * 30,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ],
)
def test_disguised_files(tmp_path: Path, suffix: str, data: bytes) -> None:
    file = tmp_path / f"x{suffix}"
    file.write_bytes(data)
    read_wholly(file)


def test_bombs_are_refused(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(BadFile, match="decompression bomb"):
        read(tmp_path / "bomb.png").figures[0].open()
    with zipfile.ZipFile(tmp_path / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(6):
            archive.writestr(f"word/{i}.xml", b"\x00" * (100 * 2**20))
    with pytest.raises(BadFile, match="unpacks to over"):
        read(tmp_path / "bomb.docx")


def test_formats_outside_the_list_are_not_decoded(tmp_path: Path) -> None:
    picture().save(tmp_path / "x.ppm")
    disguised = tmp_path / "x.jpg"
    disguised.write_bytes((tmp_path / "x.ppm").read_bytes())
    with pytest.raises(BadFile, match="not a picture"):
        images.open_picture(disguised)


def test_empty_and_unknown_files(tmp_path: Path) -> None:
    (tmp_path / "empty.md").touch()
    with pytest.raises(BadFile, match="empty"):
        read(tmp_path / "empty.md")
    (tmp_path / "x.exe").touch()
    with pytest.raises(BadFile, match="not a supported kind"):
        read(tmp_path / "x.exe")


def test_a_picture_knows_its_heading_and_the_text_around_it() -> None:
    collection = Path(__file__).parent / "evalset" / "collection"
    page, report, lectures = (
        read(collection / name).figures
        for name in ("patients/gallery.html", "office/delegations.docx", "office/lectures.pdf")
    )
    assert page[0].section == "Nuka" and "lives in the cold hall" in page[0].near
    assert "Rosario" not in page[0].near
    assert report[0].section == "Birch House" and "a bronze crane" in report[0].near
    assert "guava" not in report[0].near
    assert "On 12 September Mina Trelawney" in lectures[0].near
