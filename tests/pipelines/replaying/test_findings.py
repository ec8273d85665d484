"""What a replay found adds up, piece by piece."""

from __future__ import annotations

from collections import Counter

from orita.pipelines.replaying.findings import KINDS, Part


def test_parts_add_up() -> None:
    """Counts of pieces are those of the whole, and examples of each kind are bounded."""
    pieces = []
    for day in ("2024-11-20", "2024-11-21"):
        piece = Part("scores", "scores")
        piece.compared("v1", day, 10, 4)
        piece.differs("other_score", 4, {"request_id": day})
        for _ in range(9):
            piece.differs("altered_features", 1, {"request_id": day})
        pieces.append(Part.from_dict(piece.to_dict()))
    whole = Part("scores", "scores")
    for piece in pieces:
        whole.add(piece)
    assert (whole.looked_at, whole.kinds["other_score"], whole.by) == (20, 8, {"v1": [20, 8]})
    assert Counter(example["kind"] for example in whole.examples) == {"other_score": 2, "altered_features": 5}
    assert set(whole.kinds) <= set(KINDS)
