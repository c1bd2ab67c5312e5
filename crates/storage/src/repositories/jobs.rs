//! Jobs: work that is to be done later, once, by whoever claims it first.

use greenroom_protocol::{NodeId, Timestamp};

use crate::{Cursor, Miss, Page, Query, Row, Statement, StorageError, UnitOfWork, page};

/// Most jobs that one claim takes.
pub const CLAIM_JOBS_MAX: u32 = 100;

/// A job to be enqueued.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// What kind of work.
    pub name: String,
    /// What it is about, as JSON.
    pub payload: serde_json::Value,
    /// Not before.
    pub run_at: Timestamp,
    /// How often it is tried at most, claims that were lost included; at least 1.
    pub attempts_max: u32,
    /// Only one unfinished or failed job of this name has this key.
    pub unique_key: Option<String>,
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its number, growing.
    pub id: i64,
    /// What kind of work.
    pub name: String,
    /// What it is about, as JSON.
    pub payload: serde_json::Value,
    /// Not before.
    pub run_at: Timestamp,
    /// How often it was claimed.
    pub attempts: u32,
    /// How often it is tried at most.
    pub attempts_max: u32,
    /// Who does it.
    pub lease_holder: Option<String>,
    /// Until when nobody else may.
    pub lease_until: Option<Timestamp>,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// The key it was enqueued with.
    pub unique_key: Option<String>,
    /// Set when it was tried as often as it may: it waits for a person.
    pub failed_at: Option<Timestamp>,
}

/// Which jobs a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waiting or being done.
    Open,
    /// Tried as often as they may.
    Failed,
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Waiting for their time, or due.
    pub waiting: u64,
    /// Held under a lease.
    pub running: u64,
    /// Tried as often as they may.
    pub failed: u64,
}

repository! {
    /// Work that is to be done later.
    Jobs
}

