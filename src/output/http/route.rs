//! Which path answers what, and what stands before every answer: who asks, how long it takes, and what a browser may do
//! with it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time::{Instant, timeout};

use super::access::Needs;
use super::api::{self, Api, Peer};
use super::audit::Entry;
use super::problem::Problem;
use crate::output::view::{AssetView, ConduitView, FindingView, FlowView, ZoneView};

/// Paths, and what asking there needs.
pub(super) const PATHS: &[(&str, Needs)] = &[
    ("/", Needs::Page),
    ("/metrics", Needs::Read),
    ("/healthz", Needs::Nothing),
    ("/readyz", Needs::Nothing),
    ("/api/v1/openapi.json", Needs::Read),
    ("/api/v1/assets", Needs::Read),
    ("/api/v1/assets/{id}", Needs::Read),
    ("/api/v1/flows", Needs::Read),
    ("/api/v1/flows/{id}", Needs::Read),
    ("/api/v1/findings", Needs::Read),
    ("/api/v1/findings/{id}", Needs::Read),
    ("/api/v1/findings/{id}/acknowledge", Needs::Operate),
    ("/api/v1/zones", Needs::Read),
    ("/api/v1/conduits", Needs::Read),
    ("/api/v1/coverage", Needs::Read),
    ("/api/v1/snapshot", Needs::Read),
    ("/api/v1/events", Needs::Read),
    ("/api/v1/reload", Needs::Operate),
];

/// What is counted of other paths.
const OTHER: (&str, Needs) = ("other", Needs::Read);

/// Longest time until an answer begins. The keeper may hold the picture for a while.
const ANSWER: Duration = Duration::from_secs(30);

pub(super) fn router(api: &Arc<Api>) -> Router {
    Router::new()
        .route("/", get(api::overview))
        .route("/metrics", get(api::sheet))
        .route("/healthz", get(api::alive))
        .route("/readyz", get(api::ready))
        .route("/api/v1/openapi.json", get(api::description))
        .route("/api/v1/assets", get(api::list::<AssetView>))
        .route("/api/v1/assets/{id}", get(api::item::<AssetView>))
        .route("/api/v1/flows", get(api::list::<FlowView>))
        .route("/api/v1/flows/{id}", get(api::item::<FlowView>))
        .route("/api/v1/findings", get(api::list::<FindingView>))
        .route("/api/v1/findings/{id}", get(api::item::<FindingView>))
        .route("/api/v1/findings/{id}/acknowledge", post(api::acknowledge))
        .route("/api/v1/zones", get(api::list::<ZoneView>))
        .route("/api/v1/conduits", get(api::list::<ConduitView>))
        .route("/api/v1/coverage", get(api::coverage))
        .route("/api/v1/snapshot", get(api::snapshot))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/reload", post(api::reload))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path is not asked in this way")
        })
        .fallback(async || Problem::nothing("there is nothing at this path; /api/v1/openapi.json lists what there is"))
        .layer(from_fn_with_state(Arc::clone(api), before))
        .with_state(Arc::clone(api))
}

/// The path that serves a request.
fn place(path: &str) -> (&'static str, Needs) {
    let serves = |known: &str| {
        let same = |(known, part): (&str, &str)| known == part || (known == "{id}" && !part.is_empty());
        known.split('/').count() == path.split('/').count() && known.split('/').zip(path.split('/')).all(same)
    };
    PATHS.iter().copied().find(|(known, _)| serves(known)).unwrap_or(OTHER)
}

/// Stands before every answer.
async fn before(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (path, mut needs) = place(request.uri().path());
    if request.method() != Method::GET && request.method() != Method::HEAD {
        needs = Needs::Operate;
    }
    let mut response = match api.access.check(request.headers(), needs) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            let late = || Problem::busy("the answer took too long").into_response();
            timeout(ANSWER, next.run(request)).await.unwrap_or_else(|_| late())
        }
        Err((why, problem)) => {
            api.service.refused(why);
            refused(&api, &request, why).await;
            problem.into_response()
        }
    };
    api.service.answered(path, response.status().as_u16(), began.elapsed());
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Notes in the audit log that a request was refused. Whoever asks waits for it, so that notes cannot pile up.
fn refused(api: &Arc<Api>, request: &Request, why: &'static str) -> impl Future<Output = ()> + use<> {
    let from = request.extensions().get::<Peer>().map(|peer| peer.0.clone()).unwrap_or_default();
    let action = format!("{} {}", request.method(), request.uri().path());
    let api = Arc::clone(api);
    let note = move || api.note(&Entry { who: None, from: &from, action: &action, outcome: "refused", detail: why });
    async {
        // That it failed is counted, and there is nobody to tell.
        let _ = tokio::task::spawn_blocking(note).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_described() {
        let description: serde_json::Value = serde_json::from_str(super::super::OPENAPI).unwrap();
        let mut known: Vec<_> = PATHS.iter().map(|(path, _)| *path).collect();
        known.sort_unstable();
        let mut described: Vec<_> = description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        described.sort_unstable();
        assert_eq!(described, known);
    }

    #[test]
    fn places() {
        for (path, want) in [
            ("/", "/"),
            ("/metrics", "/metrics"),
            ("/metrics/", "other"),
            ("/api/v1/assets", "/api/v1/assets"),
            ("/api/v1/assets/", "other"),
            ("/api/v1/assets/A-1", "/api/v1/assets/{id}"),
            ("/api/v1/findings/V-1/acknowledge", "/api/v1/findings/{id}/acknowledge"),
            ("/api/v1/findings/V-1/acknowledge/x", "other"),
            ("*", "other"),
        ] {
            assert_eq!(place(path).0, want, "{path}");
        }
    }
}
