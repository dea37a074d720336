//! What the paths answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query as Words, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use super::access::{Access, Caller};
use super::audit::{Audit, Entry};
use super::events::Streams;
use super::problem::Problem;
use super::query::{Form, Query};
use super::{Operator, health, page};
use crate::output::list::Item;
use crate::output::summary::Summary;
use crate::output::view::{AssetView, ConduitView, CoverageView, FindingView, FlowView, SCHEMA, ZoneView};
use crate::output::{lines, metrics};
use crate::policy::life::Acknowledgement;
use crate::sensor::clock;
use crate::sensor::shared::{Picture, Shared};
use crate::time::Timestamp;

/// Bytes of one page; a page that would be longer ends earlier.
const PAGE: usize = 8 << 20;

/// Items looked at for one page; a page whose filters match few ends earlier.
const SCAN: usize = 20_000;

/// Bytes of a snapshot, which is in memory until it is sent. Who has more asks for pages.
const SNAPSHOT: usize = 64 << 20;

/// Bytes of the body of a request.
const BODY: usize = 16 << 10;

/// Characters of what somebody says who acknowledges a finding.
const NOTE: usize = 500;

/// Everything that answers need.
pub(super) struct Api {
    pub(super) shared: Arc<Shared>,
    pub(super) flush: Duration,
    pub(super) access: Access,
    pub(super) audit: Mutex<Audit>,
    pub(super) service: metrics::Service,
    pub(super) streams: Arc<Streams>,
    pub(super) operator: Arc<dyn Operator>,
    pub(super) summary: Mutex<Option<Arc<Summary>>>,
    /// Snapshots are made one at a time.
    pub(super) large: Semaphore,
}

pub(super) type Shares = State<Arc<Api>>;
type Answer = Result<Response, Problem>;

/// Does what may take a while, or waits for the keeper, outside of the threads that serve connections.
async fn work(what: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    tokio::task::spawn_blocking(what).await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made, which is a bug"))
    })
}

fn typed(kind: &'static str, body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

const JSON: &str = "application/json";

impl Api {
    /// The numbers of the picture, made once a flush.
    pub(super) fn summary(&self, picture: &Picture) -> Arc<Summary> {
        let mut known = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(summary) if summary.at == picture.at => Arc::clone(summary),
            _ => {
                let summary = Arc::new(picture.told.summary(&picture.world.analysis, picture.at));
                *known = Some(Arc::clone(&summary));
                summary
            }
        }
    }

    /// Appends to the audit log.
    pub(super) fn note(&self, entry: &Entry<'_>) -> std::io::Result<()> {
        let noted = self.audit.lock().unwrap_or_else(PoisonError::into_inner).note(clock::now(), entry);
        if noted.is_err() {
            self.service.audit_failed();
        }
        noted
    }

    /// Has the operator do something, with a line before and, when it fails, after.
    fn operate(
        &self,
        who: &Caller,
        from: &str,
        action: &str,
        detail: &str,
        act: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<(), Problem> {
        let name = who.name.as_deref().unwrap_or_default();
        let entry = Entry { who: Some(name), from, action, outcome: "done", detail };
        self.note(&entry)
            .map_err(|error| Problem::busy(format!("the audit log cannot be written, so nothing was done: {error}")))?;
        act(name).map_err(|why| {
            // It was told before, and is counted: there is nothing more to do here.
            let _ = self.note(&Entry { outcome: "failed", detail: &why, ..entry });
            Problem::new(StatusCode::CONFLICT, why)
        })
    }
}

/// A list of the picture.
pub(super) trait Listed: Item + Sized + 'static {
    /// Its items from this id on.
    fn from<'a>(picture: &'a Picture, summary: &'a Summary, id: &'a str) -> Box<dyn Iterator<Item = Self> + 'a>;
}

impl Listed for AssetView {
    fn from<'a>(picture: &'a Picture, _: &'a Summary, id: &'a str) -> Box<dyn Iterator<Item = Self> + 'a> {
        Box::new(picture.told.assets_from(&picture.world.analysis, id))
    }
}

impl Listed for FlowView {
    fn from<'a>(picture: &'a Picture, _: &'a Summary, id: &'a str) -> Box<dyn Iterator<Item = Self> + 'a> {
        Box::new(picture.told.flows_from(&picture.world.analysis, id))
    }
}

