//! The worker threads of a running sensor: batches in, and on demand what was learned since the last time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::config::Limits;
use crate::pipeline;
use crate::policy::{Policy, TapId};
use crate::source::Batch;
use crate::time::Timestamp;
use crate::worker::{SHARDS, Shard, ShardResult};

/// Batches on their way to one worker. Together with the kernel's ring they bridge a worker that is busy for a moment. On a
/// quiet link a batch has a frame or two, so they are many; what bounds them is [`Limits::queue`].
const QUEUE: usize = 1024;

/// Batches that were read and wait to be filled again.
const SPARE: usize = 4;

/// What a worker is told.
enum Work {
    Batch(Arc<Batch>),
    /// Tell what was learned since the last time, as of this time, and judge by another policy from now on if there is one.
    Drain(Timestamp, Option<Ruling>, Sender<Vec<ShardResult>>),
}

/// A policy, and which of its taps each capture is from.
#[derive(Clone)]
struct Ruling {
    policy: Option<Arc<Policy>>,
    taps: Arc<[TapId]>,
}

/// The workers with their shards.
pub struct Engine {
    queues: Vec<Sender<Work>>,
    threads: Vec<JoinHandle<Vec<ShardResult>>>,
    used: Receiver<Batch>,
    /// Memory of the batches that wait, in bytes, and what it may grow to.
    queued: Arc<AtomicUsize>,
    limit: usize,
    lost: AtomicU64,
}

impl Engine {
    /// Starts so many workers.
    #[must_use]
    pub fn start(workers: usize, limits: &Limits, policy: Option<&Arc<Policy>>, taps: &Arc<[TapId]>) -> Self {
        let workers = workers.clamp(1, SHARDS);
        let mut parts: Vec<Vec<Shard>> = (0..workers).map(|_| Vec::new()).collect();
        for index in 0..SHARDS {
            if let Some(part) = parts.get_mut(index % workers) {
                part.push(Shard::new(limits, policy.cloned()).listening(Arc::clone(taps)));
            }
        }
        // Batches come back when their last reader lets go of them, so that their memory is used again.
        let (give_back, used) = bounded(SPARE);
        let queued = Arc::new(AtomicUsize::new(0));
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for (worker, shards) in parts.into_iter().enumerate() {
            let (queue, work) = bounded(QUEUE);
            queues.push(queue);
            let spare = Spare { give_back: give_back.clone(), queued: Arc::clone(&queued) };
            threads.push(thread::spawn(move || run(shards, (worker, workers), &work, &spare)));
        }
        Self { queues, threads, used, queued, limit: limits.queue, lost: AtomicU64::new(0) }
    }

    /// A batch to fill, with memory that was used before if there is some.
    #[must_use]
    pub fn batch(&self) -> Batch {
        self.used.try_recv().unwrap_or_default()
    }

    /// Hands over a batch. When the workers are too far behind, the batch is dropped and its frames are counted: to wait
    /// would only move the loss into the kernel.
    pub fn give(&self, batch: Batch) {
        let full = self.queued.load(Ordering::Relaxed).saturating_add(batch.memory()) > self.limit;
        // Whether a worker takes it must not depend on the others: each host pair is whole or lost as a whole.
        if full || self.queues.iter().any(|queue| queue.len() >= QUEUE - 1) {
            self.lost.fetch_add(batch.frames.len() as u64, Ordering::Relaxed);
            return;
        }
        self.queued.fetch_add(batch.memory(), Ordering::Relaxed);
        let batch = Arc::new(batch);
        for queue in &self.queues {
            if let Err(TrySendError::Full(_)) = queue.try_send(Work::Batch(Arc::clone(&batch))) {
                self.lost.fetch_add(batch.frames.len() as u64, Ordering::Relaxed);
            }
        }
    }

    /// Frames that were dropped because the workers were too slow.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Batches that wait, in the longest queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(Sender::len).max().unwrap_or(0)
    }

    /// What was learned since the last time, in the order of shards. `now` is the time of the capture's clock.
    #[must_use]
    pub fn drain(&self, now: Timestamp) -> Vec<ShardResult> {
        self.ask(now, None)
    }

    /// The same, and what comes after is judged by another policy: no judgement of one is counted as the other's.
    #[must_use]
    pub fn judge_by(&self, now: Timestamp, policy: Option<&Arc<Policy>>, taps: &Arc<[TapId]>) -> Vec<ShardResult> {
        self.ask(now, Some(Ruling { policy: policy.cloned(), taps: Arc::clone(taps) }))
    }

    fn ask(&self, now: Timestamp, ruling: Option<Ruling>) -> Vec<ShardResult> {
        let answers: Vec<Receiver<Vec<ShardResult>>> = self
            .queues
            .iter()
            .map(|queue| {
                let (answer, results) = bounded(1);
                // A worker that is gone has panicked; stopping says so.
                let _ = queue.send(Work::Drain(now, ruling.clone(), answer));
                results
            })
            .collect();
        answers.iter().filter_map(|results| results.recv().ok()).flatten().collect()
    }

    /// Whether a worker has panicked.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Lets the workers finish what waits, and takes what they still know.
    #[must_use]
    pub fn stop(self) -> Vec<ShardResult> {
        let Self { queues, threads, .. } = self;
        drop(queues);
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

/// Where batches go that were read.
struct Spare {
    give_back: Sender<Batch>,
    queued: Arc<AtomicUsize>,
}

impl Spare {
    fn read(&self, batch: Arc<Batch>) {
        if let Some(batch) = Arc::into_inner(batch) {
            self.queued.fetch_sub(batch.memory(), Ordering::Relaxed);
            // A full return queue only means that the memory is not needed again.
            let _ = self.give_back.try_send(batch);
        }
    }
}

fn run(
    mut shards: Vec<Shard>,
    (worker, workers): (usize, usize),
    work: &Receiver<Work>,
    spare: &Spare,
) -> Vec<ShardResult> {
    for work in work {
        match work {
            Work::Batch(batch) => {
                pipeline::take(&mut shards, worker, workers, &batch);
                spare.read(batch);
            }
            Work::Drain(now, ruling, answer) => {
                let _ = answer.send(shards.iter_mut().map(|shard| shard.drain(now)).collect());
                if let Some(Ruling { policy, taps }) = ruling {
                    shards.iter_mut().for_each(|shard| shard.judge_by(policy.clone(), Arc::clone(&taps)));
                }
            }
        }
    }
    shards.into_iter().map(Shard::finish).collect()
}
