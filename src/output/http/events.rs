//! `/api/v1/events`: what is new, as server-sent events, to everybody who listens.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Interval;

use super::problem::Problem;
use crate::sensor::shared::Shared;

/// Listeners at once.
const READERS: usize = 16;

/// Events that wait for one listener. Who is further behind is cut off, and asks for the lists again.
const QUEUE: usize = 512;

/// Events of one kind told of one flush; of the rest only the number.
const BURST: usize = 100;

/// So often a silent stream says that it is alive.
const ALIVE: Duration = Duration::from_secs(15);

/// Tells listeners what is new.
#[derive(Default)]
pub struct Events {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    readers: Vec<mpsc::Sender<Bytes>>,
    number: u64,
    /// Scores of findings, by id.
    findings: BTreeMap<String, i32>,
    /// What was told of assets, by id.
    assets: BTreeMap<String, AssetEvent>,
    troubles: Vec<String>,
    closed: bool,
}

/// What is told of an asset; the rest is asked for.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct AssetEvent {
    id: String,
    name: String,
    role: Option<&'static str>,
}

impl Events {
    /// Nobody listens, and nothing was told.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A flush is done: tells what it changed. Never waits for a listener.
    pub fn flushed(&self, shared: &Shared) {
        let troubles = shared.health().troubles();
        let picture = shared.picture();
        let mut state = self.lock();
        let mut told = Burst::default();
        let mut assets = BTreeMap::new();
        for asset in &picture.world.analysis.inventory.assets {
            let now = AssetEvent { id: asset.id.to_string(), name: asset.name.to_string(), role: asset.role.value };
            if state.assets.get(&now.id) != Some(&now) {
                told.add(&now);
            }
            assets.insert(now.id.clone(), now);
        }
        state.assets = assets;
        state.tell("asset", told);
        let mut told = Burst::default();
        let mut findings = BTreeMap::new();
        for finding in picture.told.findings() {
            let score = finding.severity.score;
            // What is known and no worse than before is not told again.
            if state.findings.get(&finding.id).is_none_or(|before| *before < score) {
                told.add(finding);
            }
            findings.insert(finding.id.clone(), score);
        }
        state.findings = findings;
        state.tell("finding", told);
        if state.troubles != troubles {
            state.send("health", &json!({ "troubles": &troubles }).to_string());
            state.troubles = troubles;
        }
        let frames = picture.world.analysis.observed.coverage.frames;
        let flows = picture.world.analysis.observed.flows.len();
        let (assets, findings) = (state.assets.len(), state.findings.len());
        let flush = json!({
            "as_of": picture.at.to_string(), "frames": frames, "assets": assets, "flows": flows, "findings": findings
        });
        drop(picture);
        state.send("flush", &flush.to_string());
    }

    /// Listeners now.
    pub(super) fn readers(&self) -> usize {
        let mut state = self.lock();
        state.readers.retain(|reader| !reader.is_closed());
        state.readers.len()
    }

    /// Listens from now on.
    pub(super) fn listen(&self) -> Result<Response, Problem> {
        let count = self.readers();
        let mut state = self.lock();
        if count >= READERS || state.closed {
            return Err(Problem::busy(format!("{READERS} others listen already")));
        }
        let (reader, queue) = mpsc::channel(QUEUE);
        // The head of the answer goes out with its first byte.
        let _ = reader.try_send(Bytes::from_static(b": listening\n\n"));
        state.readers.push(reader);
        let mut alive = tokio::time::interval(ALIVE);
        alive.reset();
        let stream = Stream { queue, alive };
        Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::new(stream)).into_response())
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.readers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events of one kind of one flush.
#[derive(Default)]
struct Burst {
    events: Vec<String>,
    more: u64,
}

impl Burst {
    fn add(&mut self, event: &impl Serialize) {
        if self.events.len() < BURST {
            self.events.extend(serde_json::to_string(event));
        } else {
            self.more += 1;
        }
    }
}

impl State {
    fn tell(&mut self, kind: &str, burst: Burst) {
        burst.events.iter().for_each(|event| self.send(kind, event));
        if burst.more > 0 {
            self.send("more", &json!({ "kind": kind, "count": burst.more }).to_string());
        }
    }

    fn send(&mut self, kind: &str, event: &str) {
        self.number += 1;
        if self.readers.is_empty() {
            return;
        }
        // JSON has no line ends of its own.
        let text = Bytes::from(format!("id: {}\nevent: {kind}\ndata: {event}\n\n", self.number));
        self.readers.retain(|reader| reader.try_send(text.clone()).is_ok());
    }
}

/// The body of an answer that goes on until its sender is dropped.
struct Stream {
    queue: mpsc::Receiver<Bytes>,
    alive: Interval,
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(next) = self.queue.poll_recv(context) {
            self.alive.reset();
            return Poll::Ready(next.map(|text| Ok(Frame::data(text))));
        }
        ready!(self.alive.poll_tick(context));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b": alive\n\n")))))
    }
}
