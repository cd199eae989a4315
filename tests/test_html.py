"""HTML pages are read as their reader sees them."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from PIL import Image

from ragvis.documents import Document, read
from ragvis.media import images

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "page.html"


def page_of(file: Path, html: str) -> Document:
    file.write_text(html, encoding="utf-8")
    return read(file)


def text_of(file: Path, html: str) -> str:
    return page_of(file, html).pages[0].text


def lines_of(file: Path, html: str) -> list[str]:
    return text_of(file, html).splitlines()


def img(alt: str, color: str = "red") -> str:
    data = base64.b64encode(images.save_png(Image.new("RGB", (8, 6), color))).decode()
    return f"<img alt='{alt}' src='data:image/png;base64,{data}'>"


# --- tables


def test_the_cases_of_tables() -> None:
    heater = read(CASES / "html_table_cells" / "heater.html").pages[0]
    assert heater.text.splitlines() == ["Heater", "", "Voltage | 230 V", "Power | 1800 W"]
    corner = read(CASES / "html_table_cells" / "corner.html").pages[0]
    assert corner.text.splitlines() == [" | Mon | Tue", "Open | 9 | 10"]


@pytest.mark.parametrize(
    "cell",
    [
        "<p>230</p><p>V</p>",
        "<div>230</div>V",
        "230<br>V",
        "<div><div>230</div></div>\n<p>V",
        "230\n V",
    ],
)
def test_blocks_in_a_cell_do_not_break_its_row(file: Path, cell: str) -> None:
    html = f"<table><tr><td><p>Voltage</p><td>{cell}</td><td></table>"
    assert lines_of(file, html) == ["Voltage | 230 V | "]


def test_a_list_in_a_cell_is_one_value(file: Path) -> None:
    html = "<table><tr><td>Colours:<ul><li>red<li><p>blue</p></ul><td>x</table>"
    assert lines_of(file, html) == ["Colours: red; blue | x"]


def test_merged_cells_keep_their_columns(file: Path) -> None:
    html = (
        "<table><caption>Rota</caption><thead><tr><th rowspan=2>Day<th colspan=2>Week 1<tr><th>AM"
        "<th>PM</thead><tr><td rowspan='2'>Mon<td>Ann<td><tr><td colspan=2>Bo"
        "<tr><td>Tue<td><td>Cy<tr><td colspan=99>Closed at noon</table>"
    )
    assert lines_of(file, html) == [
        "Rota",
        "Day | Week 1 | Week 1",
        "Day | AM | PM",
        "Mon | Ann | ",
        "Mon | Bo | ",
        "Tue |  | Cy",
        "Closed at noon",
    ]


def test_a_table_in_a_cell_keeps_its_own_rows(file: Path) -> None:
    inner = "<table><tr><td>Width<td>4<tr><td>Height<td></table>"
    html = f"<table><tr><td>Pump<td>{inner}<tr><td>Hose<td>2</table>"
    assert text_of(file, html) == "Pump\n\nWidth | 4\nHeight | \n\nHose | 2"


def test_a_table_that_only_arranges_paragraphs_is_none(file: Path) -> None:
    long = "".join(f"<p>{'word ' * 100}</p>" for _ in range(4))
    for html in (
        "<table role=presentation><tr><td>One<td>Two</table>",
        "<table><tr><td><h3>One</h3>text<td><h3>Two</h3>text</table>",
        f"<table><tr><td>{long}<td>menu</table>",
        "<table><tr><td><pre>1\n2</pre><td><pre>a\nb</pre></table>",
    ):
        assert "|" not in text_of(file, html)


def test_rows_without_text_are_none(file: Path) -> None:
    assert lines_of(file, "<table><tr><td>&nbsp;<td><tr><td>a<td>b</table>") == ["a | b"]


def test_a_hidden_cell_takes_no_column(file: Path) -> None:
    html = "<table><tr><td rowspan=2>a<td hidden>b<td>c<tr><td style='display:none'>d<td>e</table>"
    assert lines_of(file, html) == ["a | c", "a | e"]


def test_cells_outside_of_a_table_stay_apart(file: Path) -> None:
    assert text_of(file, "<div><td>a</td><td>b</td></div>").split() in (["a", "b"], ["ab"])


# --- words and lines


def test_the_case_of_glued_words() -> None:
    text = read(CASES / "html_glued" / "faq.html").pages[0].text
    for wanted in ("warranty\nTwo years", "Address\nMill Lane", "Red\nBlue", "one\ntwo"):
        assert wanted in text
    assert "Big\n\nText" in text


@pytest.mark.parametrize("tag", "button label dialog center figcaption address menu span".split())
def test_words_of_neighbours_stay_apart(file: Path, tag: str) -> None:
    style = " style='display:block'" if tag == "span" else ""
    html = f"<p>x</p><{tag}{style}>Red</{tag}><{tag}{style}>Blue</{tag}>"
    assert text_of(file, html).split() == ["x", "Red", "Blue"]


def test_terms_stand_above_what_explains_them(file: Path) -> None:
    assert text_of(file, "<dl><dt>Seal<dd>A ring.<dt>Hose<dd>A pipe.</dl>") == (
        "Seal\nA ring.\nHose\nA pipe."
    )


def test_parts_of_a_word_stay_together(file: Path) -> None:
    assert text_of(file, "<p>un<b>believ</b>able<wbr>ness <i>of </i> it</p>") == (
        "unbelievableness of it"
    )


def test_lines_of_preformatted_text(file: Path) -> None:
    html = "<pre>\ndef f():\n    <b>return</b> 1\n</pre><textarea>one\r\ntwo</textarea>"
    assert text_of(file, html) == "def f():\n    return 1\n\none\ntwo"
    assert text_of(file, "<p style='white-space: pre-wrap'>a\n  b</p>") == "a\n  b"


def test_two_breaks_end_a_paragraph(file: Path) -> None:
    assert text_of(file, "a<br>b<br> <br>c") == "a\nb\n\nc"


def test_a_number_above_a_number_is_not_part_of_it(file: Path) -> None:
    html = "<p>10<sup>6</sup> m<sup>2</sup>, 7<sup>th</sup>, by <b>Quill</b><sup><a>1</a></sup></p>"
    assert text_of(file, html) == "10^6 m2, 7th, by Quill^1"


def test_formulas_in_one_line(file: Path) -> None:
    html = (
        "<p>So <math><mi>x</mi><mo>=</mo><mfrac><mn>1</mn><mn>2</mn></mfrac><mo>&#x2062;</mo>"
        "<msup><mi>y</mi><mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></msup>"
        "<annotation>\\frac12</annotation></math>.</p>"
    )
    assert text_of(file, html) == "So x=1/2 y^(n+1)."


def test_what_was_typed_into_a_form(file: Path) -> None:
    html = (
        "<label>Name</label><input value='Orla Quill'><input type=hidden value=no>"
        "<input type=password value=no><input type=checkbox value=no><input type=submit value=Go>"
    )
    assert text_of(file, html) == "Name Orla Quill"


# --- what is not seen

HIDDEN = [
    "<p hidden>no</p>",
    "<p aria-hidden=true>no</p>",
    "<p style='DISPLAY : none !important'>no</p>",
    "<p style='visibility:hidden'><b>no</b></p>",
    "<p style='font-size:0'>no <b>no</b></p>",
    "<p style='font-size:1px'>no</p>",
    "<p style='font:0/0 a'>no</p>",
    "<p style='opacity:0'>no</p>",
    "<p style='position:absolute; left:-9999px'>no</p>",
    "<p style='text-indent:-999em'>no</p>",
    "<p style='position:absolute;clip:rect(0, 0, 0, 0)'>no</p>",
    "<p style='height:0;overflow:hidden'>no</p>",
    "<p style='color:#fff'>no</p>",
    "<p style='color:white;background:rgb(255, 255, 255)'>no <b>no</b></p>",
    "<table bgcolor=red><tr><td><font color=red>no</font></table>",
    "<p style='color:transparent'>no</p>",
    "<template>no</template>",
    "<noscript>no</noscript>",
    "<video>no</video>",
    "<style>.gone{display:none}</style><p class='a gone'>no</p>",
    "<style>/* } */ p.x, #gone{color:red;display:none}</style><p id=gone>no</p>",
    "<style>@media screen{.gone{display:none}}</style><p class=gone>no</p>",
    "<style>.gone{display:none!important}</style><p class=gone style='display:block'>no</p>",
    "<style>.gone{visibility:hidden}</style><div class=gone><h2>no</h2></div>",
]


@pytest.mark.parametrize("html", HIDDEN)
def test_hidden_text_is_no_text(file: Path, html: str) -> None:
    document = page_of(file, f"<p>Oak.</p>{html}<p>End.</p>")
    assert document.pages[0].text == "Oak.\n\nEnd."
    assert not document.pages[0].headings


def test_the_hidden_case() -> None:
    text = read(CASES / "html_hidden" / "plan.html").pages[0].text
    assert text == "The committee chose oak for the floor."


SEEN = [
    "<p hidden=until-found>yes</p>",
    "<details>yes</details>",
    "<p style='visibility:hidden'><b style='visibility:visible'>yes</b></p>",
    "<div style='font-size:0'><b style='font-size:1rem'>yes</b></div>",
    "<p style='opacity:0;transition:opacity 1s'>yes</p>",  # fades in
    "<body style='visibility:hidden'><p>yes</p>",  # until a script shows it
    "<style>body{display:none}</style><p>yes</p>",
    "<div style='background:#000'><p style='color:#fff'>yes</p></div>",
    "<div style='background:url(x.png)'><p style='color:#fff'>yes</p></div>",
    "<link rel=stylesheet href=x.css><p style='color:#fff'>yes</p>",
    "<style>div .x{background:navy}</style><div><p class=x style='color:#fff'>yes</p></div>",
    "<p style='color:#fff;background-color:#fff'><a href=x>yes</a></p>",
    "<p style='color:transparent;-webkit-background-clip:text'>yes</p>",
    "<style>.t{display:none}.t.on{display:block}</style><p class='t on'>yes</p>",
    "<style>.t{display:none}.o>.t{display:block}</style><div class=o><p class=t>yes</p></div>",
    "<style>.t{display:none}@media(min-width:9px){.t{display:block}}</style><p class=t>yes</p>",
    "<style>@media print{.t{display:none}}</style><p class=t>yes</p>",
    "<style>.a .t{display:none}</style><p class=t>yes</p>",
    "<style>.t::after{display:none}</style><p class=t>yes</p>",
    "<style media=print>p{display:none}</style><p>yes</p>",
    "<span style='display:none'><math><mi>yes</mi></math></span>",
    "<template shadowrootmode=open><p>yes</p></template>",
]


@pytest.mark.parametrize("html", SEEN)
def test_text_that_may_be_seen_stays(file: Path, html: str) -> None:
    assert text_of(file, html) == "yes"


def test_hidden_pictures_are_none(file: Path) -> None:
    document = page_of(file, f"<div style='display:none'>{img('gone')}</div>{img('here')}")
    assert [(f.ordinal, f.caption) for f in document.figures] == [(0, "here")]


# --- headings, places, metadata


def test_headings_begin_where_their_text_does(file: Path) -> None:
    html = (
        "<h1>Guide</h1><p>Intro.</p><h2>Care<br>and <b>use</b><span hidden>x</span></h2>"
        "<p>Dry it.</p><h3> </h3>"
    )
    page = page_of(file, html).pages[0]
    assert [(page.text[h.start :][:4], h.title) for h in page.headings] == [
        ("Guid", "Guide"),
        ("Care", "Care and use"),
    ]


def test_pictures_belong_to_the_section_that_they_stand_in(file: Path) -> None:
    html = (
        f"<h2>Nuka</h2>{img('a')}<p>Lives in the cold hall.</p>{img('b')}"
        f"<h2>{img('c')}Sila</h2><table><tr><td>{img('d')}<td>x</table>"
    )
    figures = page_of(file, html).figures
    assert [f.section for f in figures] == ["Nuka", "Nuka", "Sila", "Sila"]
    assert figures[0].near == "Nuka Lives in the cold hall."


def test_what_a_page_says_of_itself_is_metadata(file: Path) -> None:
    document = page_of(
        file,
        "<html lang='en-IE'><head><meta name=Description content=' All  pumps '>"
        "<meta name=keywords content='oak, elm'><meta name=author content='Orla Quill'>"
        "<meta name=viewport content=x><svg><title>icon</title></svg></head><h1>Pumps</h1></html>",
    )
    assert document.metadata == {
        "description": "All pumps",
        "keywords": "oak, elm",
        "author": "Orla Quill",
        "language": "en-IE",
    }
    assert document.title == "Pumps"
    assert "oak" not in document.pages[0].text


# --- hostile pages


def test_spans_of_billions(file: Path) -> None:
    cell = "<td rowspan=65534 colspan=1000>x</td>"
    for html in (
        f"<table><tr>{cell * 300}</tr>{'<tr><td>y</td></tr>' * 300}</table>",
        f"<table>{f'<tr>{cell}</tr>' * 300}</table>",
        f"<table><tr>{'<td>a' * 300}</tr>{'<tr><td>b<td colspan=1000>c</tr>' * 300}</table>",
    ):
        assert len(text_of(file, html)) < 20 * len(html)


def test_ten_thousand_cells_and_deep_nesting(file: Path) -> None:
    assert text_of(file, "<table><tr>" + "<td><p>a</p>" * 10_000).count(" | ") == 9_999
    assert text_of(file, "<table><tr><td>" * 500 + "x") == "x"
    assert text_of(file, "<math>" + "<mfrac><mi>" * 300 + "x") == "x"


def test_styles_that_take_no_square_of_time(file: Path) -> None:
    """Each took minutes when its work grew with the square of its length."""
    for css in (
        "[a" * 200_000 + "{display:none}",
        "{" * 200_000,
        "a," * 200_000 + "b{display:none}",
        "p:x(" + "(" * 200_000 + "{display:none}",
        "".join(f".a.b{i}{{display:none}}" for i in range(5_000)),
    ):
        html = f"<style>{css}</style>" + "".join(f"<p class='a c{i}'>x</p>" for i in range(2_000))
        assert text_of(file, html).count("x") == 2_000
    assert text_of(file, f"<p style='opacity:{'0' * 200_000}x'>x</p>") in ("", "x")


def test_what_stands_behind_the_end_is_read(file: Path) -> None:
    """As in two pages that were put into one file."""
    file.write_text(
        "<html><body><h1>One</h1>first</body></html><div>second</div>"
        "<html><body><h2>Two</h2>third</body></html>"
    )
    page = read(file).pages[0]
    assert [heading.title for heading in page.headings] == ["One", "Two"]
    assert re.findall(r"first|second|third", page.text) == ["first", "second", "third"]
