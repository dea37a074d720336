//! A flow as somebody describes it, to ask a policy about: in test cases and in `policy explain`.

use dissectors::{Class, Component, Item, Mode, Object, Token};
use serde_json::Value as Json;

use super::boundary::Way;
use super::conversation::{Cast, Conversation, Ends};
use super::judge::{Judgement, Protection, Request};
use super::marking::Markings;
use super::membership::Member;
use super::model::{Policy, ZoneId};
use super::protocol;
use super::read::Word;
use super::severity::{Outcome, Score};
use super::window::{from_jiff, instant};
use super::word::{Rate, When};
use crate::address::{Address, Mac};
use crate::flow::key::{Initiator, Transport};
use crate::time::Timestamp;

/// One flow at one instant, with what it does.
#[derive(Clone, Debug)]
pub struct Question {
    /// When.
    pub at: Timestamp,
    /// Who opens the session.
    pub client: Address,
    /// Who answers.
    pub server: Address,
    /// The protocol that its bytes confirmed.
    pub protocol: Option<String>,
    /// What carries it.
    pub transport: Transport,
    /// The server's port; 0 where there is none.
    pub port: u16,
    /// Each is judged, and the worst is the flow's verdict. Empty: nothing is known but the flow itself.
    pub operations: Vec<Asked>,
    /// What is known of its protection: mode, security policy, user token, version.
    pub security: (Option<Mode>, Option<String>, Option<Token>, Option<String>),
    /// The payload is encrypted.
    pub opaque: bool,
    vlan: Option<u16>,
    initiator: Initiator,
    cast: Cast,
    seen_in: Vec<ZoneId>,
    unapproved: bool,
    rate: Option<f64>,
    byte_rate: Option<f64>,
    marked: Markings,
    way: Option<Way>,
    state: State,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was answered.
    Answered,
    /// Refused in the protocol's own words.
    Refused,
    /// Only requests were seen.
    RequestOnly,
    /// No answer, a reset, or an ICMP prohibition.
    Blocked,
}

/// One operation as somebody describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What kind.
    pub class: Option<Class>,
    /// The protocol's code; empty: not told.
    pub code: String,
    /// The part of the server: a number, or a path.
    pub unit: Option<String>,
    /// Address space, and the range or name in it.
    pub objects: Vec<(&'static str, Touch)>,
}

/// What of an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touch {
    /// From and to, both in it.
    Range(u64, u64),
    /// A name.
    Name(String),
}

/// What the policy says.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The two sides.
    pub conversation: Conversation,
    /// The worst of its operations.
    pub judgement: Judgement,
    /// How bad.
    pub score: Option<Score>,
}

impl Question {
    /// A flow that was opened and answered, on one host's segment; everything else as the fields say.
    #[must_use]
    pub fn new(at: Timestamp, client: Address, server: Address, transport: Transport, port: u16) -> Self {
        Self {
            at,
            client,
            server,
            protocol: None,
            transport,
            port,
            operations: Vec::new(),
            security: (None, None, None, None),
            opaque: false,
            vlan: None,
            initiator: Initiator::Seen,
            cast: Cast::Unicast,
            seen_in: Vec::new(),
            unapproved: false,
            rate: None,
            byte_rate: None,
            marked: Markings::default(),
            way: None,
            state: State::Answered,
        }
    }

