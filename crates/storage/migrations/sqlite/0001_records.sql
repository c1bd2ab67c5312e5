-- Times are milliseconds since 1970, ids and JSON are text, booleans 0 and 1.

CREATE TABLE studios (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE players (
    id TEXT NOT NULL PRIMARY KEY,
    game TEXT NOT NULL,
    username TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX players_by_name ON players (game, name_folded, id);

CREATE TABLE identities (
    game TEXT NOT NULL,
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    player TEXT NOT NULL REFERENCES players (id) ON DELETE CASCADE,
    profile TEXT NOT NULL,
    PRIMARY KEY (game, provider, subject),
    UNIQUE (player, provider)
) STRICT, WITHOUT ROWID;

CREATE TABLE bans (
    player TEXT NOT NULL PRIMARY KEY REFERENCES players (id) ON DELETE CASCADE,
    game TEXT NOT NULL,
    reason TEXT NOT NULL,
    until INTEGER,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bans_by_time ON bans (game, at, player);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    player TEXT NOT NULL REFERENCES players (id) ON DELETE CASCADE,
    game TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    ended_why TEXT,
    refresh_hash BLOB,
    previous_hash BLOB,
    user_agent TEXT,
    address TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_player ON sessions (player, created_at, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    studio TEXT NOT NULL,
    game TEXT,
    name TEXT NOT NULL,
    permissions TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_studio ON api_keys (studio, created_at, id);
CREATE INDEX api_keys_by_time ON api_keys (created_at, id);

CREATE TABLE admins (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password_hash TEXT,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE admin_sessions (
    token_hash BLOB NOT NULL PRIMARY KEY,
    admin TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    csrf_secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX admin_sessions_by_admin ON admin_sessions (admin);
CREATE INDEX admin_sessions_by_end ON admin_sessions (expires_at);

CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE servers (
    id TEXT NOT NULL PRIMARY KEY,
    game TEXT NOT NULL,
    studio TEXT NOT NULL,
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    build TEXT NOT NULL,
    address TEXT,
    ports TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ready_at INTEGER,
    allocated_at INTEGER,
    ended_at INTEGER,
    exit TEXT,
    history TEXT NOT NULL,
    match_id TEXT,
    log_kept_until INTEGER
) STRICT;
CREATE INDEX servers_by_game ON servers (game, created_at, id);
CREATE INDEX servers_by_time ON servers (created_at, id);
CREATE INDEX servers_by_end ON servers (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE matches (
    id TEXT NOT NULL PRIMARY KEY,
    game TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    result TEXT NOT NULL
) STRICT;

-- A read model of the history: it may name players whose account is gone.
CREATE TABLE match_players (
    match_id TEXT NOT NULL REFERENCES matches (id) ON DELETE CASCADE,
    player TEXT NOT NULL,
    ended_at INTEGER NOT NULL,
    team TEXT,
    score REAL,
    won INTEGER,
    PRIMARY KEY (match_id, player)
) STRICT, WITHOUT ROWID;
CREATE INDEX match_players_by_player ON match_players (player, ended_at, match_id);

CREATE TABLE positions (
    model TEXT NOT NULL,
    stream TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (model, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    -- Never given twice: a claim names its job by it after the job may be gone.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    run_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    attempts_max INTEGER NOT NULL,
    lease_holder TEXT,
    lease_until INTEGER,
    last_error TEXT,
    unique_key TEXT,
    failed_at INTEGER,
    UNIQUE (name, unique_key)
) STRICT;
CREATE INDEX jobs_by_time ON jobs (name, run_at, id) WHERE failed_at IS NULL;
