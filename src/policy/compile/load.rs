//! Reading: from paths and texts to entries of all files as one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::id;
use crate::policy::diagnostic::{Diagnostic, Diagnostics, Source, Span};
use crate::policy::file::{self};
use crate::policy::kind::Kind;
use crate::policy::model::Policy;
use crate::policy::read::{Read, Reader, parse};

use super::Compiler;

impl Policy {
    /// Reads files, and folders of `*.toml` and `*.json` files, as one policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, with file, line and column. Warnings of a good policy are in
    /// [`Policy::warnings`].
    pub fn load(paths: &[PathBuf]) -> Result<Self, Diagnostics> {
        let mut sources = Vec::new();
        let mut unreadable = Vec::new();
        for path in paths.iter().flat_map(|path| files(path)) {
            let name = path.display().to_string().into();
            match std::fs::read(&path).map_err(|error| error.to_string()).and_then(text) {
                Ok(text) => sources.push(Source { name, text: text.into() }),
                Err(error) => {
                    let at = Span { file: u16::try_from(sources.len()).unwrap_or(u16::MAX), ..Span::default() };
                    unreadable
                        .push(Diagnostic::error(at, format!("cannot read {name}: {error}")).kind(Kind::Unreadable));
                    sources.push(Source { name, text: "".into() });
                }
            }
        }
        if sources.is_empty() {
            unreadable
                .push(Diagnostic::error(Span::default(), "there is no policy file to read").kind(Kind::Unreadable));
        }
        if !unreadable.is_empty() {
            return Err(Diagnostics { sources: sources.into(), list: unreadable });
        }
        compile(sources.into())
    }

    /// Reads one text as a policy; the name appears in errors, and `.json` at its end makes it JSON.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        Self::of_texts([(name, text)])
    }

    /// Loads a policy from files that were read already, by name and text.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn of_texts<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Diagnostics> {
        let source = |(name, text): (&str, &str)| Source { name: name.into(), text: text.into() };
        compile(files.into_iter().map(source).collect())
    }
}

/// The text that bytes are, or what keeps them from being one.
fn text(bytes: Vec<u8>) -> Result<String, String> {
    if let [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] = bytes.as_slice() {
        return Err("it is UTF-16; save it as UTF-8".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let (good, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let byte = rest.first().copied().unwrap_or_default();
        format!("byte {byte:#04x} in line {line} is not UTF-8; save it as UTF-8")
    })
}

/// The files of a folder in the order of their names; anything else is itself.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![path.to_owned()] };
    let policy = |path: &PathBuf| path.extension().is_some_and(|end| end == "toml" || end == "json");
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(policy).collect();
    files.sort();
    files
}

fn compile(sources: Arc<[Source]>) -> Result<Policy, Diagnostics> {
    let mut reader = Reader::default();
    let mut all = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let node = parse(number, source, &mut reader);
        all.extend(file::File::read(node, &mut reader));
    }
    // Half a file leaves names dangling that are only unreadable; its syntax comes first.
    let policy = if reader.syntax_error { None } else { Some(Compiler::new(&mut reader).run(all, sources.clone())) };
    let mut list = reader.found;
    // What is odd about a policy that does not hold yet may follow from what is wrong with it.
    if list.iter().any(Diagnostic::is_error) {
        list.retain(Diagnostic::is_error);
    }
    // A group is expanded wherever it is named; its mistakes are told once.
    list.sort_by(|a, b| (a.severity, a.at, &a.message).cmp(&(b.severity, b.at, &b.message)));
    list.dedup_by(|a, b| (a.severity, a.at, &a.message) == (b.severity, b.at, &b.message));
    let diagnostics = Diagnostics { sources, list };
    match policy {
        Some(mut policy) if !diagnostics.has_errors() => {
            policy.warnings = diagnostics;
            Ok(policy)
        }
        _ => Err(diagnostics),
    }
}

