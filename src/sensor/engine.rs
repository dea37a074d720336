//! The worker threads of a running sensor: batches in, and on demand what was learned since the last time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::recorder::Line;
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
    /// Which tap of the policy each capture is from, now that there are others.
    Listen(Arc<[TapId]>),
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
    spare: Spare,
    /// What the memory of the batches that wait may grow to, in bytes.
    limit: usize,
    lost: AtomicU64,
    crowded: Arc<AtomicBool>,
    recorder: Option<Line>,
}

impl Engine {
    /// Starts so many workers. The recorder, if there is one, sees each batch too, and hears which frames to keep.
    #[must_use]
    pub fn start(
        workers: usize,
        limits: &Limits,
        policy: Option<&Arc<Policy>>,
        taps: &Arc<[TapId]>,
        recorder: Option<Line>,
    ) -> Self {
        let workers = workers.clamp(1, SHARDS);
        let mut parts: Vec<Vec<Shard>> = (0..workers).map(|_| Vec::new()).collect();
        for index in 0..SHARDS {
            if let Some(part) = parts.get_mut(index % workers) {
                let shard = Shard::new(limits, policy.cloned()).listening(Arc::clone(taps));
                part.push(if recorder.is_some() { shard.marking() } else { shard });
            }
        }
        // Batches come back when their last reader lets go of them, so that their memory is used again.
        let (give_back, used) = bounded(SPARE);
        let spare = Spare { give_back, queued: Arc::new(AtomicUsize::new(0)) };
        let crowded = Arc::new(AtomicBool::new(false));
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for (worker, shards) in parts.into_iter().enumerate() {
            let (queue, work) = bounded(QUEUE);
            queues.push(queue);
            let (recorder, spare, crowded) = (recorder.clone(), spare.clone(), Arc::clone(&crowded));
            let run = move || run(shards, (worker, workers), &work, &spare, &crowded, recorder.as_ref());
            threads.push(thread::spawn(run));
        }
        Self { queues, threads, used, spare, limit: limits.queue, lost: AtomicU64::new(0), crowded, recorder }
    }

    /// A batch to fill, with memory that was used before if there is some.
    #[must_use]
    pub fn batch(&self) -> Batch {
        self.used.try_recv().unwrap_or_default()
    }

    /// Hands over a batch, or gives it back when the workers are too far behind: it is to be tried again, while the kernel's
    /// ring takes what comes.
    ///
    /// # Errors
    /// The batch, untouched.
    pub fn give(&self, batch: Batch) -> Result<(), Batch> {
        let queued = self.spare.queued.load(Ordering::Relaxed);
        // One alone has room, however large it is: it would wait for ever.
        let full = queued > 0 && queued.saturating_add(batch.memory()) > self.limit;
        // Whether a worker takes it must not depend on the others: each host pair is whole or lost as a whole.
        if full || self.queues.iter().any(|queue| queue.len() >= QUEUE - 1) {
            return Err(batch);
        }
        self.spare.queued.fetch_add(batch.memory(), Ordering::Relaxed);
        let batch = Arc::new(batch);
        // Before the workers have it: what they point out must have been seen.
        self.recorder.iter().for_each(|recorder| recorder.batch(&batch, &self.spare));
        let mut is_lost = false;
        for queue in &self.queues {
            is_lost |= matches!(queue.try_send(Work::Batch(Arc::clone(&batch))), Err(TrySendError::Full(_)));
        }
        // Several interfaces raced for the last places. Each frame is lost once, whoever lacks it.
        if is_lost {
            self.lose(&batch);
        }
        // The others may be done with it already.
        self.spare.read(batch);
        Ok(())
    }

    /// Counts the frames of a batch that no worker will see.
    pub fn lose(&self, batch: &Batch) {
        self.lost.fetch_add(batch.frames.len() as u64, Ordering::Relaxed);
    }

    /// Frames that were dropped because the workers were too slow.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What was learned since the last time has to be drained soon.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
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

    /// There are other captures: which tap of the policy each is from, and their names.
    pub fn listen(&self, taps: &Arc<[TapId]>, captures: Vec<String>) {
        for queue in &self.queues {
            // A worker that is gone has panicked; stopping says so.
            let _ = queue.send(Work::Listen(Arc::clone(taps)));
        }
        self.recorder.iter().for_each(|recorder| recorder.captures(captures.clone()));
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
#[derive(Clone)]
pub(super) struct Spare {
    give_back: Sender<Batch>,
    /// Memory of the batches that wait, in bytes.
    queued: Arc<AtomicUsize>,
}

impl Spare {
    /// One of those who had a batch needs it no longer; after the last its memory is used again.
    pub(super) fn read(&self, batch: Arc<Batch>) {
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
    crowded: &AtomicBool,
    recorder: Option<&Line>,
) -> Vec<ShardResult> {
    for work in work {
        match work {
            Work::Batch(batch) => {
                pipeline::take(&mut shards, worker, workers, &batch);
                if let Some(recorder) = recorder {
                    shards.iter_mut().for_each(|shard| recorder.marks(shard.marks()));
                }
                if shards.iter().any(Shard::is_crowded) {
                    crowded.store(true, Ordering::Relaxed);
                }
                spare.read(batch);
            }
            Work::Listen(taps) => shards.iter_mut().for_each(|shard| shard.listen(Arc::clone(&taps))),
            Work::Drain(now, ruling, answer) => {
                // Another worker that is crowded says so again with its next batch.
                crowded.store(false, Ordering::Relaxed);
                let _ = answer.send(shards.iter_mut().map(|shard| shard.drain(now)).collect());
                if let Some(Ruling { policy, taps }) = ruling {
                    shards.iter_mut().for_each(|shard| shard.judge_by(policy.clone(), Arc::clone(&taps)));
                }
            }
        }
    }
    shards.into_iter().map(Shard::finish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FrameRef, LinkType};

    fn batch() -> Batch {
        let mut batch = Batch::default();
        batch.bytes.extend([0; 60]);
        batch.frames.push(FrameRef {
            at: Timestamp::new(1, 0),
            number: 1,
            offset: 0,
            len: 60,
            wire_len: 60,
            link: LinkType::ETHERNET,
            capture: 0,
        });
        batch
    }

    #[test]
    fn a_batch_that_has_no_room_comes_back_and_is_not_lost() {
        let limits = Limits { queue: 0, ..Limits::default() };
        let engine = Engine::start(1, &limits, None, &Arc::default(), None);
        // Another one waits.
        engine.spare.queued.fetch_add(1, Ordering::Relaxed);
        let back = engine.give(batch()).unwrap_err();
        assert_eq!((back.frames.len(), engine.lost()), (1, 0));
        // It is gone: this one has room, larger than the limit or not.
        engine.spare.queued.fetch_sub(1, Ordering::Relaxed);
        assert!(engine.give(back).is_ok());
        assert_eq!(engine.lost(), 0);
        engine.lose(&batch());
        assert_eq!(engine.lost(), 1);
        assert_eq!(engine.stop().iter().map(|shard| shard.coverage.frames).sum::<u64>(), 1);
    }
}