impl Jobs<'_> {
    /// Enqueues the job; false if one of its name and unique key is there.
    pub async fn enqueue(&self, job: &NewJob) -> Result<bool, StorageError> {
        Ok(self.storage.apply(self.enqueue_unit(job)).await?.rows(0) > 0)
    }

    /// The part of a unit that enqueues the job unless one of its name and unique key is there.
    pub fn enqueue_unit(&self, job: &NewJob) -> UnitOfWork {
        Statement::new(
            "INSERT INTO jobs (name, payload, run_at, attempts, attempts_max, unique_key)
             VALUES ($1, $2, $3, 0, $4, $5) ON CONFLICT (name, unique_key) DO NOTHING",
            [
                (&job.name).into(),
                (&job.payload).into(),
                job.run_at.into(),
                job.attempts_max.max(1).into(),
                job.unique_key.as_ref().into(),
            ],
        )
        .into()
    }

    /// Claims up to `limit` (at most [`CLAIM_JOBS_MAX`]) due jobs called one of `name`, the longest
    /// due first, for `holder` until `until`. No job is held by two. Jobs whose lease ran out are
    /// claimed anew; those that were claimed `attempts_max` times without an end count as failed.
    pub async fn claim(
        &self,
        name: &str,
        holder: &NodeId,
        until: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Job>, StorageError> {
        let unit = UnitOfWork::new()
            .then(Statement::new(
                "UPDATE jobs SET failed_at = $1, lease_holder = NULL, lease_until = NULL,
                        last_error = COALESCE(last_error, 'the lease ran out')
                 WHERE name = $2 AND failed_at IS NULL AND attempts >= attempts_max AND lease_until <= $1",
                [now.into(), name.into()],
            ))
            // Whether it is free is asked again outside: an engine that runs two of these at once
            // asks it of the row that the other one has changed.
            .then(Statement::new(
                "UPDATE jobs SET lease_holder = $1, lease_until = $2, attempts = attempts + 1
                 WHERE id IN
                     (SELECT id FROM jobs
                      WHERE name = $3 AND failed_at IS NULL AND run_at <= $4
                        AND (lease_until IS NULL OR lease_until <= $4)
                      ORDER BY run_at, id LIMIT $5)
                   AND failed_at IS NULL AND (lease_until IS NULL OR lease_until <= $4)
                 RETURNING id, name, payload, run_at, attempts, attempts_max, lease_holder, lease_until,
                           last_error, unique_key, failed_at",
                [
                    holder.as_str().into(),
                    until.into(),
                    name.into(),
                    now.into(),
                    limit.clamp(1, CLAIM_JOBS_MAX).into(),
                ],
            ));
        let mut jobs = self.storage.apply(unit).await?.returned(1, read)?;
        jobs.sort_by_key(|job| (job.run_at, job.id));
        Ok(jobs)
    }

    /// The part of a unit that ends a claimed job, so that its effect and its end are one.
    /// `Conflict` if the lease is no longer the one of this claim.
    pub fn complete_unit(&self, claimed: &Job) -> UnitOfWork {
        Statement::new(
            "DELETE FROM jobs WHERE id = $1 AND lease_holder = $2 AND attempts = $3",
            [claimed.id.into(), claimed.lease_holder.as_ref().into(), claimed.attempts.into()],
        )
        .expect_one(Miss::Conflict("job lease"))
        .into()
    }

    /// Ends a claimed job. `Conflict` as above.
    pub async fn complete(&self, claimed: &Job) -> Result<(), StorageError> {
        self.storage.apply(self.complete_unit(claimed)).await.map(drop)
    }

    /// Gives a claimed job back: it is tried again at `retry_at`, or counts as failed if it was
    /// tried as often as it may. `Conflict` as above.
    pub async fn fail(
        &self,
        claimed: &Job,
        error: &str,
        retry_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let update = Statement::new(
            "UPDATE jobs SET lease_holder = NULL, lease_until = NULL, last_error = $1, run_at = $2,
                    failed_at = CASE WHEN attempts >= attempts_max THEN CAST($3 AS BIGINT) END
             WHERE id = $4 AND lease_holder = $5 AND attempts = $6",
            [
                error.into(),
                retry_at.into(),
                now.into(),
                claimed.id.into(),
                claimed.lease_holder.as_ref().into(),
                claimed.attempts.into(),
            ],
        )
        .expect_one(Miss::Conflict("job lease"));
        self.storage.apply(update.into()).await.map(drop)
    }

    /// Jobs in `state`, by number.
    pub async fn list(
        &self,
        state: JobState,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Job>, StorageError> {
        let limit = page::limit(limit);
        let (after, _) = after.map_or_else(|| Ok((0, String::new())), Cursor::time_parts)?;
        let sql = match state {
            JobState::Open => {
                "SELECT id, name, payload, run_at, attempts, attempts_max, lease_holder, lease_until, last_error,
                        unique_key, failed_at
                 FROM jobs WHERE failed_at IS NULL AND id > $1 ORDER BY id LIMIT $2"
            }
            JobState::Failed => {
                "SELECT id, name, payload, run_at, attempts, attempts_max, lease_holder, lease_until, last_error,
                        unique_key, failed_at
                 FROM jobs WHERE failed_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2"
            }
        };
        let jobs = self.storage.query(Query::new(sql, [after.into(), (limit + 1).into()]), read).await?;
        Ok(Page::cut(jobs, limit, |job| Cursor::new(job.id, "")))
    }

    /// How many jobs called `name` are waiting or being done.
    pub async fn open(&self, name: &str) -> Result<u64, StorageError> {
        let query =
            Query::new("SELECT COUNT(*) FROM jobs WHERE name = $1 AND failed_at IS NULL", [name.into()]);
        Ok(self.storage.query_one(query, Row::take::<i64>).await?.unwrap_or(0) as u64)
    }

    /// When the first job called `name` can be claimed, or could; none if there is none.
    pub async fn next_due(&self, name: &str) -> Result<Option<Timestamp>, StorageError> {
        let query = Query::new(
            "SELECT MIN(CASE WHEN lease_until > run_at THEN lease_until ELSE run_at END)
             FROM jobs WHERE name = $1 AND failed_at IS NULL",
            [name.into()],
        );
        Ok(self.storage.query_one(query, Row::take::<Option<Timestamp>>).await?.flatten())
    }

    /// How many jobs there are at `now`.
    pub async fn counts(&self, now: Timestamp) -> Result<JobCounts, StorageError> {
        let query = Query::new(
            "SELECT COUNT(*), COUNT(failed_at),
                    COUNT(CASE WHEN failed_at IS NULL AND lease_until > $1 THEN 1 END)
             FROM jobs",
            [now.into()],
        );
        let read = |row: &mut Row| {
            let (all, failed, running): (i64, i64, i64) = (row.take()?, row.take()?, row.take()?);
            Ok(JobCounts {
                waiting: (all - failed - running) as u64,
                running: running as u64,
                failed: failed as u64,
            })
        };
        Ok(self.storage.query_one(query, read).await?.unwrap_or_default())
    }
}

fn read(row: &mut Row) -> Result<Job, StorageError> {
    Ok(Job {
        id: row.take()?,
        name: row.take()?,
        payload: row.take()?,
        run_at: row.take()?,
        attempts: row.take()?,
        attempts_max: row.take()?,
        lease_holder: row.take()?,
        lease_until: row.take()?,
        last_error: row.take()?,
        unique_key: row.take()?,
        failed_at: row.take()?,
    })
}
