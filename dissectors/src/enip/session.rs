//! One EtherNet/IP conversation: encapsulation commands, and the CIP messages that they carry.

use std::sync::Arc;

use super::cip::{Packet, REPLY, Reply, Request, Status, UnconnectedSend};
use super::code::{self, Code, class, service};
use super::connection::{self, Channel, Channels, ForwardOpen, Opened};
use super::cpf::{self, Address, Message};
use super::encap::{Command, Header};
use super::identity::{self, Teller};
use super::pccc;
use super::pending::{Detail, Key, Leaf, Pending};
use super::target::{self, Kind, Target};
use crate::{
    Anomaly, Class, Component, Direction, Limits, Link, LinkSide, Object, Observation, Opaque, Operation, Outcome,
    ParseError, Party, Pdu, Reader, Role, Session, Sink,
};

/// See [`super::Enip`].
#[derive(Debug)]
pub(super) struct EnipSession {
    limits: Limits,
    channels: Channels,
    pending: Pending,
    /// Who last introduced itself as a PCCC requestor: told once, not with every poll.
    requestor: Option<pccc::Requestor>,
}

impl EnipSession {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limits: *limits, channels: Channels::default(), pending: Pending::default(), requestor: None }
    }

    /// ListServices, RegisterSession and the like.
    fn command(&mut self, header: &Header, data: Reader<'_>, pdu: Pdu<'_>, out: &mut dyn Sink) {
        let sender = header.sender().unwrap_or(match pdu.direction {
            Direction::ToServer => Role::Client,
            Direction::ToClient => Role::Server,
        });
        let outcome = match sender {
            _ if header.command.is_one_way() => Outcome::Told,
            Role::Client => Outcome::Asked,
            Role::Server if header.status == 0 => Outcome::Answered,
            Role::Server => Outcome::Refused(header.status),
        };
        let code = Code::command(header.command).number();
        operation(header.command.class(), code, None, None, outcome, out);
        if header.command == Command::LIST_IDENTITY && outcome == Outcome::Answered {
            let mut teller = Teller { component: None, out, text_limit: self.limits.text, is_certain: true };
            if let Err(error) = teller.list_identity(data) {
                anomaly(pdu, error, out);
            }
        }
    }

    /// What SendRRData and SendUnitData carry.
    fn message(&mut self, header: &Header, message: Message<'_>, pdu: Pdu<'_>, out: &mut dyn Sink) {
        let Message { address, cip, is_short } = message;
        if is_short && pdu.cut == 0 {
            out.observe(Observation::Anomaly(Anomaly { what: "item is longer than the packet", at: cip.at() }));
        }
        let channel = match address {
            Address::Unconnected => None,
            Address::Connected { id, .. } => self.channels.to_target(id).or_else(|| self.channels.to_originator(id)),
        };
        if channel.is_some_and(Channel::is_private) {
            let bytes = cip.rest().len();
            return out.observe(Observation::Opaque(Opaque { why: "connected data of a maker's own object", bytes }));
        }
        match cip.rest().first() {
            None => {}
            Some(service) if service & REPLY == 0 => self.request(Key::new(address, header.context), cip, pdu, out),
            Some(service) => self.reply(address, header, *service & !REPLY, cip, pdu, out),
        }
    }

    fn request(&mut self, key: Key, cip: Reader<'_>, pdu: Pdu<'_>, out: &mut dyn Sink) {
        let via = match key {
            Key::Unconnected { .. } => "",
            Key::Connected { to_target, .. } => self.channels.to_target(to_target).map_or("", Channel::route),
        };
        let mut walk = Asking {
            limits: &self.limits,
            requestor: &mut self.requestor,
            leaves: self.pending.list(),
            services: None,
            pdu,
            out,
        };
        walk.message(cip, via, 0);
        let (leaves, services) = (walk.leaves, walk.services);
        match services {
            Some(services) if !leaves.is_empty() => {
                self.pending.put(key, services, leaves, self.limits.outstanding, self.limits.elements);
            }
            _ => self.pending.recycle(leaves),
        }
    }

    fn reply(
        &mut self,
        address: Address,
        header: &Header,
        service: u8,
        cip: Reader<'_>,
        pdu: Pdu<'_>,
        out: &mut dyn Sink,
    ) {
        let key = match address {
            Address::Unconnected => Some(Key::Unconnected { context: header.context }),
            Address::Connected { id, sequence } => {
                self.asked_on(id, sequence, service).map(|to_target| Key::Connected { to_target, sequence })
            }
        };
        let leaves = key.and_then(|key| self.pending.take(key, service));
        let leaves = leaves.unwrap_or_else(|| self.pending.list());
        // A reply without its request still comes from where its connection leads.
        let route = match key {
            Some(Key::Connected { to_target, .. }) => {
                self.channels.to_target(to_target).and_then(|channel| channel.target.clone())
            }
            _ => None,
        };
        let mut walk = Answering {
            limits: &self.limits,
            channels: &mut self.channels,
            leaves: &leaves,
            next: 0,
            component: route.as_ref().and_then(|target| target.component()),
            is_certain: address == Address::Unconnected || route.is_some(),
            pdu,
            out,
        };
        walk.message(cip, 0);
        self.pending.recycle(leaves);
    }

    /// The O->T connection id of the request that a connected reply answers. Both ids are in the Forward Open; when it
    /// was not captured, they are learned from the sequence count that request and reply share.
    fn asked_on(&mut self, to_originator: u32, sequence: u16, service: u8) -> Option<u32> {
        if let Some(channel) = self.channels.to_originator(to_originator) {
            return Some(channel.to_target);
        }
        let channels = &self.channels;
        let to_target =
            self.pending.only_connection(sequence, service, |to_target| channels.to_target(to_target).is_none())?;
        let learned = Channel { to_target, to_originator, triad: None, target: None };
        self.channels.open(learned, self.limits.channels);
        Some(to_target)
    }

    /// The encapsulation layer refused an unconnected message.
    fn refused(&mut self, header: &Header, out: &mut dyn Sink) {
        let Some(leaves) = self.pending.take_any(Key::Unconnected { context: header.context }) else { return };
        for leaf in &leaves {
            leaf_operation(leaf, Outcome::Refused(header.status), out);
        }
        self.pending.recycle(leaves);
    }
}

