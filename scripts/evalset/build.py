"""Write the evaluation set's collection of files: python scripts/evalset/build.py

The result is committed, so that every machine measures the same files; run this only to change it.
"""

from __future__ import annotations

import base64
import html
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

import docx
from docx.shared import Cm
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import cm
from reportlab.platypus import Image as PdfImage
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer
from texts import GUIDES, LETTERS, MINUTES, POLICIES
from world import (
    ANIMALS,
    CAMERA,
    CHARTS,
    GUESTS,
    LECTURES,
    PEOPLE,
    PRODUCTS,
    RECEIPTS,
    TOOLS,
    TRIPS,
    Person,
    Product,
    Receipt,
)

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "indexes" / "demo-collection" / "images"
OUT = ROOT / "tests" / "evalset" / "collection"
QUERIES = ROOT / "tests" / "evalset" / "queries"
Part = str | tuple[bytes, str]  # a paragraph ("# " opens a heading), or a picture and its caption


def jpeg(name: str, longest: int = 360) -> bytes:
    """A picture of the demo collection, made smaller."""
    with Image.open(PICTURES / f"{name}.jpg") as picture:
        small = picture.convert("RGB")
        small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return encoded(small, "jpeg", quality=82)


def encoded(picture: Image.Image, kind: str, **options: int) -> bytes:
    """The picture's file."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def write(name: str, content: str | bytes) -> None:
    """One file of the collection."""
    file = OUT / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


# --- formats ------------------------------------------------------------------------------


def as_html(title: str, parts: Iterable[Part]) -> str:
    """A web page with its pictures inside."""
    lines = [f"<html><head><title>{html.escape(title)}</title></head><body>"]
    for part in parts:
        if isinstance(part, tuple):
            data, caption = base64.b64encode(part[0]).decode(), html.escape(part[1], quote=True)
            lines.append(f'<p><img alt="{caption}" src="data:image/jpeg;base64,{data}"></p>')
        elif part.startswith("# "):
            lines.append(f"<h2>{html.escape(part[2:])}</h2>")
        else:
            lines.append(f"<p>{html.escape(part)}</p>")
    return "\n".join([*lines, "</body></html>\n"])


def as_docx(title: str, parts: Iterable[Part]) -> bytes:
    """A Word document; captions are the pictures' alternative texts."""
    document = docx.Document()
    document.add_heading(title, 0)
    for part in parts:
        if isinstance(part, tuple):
            shape = document.add_picture(io.BytesIO(part[0]), width=Cm(7))
            shape._inline.docPr.set("descr", part[1])
        elif part.startswith("# "):
            document.add_heading(part[2:], 1)
        else:
            document.add_paragraph(part)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def as_pdf(title: str, parts: Iterable[Part]) -> bytes:
    """A PDF; every heading but the first opens a page."""
    styles = getSampleStyleSheet()
    story: list[object] = [Paragraph(title, styles["Title"])]
    headings = 0
    for part in parts:
        if isinstance(part, tuple):
            with Image.open(io.BytesIO(part[0])) as picture:
                ratio = picture.height / picture.width
            story += [PdfImage(io.BytesIO(part[0]), 7 * cm, 7 * cm * ratio), Spacer(0, 12)]
        elif part.startswith("# "):
            story += [PageBreak()] if headings else []
            story.append(Paragraph(part[2:], styles["Heading1"]))
            headings += 1
        else:
            story.append(Paragraph(html.escape(part), styles["BodyText"]))
    out = io.BytesIO()
    SimpleDocTemplate(out, title=title, invariant=1).build(story)
    return out.getvalue()


def as_markdown(title: str, parts: Iterable[Part]) -> str:
    """Markdown, without pictures."""
    shown = [f"## {p[2:]}" if p.startswith("# ") else p for p in parts if isinstance(p, str)]
    return "\n\n".join([f"# {title}", *shown]) + "\n"


# --- papers -------------------------------------------------------------------------------


def card(person: Person) -> str:
    """What is said of one of the staff."""
    return (
        f"{person.name} has been {person.role} since {person.since}. Room {person.room},"
        f" extension {person.extension}. {person.note}"
    )


def manual(product: Product) -> list[Part]:
    """A product's manual."""
    return [
        "# Description",
        f"The {product.name} is a {product.kind}. {product.facts}",
        "# Signals and faults",
        product.fault,
        "# Care",
        product.care,
        "# Warranty",
        f"The maker stands by this {product.kind} for {product.warranty} from the day of delivery.",
    ]


