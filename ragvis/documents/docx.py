"""Word documents (.docx): what their reader sees, in reading order, and the pictures inside.

Headers and footers of every kind, notes and comments come last, each under a heading that says
what they are. Text that is hidden or deleted is no text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from lxml import etree

from ragvis.documents.docx_story import Findings, Picture, StoryWriter
from ragvis.documents.docx_styles import Styles
from ragvis.documents.model import Document, Figure, Page, around, storable, title_from_name
from ragvis.documents.ooxml import Package, Relation, qn
from ragvis.documents.text_builder import TextBuilder
from ragvis.documents.text_tokens import Break
from ragvis.errors import BadFile
from ragvis.media import images
from ragvis.media.fit import Fit

_MAX_PLACES = 16  # of one picture that are told apart
_MAX_PROPERTY = 2000  # characters
_NOTES = {"footnotes": "Footnotes", "endnotes": "Endnotes"}  # by kind of relation
_REFERENCES = (qn("w:headerReference"), qn("w:footerReference"))
_PROPERTIES = {
    "title": "dc:title",
    "author": "dc:creator",
    "subject": "dc:subject",
    "language": "dc:language",
    "keywords": "cp:keywords",
    "category": "cp:category",
}
_END = "the end of the body"  # marked in the text
_WHITE = "FFFFFF"


def read(path: Path) -> Document:
    """The document as one page, with its pictures.

    Raises:
        BadFile: not a Word document, or broken.
    """
    reading = _Reading(Package(path))
    reading.read()
    story = reading.builder.story()
    page = Page(None, story.text, story.headings)
    about = reading.properties()
    end = story.places[_END]
    first = next((h.title for h in story.headings if h.start < end), title_from_name(path))
    title = about.pop("title", "") or first
    findings = reading.findings
    figures = _figures(findings.pictures, page, story.places, reading.package)
    return Document(title, (page,), tuple(figures), about, findings.unread)


class _Reading:
    """The parts of one document, written in order."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.builder = TextBuilder()
        self.findings = Findings()
        whole = package.relations("").values()
        self._about = [r for r in whole if r.kind == "core-properties"]
        mains = [r.target for r in whole if r.kind == "officeDocument"]
        self._main = mains[0] if mains else "word/document.xml"
        self._relations = package.relations(self._main)
        styles = [tree for _, tree in self._trees("styles")]
        self._styles = Styles(styles[0] if styles else None)

    def read(self) -> None:
        """Write all that the document says.

        Raises:
            BadFile: it has no body.
        """
        root = self.package.xml(self._main)
        body = root.find(qn("w:body"))
        if body is None:
            raise BadFile("there is no Word document inside")
        paper = root.find(qn("w:background"))
        color = _WHITE if paper is None else paper.get(qn("w:color"), "").upper()
        self._writer(self._relations, color).write(body)
        self.builder.mark(_END)
        self._write("Headers and footers", self._headers(root), is_furniture=True)
        for kind, label in _NOTES.items():
            self._write(label, self._trees(kind))
        self._write("Comments", self._trees("comments"))

    def properties(self) -> dict[str, str]:
        """Title, author and the like, as far as they are set."""
        found = {}
        for tree in map(self._tree, self._about):
            if tree is None:
                continue
            for key, name in _PROPERTIES.items():
                value = storable(" ".join((tree.findtext(qn(name)) or "").split()))
                if value:
                    found[key] = value[:_MAX_PROPERTY]
        return found

    def _writer(self, relations: dict[str, Relation], paper: str | None = None) -> StoryWriter:
        return StoryWriter(self.builder, self._styles, relations, self.findings, paper)

    def _write(
        self, label: str, trees: Iterable[tuple[str, etree._Element]], is_furniture: bool = False
    ) -> None:
        """Write parts under a heading of their own, if they say anything."""
        is_labelled = False
        for name, tree in trees:
            if not is_labelled and any((t.text or "").strip() for t in tree.iter(qn("w:t"))):
                is_labelled = True
                self.builder.add_break(Break.PARAGRAPH)
                self.builder.start_heading()
                self.builder.write(label)
                self.builder.end_heading()
            self.builder.add_break(Break.PARAGRAPH)
            writer = self._writer(self.package.relations(name))
            writer.is_aside, writer.is_furniture = True, is_furniture
            writer.write(tree)

    def _headers(self, root: etree._Element) -> Iterator[tuple[str, etree._Element]]:
        """Those of first, even and all other pages; what says the same comes once."""
        names = (node.get(qn("r:id"), "") for node in root.iter(*_REFERENCES))
        relations = dict.fromkeys(self._relations[n] for n in names if n in self._relations)
        seen = set()
        for relation in relations:
            tree = self._tree(relation)
            if tree is None:
                continue
            pictures = (r.target for r in self.package.relations(relation.target).values())
            says = " ".join("".join(map(str, tree.itertext())).split()), frozenset(pictures)
            if says not in seen:
                seen.add(says)
                yield relation.target, tree

    def _trees(self, kind: str) -> Iterator[tuple[str, etree._Element]]:
        """The names and trees of the parts of a kind that the main part refers to."""
        for relation in self._relations.values():
            tree = self._tree(relation) if relation.kind == kind else None
            if tree is not None:
                yield relation.target, tree

    def _tree(self, relation: Relation) -> etree._Element | None:
        """A part beside the main one; that it cannot be read costs the document nothing else."""
        if relation.is_external:
            return None
        try:
            return self.package.xml(relation.target)
        except BadFile as error:
            self.findings.unread[relation.target] = str(error)
            return None


def _figures(
    pictures: list[Picture], page: Page, places: Mapping[Hashable, int], package: Package
) -> Iterator[Figure]:
    """Each picture where it stands; a letterhead that stands on every page is one."""
    ordinal = 0
    taken: Counter[str] = Counter()
    for number, picture in enumerate(pictures):
        if taken[picture.part] >= (1 if picture.is_furniture else _MAX_PLACES):
            continue
        taken[picture.part] += 1
        section, near = around(page, places[number])
        said = storable(" ".join(picture.caption.split())) or None
        opener = partial(_open, package, picture.part)
        yield Figure(ordinal, opener, caption=said, section=section, near=near)
        ordinal += 1


def _open(package: Package, part: str, *, fit: Fit | None = None) -> images.Picture:
    return images.open_picture(package.read(part), fit=fit)
