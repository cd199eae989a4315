"""Questions answered from an index with citations, and conversations about a picture."""

from ragvis.assistant.assistant import AnswerStream, Assistant, Chat
from ragvis.assistant.vision_chat import VisionChat

__all__ = ["AnswerStream", "Assistant", "Chat", "VisionChat"]
