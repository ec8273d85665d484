"""What living with a feed does to people, as numbers: how often they come, how they tire, when they leave for good.

The generated history knows none of this: there everybody comes by activity alone and every page is as welcome as the
one before. A simulation over days needs it. The forms are taken from what was measured elsewhere, the sizes are
assumptions, stated here, and none was fitted to what a ranking achieves:

- tiredness of topics and of repeated items: Ma, Liu and Shen, "User fatigue in online news recommendation" (2016);
  Agarwal, Chen and Elango, "Spatio-temporal models for estimating click-through rate" (2009); Leqi, Kilinc-Karzan,
  Lipton and Montgomery, "Rebounding bandits for modeling satiation effects" (2021), for the recovery;
- return and churn by satisfaction: Kapoor and others, "A hazard based approach to user return time prediction" (2014);
  Wu and others, "Returning is believing" (2017); Hohnhold, O'Brien and Tang, "Focusing on the long-term" (2015).
"""

from __future__ import annotations

from pydantic import Field

from orita.core.config import Section

__all__ = ["Habits"]


class Habits(Section):
    """How users live with what they are served. A page's satisfaction is the share of its items that were clicked.

    Satisfaction counts relative to the click rate of the world's history, which users are used to: 0 is as before, 0.5
    is half as much again; it is cut at −1 and 1.
    """

    sessions_a_day: float = Field(default=1.0, gt=0, le=24, description="of the average user who stays")
    page_length: int = Field(default=10, ge=1, le=100, description="items on a page")
    most_pages: int = Field(default=12, ge=1, le=100, description="pages of a session at most")
    goes_on: float = Field(default=0.4, ge=-5, le=5, description="log-odds of a further page where a page was as usual")
    goes_on_slope: float = Field(default=0.5, ge=0, le=5, description="what a page's satisfaction adds to them")
    topic_fatigue: float = Field(
        default=0.5, ge=0, le=5, description="log-odds of a click lost a unit of log(1 + pages of the topic lately)"
    )
    fatigue_half_life_days: float = Field(default=1.0, gt=0, le=365, description="in which a topic is half forgotten")
    item_fatigue: float = Field(
        default=0.7, ge=0, le=5, description="log-odds of a click lost a unit of log(1 + times the item was seen)"
    )
    items_remembered: int = Field(default=300, ge=1, le=10_000, description="items shown last, of which repeats count")
    memory: float = Field(default=0.3, gt=0, le=1, description="weight of the latest session in satisfaction")
    return_slope: float = Field(default=0.3, ge=0, le=3, description="log of visits gained a unit of satisfaction")
    leave_a_day: float = Field(default=0.02, ge=0, le=1, description="hazard of leaving for good, a day, as usual")
    leave_slope: float = Field(default=1.5, ge=0, le=5, description="log of that hazard lost a unit of satisfaction")
