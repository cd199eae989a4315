"""What an index is on disk: one SQLite file that is the truth, FAISS files derived from it.

catalog.sqlite          files, items, texts, full-text search, vectors (fp16), settings
text.<generation>.faiss   derived; checked by sha256 before FAISS reads it, rebuilt if wrong
image.<generation>.faiss
writer.lock, writer.json  who is writing
"""
