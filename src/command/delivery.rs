//! The delivery of events while the outputs may change: one outbox after the other, and no event is lost between them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::Failure;
use crate::config::File;
use crate::event::config::{self, Output};
use crate::event::health::OutputHealth;
use crate::event::{Event, Outbox};

/// Time that the outputs of before have to send what they can, when they are exchanged.
const EXCHANGE: Duration = Duration::from_secs(2);

/// The outputs that are in force.
pub(super) struct Delivery {
    runtime: Runtime,
    outputs: Vec<Output>,
    folder: PathBuf,
    letterbox: Letterbox,
}

/// Where events are put in, whichever outbox is behind it.
#[derive(Clone, Default)]
pub(super) struct Letterbox(Arc<Mutex<Option<Outbox>>>);

impl Letterbox {
    /// Puts events into the queues. While outputs are exchanged it waits for a second or two.
    pub(super) fn put(&self, events: &[Event]) {
        if let Some(outbox) = &*self.lock() {
            events.iter().for_each(|event| outbox.put(event));
        }
    }

    /// How each output is doing, in the order of the configuration.
    pub(super) fn health(&self) -> Vec<OutputHealth> {
        self.lock().as_ref().map(Outbox::health).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the configuration's outputs mean.
pub(super) fn outputs(config: &File) -> Result<Vec<Output>, Failure> {
    let outputs = config::check(&config.output)
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    Outbox::check(&outputs)?;
    Ok(outputs)
}

impl Delivery {
    /// Starts the outputs of the configuration, if there are any. Their queues lie beside the store.
    pub(super) fn start(config: &File) -> Result<Self, Failure> {
        let folder = config.store.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| std::env::temp_dir().join("zonewatch-queue"), |folder| folder.join("queue"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut delivery = Self { runtime, outputs: Vec::new(), folder, letterbox: Letterbox::default() };
        delivery.change(outputs(config)?)?;
        Ok(delivery)
    }

    pub(super) fn letterbox(&self) -> Letterbox {
        self.letterbox.clone()
    }

    /// Outputs that stay the same open their files and connections anew; when any changes, all are started anew.
    pub(super) fn change(&mut self, outputs: Vec<Output>) -> Result<(), Failure> {
        let mut place = self.letterbox.lock();
        if outputs == self.outputs {
            place.iter().for_each(Outbox::reopen);
            return Ok(());
        }
        if let Some(outbox) = place.take() {
            self.runtime.block_on(outbox.stop(EXCHANGE));
        }
        self.outputs = outputs;
        if !self.outputs.is_empty() {
            let _inside = self.runtime.enter();
            *place = Some(Outbox::start(self.outputs.clone(), &self.folder)?);
        }
        Ok(())
    }

    /// Sends what can be sent until then; the rest waits on disk.
    pub(super) fn stop(self, end: Instant) {
        let Self { runtime, letterbox, .. } = self;
        let outbox = letterbox.lock().take();
        if let Some(outbox) = outbox {
            runtime.block_on(outbox.stop(end.saturating_duration_since(Instant::now())));
        }
        runtime.shutdown_background();
    }
}
