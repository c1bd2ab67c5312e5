-- What an ended server ran and was given; unknown of those that ended before this was kept.
ALTER TABLE servers ADD COLUMN version TEXT;
ALTER TABLE servers ADD COLUMN payload_bytes INTEGER NOT NULL DEFAULT 0;
