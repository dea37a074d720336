//! Lines at the end of a file, or on standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use tokio::task::spawn_blocking;

use super::Sent;
use crate::event::spool::Message;

/// The open file. While a write is under way in its own thread, it is there.
pub(in crate::event) struct Lines(Option<Place>);

enum Place {
    Stdout,
    File(File),
}

impl Lines {
    pub(super) fn stdout() -> Self {
        Self(Some(Place::Stdout))
    }

    /// Opens the file for adding, and makes it if it is not there. Its rotation is logrotate's.
    pub(super) async fn file(path: PathBuf) -> io::Result<Self> {
        let open = move || -> io::Result<File> {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
            let mut file = options.open(path)?;
            if ends_in_half_a_line(&mut file)? {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        Ok(Self(Some(Place::File(in_thread(open).await?))))
    }

    /// Writes the batch. There is no time limit: a reader that stopped reading holds up this output alone, and a thread
    /// that hangs in a write cannot be taken back, so that trying again would only collect them.
    pub(super) async fn send(&mut self, batch: &[Message]) -> io::Result<Sent> {
        let mut bytes = Vec::new();
        for message in batch {
            bytes.extend_from_slice(&message.bytes);
            bytes.push(b'\n');
        }
        let mut place = self.0.take().ok_or_else(|| io::Error::other("a write was given up"))?;
        let write = move || {
            place.write(&bytes)?;
            Ok(place)
        };
        self.0 = Some(in_thread(write).await?);
        Ok(Sent { is_certain: true, shortened: 0 })
    }
}

impl Place {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Self::File(file) => {
                file.write_all(bytes)?;
                // The queue forgets them next.
                match file.sync_data() {
                    // A pipe or a terminal knows no such thing.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
                    result => result,
                }
            }
        }
    }
}

/// Whether a write stopped in the middle: the disk was full, or the process was killed.
fn ends_in_half_a_line(file: &mut File) -> io::Result<bool> {
    let about = file.metadata()?;
    if !about.is_file() || about.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

async fn in_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_added_and_a_torn_one_is_ended() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("events.json");
        let message = |text: &str| Message { number: 1, bytes: text.as_bytes().to_vec() };
        for (before, after) in [(None, "a\nb\n"), (Some("x\n"), "x\na\nb\n"), (Some("{\"torn"), "{\"torn\na\nb\n")] {
            if let Some(text) = before {
                std::fs::write(&path, text).unwrap();
            }
            let mut lines = Lines::file(path.clone()).await.unwrap();
            let sent = lines.send(&[message("a"), message("b")]).await.unwrap();
            assert!(sent.is_certain);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after, "{before:?}");
        }
    }
}
