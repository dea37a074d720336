use std::borrow::Cow;
use std::sync::mpsc;
use std::thread;

use dissectors::{Class, Item, Mode, Object, REGISTRY, Token};
use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::words::Words;
use super::{Restored, signed, unsigned};
use crate::address::{Host, Mac, Realm};
use crate::flow::again;
use crate::flow::book::{Book, Protection, Rest};
use crate::flow::connection::Traffic;
use crate::flow::entry::{Entries, Entry};
use crate::flow::key::{FlowKey, Initiator};
use crate::flow::ops::{ComponentText, Objects, Operation, OperationKey, Tally};
use crate::flow::path::{Path, PathUse, Paths};
use crate::flow::{Flow, Place, SideView};
use crate::ledger::Evidence;
use crate::policy::{
    Judgement, Markings, Measure, Peak, Policy, Qualifier, Qualifiers, Rate, Reason, Setting, Stage, Verdict,
};
use crate::time::Timestamp;

/// Flows whose rows are made at once.
const PART: usize = 64;

/// Parts of rows that wait to be written.
const WAITING: usize = 8;

/// A row of the table, as far as it takes work to make it.
struct FlowRow<'a> {
    flow: &'a Flow,
    client: String,
    server: String,
    transport: String,
    detail: String,
}

impl<'a> FlowRow<'a> {
    fn of(flow: &'a Flow, policy: Option<&Policy>) -> Self {
        let FlowKey { client, server, transport, .. } = &flow.key;
        Self {
            flow,
            client: client.address.to_string(),
            server: server.address.to_string(),
            transport: transport.to_string(),
            detail: json(&Detail::of(flow, policy)),
        }
    }
}

/// Most details are no longer.
const USUAL: usize = 1536;

fn json(detail: &Detail<'_>) -> String {
    let mut text = Vec::with_capacity(USUAL);
    // Rows are made here and nowhere else, of types that have a JSON form.
    let _ = serde_json::to_writer(&mut text, detail);
    String::from_utf8(text).unwrap_or_default()
}

/// Writes flows in their order while `goes_on`, and says how many. To make the rows takes as long as to write them, so that
/// is done beside it.
pub(super) fn write(
    into: &Transaction<'_>,
    flows: &[&Flow],
    policy: Option<&Policy>,
    goes_on: &dyn Fn() -> bool,
) -> rusqlite::Result<usize> {
    // A row that is known stays where it is: to replace it would move it, in the table and in its index.
    let mut row = into.prepare_cached(
        "INSERT INTO flow VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (realm, client, server, transport, port) DO UPDATE SET
             protocol = excluded.protocol, connections = excluded.connections, frames = excluded.frames,
             bytes = excluded.bytes, first = excluded.first, last = excluded.last, policy = excluded.policy,
             detail = excluded.detail",
    )?;
    let sha256 = policy.map(|policy| &policy.sha256);
    let mut written = 0;
    thread::scope(|scope| {
        let (rows, made) = mpsc::sync_channel(WAITING);
        scope.spawn(move || {
            for part in flows.chunks(PART) {
                let part: Vec<_> = part.iter().map(|flow| FlowRow::of(flow, policy)).collect();
                if rows.send(part).is_err() {
                    return; // It does not go on.
                }
            }
        });
        for part in made {
            if !goes_on() {
                break;
            }
            written += part.len();
            for FlowRow { flow, client, server, transport, detail } in part {
                row.execute(params![
                    flow.key.client.realm.0,
                    client,
                    server,
                    transport,
                    flow.key.port,
                    crate::analysis::protocol_name(flow),
                    signed(flow.connections),
                    signed(flow.frames()),
                    signed(flow.client.traffic().bytes + flow.server.traffic().bytes),
                    flow.first().at.nanos(),
                    flow.last().at.nanos(),
                    sha256,
                    detail,
                ])?;
            }
        }
        Ok(written)
    })
}

pub(super) fn read(
    from: &Connection,
    words: &mut Words,
    policy: Option<&Policy>,
    restored: &mut Restored,
) -> rusqlite::Result<()> {
    let columns = "realm, client, server, transport, port, protocol, connections, policy, detail";
    let mut rows = from.prepare(&format!("SELECT {columns} FROM flow"))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        match flow(row, words, policy)? {
            Some(flow) => restored.flows.push(flow),
            None => restored.skipped += 1,
        }
    }
    Ok(())
}

