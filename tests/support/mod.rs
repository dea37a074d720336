//! What every end-to-end test needs: the binary, run.

#![allow(dead_code)] // Each test binary uses its part.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

/// How a run ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it wrote to stdout.
    pub(crate) stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

impl Run {
    /// Stdout as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Stdout as one JSON object.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("stdout is no JSON: {error}\n{self:?}"))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let Output { status, stdout, stderr } = output;
        Self { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }
}

/// The command, ready for arguments. Its environment says nothing of the terminal or the user. `$ZONEWATCH_BIN` tests
/// another binary, such as the one that is released.
pub(crate) fn zonewatch() -> Command {
    let built = || env!("CARGO_BIN_EXE_zonewatch").into();
    let mut command = Command::new(std::env::var_os("ZONEWATCH_BIN").unwrap_or_else(built));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs the command with these arguments.
pub(crate) fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    zonewatch().args(args).output().expect("the binary runs").into()
}

/// The same, in a folder: names of captures are relative to it.
pub(crate) fn run_in(folder: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    zonewatch().current_dir(folder).args(args).output().expect("the binary runs").into()
}

/// The folder of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Does something for every item on two threads; the results in the order of the items.
pub(crate) fn for_each<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(index)
                {
                    let result = work(item);
                    results.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// What `analyze` says of captures, as the contract has it.
pub(crate) fn analyze(words: &[&str]) -> Value {
    let output = zonewatch().args(["analyze", "--format", "json", "--quiet"]).args(words).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The capture of the small plant, and its policy.
pub(crate) fn plant() -> (PathBuf, String) {
    let folder = root().join("fixtures/plant");
    (folder.join("capture.pcap"), folder.join("plant.toml").to_str().unwrap().to_owned())
}
