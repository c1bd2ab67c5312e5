-- Who is let in, and what they did. Sessions get a name of their own, by which one is shown and ended;
-- those from before have none, so administrators sign in once more.
DROP TABLE admin_sessions;
CREATE TABLE admin_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    admin TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    csrf_secret BLOB NOT NULL,
    address TEXT,
    user_agent TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX admin_sessions_by_admin ON admin_sessions (admin, created_at);
CREATE INDEX admin_sessions_by_end ON admin_sessions (expires_at);

CREATE TABLE admin_invites (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL,
    -- Who is no longer an administrator cannot make another one.
    invited_by TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX admin_invites_by_inviter ON admin_invites (invited_by);
CREATE INDEX admin_invites_by_end ON admin_invites (expires_at);

CREATE TABLE personal_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    admin TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX personal_tokens_by_admin ON personal_tokens (admin, created_at);

ALTER TABLE audit_log ADD COLUMN via TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_log ADD COLUMN address TEXT;
CREATE INDEX audit_log_by_time ON audit_log (at);
