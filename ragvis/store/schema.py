"""The catalog's tables. ``FORMAT`` is raised with every change that older code cannot read."""

from __future__ import annotations

FORMAT = 5

# Files of format 2 with pictures inside lack the text around these: they look changed from now on,
# so that the next run reads them again. Their vectors are found again by what they are of.
FROM_2 = """
UPDATE file SET size = -1 WHERE document_id IN (
    SELECT document_id FROM item WHERE modality = 'image' INTERSECT
    SELECT id FROM document WHERE content NOT LIKE '%:picture');
UPDATE document SET content = 'old:' || content
    WHERE id IN (SELECT document_id FROM file WHERE size = -1);
ALTER TABLE item ADD COLUMN near TEXT NOT NULL DEFAULT '';
"""

# Readers read other values since: every document but pictures looks changed from now on, so that
# the next run reads it again. What is embedded as before keeps its vector.
FROM_4 = """
UPDATE file SET size = -1 WHERE document_id IN (
    SELECT id FROM document WHERE content NOT LIKE '%:picture');
UPDATE document SET content = 'old:' || id || ':' || content
    WHERE content NOT LIKE '%:picture' AND content NOT LIKE 'old:%';
-- Names beyond ASCII were cut into other words: they are set again where a file is looked at.
UPDATE file SET size = -1 WHERE path GLOB '*[^ -~]*';
ALTER TABLE document ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE file ADD COLUMN path_key TEXT NOT NULL DEFAULT '';
ALTER TABLE file ADD COLUMN shown_key TEXT NOT NULL DEFAULT '';
ALTER TABLE file ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
DROP TRIGGER item_added; DROP TRIGGER item_renamed; DROP TRIGGER item_dropped;
DROP TABLE item_words;
"""

ITEMS = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- What was read out of some bytes, however many files hold them.
CREATE TABLE document (
    id INTEGER PRIMARY KEY,
    content TEXT NOT NULL UNIQUE,   -- sha256 of the bytes, ":", how they were read
    title TEXT NOT NULL,            -- its own; '' where only a file's name tells
    problems TEXT NOT NULL,         -- JSON: part of it that could not be read -> why
    metadata TEXT NOT NULL DEFAULT '{}'     -- JSON: what it says about itself, key -> value
);

-- One row a path, read or not: a file that could not be read keeps its reason.
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,      -- absolute
    shown TEXT NOT NULL,            -- as it was given to `index`
    size INTEGER NOT NULL,          -- bytes
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    sha256 TEXT NOT NULL,           -- '' where it could not even be opened
    label TEXT NOT NULL,            -- its name as a title
    error TEXT,
    document_id INTEGER REFERENCES document(id),
    path_key TEXT NOT NULL DEFAULT '',      -- normalized, with / between folders, for filters;
    shown_key TEXT NOT NULL DEFAULT '',     -- triggers keep these three
    name_key TEXT NOT NULL DEFAULT ''
);
CREATE INDEX file_by_document ON file(document_id);

-- AUTOINCREMENT: an id is never used twice, so an old segment cannot name a new item.
CREATE TABLE item (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER NOT NULL REFERENCES document(id) ON DELETE CASCADE,
    modality TEXT NOT NULL CHECK (modality IN ('text', 'image')),
    ordinal INTEGER NOT NULL,       -- of its kind in its file, from 0
    page INTEGER,
    span_start INTEGER,
    span_end INTEGER,
    bbox TEXT,                      -- JSON [left, bottom, right, top]
    section TEXT NOT NULL,
    body TEXT NOT NULL,             -- the passage, or a picture's caption
    title TEXT NOT NULL,            -- of the document, for full-text search
    name TEXT NOT NULL,             -- its files' names as words, for full-text search
    content TEXT NOT NULL,          -- sha256 of what was embedded
    vector BLOB NOT NULL,           -- float16 little-endian, unit length
    near TEXT NOT NULL DEFAULT ''   -- the text around a picture, and what it looks like, to search
);
CREATE INDEX item_by_document ON item(document_id);
CREATE INDEX item_by_content ON item(content);
CREATE INDEX item_by_modality ON item(modality, id);
"""

# What an item is found by, of its row and its document's. The functions are sql_functions.py's.
_WORDS_OF = (
    "SELECT {0}.id, indexed({0}.body), indexed({0}.title), indexed({0}.section),"
    " indexed({0}.name), indexed({0}.near), indexed_metadata(document.metadata)"
    " FROM {1} document WHERE document.id = {0}.document_id"
)
_KEYS_OF = "path_key = path_key(path), shown_key = path_key(shown), name_key = name_key(path)"

# Items get their words with their title and name, which they are always stored without at first.
WORDS = f"""
CREATE VIRTUAL TABLE item_words USING fts5(
    body, title, section, name, near, metadata, content='', contentless_delete=1,
    tokenize="porter ascii tokenchars '.-'"
);
CREATE TRIGGER item_named AFTER UPDATE OF title, name ON item BEGIN
    INSERT OR REPLACE INTO item_words(rowid, body, title, section, name, near, metadata)
    {_WORDS_OF.format("new", "")};
END;
CREATE TRIGGER item_dropped AFTER DELETE ON item BEGIN
    DELETE FROM item_words WHERE rowid = old.id;
    INSERT INTO dead VALUES (old.id, old.modality);
END;
"""

FILTERS = f"""
-- What documents say about themselves, normalized: each value, and each entry of a list.
CREATE TABLE property (
    document_id INTEGER NOT NULL REFERENCES document(id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (document_id, key, value)
) WITHOUT ROWID;
CREATE TRIGGER document_added AFTER INSERT ON document BEGIN
    INSERT INTO property SELECT new.id, value ->> 0, value ->> 1
    FROM json_each(properties(new.title, new.metadata));
END;
CREATE TRIGGER file_added AFTER INSERT ON file BEGIN
    UPDATE file SET {_KEYS_OF} WHERE id = new.id;
END;
CREATE TRIGGER file_respelled AFTER UPDATE OF path, shown ON file BEGIN
    UPDATE file SET {_KEYS_OF} WHERE id = new.id;
END;
"""

# Of a catalog that was filled before it had these tables
REBUILD = f"""
INSERT INTO item_words(rowid, body, title, section, name, near, metadata)
    {_WORDS_OF.format("item", "item,")};
INSERT INTO property SELECT document.id, entry.value ->> 0, entry.value ->> 1
    FROM document, json_each(properties(title, metadata)) AS entry;
UPDATE file SET {_KEYS_OF};
"""

LISTS = """
-- Files of vectors derived from the items first..last of a modality; see store/segments.py.
CREATE TABLE segment (
    name TEXT PRIMARY KEY,
    modality TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sums TEXT NOT NULL              -- JSON: what the files' checksums are
) WITHOUT ROWID;

-- Items that are gone but may still stand in a segment.
CREATE TABLE dead (id INTEGER PRIMARY KEY, modality TEXT NOT NULL);
"""

UNREAD = """
-- Files of kinds that no reader reads, counted by folder and suffix.
CREATE TABLE unread (
    folder TEXT NOT NULL,           -- absolute
    suffix TEXT NOT NULL,           -- lower case, with its dot; '' where there is none
    count INTEGER NOT NULL,
    PRIMARY KEY (folder, suffix)
) WITHOUT ROWID;
"""

TABLES = ITEMS + WORDS + FILTERS + LISTS + UNREAD
