"""MovieLens: which film will this viewer rate 4 or higher?

Beside plain rates, residuals: how far a viewer's ratings lie above what their films usually get, overall and among
films that share a genre with the candidate, and how far a film's ratings lie above what its viewers usually give.
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

movielens = system("movielens", label=ratings.click, rank=film, for_=viewer)
movielens.features(
    user_historical_ctr=ratings.mean("click").by(viewer),
    user_interaction_count=ratings.count().by(viewer),
    user_rating_above_films=ratings.mean(above_film).by(viewer),
    item_ctr=ratings.mean("click").by(film),
    item_popularity=ratings.count().by(film),
    item_mean_rating=film_mean,
    item_rating_above_users=ratings.mean(above_viewer).by(film),
    user_genre_count=ratings.count().by(viewer, film["genres"]),
    user_genre_ctr=ratings.mean("click").by(viewer, film["genres"]),
    user_genre_above_films=ratings.mean(above_film).by(viewer, film["genres"]),
    item_gender_above_users=ratings.mean(above_viewer).by(film, viewer["gender"]),
    item_gender_ctr=ratings.mean("click").by(film, viewer["gender"]),
    item_occupation_above_users=ratings.mean(above_viewer).by(film, viewer["occupation"]),
    age=viewer["age"],
    gender=viewer["gender"],
    occupation=viewer["occupation"],
    year=film["year"],
    genre=film["genres"],
)