    /// Reads the `flow` of a test case.
    ///
    /// # Errors
    /// Which key is wrong, and why: a key that nobody reads would be a condition that is not tested.
    pub fn read(policy: &Policy, flow: &Json) -> Result<Self, String> {
        let mut flow = Keys::of(flow, "flow")?;
        let at = policy.instant(flow.text("time")?.ok_or("flow has no time")?)?;
        let mut end = |key: &str| policy.address(flow.text(key)?.ok_or_else(|| format!("flow has no {key}"))?);
        let (client, server) = (end("src")?, end("dst")?);
        let name = flow.text("proto")?.map(str::to_owned);
        let port = flow.number("dport")?;
        let (transport, usual) = policy.carrier(name.as_deref(), flow.text("l4")?.or(Some("tcp")))?;
        let port = match port {
            Some(port) => u16::try_from(port).map_err(|_| "dport is not a port")?,
            None => usual,
        };
        let mut question = Self { protocol: name, ..Self::new(at, client, server, transport, port) };
        question.conditions(policy, &mut flow)?;
        if let Some(security) = flow.take("sec") {
            let mut security = Keys::of(security, "sec")?;
            let mut own = |key| security.text(key).map(|text| text.map(str::to_owned));
            let (policy, version) = (own("policy")?, own("version")?);
            question.security = (security.word("mode", &MODES)?, policy, security.word("token", &TOKENS)?, version);
            security.finish()?;
        }
        question.operations = match (flow.take("ops"), flow.take("op")) {
            (Some(Json::Array(list)), None) => list.iter().map(Asked::read).collect::<Result<_, _>>()?,
            (None, Some(operation)) => vec![Asked::read(operation)?],
            (None, None) => Vec::new(),
            _ => return Err("ops is a list of operations, and op is one; a flow has one of the two keys".to_owned()),
        };
        flow.finish()?;
        Ok(question)
    }

    /// Sets what is around the flow, by the keys of a test case: `vlan`, `initiator`, `cast`, `seen_in`, `unapproved`,
    /// `opaque`, `rate`, `byte_rate`, `dscp`, `src_mac`, `dst_mac`, `via`, `state`.
    ///
    /// # Errors
    /// Which key is wrong, and why.
    pub fn set(&mut self, policy: &Policy, conditions: &Json) -> Result<(), String> {
        let mut keys = Keys::of(conditions, "the question")?;
        self.conditions(policy, &mut keys)?;
        keys.finish()
    }

    fn conditions(&mut self, policy: &Policy, flow: &mut Keys<'_>) -> Result<(), String> {
        let question = self;
        question.vlan = flow.number("vlan")?.and_then(|vlan| u16::try_from(vlan).ok());
        question.initiator = flow
            .word(
                "initiator",
                &[("seen", Initiator::Seen), ("inferred", Initiator::Inferred), ("unknown", Initiator::Unknown)],
            )?
            .unwrap_or(Initiator::Seen);
        question.cast = flow
            .word(
                "cast",
                &[("unicast", Cast::Unicast), ("multicast", Cast::Multicast), ("broadcast", Cast::Broadcast)],
            )?
            .unwrap_or_default();
        question.seen_in = match flow.take("seen_in") {
            None => Vec::new(),
            Some(Json::String(zone)) => vec![policy.zone_or_say(zone)?],
            Some(Json::Array(zones)) => zones
                .iter()
                .map(|zone| policy.zone_or_say(zone.as_str().unwrap_or_default()))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err("seen_in is a zone or a list of zones".to_owned()),
        };
        question.unapproved = flow.flag("unapproved")?;
        question.opaque = flow.flag("opaque")?;
        question.rate = flow.rate("rate")?;
        question.byte_rate = flow.rate("byte_rate")?;
        question.marked = match flow.number("dscp")?.map(u8::try_from) {
            None => Markings::default(),
            Some(Ok(dscp @ ..=Markings::HIGHEST)) => Markings::of(dscp),
            Some(_) => return Err(format!("dscp is a number from 0 to {}", Markings::HIGHEST)),
        };
        let mut mac = |key: &str| -> Result<Option<Mac>, String> {
            flow.text(key)?.map(|mac| mac.parse().map_err(|why| format!("{key}: {why}"))).transpose()
        };
        let (source, destination) = (mac("src_mac")?, mac("dst_mac")?);
        let via = flow.text("via")?.map(|device| policy.mac_of(device)).transpose()?;
        // On the source's own segment the destination is the boundary's, on the destination's the source.
        let leaving = destination.or(via).map(|to| (source.unwrap_or_default(), to));
        let arriving = source.filter(|_| leaving.is_none()).map(|from| (from, Mac::default()));
        question.way = leaving.or(arriving).map(|_| Way { leaving, arriving, ttls: None });
        question.state = flow.word("state", &STATES)?.unwrap_or(State::Answered);
        Ok(())
    }

