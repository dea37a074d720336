//! The conduit review, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::escape::terminal;
use super::view::SCHEMA;
use crate::policy::Policy;
use crate::policy::review::{Row, User, review};
use crate::time::Timestamp;

pub use crate::policy::review::Watched;

/// The whole review.
#[derive(Debug, Serialize)]
pub struct ReviewView {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The site's id.
    pub site: String,
    /// SHA-256 over the policy.
    pub policy_sha256: String,
    /// First and last packet.
    pub first: String,
    /// First and last packet.
    pub last: String,
    /// One row for each conduit and exception, those that need a decision first.
    pub conduits: Vec<RowView>,
}

/// One conduit or exception.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // reports.md, section 3, says what each is.
pub struct RowView {
    pub id: String,
    pub name: String,
    pub exception: bool,
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub owner: Option<String>,
    pub ticket: Option<String>,
    pub valid_until: Option<String>,
    pub state: String,
    pub first_used: Option<String>,
    pub last_used: Option<String>,
    pub sessions: u64,
    pub operations: BTreeMap<&'static str, u64>,
    pub used_by: Vec<UserView>,
    pub objections: BTreeMap<&'static str, u64>,
    pub rights: String,
    pub unused_rights: Vec<String>,
    pub narrower: Vec<String>,
    pub remote_access: bool,
}

/// Who used it.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // The names are the documentation.
pub struct UserView {
    pub client: String,
    pub server: String,
    pub service: String,
    pub sessions: u64,
    pub first: String,
    pub last: String,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            client: user.client.clone(),
            server: user.server.clone(),
            service: user.service.clone(),
            sessions: user.sessions,
            first: user.first.to_string(),
            last: user.last.to_string(),
        }
    }
}

/// Makes the review of a policy.
#[must_use]
pub fn view(policy: &Policy, watched: &Watched) -> ReviewView {
    let text = |at: Timestamp| at.to_string();
    let row = |row: &Row<'_>| RowView {
        id: row.rule.id.clone(),
        name: row.rule.name.clone(),
        exception: row.rule.exception,
        from: row.rule.from_words.clone(),
        to: row.rule.to_words.clone(),
        owner: row.rule.owner.clone(),
        ticket: row.rule.ticket.clone(),
        valid_until: row.rule.valid_until().map(text),
        state: row.state.text(),
        first_used: row.span.map(|(first, _)| text(first)),
        last_used: row.span.map(|(_, last)| text(last)),
        sessions: row.sessions,
        operations: row.operations.clone(),
        used_by: row.users.iter().map(UserView::from).collect(),
        objections: row.objections.iter().map(|(reason, count)| (reason.code(), *count)).collect(),
        rights: policy.rights(row.rule),
        unused_rights: row.unused.clone(),
        narrower: row.narrower.clone(),
        remote_access: row.rule.remote_access,
    };
    ReviewView {
        schema: SCHEMA,
        site: policy.site.clone(),
        policy_sha256: policy.sha256.clone(),
        first: watched.first.to_string(),
        last: watched.last.to_string(),
        conduits: review(policy, watched).iter().map(row).collect(),
    }
}

/// Users of a conduit that the text names; all stand in the JSON.
const NAMED: usize = 8;

/// The review for people.
#[must_use]
pub fn render(view: &ReviewView) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Conduit review of {}, {} to {}. What needs a decision stands first.",
        view.site, view.first, view.last
    );
    for row in &view.conduits {
        let exception = if row.exception { ", exception" } else { "" };
        let _ = writeln!(out, "\n{} {}: {}{exception}", row.id, terminal(&row.name), row.state);
        let _ = writeln!(out, "    {} -> {}", row.from.join(", "), row.to.join(", "));
        let owner = row.owner.as_deref().unwrap_or("nobody");
        let ticket = row.ticket.as_ref().map(|ticket| format!(", ticket {ticket}")).unwrap_or_default();
        let until = row.valid_until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
        let _ = writeln!(out, "    owner {}{}{until}", terminal(owner), terminal(&ticket));
        let _ = writeln!(out, "    allows {}", terminal(&row.rights));
        if let (Some(first), Some(last)) = (&row.first_used, &row.last_used) {
            let operations: Vec<String> =
                row.operations.iter().map(|(class, count)| format!("{class} {count}")).collect();
            let _ = writeln!(out, "    used {first} to {last}: {} sessions, {}", row.sessions, operations.join(", "));
        }
        for user in row.used_by.iter().take(NAMED) {
            let _ =
                write!(out, "      {} -> {} {}, {} sessions", user.client, user.server, user.service, user.sessions);
            let _ = if row.remote_access { writeln!(out, ", {} to {}", user.first, user.last) } else { writeln!(out) };
        }
        if let Some(more) = row.used_by.len().checked_sub(NAMED).filter(|more| *more > 0) {
            let _ = writeln!(out, "      and {more} more");
        }
        if !row.objections.is_empty() {
            let reasons: Vec<String> = row.objections.iter().map(|(code, count)| format!("{code} {count}")).collect();
            let _ = writeln!(out, "    objected to: {}", reasons.join(", "));
        }
        for unused in &row.unused_rights {
            let _ = writeln!(out, "    never used: {}", terminal(unused));
        }
        if !row.narrower.is_empty() {
            let _ = writeln!(out, "    would have been enough:");
            for table in &row.narrower {
                let _ = writeln!(out, "      {}", terminal(table));
            }
        }
    }
    out
}
