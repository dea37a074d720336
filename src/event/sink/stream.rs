//! Syslog over a connection, in clear (RFC 6587, 3.4.1) or protected (RFC 5425): a message is its length in decimal, a
//! space, and itself.
//!
//! # When has a message arrived?
//!
//! The protocol has no acknowledgements. A write that succeeded says only that our own kernel has the bytes; even those
//! that TCP acknowledged may lie unread in a receiver that is about to die. One thing is certain: a program that closes
//! its side after it has read our end of stream has read everything before it, whereas a kernel that closes a socket with
//! unread bytes resets it. So [`Stream::finish`] ends our direction, waits for the other side to end its own, and looks
//! for a reset. Everything on a connection that ends otherwise is sent again on the next one.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use super::{Sent, closed, tls};
use crate::event::config::{Address, Tls};
use crate::event::spool::Message;

/// How long connecting to one address may take, and shaking hands.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a batch may wait for room in the receiver's window.
const WRITE: Duration = Duration::from_secs(30);
/// How long the receiver's host may be silent: a firewall that forgot the connection drops what we send without a word.
const SILENCE: Duration = Duration::from_secs(30);
/// How long nothing may be said before TCP asks whether the other side is there, which also keeps such firewalls from
/// forgetting.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long the receiver may take to read what was sent and to close its side.
const FINISH: Duration = Duration::from_secs(30);
/// How long a reset may be behind the end of the stream. When both sides close at once, the end of theirs comes before
/// our last bytes reach them; the reset that those cause is one round trip behind it at most.
const RESET: Duration = Duration::from_millis(250);

/// An open connection.
pub(in crate::event) enum Stream {
    Clear(TcpStream),
    Protected(Box<TlsStream<TcpStream>>),
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

impl Stream {
    pub(super) async fn open(to: &Address, tls: Option<&Tls>) -> io::Result<Self> {
        let socket = connect(to).await?;
        socket.set_nodelay(true)?;
        notice_silence(&socket)?;
        let Some(tls) = tls else { return Ok(Self::Clear(socket)) };
        let (connector, name) = tls::connector(tls)?;
        let tls = limited(CONNECT, "shaking hands", connector.connect(name, socket)).await?;
        Ok(Self::Protected(Box::new(tls)))
    }

    pub(super) async fn send(&mut self, batch: &[Message]) -> io::Result<Sent> {
        let mut bytes = Vec::new();
        for message in batch {
            bytes.extend_from_slice(format!("{} ", message.bytes.len()).as_bytes());
            bytes.extend_from_slice(&message.bytes);
        }
        limited(WRITE, "the receiver stopped reading: writing", async {
            self.io().write_all(&bytes).await?;
            self.io().flush().await
        })
        .await?;
        Ok(Sent::default())
    }

    pub(super) async fn finish(mut self) -> io::Result<()> {
        limited(FINISH, "the receiver did not confirm by closing its side: closing", async {
            // A receiver that has closed already read some unknown part.
            if let Ok(end) = timeout(Duration::ZERO, self.ended()).await {
                return end.and_then(|()| Err(closed()));
            }
            self.io().shutdown().await?;
            self.ended().await?;
            sleep(RESET).await;
            self.socket().take_error()?.map_or(Ok(()), Err)
        })
        .await
    }

    /// Waits for the end of the receiver's direction. What it says before that means nothing to syslog.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        let mut bytes = [0; 512];
        loop {
            match self.io().read(&mut bytes).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // Many receivers close without TLS's own goodbye. What could be cut off is theirs, not ours.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn io(&mut self) -> &mut dyn Io {
        match self {
            Self::Clear(socket) => socket,
            Self::Protected(tls) => &mut **tls,
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(socket) => socket,
            Self::Protected(tls) => tls.get_ref().0,
        }
    }
}

/// The first address of the receiver that answers. Each has its own time: a receiver whose IPv6 address leads nowhere is
/// reached by its other one.
async fn connect(to: &Address) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name of the receiver has no address");
    for address in limited(CONNECT, "looking up the receiver", lookup_host((to.host.as_str(), to.port))).await? {
        match limited(CONNECT, "connecting", TcpStream::connect(address)).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Without this a connection that died silently takes a quarter of an hour to fail, and events with it.
fn notice_silence(socket: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 6))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(())
}

async fn limited<T>(limit: Duration, what: &str, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("{what} took longer than {} s", limit.as_secs()));
    timeout(limit, work).await.map_err(|_| late())?
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What the receiver does with a connection on which `two messages` were sent.
    enum Receiver {
        ReadsAll,
        ReadsNothing,
        ReadsSomeThenCloses,
        ClosesAtOnce,
    }

    #[tokio::test]
    async fn only_a_receiver_that_read_everything_confirms() {
        for (case, receiver, confirms) in [
            ("reads to the end", Receiver::ReadsAll, true),
            ("closes with everything unread", Receiver::ReadsNothing, false),
            ("closes with something unread", Receiver::ReadsSomeThenCloses, false),
            ("closed before anything was sent", Receiver::ClosesAtOnce, false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to = Address { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
            let mut stream = Stream::open(&to, None).await.unwrap();
            let (mut theirs, _) = listener.accept().await.unwrap();
            if let Receiver::ClosesAtOnce = receiver {
                drop(theirs);
                tokio::task::yield_now().await;
                let batch = ["a", "bc"].map(|text| Message { number: 1, bytes: text.into() });
                let sent = stream.send(&batch).await;
                assert!(sent.is_err() || stream.finish().await.is_err(), "{case}");
                continue;
            }
            let batch = ["a", "bc"].map(|text| Message { number: 1, bytes: text.into() });
            assert!(!stream.send(&batch).await.unwrap().is_certain);
            let receiver = tokio::spawn(async move {
                let mut bytes = Vec::new();
                match receiver {
                    Receiver::ReadsAll => drop(theirs.read_to_end(&mut bytes).await),
                    Receiver::ReadsSomeThenCloses => {
                        bytes.push(theirs.read_u8().await.unwrap());
                    }
                    Receiver::ReadsNothing | Receiver::ClosesAtOnce => theirs.readable().await.unwrap(),
                }
                bytes
            });
            assert_eq!(stream.finish().await.is_ok(), confirms, "{case}");
            let bytes = receiver.await.unwrap();
            assert!(!confirms || bytes == b"1 a2 bc", "{case}: {bytes:?}");
        }
    }

    #[tokio::test]
    async fn the_end_of_the_connection_is_noticed_while_nothing_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Address { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
        let mut stream = Stream::open(&to, None).await.unwrap();
        drop(listener.accept().await.unwrap());
        timeout(Duration::from_secs(5), stream.ended()).await.unwrap().unwrap();
    }
}