/// Adds `by` to the number of each capture that a flow names.
pub(super) fn renumber(into: &Transaction<'_>, by: u16) -> rusqlite::Result<()> {
    let mut rows = into.prepare("SELECT rowid, detail FROM flow")?;
    let mut row = into.prepare("UPDATE flow SET detail = ? WHERE rowid = ?")?;
    let mut rows = rows.query([])?;
    while let Some(old) = rows.next()? {
        // What is not understood here is not when it is read, either.
        let Ok(mut detail) = serde_json::from_str::<Detail<'_>>(&old.get::<_, String>(1)?) else { continue };
        for (_, capture, _) in detail.evidence() {
            *capture = capture.saturating_add(by);
        }
        row.execute(params![json(&detail), old.get::<_, i64>(0)?])?;
    }
    Ok(())
}

fn flow(row: &Row<'_>, words: &mut Words, policy: Option<&Policy>) -> rusqlite::Result<Option<Flow>> {
    let text = |place: usize| row.get::<_, String>(place);
    let (realm, port) = (Realm(row.get(0)?), row.get(4)?);
    let (client, server, transport) = (text(1)?.parse().ok(), text(2)?.parse().ok(), text(3)?.parse().ok());
    let (protocol, judged_by): (Option<String>, Option<String>) = (row.get(5)?, row.get(7)?);
    let connections = unsigned(row.get(6)?);
    let detail = serde_json::from_str::<Detail<'_>>(&text(8)?).ok();
    Ok((|| {
        let host = |address| Host { realm, address };
        let key = FlowKey { client: host(client?), server: host(server?), transport: transport?, port };
        let protocol = protocol.and_then(|name| place(&name));
        // Judgements of another policy are none of the one in force.
        let same = policy.filter(|policy| judged_by.as_deref() == Some(&policy.sha256));
        let mut flow = detail?.flow(key, protocol, connections, words, same)?;
        if same.is_none() {
            again::judge(&mut flow, policy, &[]);
        }
        Some(flow)
    })())
}

/// What the columns of the table do not hold.
#[derive(Serialize, Deserialize)]
struct Detail<'a> {
    initiator: Text<'a>,
    refuted: Option<Text<'a>>,
    recognised: Option<(Text<'a>, Option<Text<'a>>, bool)>,
    client_ports: (u16, u16),
    client: SideRow<'a>,
    server: SideRow<'a>,
    first: EvidenceRow,
    last: EvidenceRow,
    prohibited: bool,
    operations: Vec<OperationRow<'a>>,
    mode: Option<Text<'a>>,
    policies: Vec<Text<'a>>,
    tokens: Vec<Text<'a>>,
    anomalies: Vec<(Text<'a>, u64, EvidenceRow)>,
    opaque: u64,
    dropped: u64,
    judged: Vec<EntryRow<'a>>,
}

/// Words are written as they stand, and read as their own.
type Text<'a> = Cow<'a, str>;

/// Nanoseconds, capture, frame.
type EvidenceRow = (i64, u16, u64);

#[derive(Serialize, Deserialize)]
struct SideRow<'a> {
    frames: u64,
    bytes: u64,
    copies: u64,
    copied_bytes: u64,
    payload: u64,
    flags: u8,
    paths: Vec<PathRow<'a>>,
    #[serde(default)]
    marked: u64,
}

#[derive(Serialize, Deserialize)]
struct PathRow<'a> {
    src: Option<Text<'a>>,
    dst: Option<Text<'a>>,
    vlans: [u16; 3],
    ttl: u8,
    tap: Option<Text<'a>>,
    frames: u64,
    first: EvidenceRow,
    last: EvidenceRow,
}

#[derive(Serialize, Deserialize)]
struct TallyRow {
    requests: u64,
    answered: u64,
    refused: u64,
    first: EvidenceRow,
    last: EvidenceRow,
}

