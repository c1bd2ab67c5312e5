//! The rows of a reference: those that the server itself has written, copied with new ids.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use greenroom_sqlite::rusqlite::{
    Connection, OpenFlags, OptionalExtension as _, Result,
    types::{Value, ValueRef},
};
use uuid::Uuid;

/// Rows that are written together, again and again. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rows(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The tables and their indexes, as the server has them.
    schema: Vec<String>,
    inserts: Vec<Insert>,
    /// How many different ids there are among the columns.
    ids: usize,
}

#[derive(Debug)]
struct Insert {
    statement: String,
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
enum Column {
    /// The same in every copy.
    Same(Value),
    /// A new id in every copy, the same one wherever the original has the same one.
    Id(usize),
}

impl Rows {
    /// One row of 200 bytes in a table without an index.
    pub(crate) fn plain() -> Self {
        Self(Arc::new(Inner {
            schema: vec![
                "CREATE TABLE IF NOT EXISTS a (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT".into(),
            ],
            inserts: vec![Insert {
                statement: "INSERT INTO a (body) VALUES (?)".into(),
                columns: vec![Column::Same(Value::Text("x".repeat(200)))],
            }],
            ids: 0,
        }))
    }

    /// The newest row of each of `tables` in the server's database at `path`: the tables with their
    /// indexes, and the columns with their values. UUIDs are replaced by new ones, and a key that
    /// is a number is left to the database, so that every copy is a new row where the server would
    /// have put it. `order` is the column that grows with time.
    pub(crate) fn of(path: &Path, tables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let (mut schema, mut inserts, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for (table, order) in tables {
            schema.extend(schema_of(&connection, table)?);
            inserts.push(newest(&connection, table, order, &mut ids)?);
        }
        ensure!(!schema.is_empty(), "{} has none of the tables", path.display());
        Ok(Self(Arc::new(Inner { schema, inserts, ids: ids.len() })))
    }

    /// Makes the tables where they are not there yet.
    pub(super) fn create(&self, connection: &Connection) -> Result<()> {
        let has_some = "SELECT 1 FROM sqlite_schema WHERE type = 'table'";
        if connection.query_row(has_some, [], |_| Ok(())).optional()?.is_some() {
            return Ok(());
        }
        self.0.schema.iter().try_for_each(|statement| connection.execute_batch(statement))
    }

    /// The statements of one more copy and their values.
    pub(super) fn fresh(&self) -> impl Iterator<Item = (&str, Vec<Value>)> {
        let ids: Vec<_> = (0..self.0.ids).map(|_| Uuid::now_v7().to_string()).collect();
        self.0.inserts.iter().map(move |insert| {
            let value = |column: &Column| match column {
                Column::Same(value) => value.clone(),
                Column::Id(index) => Value::Text(ids[*index].clone()),
            };
            (insert.statement.as_str(), insert.columns.iter().map(value).collect())
        })
    }
}

fn schema_of(connection: &Connection, table: &str) -> Result<Vec<String>> {
    // Tables come before what is made on them.
    let text = "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type = 'index'";
    connection.prepare(text)?.query_map([table], |row| row.get(0))?.collect()
}

fn newest(
    connection: &Connection,
    table: &str,
    order: &str,
    ids: &mut Vec<String>,
) -> anyhow::Result<Insert> {
    let mut statement =
        connection.prepare(&format!("SELECT * FROM {table} ORDER BY {order} DESC LIMIT 1"))?;
    let names: Vec<_> = statement.column_names().into_iter().map(str::to_owned).collect();
    let integer_key: Option<String> = connection
        .query_row(
            "SELECT name FROM pragma_table_info(?) WHERE pk = 1 AND type = 'INTEGER'",
            [table],
            |row| row.get(0),
        )
        .optional()?;
    let columns = statement.query_row([], |row| {
        let column = |(index, name): (usize, &String)| {
            let value = row.get_ref(index)?;
            Ok(match value {
                _ if Some(name) == integer_key.as_ref() => Column::Same(Value::Null),
                ValueRef::Text(text) => match std::str::from_utf8(text).ok().filter(|text| is_id(text)) {
                    Some(id) => Column::Id(known(ids, id)),
                    None => Column::Same(value.try_into()?),
                },
                _ => Column::Same(value.try_into()?),
            })
        };
        names.iter().enumerate().map(column).collect::<Result<Vec<_>>>()
    });
    let columns = columns.with_context(|| format!("the table {table} has no row to copy"))?;
    let marks = vec!["?"; columns.len()].join(", ");
    Ok(Insert { statement: format!("INSERT INTO {table} VALUES ({marks})"), columns })
}

fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok()
}

fn known(ids: &mut Vec<String>, id: &str) -> usize {
    ids.iter().position(|known| known == id).unwrap_or_else(|| {
        ids.push(id.to_owned());
        ids.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_copied_with_new_ids_that_still_belong_together() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("original");
        let ids = [Uuid::now_v7().to_string(), Uuid::now_v7().to_string()];
        let connection = Connection::open(&original).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE p (id TEXT PRIMARY KEY, name TEXT, at INTEGER) STRICT, WITHOUT ROWID;
                 CREATE INDEX p_by_name ON p (name);
                 CREATE TABLE s (n INTEGER PRIMARY KEY, p TEXT REFERENCES p (id), id TEXT, data BLOB, at INTEGER)",
            )
            .unwrap();
        connection.execute("INSERT INTO p VALUES (?, 'old', 1)", ["x"]).unwrap();
        connection.execute("INSERT INTO p VALUES (?, 'ann', 2)", [&ids[0]]).unwrap();
        connection.execute("INSERT INTO s VALUES (7, ?, ?, x'00ff', 2)", [&ids[0], &ids[1]]).unwrap();

        let rows = Rows::of(&original, &[("p", "at"), ("s", "n")]).unwrap();
        let copy = Connection::open_in_memory().unwrap();
        copy.pragma_update(None, "foreign_keys", true).unwrap();
        rows.create(&copy).unwrap();
        rows.create(&copy).unwrap();
        for _ in 0..2 {
            for (statement, values) in rows.fresh() {
                copy.prepare(statement)
                    .unwrap()
                    .execute(greenroom_sqlite::rusqlite::params_from_iter(values))
                    .unwrap();
            }
        }
        let count: (i64, i64, i64) = copy
            .query_row(
                "SELECT count(*), count(DISTINCT p.id), count(DISTINCT s.id) FROM s JOIN p ON p.id = s.p
                 WHERE name = 'ann' AND data = x'00ff'",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        assert_eq!(count, (2, 2, 2));
        let indexes: i64 = copy
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'p_by_name'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(indexes, 1);
    }
}
