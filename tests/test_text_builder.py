"""Text made of tokens: whatever a reader says, offsets are exact and rows keep their columns."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ragvis.documents.model import Page
from ragvis.documents.passages import Cutter
from ragvis.documents.table import Cell, arrange
from ragvis.documents.text_builder import TextBuilder
from ragvis.documents.text_tokens import Break

WORDS = st.text(st.sampled_from("ab 1.\n\t"), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), WORDS),
        st.tuples(st.just("inline"), WORDS),
        st.tuples(st.just("break"), st.sampled_from(Break)),
        st.tuples(st.sampled_from(["mark", "heading", "row", "cell", "close"]), st.none()),
    ),
    max_size=60,
)


def built(steps: list[tuple[str, object]]) -> TextBuilder:
    """What a reader would say; whatever is open at the end is closed."""
    builder = TextBuilder()
    opened: list[str] = []

    def close() -> None:
        kind = opened.pop()
        {"heading": builder.end_heading, "row": builder.end_row, "cell": builder.end_cell}[kind]()

    for number, (step, value) in enumerate(steps):
        if step == "write":
            builder.write(str(value))
        elif step == "inline":
            builder.write_inline(str(value))
        elif step == "break":
            assert isinstance(value, Break)
            builder.add_break(value)
        elif step == "mark":
            builder.mark(number)
        elif step == "close" and opened:
            close()
        elif step == "heading" and "heading" not in opened and builder.start_heading():
            opened.append(step)
        elif step == "row" and (not opened or opened[-1] == "cell"):
            builder.start_row()
            opened.append(step)
        elif step == "cell" and opened and opened[-1] == "row":
            builder.start_cell(number)
            opened.append(step)
    while opened:
        close()
    return builder


@given(STEPS)
def test_headings_and_places_are_where_they_are_said_to_be(
    steps: list[tuple[str, object]],
) -> None:
    story = built(steps).story()
    for heading in story.headings:
        words = " ".join(story.text[heading.start :].split())
        assert words.replace(" | ", " ").startswith(heading.title.split()[0])
        assert not story.text[heading.start].isspace()
    assert all(0 <= at <= len(story.text) for at in story.places.values())
    assert list(story.places.values()) == sorted(story.places.values())
    assert [h.start for h in story.headings] == sorted(h.start for h in story.headings)


@given(STEPS)
def test_no_letter_is_lost_and_passages_partition_the_text(
    steps: list[tuple[str, object]],
) -> None:
    story = built(steps).story()
    said = "".join(str(value) for step, value in steps if step in ("write", "inline"))
    assert [c for c in story.text if c in "ab1."] == [c for c in said if c in "ab1."]
    page = Page(None, story.text, story.headings)
    passages = Cutter(lambda texts: [len(t) for t in texts], limit=20).cut(page)
    spans = [p.span for p in passages]
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    inside = "".join(story.text[slice(*span)] for span in spans)
    assert inside.split() == story.text.split()


SPANS = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(st.lists(st.lists(SPANS, max_size=5), max_size=6))
def test_every_cell_has_one_place_of_its_own(rows: list[list[tuple[int, int]]]) -> None:
    cells = [[Cell(object(), across, down) for across, down in row] for row in rows]
    slots = arrange(cells)
    assert len(slots) == len(rows)
    for row, line in zip(cells, slots, strict=True):
        assert [slot.cell for slot in line if slot.is_own] == row


def test_a_table_without_overlap_is_a_rectangle() -> None:
    a, b, c, d, e = (object() for _ in range(5))
    slots = arrange([[Cell(a, 1, 2), Cell(b, 2)], [Cell(c), Cell(d)], [Cell(e, 3)]])
    shown = [[slot.cell.key if slot.cell else None for slot in line] for line in slots]
    assert shown == [[a, b, None], [a, c, d], [e]]
