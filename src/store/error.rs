//! What can be wrong with a store.

use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with the store, with a way out.
#[derive(Debug)]
pub struct StoreError {
    pub(super) path: PathBuf,
    pub(super) why: String,
    /// The disk has no room, the file cannot be written or read, or somebody else has it: it may work later.
    pub passing: bool,
}

impl StoreError {
    /// Nothing but another program or another file helps.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !self.passing && !self.is_damage()
    }

    pub(super) fn is_damage(&self) -> bool {
        self.why.contains(DAMAGED)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store {}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for StoreError {}

/// Words of an error that says the file is no sound database.
pub(super) const DAMAGED: &str = "it is damaged";

pub(super) fn wrong(path: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase, PermissionDenied, ReadOnly,
        SystemIoFailure,
    };
    let code = error.sqlite_error_code();
    let damaged = matches!(code, Some(DatabaseCorrupt | NotADatabase));
    StoreError {
        path: path.into(),
        why: if damaged { format!("{DAMAGED} ({error})") } else { error.to_string() },
        passing: matches!(
            code,
            Some(DiskFull | ReadOnly | SystemIoFailure | PermissionDenied | CannotOpen | DatabaseBusy | DatabaseLocked)
        ),
    }
}
