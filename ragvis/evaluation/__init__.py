"""Measures of finding and answering over a file of questions with known answers."""

from ragvis.evaluation.questions import Question, Target, read_questions
from ragvis.evaluation.report import Comparison, Measure, Report, compare
from ragvis.evaluation.run import evaluate

__all__ = [
    "Comparison",
    "Measure",
    "Question",
    "Report",
    "Target",
    "compare",
    "evaluate",
    "read_questions",
]