    /// Reads protection as people write it: `sign/Basic256Sha256/certificate/1.2`, each part as wanted: mode, policy,
    /// user token, version.
    ///
    /// # Errors
    /// What is not a mode or a token.
    pub fn protected(&mut self, text: &str) -> Result<(), String> {
        let mut parts = text.split('/');
        let mut known = |what: &str, words: &dyn Fn(&str) -> bool| match parts.next() {
            None | Some("") => Ok(None),
            Some(part) if words(part) => Ok(Some(part.to_owned())),
            Some(part) => Err(format!("there is no {what} called \"{part}\"")),
        };
        let mode = known("security mode", &|word| MODES.iter().any(|(known, _)| *known == word))?;
        let policy = known("security policy", &|_| true)?;
        let token = known("user token", &|word| TOKENS.iter().any(|(known, _)| *known == word))?;
        let version = known("version", &|_| true)?;
        let of = |word: Option<String>| word.unwrap_or_default();
        let (mode, token) = (of(mode), of(token));
        self.security.0 = MODES.iter().find(|(word, _)| *word == mode).map(|(_, mode)| *mode);
        self.security.1 = policy;
        self.security.3 = version;
        self.security.2 = TOKENS.iter().find(|(word, _)| *word == token).map(|(_, token)| *token);
        Ok(())
    }

    /// What concerns its two sides.
    #[must_use]
    pub fn conversation(&self, policy: &Policy) -> Conversation {
        policy.conversation(&Ends {
            client: Member::at(self.client),
            server: Member::at(self.server),
            transport: self.transport,
            port: self.port,
            vlan: self.vlan,
            initiator: self.initiator,
            cast: self.cast,
            seen_in: &self.seen_in,
            unapproved: self.unapproved,
        })
    }

    /// Does something with the request that an operation is; none: the flow itself.
    pub(super) fn request<R>(&self, asked: Option<&Asked>, then: impl FnOnce(&Request<'_>) -> R) -> R {
        let (mode, policy, token, version) = &self.security;
        static NOTHING: Asked = Asked { class: None, code: String::new(), unit: None, objects: Vec::new() };
        let asked = asked.unwrap_or(&NOTHING);
        let objects: Vec<Object<'_>> = asked
            .objects
            .iter()
            .map(|(space, touch)| {
                let item = match touch {
                    Touch::Range(from, to) => Item::Range(*from, *to),
                    Touch::Name(name) => Item::Name(name),
                };
                Object { space, item }
            })
            .collect();
        let component = asked.unit.as_deref().map(|unit| match unit.parse() {
            Ok(number) => Component::number("unit", number),
            Err(_) => Component::path("unit", unit),
        });
        then(&Request {
            protocol: self.protocol.as_deref(),
            class: asked.class,
            code: &asked.code,
            component,
            objects: &objects,
            security: Protection { mode: *mode, policy: policy.as_deref(), token: *token, version: version.as_deref() },
            opaque: self.opaque,
            rate: self.rate,
            byte_rate: self.byte_rate,
            marked: self.marked,
            way: self.way,
            blocked: self.state == State::Blocked,
            ..Request::at(self.at)
        })
    }

    /// What the policy says of one of its operations, or of the flow itself.
    #[must_use]
    pub fn judge(&self, policy: &Policy, asked: Option<&Asked>) -> Answer {
        let conversation = self.conversation(policy);
        let judgement = self.request(asked, |request| conversation.judge(policy, request));
        let outcome = match self.state {
            State::Refused => Outcome::Refused,
            State::RequestOnly | State::Blocked => Outcome::Unanswered,
            State::Answered => Outcome::Answered,
        };
        let score = policy.score(&conversation.setting(), &judgement, outcome);
        Answer { conversation, judgement, score }
    }

    /// What the policy says of the flow: the worst of its operations, of several the first.
    #[must_use]
    pub fn answer(&self, policy: &Policy) -> Answer {
        let answers = self.operations.iter().rev().map(|asked| self.judge(policy, Some(asked)));
        let worst = answers.max_by_key(|answer| answer.judgement.rank(policy));
        worst.unwrap_or_else(|| self.judge(policy, None))
    }
}

/// Address spaces by the words that rules and reports use.
const SPACES: [&str; 12] = [
    "holding",
    "input",
    "coil",
    "discrete",
    "file",
    "instance",
    "class",
    "tag",
    "data-table",
    "node",
    "method",
    "name",
];

fn space(word: &str) -> Result<&'static str, String> {
    let found = SPACES.iter().find(|space| **space == word).copied();
    found.ok_or_else(|| format!("there is no address space \"{word}\"; known: {}", SPACES.join(", ")))
}

