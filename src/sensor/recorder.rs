//! The thread that keeps evidence: it sees each batch beside the workers, and writes files when findings are told.
//!
//! Nothing waits for it but the keeper, and that not for long. When it is behind, batches pass it by and are counted.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::engine::Spare;
use crate::evidence::{Claim, Due, Recorder, Room, Shelf};
use crate::flow::mark::Mark;
use crate::ledger::Evidence;
use crate::output::Told;
use crate::output::view::FindingView;
use crate::source::Batch;

/// Where evidence is kept, and how much.
#[derive(Clone, Debug)]
pub struct Filing {
    /// The folder.
    pub folder: PathBuf,
    /// Bytes of all files together.
    pub most: u64,
    /// Bytes of one file, and of what is remembered.
    pub room: Room,
}

/// How the keeping of evidence is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceState {
    /// Files there are.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files written.
    pub written: u64,
    /// Files that went for younger ones.
    pub removed: u64,
    /// Frames that passed by because the recorder was behind.
    pub passed: u64,
    /// Findings whose frames were gone already, that came when there were too many, or whose file could not be written.
    pub missed: u64,
    /// Why the last file could not be written.
    pub error: Option<String>,
}

/// What the thread is told.
enum Work {
    /// A batch, and where its memory goes back to.
    Batch(Arc<Batch>, Spare),
    Marks(Vec<Mark>),
    /// Which frames there are cases of.
    Look(Sender<Vec<Evidence>>),
    /// Findings with the frames that they cite; the names of all files are the answer.
    Claims(Vec<(Evidence, Claim)>, Sender<BTreeSet<String>>),
    /// Write what there is; answers when that is done.
    Last(Sender<()>),
    /// The names of the captures, now that there are others.
    Captures(Vec<String>),
    /// Remember so much from now on, and keep so many bytes of files.
    Room(Room, u64),
}

/// Batches and more on their way: a quarter of what may wait for a worker, since their memory counts twice.
const QUEUE: usize = 16;

/// How long the keeper waits for an answer. A disk that is slower is asked again at the next flush.
const PATIENCE: Duration = Duration::from_millis(500);

/// The way to the thread, for those who see packets.
#[derive(Clone)]
pub struct Line {
    queue: Sender<Work>,
    passed: Arc<AtomicU64>,
    missed: Arc<AtomicU64>,
}

impl Line {
    /// A batch came. Who lets go of it last gives its memory back.
    pub(super) fn batch(&self, batch: &Arc<Batch>, spare: &Spare) {
        if self.queue.try_send(Work::Batch(Arc::clone(batch), spare.clone())).is_err() {
            self.passed.fetch_add(batch.frames.len() as u64, Ordering::Relaxed);
        }
    }

    /// There are other captures: the names of all, by their place in the list.
    pub(super) fn captures(&self, names: Vec<String>) {
        // A recorder that hangs for so long has other troubles than a name.
        let _ = self.queue.send_timeout(Work::Captures(names), PATIENCE);
    }

