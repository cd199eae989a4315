"""The page that shows an answer with its evidence, in a real browser."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import DEMO, run_command_line
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from reportlab.lib.pagesizes import A5
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from test_composer import make_hit
from test_logs import record

from ragvis._files import sha256_of_file
from ragvis.documents import read
from ragvis.documents.pdf_page import view
from ragvis.errors import BadFile
from ragvis.evidence import page as as_page
from ragvis.evidence.page import pieces
from ragvis.evidence.view import view_of
from ragvis.logs import Log
from ragvis.types import Source

FLAG = DEMO / "images" / "flag-japan.jpg"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Any]:
    """Opens a file as a person would; whatever it asks for, runs or complains of is kept."""
    page = browser.new_page(viewport={"width": 900, "height": 700})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))

    def open_(file: Path) -> Page:
        page.goto(file.as_uri())
        assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
        assert page.locator("script").count() == 0
        return page

    yield open_
    page.close()


def test_citations_lead_to_sources_as_their_reader_sees_them(
    demo_index: Path, tmp_path: Path, look: Any
) -> None:
    file = tmp_path / "page.html"
    question = "What is the capital of the country whose flag this is?"
    command = ["ask", question, "-a", FLAG, "-i", demo_index, "-m", "pocket", "--html", file]
    assert run_command_line(*command).exit_code == 0
    page = look(file)
    answer = json.loads(run_command_line("logs", "show", "--json").stdout)["answer"]
    assert page.locator(".answer").inner_text() == answer["answer"]
    link = page.locator(".answer a").last
    n = link.inner_text().strip("[]")
    link.click()
    target = page.locator(f"#source-{n}")
    assert page.url.endswith(f"#source-{n}")
    box = target.bounding_box()
    assert box is not None and -5 <= box["y"] < 700
    assert "Tokyo" in target.locator("mark").inner_text()
    assert "Population" in target.locator(".around").all_inner_texts()[0]
    width = page.locator("#source-1 img").evaluate("image => image.naturalWidth")
    with Image.open(FLAG) as flag:
        assert width == flag.width
    assert page.locator("code", has_text="ragvis replay 1").count() == 1
    table = page.locator("table").filter(has_text="kept for the answer").inner_text()
    assert str(answer["ledger"]["passages"]) in table
    page.screenshot(path=tmp_path / "page.png")
    again = tmp_path / "again.html"
    run_command_line("logs", "show", "1", "--html", again)
    assert again.read_text("utf-8") == file.read_text("utf-8")


def test_hostile_files_stay_text(tmp_path: Path, look: Any) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    evil = "</div><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }}"
    name = "a<img src=x onerror=alert(3)>.md"
    (notes / name).write_text(f"# {evil}\n\nThe pump weighs 12 kilograms. {evil}\n")
    index = ["-i", tmp_path / "index", "-m", "pocket"]
    run_command_line("index", notes, "-i", tmp_path / "index", "--encoder", "pocket")
    file = tmp_path / "page.html"
    asked = f"How much does the pump weigh? {evil}"
    result = run_command_line("ask", asked, *index, "--html", file)
    assert file.exists(), result.stderr
    page = look(file)
    assert page.locator("h1").inner_text() == asked
    assert evil in page.locator("mark").first.inner_text()
    assert name in page.locator(".source").first.inner_text()
    assert page.locator("img").count() == 0
    # Were there a hole, the page's policy would still forbid what comes through it
    blocked = page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); return window.ran === undefined }"
    )
    assert blocked


def test_a_changed_file_is_not_shown_as_what_was_read(tmp_path: Path, look: Any) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "pump.md").write_text("# Pump\n\nThe pump weighs 12 kilograms.\n")
    index = ["-i", tmp_path / "index"]
    run_command_line("index", notes, *index, "--encoder", "pocket")
    ask = ["ask", "How much does the pump weigh?", *index, "-m", "pocket", "--html"]
    run_command_line(*ask, tmp_path / "first.html")
    (notes / "pump.md").write_text("Nothing.")
    run_command_line("logs", "show", "--html", tmp_path / "page.html")
    page = look(tmp_path / "page.html")
    assert "has changed since" in page.locator(".trouble").inner_text()
    assert "12 kilograms" in page.locator("mark").inner_text()  # what the model read


def test_a_photo_that_was_not_shown_stands_apart(
    demo_index: Path, tmp_path: Path, look: Any
) -> None:
    file = tmp_path / "page.html"
    panda = str(DEMO / "images" / "animal-panda.jpg")
    question = "What do the sources say about the animal in the image?"
    run_command_line("ask", question, "-a", panda, "-i", demo_index, "-m", "pocket", "--html", file)
    page = look(file)
    photo = page.locator(".source", has_text=panda)
    assert "taken for “animal panda”, and not shown" in photo.inner_text()
    assert photo.locator("img").count() == 1
    assert page.locator("#uncited .source", has_text=panda).count() == 0


def test_a_refusal_has_a_page_too(demo_index: Path, tmp_path: Path, look: Any) -> None:
    file = tmp_path / "page.html"
    question = "zxqv blorf wimble quandary nonsense"
    run_command_line("ask", question, "-i", demo_index, "-m", "pocket", "-n", "--html", file)
    page = look(file)
    assert "not asked" in page.locator("p", has_text="came near").inner_text()
    assert "was not logged" in page.locator("body").inner_text()
    assert Log().newest(1) == []


def test_a_chat_about_a_picture_has_a_page_too(tmp_path: Path, look: Any) -> None:
    chat = ["chat", "--image", FLAG, "-m", "pocket", "-o", "max_new_tokens", "6"]
    assert run_command_line(*chat, stdin="What is it?\n").exit_code == 0
    assert run_command_line("logs", "show", "--html", tmp_path / "page.html").exit_code == 0
    page = look(tmp_path / "page.html")
    page.locator("#uncited summary").first.wait_for()
    assert page.locator("#source-1 img").is_visible()


def pdf(file: Path, turned: int = 0, cropped: bool = False) -> Path:
    """One page: words to find between others, and a red picture."""
    canvas = Canvas(str(file), pagesize=A5, pageCompression=0)
    canvas.setPageRotation(turned)
    if cropped:
        canvas.setCropBox((40, 50, 400, 560))
    canvas.drawString(60, 500, "Above stands nothing of interest, as so often.")
    canvas.drawString(60, 300, "The pump weighs 12 kilograms.")
    canvas.drawString(60, 120, "Below stands nothing of interest either.")
    red = io.BytesIO()
    Image.new("RGB", (80, 60), (255, 0, 0)).save(red, "PNG")
    canvas.drawImage(ImageReader(red), 200, 360, 80, 60)
    canvas.save()
    return file


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("cropped", [False, True])
def test_a_passage_and_a_picture_are_found_on_their_page(
    tmp_path: Path, turned: int, cropped: bool
) -> None:
    file = pdf(tmp_path / "a.pdf", turned, cropped)
    document = read(file)
    text = document.pages[0].text
    start = text.index("The pump")
    seen = view(file, 1, (start, start + len("The pump weighs 12 kilograms.")), None)
    dark = share_of(seen, lambda r, g, b: r + g + b < 300)
    assert 0.03 < dark < 0.9  # words
    long = [max(w * seen.picture.width, h * seen.picture.height) for _, _, w, h in seen.boxes]
    assert len(long) == 1 and 0.2 < long[0] / max(seen.picture.size) < 0.6
    red = view(file, 1, None, document.figures[0].bbox)
    assert share_of(red, lambda r, g, b: r > 200 and g < 80) > 0.97
    assert view(file, 1, (10_000, 10_020), None).boxes == ()
    with pytest.raises(BadFile, match="no page 7"):
        view(file, 7, None, None)


def share_of(seen: Any, wanted: Any) -> float:
    """Of the pixels in its boxes."""
    width, height = seen.picture.size
    pixels = []
    for left, top, w, h in seen.boxes:
        edges = (left * width, top * height, (left + w) * width, (top + h) * height)
        data = seen.picture.crop(tuple(map(round, edges))).tobytes()
        pixels += list(zip(data[::3], data[1::3], data[2::3], strict=True))
    return sum(wanted(*pixel) for pixel in pixels) / len(pixels)


def test_what_is_around_a_passage_is_whole_words(tmp_path: Path) -> None:
    for line in (
        "The compressor needs quarterly maintenance. ",
        "合同自簽字之日起生效，",
        "é" * 90,
    ):
        file = tmp_path / "a.txt"
        text = (line * 99).strip()
        file.write_text(text, "utf-8")
        middle = text.index(line, len(text) // 2)
        span = (middle, middle + len(line.strip()))
        sha256 = sha256_of_file(file)
        hit = replace(make_hit(1), file=str(file), path="a.txt", span=span, sha256=sha256)
        for first in range(20):
            start, end = span[0] - first, span[1]
            view_ = view_of(Source(1, replace(hit, span=(start, end)), "text"))
            assert view_.before[0] == view_.after[-1] == "…" and view_.trouble == ""
            before, after = view_.before[1:], view_.after[:-1]
            assert before + view_.passage + after in text and len(before) > 300 < len(after)
            if " " in line.strip():
                words = {*line.split()}
                assert before.split()[0] in words and after.split()[-1] in words
        whole = view_of(Source(1, replace(hit, span=(0, len(text))), "text"))
        assert (whole.before, whole.passage, whole.after) == ("", text, "")


@pytest.mark.parametrize(
    ("supported", "said", "sentences"),
    [
        (None, "", []),
        ([], "There was no sentence to check.", []),
        ([True], "What is cited bears out the sentence.", ["Borne out (0.93): It is red [1]."]),
        (
            [True, True],
            "What is cited bears out every sentence.",
            ["Borne out (0.93): It is red [1].", "Borne out (0.93): <b> & more."],
        ),
        (
            [True, False],
            "Doubtful: 1 of 2. The sources cited may not say this.",
            ["Borne out (0.93): It is red [1].", "Doubtful (0.21): <b> & more."],
        ),
    ],
)
def test_the_verdict_stands_in_the_page(
    supported: list[bool] | None, said: str, sentences: list[str]
) -> None:
    made = record("It is red [1]. <b> & more.")
    spans = ((0, 14), (15, 26))
    made["answer"] |= {"ledger": None, "sources": [], "timing_s": {}}
    made["answer"]["support"] = (
        supported
        if supported is None
        else [
            {"start": start, "end": end, "score": 0.93 if good else 0.21, "supported": good}
            for (start, end), good in zip(spans, supported, strict=False)
        ]
    )
    page = html.fromstring(as_page(made, 1))
    assert [one.text_content() for one in page.findall(".//p[@id='verdict']")] == [said] * bool(
        said
    )
    found = page.findall(".//ul[@class='verdicts']/li")
    assert [one.text_content().strip() for one in found] == sentences


@given(
    text=st.text(min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), min_size=2, max_size=6, unique=True),
)
def test_the_pieces_of_an_answer_are_all_of_it(text: str, cuts: list[int]) -> None:
    edges = sorted({min(cut, len(text)) for cut in cuts})
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    cited = [{"n": n, "start": start, "end": end} for n, (start, end) in enumerate(spans)]
    doubt = {"start": 0, "end": len(text), "score": 0.1, "supported": False}
    for support in ([], [doubt]):
        found = list(pieces({"answer": text, "citations": cited, "support": support}))
        assert "".join(piece.text for piece in found) == text
        assert [piece.n for piece in found if piece.n is not None] == list(range(len(spans)))
        assert all(piece.doubted == bool(support) for piece in found)
