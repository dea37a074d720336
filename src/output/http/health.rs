//! `/healthz` and `/readyz`: is it alive, and does it see what it is to see?

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::sensor::shared::Health;
use crate::time::Timestamp;

/// What speaks against being alive: a service manager restarts what is not.
pub(super) fn lifeless(health: &Health, flush: Duration, now: Timestamp) -> Vec<String> {
    let mut wrong = Vec::new();
    let silent = now.since(health.at);
    // Besides three intervals a flush of a big picture may take its time.
    if silent > flush * 3 + Duration::from_secs(1) {
        wrong.push(format!("nothing was gathered for {} s", silent.as_secs()));
    }
    if health.broken {
        wrong.push("a worker has failed".to_owned());
    }
    wrong
}

/// What speaks against being ready: somebody has to look, and a restart does not help.
pub(super) fn unready(health: &Health) -> Vec<String> {
    let blind = health.interfaces.iter().filter_map(|state| {
        let trouble = state.trouble.as_ref()?;
        Some(format!("{} is not watched: {trouble}", state.name))
    });
    let mut wrong: Vec<String> = blind.collect();
    if health.flushes == 0 {
        wrong.push("nothing was gathered yet".to_owned());
    }
    if health.policy_loaded.is_none() {
        wrong.push("no policy was loaded yet".to_owned());
    }
    wrong.extend(health.reload_error.iter().map(|why| format!("the policy on disk is not in force: {why}")));
    wrong
}

/// The answer. Details are for those who may read.
pub(super) fn answer(word: &str, wrong: &[String], health: &Health, details: bool) -> Response {
    let good = wrong.is_empty();
    let mut body = json!({ word: good });
    if let (true, Some(body)) = (details, body.as_object_mut()) {
        body.insert("wrong".to_owned(), json!(wrong));
        body.insert("troubles".to_owned(), json!(health.troubles()));
        body.insert("as_of".to_owned(), json!(health.at.to_string()));
    }
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::capture::InterfaceState;

    #[test]
    fn what_is_wrong() {
        let at = |seconds| Timestamp::new(seconds, 0);
        let well = Health { at: at(100), flushes: 1, policy_loaded: Some(at(1)), ..Health::default() };
        let blind = InterfaceState { name: "eth1".into(), trouble: Some("down".into()), ..InterfaceState::default() };
        for (case, health, now, lifeless_because, unready_because) in [
            ("well", well.clone(), 105, "", ""),
            ("late", well.clone(), 131, "", ""),
            ("stuck", well.clone(), 132, "nothing was gathered for 32 s", ""),
            ("the clock went back", well.clone(), 50, "", ""),
            ("broken", Health { broken: true, ..well.clone() }, 105, "a worker has failed", ""),
            ("blind", Health { interfaces: vec![blind], ..well.clone() }, 105, "", "eth1 is not watched: down"),
            ("just started", Health { flushes: 0, ..well.clone() }, 105, "", "nothing was gathered yet"),
            (
                "reload",
                Health { reload_error: Some("line 3".into()), ..well },
                105,
                "",
                "the policy on disk is not in force: line 3",
            ),
        ] {
            let got = (lifeless(&health, Duration::from_secs(10), at(now)).join("; "), unready(&health).join("; "));
            assert_eq!(got, (lifeless_because.to_owned(), unready_because.to_owned()), "{case}");
        }
    }
}