const STATES: [(&str, State); 8] = [
    ("answered", State::Answered),
    ("none", State::Blocked),
    ("ok", State::Answered),
    ("refused", State::Refused),
    ("request-only", State::RequestOnly),
    ("syn-only", State::Blocked),
    ("reset", State::Blocked),
    ("icmp-prohibited", State::Blocked),
];

const MODES: [(&str, Mode); 3] =
    [("none", Mode::None), ("sign", Mode::Sign), ("sign-and-encrypt", Mode::SignAndEncrypt)];

const TOKENS: [(&str, Token); 4] = [
    ("anonymous", Token::Anonymous),
    ("username", Token::Username),
    ("certificate", Token::Certificate),
    ("issued", Token::Issued),
];

impl Asked {
    fn read(operation: &Json) -> Result<Self, String> {
        let mut keys = Keys::of(operation, "op")?;
        let class = match keys.text("class")? {
            None => None,
            Some(word) => Some(Class::parse(word).ok_or_else(|| format!("there is no operation class \"{word}\""))?),
        };
        let code = match (keys.word_or_number("function")?, keys.word_or_number("service")?) {
            (Some(_), Some(_)) => return Err("an operation has one of function and service".to_owned()),
            (function, service) => function.or(service).unwrap_or_default(),
        };
        let unit = keys.word_or_number("unit")?;
        let mut objects = Vec::new();
        let (table, from, to) = (keys.text("table")?.map(space).transpose()?, keys.number("from")?, keys.number("to")?);
        match table {
            Some(space) => {
                let first = from.unwrap_or(0);
                objects.push((space, Touch::Range(first, to.unwrap_or(first))));
            }
            None if from.is_some() || to.is_some() => return Err("from and to are of a table".to_owned()),
            None => {}
        }
        for space in ["tag", "node", "method", "name"] {
            if let Some(name) = keys.text(space)? {
                objects.push((space, Touch::Name(name.to_owned())));
            }
        }
        keys.finish()?;
        Ok(Self { class, code, unit, objects })
    }

    /// Reads operations as people write them: a class or a code, then objects and unit, as in
    /// `16 holding 100-119 unit 1`; several with `+` between them. `known` gives the codes and classes that a function's number or name may mean:
    /// each is an operation.
    ///
    /// # Errors
    /// The word that says nothing.
    pub fn parse(words: &[String], known: impl Fn(&str) -> Vec<(String, Class)>) -> Result<Vec<Self>, String> {
        let each = words.split(|word| word == "+").map(|words| Self::parse_one(words, &known));
        each.collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    }

    fn parse_one(words: &[String], known: &impl Fn(&str) -> Vec<(String, Class)>) -> Result<Vec<Self>, String> {
        let Some((first, rest)) = words.split_first() else { return Ok(Vec::new()) };
        let meant = match Class::parse(first) {
            // `read` is a class, `Read` a service.
            Some(class) => vec![(String::new(), class)],
            None => known(first),
        };
        if meant.is_empty() {
            let classes = Class::ALL.map(Class::text).join(", ");
            return Err(format!(
                "\"{first}\" is no operation class and no function of this protocol\n  \
                 hint: classes are {classes}; zonewatch protocols lists functions"
            ));
        }
        let (mut unit, mut objects) = (None, Vec::new());
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            let Some(what) = rest.next() else {
                return Err(format!("\"{word}\" of what? write {word} and a number or name"));
            };
            let (from, to) = what.split_once(['-', '–']).unwrap_or((what, what));
            match (word.as_str(), from.parse(), to.parse()) {
                ("unit", ..) => unit = Some(what.clone()),
                (_, Ok(from), Ok(to)) if from <= to => objects.push((space(word)?, Touch::Range(from, to))),
                _ => objects.push((space(word)?, Touch::Name(what.clone()))),
            }
        }
        let asked = |(code, class)| Self { class: Some(class), code, unit: unit.clone(), objects: objects.clone() };
        Ok(meant.into_iter().map(asked).collect())
    }
}