impl Session for EnipSession {
    fn pdu(&mut self, pdu: Pdu<'_>, out: &mut dyn Sink) {
        let mut r = Reader::new(pdu.bytes);
        let header = match Header::read(&mut r) {
            Ok(header) => header,
            Err(error) => return anomaly(pdu, error, out),
        };
        if !header.command.is_container() {
            return self.command(&header, r, pdu, out);
        }
        if header.status != 0 && r.is_empty() {
            return self.refused(&header, out);
        }
        if let Err(error) = r.bytes("interface handle and timeout", 6) {
            return anomaly(pdu, error, out);
        }
        match cpf::message(r) {
            Some(message) => self.message(&header, message, pdu, out),
            None if pdu.cut > 0 => {}
            None => {
                out.observe(Observation::Anomaly(Anomaly { what: "no data item", at: r.at() }));
                if let Some(message) = cpf::bare(r) {
                    self.message(&header, message, pdu, out);
                }
            }
        }
    }

    #[inline]
    fn touch(&self) -> u64 {
        self.pending.touch() ^ self.channels.touch()
    }

    fn gap(&mut self, _: Direction) {
        // Sender contexts and sequence counts are used again: with bytes lost either way, an old request could be
        // taken for a new one. Connections stay.
        self.pending.clear();
    }
}

/// Reads a request and the requests in it.
struct Asking<'a, 'p> {
    limits: &'a Limits,
    requestor: &'a mut Option<pccc::Requestor>,
    leaves: Vec<Leaf>,
    /// Of the outermost request, and of the one in it if it is an Unconnected Send.
    services: Option<[u8; 2]>,
    pdu: Pdu<'p>,
    out: &'a mut dyn Sink,
}