#[derive(Serialize, Deserialize)]
struct ObjectsRow<'a> {
    ranges: Vec<(Text<'a>, u64, u64)>,
    names: Vec<(Text<'a>, Text<'a>)>,
    dropped: u64,
}

#[derive(Serialize, Deserialize)]
struct OperationRow<'a> {
    code: u64,
    class: Text<'a>,
    component: Option<Text<'a>>,
    objects: ObjectsRow<'a>,
    tally: TallyRow,
}

#[derive(Serialize, Deserialize)]
struct EntryRow<'a> {
    verdict: Text<'a>,
    reason: Option<Text<'a>>,
    statement: Option<Text<'a>>,
    stage: Option<Text<'a>>,
    qualifiers: Vec<Text<'a>>,
    class: Text<'a>,
    bucket: Text<'a>,
    codes: Vec<(u64, u64)>,
    objects: ObjectsRow<'a>,
    tally: TallyRow,
    samples: Vec<EvidenceRow>,
    /// Of a rate: the measure, the most, and what is declared in how many seconds.
    #[serde(default)]
    peak: Option<(Text<'a>, u64, u64, u32)>,
}

impl<'a> Detail<'a> {
    fn of(flow: &'a Flow, policy: Option<&'a Policy>) -> Self {
        let book = &flow.book;
        Self {
            initiator: flow.initiator.text().into(),
            refuted: flow.not_dissected().map(|known| known.info().name.into()),
            recognised: flow.recognised.map(|it| (it.name.into(), it.version.map(Into::into), it.industrial)),
            client_ports: flow.client_ports,
            client: SideRow::of(&flow.client, policy),
            server: SideRow::of(&flow.server, policy),
            first: row_of(flow.first()),
            last: row_of(flow.last()),
            prohibited: flow.prohibited,
            operations: book.operations().iter().map(OperationRow::of).collect(),
            mode: book.protection().mode.map(|mode| mode.text().into()),
            policies: book.protection().policies.iter().map(|policy| (&**policy).into()).collect(),
            tokens: book.protection().tokens.iter().map(|token| token.text().into()).collect(),
            anomalies: book.anomalies().iter().map(|(what, count, at)| ((*what).into(), *count, row_of(*at))).collect(),
            opaque: book.opaque(),
            dropped: book.dropped(),
            judged: policy
                .map(|policy| flow.judged.iter().map(|entry| EntryRow::of(entry, policy)).collect())
                .unwrap_or_default(),
        }
    }

    /// Every frame that it names.
    fn evidence(&mut self) -> impl Iterator<Item = &mut EvidenceRow> {
        let paths = self.client.paths.iter_mut().chain(&mut self.server.paths);
        let paths = paths.flat_map(|path| [&mut path.first, &mut path.last]);
        let operations = self.operations.iter_mut().flat_map(|row| row.tally.evidence());
        let judged = self.judged.iter_mut().flat_map(|row| row.tally.evidence().into_iter().chain(&mut row.samples));
        let anomalies = self.anomalies.iter_mut().map(|(.., at)| at);
        [&mut self.first, &mut self.last].into_iter().chain(paths).chain(operations).chain(judged).chain(anomalies)
    }

    /// The flow; `None` when a word in it is not one of this program.
    fn flow(
        self,
        key: FlowKey,
        protocol: Option<Place>,
        connections: u64,
        words: &mut Words,
        policy: Option<&Policy>,
    ) -> Option<Flow> {
        let initiators = [Initiator::Seen, Initiator::Inferred, Initiator::Unknown];
        let modes = [Mode::None, Mode::Sign, Mode::SignAndEncrypt, Mode::Tls];
        let tokens = [Token::Anonymous, Token::Username, Token::Certificate, Token::Issued];
        let protection = Protection {
            mode: self.mode.and_then(|text| modes.into_iter().find(|mode| mode.text() == text)),
            policies: self.policies.into_iter().map(Into::into).collect(),
            tokens: tokens.into_iter().filter(|token| self.tokens.iter().any(|text| token.text() == text)).collect(),
        };
        let mut rest = Rest { protection, opaque: self.opaque, dropped: self.dropped, ..Rest::default() };
        for (what, count, at) in self.anomalies {
            rest.anomalies.push((words.word(&what)?, count, evidence(at)));
        }
        let operations = self.operations.into_iter().map(|row| row.operation(words)).collect::<Option<Vec<_>>>()?;
        let book = Book::of(operations, rest);
        let refuted = self.refuted.and_then(|name| place(&name));
        let mut flow = Flow {
            key,
            initiator: initiators.into_iter().find(|known| known.text() == self.initiator)?,
            protocol,
            refuted,
            recognised: match self.recognised {
                Some((name, version, industrial)) => Some(words.recognised(&name, version.as_deref(), industrial)?),
                None => None,
            },
            connections,
            client_ports: self.client_ports,
            client: self.client.side(policy),
            server: self.server.side(policy),
            prohibited: self.prohibited,
            book,
            judged: Entries::default(),
        };
        flow.reach(evidence(self.first), evidence(self.last));
        if let Some(policy) = policy {
            let setting = crate::flow::docket::conversation_of(policy, &flow).setting();
            for row in self.judged {
                flow.judged.add(row.entry(policy, setting, words)?);
            }
        }
        Some(flow)
    }
}

