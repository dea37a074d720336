use dissectors::{Framing, Probe, Protocol};

/// Cuts one direction's bytes into whole PDUs. Only the tail of a PDU that continues in the next segment is copied.
///
/// One word where every segment so far was whole PDUs, which is nearly everywhere.
#[derive(Debug, Default)]
pub struct Framer(Option<Box<Place>>);

/// Where in the stream the last segment ended.
#[derive(Debug)]
struct Place {
    /// The start of a PDU whose end has not come.
    carry: Vec<u8>,
    /// Bytes of a PDU of known length that are still to be passed over.
    skip: usize,
    /// The next byte starts a PDU, as far as is known.
    synced: bool,
    desyncs: u32,
}

impl Default for Place {
    fn default() -> Self {
        Self { carry: Vec::new(), skip: 0, synced: true, desyncs: 0 }
    }
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framed {
    /// Bytes that belong to no PDU that could be given.
    pub skipped: u64,
    /// The place in the stream was lost at bytes that start no PDU.
    pub desynced: bool,
}

impl Framer {
    /// How often the stream stopped to make sense since the last PDU.
    #[must_use]
    #[inline]
    pub fn desyncs(&self) -> u32 {
        self.0.as_ref().map_or(0, |place| place.desyncs)
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |place| place.carry.len())
    }

    /// Takes the next bytes in order, `cut` more were on the wire; gives every PDU that is whole now, and with it the
    /// number of bytes that the snap length took from its end.
    #[inline]
    pub fn bytes(
        &mut self,
        protocol: &dyn Protocol,
        mut bytes: &[u8],
        cut: u32,
        give: &mut impl FnMut(&[u8], usize),
    ) -> Framed {
        while self.0.is_none() && cut == 0 {
            if bytes.is_empty() {
                return Framed::default();
            }
            let Framing::Pdu(len) = protocol.frame(bytes) else { break };
            let Some((pdu, rest)) = bytes.split_at_checked(len) else { break };
            give(pdu, 0);
            bytes = rest;
        }
        self.0.get_or_insert_default().bytes(protocol, bytes, cut, give)
    }

    /// So many bytes were lost. Where the length of the PDU they belong to is known, its end is found by counting.
    pub fn gap(&mut self, protocol: &dyn Protocol, lost: usize) -> Framed {
        self.0.get_or_insert_default().gap(protocol, lost)
    }
}

impl Place {
    /// See [`Framer::bytes`].
    fn bytes(
        &mut self,
        protocol: &dyn Protocol,
        mut bytes: &[u8],
        cut: u32,
        give: &mut dyn FnMut(&[u8], usize),
    ) -> Framed {
        let mut framed = Framed::default();
        let cut = cut as usize;
        if self.skip > 0 {
            let n = self.skip.min(bytes.len());
            self.skip -= n;
            framed.skipped += n as u64;
            bytes = bytes.get(n..).unwrap_or(&[]);
        }
        if !self.carry.is_empty() {
            bytes = self.complete(protocol, bytes, cut, give, &mut framed);
        }
        while !bytes.is_empty() {
            if !self.synced && !resumes(protocol, bytes) {
                framed.skipped += bytes.len() as u64;
                return framed;
            }
            self.synced = true;
            match protocol.frame(bytes) {
                Framing::Pdu(len) => match bytes.split_at_checked(len) {
                    Some((pdu, rest)) => {
                        self.desyncs = 0;
                        give(pdu, 0);
                        bytes = rest;
                    }
                    None if cut > 0 => {
                        self.cut_short(len, bytes, cut, give);
                        return framed;
                    }
                    None => {
                        self.carry.extend_from_slice(bytes);
                        return framed;
                    }
                },
                Framing::NeedAtLeast(_) if cut == 0 => {
                    self.carry.extend_from_slice(bytes);
                    return framed;
                }
                Framing::NeedAtLeast(_) => {
                    framed.skipped += bytes.len() as u64;
                    self.synced = false;
                    return framed;
                }
                Framing::Desync => {
                    self.desync(bytes.len(), &mut framed);
                    return framed;
                }
            }
        }
        self.pass_cut(cut);
        framed
    }

