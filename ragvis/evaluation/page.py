"""An evaluation as one HTML page: measures, two plots, and every failure. It loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ragvis.evaluation.questions import Target
from ragvis.evaluation.report import Measure, Report

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1b1b;background:#fff}table{border-collapse:collapse}td,th{padding:.15rem .8rem;"
    "text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}"
    "svg{background:#fafafa;border:1px solid #ddd}.right{color:#060}.wrong{color:#a00}"
)
_WIDTH, _HEIGHT, _EDGE = 420, 260, 40
_COLOURS = ("#1f6f8b", "#c8553d")


def page(report: Report, title: str) -> str:
    """The page as text."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        f"<p>{escape(_about(report))}</p>",
        _table(report),
        "<h2>Recall by modality</h2>",
        _bars(report.measures),
        "<h2>Risk and coverage</h2><p>Questions are taken in order of their best hit's score. "
        "Coverage: share of them that is answered. Risk: share of the answered ones for which "
        "nothing relevant is among the first five hits (an unanswerable one always counts).</p>",
        _curve(risk_coverage(report.rows)),
        _missing(report.about.get("missing", ())),
        "<h2>Failures</h2>",
        _failures(report.rows),
    ]
    return "\n".join(parts) + "\n</html>\n"


def risk_coverage(rows: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    """(coverage, risk) after each question, surest first (El-Yaniv and Wiener, 2010)."""
    surest = sorted(rows, key=lambda row: -row["best"])
    wrong, points = 0, []
    for n, row in enumerate(surest, 1):
        wrong += not _is_found(row)
        points.append((n / len(surest), wrong / n))
    return points


def _is_found(row: dict[str, Any]) -> bool:
    return bool(row["answerable"]) and any(rank and rank <= 5 for rank in row["ranks"])


def _about(report: Report) -> str:
    index = report.about["index"]
    said = f"{report.about['questions']} questions, index {index['path']}, {index['encoder']}"
    return said + (f", model {report.about['model']['name']}" if "model" in report.about else "")


def _table(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{m.value:.3f}<td>{m.low:.3f} to {m.high:.3f}<td>{m.n}"
        for name, m in report.ordered()
    )
    return f"<table><tr><th>measure<th>mean<th>95 % interval<th>n{rows}</table>"


def _bars(measures: dict[str, Measure]) -> str:
    names = [f"{m}.recall@{k}" for k in (1, 5, 10) for m in ("text", "image")]
    shown = [(n, measures[n]) for n in names if n in measures]
    step = (_WIDTH - 2 * _EDGE) / max(1, len(shown))
    parts = [_axes()]
    for i, (name, measure) in enumerate(shown):
        left, top = _EDGE + i * step, _y(measure.value)
        colour = _COLOURS[name.startswith("image")]
        middle = left + step * 0.4
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{step * 0.8:.1f}"'
            f' height="{_HEIGHT - _EDGE - top:.1f}" fill="{colour}"><title>{name}:'
            f" {measure.value:.3f}</title></rect>"
            f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{_y(measure.low):.1f}"'
            f' y2="{_y(measure.high):.1f}" stroke="#111"/>'
            f'<text x="{middle:.1f}" y="{_HEIGHT - 22}" font-size="10" text-anchor="middle">'
            f"{name.replace('.recall', ' ')}</text>"
        )
    return _svg(parts)


def _curve(points: Sequence[tuple[float, float]]) -> str:
    line = " ".join(f"{_x(c):.1f},{_y(r):.1f}" for c, r in points)
    drawn = f'<polyline points="{line}" fill="none" stroke="{_COLOURS[0]}" stroke-width="2"/>'
    label = f'<text x="{_WIDTH // 2}" y="{_HEIGHT - 6}" font-size="11">coverage</text>'
    return _svg([_axes(), drawn, label, '<text x="4" y="14" font-size="11">risk</text>'])


def _axes() -> str:
    lines = [
        f'<line x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{_y(v):.1f}" y2="{_y(v):.1f}"'
        f' stroke="#ddd"/><text x="8" y="{_y(v) + 4:.1f}" font-size="10">{v}</text>'
        for v in (0, 0.25, 0.5, 0.75, 1)
    ]
    return "".join(lines)


def _x(share: float) -> float:
    return _EDGE + share * (_WIDTH - 2 * _EDGE)


def _y(share: float) -> float:
    return _HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE)


def _svg(parts: Sequence[str]) -> str:
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f"<svg {size} role=img>{''.join(parts)}</svg>"


def _missing(files: Sequence[dict[str, Any]]) -> str:
    if not files:
        return ""
    lines = "\n".join(
        f"<li>{escape(one['path'])}{escape(_why(one))}: {escape(', '.join(one['questions']))}"
        for one in files
    )
    return (
        "<h2>Not in the index</h2><p>Files that questions want and that the index does not hold, "
        f"with the ids of the questions: they can only be missed.</p><ul>{lines}</ul>"
    )


def _why(missing: dict[str, Any]) -> str:
    return f" (could not be read: {missing['reason']})" if missing["reason"] else ""


def _failures(rows: Sequence[dict[str, Any]]) -> str:
    lines = [line for row in rows for line in _failure(row)]
    return "<ul>" + "\n".join(lines) + "</ul>" if lines else "<p>None.</p>"


def _failure(row: dict[str, Any]) -> list[str]:
    values, said = row["values"], row.get("answer")
    wrong = row["answerable"] and values["recall@5"] < 1
    wrong = wrong or values.get("answers.match") == 0 or values.get("answers.false_refusal") == 1
    if not wrong and not values.get("answers.false_answer"):
        return []
    targets = [Target(**t) for t in row["relevant"]]
    wanted = ", ".join(t.path for t in targets) or "nothing"
    first = ", ".join(_found(h, targets) for h in row["hits"][:3]) or "nothing"
    told = f" Answer: {escape(said)}" if said is not None else ""
    return [
        f"<li><b>{escape(str(row['id']))}</b> {escape(row['question'])}<br>wanted"
        f" {escape(wanted)}; found {first}.{told}"
    ]


def _found(hit: dict[str, Any], targets: Sequence[Target]) -> str:
    """A hit's path, marked as what it is by a sign and not by its colour alone."""
    is_right = any(t.names(hit["path"]) and t.is_at(hit["page"], hit["modality"]) for t in targets)
    kind, sign = ("right", "✓") if is_right else ("wrong", "✗")
    return f"<span class={kind}>{escape(hit['path'])} {sign}</span>"