def staff() -> None:
    """Eight cards by themselves, the others in a directory."""
    for person in PEOPLE[:8]:
        write(f"staff/{person.name.split()[1].lower()}.txt", card(person) + "\n")
    rest: list[Part] = []
    for person in PEOPLE[8:]:
        rest += [f"# {person.name}", card(person)]
    write("staff/directory.html", as_html("Staff directory, second part", rest))


def manuals() -> None:
    """Each product's in one of four formats."""
    for n, product in enumerate(PRODUCTS):
        name = f"manuals/{product.name.lower().replace(' ', '-')}"
        title, parts = f"{product.name} {product.kind}, owner's manual", manual(product)
        match n % 4:
            case 0:
                write(f"{name}.pdf", as_pdf(title, parts))
            case 1:
                write(f"{name}.docx", as_docx(title, parts))
            case 2:
                write(f"{name}.md", as_markdown(title, parts))
            case _:
                write(f"{name}.html", as_html(title, parts))


def animals() -> None:
    """Eight have a paper and a photo under their name; the others share an illustrated page."""
    for animal in ANIMALS[:8]:
        text = (
            f"{animal.name} the {animal.species} came to Larkspur on {animal.came} and lives in"
            f" {animal.ward}. {animal.name} {animal.story}. Weight on arrival: {animal.weight}."
        )
        write(f"patients/{animal.name.lower()}.md", as_markdown(f"Patient: {animal.name}", [text]))
        write(f"animals/{animal.name.lower()}.jpg", jpeg(animal.picture))
    page: list[Part] = []
    for animal in ANIMALS[8:]:
        page += [
            f"# {animal.name}",
            (jpeg(animal.picture, 240), f"{animal.name}, the {animal.species}"),
            f"{animal.name} lives in {animal.ward} since {animal.came}, weighs {animal.weight},"
            f" {animal.story}.",
        ]
    write("patients/gallery.html", as_html("Residents of Larkspur", page))


def papers() -> None:
    """Everything that is mostly text."""
    write("house-rules.md", POLICIES)
    for name, text in {**MINUTES, **LETTERS}.items():
        write(f"office/{name}.txt", text)
    for name, text in GUIDES.items():
        write(f"guides/{name}.md", text)
    ledger = [f"The {t.name} lies in {t.drawer}; it is lent to {t.borrower}." for t in TOOLS]
    write("workshop/tool-ledger.md", as_markdown("Tool ledger of the workshop", ledger))
    notes = [f"{t.when}: {t.who} travelled to {t.place} and {t.event}." for t in TRIPS]
    write("travel/notes.txt", "Travel notes of the staff\n\n" + "\n\n".join(notes) + "\n")


def illustrated() -> None:
    """Papers in which pictures stand beside the text about them."""
    guests: list[Part] = []
    for guest in GUESTS:
        guests += [
            f"# {guest.house}",
            (jpeg(guest.picture, 240), f"flag of {guest.country}"),
            f"The delegation of {guest.country}, led by {guest.head}, stayed in {guest.house} and"
            f" brought {guest.gift}.",
        ]
    write("office/delegations.docx", as_docx("Delegations of the jubilee", guests))
    evenings: list[Part] = []
    for lecture in LECTURES:
        evenings += [
            f"# Evening about {lecture.subject}",
            (jpeg(lecture.picture, 300), ""),
            f"On {lecture.day} Mina Trelawney spoke about {lecture.subject} to {lecture.visitors}"
            f" visitors. Entrance was {lecture.fee}.",
        ]
    write("office/lectures.pdf", as_pdf("Lecture evenings 2025", evenings))


def photos() -> None:
    """Pictures under names that say what they show, and under a camera's."""
    for trip in TRIPS:
        place = trip.picture.removeprefix("landmark-")
        write(f"travel/{trip.when.split()[1]}-{place}.jpg", jpeg(trip.picture))
    for tool in TOOLS:
        write(f"workshop/{tool.name.replace(' ', '-')}.jpg", jpeg(tool.picture))
    for name, picture in CAMERA.items():
        write(f"camera/{name}.jpg", jpeg(picture))


# --- drawn pictures -----------------------------------------------------------------------


