//! Every statement in the sources of the repositories: it prepares on the schema, and finds its
//! rows by an index.
#![expect(clippy::unwrap_used, reason = "a test ends at the first error")]

use std::{fs, path::Path};

use greenroom_storage::{Storage, StorageConfig};
use rusqlite::Connection;

/// Statements that look at whole tables on purpose, by how they begin.
const SCANS: &[&str] = &[
    // As many as configurations ever named.
    "SELECT id, created_at FROM studios",
    // Jobs are few: done is gone.
    "SELECT COUNT(*), COUNT(failed_at)",
];

#[tokio::test]
async fn every_statement_prepares_and_uses_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.sqlite");
    Storage::open(StorageConfig::Embedded { path: path.clone() }).unwrap().close().await;
    let connection = Connection::open(path).unwrap();
    let statements = statements();
    assert!(statements.len() > 50, "found only {} statements", statements.len());
    for sql in statements {
        for step in plan(&connection, &sql) {
            // The walk along an index in order reads `SCAN t USING INDEX`; bounded by a LIMIT.
            let scans = step.starts_with("SCAN") && !step.contains("USING") && step != "SCAN CONSTANT ROW";
            let sorts = step.contains("TEMP B-TREE FOR ORDER BY");
            let meant = SCANS.iter().any(|begin| sql.starts_with(begin));
            assert!(meant || !(scans || sorts), "{step}: {sql}");
        }
    }
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
    // Unbound parameters are NULL, which changes no plan.
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

/// The string literals in the repositories that are SQL. None of them has an escape.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/repositories");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        let code =
            source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let literals = code.split('"').skip(1).step_by(2);
        let is_sql = |text: &&str| {
            ["SELECT ", "INSERT ", "UPDATE ", "DELETE "].iter().any(|verb| text.starts_with(verb))
        };
        found.extend(literals.filter(is_sql).map(str::to_owned));
    }
    found
}
