//! EtherNet/IP: the encapsulation on port 44818, CIP inside it, and CIP I/O on UDP 2222.
//!
//! ```text
//!  encap  ──▶ cpf ──▶ session ──▶ cip ──▶ target (epath)      what is asked, of whom
//!                        │          └────▶ connection, pccc
//!                        ├──▶ pending                          which request a reply answers
//!                        └──▶ identity, code                   what is told
//! ```

mod cip;
mod code;
mod connection;
mod cpf;
mod encap;
mod epath;
mod identity;
mod io;
mod pccc;
mod pending;
mod session;
mod target;
#[cfg(test)]
mod tests;

use crate::{Carrier, Framing, Info, Limits, OperationName, Probe, Protocol, Reader, Session};

pub use io::EnipIo;

/// EtherNet/IP encapsulation with CIP, on TCP and UDP.
#[derive(Debug)]
pub struct Enip;

static INFO: Info = Info {
    name: "enip",
    title: "EtherNet/IP",
    carriers: &[(Carrier::Tcp, &[44818]), (Carrier::Udp, &[44818])],
    max_pdu: encap::MAX_PDU,
    spec: "CIP Networks Library Vol. 1 (CIP) and Vol. 2 (EtherNet/IP); object classes of Rockwell unofficial: \
           Wireshark packet-cip.c, complacentsee/wireshark-rockwell-cip",
    operations: code::operations,
};

impl Protocol for Enip {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn probe(&self, head: &[u8]) -> Probe {
        encap::probe(head)
    }

    fn frame(&self, head: &[u8]) -> Framing {
        encap::frame(head)
    }

    fn session(&self, limits: &Limits) -> Box<dyn Session> {
        Box::new(session::EnipSession::new(limits))
    }

    fn message(&self, pdu: &[u8]) -> u32 {
        Reader::new(pdu).le16("encapsulation command").unwrap_or(0).into()
    }

    fn message_text(&self, message: u32) -> String {
        format!("{message:#06x}")
    }

    fn operation(&self, code: u64) -> OperationName {
        code::Code::describe(code)
    }
}
