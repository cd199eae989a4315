"""What an index is on disk: one SQLite file that is the truth, and segments derived from it.

catalog.db         documents, the files that hold them, items, texts, full-text search, vectors
                   (fp16), settings; every page has a checksum
NAME.rows          vectors of a range of items, for search: see ``segments``
NAME.faiss         of large segments, an inverted file over them
NAME.damaged       left by a reader: the next writer writes the segment anew
writer.lock, writer.json  who is writing
"""