/// In a line: `write, function 16, holding 100–119, unit 1`.
impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.class.map_or("an unknown operation", Class::text))?;
        if !self.code.is_empty() {
            write!(f, ", function {}", self.code)?;
        }
        for (space, touch) in &self.objects {
            match touch {
                Touch::Range(from, to) => write!(f, ", {}", super::text::range_text(space, (*from, *to)))?,
                Touch::Name(name) => write!(f, ", {space} {name}")?,
            }
        }
        self.unit.iter().try_for_each(|unit| write!(f, ", unit {unit}"))
    }
}

/// The keys of a JSON object, each of which somebody has to ask for.
struct Keys<'a> {
    what: &'static str,
    fields: serde_json::Map<String, Json>,
    whole: &'a serde_json::Map<String, Json>,
}

impl<'a> Keys<'a> {
    fn of(json: &'a Json, what: &'static str) -> Result<Self, String> {
        let whole = json.as_object().ok_or_else(|| format!("{what} is not an object"))?;
        Ok(Self { what, fields: whole.clone(), whole })
    }

    /// `null` is as if the key were not there.
    fn take(&mut self, key: &str) -> Option<&'a Json> {
        self.fields.remove(key);
        self.whole.get(key).filter(|value| !value.is_null())
    }

    fn text(&mut self, key: &str) -> Result<Option<&'a str>, String> {
        self.take(key).map(|value| value.as_str().ok_or_else(|| format!("{key} is not text"))).transpose()
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, String> {
        self.take(key).map(|value| value.as_u64().ok_or_else(|| format!("{key} is not a number"))).transpose()
    }

    fn word_or_number(&mut self, key: &str) -> Result<Option<String>, String> {
        let text = |value: &Json| {
            value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))
        };
        self.take(key).map(|value| text(value).ok_or_else(|| format!("{key} is not text or a number"))).transpose()
    }

    fn flag(&mut self, key: &str) -> Result<bool, String> {
        self.take(key).map_or(Ok(false), |value| value.as_bool().ok_or_else(|| format!("{key} is not true or false")))
    }

    fn rate(&mut self, key: &str) -> Result<Option<f64>, String> {
        let text = self.text(key)?;
        let rate = text.map(|text| Rate::parse(text).map_err(|mistake| mistake.message)).transpose()?;
        Ok(rate.map(Rate::per_second))
    }

    fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, String> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        found.map(Some).ok_or_else(|| format!("{key} is one of {}, not \"{text}\"", known()))
    }

    fn finish(self) -> Result<(), String> {
        match self.fields.keys().next() {
            Some(key) => Err(format!("{} has no key \"{key}\"", self.what)),
            None => Ok(()),
        }
    }
}

impl Policy {
    /// An instant: RFC 3339, or a date with or without a time of the site.
    ///
    /// # Errors
    /// What it is not.
    pub fn instant(&self, text: &str) -> Result<Timestamp, String> {
        let text = text.trim().replace(' ', "T");
        let when = if text.len() == 10 {
            text.parse().ok().map(When::Day)
        } else {
            text.parse().map(When::Instant).or_else(|_| text.parse().map(When::Local)).ok()
        };
        when.and_then(|when| instant(when, false, &self.time_zone)).ok_or_else(|| {
            format!("\"{text}\" is not a time: write 2026-11-16T10:15:00+01:00, or 2026-11-16 10:15 of the site")
        })
    }

