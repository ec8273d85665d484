"""The packages of the Open Inference Protocol's tests."""

from __future__ import annotations

from tests.serving.inference_protocol.conftest import feed, headed, plain

__all__ = ["feed", "headed", "plain"]
