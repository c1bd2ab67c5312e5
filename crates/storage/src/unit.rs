//! Changes as data: a unit of work is a list of statements that are applied all or not at all.

use std::vec;

use crate::{
    StorageError,
    value::{Column, Value},
};

/// What a statement must have done for its unit to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Any number of rows.
    Any,
    /// One row exactly; else the whole unit is undone and answers what is said here.
    One(Miss),
}

/// What it means that a statement did not touch the one row it was to touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The record is not there.
    NotFound(&'static str),
    /// It is not in the state that was assumed.
    Conflict(&'static str),
    /// The unit was applied before.
    AlreadyApplied,
}

impl From<Miss> for StorageError {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::NotFound(what) => Self::NotFound { what: what.into() },
            Miss::Conflict(what) => Self::Conflict { what: what.into() },
            Miss::AlreadyApplied => Self::AlreadyApplied,
        }
    }
}

/// One SQL statement with its values: valid for SQLite and PostgreSQL, placeholders `$1`, `$2`, …
/// It may return rows (`RETURNING`, or a `SELECT` that reads what the unit has changed).
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) values: Vec<Value>,
    pub(crate) expect: Expect,
}

impl Statement {
    /// The statement `sql` with the values of `$1`, `$2`, … in this order, expecting nothing.
    pub fn new(sql: &'static str, values: impl Into<Vec<Value>>) -> Self {
        Self { sql, values: values.into(), expect: Expect::Any }
    }

    /// The same statement, which now has to touch (or return) exactly one row.
    pub fn expect_one(mut self, otherwise: Miss) -> Self {
        self.expect = Expect::One(otherwise);
        self
    }
}

/// Statements that are applied in order, all or none. Repositories make the parts
/// (`players().create_unit(…)`), [`and`](Self::and) combines them, [`Storage::apply`] applies them.
///
/// [`Storage::apply`]: crate::Storage::apply
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a unit of work changes nothing until it is applied"]
pub struct UnitOfWork {
    pub(crate) statements: Vec<Statement>,
}

impl UnitOfWork {
    /// A unit without a statement: applying it does nothing.
    pub const fn new() -> Self {
        Self { statements: Vec::new() }
    }

    /// The unit followed by one more statement.
    pub fn then(mut self, statement: Statement) -> Self {
        self.statements.push(statement);
        self
    }

    /// The unit followed by all of `other`.
    pub fn and(mut self, other: Self) -> Self {
        self.statements.extend(other.statements);
        self
    }

    /// How many statements it has.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

impl From<Statement> for UnitOfWork {
    fn from(statement: Statement) -> Self {
        Self { statements: vec![statement] }
    }
}

/// What a unit of work did, statement by statement in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    pub(crate) statements: Vec<StatementOutcome>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StatementOutcome {
    pub(crate) rows: u64,
    pub(crate) returned: Vec<Row>,
}

impl Applied {
    /// How many rows the statement at `index` changed or returned; 0 if there is no such statement.
    pub fn rows(&self, index: usize) -> u64 {
        self.statements.get(index).map_or(0, |statement| statement.rows)
    }

    /// Takes what the statement at `index` returned, read by `read`.
    pub fn returned<T>(
        &mut self,
        index: usize,
        read: impl FnMut(&mut Row) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        let rows = self.statements.get_mut(index).map(|statement| std::mem::take(&mut statement.returned));
        rows.unwrap_or_default().iter_mut().map(read).collect()
    }
}

/// A question as data: one `SELECT`, valid for both engines.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub(crate) sql: &'static str,
    pub(crate) values: Vec<Value>,
}

impl Query {
    /// The query `sql` with the values of `$1`, `$2`, … in this order.
    pub fn new(sql: &'static str, values: impl Into<Vec<Value>>) -> Self {
        Self { sql, values: values.into() }
    }
}

/// One row of an answer, read from left to right.
#[derive(Clone, Debug)]
pub struct Row {
    columns: vec::IntoIter<Value>,
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.columns.as_slice() == other.columns.as_slice()
    }
}

impl Row {
    pub(crate) fn new(columns: Vec<Value>) -> Self {
        Self { columns: columns.into_iter() }
    }

    /// The next column, as `T`.
    pub fn take<T: Column>(&mut self) -> Result<T, StorageError> {
        let value = self.columns.next().ok_or_else(|| StorageError::corrupt("a row has too few columns"))?;
        T::from_value(value).ok_or_else(|| {
            StorageError::corrupt(format!("a column does not hold a {}", std::any::type_name::<T>()))
        })
    }
}
