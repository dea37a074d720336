//! `/api/v1/events`: what is new, as server-sent events, to everybody who listens.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Interval;

use super::problem::Problem;
use crate::event::Event;
use crate::event::format::{Facility, Format};
use crate::sensor::shared::Shared;

/// Listeners at once.
const READERS: usize = 16;

/// Events that wait for one listener. Who is further behind is cut off, and asks for the lists again.
const QUEUE: usize = 512;

/// Events told of one flush; of the rest only the number.
const BURST: usize = 256;

/// So often a silent stream says that it is alive.
const ALIVE: Duration = Duration::from_secs(15);

/// Tells listeners what is new.
#[derive(Default)]
pub struct Streams {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    readers: Vec<mpsc::Sender<Bytes>>,
    closed: bool,
}

impl Streams {
    /// Nobody listens yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A flush is done: tells what is new, and how much there is. Never waits for a listener.
    pub fn flushed(&self, shared: &Shared, events: &[Event]) {
        if self.readers() == 0 {
            return;
        }
        let picture = shared.picture();
        let (analysis, at) = (&picture.world.analysis, picture.at.to_string());
        let flush = json!({
            "as_of": at,
            "frames": analysis.observed.coverage.frames,
            "assets": analysis.inventory.assets.len(),
            "flows": analysis.observed.flows.len(),
            "findings": picture.told.findings().len(),
        });
        drop(picture);
        for event in events.iter().take(BURST) {
            let id = format!("id: {}\n", event.id());
            self.send(&id, event.kind.text(), &Format::Json.line(event, Facility::default()));
        }
        if let Some(more) = events.len().checked_sub(BURST).filter(|more| *more > 0) {
            self.send("", "more", &json!({ "count": more }).to_string());
        }
        self.send("", "flush", &flush.to_string());
    }

    /// JSON has no line ends of its own.
    fn send(&self, id: &str, kind: &str, data: &str) {
        let text = Bytes::from(format!("{id}event: {kind}\ndata: {data}\n\n"));
        self.lock().readers.retain(|reader| reader.try_send(text.clone()).is_ok());
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

    /// Streams may begin, from now on or again.
    pub(super) fn open(&self) {
        self.lock().closed = false;
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
