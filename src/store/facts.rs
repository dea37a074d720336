use dissectors::{Attribute, Method};
use rusqlite::{Connection, Row, Transaction, params};

use super::words::Words;
use super::{Restored, signed, unsigned};
use crate::address::{Host, Realm};
use crate::ledger::{Evidence, Fact, FactKey, Facts, Subject, Support};
use crate::time::Timestamp;

pub(super) fn write(into: &Transaction<'_>, facts: &[(&Subject, &Facts)]) -> rusqlite::Result<()> {
    let mut row =
        into.prepare_cached("INSERT OR REPLACE INTO fact VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for (subject, facts) in facts {
        for (key, support) in facts.iter() {
            row.execute(params![
                subject.host.realm.0,
                subject.host.address.to_string(),
                subject.component.as_deref().unwrap_or(""),
                key.attribute.0,
                key.value,
                key.protocol,
                key.method.text(),
                support.weight,
                support.basis,
                signed(support.count),
                support.first.at.nanos(),
                support.first.capture(),
                signed(support.first.frame()),
                support.last.at.nanos(),
                support.last.capture(),
                signed(support.last.frame()),
            ])?;
        }
    }
    Ok(())
}

pub(super) fn read(from: &Connection, words: &mut Words, restored: &mut Restored) -> rusqlite::Result<()> {
    let mut rows = from.prepare("SELECT * FROM fact")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        match fact(row, words)? {
            Some((subject, fact)) => restored.ledger.apply(subject, fact),
            None => restored.skipped += 1,
        }
    }
    Ok(())
}

fn fact(row: &Row<'_>, words: &mut Words) -> rusqlite::Result<Option<(Subject, Fact)>> {
    let text = |place: usize| row.get::<_, String>(place);
    let evidence = |place: usize| -> rusqlite::Result<Evidence> {
        let (at, capture, frame) = (row.get(place)?, row.get(place + 1)?, row.get(place + 2)?);
        Ok(Evidence::new(Timestamp::from_nanos(at), capture, unsigned(frame)))
    };
    let (address, component, method) = (text(1)?.parse().ok(), text(2)?, text(6)?);
    let (first, last) = (evidence(10)?, evidence(13)?);
    let (attribute, protocol, basis) = (words.word(&text(3)?), words.word(&text(5)?), words.word(&text(8)?));
    let methods = [Method::SelfReport, Method::Announcement, Method::Behaviour, Method::ThirdParty];
    let method = methods.into_iter().find(|known| known.text() == method);
    let (realm, value, weight, count) = (row.get(0)?, text(4)?, row.get(7)?, unsigned(row.get(9)?));
    Ok((|| {
        let host = Host { realm: Realm(realm), address: address? };
        let key =
            FactKey { attribute: Attribute(attribute?), value: value.into(), protocol: protocol?, method: method? };
        let support = Support { count, first, last, weight, basis: basis? };
        let component = (!component.is_empty()).then(|| component.into());
        Some((Subject { host, component }, Fact { key, support }))
    })())
}
