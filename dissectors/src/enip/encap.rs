//! The encapsulation header: cutting the stream, recognising the protocol, and which side a command comes from.

use std::sync::LazyLock;

use crate::{Class, Framing, ParseError, Probe, Reader, Role, table};

/// Encapsulation command. CIP Vol. 2, table 2-3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command(pub(super) u16);

impl Command {
    pub(super) const NOP: Self = Self(0x0000);
    pub(super) const LIST_SERVICES: Self = Self(0x0004);
    pub(super) const LIST_IDENTITY: Self = Self(0x0063);
    pub(super) const LIST_INTERFACES: Self = Self(0x0064);
    pub(super) const REGISTER_SESSION: Self = Self(0x0065);
    pub(super) const UNREGISTER_SESSION: Self = Self(0x0066);
    pub(super) const SEND_RR_DATA: Self = Self(0x006F);
    pub(super) const SEND_UNIT_DATA: Self = Self(0x0070);
    pub(super) const INDICATE_STATUS: Self = Self(0x0072);
    pub(super) const CANCEL: Self = Self(0x0073);
    pub(super) const START_DTLS: Self = Self(0x00C8);

    fn is_known(self) -> bool {
        matches!(
            self,
            Self::NOP
                | Self::LIST_SERVICES
                | Self::LIST_IDENTITY
                | Self::LIST_INTERFACES
                | Self::REGISTER_SESSION
                | Self::UNREGISTER_SESSION
                | Self::SEND_RR_DATA
                | Self::SEND_UNIT_DATA
                | Self::INDICATE_STATUS
                | Self::CANCEL
                | Self::START_DTLS
        )
    }

    /// SendRRData and SendUnitData: what they carry counts, not they.
    pub(super) fn is_container(self) -> bool {
        matches!(self, Self::SEND_RR_DATA | Self::SEND_UNIT_DATA)
    }

    /// No reply is ever sent.
    pub(super) fn is_one_way(self) -> bool {
        matches!(self, Self::NOP | Self::UNREGISTER_SESSION | Self::INDICATE_STATUS | Self::CANCEL)
    }

    /// What kind of operation it is. Containers have none of their own.
    pub(super) fn class(self) -> Class {
        match self {
            Self::LIST_SERVICES | Self::LIST_IDENTITY | Self::LIST_INTERFACES => Class::Discovery,
            _ => Class::Session,
        }
    }
}

/// Commands that are operations by themselves, with their names.
pub(super) static COMMANDS: LazyLock<Vec<(Command, String)>> = LazyLock::new(|| {
    table::records(include_str!("eip_commands.csv"))
        .filter_map(|row| {
            let [code, name, ..] = row.as_slice() else { return None };
            let command = Command(u16::try_from(table::number(code)?).ok()?);
            (!command.is_container()).then(|| (command, name.clone()))
        })
        .collect()
});

/// The 24 bytes in front of every PDU, little-endian. CIP Vol. 2, 2-3.1 "Encapsulation packet structure".
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) command: Command,
    /// Bytes behind the header.
    pub(super) length: u16,
    pub(super) session: u32,
    pub(super) status: u32,
    /// Chosen by the asking side, echoed in the reply.
    pub(super) context: u64,
    options: u32,
}

/// Bytes of the header.
pub(super) const HEADER: usize = 24;
/// Longest encapsulated data, so that a PDU fits 65535 bytes. CIP Vol. 2, 2-3.1.
const MAX_DATA: u16 = 65511;
/// Longest PDU.
pub(super) const MAX_PDU: usize = HEADER + MAX_DATA as usize;

impl Header {
    /// # Errors
    /// [`ParseError`] when fewer than 24 bytes are left.
    #[inline]
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, ParseError> {
        let [c0, c1, l0, l1, h0, h1, h2, h3, s0, s1, s2, s3, x0, x1, x2, x3, x4, x5, x6, x7, o0, o1, o2, o3] =
            r.array("encapsulation header")?;
        Ok(Self {
            command: Command(u16::from_le_bytes([c0, c1])),
            length: u16::from_le_bytes([l0, l1]),
            session: u32::from_le_bytes([h0, h1, h2, h3]),
            status: u32::from_le_bytes([s0, s1, s2, s3]),
            context: u64::from_le_bytes([x0, x1, x2, x3, x4, x5, x6, x7]),
            options: u32::from_le_bytes([o0, o1, o2, o3]),
        })
    }

