//! Syslog messages: RFC 5424.

use std::fmt::Write as _;

use super::NAME;
use super::flat::Flat;
use crate::event::Event;
use crate::output::escape::terminal;
use crate::policy::Band;

/// Where a receiver sorts the messages to (RFC 5424, table 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Facility {
    /// 1.
    User = 1,
    /// 3.
    Daemon = 3,
    /// 4.
    Auth = 4,
    /// 10.
    Authpriv = 10,
    /// 13.
    Audit = 13,
    /// 14.
    Alert = 14,
    /// 16.
    #[default]
    Local0 = 16,
    /// 17.
    Local1 = 17,
    /// 18.
    Local2 = 18,
    /// 19.
    Local3 = 19,
    /// 20.
    Local4 = 20,
    /// 21.
    Local5 = 21,
    /// 22.
    Local6 = 22,
    /// 23.
    Local7 = 23,
}

impl Facility {
    /// Every facility with its word in configurations.
    pub const WORDS: [(&'static str, Self); 14] = [
        ("user", Self::User),
        ("daemon", Self::Daemon),
        ("auth", Self::Auth),
        ("authpriv", Self::Authpriv),
        ("audit", Self::Audit),
        ("alert", Self::Alert),
        ("local0", Self::Local0),
        ("local1", Self::Local1),
        ("local2", Self::Local2),
        ("local3", Self::Local3),
        ("local4", Self::Local4),
        ("local5", Self::Local5),
        ("local6", Self::Local6),
        ("local7", Self::Local7),
    ];
}

/// Name of our element: the enterprise number is the one that RFC 5612 keeps for documentation.
const ELEMENT: &str = "zonewatch@32473";

/// The event as structured data and a sentence.
pub(super) fn structured(event: &Event, facility: Facility) -> String {
    let mut message = header(event, facility);
    element(&mut message, event);
    message.push(' ');
    message.push_str(&terminal(&event.message()));
    message
}

/// A message whose text is `body`, an event in another format.
pub(super) fn around(event: &Event, facility: Facility, body: &str) -> String {
    format!("{}- {body}", header(event, facility))
}

/// Up to the space before the structured data.
///
/// No byte order mark is put before the text: section 6.4 allows it to be left out (MSG-ANY), and receivers that look
/// for `CEF:` or `{` at the front trip over it.
fn header(event: &Event, facility: Facility) -> String {
    // TIME-SECFRAC has at most six digits; the nanoseconds are a parameter of the element.
    let time = event.time.to_string();
    let time = time.get(..time.len().saturating_sub(4)).unwrap_or("1970-01-01T00:00:00.000000");
    let priority = facility as u8 * 8 + severity(event.band);
    format!("<{priority}>1 {time}Z {} {NAME} - {} ", printable(&event.sensor, 255), event.kind.text())
}

/// Severity of RFC 5424, table 2, as policy-model maps it: informational 6 to critical 2.
fn severity(band: Band) -> u8 {
    match band {
        Band::Info => 6,
        Band::Low => 5,
        Band::Medium => 4,
        Band::High => 3,
        Band::Critical => 2,
    }
}

/// A field of the header: PRINTUSASCII, never empty.
fn printable(text: &str, most: usize) -> String {
    let safe: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if safe.is_empty() { "-".to_owned() } else { safe }
}

fn element(out: &mut String, event: &Event) {
    let flat = Flat::of(event);
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    out.push('[');
    out.push_str(ELEMENT);
    for (name, value) in [
        ("id", Some(event.id())),
        ("sequence", Some(event.sequence.to_string())),
        ("time", Some(event.time.to_string())),
        ("band", Some(event.band.text().to_owned())),
        ("score", Some(event.score.to_string())),
        ("site", Some(event.site.clone())),
        ("sensor", Some(event.sensor.clone())),
        ("code", Some(flat.code)),
        ("name", Some(flat.name)),
        ("verdict", flat.verdict.map(str::to_owned)),
        ("state", flat.state.map(str::to_owned)),
        ("count", number(flat.count)),
        ("src", flat.source.ip),
        ("srcMac", flat.source.mac),
        ("srcName", flat.source.name),
        ("srcZone", flat.source.zone),
        ("dst", flat.destination.ip),
        ("dstMac", flat.destination.mac),
        ("dstName", flat.destination.name),
        ("dstZone", flat.destination.zone),
        ("transport", flat.transport),
        ("port", number(flat.port.map(u64::from))),
        ("protocol", flat.application.map(str::to_owned)),
        ("operation", flat.operation),
        ("user", flat.user),
        ("conduit", flat.conduit),
        ("attack", flat.techniques),
        ("requirement", flat.requirements),
        ("changes", flat.changes),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(out, " {name}=\"{}\"", escaped(&value));
        }
    }
    out.push(']');
}

