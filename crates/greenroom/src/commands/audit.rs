//! `audit`.

use greenroom_protocol::admins::{AuditPage, AuditView};
use reqwest::Method;

use super::{or_dash, shown};
use crate::{
    cli::Server,
    http::Greenroom,
    listing::{self, Listed},
    output,
};

const HEADS: [&str; 7] = ["WHEN (UTC)", "WHO", "BY", "FROM", "WHAT", "TO WHAT", "FURTHER"];

pub(crate) async fn run(server: Server, limit: u32, after: Option<String>) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    let mut request = greenroom.request(Method::GET, "/v1/audit").query(&[("limit", limit)]);
    if let Some(after) = after {
        request = request.query(&[("cursor", after)]);
    }
    let page: AuditPage = greenroom.json(request).await?;
    let lines = output::table_lines(HEADS, page.entries.iter().map(row));
    // An entry has no id, for it never changes.
    let listed = Listed::new(&page, None, "", lines)?.with_next(page.next.as_deref());
    listing::once(server.json, &listed)
}

fn row(entry: &AuditView) -> [String; 7] {
    let AuditView { at, actor, via, address, action, subject, detail } = entry;
    let further = if detail.is_null() { "-".to_owned() } else { detail.to_string() };
    let subject = if subject.is_empty() { "-" } else { subject };
    let address = or_dash(address.as_ref());
    [shown(*at), actor.clone(), via.clone(), address, action.clone(), subject.to_owned(), further]
}