impl Asking<'_, '_> {
    fn message(&mut self, cip: Reader<'_>, via: &str, depth: usize) {
        let request = match Request::read(cip) {
            Ok(request) => request,
            Err(error) => return anomaly(self.pdu, error, self.out),
        };
        if request.service & REPLY != 0 {
            return self.strange("a reply among requests", cip.at());
        }
        let inner = self.services.map_or(request.service, |[outer, inner]| {
            if depth == 1 && outer == service::UNCONNECTED_SEND { request.service } else { inner }
        });
        self.services = Some([self.services.map_or(request.service, |[outer, _]| outer), inner]);
        let target = self.target(via, request.path, request.path_at);
        let is_container = match request.service {
            service::MULTIPLE_SERVICE_PACKET => true,
            // The same number reads long tags: the path decides.
            service::UNCONNECTED_SEND => target.class == Some(class::CONNECTION_MANAGER),
            _ => false,
        };
        if !is_container {
            return self.leaf(&request, target);
        }
        if depth >= self.limits.nesting {
            return self.strange("services are nested too deeply", cip.at());
        }
        if request.service == service::UNCONNECTED_SEND {
            self.unconnected_send(request.data, &target, depth);
        } else {
            self.packet(request.data, &target, depth);
        }
    }

    fn unconnected_send(&mut self, data: Reader<'_>, target: &Target, depth: usize) {
        let send = match UnconnectedSend::read(data) {
            Ok(send) => send,
            Err(error) => return anomaly(self.pdu, error, self.out),
        };
        if send.is_short && self.pdu.cut == 0 {
            self.strange("route path is missing", send.route_at);
        }
        let route = self.target(target.route(), send.route, send.route_at);
        self.message(send.message, route.route(), depth + 1);
    }

    fn packet(&mut self, data: Reader<'_>, target: &Target, depth: usize) {
        let mut packet = match Packet::read(data) {
            Ok(packet) => packet,
            Err(error) => return anomaly(self.pdu, error, self.out),
        };
        while let Some(message) = packet.next() {
            if self.leaves.len() >= self.limits.elements {
                return self.strange("too many services in one packet", data.at());
            }
            match message {
                Ok(message) => self.message(message, target.route(), depth + 1),
                Err(error) => anomaly(self.pdu, error, self.out),
            }
        }
    }

    fn target(&mut self, via: &str, path: &[u8], at: usize) -> Arc<Target> {
        let target = target::find(Kind::Path, via, path, self.limits.text);
        if let Some((offset, what)) = target.fault {
            self.strange(what, at + offset);
        }
        target
    }

    fn strange(&mut self, what: &'static str, at: usize) {
        self.out.observe(Observation::Anomaly(Anomaly { what, at }));
    }

    /// A request that is an operation.
    fn leaf(&mut self, request: &Request<'_>, target: Arc<Target>) {
        let leaf = match (target.class, request.service) {
            (Some(class::PCCC), service::EXECUTE_PCCC | service::EXECUTE_DH_PLUS) => self.pccc(request, &target),
            (Some(class::MODBUS), service::MODBUS_PASSTHROUGH) => {
                let mut data = request.data;
                data.u8("Modbus function").ok().map(|function| Leaf {
                    service: request.service,
                    class: code::modbus_kind(function),
                    code: Code::modbus(function).number(),
                    target: Arc::clone(&target),
                    detail: Detail::None,
                })
            }
            _ => None,
        };
        let mut leaf = leaf.unwrap_or_else(|| Leaf {
            service: request.service,
            class: code::kind(request.service, target.class),
            code: Code::cip(request.service, target.class).number(),
            target,
            detail: Detail::None,
        });
        let opens = (leaf.target.class == Some(class::CONNECTION_MANAGER)).then(|| self.connection(request, &leaf));
        if let Some((class, detail)) = opens.flatten() {
            leaf = Leaf { class, detail, ..leaf };
        }
        leaf_operation(&leaf, Outcome::Asked, self.out);
        self.leaves.push(leaf);
    }

    /// Forward Open and Forward Close.
    fn connection(&mut self, request: &Request<'_>, leaf: &Leaf) -> Option<(Class, Detail)> {
        match request.service {
            service::FORWARD_OPEN | service::LARGE_FORWARD_OPEN => {
                let open = match ForwardOpen::read(request.data, request.service == service::LARGE_FORWARD_OPEN) {
                    Ok(open) => open,
                    Err(error) => {
                        anomaly(self.pdu, error, self.out);
                        return None;
                    }
                };
                self.teller().originator(open.triad.vendor, open.triad.originator);
                let path = self.target(leaf.target.route(), open.path, open.path_at);
                for (component, key) in path.keys() {
                    identity::expectation(component, key, self.out);
                }
                let is_io = open.transport.is_io();
                if is_io && path.keys().any(|(_, key)| matches!(key.device_type, 0x07 | 0x0C)) {
                    self.teller().scanner();
                }
                let class = if is_io { Class::Io } else { Class::Session };
                Some((class, Detail::Open(open.transport, path)))
            }
            service::FORWARD_CLOSE => match connection::closed(request.data) {
                Ok(triad) => Some((leaf.class, Detail::Close(triad))),
                Err(error) => {
                    anomaly(self.pdu, error, self.out);
                    None
                }
            },
            _ => None,
        }
    }

