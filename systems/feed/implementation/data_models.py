"""Feed ranking: which of the items on offer will this user click?

One declaration for training and for serving. A feature as of a request sees the events before it, never its own.
"""

from orita import INTERACTION, Column, Entity, Source, system

TOPICS = tuple(str(topic) for topic in range(64))

user = Entity("user", key="user_id", table="users", attributes=[Column("joined_at", "time")])
item = Entity(
    "item",
    key="item_id",
    table="items",
    attributes=[Column("created_at", "time"), Column("topic", "category", choices=TOPICS)],
)
interactions = Source("interactions", INTERACTION)

feed = system(
    "feed",
    label=interactions.click,
    rank=item,
    for_=user,
    outcomes={"like": interactions.like, "share": interactions.share, "dwell": interactions.dwell_time},
)
feed.features(
    user_historical_ctr=interactions.mean("click").by(user),
    user_avg_dwell_time=interactions.mean("dwell_time").by(user),
    user_interaction_count=interactions.count().by(user),
    user_days_active=interactions.distinct_days().by(user),
    item_popularity=interactions.count().by(item),
    item_ctr=interactions.mean("click").by(item),
    item_avg_dwell_time=interactions.mean("dwell_time").by(item),
    item_age_days=item["created_at"].age(otherwise=interactions.first_time().by(item)),
    hour_of_day=interactions.context.hour_of_day(),
    day_of_week=interactions.context.day_of_week(),
    device=interactions.context.device.one_hot("mobile", "desktop", "tablet"),
    user_item_previous_interactions=interactions.count().by(user, item),
    recency_score=interactions.last_time().by(user, item).decay("3d"),
    user_topic_ctr=interactions.mean("click").by(user, item["topic"]).smooth(0.2, weight=5),
    user_topic_interactions=interactions.count().by(user, item["topic"]),
    user_topic_dwell=interactions.mean("dwell_time").by(user, item["topic"]).smooth(10, weight=5).log(),
    topic_ctr=interactions.mean("click").by(item["topic"]),
    topic_ctr_lately=interactions.decayed_mean("click", "3d").by(item["topic"]),
    item_topic=item["topic"],
)
