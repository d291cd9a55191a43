"""Questions about a study, judged by exact effects and never by estimates."""

from patchwidget.questions.question import Question
from patchwidget.questions.reply import Reply
from patchwidget.questions.top import Top

__all__ = ["Question", "Reply", "Top"]
