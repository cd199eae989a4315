"""The catalog's tables. ``FORMAT`` is raised with every change that older code cannot read."""

from __future__ import annotations

FORMAT = 1

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row a file, read or not: a file that could not be read keeps its reason.
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,      -- absolute
    shown TEXT NOT NULL,            -- as it was given to `index`
    size INTEGER NOT NULL,          -- bytes
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    title TEXT NOT NULL,
    error TEXT
);

-- AUTOINCREMENT: an id is never used twice, so an old FAISS file cannot name a new item.
CREATE TABLE item (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file_id INTEGER NOT NULL REFERENCES file(id) ON DELETE CASCADE,
    modality TEXT NOT NULL CHECK (modality IN ('text', 'image')),
    ordinal INTEGER NOT NULL,       -- of its kind in its file, from 0
    page INTEGER,
    span_start INTEGER,
    span_end INTEGER,
    bbox TEXT,                      -- JSON [left, bottom, right, top]
    section TEXT NOT NULL,
    body TEXT NOT NULL,             -- the passage, or a picture's caption
    title TEXT NOT NULL,            -- of the file, for full-text search
    name TEXT NOT NULL,             -- the file's name as words, for full-text search
    content TEXT NOT NULL,          -- sha256 of what was embedded
    vector BLOB NOT NULL            -- float16 little-endian, unit length
);
CREATE INDEX item_by_file ON item(file_id);
CREATE INDEX item_by_content ON item(content);

CREATE VIRTUAL TABLE item_words USING fts5(
    body, title, section, name, content='item', content_rowid='id',
    tokenize="porter unicode61 remove_diacritics 2"
);
CREATE TRIGGER item_added AFTER INSERT ON item BEGIN
    INSERT INTO item_words(rowid, body, title, section, name)
    VALUES (new.id, new.body, new.title, new.section, new.name);
END;
CREATE TRIGGER item_dropped AFTER DELETE ON item BEGIN
    INSERT INTO item_words(item_words, rowid, body, title, section, name)
    VALUES ('delete', old.id, old.body, old.title, old.section, old.name);
END;

-- The FAISS file of each modality, good only for the generation it was made of.
CREATE TABLE derived (
    modality TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    generation INTEGER NOT NULL
) WITHOUT ROWID;
"""
