"""Word files are read as their reader sees them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from docx_files import paragraph, relations, table, tree, write_docx
from PIL import Image

from ragvis.documents import Document, read
from ragvis.errors import BadFile
from ragvis.media import images

CASES = Path(__file__).parent / "cases"


def text_of(document: Document) -> str:
    return document.pages[0].text


def png(color: str = "red") -> bytes:
    return images.save_png(Image.new("RGB", (80, 60), color))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.docx"


def merged(text: str, across: int = 1, down: str = "") -> str:
    merge = f'<w:vMerge w:val="{down}"/>' if down else ""
    return f'<w:tc><w:tcPr><w:gridSpan w:val="{across}"/>{merge}</w:tcPr>{paragraph(text)}</w:tc>'


# --- tables


def test_empty_cells_keep_their_places() -> None:
    parts = text_of(read(CASES / "docx_empty_cells" / "parts.docx"))
    assert parts.splitlines() == [
        "Part | Qty | Note",
        "Seal | 4 | ",
        "Hose | 2 | ",
        "Clip | 9 | old",
    ]
    hours = text_of(read(CASES / "docx_empty_cells" / "hours.docx"))
    assert hours.splitlines() == [" | Mon | Tue", "Open | 9 | 10", "Close |  | 18"]


def test_merged_cells_keep_their_columns(file: Path) -> None:
    rows = table(
        ["Item", merged("2024", across=2), "Note"],
        ["", "H1", "H2", ""],
        [merged("Pump", down="restart"), "1", "2", "a"],
        [merged("", down="continue"), "3", "", "b"],
        [merged("Total", across=2), "5", ""],
    )
    assert text_of(read(write_docx(file, rows))).splitlines() == [
        "Item | 2024 | 2024 | Note",
        " | H1 | H2 | ",
        "Pump | 1 | 2 | a",
        "Pump | 3 |  | b",
        "Total |  | 5 | ",
    ]


def test_a_grid_that_no_cell_follows_makes_no_columns(file: Path) -> None:
    """Word divides the grid wherever a border was dragged to."""
    rows = table(
        [merged("Name", across=7), merged("Orla Quill", across=13)],
        [merged("Born", across=9), merged("1970", across=11)],
    )
    said = text_of(read(write_docx(file, rows)))
    assert said.splitlines() == ["Name | Orla Quill", "Born | 1970"]


def test_columns_left_out_before_a_row_are_blank(file: Path) -> None:
    rows = table(["", "Mon", "Tue"], ["Open", "9", "10"]).replace(
        "<w:tr>", '<w:tr><w:trPr><w:gridBefore w:val="1"/></w:trPr>', 1
    )
    rows = rows.replace(f"<w:tc>{paragraph('')}</w:tc>", "", 1)
    assert text_of(read(write_docx(file, rows))).splitlines() == [" | Mon | Tue", "Open | 9 | 10"]


def test_paragraphs_lists_and_breaks_in_a_cell_do_not_break_its_row(file: Path) -> None:
    item = '<w:numPr><w:numId w:val="1"/></w:numPr>'
    several = "<w:tc>" + "".join(paragraph(t, item) for t in ("red", "blue")) + "</w:tc>"
    lines = "<w:tc><w:p><w:r><w:t>Mill Lane 4</w:t><w:br/><w:t>Leeds</w:t></w:r></w:p></w:tc>"
    rows = table(["Colours", several, "x"], ["Address", lines, ""])
    assert text_of(read(write_docx(file, rows))).splitlines() == [
        "Colours | red; blue | x",
        "Address | Mill Lane 4 Leeds | ",
    ]


def test_a_table_in_a_cell_keeps_its_own_rows(file: Path) -> None:
    inner = "<w:tc>" + table(["Width", "4"], ["Height", ""]) + paragraph("") + "</w:tc>"
    said = text_of(read(write_docx(file, table(["Pump", inner], ["Hose", "2"]))))
    assert said == "Pump\n\nWidth | 4\nHeight | \n\nHose | 2"


def test_rows_and_cells_of_content_controls(file: Path) -> None:
    def control(inner: str) -> str:
        return f"<w:sdt><w:sdtPr/><w:sdtContent>{inner}</w:sdtContent></w:sdt>"

    rows = table(["Seal", "4", ""], ["Hose", "", "2"])
    first, second = rows[len("<w:tbl>") : -len("</w:tbl>")].split("</w:tr>")[:2]
    first = first.replace("<w:tr>", "") + "</w:tr>"
    cell, rest = first.split("</w:tc>", 1)
    first = "<w:tr>" + control(cell + "</w:tc>") + rest
    said = read(write_docx(file, f"<w:tbl>{first}{control(second + '</w:tr>')}</w:tbl>"))
    assert text_of(said).splitlines() == ["Seal | 4 | ", "Hose |  | 2"]


def test_a_frame_around_paragraphs_is_no_row_of_values(file: Path) -> None:
    heading = '<w:outlineLvl w:val="0"/>'
    cell = "<w:tc>{}</w:tc>"
    left = cell.format(paragraph("Skills", heading) + paragraph("Welding."))
    right = cell.format(paragraph("Work", heading) + paragraph("Ten years at sea."))
    page = read(write_docx(file, table([left, right]))).pages[0]
    assert page.text == "Skills\n\nWelding.\n\nWork\n\nTen years at sea."
    assert [h.title for h in page.headings] == ["Skills", "Work"]


# --- characters


def test_hyphens_tabs_and_symbols_are_characters(file: Path) -> None:
    said = text_of(read(CASES / "docx_no_break_hyphen" / "order.docx"))
    assert said == "Call 555-0134 and order part LK-7719."
    run = (
        "<w:p><w:r><w:t>main</w:t><w:softHyphen/><w:t>tenance</w:t><w:ptab/><w:t>7</w:t><w:tab/>"
        '<w:sym w:font="Symbol" w:char="F06D"/><w:t>m</w:t><w:cr/>'
        '<w:sym w:font="Wingdings" w:char="F0FC"/><w:sym w:font="Segoe UI" w:char="2714"/>'
        '<w:sym w:font="Nobody" w:char="F041"/></w:r>'
        '<w:r><w:rPr><w:rFonts w:ascii="Symbol"/></w:rPr><w:t>\uf0b0</w:t></w:r></w:p>'
    )
    assert text_of(read(write_docx(file, run))) == "maintenance\t7\tμm\n✓✔\ufffd°"


def test_a_number_above_a_number_is_not_part_of_it(file: Path) -> None:
    up = '<w:rPr><w:vertAlign w:val="superscript"/></w:rPr>'
    runs = (
        f"<w:p><w:r><w:t>10</w:t></w:r><w:r>{up}<w:t>6</w:t></w:r><w:r><w:t> m</w:t></w:r>"
        f"<w:r>{up}<w:t>2</w:t></w:r></w:p>"
    )
    assert text_of(read(write_docx(file, runs))) == "10^6 m2"


def test_formulas_in_one_line(file: Path) -> None:
    def run(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    def math(name: str, **parts: str) -> str:
        return (
            f"<m:{name}>"
            + "".join(f"<m:{n}>{p}</m:{n}>" for n, p in parts.items())
            + f"</m:{name}>"
        )

    half = math("f", num=run("1"), den=run("2"))
    power = math("sSup", e=run("c"), sup=run("2"))
    sums = math("f", num=run("a") + run("+b"), den=run("10"))
    root = math("rad", deg="", e=run("x"))
    whole = [run("E=m"), power, run("="), half, run("x"), run("+"), sums, root]
    body = f"<w:p><m:oMath>{''.join(whole)}</m:oMath></w:p>"
    assert text_of(read(write_docx(file, body))) == "E=mc^2=1/2 x+(a+b)/10 √(x)"


def test_a_large_first_letter_belongs_to_its_word(file: Path) -> None:
    body = paragraph("D", '<w:framePr w:dropCap="drop"/>') + paragraph("rop caps.")
    assert text_of(read(write_docx(file, body))) == "Drop caps."


def test_ruby_follows_what_it_reads(file: Path) -> None:
    reading, base = (f"<w:r><w:t>{text}</w:t></w:r>" for text in ("kan", "漢"))
    ruby = f"<w:ruby><w:rt>{reading}</w:rt><w:rubyBase>{base}</w:rubyBase></w:ruby>"
    assert text_of(read(write_docx(file, f"<w:p><w:r>{ruby}</w:r></w:p>"))) == "漢 (kan)"


# --- what is not seen


STYLES = tree(
    "w:styles",
    '<w:style w:type="paragraph" w:styleId="Secret"><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="paragraph" w:styleId="Child"><w:basedOn w:val="Secret"/></w:style>'
    '<w:style w:type="character" w:styleId="Veil"><w:rPr><w:vanish/></w:rPr></w:style>'
    '<w:style w:type="character" w:styleId="VeilChild"><w:basedOn w:val="Veil"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Mine"><w:basedOn w:val="H1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/></w:style>',
)


@pytest.mark.parametrize(
    ("properties", "run"),
    [
        ("", "<w:vanish/>"),
        ("", '<w:vanish w:val="1"/>'),
        ('<w:pStyle w:val="Secret"/>', ""),
        ('<w:pStyle w:val="Child"/>', ""),
        ("", '<w:rStyle w:val="Veil"/>'),
        ("", '<w:rStyle w:val="VeilChild"/>'),
        ("", '<w:color w:val="FFFFFF"/>'),
        ("", '<w:color w:val="C00000"/><w:shd w:val="clear" w:fill="C00000"/>'),
        ("", '<w:sz w:val="2"/>'),
    ],
)
def test_hidden_text_is_no_text(file: Path, properties: str, run: str) -> None:
    body = paragraph("Oak.") + paragraph("Plastic.", properties, run) + paragraph("End.")
    styles = {"rId1": ("styles", "styles.xml")}
    assert text_of(read(write_docx(file, body, styles, {"styles.xml": STYLES}))).split() == [
        "Oak.",
        "End.",
    ]


@pytest.mark.parametrize(
    ("properties", "run"),
    [
        ("", '<w:vanish w:val="0"/>'),
        ('<w:pStyle w:val="Secret"/>', '<w:vanish w:val="false"/>'),
        ('<w:pStyle w:val="Secret"/>', '<w:rStyle w:val="Veil"/>'),  # a toggle
        ("", "<w:webHidden/>"),
        ('<w:shd w:val="clear" w:fill="000000"/>', '<w:color w:val="FFFFFF"/>'),
        ("", '<w:highlight w:val="black"/><w:color w:val="FFFFFF"/>'),
    ],
)
def test_text_that_only_looks_hidden_stays(file: Path, properties: str, run: str) -> None:
    styles = {"rId1": ("styles", "styles.xml")}
    body = paragraph("Here.", properties, run)
    assert text_of(read(write_docx(file, body, styles, {"styles.xml": STYLES}))) == "Here."


def test_the_hidden_case() -> None:
    said = text_of(read(CASES / "docx_hidden_text" / "hidden.docx"))
    assert said == "The floor is of oak."


def test_white_text_of_a_table_may_stand_on_its_styles_colour(file: Path) -> None:
    white = paragraph("Price", run='<w:color w:val="FFFFFF"/>')
    cell = f"<w:tc>{white}</w:tc>"
    assert text_of(read(write_docx(file, table([cell, "4"])))) == "Price | 4"


def test_a_hidden_paragraph_mark_joins_two_paragraphs(file: Path) -> None:
    heading = '<w:outlineLvl w:val="0"/><w:rPr><w:vanish/><w:specVanish/></w:rPr>'
    page = read(write_docx(file, paragraph("Scope.", heading) + paragraph("All pumps."))).pages[0]
    assert page.text == "Scope. All pumps."
    assert [(h.start, h.title) for h in page.headings] == [(0, "Scope.")]


def test_deleted_text_and_instructions_are_no_text(file: Path) -> None:
    def mark(kind: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'

    def run(text: str, tag: str = "t") -> str:
        return f"<w:r><w:{tag}>{text}</w:{tag}></w:r>"

    inner = (
        mark("begin") + run("REF x", "instrText") + mark("separate") + run("unseen") + mark("end")
    )
    field = (
        mark("begin")
        + run("IF ", "instrText")
        + inner
        + mark("separate")
        + run("seen")
        + mark("end")
    )
    deleted = f"<w:del>{run('old', 'delText')}</w:del><w:moveFrom>{run('moved')}</w:moveFrom>"
    gone = (
        "<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>gone</w:t></w:r></w:p></w:tc></w:tr>"
    )
    rows = table(["a", "b"]).replace("</w:tbl>", gone + "</w:tbl>")
    said = text_of(read(write_docx(file, f"<w:p>{field}{deleted}</w:p>{rows}")))
    assert said == "seen\n\na | b"


def test_fields_without_an_end_cost_no_text(file: Path) -> None:
    body = '<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r></w:p>' + paragraph("Still here.")
    assert text_of(read(write_docx(file, body))) == "Still here."


def test_form_fields_show_what_was_chosen(file: Path) -> None:
    def field(data: str) -> str:
        begin = f'<w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar>'
        return f'<w:r>{begin}</w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'

    ticked = field('<w:checkBox><w:default w:val="0"/><w:checked/></w:checkBox>')
    entries = '<w:listEntry w:val="oak"/><w:listEntry w:val="elm"/>'
    chosen = field(f'<w:ddList><w:result w:val="1"/>{entries}</w:ddList>')
    assert text_of(read(write_docx(file, f"<w:p>{ticked}{chosen}</w:p>"))) == "☒elm"


# --- headers, notes, comments


def test_first_and_even_page_headers() -> None:
    document = read(CASES / "docx_first_header" / "letter.docx")
    for wanted in ("Case number 4411", "Every other page", "Even pages"):
        assert text_of(document).count(wanted) == 1
    assert document.title == "letter"


def test_footers_notes_and_comments_are_told_apart(file: Path) -> None:
    kinds = {
        "rId1": ("footer", "footer1.xml"),
        "rId2": ("footer", "footer2.xml"),
        "rId3": ("footnotes", "footnotes.xml"),
        "rId4": ("endnotes", "endnotes.xml"),
        "rId5": ("comments", "comments.xml"),
    }
    parts = {
        "footer1.xml": tree("w:ftr", paragraph("Page foot.")),
        "footer2.xml": tree("w:ftr", paragraph("Page foot.")),
        "footnotes.xml": tree("w:footnotes", f"<w:footnote>{paragraph('A note.')}</w:footnote>"),
        "endnotes.xml": tree("w:endnotes", f"<w:endnote>{paragraph('At last.')}</w:endnote>"),
        "comments.xml": tree(
            "w:comments", f'<w:comment w:author="Orla Quill">{paragraph("Is it so?")}</w:comment>'
        ),
    }
    body = paragraph("Body.") + (
        '<w:sectPr><w:footerReference w:type="first" r:id="rId1"/>'
        '<w:footerReference w:type="even" r:id="rId2"/></w:sectPr>'
    )
    document = read(write_docx(file, body, kinds, parts))
    assert text_of(document) == (
        "Body.\n\nHeaders and footers\n\nPage foot.\n\nFootnotes\n\nA note.\n\n"
        "Endnotes\n\nAt last.\n\nComments\n\nComment by Orla Quill: Is it so?"
    )
    assert document.title == "x"


def test_strict_files_are_read(file: Path) -> None:
    kinds = {"rId1": ("header", "header1.xml"), "rId2": ("image", "media/a.png")}
    drawing = (
        '<w:p><w:r><w:drawing><wp:inline><wp:docPr descr="red box"/><a:blip r:embed="rId2"/>'
        "</wp:inline></w:drawing></w:r></w:p>"
    )
    body = paragraph("Body.") + drawing + '<w:sectPr><w:headerReference r:id="rId1"/></w:sectPr>'
    parts = {"header1.xml": tree("w:hdr", paragraph("On top.")), "media/a.png": png()}
    document = read(write_docx(file, body, kinds, parts, is_strict=True))
    assert text_of(document) == "Body.\n\nHeaders and footers\n\nOn top."
    assert [f.caption for f in document.figures] == ["red box"]


def test_a_part_that_is_missing_costs_only_itself(file: Path) -> None:
    kinds = {"rId1": ("comments", "comments.xml"), "rId2": ("image", "NULL")}
    body = paragraph("Body.") + '<w:p><w:r><w:pict><v:imagedata r:id="rId2"/></w:pict></w:r></w:p>'
    document = read(write_docx(file, body, kinds))
    assert text_of(document) == "Body."
    assert "word/comments.xml" in document.unread
    with pytest.raises(BadFile, match="missing"):
        document.figures[0].open()


def test_properties_are_metadata(file: Path) -> None:
    document: Any = docx.Document()
    properties = document.core_properties
    properties.title, properties.author, properties.keywords = "Pumps", "Orla Quill", "oak, elm"
    properties.subject, properties.category, properties.language = "water", "manual", "en-IE"
    document.save(file)
    read_back = read(file)
    assert read_back.title == "Pumps"
    assert read_back.metadata == {
        "author": "Orla Quill",
        "keywords": "oak, elm",
        "subject": "water",
        "category": "manual",
        "language": "en-IE",
    }


def test_headings_by_level_and_by_the_style_that_theirs_is_based_on(file: Path) -> None:
    body = (
        paragraph("One", '<w:pStyle w:val="Mine"/>')
        + paragraph("Two", '<w:outlineLvl w:val="1"/>')
        + paragraph("Not one", '<w:pStyle w:val="Mine"/><w:outlineLvl w:val="9"/>')
    )
    styles = {"rId1": ("styles", "styles.xml")}
    page = read(write_docx(file, body, styles, {"styles.xml": STYLES})).pages[0]
    assert [(h.start, h.title) for h in page.headings] == [(0, "One"), (5, "Two")]


# --- pictures and parts that are not read


def test_a_picture_of_the_old_drawing_language() -> None:
    (figure,) = read(CASES / "docx_vml_picture" / "vml.docx").figures
    assert figure.caption == "red pump" and figure.near == "The pump is red."
    assert figure.open().getpixel((1, 1))[0] > 100


def test_pictures_of_headers_and_notes_once_each(file: Path) -> None:
    vml = '<w:pict><v:shape alt="{}"><v:imagedata r:id="rId9"/></v:shape></w:pict>'
    run = "<w:p><w:r>{}</w:r></w:p>"
    both = (
        '<mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wp:docPr descr="new"/>'
        '<a:blip r:embed="rId9"/></w:drawing></mc:Choice>'
        f"<mc:Fallback>{vml.format('old')}</mc:Fallback></mc:AlternateContent>"
    )
    only_old = (
        '<mc:AlternateContent><mc:Choice Requires="am3d"/>'
        f"<mc:Fallback>{vml.format('kept')}</mc:Fallback></mc:AlternateContent>"
    )
    kinds = {
        "rId1": ("header", "header1.xml"),
        "rId2": ("header", "header2.xml"),
        "rId3": ("footnotes", "footnotes.xml"),
        "rId9": ("image", "media/a.png"),
    }
    own = relations({"rId9": ("image", "media/b.png")})
    parts: dict[str, str | bytes] = {
        "header1.xml": tree("w:hdr", run.format(vml.format("letterhead"))),
        "header2.xml": tree("w:hdr", paragraph("Page") + run.format(vml.format("letterhead"))),
        "footnotes.xml": tree("w:footnotes", run.format(vml.format("in a note"))),
        "media/a.png": png("red"),
        "media/b.png": png("blue"),
        **{f"_rels/{name}.xml.rels": own for name in ("header1", "header2", "footnotes")},
    }
    references = (
        '<w:sectPr><w:headerReference r:id="rId1"/><w:headerReference r:id="rId2"/></w:sectPr>'
    )
    document = read(write_docx(file, run.format(both + only_old) + references, kinds, parts))
    figures = document.figures
    assert [f.caption for f in figures] == ["new", "kept", "letterhead", "in a note"]
    assert [f.ordinal for f in figures] == [0, 1, 2, 3]
    assert figures[0].open().getpixel((0, 0)) == (255, 0, 0)
    assert figures[2].open().getpixel((0, 0)) == (0, 0, 255)


def test_charts_and_the_like_are_told_as_not_read(file: Path) -> None:
    body = (
        "<w:p><w:r><w:drawing><c:chart/></w:drawing><w:drawing><dgm:relIds/></w:drawing>"
        '<w:object><o:OLEObject/></w:object><w:drawing><a:blip r:link="rId1"/></w:drawing>'
        "<w:drawing><c:chart/></w:drawing></w:r></w:p><w:altChunk/>"
    )
    document = read(write_docx(file, body, {"rId1": ("image", "http://127.0.0.1/x.png")}))
    assert set(document.unread) == {
        "chart 1",
        "chart 2",
        "diagram 1",
        "embedded object 1",
        "embedded document 1",
        "linked picture 1",
    }
    assert not document.figures


def test_text_boxes_once_and_after_their_paragraph(file: Path) -> None:
    box = f"<w:txbxContent>{paragraph('In a box.')}</w:txbxContent>"
    body = (
        "<w:p><w:r><mc:AlternateContent><mc:Choice><w:drawing>" + box + "</w:drawing></mc:Choice>"
        "<mc:Fallback><w:pict>" + box + "</w:pict></mc:Fallback></mc:AlternateContent></w:r><w:r>"
        '<w:t>Beside it.</w:t></w:r><w:r><w:pict><v:textpath string="DRAFT"/></w:pict></w:r></w:p>'
        + paragraph("After.")
    )
    said = text_of(read(write_docx(file, body)))
    assert said == "Beside it.DRAFT\n\nIn a box.\n\nAfter."


def test_a_picture_between_two_sections_belongs_to_the_first(tmp_path: Path) -> None:
    document: Any = docx.Document()
    document.add_heading("Pumps", 1)
    document.add_picture(io.BytesIO(png()))
    document.add_heading("Hoses", 1)
    document.save(tmp_path / "p.docx")
    assert [f.section for f in read(tmp_path / "p.docx").figures] == ["Pumps"]


# --- hostile files


def test_files_that_are_no_word_files_say_why(file: Path) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100
    for data, reason in (
        (ole + "EncryptedPackage".encode("utf-16-le"), "password"),
        (ole, "before 2007"),
        (b"PK", "not a .docx file"),
    ):
        file.write_bytes(data)
        with pytest.raises(BadFile, match=reason):
            read(file)


def test_entities_open_no_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    document = tree("w:document", f"<w:body>{paragraph('&x;')}</w:body>")
    entity = f'<!DOCTYPE w [<!ENTITY x SYSTEM "{(tmp_path / "secret.txt").as_uri()}">]>'
    document = document.replace("?>", "?>" + entity, 1)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", document)
    assert "SECRET" not in text_of(read(file))


def test_spans_of_billions_and_ten_thousand_cells(file: Path) -> None:
    rows = [[merged("a", across=999_999), merged("b", down="restart")]] * 50
    assert text_of(read(write_docx(file, table(*rows)))).count("a") == 50
    said = text_of(read(write_docx(file, table(["x"] * 10_000, [""] * 9_999 + ["y"]))))
    assert said.count("|") == 2 * 9_999
