//! The languages that receivers speak. Each is one file, and takes what it has a place for from the record; the
//! native one ([`Format::Json`]) alone has a place for everything.
//!
//! Texts from the wire are made harmless in each format's own way: a name that contains a line end, a delimiter or a
//! terminal's control character stays one value of one event.

mod cef;
mod ecs;
mod flat;
mod json;
mod leef;
mod ocsf;
mod rfc5424;

use serde_json::Value;

use super::Event;
use crate::policy::Band;

pub use rfc5424::Facility;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The native record, one JSON object a line; the only lossless one.
    Json,
    /// RFC 5424 structured data and a sentence.
    Rfc5424,
    /// Common Event Format, version 0.
    Cef,
    /// Log Event Extended Format, version 2.0.
    Leef,
    /// Open Cybersecurity Schema Framework 1.3.0, one JSON object a line.
    Ocsf,
    /// Elastic Common Schema 8, one JSON object a line.
    Ecs,
}

impl Format {
    /// Every language.
    pub const ALL: [Self; 6] = [Self::Json, Self::Rfc5424, Self::Cef, Self::Leef, Self::Ocsf, Self::Ecs];

    /// The word of configurations.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Rfc5424 => "rfc5424",
            Self::Cef => "cef",
            Self::Leef => "leef",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
        }
    }

    /// The event as one line, without the line's end: what goes to a file.
    #[must_use]
    pub fn line(self, event: &Event, facility: Facility) -> String {
        self.body(event).unwrap_or_else(|| rfc5424::structured(event, facility))
    }

    /// The event as a syslog message of RFC 5424: what goes to a syslog receiver. CEF, LEEF and JSON are its text.
    #[must_use]
    pub fn syslog(self, event: &Event, facility: Facility) -> String {
        match self.body(event) {
            Some(body) => rfc5424::around(event, facility, &body),
            None => rfc5424::structured(event, facility),
        }
    }

    /// The event alone; `None` where it is a syslog message by itself.
    fn body(self, event: &Event) -> Option<String> {
        match self {
            Self::Rfc5424 => None,
            Self::Json => Some(json::line(event)),
            Self::Cef => Some(cef::line(event)),
            Self::Leef => Some(leef::line(event)),
            Self::Ocsf => Some(ocsf::object(event).to_string()),
            Self::Ecs => Some(ecs::object(event).to_string()),
        }
    }
}

/// The vendor and the product, where a format asks for both.
const NAME: &str = "zonewatch";

/// The severity of CEF and LEEF, from 0 to 10 (policy-model, "Severity").
fn severity_of_ten(band: Band) -> u8 {
    match band {
        Band::Info => 1,
        Band::Low => 3,
        Band::Medium => 5,
        Band::High => 8,
        Band::Critical => 10,
    }
}

/// Milliseconds since the epoch, rounded down.
fn milliseconds(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000)
}

/// The same of a time of the contract.
fn milliseconds_of(time: &str) -> Option<i64> {
    crate::time::Timestamp::parse(time).map(|time| milliseconds(time.nanos()))
}

/// Without what is not known: a field that is null, or empty, is left out.
fn known(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, known(value)));
            Value::Object(fields.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(known).filter(|value| !is_empty(value)).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testkit;

    #[test]
    fn whatever_the_text_an_event_is_one_line_of_what_a_terminal_may_see() {
        for format in Format::ALL {
            for text in testkit::HOSTILE {
                let event = testkit::hostile(text);
                for line in [format.line(&event, Facility::default()), format.syslog(&event, Facility::default())] {
                    // A tab is LEEF's delimiter. JSON is no terminal's text, but its strings escape C0 as well.
                    let bad = |c: char| c < ' ' && !(c == '\t' && format == Format::Leef);
                    assert!(!line.contains(bad), "{format:?} {text:?}: {line:?}");
                    assert!(!line.is_empty());
                }
            }
        }
    }

    #[test]
    fn times_before_the_epoch_round_down() {
        assert_eq!((milliseconds(-1), milliseconds(1_999_999)), (-1, 1));
    }
}
