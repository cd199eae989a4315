"""Tables of what two readers make of the same files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from second_readers import Report, Row

HEAD = f"{'ours':>7}{'theirs':>8}{'lost':>7}{'extra':>7}{'spacing':>9}{'aside':>7}{'order':>7}"
BAD = {"ours-bad": "only ours refused it", "theirs-bad": "only theirs refused it"}


def print_report(report: Report, worst: int) -> None:
    """Files by kind and source, then a table for each kind and reader, the worst first."""
    for name, why in report.skipped.items():
        print(f"skipped: {name}: {why}")
    print_sources(report.rows)
    for kind, reader in dict.fromkeys((r.kind, r.reader) for r in report.rows):
        rows = [r for r in report.rows if (r.kind, r.reader) == (kind, reader)]
        print_table(f"{kind} against {reader}", rows, worst)
    spent = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in report.seconds.items())
    print(f"\ntime: {spent}; {sum(report.seconds.values()):.0f} s in all")


def print_sources(rows: list[Row]) -> None:
    """How many files of each kind a project gave."""
    files = {(r.kind, r.source, r.path) for r in rows}
    counts = Counter((kind, source) for kind, source, _ in files)
    print(f"{len(files)} files")
    for kind in dict.fromkeys(r.kind for r in rows):
        of_kind = {source: n for (k, source), n in sorted(counts.items()) if k == kind}
        listed = ", ".join(f"{source} {n}" for source, n in of_kind.items())
        print(f"  {kind:9}{sum(of_kind.values()):5}  {listed}")


def print_table(title: str, rows: list[Row], worst: int) -> None:
    """One kind of file by one reader."""
    judged = [r for r in rows if r.state in ("both", "ours-bad")]
    print(f"\n{title}: {_states(rows)}")
    print(f"{HEAD}  file")
    sums = [sum(measure(r) for r in judged) for measure in _COUNTS]
    print(_line(sums, _mean([r.difference.order for r in judged]), f"all {len(judged)}"))
    differing = [r for r in judged if not _same(r)]
    for row in sorted(differing, key=_weight, reverse=True)[:worst]:
        print(_line([measure(row) for measure in _COUNTS], row.difference.order, _named(row)))
        for what, words in zip(("lost", "extra", "spaced"), row.difference.examples, strict=True):
            if words:
                print(f"{'':12}{what}: {' '.join(words)[:150]}")
    print(f"{len(judged) - len(differing)} of {len(judged)} files without a difference")
    for row in rows:
        if row.state == "bad":
            print(f"{'':12}refused by both: {row.source} {row.name}: {row.ours_error}")


def print_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Totals of two runs over the files that both read, and the files that changed most."""
    old, new = ({(r["path"], r["reader"]): r for r in run["rows"]} for run in (before, after))
    both = [key for key in new if key in old]
    print(f"\nbefore and after, {len(both)} rows that both runs have")
    for kind, reader in dict.fromkeys((new[k]["kind"], new[k]["reader"]) for k in both):
        keys = [k for k in both if (new[k]["kind"], new[k]["reader"]) == (kind, reader)]
        told = []
        for what in ("lost", "extra"):
            was, now = (sum(_differs(run[k], what) for k in keys) for run in (old, new))
            told.append(f"{what} {was} -> {now}")
        print(f"  {kind} against {reader}: {', '.join(told)}")
    changes = {k: _all(new[k]) - _all(old[k]) for k in both}
    for key in sorted(changes, key=lambda k: -abs(changes[k]))[:40]:
        if changes[key]:
            print(f"{changes[key]:+8}  {key[1]:11} {new[key]['source']} {new[key]['name']}")


def _differs(row: dict[str, Any], what: str) -> int:
    return int(row["difference"][what]) if row["state"] in ("both", "ours-bad") else 0


def _all(row: dict[str, Any]) -> int:
    return _differs(row, "lost") + _differs(row, "extra")


_COUNTS: tuple[Callable[[Row], int], ...] = (
    lambda r: r.difference.ours,
    lambda r: r.difference.theirs,
    lambda r: r.difference.lost,
    lambda r: r.difference.extra,
    lambda r: r.difference.spacing,
    lambda r: r.difference.elsewhere,
)


def _same(row: Row) -> bool:
    found = row.difference
    return row.state == "both" and not found.lost and not found.extra and found.order > 0.98


def _weight(row: Row) -> float:
    return row.difference.weight + (1 - row.difference.order) / 10


def _line(counts: list[int], order: float, name: str) -> str:
    ours, theirs, lost, extra, spacing, aside = counts
    numbers = f"{ours:7}{theirs:8}{lost:7}{extra:7}{spacing:9}{aside:7}"
    return f"{numbers}{order:7.2f}  {name}"


def _named(row: Row) -> str:
    said = f" ({BAD[row.state]}: {row.ours_error})" if row.state == "ours-bad" else ""
    note = f" [{row.note}]" if row.note else ""
    return f"{row.source} {row.name}{note}{said}"


def _states(rows: list[Row]) -> str:
    names = {"both": "read by both", "bad": "refused by both", **BAD}
    counts = Counter(r.state for r in rows)
    return ", ".join(f"{counts[state]} {name}" for state, name in names.items() if counts[state])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 1.0
