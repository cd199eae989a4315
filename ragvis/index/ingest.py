"""Making the catalog say what is in the files: read, cut, embed, commit, in bounded batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis import documents
from ragvis._files import sha256_of_file
from ragvis.documents.model import short
from ragvis.documents.passages import Cutter
from ragvis.errors import BadFile
from ragvis.index.batches import Batches
from ragvis.index.walk import Found, Walk
from ragvis.store.catalog import Catalog, FileRow, ItemRow

if TYPE_CHECKING:
    from ragvis.documents import Document
    from ragvis.encoder import Encoder

PASSAGE_TOKENS = 128  # longest passage, where the encoder reads that many
_FILES_A_COMMIT = 64
_ITEMS_A_COMMIT = 512
OnFile = Callable[[int, int, str], None]  # (done, of, file as given)


@dataclass(slots=True)
class IndexReport:
    """What one run of ``index`` did."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0  # new in this run
    images: int = 0
    bad: dict[str, str] = field(default_factory=dict)  # file as given -> why it was not read

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``ragvis index --json``."""
        numbers = {k: getattr(self, k) for k in _NUMBERS}
        return {**numbers, "bad": [{"path": p, "reason": r} for p, r in self.bad.items()]}


_NUMBERS = ("added", "changed", "unchanged", "removed", "passages", "images")


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done, found out by stat alone."""

    to_read: tuple[Found, ...]
    to_remove: tuple[str, ...]
    report: IndexReport


def plan(walk: Walk, known: dict[str, FileRow]) -> Plan:
    """Compare a walk with the catalog: same size, mtime and inode means unchanged."""
    report = IndexReport()
    to_read = []
    for path, found in walk.found.items():
        row = known.get(path)
        # A row without a hash could not even be opened: that may be over by now.
        if (
            row is not None
            and row.sha256
            and _same_stat(row, found.stat)
            and (row.shown == found.shown)
        ):
            if row.error:
                report.bad[found.shown] = row.error
            else:
                report.unchanged += 1
        else:
            to_read.append(found)
    gone = [p for p in known if p not in walk.found and walk.covers(p)]
    report.removed = len(gone)
    report.bad |= walk.troubles
    return Plan(tuple(to_read), tuple(gone), report)


@dataclass(slots=True)
class _Read:
    """A file as read, its items waiting for vectors; ``touched`` when only its stat is new."""

    row: FileRow
    items: list[ItemRow] = field(default_factory=list)
    touched: bool = False


class Ingest:
    """Carries out a plan."""

    def __init__(self, catalog: Catalog, encoder: Encoder) -> None:
        self._catalog = catalog
        self._encoder = encoder
        self._batches = Batches(encoder, catalog)
        self._limit = min(PASSAGE_TOKENS, encoder.max_tokens)
        self._report = IndexReport()

    def run(self, work: Plan, known: dict[str, FileRow], on_file: OnFile) -> IndexReport:
        """Read, embed and commit; stopping at any point keeps what was committed."""
        report = self._report = work.report
        if work.to_remove:
            with self._catalog.commit():
                self._catalog.remove(work.to_remove)
        waiting: list[_Read] = []
        for done, found in enumerate(work.to_read):
            on_file(done, len(work.to_read), found.shown)
            read = self._read(found, known.get(found.path))
            self._count(read, known.get(found.path), report)
            waiting.append(read)
            items = sum(len(r.items) for r in waiting)
            if len(waiting) >= _FILES_A_COMMIT or items >= _ITEMS_A_COMMIT:
                self._commit(waiting)
        self._commit(waiting)
        on_file(len(work.to_read), len(work.to_read), "")
        return report

    def _count(self, read: _Read, before: FileRow | None, report: IndexReport) -> None:
        if read.row.error:
            report.bad[read.row.shown] = read.row.error
        elif read.touched:
            report.unchanged += 1
        elif before is None or before.error:
            report.added += 1
        else:
            report.changed += 1
        report.passages += sum(i.modality == "text" for i in read.items)
        report.images += sum(i.modality == "image" for i in read.items)

    def _commit(self, waiting: list[_Read]) -> None:
        if not waiting:
            return
        self._batches.flush()
        with self._catalog.commit():
            for read in waiting:
                if read.touched:
                    self._catalog.touch(read.row)
                else:
                    vectors = [self._batches.vector(i.content) for i in read.items]
                    self._catalog.put(read.row, read.items, np.array(vectors, np.float32))
        self._batches.forget()
        waiting.clear()

    def _read(self, found: Found, before: FileRow | None) -> _Read:
        row = _row_of(found, before)
        try:
            row = replace(row, sha256=_sha256(found.path))
            if before is not None and before.sha256 == row.sha256 and not before.error:
                return _Read(row, touched=True)
            document = documents.read(Path(found.path))
            row = replace(row, title=short(document.title))
            items = [*self._passages(document), *self._figures(found, document)]
            if not items:
                raise BadFile("nothing to index in it")
        except BadFile as error:
            return _Read(replace(row, error=str(error)))
        return _Read(row, items)

    def _passages(self, document: Document) -> Iterator[ItemRow]:
        opening = self._opening(short(document.title))
        room = self._limit - self._encoder.count_tokens([opening])[0]
        cutter = Cutter(self._encoder.count_tokens, room)
        ordinal = 0
        for page in document.pages:
            for passage in cutter.cut(page):
                yield ItemRow(
                    "text",
                    ordinal,
                    self._batches.add_text(opening + passage.text),
                    page.number,
                    passage.span,
                    section=short(passage.section),
                    body=passage.text,
                )
                ordinal += 1

    def _opening(self, title: str) -> str:
        """The title that is embedded before each passage, in at most a quarter of its tokens."""
        words = title.split()[:32]
        while words and self._encoder.count_tokens([" ".join(words)])[0] > self._limit // 4:
            words.pop()
        return " ".join(words) + ". " if words else ""

    def _figures(self, found: Found, document: Document) -> Iterator[ItemRow]:
        alone = len(document.figures) == 1 and not document.pages
        for figure in document.figures:
            try:
                content = self._batches.add_picture(figure.open())
            except BadFile as error:
                if alone:
                    raise
                # one broken picture does not cost a document its text
                self._report.bad[f"{found.shown}, picture {figure.ordinal + 1}"] = str(error)
                continue
            caption = figure.caption or ""
            yield ItemRow(
                "image", figure.ordinal, content, figure.page, None, figure.bbox, body=caption
            )


def _same_stat(row: FileRow, about: os.stat_result) -> bool:
    seen = (about.st_size, about.st_mtime_ns, about.st_ino)
    return (row.size, row.mtime_ns, row.inode) == seen


def _row_of(found: Found, before: FileRow | None) -> FileRow:
    about = found.stat
    title = before.title if before else ""
    return FileRow(
        found.path, found.shown, about.st_size, about.st_mtime_ns, about.st_ino, "", title
    )


def _sha256(path: str) -> str:
    try:
        return sha256_of_file(Path(path))
    except OSError as error:
        raise BadFile(error.strerror or str(error)) from error
