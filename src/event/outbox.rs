//! All outputs together: what the keeper of the sensor holds.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::Event;
use super::config::{Mistake, Output, Target};
use super::courier::{self, Desk};
use super::health::OutputHealth;
use super::sink;
use super::spool::Spool;

/// What a loss of power may cost: queues are made to last this often.
const SYNC: Duration = Duration::from_secs(1);
/// The part of the time for a stop that is the disk's.
const DISK: u32 = 5;

/// The outputs of a sensor.
///
/// A reader of standard output that has stopped reading leaves a thread hanging in a write, which
/// [`tokio::runtime::Runtime`] waits for when it is dropped: end it with `shutdown_background`.
pub struct Outbox {
    desks: Vec<Arc<Desk>>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Outbox {
    /// Whether outputs could be started.
    ///
    /// # Errors
    /// When the PEM files of an output cannot be used.
    pub fn check(outputs: &[Output]) -> Result<(), Mistake> {
        outputs.iter().try_for_each(sink::check)
    }

    /// Starts a task for each output, with the queues in folders below `folder`; what waits there from before is sent
    /// first. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// When the PEM files of an output cannot be used. A receiver that does not answer, or a folder that cannot be
    /// written, is no error but a matter of [`Outbox::health`].
    pub fn start(outputs: Vec<Output>, folder: &Path) -> Result<Self, Mistake> {
        Self::check(&outputs)?;
        let open = |output: Output| {
            let spool = Spool::open(&folder.join(&output.name), output.queue);
            Desk::new(output, spool)
        };
        let desks: Vec<Arc<Desk>> = outputs.into_iter().map(open).collect();
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for desk in &desks {
            tasks.spawn(courier::run(Arc::clone(desk), stopped.clone()));
        }
        tasks.spawn(sync(desks.clone(), stopped));
        Ok(Self { desks, tasks, stop })
    }

    /// Puts an event into the queue of each output that wants it. It is on disk when this returns (not yet safe from a
    /// loss of power), or counted as dropped. Does not wait for any receiver.
    pub fn put(&self, event: &Event) {
        for desk in self.desks.iter().filter(|desk| desk.output.wants(event)) {
            let Output { target, format, facility, .. } = &desk.output;
            let text = match target {
                Target::Stdout | Target::File(_) => format.line(event, *facility),
                Target::Udp(_) | Target::Tcp(..) => format.syslog(event, *facility),
            };
            desk.spool().put(event.band, event.time, text.as_bytes());
            desk.wake();
        }
    }

    /// Opens files anew, after logrotate renamed them, and connections too, with certificates as they are now.
    pub fn reopen(&self) {
        self.desks.iter().for_each(|desk| desk.reopen());
    }

    /// How each output is doing, in the order of the configuration.
    #[must_use]
    pub fn health(&self) -> Vec<OutputHealth> {
        self.desks.iter().map(|desk| desk.health()).collect()
    }

    /// Sends what can be sent within that time, of which the last part is for the disk to keep the rest for the next start.
    /// Whether they could or not, the queues are free for another outbox then.
    pub async fn stop(mut self, within: Duration) {
        self.stop.send_replace(true);
        // A task that panicked left its queue as it was.
        let _ = timeout(within - within / DISK, async { while self.tasks.join_next().await.is_some() {} }).await;
        self.tasks.shutdown().await;
        let _ = timeout(within / DISK, spawn_blocking(move || self.desks.iter().for_each(|desk| sync_one(desk)))).await;
    }
}

/// Makes queues last a loss of power, again and again.
async fn sync(desks: Vec<Arc<Desk>>, mut stop: watch::Receiver<bool>) {
    while timeout(SYNC, stop.wait_for(|stop| *stop)).await.is_err() {
        for desk in &desks {
            let desk = Arc::clone(desk);
            let _ = spawn_blocking(move || sync_one(&desk)).await;
        }
    }
}

fn sync_one(desk: &Desk) {
    let files = desk.spool().unsynced();
    for file in files {
        // A disk that fails here fails the next record as well, and that is told.
        let _ = file.sync_data();
    }
}

#[cfg(test)]
mod tests;
