-- When an identity came to its player; 0 of those that came before this was kept.
ALTER TABLE identities ADD COLUMN linked_at INTEGER NOT NULL DEFAULT 0;

CREATE TABLE passwords (
    player TEXT NOT NULL PRIMARY KEY REFERENCES players (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is good once, until a point in time.
CREATE TABLE one_time_tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    game TEXT NOT NULL,
    player TEXT REFERENCES players (id) ON DELETE CASCADE,
    -- Of those about the same the newest alone is good.
    subject TEXT NOT NULL UNIQUE,
    data TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_tokens_by_player ON one_time_tokens (player, kind);
CREATE INDEX one_time_tokens_by_end ON one_time_tokens (expires_at);