macro_rules! listed {
    ($view:ident, $items:expr) => {
        impl Listed for $view {
            fn from<'a>(
                picture: &'a Picture,
                summary: &'a Summary,
                id: &'a str,
            ) -> Box<dyn Iterator<Item = Self> + 'a> {
                let items: &'a [Self] = $items(picture, summary);
                let from = items.partition_point(|item| item.id.as_str() < id);
                Box::new(items.iter().skip(from).cloned())
            }
        }
    };
}

listed!(FindingView, |picture: &'a Picture, _| picture.told.findings());
listed!(ZoneView, |_, summary: &'a Summary| &summary.zones);
listed!(ConduitView, |_, summary: &'a Summary| &summary.conduits);

/// The id in a path.
type Id = Result<Path<String>, PathRejection>;

fn id_of(id: Id) -> Result<String, Problem> {
    id.map(|Path(id)| id).map_err(|rejection| Problem::bad(rejection.body_text()))
}

/// One page of a list.
pub(super) async fn list<I: Listed>(
    State(api): Shares,
    words: Result<Words<Vec<(String, String)>>, QueryRejection>,
) -> Answer {
    let Words(words) = words.map_err(|rejection| Problem::bad(rejection.body_text()))?;
    let query = Query::read(words, I::FILTERS)?;
    work(move || page_of::<I>(&api, &query)).await
}

fn page_of<I: Listed>(api: &Api, query: &Query) -> Answer {
    let picture = api.shared.picture();
    let summary = api.summary(&picture);
    let (mut body, mut rows, mut next) = (Vec::new(), Vec::new(), None);
    let mut count = 0;
    for (seen, item) in I::from(&picture, &summary, &query.cursor).enumerate() {
        if count >= query.limit || seen >= SCAN || body.len() >= PAGE {
            next = Some(item.id().to_owned());
            break;
        }
        if !query.takes(&item) {
            continue;
        }
        let written = match query.form {
            Form::Json => {
                if count > 0 {
                    body.push(b',');
                }
                serde_json::to_writer(&mut body, &item).map_err(Into::into)
            }
            Form::Ndjson => lines::one(&mut body, I::KIND, &item),
            Form::Csv => {
                rows.push(item);
                Ok(())
            }
        };
        written.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        count += 1;
    }
    let as_of = picture.at.to_string();
    drop(picture);
    let mut response = match query.form {
        Form::Json => {
            let head = format!("{{\"schema\":\"{SCHEMA}\",\"as_of\":\"{as_of}\",\"{}\":[", I::LIST);
            let tail = format!("],\"next\":{}}}", json!(next));
            typed(JSON, [head.into_bytes(), body, tail.into_bytes()].concat())
        }
        Form::Ndjson => typed("application/x-ndjson", body),
        Form::Csv => {
            let rows = I::sheet(&rows).ok_or_else(|| Problem::bad("csv is for assets, flows and findings"))?;
            typed("text/csv; charset=utf-8; header=present", rows)
        }
    };
    if let Some(next) = next
        && let Ok(link) = HeaderValue::from_str(&format!("</api/v1/{}?{}>; rel=\"next\"", I::LIST, query.next(&next)))
    {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// One item of a list.
pub(super) async fn item<I: Listed>(State(api): Shares, id: Id) -> Answer {
    let id = id_of(id)?;
    work(move || {
        let picture = api.shared.picture();
        let summary = api.summary(&picture);
        let found = I::from(&picture, &summary, &id).next().filter(|item| item.id() == id);
        let found = found.ok_or_else(|| Problem::nothing(format!("there is no {} of this id", I::KIND)))?;
        Ok(Json(found).into_response())
    })
    .await
}

/// What happened to frames.
pub(super) async fn coverage(State(api): Shares) -> Answer {
    #[derive(Serialize)]
    struct Told<'a> {
        schema: &'static str,
        as_of: String,
        coverage: &'a CoverageView,
    }
    work(move || {
        let summary = api.summary(&api.shared.picture());
        let told = Told { schema: SCHEMA, as_of: summary.at.to_string(), coverage: &summary.coverage };
        Ok(Json(told).into_response())
    })
    .await
}

/// `analysis.json` of this moment.
pub(super) async fn snapshot(State(api): Shares) -> Answer {
    work(move || {
        let busy = |_| Problem::busy("somebody else is given a snapshot");
        let _one_at_a_time = api.large.try_acquire().map_err(busy)?;
        let picture = api.shared.picture();
        let mut out = Bounded(Vec::new());
        let whole = picture.told.whole(&picture.world.analysis, &picture.world.captures, &[]);
        serde_json::to_writer(&mut out, &whole).map_err(|_| {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "there is too much for one answer: ask for pages")
        })?;
        Ok(typed(JSON, out.0))
    })
    .await
}

/// Bytes in memory, up to the limit of a snapshot.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > SNAPSHOT {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is new, as it happens.
pub(super) async fn events(State(api): Shares) -> Answer {
    api.streams.listen()
}

/// Metrics for Prometheus.
pub(super) async fn sheet(State(api): Shares) -> Answer {
    work(move || {
        let summary = api.summary(&api.shared.picture());
        api.service.readers(api.streams.readers());
        let text = api.service.sheet(&api.shared.health(), &api.shared.outputs(), &summary, api.flush);
        let text = text.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        Ok(typed(metrics::MEDIA_TYPE, text))
    })
    .await
}

/// The first page.
pub(super) async fn overview(State(api): Shares) -> Answer {
    work(move || {
        let picture = api.shared.picture();
        let summary = api.summary(&picture);
        Ok(page::answer(&api.shared.health(), &picture, &summary))
    })
    .await
}

/// Is it alive?
pub(super) async fn alive(State(api): Shares, Extension(caller): Extension<Caller>) -> Response {
    let known = api.shared.health();
    health::answer("alive", &health::lifeless(&known, api.flush, clock::now()), &known, caller.reads)
}

/// Does it see what it is to see?
pub(super) async fn ready(State(api): Shares, Extension(caller): Extension<Caller>) -> Response {
    let known = api.shared.health();
    health::answer("ready", &health::unready(&known), &known, caller.reads)
}

/// The description of all this.
pub(super) async fn description() -> Response {
    typed(JSON, super::OPENAPI)
}

/// Where a request came from.
#[derive(Clone, Debug)]
pub(super) struct Peer(pub(super) String);

/// Somebody has seen a finding.
pub(super) async fn acknowledge(
    State(api): Shares,
    id: Id,
    Extension(caller): Extension<Caller>,
    Extension(Peer(from)): Extension<Peer>,
    body: Body,
) -> Answer {
    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Said {
        note: String,
        until: Option<String>,
    }
    let id = id_of(id)?;
    let body = to_bytes(body, BODY)
        .await
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has at most {BODY} bytes")))?;
    let said = if body.is_empty() { Ok(Said::default()) } else { serde_json::from_slice::<Said>(&body) };
    let said =
        said.map_err(|error| Problem::bad(format!("the body is no {{\"note\": \"…\", \"until\": \"…\"}}: {error}")))?;
    let now = clock::now();
    let until = said.until.as_deref().map(|until| {
        let time = Timestamp::parse(until).filter(|until| *until > now);
        time.ok_or_else(|| Problem::bad("until is a time that is to come, such as 2030-01-31T12:00:00Z"))
    });
    let until = until.transpose()?;
    if said.note.chars().count() > NOTE {
        return Err(Problem::bad(format!("note has at most {NOTE} characters")));
    }
    work(move || {
        if api.shared.picture().told.findings().binary_search_by(|finding| finding.id.as_str().cmp(&id)).is_err() {
            return Err(Problem::nothing("there is no finding of this id"));
        }
        let action = format!("acknowledge {id}");
        api.operate(&caller, &from, &action, &said.note, |name| {
            let note = said.note.as_str().into();
            api.operator.acknowledge(&id, Acknowledgement { who: name.into(), at: now, note, until })
        })?;
        Ok(Json(json!({ "id": id, "acknowledged": true })).into_response())
    })
    .await
}

/// Loads the policy again.
pub(super) async fn reload(
    State(api): Shares,
    Extension(caller): Extension<Caller>,
    Extension(Peer(from)): Extension<Peer>,
) -> Answer {
    work(move || {
        api.operate(&caller, &from, "reload", "", |_| api.operator.reload())?;
        // It is done soon; /readyz tells how it went.
        Ok((StatusCode::ACCEPTED, Json(json!({ "accepted": true }))).into_response())
    })
    .await
}
