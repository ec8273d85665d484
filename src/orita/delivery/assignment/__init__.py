"""Who gets which variant: one hash, splits, layers, holdouts, audiences and overrides, for all that is delivered."""

from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.experiments import Assigned, Experiment
from orita.delivery.assignment.hashing import Unit, fraction, fraction_by, fractions
from orita.delivery.assignment.layers import Holdout, Layer
from orita.delivery.assignment.matching import Attributes, Matcher, matcher
from orita.delivery.assignment.overrides import Override
from orita.delivery.assignment.split import Split
from orita.delivery.assignment.vectors import Vector, vectors

__all__ = [
    "Assigned",
    "Attributes",
    "Condition",
    "Experiment",
    "Holdout",
    "Layer",
    "Matcher",
    "Override",
    "Split",
    "Unit",
    "Vector",
    "fraction",
    "fraction_by",
    "fractions",
    "matcher",
    "vectors",
]