    /// Frames of batches that came are worth keeping.
    pub fn marks(&self, marks: Vec<Mark>) {
        let count = marks.len() as u64;
        if count > 0 && self.queue.try_send(Work::Marks(marks)).is_err() {
            self.missed.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// The thread.
pub struct Recording {
    line: Line,
    state: Arc<Mutex<EvidenceState>>,
    thread: JoinHandle<()>,
    /// Files there were at the last flush.
    names: BTreeSet<String>,
}

impl Recording {
    /// Opens the folder and starts. `captures` are the names of the captures, by their place in the list.
    ///
    /// # Errors
    /// What the file system says of the folder.
    pub fn start(filing: &Filing, captures: Vec<String>) -> std::io::Result<Self> {
        let shelf = Shelf::open(&filing.folder, filing.most)?;
        let recorder = Recorder::new(filing.room.clone(), captures);
        let (queue, work) = bounded(QUEUE);
        let line = Line { queue, passed: Arc::default(), missed: Arc::default() };
        let state = Arc::default();
        let desk = Desk { recorder, shelf, unwritten: 0, state: Arc::clone(&state) };
        Ok(Self { line, state, thread: thread::spawn(move || desk.run(&work)), names: BTreeSet::new() })
    }

    /// The way to it.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    /// Files the frames of findings that were just told, and names the files in what is told.
    pub fn file(&mut self, marks: Vec<Mark>, told: &mut Told) {
        self.line.marks(marks);
        let (answer, cases) = bounded(1);
        let _ = self.line.queue.send_timeout(Work::Look(answer), PATIENCE);
        let cases: BTreeSet<Evidence> = cases.recv_timeout(PATIENCE).into_iter().flatten().collect();
        let claim = |finding: &FindingView| {
            let at = finding.samples.iter().map(|sample| sample.at).find(|at| cases.contains(at))?;
            Some((at, Claim { id: finding.id.clone(), what: finding.what.clone() }))
        };
        let claims = told.findings().iter().filter_map(claim).collect();
        let (answer, names) = bounded(1);
        let _ = self.line.queue.send_timeout(Work::Claims(claims, answer), PATIENCE);
        if let Ok(names) = names.recv_timeout(PATIENCE) {
            self.names = names;
        }
        self.name(told);
    }

    /// Names the files in what is told.
    pub fn name(&self, told: &mut Told) {
        told.cite(|id| Some(Shelf::name(id)).filter(|name| self.names.contains(name)));
    }

    /// Remembers so much from now on, and keeps so many bytes of files.
    pub fn resize(&self, room: Room, most: u64) {
        let _ = self.line.queue.send_timeout(Work::Room(room, most), PATIENCE);
    }

    /// How it is doing.
    #[must_use]
    pub fn state(&self) -> EvidenceState {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        state.passed += self.line.passed.load(Ordering::Relaxed);
        state.missed += self.line.missed.load(Ordering::Relaxed);
        state
    }

    /// Writes what there is and ends.
    pub fn stop(self) {
        let (answer, done) = bounded(1);
        let _ = self.line.queue.send_timeout(Work::Last(answer), PATIENCE);
        let is_done = done.recv_timeout(PATIENCE).is_ok();
        drop(self.line);
        // A disk that hangs must not hold up the stop.
        if is_done {
            let _ = self.thread.join();
        }
    }
}

/// What the thread has before it.
struct Desk {
    recorder: Recorder,
    shelf: Shelf,
    /// Files that could not be written.
    unwritten: u64,
    state: Arc<Mutex<EvidenceState>>,
}

impl Desk {
    fn run(mut self, work: &Receiver<Work>) {
        for work in work {
            match work {
                Work::Batch(batch, spare) => {
                    self.recorder.batch(&batch);
                    spare.read(batch);
                    self.write(Due::Closed);
                }
                Work::Marks(marks) => marks.iter().for_each(|mark| self.recorder.mark(mark)),
                Work::Look(answer) => {
                    let _ = answer.send(self.recorder.cases().collect());
                }
                Work::Claims(claims, answer) => {
                    for (at, claim) in claims {
                        if !self.shelf.had(&claim.id) {
                            self.recorder.claim(at, claim);
                        }
                    }
                    self.recorder.looked();
                    self.write(Due::All);
                    let _ = answer.send(self.shelf.names());
                }
                Work::Last(answer) => {
                    self.write(Due::Last);
                    let _ = answer.send(());
                }
                Work::Captures(names) => self.recorder.name(names),
                Work::Room(room, most) => {
                    self.recorder.resize(room);
                    let resized = self.shelf.resize(most).map_err(|error| error.to_string());
                    self.tell(resized.err().map(Some));
                }
            }
        }
    }

    fn write(&mut self, which: Due) {
        let mut error = None;
        for (id, bytes) in self.recorder.due(which) {
            match self.shelf.put(&id, &bytes) {
                Ok(()) => error = Some(None),
                Err(why) => {
                    error = Some(Some(why.to_string()));
                    self.unwritten += 1;
                }
            }
        }
        self.tell(error);
    }

    /// Shows how it is doing; `error` of the last file, if there was one.
    fn tell(&self, error: Option<Option<String>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.files, state.bytes) = self.shelf.size();
        (state.written, state.removed) = (self.shelf.written, self.shelf.removed);
        state.missed = self.recorder.missed + self.unwritten;
        if let Some(error) = error {
            state.error = error;
        }
    }
}