/// The place in the registry of the protocol of that name.
fn place(name: &str) -> Option<Place> {
    REGISTRY.iter().position(|known| known.info().name == name).and_then(Place::of)
}

fn row_of(at: Evidence) -> EvidenceRow {
    (at.at.nanos(), at.capture(), at.frame())
}

fn evidence((at, capture, frame): EvidenceRow) -> Evidence {
    Evidence::new(Timestamp::from_nanos(at), capture, frame)
}

fn class(text: &str) -> Option<Class> {
    Class::parse(text)
}

impl<'a> SideRow<'a> {
    fn of(side: &'a SideView, policy: Option<&'a Policy>) -> Self {
        let Traffic { frames, bytes, copies, copied_bytes } = side.traffic();
        let paths = side.ways().map(|used| PathRow::of(&used, policy)).collect();
        let (payload, flags, marked) = (side.payload, side.flags, side.marked().bits());
        Self { frames, bytes, copies, copied_bytes, payload, flags, paths, marked }
    }

    fn side(self, policy: Option<&Policy>) -> SideView {
        let Self { frames, bytes, copies, copied_bytes, payload, flags, paths, marked } = self;
        let traffic = Traffic { frames, bytes, copies, copied_bytes };
        let paths = Paths::of_uses(paths.into_iter().map(|row| row.path_use(policy)));
        SideView::new(traffic, Markings::from_bits(marked), paths).with(payload, flags)
    }
}

impl<'a> PathRow<'a> {
    fn of(used: &PathUse, policy: Option<&'a Policy>) -> Self {
        let mac = |mac: Option<Mac>| mac.map(|mac| mac.to_string().into());
        Self {
            src: mac(used.path.src_mac),
            dst: mac(used.path.dst_mac),
            vlans: used.path.vlans,
            ttl: used.path.ttl,
            tap: policy.and_then(|policy| policy.tap_name(used.path.tap)).map(Into::into),
            frames: used.frames,
            first: row_of(used.first),
            last: row_of(used.last),
        }
    }

    fn path_use(self, policy: Option<&Policy>) -> PathUse {
        let mac = |text: Option<Text<'_>>| text.and_then(|text| text.parse().ok());
        let tap = self.tap.and_then(|tap| policy.map(|policy| policy.tap_named(&tap))).unwrap_or_default();
        let path = Path { src_mac: mac(self.src), dst_mac: mac(self.dst), vlans: self.vlans, ttl: self.ttl, tap };
        PathUse { path, frames: self.frames, first: evidence(self.first), last: evidence(self.last) }
    }
}

impl TallyRow {
    fn of(tally: &Tally) -> Self {
        let Tally { requests, answered, refused, first, last } = *tally;
        Self { requests, answered, refused, first: row_of(first), last: row_of(last) }
    }

    fn evidence(&mut self) -> [&mut EvidenceRow; 2] {
        [&mut self.first, &mut self.last]
    }

    fn tally(&self) -> Tally {
        let Self { requests, answered, refused, first, last } = *self;
        Tally { requests, answered, refused, first: evidence(first), last: evidence(last) }
    }
}