    /// The side that sent it, as far as the header shows. What SendRRData and SendUnitData carry shows it too.
    pub(super) fn sender(&self) -> Option<Role> {
        if self.status != 0 {
            return Some(Role::Server);
        }
        match self.command {
            // The request is the bare header; a reply has at least an item count.
            Command::LIST_SERVICES | Command::LIST_IDENTITY | Command::LIST_INTERFACES => {
                Some(if self.length == 0 { Role::Client } else { Role::Server })
            }
            // The session handle is what the reply brings.
            Command::REGISTER_SESSION => Some(if self.session == 0 { Role::Client } else { Role::Server }),
            _ => None,
        }
    }

    /// Fields that a frame must have to be cut at all. Options other than 0 are to be discarded (CIP Vol. 2, 2-3.7).
    fn is_plausible(&self) -> bool {
        self.command.is_known() && self.length <= MAX_DATA && self.options == 0 && self.status <= 0xFFFF
    }

    /// The same for a stream of which nothing is known yet: also the length that the command asks for, and a status
    /// that exists.
    fn is_convincing(&self) -> bool {
        let length = match self.command {
            Command::REGISTER_SESSION => self.length == 4,
            Command::UNREGISTER_SESSION => self.length == 0,
            Command::SEND_RR_DATA | Command::SEND_UNIT_DATA if self.status == 0 => self.length >= 8,
            Command::LIST_SERVICES | Command::LIST_IDENTITY | Command::LIST_INTERFACES => self.length != 1,
            Command::NOP => self.length <= 512,
            _ => true,
        };
        length && self.is_plausible() && matches!(self.status, 0..=3 | 0x64 | 0x65 | 0x69 | 0x6A)
    }
}

/// See [`crate::Protocol::frame`].
pub(super) fn frame(head: &[u8]) -> Framing {
    let mut r = Reader::new(head);
    let Ok(command) = r.le16("encapsulation command") else { return Framing::NeedAtLeast(HEADER) };
    if !Command(command).is_known() {
        return Framing::Desync;
    }
    match Header::read(&mut Reader::new(head)) {
        Ok(header) if header.is_plausible() => Framing::Pdu(HEADER + usize::from(header.length)),
        Ok(_) => Framing::Desync,
        Err(_) => Framing::NeedAtLeast(HEADER),
    }
}

/// See [`crate::Protocol::probe`].
pub(super) fn probe(head: &[u8]) -> Probe {
    let mut r = Reader::new(head);
    loop {
        let start = r.at();
        if matches!(Reader::new(r.rest()).le16("command"), Ok(command) if !Command(command).is_known()) {
            return Probe::No;
        }
        let Ok(header) = Header::read(&mut r) else { return Probe::NeedAtLeast(start + HEADER) };
        if !header.is_convincing() || r.at() > 4 * HEADER {
            return Probe::No;
        }
        // Zeros look like NOPs: only what follows them can convince.
        if header.command != Command::NOP {
            return body(&header, r);
        }
        let length = usize::from(header.length);
        if r.bytes("NOP data", length).is_err() {
            return Probe::NeedAtLeast(start + HEADER + length);
        }
    }
}

