"""Training of neural rankers: `loop.py` is the loop, every other file one thing that it needs."""

from orita.models.training.batches import Rows
from orita.models.training.hardware import hardware_for
from orita.models.training.learner import Learner, Network, NetworkType
from orita.models.training.loop import Course, train

__all__ = ["Course", "Learner", "Network", "NetworkType", "Rows", "hardware_for", "train"]
