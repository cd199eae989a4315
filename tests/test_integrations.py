"""LangChain, LlamaIndex and Haystack over a real index, with pocket to answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import CACHE
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

import ragvis
from ragvis.integrations import langchain as ours_in_langchain
from ragvis.types import Hit

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
QUESTION = "What is the capital of Kenya?"


@pytest.fixture(scope="module")
def finder(demo_index: Path) -> ragvis.Retriever:
    return ragvis.Retriever(ragvis.Index.open(demo_index))


def check(about: dict[str, Any], hit: Hit) -> None:
    """Nothing of what a citation needs is lost."""
    assert json.loads(json.dumps(about)) == about
    whole = hit.to_dict()
    assert about["score"] == pytest.approx(hit.score)
    for key in ("modality", "page", "span", "bbox", "sha256", "path", "file"):
        assert about[key] == whole[key]


class TestLangChain(RetrieversIntegrationTests):
    """LangChain's own tests of a retriever."""

    @pytest.fixture(autouse=True)
    def _over(self, finder: ragvis.Retriever) -> None:
        self.over = finder

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        found: type[BaseRetriever] = ours_in_langchain.RagvisRetriever
        return found

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"retriever": self.over}

    @property
    def retriever_query_example(self) -> str:
        return QUESTION


def test_langchain_documents_and_a_chain(
    finder: ragvis.Retriever, demo_index: Path, pocket_generator: Any
) -> None:
    from langchain_core.prompts import PromptTemplate
    from langchain_core.runnables import RunnableLambda

    with pytest.raises(ValueError, match="Extra inputs"):
        ours_in_langchain.RagvisRetriever.from_index(demo_index, modalities="text")
    ours = ours_in_langchain.RagvisRetriever.from_index(demo_index, k=3, modality="text")
    documents = ours.invoke(QUESTION)
    hits = finder.search(QUESTION, k=3, modality="text")
    assert [d.page_content for d in documents] == [h.text for h in hits]
    for document, hit in zip(documents, hits, strict=True):
        check(document.metadata, hit)
    assert len(ours.invoke(QUESTION, k=1, modality="image", filter="type:picture")) == 1
    assert len(ours.batch([QUESTION, "giraffe", "a hammer"])) == 3
    prompt = PromptTemplate.from_template("{sources}\n\n{question}")
    chain = (
        RunnableLambda(
            lambda q: {
                "sources": _numbered(ours.invoke(q)),
                "question": f"Question: {q}",
            }
        )
        | prompt
        | RunnableLambda(lambda value: _said(pocket_generator, value.text))
    )
    assert "Huascaran" in chain.invoke("What is the highest point of Peru?")


def test_a_llama_index_query_engine(finder: ragvis.Retriever, pocket_generator: Any) -> None:
    from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
    from llama_index.core.llms.callbacks import llm_completion_callback
    from llama_index.core.prompts import PromptTemplate
    from llama_index.core.query_engine import RetrieverQueryEngine
    from llama_index.core.response_synthesizers import get_response_synthesizer
    from llama_index.core.schema import ImageNode, QueryBundle

    from ragvis.integrations.llama_index import RagvisRetriever

    class Pocket(CustomLLM):
        """The project's own model as LlamaIndex sees a language model."""

        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(context_window=4096, num_output=64, model_name="pocket")

        @llm_completion_callback()
        def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
            return CompletionResponse(text=_said(pocket_generator, prompt))

        @llm_completion_callback()
        def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
            yield self.complete(prompt)

    ours = RagvisRetriever(finder, k=2, modality="text")
    template = PromptTemplate("[1] text: {context_str}\n\nQuestion: {query_str}")
    synthesizer = get_response_synthesizer(llm=Pocket(), text_qa_template=template)
    answer = RetrieverQueryEngine(ours, response_synthesizer=synthesizer).query(QUESTION)
    assert "Nairobi" in str(answer)
    hits = finder.search(QUESTION, k=2, modality="text")
    for node, hit in zip(answer.source_nodes, hits, strict=True):
        check(node.metadata, hit)
        assert node.score == pytest.approx(hit.score)
        assert (node.node.start_char_idx, node.node.end_char_idx) == hit.span
    pictures = RagvisRetriever(finder, k=2, modality="image")
    photo = finder.search("giraffe", k=1, modality="image")[0].file
    found = pictures.retrieve(QueryBundle(query_str="", image_path=photo))
    assert isinstance(found[0].node, ImageNode) and found[0].node.image_path == photo


def test_a_haystack_pipeline(demo_index: Path, finder: ragvis.Retriever) -> None:
    from haystack import Pipeline
    from haystack.components.builders import PromptBuilder

    from ragvis.integrations.haystack import RagvisRetriever

    template = "{% for d in documents %}[{{ loop.index }}] text: {{ d.content }}\n{% endfor %}"
    pipeline = Pipeline()
    pipeline.add_component("find", RagvisRetriever(str(demo_index), top_k=2, modality="text"))
    pipeline.add_component("prompt", PromptBuilder(template, required_variables=["documents"]))
    pipeline.connect("find.documents", "prompt.documents")
    again = Pipeline.from_dict(pipeline.to_dict(), allowed_modules=["ragvis.integrations.*"])
    result = again.run({"find": {"query": QUESTION}}, include_outputs_from={"find"})
    assert "Nairobi" in result["prompt"]["prompt"]
    hits = finder.search(QUESTION, k=2, modality="text")
    for document, hit in zip(result["find"]["documents"], hits, strict=True):
        check(document.meta, hit)
        assert document.score == pytest.approx(hit.score)


@pytest.mark.parametrize(
    ("module", "library"),
    [("langchain", "langchain_core"), ("llama_index", "llama_index"), ("haystack", "haystack")],
)
def test_a_missing_library_is_one_line(module: str, library: str, tmp_path: Path) -> None:
    (tmp_path / f"{library}.py").write_text(f"raise ModuleNotFoundError('no', name='{library}')")
    code = f"import ragvis.integrations.{module}"
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "RAGVIS_CACHE": str(CACHE)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    last = done.stderr.strip().splitlines()[-1]
    assert "MissingExtra" in last and f"{library} is not installed" in last


def _numbered(documents: Sequence[Any]) -> str:
    """The sources as pocket was trained to read them."""
    lines = ((Path(d.metadata["path"]).name, d.page_content) for d in documents)
    return "\n".join(f"[{n}] text: {name}: {text}" for n, (name, text) in enumerate(lines, 1))


def _said(generator: Any, user: str) -> str:
    """Pocket's answer to a prompt that another library wrote."""
    from ragvis.generator.sampling import Sampling
    from ragvis.prompts import GROUNDED_SYSTEM

    turns: list[dict[str, str | None]] = [
        {"role": "user", "content": user},
        {"role": "assistant", "content": None},
    ]
    prompt = ragvis.conversation.render("pocket", turns, GROUNDED_SYSTEM)
    return "".join(generator.stream(prompt, [], Sampling(max_new_tokens=40)))