    /// The instant at which this is asked. Only for questions that people ask: packets bring their own time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        from_jiff(jiff::Timestamp::now())
    }

    /// Date and time of the site, with the name of its zone.
    #[must_use]
    pub fn local_time(&self, at: Timestamp) -> String {
        self.time_zone.to_datetime(at.instant()).strftime("%a %Y-%m-%d %H:%M:%S").to_string()
            + &format!(" {}", self.time_zone.iana_name().unwrap_or("UTC"))
    }

    /// An address, or that of a declared asset.
    ///
    /// # Errors
    /// What the word is instead.
    pub fn address(&self, word: &str) -> Result<Address, String> {
        if let Ok(address) = word.parse() {
            return Ok(address);
        }
        if let Some(zone) = self.zone_named(word) {
            return Err(format!("\"{}\" is a zone: name an address or an asset in it", self.zone(zone).id));
        }
        let asset = self.assets.iter().find(|asset| asset.id == word);
        let Some(asset) = asset else {
            let near = super::diagnostic::did_you_mean(word, self.assets.iter().map(|asset| asset.id.as_str()));
            let hint = near.map(|near| format!("\n  hint: did you mean \"{near}\"?")).unwrap_or_default();
            return Err(format!("\"{word}\" is neither an address nor a declared asset{hint}"));
        };
        let first = asset.ips.first().copied().or_else(|| asset.macs.first().copied().map(Address::mac));
        first.ok_or_else(|| format!("asset \"{word}\" has no address in the declaration"))
    }

    /// The MAC address of a declared asset.
    fn mac_of(&self, word: &str) -> Result<Mac, String> {
        let asset = self.assets.iter().find(|asset| asset.id == word);
        let asset = asset.ok_or_else(|| format!("\"{word}\" is no declared asset"))?;
        asset.macs.first().copied().ok_or_else(|| format!("asset \"{word}\" has no MAC address in the declaration"))
    }

    fn zone_or_say(&self, id: &str) -> Result<ZoneId, String> {
        self.zone_named(id).ok_or_else(|| format!("no zone is called \"{id}\""))
    }

    /// The transport and usual port of a protocol: on this transport (`tcp`, `l2`, `l2:0x88cc`), or on its first.
    ///
    /// # Errors
    /// There is no such protocol, or it is not carried by that.
    pub fn carrier(&self, name: Option<&str>, on: Option<&str>) -> Result<(Transport, u16), String> {
        let known = name.and_then(|name| self.protocol(name));
        let on = match on {
            // Any frame without IP: the protocol says of which kind.
            Some("l2") => {
                let layer2 = |(transport, _): &&(Transport, u16)| {
                    matches!(transport, Transport::Ethertype(_) | Transport::Llc(_))
                };
                let carrier = known.and_then(|protocol| protocol.carriers.iter().find(layer2));
                return Ok(carrier.copied().unwrap_or((Transport::Ethertype(0), 0)));
            }
            Some(word) => {
                let transport = protocol::carrier(word).map(|(transport, _)| transport);
                Some(transport.ok_or_else(|| format!("there is no transport called \"{word}\""))?)
            }
            None => None,
        };
        let carriers = known.map_or(&[][..], |protocol| &protocol.carriers);
        let usual = carriers.iter().find(|(transport, _)| on.is_none_or(|on| on == *transport));
        match (usual, on, name) {
            (Some(usual), ..) => Ok(*usual),
            (None, Some(on), _) => Ok((on, 0)),
            (None, None, Some(name)) if known.is_none() => {
                let names = self.protocols.iter().map(|protocol| protocol.name.as_str());
                let near = super::diagnostic::did_you_mean(name, names);
                let hint = near.map(|near| format!("did you mean \"{near}\"?"));
                let hint = hint.unwrap_or_else(|| "for what no protocol is known of, write tcp/445".to_owned());
                Err(format!("there is no protocol called \"{name}\"\n  hint: {hint}"))
            }
            _ => Ok((Transport::Tcp, 0)),
        }
    }
}

/// The word of policies for a security mode.
pub(super) fn mode_text(mode: Mode) -> &'static str {
    MODES.iter().find(|(_, known)| *known == mode).map_or("", |(word, _)| word)
}

/// The word of policies for a user token.
pub(super) fn token_text(token: Token) -> &'static str {
    TOKENS.iter().find(|(_, known)| *known == token).map_or("", |(word, _)| word)
}
