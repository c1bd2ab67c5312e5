//! Which entries a player is shown, in which order, and page by page.

use std::{collections::BTreeMap, fmt, str::FromStr};

use greenroom_protocol::{
    RegionId,
    browser::{
        BROWSER_LIMIT_DEFAULT, BROWSER_LIMIT_MAX, BrowserEntry, BrowserFilter, BrowserSort, LATENCIES_MAX,
    },
};

use crate::text;

/// An entry, ready to be looked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The entry.
    pub entry: BrowserEntry,
    /// Its name in lower case.
    folded: String,
}

impl From<BrowserEntry> for Row {
    fn from(entry: BrowserEntry) -> Self {
        let folded = entry.name.to_lowercase();
        Self { entry, folded }
    }
}

/// A filter within its bounds. Equal ones have equal answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    region: Option<RegionId>,
    version: Option<String>,
    not_full: bool,
    has_players: bool,
    folded: Option<String>,
    sort: BrowserSort,
    latencies: BTreeMap<RegionId, u32>,
    limit: u32,
}

/// What a query found.
#[derive(Debug)]
pub struct Found<'a> {
    /// In the query's order, at most its limit.
    pub rows: Vec<&'a Row>,
    /// How many the filter lets through, on all pages.
    pub total: usize,
    /// Where the next page begins; none if this is the last one.
    pub next: Option<Place>,
}

/// A place in the order of a query: after this entry. Stays good when entries come and go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    name: String,
    rank: u64,
    id: String,
}

/// A text that is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a place that a page gave")]
pub struct InvalidPlace;

impl Query {
    /// What `filter` asks for, cut to what is allowed. A text in which nothing can be seen asks for
    /// nothing.
    pub fn new(filter: BrowserFilter) -> Self {
        let by_latency = !filter.latencies.is_empty();
        let sort =
            filter.sort.unwrap_or(if by_latency { BrowserSort::Latency } else { BrowserSort::Players });
        let latencies = match sort {
            BrowserSort::Latency => filter.latencies.into_iter().take(LATENCIES_MAX).collect(),
            BrowserSort::Players | BrowserSort::Name => BTreeMap::new(),
        };
        let wanted = filter.text.and_then(|wanted| text::bounded(&wanted, text::TITLE_CHARS_MAX));
        Self {
            region: filter.region,
            version: filter.version.and_then(|version| text::bounded(&version, text::LABEL_CHARS_MAX)),
            not_full: filter.not_full,
            has_players: filter.has_players,
            folded: wanted.map(|wanted| wanted.to_lowercase()),
            sort,
            latencies,
            limit: filter.limit.unwrap_or(BROWSER_LIMIT_DEFAULT).clamp(1, BROWSER_LIMIT_MAX),
        }
    }

    /// Looks through `rows`: the page that begins after `after`, or the first one.
    pub fn find<'a>(&self, rows: &'a [Row], after: Option<&Place>) -> Found<'a> {
        let fitting = rows.iter().filter(|row| self.lets_through(row));
        let mut ordered: Vec<(Order<'_>, &Row)> = fitting.map(|row| (self.order(row), row)).collect();
        let total = ordered.len();
        if let Some(after) = after {
            ordered.retain(|(order, _)| *order > after.order());
        }
        let limit = self.limit as usize;
        let has_more = ordered.len() > limit;
        if has_more {
            // Only what is shown is worth sorting.
            ordered.select_nth_unstable_by(limit, |a, b| a.0.cmp(&b.0));
            ordered.truncate(limit);
        }
        ordered.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let next = ordered.last().filter(|_| has_more).map(|(order, _)| Place::of(order));
        Found { rows: ordered.into_iter().map(|(_, row)| row).collect(), total, next }
    }

    fn lets_through(&self, row: &Row) -> bool {
        let entry = &row.entry;
        let is_full = entry.players_max.is_some_and(|max| entry.players >= max);
        self.region.as_ref().is_none_or(|region| entry.region.as_ref() == Some(region))
            && self.version.as_ref().is_none_or(|version| entry.version.as_ref() == Some(version))
            && !(self.not_full && is_full)
            && !(self.has_players && entry.players == 0)
            && self.folded.as_ref().is_none_or(|folded| row.folded.contains(folded.as_str()))
    }

    fn order<'a>(&self, row: &'a Row) -> Order<'a> {
        let emptiness = u64::from(u32::MAX - row.entry.players);
        let latency = || {
            let known = row.entry.region.as_ref().and_then(|region| self.latencies.get(region));
            u64::from(known.copied().unwrap_or(u32::MAX))
        };
        let (name, rank) = match self.sort {
            BrowserSort::Latency => ("", latency() << 32 | emptiness),
            BrowserSort::Players => ("", emptiness),
            BrowserSort::Name => (row.folded.as_str(), emptiness),
        };
        (name, rank, &row.entry.id)
    }
}

/// Name, rank and id, the first that differs deciding.
type Order<'a> = (&'a str, u64, &'a str);

impl Place {
    fn of(&(name, rank, id): &Order<'_>) -> Self {
        Self { name: name.to_owned(), rank, id: id.to_owned() }
    }

    fn order(&self) -> Order<'_> {
        (&self.name, self.rank, &self.id)
    }
}

impl fmt::Display for Place {
    /// The rank, the id, and the name as hexadecimal bytes, so that it needs no escaping in a query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}~{}~", self.rank, self.id)?;
        self.name.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let mut parts = text.splitn(3, '~');
        let mut part = || parts.next().ok_or(InvalidPlace);
        let (rank, id, name) = (part()?, part()?, part()?);
        let bytes = name.as_bytes().chunks(2).map(|pair| {
            let &[high, low] = pair else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(high)? << 4 | digit(low)?).ok()
        });
        let name = bytes.collect::<Option<Vec<u8>>>().and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(Self {
            rank: u64::from_str_radix(rank, 16).map_err(|_| InvalidPlace)?,
            id: id.to_owned(),
            name: name.ok_or(InvalidPlace)?,
        })
    }
}