    fn pccc(&mut self, request: &Request<'_>, target: &Target) -> Option<Leaf> {
        let mut message = match pccc::Message::read(request.service, request.data) {
            Ok(message) => message,
            Err(error) => {
                anomaly(self.pdu, error, self.out);
                return None;
            }
        };
        if let Some(requestor) = message.requestor.filter(|requestor| *self.requestor != Some(*requestor)) {
            *self.requestor = Some(requestor);
            self.teller().originator(requestor.vendor, requestor.serial);
        }
        let function = message.function();
        let address = message.address(function).unwrap_or(&[]);
        Some(Leaf {
            service: request.service,
            class: pccc::kind(message.command, function),
            code: Code::pccc(message.command, function).number(),
            target: target::find(Kind::DataTable, target.route(), address, self.limits.text),
            detail: Detail::Pccc(message.command, function),
        })
    }

    /// Tells of the sender itself.
    fn teller(&mut self) -> Teller<'static, '_> {
        Teller { component: None, out: self.out, text_limit: self.limits.text, is_certain: true }
    }
}

/// Reads a reply and the replies in it, beside the operations that were asked for.
struct Answering<'a, 'p> {
    limits: &'a Limits,
    channels: &'a mut Channels,
    leaves: &'a [Leaf],
    next: usize,
    /// Who answers when the request is not known.
    component: Option<Component<'a>>,
    /// See [`Teller::is_certain`].
    is_certain: bool,
    pdu: Pdu<'p>,
    out: &'a mut dyn Sink,
}

impl Answering<'_, '_> {
    fn message(&mut self, cip: Reader<'_>, depth: usize) {
        if cip.rest().first().is_some_and(|service| service & REPLY == 0) {
            let what = "a request among replies";
            return self.out.observe(Observation::Anomaly(Anomaly { what, at: cip.at() }));
        }
        let reply = match Reply::read(cip) {
            Ok(reply) => reply,
            Err(error) => return anomaly(self.pdu, error, self.out),
        };
        if reply.service == service::MULTIPLE_SERVICE_PACKET && !reply.data.is_empty() {
            return self.packet(reply.data, depth);
        }
        // One refusal of a container is the answer to everything in it.
        let is_refused_whole = depth == 0 && self.leaves.len() > 1;
        let is_container = reply.service == service::MULTIPLE_SERVICE_PACKET;
        if is_refused_whole && !reply.status.is_positive() {
            for leaf in self.leaves {
                leaf_operation(leaf, Outcome::Refused(reply.status.0), self.out);
            }
        } else if !(is_container && reply.status.is_positive()) {
            self.leaf(&reply);
        }
    }

    fn packet(&mut self, data: Reader<'_>, depth: usize) {
        let mut packet = match Packet::read(data) {
            Ok(packet) => packet,
            Err(error) => return anomaly(self.pdu, error, self.out),
        };
        let mut budget = self.limits.elements;
        while let Some(message) = packet.next() {
            if depth >= self.limits.nesting || budget == 0 {
                let what = "too many services in one packet";
                return self.out.observe(Observation::Anomaly(Anomaly { what, at: data.at() }));
            }
            budget -= 1;
            match message {
                Ok(message) => self.message(message, depth + 1),
                Err(error) => anomaly(self.pdu, error, self.out),
            }
        }
    }

