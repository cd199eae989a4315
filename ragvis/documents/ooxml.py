"""Office Open XML packages: a zip of XML parts that relate to each other.

Files of the strict variant are given the names of the usual one. Nothing outside the package is
ever opened.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from lxml import etree

from ragvis.errors import BadFile

MAX_UNPACKED = 512 * 2**20  # bytes a package may unpack to
MAX_XML = 128 * 2**20  # bytes of one XML part: its tree takes many times that
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # what Office files were before, and are when encrypted
_STRICT = re.compile(r"http://purl\.oclc\.org/ooxml/(\w+)/")
_USUAL = r"http://schemas.openxmlformats.org/\1/2006/"
_ROOT = "http://schemas.openxmlformats.org/"
_MICROSOFT = "http://schemas.microsoft.com/office/"

NAMESPACES = {
    "w": _ROOT + "wordprocessingml/2006/main",
    "m": _ROOT + "officeDocument/2006/math",
    "r": _ROOT + "officeDocument/2006/relationships",
    "a": _ROOT + "drawingml/2006/main",
    "c": _ROOT + "drawingml/2006/chart",
    "dgm": _ROOT + "drawingml/2006/diagram",
    "pic": _ROOT + "drawingml/2006/picture",
    "wp": _ROOT + "drawingml/2006/wordprocessingDrawing",
    "mc": _ROOT + "markup-compatibility/2006",
    "cp": _ROOT + "package/2006/metadata/core-properties",
    "rel": _ROOT + "package/2006/relationships",
    "dc": "http://purl.org/dc/elements/1.1/",
    "v": "urn:schemas-microsoft-com:vml",
    "o": "urn:schemas-microsoft-com:office:office",
    "wps": _MICROSOFT + "word/2010/wordprocessingShape",
    "cx": _MICROSOFT + "drawing/2014/chartex",
}


@cache
def qn(name: str) -> str:
    """An element's or attribute's full name: ``w:p`` -> ``{http://…}p``."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


@dataclass(frozen=True, slots=True)
class Relation:
    """What a part refers to: another part by its name or, where ``is_external``, a URL."""

    kind: str  # the last word of its type, such as ``header``
    target: str
    is_external: bool


class Package:
    """The parts of one file. A part's name is as in the zip, without a slash before it."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            BadFile: not a package, encrypted, or unpacking to too much.
        """
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise BadFile(_no_zip(path)) from error
        entries = self._archive.infolist()
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise BadFile(f"unpacks to over {MAX_UNPACKED // 2**20} MiB")
        self._entries = {_key(entry.filename): entry for entry in entries}

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._entries

    def read(self, name: str) -> bytes:
        """A part's bytes.

        Raises:
            BadFile: it is missing or broken.
        """
        entry = self._entries.get(_key(name))
        if entry is None:
            raise BadFile(f"its part {name} is missing")
        try:
            return self._archive.read(entry)
        # zip files break in many ways: zlib.error, EOFError, RuntimeError for a password, …
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise BadFile(reason) from error

    def xml(self, name: str) -> etree._Element:
        """The tree of an XML part, in the names of the usual variant.

        Raises:
            BadFile: it is missing, broken, or too large.
        """
        entry = self._entries.get(_key(name))
        if entry is not None and entry.file_size > MAX_XML:
            raise BadFile(f"its part {name} is over {MAX_XML // 2**20} MiB")
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
        )
        try:
            root = etree.fromstring(self.read(name), parser)
        except etree.XMLSyntaxError as error:
            raise BadFile(f"its part {name} is no XML ({error})") from error
        if any(_STRICT.match(uri) for uri in root.nsmap.values()):
            _make_usual(root)
        return root

    def relations(self, name: str) -> dict[str, Relation]:
        """What a part refers to, by the ids that its XML uses; the package itself is ``""``."""
        folder, base = posixpath.split(name)
        rels = posixpath.join(folder, "_rels", base + ".rels")
        if rels not in self:
            return {}
        found = {}
        for node in self.xml(rels).iter(qn("rel:Relationship")):
            target, is_external = node.get("Target", ""), node.get("TargetMode") == "External"
            if not is_external:
                target = _resolved(folder, target)
            kind = node.get("Type", "").rpartition("/")[2]
            found[node.get("Id", "")] = Relation(kind, target, is_external)
        return found


def _no_zip(path: Path) -> str:
    """Why a file that is no zip cannot be read."""
    data = path.read_bytes()
    if not data.startswith(_OLE):
        return f"not a {path.suffix} file"
    is_locked = "EncryptedPackage".encode("utf-16-le") in data
    return "it needs a password" if is_locked else "a file of an Office before 2007"


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _resolved(folder: str, target: str) -> str:
    path = unquote(target).replace("\\", "/")
    return posixpath.normpath(posixpath.join("/", folder, path)).lstrip("/")


def _make_usual(root: etree._Element) -> None:
    for node in root.iter(etree.Element):
        node.tag = _STRICT.sub(_USUAL, node.tag)
        for name in [name for name in node.attrib if _STRICT.search(name)]:
            node.set(_STRICT.sub(_USUAL, name), node.attrib.pop(name))