/// Looks at as much of the first command's data as there is.
fn body(header: &Header, mut r: Reader<'_>) -> Probe {
    let mut sender = header.sender();
    match header.command {
        Command::REGISTER_SESSION => {
            if matches!((r.le16("version"), r.le16("options")), (Ok(version), Ok(options)) if version > 0xFF || options != 0)
            {
                return Probe::No;
            }
        }
        command if command.is_container() => {
            if matches!(r.le32("interface handle"), Ok(handle) if handle != 0) {
                return Probe::No;
            }
            let message = r.le16("timeout").ok().and_then(|_| super::cpf::message(r));
            sender = sender.or_else(|| {
                let service = message?.cip.rest().first().copied()?;
                Some(if service & 0x80 == 0 { Role::Client } else { Role::Server })
            });
        }
        _ => {}
    }
    Probe::Yes { sender }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::hex;

    #[test]
    fn what_is_on_port_44818_is_not_always_this() {
        let yes = |sender| Probe::Yes { sender };
        let zeros = "0".repeat(400);
        for (case, bytes, want) in [
            ("HTTP", hex("474554202F20485454502F312E310D0A486F73743A20612E62"), Probe::No),
            ("TLS ClientHello", hex("160301 00C8 010000C4 0303 00112233445566778899AABBCCDDEEFF"), Probe::No),
            ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Probe::No),
            ("netcat line", b"hello\r\n".to_vec(), Probe::No),
            ("text that starts like ListIdentity", b"c\0omments follow this first line".to_vec(), Probe::No),
            ("zeros, short", hex(&"0".repeat(48)), Probe::NeedAtLeast(48)),
            ("zeros, long", hex(&zeros), Probe::No),
            ("one byte", hex("6F"), Probe::NeedAtLeast(24)),
            ("options not 0", hex("6300 0000 00000000 00000000 0000000000000000 01000000"), Probe::No),
            ("status that does not exist", hex("6300 0000 00000000 77000000 0000000000000000 00000000"), Probe::No),
            (
                "RegisterSession of 5 bytes",
                hex("6500 0500 00000000 00000000 0000000000000000 00000000 01000000 00"),
                Probe::No,
            ),
            ("UnRegisterSession with data", hex("6600 0100 00000000 00000000 0000000000000000 00000000 01"), Probe::No),
            (
                "interface is not CIP",
                hex("6F00 1000 01000000 00000000 0000000000000000 00000000 01000000 0000"),
                Probe::No,
            ),
            (
                "ListIdentity request",
                hex("6300 0000 00000000 00000000 0000000000000000 00000000"),
                yes(Some(Role::Client)),
            ),
            (
                "ListIdentity reply",
                hex("6300 3A00 00000000 00000000 0000000000000000 00000000 0100"),
                yes(Some(Role::Server)),
            ),
            (
                "RegisterSession request",
                hex("6500 0400 00000000 00000000 0000000000000000 00000000 01000000"),
                yes(Some(Role::Client)),
            ),
            (
                "RegisterSession reply",
                hex("6500 0400 12345678 00000000 0000000000000000 00000000 01000000"),
                yes(Some(Role::Server)),
            ),
            (
                "NOP, then RegisterSession",
                hex(
                    "0000 0000 00000000 00000000 0000000000000000 00000000 6500 0400 00000000 00000000 0000000000000000 00000000 01000000",
                ),
                yes(Some(Role::Client)),
            ),
            (
                "unconnected request",
                hex(
                    "6F00 1800 01000000 00000000 0000000000000000 00000000 00000000 0000 0200 0000 0000 B200 0800 0E 03 20F5 2400 3001",
                ),
                yes(Some(Role::Client)),
            ),
            (
                "unconnected reply",
                hex(
                    "6F00 1600 01000000 00000000 0000000000000000 00000000 00000000 0000 0200 0000 0000 B200 0600 8E 00 00 00 0100",
                ),
                yes(Some(Role::Server)),
            ),
            (
                "connected reply, mid-stream",
                hex(
                    "7000 1800 01000000 00000000 0000000000000000 00000000 00000000 0000 0200 A100 0400 01020304 B100 0600 0100 CC 00 00 00",
                ),
                yes(Some(Role::Server)),
            ),
            ("SendUnitData, header alone", hex("7000 1800 01000000 00000000 0000000000000000 00000000"), yes(None)),
        ] {
            assert_eq!(probe(&bytes), want, "{case}");
        }
    }

    #[test]
    fn frames() {
        for (case, bytes, want) in [
            ("nothing yet", "", Framing::NeedAtLeast(24)),
            ("unknown command shows at once", "6E00", Framing::Desync),
            ("known command waits for the header", "6F00", Framing::NeedAtLeast(24)),
            ("longest", "6F00 E7FF 00000000 00000000 0000000000000000 00000000", Framing::Pdu(65535)),
            ("too long", "6F00 E8FF 00000000 00000000 0000000000000000 00000000", Framing::Desync),
            ("options", "6F00 1000 00000000 00000000 0000000000000000 00000001", Framing::Desync),
        ] {
            assert_eq!(frame(&hex(bytes)), want, "{case}");
        }
    }
}
