"""MovieLens: which film will this viewer rate 4 or higher?

Beside plain rates, residuals: how far a viewer's ratings lie above what their films usually get, overall and among
films that share a genre with the candidate, and how far a film's ratings lie above what its viewers usually give.
People rate page after page in one sitting, so that what they gave a minute ago tells more than what they gave before.
"""

from orita import INTERACTION, Column, Entity, Source, system

GENRES = (
    "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir",
    "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western", "unknown",
)  # fmt: skip
OCCUPATIONS = (  # as the users are labelled
    "administrator", "artist", "doctor", "educator", "engineer", "entertainment", "executive", "healthcare",
    "homemaker", "lawyer", "librarian", "marketing", "none", "other", "programmer", "retired", "salesman",
    "scientist", "student", "technician", "writer",
)  # fmt: skip

viewer = Entity(
    "viewer",
    key="user_id",
    table="users",
    attributes=[
        Column("age", "float"),
        Column("gender", "category", choices=("F", "M")),
        Column("occupation", "category", choices=OCCUPATIONS),
    ],
)
film = Entity(
    "film",
    key="item_id",
    table="items",
    attributes=[Column("year", "float"), Column("genres", "list", choices=GENRES)],
)
ratings = Source("interactions", INTERACTION.with_columns(Column("rating", "float", minimum=0.5, maximum=5)))

film_mean = ratings.mean("rating").by(film).smooth(3.5, weight=3)
viewer_mean = ratings.mean("rating").by(viewer).smooth(3.5, weight=3)
above_film = ratings.rating - film_mean
above_viewer = ratings.rating - viewer_mean

viewer_above = ratings.mean(above_film).by(viewer)
viewer_genre_above = ratings.mean(above_film).by(viewer, film["genres"])

movielens = system("movielens", label=ratings.click, rank=film, for_=viewer)
movielens.features(
    user_historical_ctr=ratings.mean("click").by(viewer),
    user_interaction_count=ratings.count().by(viewer),
    user_mean_rating=viewer_mean,
    user_rating_std=ratings.std("rating").by(viewer),
    user_top_ratings=ratings.count().by(viewer).where(ratings.rating >= 5),
    user_low_ratings=ratings.count().by(viewer).where(ratings.rating <= 1),
    user_rating_above_films=viewer_above,
    user_above_films=viewer_above.over("1m", "5m", "30m", "1d"),
    user_recent_mean=ratings.mean("rating").by(viewer).over("1m", "5m", "30m"),
    user_recent_count=ratings.count().by(viewer).over("1m", "10m", "1h", "1d"),
    user_fading_rating_1m=ratings.decayed_mean("rating", "1m").by(viewer),
    user_fading_rating_10m=ratings.decayed_mean("rating", "10m").by(viewer),
    user_last_rating=ratings.last("rating").by(viewer),
    user_idle_days=ratings.last_time().by(viewer).age(),
    user_age_days=ratings.first_time().by(viewer).age(),
    item_ctr=ratings.mean("click").by(film),
    item_popularity=ratings.count().by(film),
    item_popularity_last=ratings.count().by(film).over("1d", "7d", "30d"),
    item_mean_rating=film_mean,
    item_rating_std=ratings.std("rating").by(film),
    item_top_ratings=ratings.count().by(film).where(ratings.rating >= 5),
    item_low_ratings=ratings.count().by(film).where(ratings.rating <= 1),
    item_fading_rating=ratings.decayed_mean("rating", "14d").by(film),
    item_rating_above_users=ratings.mean(above_viewer).by(film),
    item_above_users=ratings.mean(above_viewer).by(film).over("30d", "90d"),
    item_idle_days=ratings.last_time().by(film).age(),
    item_age_days=ratings.first_time().by(film).age(),
    user_genre_count=ratings.count().by(viewer, film["genres"]),
    user_genre_ctr=ratings.mean("click").by(viewer, film["genres"]),
    user_genre_above_films=viewer_genre_above,
    item_gender_above_users=ratings.mean(above_viewer).by(film, viewer["gender"]),
    item_gender_ctr=ratings.mean("click").by(film, viewer["gender"]),
    item_occupation_above_users=ratings.mean(above_viewer).by(film, viewer["occupation"]),
    expected_rating=film_mean + viewer_above.smooth(0, weight=5),
    expected_rating_in_genre=film_mean + viewer_genre_above.smooth(0, weight=5),
    age=viewer["age"],
    gender=viewer["gender"],
    occupation=viewer["occupation"],
    year=film["year"],
    genre=film["genres"],
)
