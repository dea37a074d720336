//! Syslog in datagrams: RFC 5426, one message in each.

use std::io;

use tokio::net::{UdpSocket, lookup_host};

use super::Sent;
use crate::event::config::Address;
use crate::event::spool::Message;

/// The longest payload of a datagram over IPv4, in bytes.
const LONGEST: usize = 65_507;

/// A socket that sends to one receiver.
pub(in crate::event) struct Udp(UdpSocket);

impl Udp {
    pub(super) async fn open(to: &Address) -> io::Result<Self> {
        let mut last = io::Error::other("the name of the receiver has no address");
        for address in lookup_host((to.host.as_str(), to.port)).await? {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).await?;
            match socket.connect(address).await {
                Ok(()) => return Ok(Self(socket)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Nothing will ever tell whether a datagram arrived, so one that was sent is done with. What can be told is that the
    /// receiver refused an earlier one: then the batch is sent again.
    pub(super) async fn send(&mut self, batch: &[Message]) -> io::Result<Sent> {
        let mut shortened = 0;
        for message in batch {
            let bytes = front(&message.bytes);
            shortened += u64::from(bytes.len() < message.bytes.len());
            self.0.send(bytes).await?;
        }
        Ok(Sent { is_certain: true, shortened })
    }
}

/// As much of a message as a datagram holds, cut at a character.
fn front(message: &[u8]) -> &[u8] {
    let Some(front) = message.get(..LONGEST) else { return message };
    front.utf8_chunks().next().map_or(front, |chunk| chunk.valid().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_a_datagram_and_a_long_one_is_cut() {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = Address { host: "127.0.0.1".into(), port: receiver.local_addr().unwrap().port() };
        let mut udp = Udp::open(&to).await.unwrap();
        let batch = ["one".to_owned(), "é".repeat(40_000)].map(|text| Message { number: 1, bytes: text.into() });
        assert_eq!(udp.send(&batch).await.unwrap(), Sent { is_certain: true, shortened: 1 });
        let mut bytes = vec![0; 70_000];
        for want in [3, 65_506] {
            let length = receiver.recv(&mut bytes).await.unwrap();
            assert_eq!(length, want);
            assert!(std::str::from_utf8(&bytes[..length]).is_ok());
        }
    }
}
