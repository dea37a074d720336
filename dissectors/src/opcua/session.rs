use super::chunks::Chunks;
use super::code::{self, Kind, Service, is_bad, policy_name, signature_len};
use super::codec::{Decoder, text};
use super::identity::{Teller, list};
use super::pending::{Key, Pending, Slot};
use super::services::{self, Walk};
use super::wire::{self, Asymmetric, Chunk, Header, MessageType};
use crate::{
    Anomaly, Class, Direction, Limits, Method, Mode, Observation, Opaque, Operation, Outcome, ParseError, Pdu, Reader,
    Security, Session, Sink, Token,
};

/// Bytes of the sequence header.
const SEQUENCE: usize = 8;

/// One OPC UA connection.
pub(super) struct OpcUaSession {
    limits: Limits,
    /// The endpoint URL that the client opened.
    url: Option<String>,
    channels: Vec<Channel>,
    pending: Pending,
    chunks: Chunks,
    /// By direction: the next chunk may be the rest of a message whose start was not captured.
    torn: [bool; 2],
    /// The directions were guessed the wrong way round, as known messages showed.
    swapped: bool,
    /// An OpenSecureChannel was asked for and not answered.
    opening: bool,
}

/// A secure channel. Its protection stays when the token is renewed. OPC 10000-4, 5.6.2.
#[derive(Debug)]
struct Channel {
    id: u32,
    /// Name of the security policy, when an OpenSecureChannel was captured or the bodies show that there is none.
    policy: Option<String>,
    /// What the messages were seen to be.
    mode: Option<Mode>,
    /// Bodies can be read.
    clear: bool,
    /// Bytes of signature at the end of each chunk.
    signature: usize,
}

impl Channel {
    fn tell(&self, token: Option<Token>, out: &mut dyn Sink) {
        out.observe(Observation::Security(Security { mode: self.mode, policy: self.policy.as_deref(), token }));
    }
}

/// Where the body of a message is from.
#[derive(Clone, Copy)]
struct Origin {
    key: Key,
    direction: Direction,
    /// Its end was not captured or not kept: that it breaks off is no fault of the sender.
    short: bool,
}

