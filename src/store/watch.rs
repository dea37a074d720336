//! What was watched over time for a policy: runs, by which silences are told, and sessions of remote access.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::address::{Host, Realm};
use crate::flow::watch::{Runs, Session, Watch};
use crate::policy::Policy;
use crate::time::Timestamp;

/// From and to, in nanoseconds.
type RunRow = (i64, i64);

#[derive(Serialize, Deserialize)]
struct WatchRow {
    active: Vec<(u32, Vec<RunRow>)>,
    heard: Vec<RunRow>,
    lost: Vec<RunRow>,
    lost_bytes: u64,
    sessions: Vec<SessionRow>,
    sessions_dropped: u64,
}

#[derive(Serialize, Deserialize)]
struct SessionRow {
    rule: u32,
    first: i64,
    last: i64,
    client: (u16, String),
    server: (u16, String),
    port: u16,
    idle: Duration,
    pause: Duration,
}

impl SessionRow {
    fn of(session: &Session) -> Self {
        let Session { rule, first, last, client, server, port, idle, pause } = *session;
        let host = |host: Host| (host.realm.0, host.address.to_string());
        let (client, server) = (host(client), host(server));
        Self { rule, first: first.nanos(), last: last.nanos(), client, server, port, idle, pause }
    }

    fn session(self) -> Option<Session> {
        let Self { rule, first, last, client, server, port, idle, pause } = self;
        let host = |(realm, address): (u16, String)| Some(Host { realm: Realm(realm), address: address.parse().ok()? });
        let (first, last) = (Timestamp::from_nanos(first), Timestamp::from_nanos(last));
        Some(Session { rule, first, last, client: host(client)?, server: host(server)?, port, idle, pause })
    }
}

fn rows(runs: &Runs) -> Vec<RunRow> {
    runs.within(Timestamp::MIN, Timestamp::MAX).map(|(from, to)| (from.nanos(), to.nanos())).collect()
}

fn runs(rows: &[RunRow]) -> Runs {
    let mut runs = Runs::default();
    for (from, to) in rows {
        runs.note(Timestamp::from_nanos(*from), Duration::ZERO);
        // Whatever is between belongs to the run.
        runs.note(Timestamp::from_nanos(*to), Duration::MAX);
    }
    runs
}

/// Writes what was watched: of the policy that is in force, since rules are numbered by it.
pub(super) fn write(into: &Transaction<'_>, watch: &Watch, policy: Option<&Policy>) -> rusqlite::Result<()> {
    let row = WatchRow {
        active: watch.active.iter().map(|(rule, of)| (*rule, rows(of))).collect(),
        heard: rows(&watch.heard),
        lost: rows(&watch.lost),
        lost_bytes: watch.lost_bytes,
        sessions: watch.sessions.iter().map(SessionRow::of).collect(),
        sessions_dropped: watch.sessions_dropped,
    };
    // Rows are made here and nowhere else, of types that have a JSON form.
    let row = serde_json::to_string(&row).unwrap_or_default();
    let sha256 = policy.map_or("", |policy| &policy.sha256);
    into.execute("INSERT OR REPLACE INTO watch (id, policy, detail) VALUES (1, ?, ?)", params![sha256, row])?;
    Ok(())
}

/// What was watched for this policy; nothing when it was another one.
pub(super) fn read(from: &Connection, policy: Option<&Policy>) -> rusqlite::Result<Watch> {
    let mut watch = Watch::new(policy, 0);
    let sha256 = policy.map_or("", |policy| &policy.sha256);
    let detail = "SELECT detail FROM watch WHERE policy = ?";
    let detail: Option<String> = from.query_row(detail, [sha256], |row| row.get(0)).optional()?;
    if let Some(row) = detail.and_then(|detail| serde_json::from_str::<WatchRow>(&detail).ok()) {
        watch.active = row.active.iter().map(|(rule, of)| (*rule, runs(of))).collect();
        (watch.heard, watch.lost) = (runs(&row.heard), runs(&row.lost));
        (watch.lost_bytes, watch.sessions_dropped) = (row.lost_bytes, row.sessions_dropped);
        watch.sessions = row.sessions.into_iter().filter_map(SessionRow::session).collect();
    }
    Ok(watch)
}
