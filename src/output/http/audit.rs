//! The audit log: what operators did, and what was refused, as JSON lines that are only ever appended.
//!
//! Each line carries the SHA-256 of the line before it, so that a line that was changed, taken out or put in shows. What no
//! chain can show is what happened to its end: whoever needs that keeps the newest hash elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::time::Timestamp;

/// What stands before the first line.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Refusals noted in one window; the rest is counted, so that nobody fills the disk by knocking.
const REFUSALS: u64 = 30;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);

/// Longest line that is read.
const LINE: u64 = 16 << 10;

/// Something to note.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Who: the name of the token, if one was good.
    pub who: Option<&'a str>,
    /// From where.
    pub from: &'a str,
    /// What was wanted: `POST /api/v1/reload`.
    pub action: &'a str,
    /// What came of it: `done`, `refused`, `failed`.
    pub outcome: &'static str,
    /// Why, or what was said with it.
    pub detail: &'a str,
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    number: u64,
    time: String,
    who: Option<String>,
    from: String,
    action: String,
    outcome: String,
    detail: String,
    /// Refusals that were not noted since the last line.
    left_out: u64,
    /// SHA-256 of the line before this one.
    before: String,
}

/// The log.
pub struct Audit {
    out: Box<dyn Write + Send>,
    file: Option<File>,
    number: u64,
    before: String,
    window: Timestamp,
    refusals: u64,
    left_out: u64,
}

impl Audit {
    /// Goes on with this file, or begins it.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not what was written: it is left as it is then.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let mut file = options.open(path)?;
        let whole = whole_lines(&mut file)?;
        file.seek(SeekFrom::Start(0))?;
        let (number, before) = verify(io::Read::take(&mut file, whole))
            .map_err(|broken| io::Error::new(io::ErrorKind::InvalidData, broken.to_string()))?;
        // A line that the power took the end of was never confirmed to anybody.
        file.set_len(whole)?;
        let out = Box::new(file.try_clone()?);
        Ok(Self { number, before, file: Some(file), ..Self::to(out) })
    }

    /// Begins a log on something that keeps lines itself, such as stderr under systemd.
    #[must_use]
    pub fn to(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            file: None,
            number: 0,
            before: NOTHING.to_owned(),
            window: Timestamp::MIN,
            refusals: 0,
            left_out: 0,
        }
    }

    /// Appends a line; of refusals only so many in a minute.
    ///
    /// # Errors
    /// The line could not be written: what it tells of must not be done.
    pub fn note(&mut self, now: Timestamp, entry: &Entry<'_>) -> io::Result<()> {
        if entry.outcome == "refused" && self.is_too_much(now) {
            self.left_out += 1;
            return Ok(());
        }
        let cut = |text: &str| text.chars().take(512).collect::<String>();
        let line = Line {
            number: self.number + 1,
            time: now.to_string(),
            who: entry.who.map(cut),
            from: cut(entry.from),
            action: cut(entry.action),
            outcome: entry.outcome.to_owned(),
            detail: cut(entry.detail),
            left_out: self.left_out,
            before: self.before.clone(),
        };
        let mut text = serde_json::to_string(&line)?;
        let hash = hash(text.as_bytes());
        text.push('\n');
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        if let Some(file) = &self.file {
            file.sync_data()?;
        }
        (self.number, self.before, self.left_out) = (line.number, hash, 0);
        Ok(())
    }

    fn is_too_much(&mut self, now: Timestamp) -> bool {
        if self.window == Timestamp::MIN || now.since(self.window) >= WINDOW || now < self.window {
            (self.window, self.refusals) = (now, 0);
        }
        self.refusals += 1;
        self.refusals > REFUSALS
    }
}

/// The length up to the end of the last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail = length.saturating_sub(LINE);
    file.seek(SeekFrom::Start(tail))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(&mut *file, LINE), &mut bytes)?;
    Ok(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| tail + place as u64 + 1))
}

/// Where a log is not what was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of the audit log: {}", self.line, self.why)
    }
}

impl std::error::Error for Broken {}

/// Reads a log and checks its chain. Returns the number of lines and the hash of the last.
///
/// # Errors
/// [`Broken`] at the first line that does not follow from the one before.
pub fn verify(log: impl io::Read) -> Result<(u64, String), Broken> {
    let mut log = BufReader::new(log);
    let (mut number, mut before) = (0, NOTHING.to_owned());
    loop {
        let broken = |why: String| Broken { line: number + 1, why };
        let mut text = Vec::new();
        io::Read::take(&mut log, LINE).read_until(b'\n', &mut text).map_err(|error| broken(error.to_string()))?;
        if text.is_empty() {
            return Ok((number, before));
        }
        if text.pop() != Some(b'\n') {
            return Err(broken("it has no end".to_owned()));
        }
        let line: Line = serde_json::from_slice(&text).map_err(|error| broken(format!("it is no entry: {error}")))?;
        if line.number != number + 1 {
            return Err(broken(format!("its number is {}", line.number)));
        }
        if line.before != before {
            return Err(broken("the line before it was changed, or is another".to_owned()));
        }
        (number, before) = (line.number, hash(&text));
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(outcome: &'static str, detail: &'static str) -> Entry<'static> {
        Entry { who: Some("shift lead"), from: "127.0.0.1", action: "POST /api/v1/reload", outcome, detail }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    #[test]
    fn a_log_goes_on_and_every_change_of_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut audit = Audit::open(&path).unwrap();
        audit.note(at(1), &entry("done", "one")).unwrap();
        audit.note(at(2), &entry("done", "two\n\"")).unwrap();
        drop(audit);
        let mut audit = Audit::open(&path).unwrap();
        audit.note(at(3), &entry("refused", "three")).unwrap();
        drop(audit);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(verify(text.as_bytes()).unwrap().0, 3);
        for (case, text, line) in [
            ("a word changed", text.replace("two", "TWO"), 3),
            ("a line taken out", [lines[0], lines[2], ""].join("\n"), 2),
            ("a line put in", [lines[0], lines[0], lines[1], ""].join("\n"), 2),
            ("the first line taken out", [lines[1], lines[2], ""].join("\n"), 1),
            ("no JSON", format!("{text}hello\n"), 4),
            ("torn", format!("{text}{{\"number\""), 4),
        ] {
            let broken = verify(text.as_bytes()).unwrap_err();
            assert_eq!(broken.line, line, "{case}: {broken}");
        }
        // A torn tail is nobody's fault; a changed line is not written after.
        std::fs::write(&path, format!("{text}{{\"number\"")).unwrap();
        Audit::open(&path).unwrap().note(at(4), &entry("done", "four")).unwrap();
        assert_eq!(verify(File::open(&path).unwrap()).unwrap().0, 4);
        std::fs::write(&path, text.replace("one", "ONE")).unwrap();
        assert!(Audit::open(&path).err().unwrap().to_string().contains("line 2"));
    }

    #[test]
    fn knocking_does_not_fill_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut audit = Audit::open(&path).unwrap();
        for _ in 0..1000 {
            audit.note(at(5), &entry("refused", "bad token")).unwrap();
        }
        audit.note(at(5), &entry("done", "an operator is always noted")).unwrap();
        for _ in 0..2 {
            audit.note(at(70), &entry("refused", "bad token")).unwrap();
        }
        assert_eq!(verify(File::open(&path).unwrap()).unwrap().0, REFUSALS + 3);
        assert!(std::fs::read_to_string(&path).unwrap().contains(&format!("\"left_out\":{}", 1000 - REFUSALS)));
    }
}
