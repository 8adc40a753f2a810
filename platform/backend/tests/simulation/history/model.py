"""The model of everything that happens before an example begins."""

from simulation.dwellers.dweller_actions_model import DwellerActionModel
from simulation.feedback.model import FeedbackModel
from simulation.stories.model import ReviewModel


class HistoryModel(DwellerActionModel, ReviewModel, FeedbackModel):
    """Dwellers, stories and feedback."""