impl OpcUaSession {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            url: None,
            channels: Vec::new(),
            pending: Pending::new(limits.outstanding),
            chunks: Chunks::new(limits.channels, limits.message),
            torn: [true; 2],
            swapped: false,
            opening: false,
        }
    }

    fn read(&mut self, header: Header, mut r: Reader<'_>, pdu: &Pdu<'_>, out: &mut dyn Sink) -> Result<(), ParseError> {
        match header.kind {
            MessageType::Hello => {
                // A connection begins: nothing of it was missed.
                self.torn = [false; 2];
                let url = wire::hello(&mut r)?;
                self.url = Some(text(url, self.limits.text).into_owned());
                Ok(())
            }
            MessageType::Acknowledge => {
                self.torn = [false; 2];
                Ok(())
            }
            MessageType::ReverseHello => {
                let (uri, url) = wire::reverse_hello(&mut r)?;
                teller(out, &self.limits, Method::Announcement).reverse_hello(uri, url);
                Ok(())
            }
            MessageType::Error => {
                let (status, _) = wire::error(&mut r)?;
                let code = u64::from(Service::OPEN_SECURE_CHANNEL.0);
                // The server closes the connection behind an error: a channel that was asked for is refused by it.
                if let Some(slot) = self.pending.take_code(code) {
                    tell_slot(slot, Outcome::Refused(status), out);
                } else if self.opening {
                    tell_orphan(code, Class::Session, Outcome::Refused(status), out);
                }
                self.opening = false;
                Ok(())
            }
            MessageType::OpenChannel => self.open_channel(r, pdu, out),
            MessageType::Message | MessageType::CloseChannel => self.message(header, r, pdu, out),
        }
    }

    fn open_channel(&mut self, mut r: Reader<'_>, pdu: &Pdu<'_>, out: &mut dyn Sink) -> Result<(), ParseError> {
        let head = Asymmetric::read(&mut r)?;
        let name = text(policy_name(head.policy), self.limits.text);
        let none = name == "None";
        self.opening = head.channel == 0;
        let body = r.rest().get(SEQUENCE..).unwrap_or_default();
        let readable = none || services::is_clear(body, &self.limits);
        let mode = match services::requested_mode(body, &self.limits).filter(|_| readable) {
            Some(2 | 3) if none => {
                out.observe(Observation::Anomaly(Anomaly { what: "security mode without a policy", at: r.at() }));
                Some(Mode::None)
            }
            _ if none => Some(Mode::None),
            Some(2) => Some(Mode::Sign),
            Some(3) => Some(Mode::SignAndEncrypt),
            _ => None,
        };
        let policy = Some(name.as_ref()).filter(|name| !name.is_empty());
        let known = self.channels.iter_mut().find(|channel| channel.id == head.channel);
        let renewed = known.is_some_and(|channel| channel.policy.as_deref() == policy);
        if !renewed {
            out.observe(Observation::Security(Security { mode, policy, token: None }));
            if head.channel != 0 {
                let signature = signature_len(&name);
                let policy = policy.map(str::to_owned);
                self.remember(Channel { id: head.channel, policy, mode, clear: none, signature });
            }
        }
        let certificate = teller(out, &self.limits, Method::SelfReport).certificate(head.certificate);
        if let Err(error) = certificate {
            anomaly(error, out);
        }
        if !readable {
            out.observe(Observation::Opaque(Opaque { why: "encrypted", bytes: r.rest().len() }));
            return Ok(());
        }
        let request = wire::sequence(&mut r)?;
        let origin = Origin { key: Key { channel: 0, request }, direction: pdu.direction, short: pdu.cut > 0 };
        self.body(r, origin, out)
    }

    /// Remembers a channel; at the limit the oldest is forgotten.
    fn remember(&mut self, channel: Channel) -> usize {
        self.channels.retain(|known| known.id != channel.id);
        if self.channels.len() >= self.limits.channels.max(1) {
            self.channels.remove(0);
        }
        self.channels.push(channel);
        self.channels.len() - 1
    }

    fn message(
        &mut self,
        header: Header,
        mut r: Reader<'_>,
        pdu: &Pdu<'_>,
        out: &mut dyn Sink,
    ) -> Result<(), ParseError> {
        let id = r.le32("secure channel id")?;
        r.le32("token id")?;
        let hidden = r.rest().len();
        let request = wire::sequence(&mut r)?;
        let key = Key { channel: id, request };
        let mut at = self.channels.iter().position(|channel| channel.id == id);
        let settled = at.and_then(|at| self.channels.get(at)).is_some_and(|channel| channel.clear);
        let torn = self.torn.get_mut(pdu.direction.index());
        let was_torn = torn.as_ref().is_some_and(|torn| **torn);
        if let Some(torn) = torn {
            *torn &= header.chunk == Chunk::Intermediate;
        }
        let continues = settled && self.chunks.has(pdu.direction, key);
        if !continues && (!settled || was_torn) {
            if !services::is_clear(r.rest(), &self.limits) {
                let why = if settled {
                    "rest of a message whose start is missing"
                } else {
                    let start = !was_torn && pdu.cut == 0 && header.chunk != Chunk::Abort;
                    self.encrypted(at, start, out)
                };
                out.observe(Observation::Opaque(Opaque { why, bytes: hidden }));
                return Ok(());
            }
            if !settled {
                at = Some(self.cleared(id, at, out));
            }
        }
        let signature = at.and_then(|at| self.channels.get(at)).map_or(0, |channel| channel.signature);
        // What the capture cut off, it cut off the signature first.
        let body_len = r.rest().len().saturating_sub(signature.saturating_sub(pdu.cut));
        let body = r.sub("body", body_len)?;
        let mut origin = Origin { key, direction: pdu.direction, short: pdu.cut > 0 };
        match header.chunk {
            Chunk::Abort => {
                let mut body = body;
                self.chunks.take(pdu.direction, key);
                let (status, _) = wire::error(&mut body)?;
                // A request that arrived whole waits for a response: that one is given up.
                if let Some(slot) = self.pending.take(key) {
                    tell_slot(slot, Outcome::Refused(status), out);
                }
                Ok(())
            }
            Chunk::Intermediate => {
                self.keep(pdu, key, body, out);
                Ok(())
            }
            Chunk::Final if continues => {
                self.keep(pdu, key, body, out);
                let Some(whole) = self.chunks.take(pdu.direction, key) else { return Ok(()) };
                origin.short |= whole.short;
                // Offsets of anomalies count in the message that was put together.
                self.body(Reader::new(&whole.body), origin, out)
            }
            Chunk::Final => self.body(body, origin, out),
        }
    }

    fn keep(&mut self, pdu: &Pdu<'_>, key: Key, body: Reader<'_>, out: &mut dyn Sink) {
        if self.chunks.push(pdu.direction, key, body.rest(), pdu.cut > 0) {
            out.observe(Observation::Anomaly(Anomaly { what: "message longer than the limit", at: body.at() }));
        }
    }

    /// A body of a channel that is not known to be clear could not be read: why. `start`: it is a request or response
    /// from its first byte on.
    fn encrypted(&mut self, at: Option<usize>, start: bool, out: &mut dyn Sink) -> &'static str {
        match at.and_then(|at| self.channels.get_mut(at)) {
            Some(channel) => {
                // With a policy there are two modes, and a signed body would have been read.
                if channel.mode.is_none() && channel.policy.is_some() && start {
                    channel.mode = Some(Mode::SignAndEncrypt);
                    channel.tell(None, out);
                }
                "encrypted"
            }
            None => "encrypted, or a message whose start is missing",
        }
    }

    /// A body of a channel that was not known to be clear could be read: the place of the channel.
    fn cleared(&mut self, id: u32, at: Option<usize>, out: &mut dyn Sink) -> usize {
        let Some(at) = at else {
            // Joined in the middle: None or Sign, the end of a body will tell.
            return self.remember(Channel { id, policy: None, mode: None, clear: true, signature: 0 });
        };
        if let Some(channel) = self.channels.get_mut(at) {
            channel.clear = true;
            channel.mode = Some(Mode::Sign);
            channel.tell(None, out);
        }
        at
    }

    /// Reads a whole message in clear.
    fn body(&mut self, r: Reader<'_>, origin: Origin, out: &mut dyn Sink) -> Result<(), ParseError> {
        let mut d = Decoder::of(r, &self.limits);
        let id = d.node_id()?;
        let kind = Kind::of(&id);
        match kind {
            Some(Kind::Request(_)) => self.swapped = origin.direction == Direction::ToClient,
            Some(Kind::Response(_)) => self.swapped = origin.direction == Direction::ToServer,
            None => {}
        }
        let from_server = self.swapped != (origin.direction == Direction::ToClient);
        let read = match kind {
            Some(Kind::Request(service)) => self.request(service, d, origin, out),
            Some(Kind::Response(service)) => self.response(service, d, origin, out),
            // Not a service of ours to know: only the request id and the side tell a question from an answer.
            None if from_server && self.pending.waits(origin.key) => {
                let result = services::response(&mut d);
                let outcome = result.as_ref().map_or(Outcome::Answered, |result| outcome(*result));
                if let Some(slot) = self.pending.take(origin.key) {
                    tell_slot(slot, outcome, out);
                }
                result.map(|_| ())
            }
            None if from_server => {
                tell_orphan(code::unknown(&id), Class::Unknown, Outcome::Answered, out);
                Ok(())
            }
            None => {
                let slot = self.pending.open(origin.key, code::unknown(&id), Class::Unknown);
                tell_slot(slot, Outcome::Asked, out);
                Ok(())
            }
        };
        if origin.short { Ok(()) } else { read }
    }

    fn request(
        &mut self,
        service: Service,
        mut d: Decoder<'_>,
        origin: Origin,
        out: &mut dyn Sink,
    ) -> Result<(), ParseError> {
        let limits = self.limits;
        let start = d;
        let slot = self.pending.open(origin.key, service.0.into(), service.class());
        let mut walk = Walk { class: slot.class, whole: false };
        let read = services::request(service, &mut d, &limits, &mut slot.names, &mut slot.watched, &mut walk);
        slot.class = walk.class;
        tell_slot(slot, Outcome::Asked, out);
        read?;
        let at = self.channels.iter().position(|channel| channel.id == origin.key.channel);
        if walk.whole && !origin.short {
            let channel = at.and_then(|at| self.channels.get_mut(at));
            end_of_body(channel, &d, out);
        }
        match service {
            Service::CLOSE_SECURE_CHANNEL => {
                // Nobody answers it.
                self.pending.take(origin.key);
                Ok(())
            }
            Service::CREATE_SESSION => {
                let mut d = services::behind_request_header(start)?;
                teller(out, &limits, Method::Announcement).client(&mut d)
            }
            Service::REGISTER_SERVER | Service::REGISTER_SERVER_2 => {
                let mut d = services::behind_request_header(start)?;
                teller(out, &limits, Method::Announcement).registered(&mut d)
            }
            Service::ACTIVATE_SESSION => {
                let token = services::token(&mut services::behind_request_header(start)?)?;
                match at.and_then(|at| self.channels.get(at)) {
                    _ if token.is_none() => {}
                    Some(channel) => channel.tell(token, out),
                    None => out.observe(Observation::Security(Security { mode: None, policy: None, token })),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn response(
        &mut self,
        service: Service,
        mut d: Decoder<'_>,
        origin: Origin,
        out: &mut dyn Sink,
    ) -> Result<(), ParseError> {
        let limits = self.limits;
        let start = d.r.at().saturating_sub(4);
        let slot = self.pending.take(origin.key);
        let waited = slot.is_some();
        let paired = slot.filter(|slot| service == Service::FAULT || slot.code == u64::from(service.0));
        if waited && paired.is_none() {
            out.observe(Observation::Anomaly(Anomaly { what: "response of another service", at: start }));
        }
        let header = services::response(&mut d);
        let mut results = d;
        let outcome = match header {
            Ok(status) if is_bad(status) || service == Service::FAULT => Ok(Outcome::Refused(status)),
            Ok(_) => services::all_bad(service, &mut results, &limits)
                .map(|bad| bad.map_or(Outcome::Answered, Outcome::Refused)),
            Err(error) => Err(error),
        };
        let said = *outcome.as_ref().unwrap_or(&Outcome::Answered);
        match paired {
            Some(slot) => tell_slot(slot, said, out),
            None => tell_orphan(service.0.into(), service.class(), said, out),
        }
        outcome?;
        if matches!(said, Outcome::Refused(_)) {
            return Ok(());
        }
        let mut teller = teller(out, &limits, Method::SelfReport);
        let url = self.url.as_deref();
        match service {
            Service::READ => match paired {
                Some(slot) if !slot.watched.is_empty() => teller.values(&mut d, &slot.watched),
                _ => Ok(()),
            },
            Service::GET_ENDPOINTS => {
                let endpoints = list(&mut d, super::identity::Endpoint::read)?;
                teller.endpoints(&endpoints, url, &[])
            }
            Service::FIND_SERVERS => teller.found_servers(&mut d, url),
            Service::CREATE_SESSION => teller.server(&mut d, url),
            Service::REGISTER_SERVER | Service::REGISTER_SERVER_2 => {
                teller.registrar();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What is left behind a body that was read to its end. On a channel that was joined in the middle it tells None from
/// Sign: nothing, or a signature. On a channel without security there is nothing.
fn end_of_body(channel: Option<&mut Channel>, d: &Decoder<'_>, out: &mut dyn Sink) {
    let left = d.r.rest().len();
    match channel {
        Some(channel) if channel.mode.is_none() => {
            match left {
                0 => (channel.mode, channel.policy) = (Some(Mode::None), Some("None".to_owned())),
                16 | 20 | 32 | 48 => (channel.mode, channel.signature) = (Some(Mode::Sign), left),
                _ => return,
            }
            channel.tell(None, out);
        }
        _ if left > 0 => {
            out.observe(Observation::Anomaly(Anomaly { what: "bytes behind the end of the request", at: d.r.at() }));
        }
        _ => {}
    }
}

fn outcome(status: u32) -> Outcome {
    if is_bad(status) { Outcome::Refused(status) } else { Outcome::Answered }
}

fn tell_slot(slot: &Slot, outcome: Outcome, out: &mut dyn Sink) {
    slot.names.with(|objects| {
        let (code, class) = (slot.code, slot.class);
        out.operation(&Operation { class, code, component: None, objects, outcome });
    });
}

fn tell_orphan(code: u64, class: Class, outcome: Outcome, out: &mut dyn Sink) {
    out.operation(&Operation { class, code, component: None, objects: &[], outcome });
}

fn teller<'s>(out: &'s mut dyn Sink, limits: &Limits, method: Method) -> Teller<'s> {
    Teller { out, method, text: limits.text }
}

fn anomaly(error: ParseError, out: &mut dyn Sink) {
    out.observe(Observation::Anomaly(Anomaly { what: error.item, at: error.at }));
}

impl Session for OpcUaSession {
    fn pdu(&mut self, pdu: Pdu<'_>, out: &mut dyn Sink) {
        let mut r = Reader::new(pdu.bytes);
        let header = r.array::<{ wire::HEADER }>("message header");
        let Some(header) = header.ok().and_then(|header| Header::read(&header)) else {
            out.observe(Observation::Anomaly(Anomaly { what: "no OPC UA message header", at: 0 }));
            return;
        };
        match self.read(header, r, &pdu, out) {
            Err(error) if pdu.cut == 0 => anomaly(error, out),
            _ => {}
        }
    }

    #[inline]
    fn touch(&self) -> u64 {
        self.pending.touch() ^ self.channels.first().map_or(0, |channel| channel.id.into())
    }

    fn gap(&mut self, direction: Direction) {
        self.chunks.gap(direction);
        if let Some(torn) = self.torn.get_mut(direction.index()) {
            *torn = true;
        }
    }
}
