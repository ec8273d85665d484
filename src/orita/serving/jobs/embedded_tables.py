"""The tables of the embedded queue; triggers count what its jobs hold, in the transaction that changes it."""

from __future__ import annotations

__all__ = ["TABLES"]

_OPEN = "({0}.state IN ('queued', 'running'))"
_ENDED = "({0}.ended IS NOT NULL)"

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS jobs (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        stage TEXT,                -- answer, callback; NULL: nothing is left to be done
        leased INTEGER NOT NULL,
        due INTEGER NOT NULL,      -- microseconds since the Unix epoch: when it may be taken
        token INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        calls INTEGER NOT NULL,
        count INTEGER NOT NULL,
        key TEXT UNIQUE,
        digest BLOB NOT NULL,
        callback_url TEXT,
        callback TEXT,
        submitted INTEGER NOT NULL,
        ended INTEGER,
        size INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS contents (
        id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        requests BLOB,
        content BLOB
    )
    """,
    "CREATE INDEX IF NOT EXISTS jobs_due ON jobs (stage, leased, due, id) WHERE stage IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS jobs_submitted ON jobs (submitted, id)",
    "CREATE INDEX IF NOT EXISTS jobs_open ON jobs (submitted) WHERE ended IS NULL",
    "CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (ended) WHERE stage IS NULL",
    "CREATE TABLE IF NOT EXISTS totals (open INTEGER NOT NULL, ended INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    "INSERT INTO totals SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM totals)",
    f"""
    CREATE TRIGGER IF NOT EXISTS jobs_in AFTER INSERT ON jobs BEGIN
        UPDATE totals SET open = open + {_OPEN.format("NEW")}, bytes = bytes + NEW.size;
    END
    """,
    f"""
    CREATE TRIGGER IF NOT EXISTS jobs_on AFTER UPDATE OF state, ended, size ON jobs BEGIN
        UPDATE totals SET
            open = open + {_OPEN.format("NEW")} - {_OPEN.format("OLD")},
            ended = ended + {_ENDED.format("NEW")} - {_ENDED.format("OLD")},
            bytes = bytes + NEW.size - OLD.size;
    END
    """,
    f"""
    CREATE TRIGGER IF NOT EXISTS jobs_out AFTER DELETE ON jobs BEGIN
        UPDATE totals SET
            open = open - {_OPEN.format("OLD")},
            ended = ended - {_ENDED.format("OLD")},
            bytes = bytes - OLD.size;
    END
    """,
    # After the rest, since files of before have the rest.
    """
    CREATE TABLE IF NOT EXISTS traces (
        id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        trace TEXT NOT NULL
    )
    """,
)