/// PARAM-VALUE: `"`, `\` and `]` with a backslash before them (section 6.3.3).
fn escaped(value: &str) -> String {
    let mut safe = String::with_capacity(value.len());
    for c in terminal(value).chars() {
        if matches!(c, '"' | '\\' | ']') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testkit;

    #[test]
    fn examples() {
        for (event, want) in [
            (
                testkit::finding(),
                "<131>1 2026-11-16T10:15:00.123456Z sensor-1 zonewatch - finding-opened [zonewatch@32473 \
                 id=\"V-gkh2al3yyoxc5ymh.3\" sequence=\"42\" time=\"2026-11-16T10:15:00.123456789Z\" band=\"high\" \
                 score=\"64\" site=\"north-mill\" sensor=\"sensor-1\" code=\"ZC005\" name=\"object-not-listed\" \
                 verdict=\"violation\" state=\"open\" count=\"14\" src=\"10.60.0.10\" srcMac=\"00:00:5e:00:53:01\" \
                 srcName=\"scada-1\" srcZone=\"supervision\" dst=\"10.20.1.5\" dstMac=\"00:00:5e:00:53:02\" \
                 dstName=\"plc-b1\" dstZone=\"cell-b\" transport=\"tcp\" port=\"502\" protocol=\"modbus\" \
                 operation=\"write: write multiple registers: holding 200-201\" conduit=\"C-031\" attack=\"T0836\" \
                 requirement=\"IEC 62443-3-3 SR 2.1\"] scada-1 wrote holding registers 200-201 of plc-b1; conduit \
                 C-031 allows 100-119 only.",
            ),
            (
                testkit::health(),
                "<132>1 2026-11-16T10:15:00.123456Z sensor-1 zonewatch - health [zonewatch@32473 \
                 id=\"H-capture-loss.7\" sequence=\"42\" time=\"2026-11-16T10:15:00.123456789Z\" band=\"medium\" \
                 score=\"45\" site=\"north-mill\" sensor=\"sensor-1\" code=\"health\" name=\"capture-loss\"] The \
                 kernel dropped 12 of 1000 frames in the last minute.",
            ),
        ] {
            assert_eq!(structured(&event, Facility::Local0), want);
        }
    }

    #[test]
    fn priority_is_facility_and_severity() {
        for (facility, band, want) in [
            (Facility::Local0, Band::Info, "<134>1 "),
            (Facility::Local0, Band::Critical, "<130>1 "),
            (Facility::User, Band::Low, "<13>1 "),
            (Facility::Local7, Band::Medium, "<188>1 "),
        ] {
            let event = Event { band, ..testkit::finding() };
            assert!(around(&event, facility, "x").starts_with(want), "{facility:?} {band:?}");
        }
    }

    #[test]
    fn another_format_is_the_text() {
        assert_eq!(
            around(&testkit::asset(), Facility::Local0, "CEF:0|…"),
            "<134>1 2026-11-16T10:15:00.123456Z sensor-1 zonewatch - asset-new - CEF:0|…"
        );
    }

    /// The values of the element, read as section 6.3 says, and what follows it.
    fn read(message: &str) -> (Vec<(String, String)>, String) {
        let mut rest = message.split_once(&format!(" [{ELEMENT}")).unwrap().1;
        let mut values = Vec::new();
        while let Some(parameter) = rest.strip_prefix(' ') {
            let (name, value) = parameter.split_once("=\"").unwrap();
            let (mut text, mut escape, mut end) = (String::new(), false, 0);
            for (at, c) in value.char_indices() {
                match c {
                    '\\' if !escape => escape = true,
                    '"' if !escape => {
                        end = at;
                        break;
                    }
                    ']' if !escape => panic!("an element that ends in a value: {message}"),
                    c => {
                        text.push(c);
                        escape = false;
                    }
                }
            }
            values.push((name.to_owned(), text));
            rest = &value[end + 1..];
        }
        (values, rest.strip_prefix("] ").unwrap().to_owned())
    }

    #[test]
    fn hostile_text_stays_in_its_value() {
        for text in testkit::HOSTILE {
            let (values, message) = read(&structured(&testkit::hostile(text), Facility::Local0));
            assert_eq!(message, terminal(text), "{text:?}");
            for name in ["srcName", "srcZone", "conduit", "sensor"] {
                let value = values.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value);
                assert_eq!(value, terminal(text), "{name} {text:?}");
            }
            let header = structured(&testkit::hostile(text), Facility::Local0);
            let header: Vec<&str> = header.split_once(" [").unwrap().0.split(' ').collect();
            assert_eq!(header.len(), 6, "{header:?}");
        }
    }
}
