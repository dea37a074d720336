//! The store of a sensor, which is opened as soon as it can be: a disk that is full, read-only or not there yet must not
//! keep anybody from watching.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock;
use super::telling::Past;
use super::world::World;
use crate::policy::Policy;
use crate::store::{Restored, Store, StoreError};

/// A store, and how long what is in it is kept.
pub struct Keeping {
    path: PathBuf,
    /// The store, when it could be opened.
    pub(super) store: Option<Store>,
    /// Why it could not be.
    pub(super) error: Option<String>,
    /// What is in it is known, though it may only have been read.
    is_known: bool,
    /// What was not seen for so long is forgotten.
    pub(super) keep: Duration,
    /// At this size in bytes what was seen longest ago is forgotten.
    pub(super) most: u64,
}

impl Keeping {
    /// Opens the store, or makes one. When neither can be done now, that is tried again later. What is to be said of it for
    /// people is the second value.
    ///
    /// # Errors
    /// [`StoreError`] when trying again will not help: it is of a newer version, or of another program.
    pub fn open(path: &Path, keep: Duration, most: u64) -> Result<(Self, Option<String>), StoreError> {
        let (store, error, said) = match Store::open(path) {
            Ok((store, said)) => (Some(store), None, said),
            Err(error) if error.passing => (None, Some(error.to_string()), None),
            Err(error) => return Err(error),
        };
        let said = said.or_else(|| {
            error.as_ref().map(|why| format!("{why}; everything is kept in memory until it can be opened"))
        });
        Ok((Self { path: path.into(), store, error, is_known: false, keep, most }, said))
    }

    /// Goes on from what it holds, as far as that can be read.
    ///
    /// # Errors
    /// As [`Self::open`], of a store that can only be looked at.
    pub(super) fn restore(&mut self, world: &mut World) -> Result<Past, StoreError> {
        let policy = world.options().policy.clone();
        let read = match &self.store {
            Some(store) => store.read(policy.as_deref()),
            // What cannot be written can often be read.
            None => Store::look(&self.path).and_then(|store| store.read(policy.as_deref())),
        };
        match read {
            Ok(restored) => {
                self.is_known = true;
                Ok(past(restored, world))
            }
            Err(error) if error.is_final() => Err(error),
            Err(error) => {
                self.store = None;
                self.error.get_or_insert_with(|| error.to_string());
                // Events are numbered on from where no store has come, one a second since 1970.
                let last_event = u64::try_from(clock::now().nanos()).unwrap_or(0) / 1_000_000_000;
                Ok(Past { last_event, ..Past::default() })
            }
        }
    }

    /// Opens it again, if it is not open. What it holds that was not known is given, its captures numbered on from `captures`;
    /// and what is to be said of it.
    pub(super) fn open_again(&mut self, captures: u16, policy: Option<&Policy>) -> Result<Found, StoreError> {
        if self.store.is_some() {
            return Ok(Found::default());
        }
        let open = || {
            let (mut store, said) = Store::open(&self.path)?;
            let restored = if self.is_known {
                None
            } else {
                store.renumber(captures)?;
                Some(store.read(policy)?)
            };
            Ok((store, Found { restored, said }))
        };
        let (store, found) = open().inspect_err(|error: &StoreError| self.error = Some(error.to_string()))?;
        (self.store, self.error, self.is_known) = (Some(store), None, true);
        Ok(found)
    }
}

/// What a store had when it could be opened at last.
#[derive(Default)]
pub(super) struct Found {
    pub(super) restored: Option<Restored>,
    pub(super) said: Option<String>,
}

/// Puts what was kept into the world; what was told of it is given back.
pub(super) fn past(mut restored: Restored, world: &mut World) -> Past {
    let findings = std::mem::take(&mut restored.findings).into_iter().map(|kept| kept.life).collect();
    let (policy, cut) = (restored.policy.take(), restored.cut);
    let past = Past { findings, policy, last_event: restored.last_event, cut };
    world.restore(restored);
    past
}