def receipt(paper: Receipt) -> bytes:
    """A till receipt."""
    picture = Image.new("RGB", (300, 360), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(18)
    lines = [paper.shop, paper.day, "", *(f"{n:<18}{p:>8}" for n, p in paper.lines)]
    for row, line in enumerate([*lines, "", f"{'TOTAL':<18}{paper.total:>8}"]):
        pen.text((20, 20 + 30 * row), line, "black", font)
    return encoded(picture, "png")


def chart(title: str, names: Sequence[str], values: Sequence[int]) -> bytes:
    """Bars with their names and values."""
    picture = Image.new("RGB", (480, 320), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    pen.text((20, 10), title, "black", font)
    step = 440 // len(values)
    for n, (name, value) in enumerate(zip(names, values, strict=True)):
        left, top = 30 + n * step, 280 - 220 * value // max(values)
        pen.rectangle((left, top, left + step // 2, 280), "steelblue")
        pen.text((left, top - 18), str(value), "black", font)
        pen.text((left, 286), name, "black", font)
    return encoded(picture, "png")


def drawn() -> None:
    """Receipts and charts; two of the charts stand in the annual report alone."""
    for paper in RECEIPTS:
        write(f"receipts/{paper.day}-{paper.file}.png", receipt(paper))
    report: list[Part] = ["# Figures", "The year in figures, as shown to the board."]
    for name, title, names, values in CHARTS:
        picture = chart(title, names, values)
        if name in ("heron-count", "water-use"):
            report += [(picture, title)]
        else:
            write(f"charts/{name}.png", picture)
    write("office/annual-report.docx", as_docx("Annual report 2025", report))
    sums = [f"{r.day}: {r.shop}, {r.total} crowns, paid by Lotte Pemberley." for r in RECEIPTS[:4]]
    write("office/accounts-2025.html", as_html("Accounts 2025", ["# Paid receipts", *sums]))


# --- questions ----------------------------------------------------------------------------


def asked() -> list[dict[str, Any]]:
    """The questions of questions.txt as ``ragvis eval`` takes them."""
    lines = (Path(__file__).parent / "questions.txt").read_text("utf-8").splitlines()
    counts: Counter[str] = Counter()
    found = []
    for line in (line for line in lines if line and not line.startswith("#")):
        kind, question, relevant, answer, photo = [*map(str.strip, line.split("|")), "", "", ""][:5]
        counts[kind] += 1
        row: dict[str, Any] = {"id": f"{kind}{counts[kind]:02}", "question": question}
        row |= {"images": [f"queries/{photo}.jpg"]} if photo else {}
        row["relevant"] = relevant.split(";") if relevant else []
        row |= {"answer": answer.split(";")} if answer else {}
        found.append({**row, "answerable": kind != "n"})
    return found


def questions() -> None:
    """Split once, half of each kind to tune on and half to test on, by a hash of the question."""
    halves: dict[str, list[dict[str, Any]]] = {"tune": [], "test": []}
    for _, group in groupby(asked(), key=lambda row: row["id"][0]):
        order = sorted(group, key=lambda row: sha256(row["question"].encode()).digest())
        halves["tune"] += order[::2]
        halves["test"] += order[1::2]
    for name, rows in halves.items():
        rows.sort(key=lambda row: row["id"])
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (OUT.parent / f"{name}.jsonl").write_text(text, "utf-8")


def photos_to_ask_with() -> None:
    """The middle of a picture, brighter and smaller, as another camera has it."""
    shutil.rmtree(QUERIES, ignore_errors=True)
    QUERIES.mkdir(parents=True)
    for name in sorted({Path(i).stem for row in asked() for i in row.get("images", ())}):
        with Image.open(PICTURES / f"{name}.jpg") as opened:
            whole = opened.convert("RGB")
        w, h = whole.size
        part = whole.crop((w // 12, h // 12, w - w // 12, h - h // 12))
        part = part.point(lambda value: min(255, int(value * 1.12) + 6))
        part.thumbnail((256, 256), Image.Resampling.BILINEAR)
        (QUERIES / f"{name}.jpg").write_bytes(encoded(part, "jpeg", quality=75))


def main() -> None:
    """Write it all anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    for make in (staff, manuals, animals, papers, illustrated, photos, drawn, photos_to_ask_with):
        make()
    questions()


if __name__ == "__main__":
    main()
