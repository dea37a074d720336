//! One thread per interface: it reads, hands over, and never gives up. An interface that is down, unplugged or not there
//! yet is waited for, and that is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::engine::Engine;
use crate::source::file::{CaptureSummary, Compression, Format};
use crate::source::live::{Live, LiveCounts, LiveError, LiveOptions};
use crate::source::{Batch, LinkType};
use crate::time::Timestamp;
use crate::worker::Ways;

/// How an interface is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceState {
    /// Its name.
    pub name: String,
    /// Why it is not watched at the moment; `None` when it is.
    pub trouble: Option<String>,
    /// How often it was opened.
    pub opened: u64,
    /// Frames that were read.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames cut by the snap length.
    pub truncated: u64,
    /// Frames longer than the MTU: put together by the card, which hides what was on the wire.
    pub oversized: u64,
    /// TCP conversations lately, by the ways that were seen of them; none where the policy says that the tap sees one
    /// alone.
    pub ways: Ways,
    /// What the kernel and the card counted, over all openings.
    pub counts: LiveCounts,
    /// Link types.
    pub links: Vec<LinkType>,
    /// Time of the first frame.
    pub first: Option<Timestamp>,
    /// Time of the last frame.
    pub last: Option<Timestamp>,
}

impl InterfaceState {
    /// The interface as a capture, for evidence to name.
    #[must_use]
    pub fn summary(&self) -> CaptureSummary {
        CaptureSummary {
            name: self.name.clone(),
            format: Format::Live,
            compression: Compression::None,
            link_types: self.links.clone(),
            frames: self.frames,
            bytes: self.bytes,
            lost: self.counts.dropped.saturating_add(self.counts.dropped_by_interface),
            first: self.first,
            last: self.last,
            interface: Some(self.name.clone()),
            damage: None,
        }
    }
}

/// An interface with its state, shared between its thread and those that report.
#[derive(Clone, Debug)]
pub struct Watched {
    /// How it is watched.
    pub options: LiveOptions,
    /// Its place in the list of captures.
    pub capture: u16,
    state: Arc<Mutex<InterfaceState>>,
    course: Arc<Course>,
}

/// Whether an interface is to be watched any longer, and still is.
#[derive(Debug, Default)]
struct Course {
    leaves: AtomicBool,
    ended: AtomicBool,
}

/// Time between attempts to open an interface that is not there, and between looks at the kernel's counters.
const AGAIN: Duration = Duration::from_secs(1);

/// Sleep of an idle link. The ring holds far more than what comes in that time.
const IDLE: Duration = Duration::from_millis(5);

/// Sleep while the workers are too far behind to take more. What comes meanwhile waits in the kernel's ring.
const BUSY: Duration = Duration::from_millis(1);

impl Watched {
    /// An interface that is not opened yet.
    #[must_use]
    pub fn new(options: LiveOptions) -> Self {
        let state = InterfaceState {
            name: options.interface.clone(),
            trouble: Some("not opened yet".to_owned()),
            ..InterfaceState::default()
        };
        Self { options, capture: 0, state: Arc::new(Mutex::new(state)), course: Arc::default() }
    }

    /// It is not to be watched any longer.
    pub fn leave(&self) {
        self.course.leaves.store(true, Ordering::Relaxed);
    }

    /// It is watched, or was to be until the sensor stopped.
    #[must_use]
    pub fn stays(&self) -> bool {
        !self.course.leaves.load(Ordering::Relaxed)
    }

    /// Nothing comes from it any more: its state is the last.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.course.ended.load(Ordering::Acquire)
    }

    /// How it is doing.
    #[must_use]
    pub fn state(&self) -> InterfaceState {
        self.lock().clone()
    }

    /// Opens it for the first time.
    ///
    /// # Errors
    /// [`LiveError`] when waiting will not help: rights are missing, or the filter makes no sense.
    pub fn open(&self) -> Result<Option<Live>, LiveError> {
        match Live::open(&self.options) {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.passing => {
                self.lock().trouble = Some(error.why);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads until told to stop, or to leave. `reading` is dropped with the engine when nothing more is read: to close a
    /// packet socket may take the kernel a second, since it waits until no processor can be in it any more, and nobody else
    /// has to wait for that.
    pub fn run(&self, mut live: Option<Live>, engine: Arc<Engine>, stop: &AtomicBool, reading: Sender<()>) {
        let mut number = 0;
        let mut open = None;
        while !self.stops(stop) {
            // One that failed is closed before it is opened again.
            drop(open.take());
            let Some(reader) = live.take().or_else(|| self.reopen()) else {
                thread::sleep(AGAIN.min(Duration::from_millis(200)));
                continue;
            };
            self.opened(&reader);
            let reader = open.insert(reader);
            let trouble = self.read(reader, &mut number, &engine, stop);
            self.lock().trouble = trouble;
        }
        self.course.ended.store(true, Ordering::Release);
        drop((engine, reading));
    }

    fn stops(&self, stop: &AtomicBool) -> bool {
        stop.load(Ordering::Relaxed) || !self.stays()
    }

    fn reopen(&self) -> Option<Live> {
        match Live::open(&self.options) {
            Ok(live) => Some(live),
            Err(error) => {
                self.lock().trouble = Some(error.why);
                None
            }
        }
    }

    fn opened(&self, live: &Live) {
        let mut state = self.lock();
        state.trouble = None;
        state.opened += 1;
        if !state.links.contains(&live.link()) {
            state.links.push(live.link());
            state.links.sort_unstable();
        }
    }

    /// Reads an open interface until it fails or the sensor stops. Returns why it failed.
    fn read(&self, live: &mut Live, number: &mut u64, engine: &Engine, stop: &AtomicBool) -> Option<String> {
        let before = self.state();
        let look = |live: &mut Live| -> Result<(), LiveError> {
            let counts = live.counts()?;
            let mut state = self.lock();
            state.counts = before.counts.plus(counts);
            state.oversized = before.oversized + live.oversized();
            state.trouble = live.trouble().map(str::to_owned);
            Ok(())
        };
        let mut looked = Instant::now();
        let mut failure = None;
        // Read, and not taken by the workers yet.
        let mut waiting = None;
        while failure.is_none() && !self.stops(stop) {
            let mut outcome = Ok(());
            if waiting.is_none() {
                let mut batch = engine.batch();
                outcome = live.fill(&mut batch, self.capture, number, IDLE).map(|_| ());
                if !batch.frames.is_empty() {
                    self.count(&batch);
                    waiting = Some(batch);
                }
            }
            waiting = waiting.and_then(|batch| engine.give(batch).err());
            if waiting.is_some() {
                thread::sleep(BUSY);
            }
            if outcome.is_ok() && looked.elapsed() >= AGAIN {
                looked = Instant::now();
                outcome = look(live);
            }
            failure = outcome.err();
        }
        waiting.iter().for_each(|batch| engine.lose(batch));
        if failure.is_none() {
            // What could not be looked at any more stays as it was last seen.
            let _ = look(live);
        }
        failure.map(|error| error.why)
    }

    fn count(&self, batch: &Batch) {
        let mut state = self.lock();
        state.frames += batch.frames.len() as u64;
        for frame in &batch.frames {
            state.bytes += u64::from(frame.wire_len);
            state.truncated += u64::from(frame.len < frame.wire_len);
        }
        state.first = state.first.or(batch.frames.first().map(|frame| frame.at));
        state.last = batch.frames.last().map(|frame| frame.at).max(state.last);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, InterfaceState> {
        // A reader of a state that panicked has not changed it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
