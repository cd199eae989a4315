"""Which column each cell of a table stands in, once merged cells are spread over what they cover.

The columns are those of the row with the most cells, and a cell covers a column if it covers its
middle. A span that no other cell divides is one column, whatever number the file gives.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SPARE = 10  # slots of merged cells for each cell of a table; hostile spans ask for billions
_SPARE_AT_LEAST = 100


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A cell as the file has it. ``key`` tells it apart; None stands for a place left out."""

    key: Any
    across: int = 1  # columns
    down: int = 1  # rows
    is_header: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """One column of one row: a cell's own place, or one that it covers too.

    A merged cell is said again in the rows below, and a header over all its columns. Elsewhere
    its further columns are blank (``cell`` is None).
    """

    cell: Cell | None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class _Placed:
    cell: Cell
    start: int  # column
    end: int
    first: int  # row
    last: int


def arrange(rows: Sequence[Sequence[Cell]]) -> list[list[Slot]]:
    """The slots of each row, from left to right; time and size are linear in the cells."""
    spare = _SPARE * sum(map(len, rows)) + _SPARE_AT_LEAST
    lines = _place(rows, spare)
    columns = sorted((p.start + p.end) / 2 for p in max(lines, key=len, default=[]))
    slots = []
    for number, line in enumerate(lines):
        slots.append(_slots(line, number, columns, spare))
        spare -= len(slots[-1]) - len(line)
    return slots


def _place(rows: Sequence[Sequence[Cell]], spare: int) -> list[list[_Placed]]:
    lines: list[list[_Placed]] = []
    hanging: list[_Placed] = []  # cells of rows above that reach into this one
    for number, row in enumerate(rows):
        spare -= len(hanging)
        lines.append(_line(row, number, hanging if spare >= 0 else []))
        hanging = [placed for placed in lines[-1] if placed.last > number]
    return lines


def _line(row: Sequence[Cell], number: int, hanging: list[_Placed]) -> list[_Placed]:
    """The row's own cells in the columns that the rows above leave free."""
    line: list[_Placed] = []
    column = above = 0
    for cell in row:
        while above < len(hanging) and hanging[above].start <= column:
            column = max(column, hanging[above].end)
            line.append(hanging[above])
            above += 1
        end = column + cell.across
        line.append(_Placed(cell, column, end, number, number + cell.down - 1))
        column = end
    return line + hanging[above:]


def _slots(line: list[_Placed], number: int, columns: list[float], spare: int) -> list[Slot]:
    if len(line) == 1:
        return [Slot(line[0].cell, is_own=line[0].first == number)]
    slots: list[Slot] = []
    for placed in line:
        start, end = (bisect_left(columns, at) for at in (placed.start, placed.end))
        gap = max(0, start - len(slots))
        more = max(0, end - len(slots) - gap - 1)
        spare -= gap + more
        if spare < 0:
            gap = more = 0
        cell = placed.cell if placed.cell.key is not None else None
        slots += [Slot(None)] * gap
        slots.append(Slot(cell, is_own=cell is not None and placed.first == number))
        slots += [Slot(cell if cell and cell.is_header else None)] * more
    return slots
