//! The folder of evidence files: a quota, and names that come from nobody outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    /// Names and sizes in bytes, oldest first.
    files: VecDeque<(String, u64)>,
    bytes: u64,
    most: u64,
    /// Names of files that went for younger ones: they are not written again, or a crowd of findings would take turns.
    gone: BTreeSet<String>,
    /// Files that went for younger ones.
    pub removed: u64,
    /// Files written, each once.
    pub written: u64,
}

/// Files in the folder at most, whatever their size: no directory should grow without an end.
const FILES: usize = 1 << 14;
/// Names remembered of files that are gone.
const GONE: usize = 1 << 16;
const SUFFIX: &str = "pcapng";

impl Shelf {
    /// Opens the folder, making it for its owner alone if it is not there, for files of so many bytes together. What lies
    /// there by the name of a finding is counted; what an earlier process left half written is removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: &Path, most: u64) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)?;
        let mut known: BTreeMap<(std::time::Duration, String), u64> = BTreeMap::new();
        for entry in fs::read_dir(folder)?.flatten() {
            let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.strip_prefix('.').and_then(|name| name.strip_suffix(".part")).is_some_and(is_ours) {
                fs::remove_file(&path)?;
            } else if is_ours(name) && about.is_file() {
                let age = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                known.insert((age.unwrap_or_default(), name.to_owned()), about.len());
            }
        }
        let bytes = known.values().sum();
        let files = known.into_iter().map(|((_, name), len)| (name, len)).collect();
        let folder = folder.to_owned();
        let mut shelf = Self { folder, files, bytes, most, gone: BTreeSet::new(), removed: 0, written: 0 };
        shelf.make_room()?;
        Ok(shelf)
    }

    /// For so many bytes from now on; the oldest files go for it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn resize(&mut self, most: u64) -> io::Result<()> {
        self.most = most;
        self.make_room()
    }

    /// The name of a finding's file: of its id, only what no file system minds.
    #[must_use]
    pub fn name(id: &str) -> String {
        let safe = id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' });
        format!("{}.{SUFFIX}", safe.take(64).collect::<String>())
    }

    /// Whether a finding has its file, or had it.
    #[must_use]
    pub fn had(&self, id: &str) -> bool {
        let name = Self::name(id);
        self.gone.contains(&name) || self.has(&name)
    }

    /// Files there are.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.files.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Their number and bytes.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        (self.files.len(), self.bytes)
    }

    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|(known, _)| known == name)
    }

    /// Writes the file of a finding, in place of an earlier one of it. The oldest files go when there is no room. A file
    /// larger than the quota is an error.
    ///
    /// # Errors
    /// What the file system says. Nothing half written stands under the name then.
    pub fn put(&mut self, id: &str, bytes: &[u8]) -> io::Result<()> {
        let (name, len) = (Self::name(id), bytes.len() as u64);
        if len > self.most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "one file is larger than all together may be"));
        }
        let part = self.folder.join(format!(".{name}.part"));
        // Left by a write that failed.
        let _ = fs::remove_file(&part);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&part).and_then(|mut file| file.write_all(bytes));
        if let Err(error) = written.and_then(|()| fs::rename(&part, self.folder.join(&name))) {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        let before = self.files.iter().position(|(known, _)| *known == name).and_then(|place| self.files.remove(place));
        self.written += u64::from(before.is_none());
        self.bytes = self.bytes - before.map_or(0, |(_, len)| len) + len;
        self.files.push_back((name, len));
        self.make_room()
    }

    /// Removes the oldest files until the rest fits.
    fn make_room(&mut self) -> io::Result<()> {
        while self.bytes > self.most || self.files.len() > FILES {
            let Some((name, len)) = self.files.pop_front() else { break };
            self.bytes -= len;
            self.removed += 1;
            if let Err(error) = fs::remove_file(self.folder.join(&name))
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            if self.gone.len() >= GONE {
                self.gone.pop_first();
            }
            self.gone.insert(name);
        }
        Ok(())
    }
}

/// A name as [`Shelf::name`] gives it to a finding's file. Other captures that lie in the folder are not touched.
fn is_ours(name: &str) -> bool {
    let Some((kind, id)) = name.strip_suffix(".pcapng").and_then(|id| id.split_once('-')) else { return false };
    let is_id = id.len() >= 12 && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_id && !kind.is_empty() && kind.len() <= 3 && kind.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    fn id(number: u32) -> String {
        format!("V-aaaaaaaaaaaa{number:04}")
    }

    #[test]
    fn names_hold_nothing_that_a_file_system_minds() {
        for (id, want) in [
            ("V-gkh2al3yyoxc5ymh", "V-gkh2al3yyoxc5ymh.pcapng"),
            ("../../etc/passwd", "______etc_passwd.pcapng"),
            (".hidden", "_hidden.pcapng"),
            ("a\0b\nc\u{202e}", "a_b_c_.pcapng"),
            ("", ".pcapng"),
        ] {
            assert_eq!(Shelf::name(id), want);
        }
        assert_eq!(Shelf::name(&"x".repeat(5000)).len(), 64 + ".pcapng".len());
    }

    #[test]
    fn the_oldest_go_and_are_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evidence");
        let mut shelf = Shelf::open(&path, 1000).unwrap();
        for number in 0..20 {
            shelf.put(&id(number), &[0; 100]).unwrap();
            assert!(shelf.size().1 <= 1000);
        }
        assert_eq!((shelf.size(), shelf.written, shelf.removed), ((10, 1000), 20, 10));
        assert_eq!(leaves(&path), (10..20).map(|number| Shelf::name(&id(number))).collect::<Vec<_>>());
        assert!(shelf.had(&id(0)) && shelf.had(&id(19)) && !shelf.had(&id(20)));
        // What grew is the same file.
        shelf.put(&id(10), &[0; 60]).unwrap();
        assert_eq!((shelf.size(), shelf.written), ((10, 960), 20));
        assert!(shelf.put(&id(21), &[0; 1001]).is_err(), "larger than all together");
        assert_eq!(leaves(&path).len(), 10, "and nothing is left of it");
    }

    #[test]
    fn what_lies_there_is_counted_and_what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for (leaf, len) in [(Shelf::name(&id(1)), 300), (format!(".{}.part", Shelf::name(&id(2))), 300)] {
            fs::write(path.join(leaf), vec![0; len]).unwrap();
        }
        for leaf in ["capture.pcapng", "notes.part", "V-x.pcapng", "V-ABCDEFGHIJKLMNOP.pcapng"] {
            fs::write(path.join(leaf), [0; 5000]).unwrap();
        }
        let mut shelf = Shelf::open(path, 400).unwrap();
        assert_eq!(shelf.size(), (1, 300));
        assert!(shelf.had(&id(1)));
        shelf.put(&id(3), &[0; 200]).unwrap();
        assert_eq!(
            leaves(path),
            ["V-ABCDEFGHIJKLMNOP.pcapng", "V-aaaaaaaaaaaa0003.pcapng", "V-x.pcapng", "capture.pcapng", "notes.part",]
        );
    }
}