impl<'a> ObjectsRow<'a> {
    fn of(objects: &'a Objects) -> Self {
        let name = |(space, name): (&'static str, &'a str)| (space.into(), name.into());
        Self {
            ranges: objects.ranges().map(|(space, from, to)| (space.into(), from, to)).collect(),
            names: objects.names().map(name).collect(),
            dropped: objects.dropped(),
        }
    }

    fn objects(self, words: &mut Words) -> Option<Objects> {
        let mut objects = Objects::default();
        for (space, from, to) in self.ranges {
            objects.add(&Object { space: words.word(&space)?, item: Item::Range(from, to) });
        }
        for (space, name) in self.names {
            objects.add(&Object { space: words.word(&space)?, item: Item::Name(&name) });
        }
        objects.drop_more(self.dropped);
        Some(objects)
    }
}

impl<'a> OperationRow<'a> {
    fn of(operation: &'a Operation) -> Self {
        Self {
            code: operation.key.code,
            class: operation.key.class.text().into(),
            component: operation.key.component.get().map(Into::into),
            objects: ObjectsRow::of(&operation.objects),
            tally: TallyRow::of(&operation.tally),
        }
    }

    fn operation(self, words: &mut Words) -> Option<Operation> {
        let component = ComponentText::new(self.component.as_deref().unwrap_or_default());
        let key = OperationKey { code: self.code, class: class(&self.class)?, component };
        Some(Operation { key, objects: self.objects.objects(words)?, tally: self.tally.tally() })
    }
}

impl<'a> EntryRow<'a> {
    fn of(entry: &'a Entry, policy: &'a Policy) -> Self {
        let Judgement { verdict, reason, statement, stage, qualifiers, class, .. } = entry.judgement();
        Self {
            verdict: verdict.text().into(),
            reason: reason.map(|reason| reason.code().into()),
            statement: statement.map(|statement| policy.reference(statement).into()),
            stage: stage.map(|stage| stage.text().into()),
            qualifiers: qualifiers.iter().map(|qualifier| qualifier.text().into()).collect(),
            class: class.text().into(),
            bucket: (&*entry.bucket).into(),
            codes: entry.codes.to_vec(),
            objects: ObjectsRow::of(entry.objects()),
            tally: TallyRow::of(&entry.tally),
            samples: entry.samples().iter().map(|at| row_of(*at)).collect(),
            peak: entry
                .peak()
                .map(|Peak { measure, most, limit }| (measure.text().into(), most, limit.count, limit.seconds)),
        }
    }

    fn entry(self, policy: &Policy, setting: Setting, words: &mut Words) -> Option<Entry> {
        let reason = self.reason.map(|code| Reason::parse(&code).ok_or(())).transpose().ok()?;
        let statement = self.statement.map(|id| policy.statement(&id).ok_or(())).transpose().ok()?;
        let stage = self.stage.map(|text| Stage::parse(&text).ok_or(())).transpose().ok()?;
        let qualifiers: Qualifiers = Qualifier::ALL
            .into_iter()
            .filter(|qualifier| self.qualifiers.iter().any(|text| qualifier.text() == text))
            .collect();
        let measures = [Measure::Operations, Measure::Bytes];
        let peak = self.peak.and_then(|(text, most, count, seconds)| {
            let measure = measures.into_iter().find(|measure| measure.text() == text)?;
            Some(Peak { measure, most, limit: Rate { count, seconds } })
        });
        let judgement = Judgement {
            verdict: Verdict::parse(&self.verdict)?,
            reason,
            statement,
            stage,
            qualifiers,
            limited: None,
            class: class(&self.class)?,
            valid_until: Timestamp::MIN,
        };
        let tally = self.tally.tally();
        let mut entry = Entry::new(judgement, self.bucket.into(), setting, tally.first);
        entry.codes = self.codes.into();
        entry.tally = tally;
        let (objects, samples) = (self.objects.objects(words)?, self.samples);
        if !(objects.is_empty() && samples.is_empty()) {
            entry.show().objects = objects;
            entry.show().samples = samples.into_iter().map(evidence).collect();
        }
        entry.note_peak(peak);
        Some(entry)
    }
}
