"""What a document costs, judged before anything of it is done.

A field costs 1, a mutation 100, and what is below ``models`` counts as often as its ``limit`` says. Each fragment is
judged once: a document in which fragments name each other twice over is as quick to judge as it is to read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

from orita.serving.resources.messages import MOST_MODELS

__all__ = ["MOST_COST", "MOST_DEPTH", "CostRule"]

MOST_COST = 1000
MOST_DEPTH = 15
"""Levels of fields; the usual question for the schema itself has 13."""

_MUTATION_COST = 100


class _Cost(NamedTuple):
    fields: int
    depth: int


_NOTHING = _Cost(0, 0)
_TOO_DEEP = _Cost(0, MOST_DEPTH + 1)


class CostRule(ValidationRule):
    """Refuses operations that cost or nest too much."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._fragments: dict[str, _Cost | None] = {}

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        """Judge one operation."""
        each = _MUTATION_COST if node.operation is OperationType.MUTATION else 1
        found = self._cost(node.selection_set, 0, each)
        if found.depth > MOST_DEPTH:
            message = f"the operation has fields more than {MOST_DEPTH} levels deep: ask for less at once."
            self.report_error(GraphQLError(message, node))
        elif found.fields > MOST_COST:
            message = f"the operation costs {found.fields}, allowed is {MOST_COST}: ask for fewer models or fields."
            self.report_error(GraphQLError(message, node))

    def _cost(self, selected: SelectionSetNode | None, level: int, each: int = 1) -> _Cost:
        """Return what *selected* costs; past the allowed depth it is not looked into, but known to be too deep."""
        if selected is None:
            return _NOTHING
        if level > MOST_DEPTH:
            return _TOO_DEEP
        fields = depth = 0
        found = _NOTHING
        for node in selected.selections:
            if isinstance(node, FieldNode):
                below = self._cost(node.selection_set, level + 1)
                found = _Cost(each + _times(node) * below.fields, 1 + below.depth)
            elif isinstance(node, FragmentSpreadNode):
                found = self._fragment(node.name.value, level)
            elif isinstance(node, InlineFragmentNode):
                found = self._cost(node.selection_set, level + 1, each)  # fragments without end are too deep, too
            fields, depth = fields + found.fields, max(depth, found.depth)
        return _Cost(fields, depth)

    def _fragment(self, name: str, level: int) -> _Cost:
        """Return what a fragment costs; one within itself is refused by another rule, and costs nothing here."""
        if name in self._fragments:
            return self._fragments[name] or _NOTHING
        definition: FragmentDefinitionNode | None = self.context.get_fragment(name)
        if definition is None:
            return _NOTHING
        self._fragments[name] = None
        mutation = definition.type_condition.name.value == "Mutation"
        found = self._cost(definition.selection_set, level + 1, _MUTATION_COST if mutation else 1)
        self._fragments[name] = found
        return found


def _times(node: FieldNode) -> int:
    """Return how often what is below a field may be answered; a limit that is a variable may be any."""
    if node.name.value != "models":
        return 1
    limits = [given.value for given in node.arguments or () if given.name.value == "limit"]
    if not limits:
        return 20
    limit = limits[0]
    return int(limit.value[:6]) if isinstance(limit, IntValueNode) else MOST_MODELS
