"""What to do, by rules that were said before the first look.

A variant is shipped if the primary metric is better and every guardrail holds: guardrails need no correction, as all of
them must hold (M. Schultzberg, S. Ankargren and M. Frånberg, "Risk-aware product decisions in A/B tests with multiple
metrics", 2024). With several variants the primary metric's level is shared among them.

A p-value that is valid at all looks is the smallest of them, so it keeps what an early look found. What is better or
worse must be so at the last look, too: its interval, which is told beside it, excludes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from orita.delivery.experiments.results import (
    Decision,
    Effect,
    Guarded,
    MetricResult,
    SampleRatio,
    Size,
    Verdict,
)

__all__ = ["guarded", "verdict_of"]


def guarded(effect: Effect, margin: float, direction: str) -> Guarded:
    """Return whether a guardrail holds: surely not worse by more than the margin; violated: surely so; else open."""
    low, high = (effect.low, effect.high) if direction == "up" else (-effect.high, -effect.low)
    return "violated" if high < -margin else "holds" if low > -margin else "open"


@dataclass(frozen=True, slots=True)
class _Judged:
    """What is said of one variant."""

    variant: str
    decision: Decision
    reason: str
    gain: float


def verdict_of(
    metrics: tuple[MetricResult, ...], treatments: tuple[str, ...], ratio: SampleRatio, size: Size, *, over: bool
) -> Verdict:
    """Return what to do.

    Args:
        metrics: with the effects of each treatment.
        treatments: their names.
        ratio: of the samples.
        size: planned against reached.
        over: whether nothing more will come: the experiment is stopped and all windows are closed.
    """
    if ratio.mismatch:
        shares = ", ".join(f"{name} {count:,} of {ratio.expected[name]:,.0f}" for name, count in ratio.counts.items())
        return Verdict(
            "invalid",
            "invalid: sample ratio mismatch",
            reasons=(
                f"Units are {shares} expected (p = {ratio.sequential_p_value:.2g} at all looks): assignment, logging "
                "or a filter is broken, and no effect can be believed. Look for the fault first.",
            ),
        )
    judged = [_judge(metrics, variant, size, over=over) for variant in treatments]
    shipped = [each for each in judged if each.decision == "ship"]
    reasons = tuple(each.reason for each in judged)
    if shipped:
        best = max(shipped, key=lambda each: each.gain)
        return Verdict("ship", f"ship {best.variant}", best.variant, reasons)
    if any(each.decision == "keep_running" for each in judged):
        return Verdict("keep_running", f"keep running{_how_long(size)}", reasons=reasons)
    return Verdict("do_not_ship", "do not ship", reasons=reasons)


def _how_long(size: Size) -> str:
    if not size.days_left:
        return ""
    return f": {size.days_left:,} more day{'' if size.days_left == 1 else 's'}"


def _judge(metrics: tuple[MetricResult, ...], variant: str, size: Size, *, over: bool) -> _Judged:
    primary = next(metric for metric in metrics if metric.role == "primary")
    effect = primary.effect(variant)
    if effect is None:
        if over:
            return _Judged(variant, "do_not_ship", f"{variant}: it ended with too few units. {primary.note}", 0.0)
        return _Judged(variant, "keep_running", f"{variant}: {primary.note or 'too few units yet.'}", 0.0)
    sign = 1.0 if primary.direction == "up" else -1.0
    gain, high = sign * effect.estimate, max(sign * effect.low, sign * effect.high)
    rejected = effect.p_value <= primary.level
    found = rejected and effect.different
    guards = [(metric, metric.effect(variant)) for metric in metrics if metric.role == "guardrail"]
    violated = [metric.name for metric, kept in guards if kept is not None and kept.guarded == "violated"]
    unsure = [metric.name for metric, kept in guards if kept is None or kept.guarded == "open"]
    said = f"{variant}: {primary.name} {_signed(effect.estimate)} ({_signed(effect.low)} … {_signed(effect.high)})"
    if rejected and not found and effect.course:
        said += f", and a difference that an earlier look found (p = {effect.p_value:.2g}) did not last"
    ended = over or size.reached
    if violated:
        return _Judged(variant, "do_not_ship", f"{said}; the guardrail {', '.join(violated)} is violated.", gain)
    if found and gain < 0:
        return _Judged(variant, "do_not_ship", f"{said} is worse than the control.", gain)
    if found and not unsure:
        besides = "; every guardrail holds" if guards else ""
        return _Judged(variant, "ship", f"{said} is better than the control{besides}.", gain)
    if found:
        names = ", ".join(unsure)
        if ended:
            return _Judged(
                variant,
                "do_not_ship",
                f"{said} is better, but nothing shows that {names} stays within its margin.",
                gain,
            )
        return _Judged(variant, "keep_running", f"{said} is better; not yet known whether {names} holds.", gain)
    if primary.looked_for is not None and high < primary.looked_for:
        reason = f"{said}: an effect of {primary.looked_for:g}, the smallest that matters, is excluded."
        return _Judged(variant, "do_not_ship", reason, gain)
    if ended:
        return _Judged(variant, "do_not_ship", f"{said}: no difference found by the planned end.", gain)
    return _Judged(variant, "keep_running", f"{said}: not decided yet.", gain)


def _signed(value: float) -> str:
    return f"{value:+.4g}"
