"""Kinds of files that no reader reads: how they are counted, and what to turn them into."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

# What a suffix looks like. Numbers, dates and sentences at the end of a name are none.
_SUFFIX = re.compile(r"\.(?=\d*[a-z])[a-z0-9_+-]{1,12}", re.ASCII)
_SHOWN = 6  # kinds named in a line

_TEXTS = """asc bat bib c cc cfg conf cpp cs css csv cxx env go h hpp ini ics java jl js json jsonl
 kt lua ndjson org php pl properties ps1 py r rb rs rst sh sql srt sty svelte swift tex toml
 ts tsv tsx vcf vtt vue xml yaml yml"""
_REMEDIES = {
    "rename to .jpg": "jif jfi",
    "export as JPEG or PNG": "ai ait arw avif cr2 cr3 dng emf eps heic heics heif ico j2k jp2 jxl"
    " nef orf pcx pef psb psd raf rw2 sr2 svg svgz tga wmf xcf",
    "save as .docx or PDF": "abw doc docm dot dotm dotx fodt hwp hwpx odt ott pages rtf sxw wpd",
    "save as PDF": "djvu fodp gslides key odg odp oxps pot potx pps ppsx ppt pptm pptx ps sxi"
    " vsd vsdx xps",
    "save as PDF or HTML": "et fods numbers ods ots sxc xls xlsb xlsm xlsx xlt xltx",
    "convert to PDF or HTML": "azw azw3 chm epub fb2 lit mobi prc",
    "save as HTML or .txt": "eml emlx mbox mht mhtml msg oft pst",
    "export as HTML or Markdown": "enex ipynb nb one opml qmd rmd",
    "copy as .txt": _TEXTS,
    "unpack": "7z bz2 gz rar tar tbz tgz txz xz zip zst",
}
_REMEDY = {f".{s}": remedy for remedy, all_ in _REMEDIES.items() for s in all_.split()}


def unread_suffix(name: str) -> str:
    """The suffix that a file of no known kind is counted under, lower case with its dot; "" where
    its name ends in none."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def remedy_of(suffix: str) -> str:
    """What to do with a file of this suffix so that it is read, or "" where nothing is known."""
    return _REMEDY.get(suffix.lower(), "")


def by_count(unread: Mapping[str, int]) -> dict[str, int]:
    """The same counts, largest first."""
    return dict(sorted(unread.items(), key=lambda pair: (-pair[1], pair[0])))


def kinds_line(unread: Mapping[str, int]) -> str:
    """``214 files of kinds that are not read (.heic 120, .pptx 60, …)``; "" where there is none."""
    total = sum(unread.values())
    if not total:
        return ""
    kinds = [f"{suffix or 'no suffix'} {count}" for suffix, count in by_count(unread).items()]
    named = ", ".join(kinds[:_SHOWN]) + (", …" if len(kinds) > _SHOWN else "")
    what = "1 file of a kind that is" if total == 1 else f"{total} files of kinds that are"
    return f"{what} not read ({named})"


def remedy_lines(unread: Mapping[str, int]) -> list[str]:
    """What would read them: ``.heic, .svg: export as JPEG or PNG``, most files first."""
    suffixes: dict[str, list[str]] = {}
    for suffix in by_count(unread):
        if remedy := remedy_of(suffix):
            suffixes.setdefault(remedy, []).append(suffix)
    return [f"{', '.join(some[:_SHOWN])}: {remedy}" for remedy, some in suffixes.items()]