/// SHA-256 over name and content, in the order of the names; folders do not count, so a copy has the same hash.
pub(super) fn hash(sources: &[Source]) -> String {
    let mut parts: Vec<_> = sources
        .iter()
        .map(|source| (source.name.rsplit('/').next().unwrap_or_default(), source.text.as_bytes()))
        .collect();
    parts.sort_unstable();
    let mut hasher = Sha256::new();
    for (name, text) in parts {
        for part in [name.as_bytes(), text] {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
    }
    id::hex(&hasher.finalize())
}

/// All files as one. `[site]`, `[defaults]` and `[severity]` may stand in one file only.
pub(super) struct Merged {
    pub(super) first: Span,
    pub(super) site: Option<file::Site>,
    /// There is a site that cannot be read.
    pub(super) site_told: bool,
    pub(super) defaults: Option<file::Defaults>,
    pub(super) severity: Option<file::Severity>,
    pub(super) zone: Vec<file::Zone>,
    pub(super) asset: Vec<file::Asset>,
    pub(super) group: Vec<file::Group>,
    pub(super) conduit: Vec<file::Conduit>,
    pub(super) deny: Vec<file::Deny>,
    pub(super) exception: Vec<file::Conduit>,
    pub(super) ignore: Vec<file::Ignore>,
    pub(super) nat: Vec<file::Nat>,
    pub(super) tap: Vec<file::Tap>,
    pub(super) protocol: Vec<file::Private>,
}

impl Merged {
    pub(super) fn new(files: Vec<file::File>, reader: &mut Reader) -> Self {
        let mut whole = Self {
            first: Span::default(),
            site: None,
            site_told: false,
            defaults: None,
            severity: None,
            zone: Vec::new(),
            asset: Vec::new(),
            group: Vec::new(),
            conduit: Vec::new(),
            deny: Vec::new(),
            exception: Vec::new(),
            ignore: Vec::new(),
            nat: Vec::new(),
            tap: Vec::new(),
            protocol: Vec::new(),
        };
        fn once<T: Located>(slot: &mut Option<T>, entry: Option<T>, what: &str, reader: &mut Reader) {
            match (slot.as_ref(), entry) {
                (Some(first), Some(second)) => {
                    let twice = Diagnostic::error(second.at(), format!("{what} is given twice"))
                        .kind(Kind::Duplicate)
                        .label("again here");
                    reader.found.push(twice.related(first.at(), "first here").help("keep it in one file"));
                }
                (None, Some(entry)) => *slot = Some(entry),
                (_, None) => {}
            }
        }
        for file in files {
            whole.site_told |= file.told("site");
            if let Some(schema) = file.schema.filter(|schema| schema.value != 1) {
                reader.error(schema.at, format!("schema {} is not known; this version reads 1", schema.value));
            }
            once(&mut whole.site, file.site, "[site]", reader);
            once(&mut whole.defaults, file.defaults, "[defaults]", reader);
            once(&mut whole.severity, file.severity, "[severity]", reader);
            whole.zone.extend(file.zone);
            whole.asset.extend(file.asset);
            whole.group.extend(file.group);
            whole.conduit.extend(file.conduit);
            whole.deny.extend(file.deny);
            whole.exception.extend(file.exception);
            whole.ignore.extend(file.ignore);
            whole.nat.extend(file.nat);
            whole.tap.extend(file.tap);
            whole.protocol.extend(file.protocol);
        }
        whole
    }
}

/// An entry that knows its place.
pub(super) trait Located {
    fn at(&self) -> Span;
    /// Something wrong with a key was told.
    fn told(&self, key: &str) -> bool;
}

macro_rules! located {
    ($($name:ident)*) => { $(
        impl Located for file::$name {
            fn at(&self) -> Span {
                self.at
            }

            fn told(&self, key: &str) -> bool {
                self.told(key)
            }
        }
    )* };
}
located!(Site Defaults Severity Zone Asset Group Conduit Deny Ignore);
