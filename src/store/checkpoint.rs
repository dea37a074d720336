//! The log of a store is copied into its file beside the writer, by a thread of its own: that waits for the disk, and nobody
//! waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, InterruptHandle};

/// The thread.
pub(super) struct Checkpoints {
    /// None when it has ended.
    ask: Option<SyncSender<()>>,
    /// Nobody wants any more.
    ends: Arc<AtomicBool>,
    interrupt: InterruptHandle,
    /// Gives nothing, and hears of its end.
    ended: Receiver<()>,
}

/// One that waits for the disk is left to itself after so long.
const PATIENCE: Duration = Duration::from_millis(50);

impl Checkpoints {
    pub(super) fn start(path: &Path) -> rusqlite::Result<Self> {
        let db = Connection::open(path)?;
        // The writer decides.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        db.execute_batch("PRAGMA synchronous = NORMAL;")?;
        let interrupt = db.get_interrupt_handle();
        let (ask, asked) = sync_channel(1);
        let ends = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&ends);
        let (runs, ended) = sync_channel(0);
        thread::spawn(move || {
            for () in asked {
                if has_ended.load(Ordering::Relaxed) {
                    break;
                }
                // PASSIVE: of what a reader still needs as much as goes. A disk that does not take it takes no flush either,
                // which is told.
                let _ = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            }
            drop(db);
            drop::<SyncSender<()>>(runs);
        });
        Ok(Self { ask: Some(ask), ends, interrupt, ended })
    }

    /// There is something to copy.
    pub(super) fn ask(&self) {
        // One that was asked and has not begun yet will copy this as well.
        self.ask.iter().for_each(|ask| _ = ask.try_send(()));
    }

    /// Ends it; whether it has come to rest.
    pub(super) fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.ends.store(true, Ordering::Relaxed);
        self.interrupt.interrupt();
        self.ask = None;
        self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        // The writer leaves one file behind if he is the last. Nobody is waited for twice.
        if self.ask.is_some() {
            self.end();
        }
    }
}
