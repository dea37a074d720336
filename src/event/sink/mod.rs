//! The other side of an output: one open file, socket or connection.

mod lines;
mod stream;
mod tls;
mod udp;

use std::io;

use super::config::{Mistake, Output, Target};
use super::spool::Message;

/// An open output. Whatever fails, the link is of no more use and the next one starts anew.
pub(super) enum Link {
    Lines(lines::Lines),
    Udp(udp::Udp),
    Stream(stream::Stream),
}

/// How much of a batch has arrived when sending it ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// All of it has, or nothing better will ever be known. Else [`Link::finish`] tells.
    pub(super) is_certain: bool,
    /// Messages that had to be cut.
    pub(super) shortened: u64,
}

impl Link {
    pub(super) async fn open(target: &Target) -> io::Result<Self> {
        Ok(match target {
            Target::Stdout => Self::Lines(lines::Lines::stdout()),
            Target::File(path) => Self::Lines(lines::Lines::file(path.clone()).await?),
            Target::Udp(address) => Self::Udp(udp::Udp::open(address).await?),
            Target::Tcp(address, tls) => Self::Stream(stream::Stream::open(address, tls.as_ref()).await?),
        })
    }

    pub(super) async fn send(&mut self, batch: &[Message]) -> io::Result<Sent> {
        match self {
            Self::Lines(lines) => lines.send(batch).await,
            Self::Udp(udp) => udp.send(batch).await,
            Self::Stream(stream) => stream.send(batch).await,
        }
    }

    /// Waits until the other side ends the link, which only a connection can; well if it closed it in good order.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(_) | Self::Udp(_) => std::future::pending().await,
            Self::Stream(stream) => stream.ended().await,
        }
    }

    /// Ends the link; well if all that was sent has arrived.
    pub(super) async fn finish(self) -> io::Result<()> {
        match self {
            Self::Lines(_) | Self::Udp(_) => Ok(()),
            Self::Stream(stream) => stream.finish().await,
        }
    }
}

/// What it means when the other side closes a link on which something was under way.
pub(super) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the receiver closed the connection")
}

/// Whether the files that an output names can be used. Later they are read again for each connection.
pub(super) fn check(output: &Output) -> Result<(), Mistake> {
    let Target::Tcp(_, Some(tls)) = &output.target else { return Ok(()) };
    tls::connector(tls).map(drop).map_err(|error| Mistake {
        key: format!("output {}", output.name),
        says: error.to_string(),
        way_out: "check the PEM files that `ca`, `certificate` and `key` name, and that the service may read them"
            .into(),
    })
}