    /// See [`Framer::gap`].
    fn gap(&mut self, protocol: &dyn Protocol, lost: usize) -> Framed {
        let rest = match protocol.frame(&self.carry) {
            Framing::Pdu(len) if !self.carry.is_empty() => Some(len.saturating_sub(self.carry.len())),
            _ if self.skip > 0 => Some(self.skip),
            _ => None,
        };
        let framed = Framed { skipped: self.carry.len() as u64, desynced: false };
        self.carry.clear();
        self.skip = 0;
        match rest {
            Some(rest) if lost > 0 && lost <= rest => self.skip = rest - lost,
            _ => self.synced = false,
        }
        framed
    }

    /// Adds to the carried start of a PDU until it is whole; returns what stands behind it.
    fn complete<'a>(
        &mut self,
        protocol: &dyn Protocol,
        mut bytes: &'a [u8],
        cut: usize,
        give: &mut dyn FnMut(&[u8], usize),
        framed: &mut Framed,
    ) -> &'a [u8] {
        loop {
            let (need, whole) = match protocol.frame(&self.carry) {
                Framing::Pdu(len) => (len, true),
                Framing::NeedAtLeast(need) => (need, false),
                Framing::Desync => {
                    let lost = self.carry.len() + bytes.len();
                    self.carry.clear();
                    self.desync(lost, framed);
                    return &[];
                }
            };
            let missing = need.saturating_sub(self.carry.len());
            match bytes.split_at_checked(missing) {
                Some((front, rest)) => {
                    self.carry.extend_from_slice(front);
                    bytes = rest;
                    if whole {
                        self.desyncs = 0;
                        give(&self.carry, 0);
                        self.carry.clear();
                        return bytes;
                    }
                }
                None => {
                    self.carry.extend_from_slice(bytes);
                    if cut > 0 {
                        let carry = std::mem::take(&mut self.carry);
                        if whole {
                            self.cut_short(need, &carry, cut, give);
                        } else {
                            framed.skipped += carry.len() as u64;
                            self.synced = false;
                        }
                    }
                    return &[];
                }
            }
        }
    }

    /// Gives a PDU of `len` bytes of which only the first are there, and finds the place of the next.
    fn cut_short(&mut self, len: usize, bytes: &[u8], cut: usize, give: &mut dyn FnMut(&[u8], usize)) {
        let missing = len.saturating_sub(bytes.len());
        give(bytes, missing);
        if missing >= cut {
            self.skip = missing - cut;
        } else {
            self.synced = false; // A part of the next PDU was cut off as well.
        }
    }

    /// Passes over bytes that the snap length took behind the last whole PDU.
    fn pass_cut(&mut self, cut: usize) {
        if cut == 0 {
            return;
        }
        if self.skip >= cut {
            self.skip -= cut;
        } else {
            self.skip = 0;
            self.synced = false;
        }
    }

    fn desync(&mut self, lost: usize, framed: &mut Framed) {
        framed.skipped += lost as u64;
        framed.desynced = true;
        self.synced = false;
        self.desyncs = self.desyncs.saturating_add(1);
    }
}

/// A segment start is where the stream resumes if it probes as the protocol and frames to the segment's end or to a
/// second PDU that probes too. One PDU that only looks right is not enough.
fn resumes(protocol: &dyn Protocol, bytes: &[u8]) -> bool {
    if !matches!(protocol.probe(bytes), Probe::Yes { .. }) {
        return false;
    }
    match protocol.frame(bytes) {
        Framing::Pdu(len) => match bytes.get(len..) {
            Some([]) => true,
            Some(rest) => matches!(protocol.probe(rest), Probe::Yes { .. } | Probe::NeedAtLeast(_)),
            // Longer than the segment: a PDU that continues in the next, as large replies do.
            None => true,
        },
        Framing::NeedAtLeast(_) | Framing::Desync => false,
    }
}
