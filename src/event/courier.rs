//! The task that takes records from a queue to the other side, and comes back when it must.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Sleep, sleep};

use super::config::Output;
use super::health::OutputHealth;
use super::sink::{Link, closed};
use super::spool::Spool;

/// Records that are sent at once.
const BATCH_RECORDS: usize = 256;
/// Bytes after which no further record joins a batch.
const BATCH_BYTES: usize = 256 << 10;
/// Records after which a link is ended and opened anew.
const WINDOW_RECORDS: u64 = 2000;
/// Bytes after which it is.
const WINDOW_BYTES: usize = 1 << 20;
/// Time after the first record after which it is. Less than the minute after which proxies end idle connections: they
/// must not do so before we know what arrived, since then it would be sent again, and again.
const WINDOW_AGE: Duration = Duration::from_secs(30);
/// The longest pause between attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// What an output and its courier share.
pub(super) struct Desk {
    pub(super) output: Output,
    spool: Mutex<Spool>,
    status: Mutex<Status>,
    /// There is something to do.
    wake: Notify,
    reopen: AtomicBool,
}

#[derive(Default)]
struct Status {
    connected: bool,
    reconnects: u64,
    shortened: u64,
    last_error: Option<String>,
}

/// Why a link was given up.
enum End {
    /// All that was sent has arrived; there may be more.
    Certain,
    /// The other side ended it while nothing was under way, as proxies do.
    Idle,
    Stopped,
}

impl Desk {
    pub(super) fn new(output: Output, spool: Spool) -> Arc<Self> {
        Arc::new(Self {
            output,
            spool: Mutex::new(spool),
            status: Mutex::default(),
            wake: Notify::new(),
            reopen: AtomicBool::new(false),
        })
    }

    /// The queue. Nobody waits while holding it.
    pub(super) fn spool(&self) -> MutexGuard<'_, Spool> {
        // A panic while it was held left it in some state between two steps, each of which is whole.
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
        self.wake();
    }

    pub(super) fn health(&self) -> OutputHealth {
        let (counts, waiting, queue_error) = {
            let spool = self.spool();
            (spool.counts(), spool.waiting(), spool.trouble())
        };
        let status = self.status();
        OutputHealth {
            name: self.output.name.clone(),
            connected: status.connected,
            delivered: counts.delivered,
            queued: waiting.records,
            queued_bytes: waiting.bytes,
            in_memory: waiting.in_memory,
            dropped: counts.dropped,
            shortened: status.shortened,
            torn_bytes: counts.torn_bytes,
            reconnects: status.reconnects,
            last_error: status.last_error.clone(),
            queue_error,
            oldest_waiting: waiting.oldest,
        }
    }
}

/// Carries records until told to stop.
pub(super) async fn run(desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    let mut delay = Delay::default();
    // A second remains after the stop; whoever gave the order ends us then.
    while !*stop.borrow() || !desk.spool().is_empty() {
        let end = session(&desk, &mut stop, &mut delay).await;
        desk.status().connected = false;
        match end {
            Ok(End::Stopped) => return,
            Ok(End::Certain) => continue,
            Ok(End::Idle) => {
                tokio::select! {
                    () = desk.wake.notified() => continue,
                    () = stopped(&mut stop) => return,
                }
            }
            Err(error) => {
                desk.spool().rewind();
                desk.status().last_error = Some(error.to_string());
            }
        }
        tokio::select! {
            () = sleep(delay.next()) => desk.status().reconnects += 1,
            () = stopped(&mut stop) => return,
        }
    }
}

/// One link, from opening it to its end.
async fn session(desk: &Desk, stop: &mut watch::Receiver<bool>, delay: &mut Delay) -> io::Result<End> {
    let mut link = Link::open(&desk.output.target).await?;
    desk.status().connected = true;
    let mut window = Window::default();
    loop {
        if desk.reopen.swap(false, Ordering::Relaxed) {
            return confirmed(desk, link, &window, delay).await;
        }
        let batch = desk.spool().take(BATCH_RECORDS, BATCH_BYTES);
        let Some(last) = batch.last().map(|message| message.number) else {
            if *stop.borrow() {
                confirmed(desk, link, &window, delay).await?;
                return Ok(End::Stopped);
            }
            tokio::select! {
                () = desk.wake.notified() => {}
                () = stopped(stop) => {}
                end = link.ended() => {
                    end?;
                    return if window.records == 0 { Ok(End::Idle) } else { Err(closed()) };
                }
                () = window.is_old() => return confirmed(desk, link, &window, delay).await,
            }
            continue;
        };
        let sent = link.send(&batch).await?;
        desk.status().shortened += sent.shortened;
        window.add(last, batch.len(), batch.iter().map(|message| message.bytes.len()).sum());
        if sent.is_certain {
            desk.spool().confirm(last);
            *delay = Delay::default();
        }
        if window.is_full() {
            return confirmed(desk, link, &window, delay).await;
        }
    }
}

/// Ends a link, after which it is certain that what it carried has arrived.
async fn confirmed(desk: &Desk, link: Link, window: &Window, delay: &mut Delay) -> io::Result<End> {
    link.finish().await?;
    if window.records > 0 {
        desk.spool().confirm(window.last);
        *delay = Delay::default();
    }
    Ok(End::Certain)
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could stop us is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What was sent on a link. When it is full, or old, the link is ended and opened anew. That makes certain what arrived on
/// a connection; and names of receivers are looked up again, and a file that was renamed without a word is found missing.
#[derive(Default)]
struct Window {
    last: u64,
    records: u64,
    bytes: usize,
    age: Option<Pin<Box<Sleep>>>,
}

impl Window {
    fn add(&mut self, last: u64, records: usize, bytes: usize) {
        self.last = last;
        self.records = self.records.saturating_add(records as u64);
        self.bytes = self.bytes.saturating_add(bytes);
        self.age.get_or_insert_with(|| Box::pin(sleep(WINDOW_AGE)));
    }

    fn is_full(&self) -> bool {
        self.records >= WINDOW_RECORDS || self.bytes >= WINDOW_BYTES
    }

    /// Waits until the first record in it was sent long ago.
    async fn is_old(&mut self) {
        match &mut self.age {
            Some(age) => age.await,
            None => std::future::pending().await,
        }
    }
}

/// Pauses between attempts: 1, 2, 4 … 60 s, from the start again when something has arrived.
#[derive(Default)]
struct Delay(u32);

impl Delay {
    fn next(&mut self) -> Duration {
        let pause = Duration::from_secs(1_u64.checked_shl(self.0).unwrap_or(u64::MAX)).min(LONGEST_DELAY);
        self.0 = self.0.saturating_add(1).min(63);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_stay() {
        let mut delay = Delay::default();
        let pauses: Vec<u64> = (0..200).map(|_| delay.next().as_secs()).collect();
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(pauses[8..].iter().all(|pause| *pause == 60));
    }
}