    /// The reply to one operation.
    fn leaf(&mut self, reply: &Reply<'_>) {
        let leaf = self.leaves.get(self.next);
        self.next += 1;
        // A router that cannot deliver answers with its own service.
        let is_of = |leaf: &&Leaf| leaf.service == reply.service || reply.service == service::UNCONNECTED_SEND;
        let Some(leaf) = leaf.filter(is_of) else { return self.orphan(reply) };
        let outcome = match (outcome(reply.status), &leaf.detail) {
            (Outcome::Answered, Detail::Pccc(command, function)) => self.pccc(leaf, *command, *function, reply),
            (outcome, _) => outcome,
        };
        leaf_operation(leaf, outcome, self.out);
        if outcome != Outcome::Answered {
            return;
        }
        match &leaf.detail {
            Detail::None => {
                if let Err(error) = self.teller(leaf).reply(leaf.service, &leaf.target, reply.data) {
                    anomaly(self.pdu, error, self.out);
                }
            }
            Detail::Open(transport, path) => self.opened(reply.data, Some((transport.is_io(), path))),
            Detail::Close(triad) => self.channels.close(*triad),
            Detail::Pccc(..) => {}
        }
    }

    /// A reply whose request was not seen: known are its service, its status and, of a Forward Open, the ids.
    fn orphan(&mut self, reply: &Reply<'_>) {
        let outcome = outcome(reply.status);
        let class = code::kind(reply.service, None);
        operation(class, Code::cip(reply.service, None).number(), self.component, None, outcome, self.out);
        let is_open = matches!(reply.service, service::FORWARD_OPEN | service::LARGE_FORWARD_OPEN);
        if is_open && outcome == Outcome::Answered {
            self.opened(reply.data, None);
        }
    }

    /// The outcome of a PCCC command: it has a status of its own.
    fn pccc(&mut self, leaf: &Leaf, command: u8, function: Option<u8>, reply: &Reply<'_>) -> Outcome {
        let answer = match pccc::Message::read(leaf.service, reply.data) {
            Ok(answer) => answer,
            Err(error) => {
                anomaly(self.pdu, error, self.out);
                return Outcome::Answered;
            }
        };
        if answer.status != 0 {
            return Outcome::Refused(answer.status.into());
        }
        if (command, function) == (0x06, Some(0x03)) {
            self.teller(leaf).pccc_processor(pccc::catalogue_number(answer.body));
        }
        Outcome::Answered
    }

    /// Tells of who answers.
    fn teller<'l>(&mut self, leaf: &'l Leaf) -> Teller<'l, '_> {
        let component = leaf.target.component();
        Teller { component, out: self.out, text_limit: self.limits.text, is_certain: self.is_certain }
    }

    /// Learns the ids of a new connection. Its originator is who gets this reply.
    fn opened(&mut self, data: Reader<'_>, request: Option<(bool, &Arc<Target>)>) {
        let opened = match Opened::read(data) {
            Ok(opened) => opened,
            Err(error) => return anomaly(self.pdu, error, self.out),
        };
        let Opened { to_target, to_originator, triad } = opened;
        let (may_be_io, may_be_explicit) = request.map_or((true, true), |(is_io, _)| (is_io, !is_io));
        if may_be_io {
            for id in [to_target, to_originator].into_iter().filter(|id| *id != 0) {
                let side = LinkSide::Opens(Party::Receiver);
                self.out.observe(Observation::Link(Link { protocol: super::io::NAME, key: id.into(), side }));
            }
        }
        if may_be_explicit {
            let target = request.map(|(_, path)| Arc::clone(path));
            let channel = Channel { to_target, to_originator, triad: Some(triad), target };
            self.channels.open(channel, self.limits.channels);
        }
    }
}

fn outcome(status: Status) -> Outcome {
    if status.is_positive() { Outcome::Answered } else { Outcome::Refused(status.0) }
}

fn leaf_operation(leaf: &Leaf, outcome: Outcome, out: &mut dyn Sink) {
    operation(leaf.class, leaf.code, leaf.target.component(), leaf.target.object(), outcome, out);
}

fn operation(
    class: Class,
    code: u64,
    component: Option<Component<'_>>,
    object: Option<Object<'_>>,
    outcome: Outcome,
    out: &mut dyn Sink,
) {
    let objects = object.as_slice();
    out.operation(&Operation { class, code, component, objects, outcome });
}

/// What is missing is news only when the capture did not cut it off.
fn anomaly(pdu: Pdu<'_>, error: ParseError, out: &mut dyn Sink) {
    if pdu.cut == 0 {
        out.observe(Observation::Anomaly(Anomaly { what: error.item, at: error.at }));
    }
}
