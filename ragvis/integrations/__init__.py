"""ragvis as a retriever of other libraries: ``.langchain``, ``.llama_index``, ``.haystack``.

Each needs its library: ``pip install 'ragvis[langchain]'`` and so on.
"""
