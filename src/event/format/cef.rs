//! ArcSight Common Event Format, version 0: a header between pipes, then `key=value` between spaces.
//!
//! Keys are those of the CEF specification ("CEF Standard Extension Dictionary"); what has no key there is in the
//! custom strings, each of which carries its label.

use std::fmt::Write as _;

use super::flat::{End, Flat};
use super::{NAME, milliseconds, severity_of_ten};
use crate::bounded;
use crate::event::Event;
use crate::output::VERSION;
use crate::output::escape::terminal;

/// The longest `msg` of the dictionary, in bytes.
const MESSAGE: usize = 1023;
/// The longest custom string of the dictionary, in bytes.
const CUSTOM: usize = 4000;

pub(super) fn line(event: &Event) -> String {
    let flat = Flat::of(event);
    let mut out = format!(
        "CEF:0|{NAME}|{NAME}|{VERSION}|{}|{}|{}|",
        header(&flat.code),
        header(&flat.name),
        severity_of_ten(event.band)
    );
    let mut extension = Extension { out: &mut out, separator: "" };
    extension.end(&flat.source, ["src", "smac", "shost", "c6a2"], "Source IPv6 Address");
    extension.end(&flat.destination, ["dst", "dmac", "dhost", "c6a3"], "Destination IPv6 Address");
    extension.add("dpt", flat.port);
    extension.add("proto", flat.transport);
    extension.add("app", flat.application);
    extension.add("act", flat.verdict);
    extension.add("cat", Some(flat.category));
    extension.add("cnt", flat.count);
    extension.add("start", flat.first);
    extension.add("end", flat.last);
    extension.add("rt", Some(milliseconds(event.time.nanos())));
    extension.add("suser", flat.user);
    extension.add("msg", Some(bounded::text(&event.message(), MESSAGE)));
    extension.add("externalId", Some(event.id()));
    extension.add("deviceExternalId", Some(&event.sensor));
    extension.add("dvchost", Some(&event.sensor));
    extension.custom("cs1", "srcZone", flat.source.zone);
    extension.custom("cs2", "dstZone", flat.destination.zone);
    extension.custom("cs3", "conduit", flat.conduit);
    extension.custom("cs4", "operation", flat.operation.or(flat.changes));
    extension.custom("cs5", "attack", flat.techniques);
    extension.custom("cs6", "requirement", flat.requirements);
    extension.custom("cn1", "score", Some(event.score));
    out
}

struct Extension<'a> {
    out: &'a mut String,
    /// Before the next key.
    separator: &'static str,
}

impl Extension<'_> {
    /// A value, when it is known and not empty.
    fn add(&mut self, key: &str, value: Option<impl ToString>) {
        let Some(value) = value.map(|value| value.to_string()).filter(|value| !value.is_empty()) else { return };
        let _ = write!(self.out, "{}{key}={}", self.separator, escaped(&value));
        self.separator = " ";
    }

    fn custom(&mut self, key: &str, label: &str, value: Option<impl ToString>) {
        let Some(value) = value.map(|value| value.to_string()).filter(|value| !value.is_empty()) else { return };
        self.add(&format!("{key}Label"), Some(label));
        self.add(key, Some(bounded::text(&value, CUSTOM)));
    }

    /// `src` and `dst` are IPv4 addresses; IPv6 ones have custom fields.
    fn end(&mut self, end: &End, [ip, mac, host, ip6]: [&str; 4], label: &str) {
        match &end.ip {
            Some(address) if address.contains(':') => self.custom(ip6, label, Some(address)),
            address => self.add(ip, address.as_ref()),
        }
        self.add(mac, end.mac.as_ref());
        self.add(host, end.name.as_ref());
    }
}

/// In the header a backslash and a pipe have a backslash before them.
fn header(text: &str) -> String {
    terminal(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// In the extension a backslash and an equals sign have one.
fn escaped(text: &str) -> String {
    terminal(text).replace('\\', "\\\\").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::{Record, testkit};

    #[test]
    fn examples() {
        for (event, want) in [
            (
                testkit::finding(),
                "CEF:0|zonewatch|zonewatch|0.1.0|ZC005|object-not-listed|8|src=10.60.0.10 smac=00:00:5e:00:53:01 \
                 shost=scada-1 dst=10.20.1.5 dmac=00:00:5e:00:53:02 dhost=plc-b1 dpt=502 proto=tcp app=modbus \
                 act=violation cat=violation cnt=14 start=1794823080000 end=1794824100123 rt=1794824100123 msg=scada-1 \
                 wrote holding registers 200-201 of plc-b1; conduit C-031 allows 100-119 only. \
                 externalId=V-gkh2al3yyoxc5ymh.3 deviceExternalId=sensor-1 dvchost=sensor-1 cs1Label=srcZone \
                 cs1=supervision cs2Label=dstZone cs2=cell-b cs3Label=conduit cs3=C-031 cs4Label=operation cs4=write: \
                 write multiple registers: holding 200-201 cs5Label=attack cs5=T0836 cs6Label=requirement cs6=IEC \
                 62443-3-3 SR 2.1 cn1Label=score cn1=64",
            ),
            (
                testkit::asset_changed(),
                "CEF:0|zonewatch|zonewatch|0.1.0|asset-changed|asset-changed|1|src=10.20.1.5 smac=00:00:5e:00:53:02 \
                 shost=plc-b1 cat=asset start=1794823200000 end=1794824100123 rt=1794824100123 msg=Device plc-b1 \
                 changed (Example Controls EC-400 2.1) at 10.20.1.5 in zone cell-b: firmware was 2.0, is 2.1; hostname \
                 is plc-b1. externalId=A-plc-b1.1 deviceExternalId=sensor-1 dvchost=sensor-1 cs1Label=srcZone \
                 cs1=cell-b cs4Label=operation cs4=firmware was 2.0, is 2.1; hostname is plc-b1 cn1Label=score cn1=0",
            ),
        ] {
            assert_eq!(line(&event), want);
        }
    }

    /// The header's fields, and the extension: a key is a word before an equals sign without a backslash.
    fn read(line: &str) -> (Vec<String>, BTreeMap<String, String>) {
        let (mut fields, mut escape, mut rest) = (vec![String::new()], false, "");
        for (at, c) in line.char_indices() {
            match c {
                '|' if !escape && fields.len() == 7 => {
                    rest = &line[at + 1..];
                    break;
                }
                '|' if !escape => fields.push(String::new()),
                '\\' if !escape => escape = true,
                c => {
                    fields.last_mut().unwrap().push(c);
                    escape = false;
                }
            }
        }
        let mut values: Vec<(String, String)> = Vec::new();
        let (mut text, mut escape) = (String::new(), false);
        for c in rest.chars() {
            match c {
                '\\' if !escape => escape = true,
                '=' if !escape => {
                    let key = text.rsplit(' ').next().unwrap().to_owned();
                    text.truncate(text.len() - key.len());
                    if let Some(last) = values.last_mut() {
                        last.1 = text.trim_end_matches(' ').to_owned();
                    }
                    values.push((key, String::new()));
                    text.clear();
                }
                c => {
                    text.push(c);
                    escape = false;
                }
            }
        }
        values.last_mut().unwrap().1 = text;
        let count = values.len();
        let values: BTreeMap<_, _> = values.into_iter().collect();
        assert_eq!(values.len(), count, "a key twice: {line}");
        (fields, values)
    }

    #[test]
    fn hostile_text_stays_in_its_value() {
        for text in testkit::HOSTILE {
            let (fields, values) = read(&line(&testkit::hostile(text)));
            assert_eq!(fields[..6], ["CEF:0", "zonewatch", "zonewatch", VERSION, "ZC005", "object-not-listed"]);
            for key in ["shost", "smac", "msg", "dvchost", "cs1", "cs3"] {
                assert_eq!(values.get(key).map_or("", String::as_str), terminal(text), "{key} {text:?}");
            }
            assert_eq!(values["act"], "violation", "{text:?}");
        }
    }

    #[test]
    fn pipes_and_backslashes_in_the_header() {
        let Event { record: Record::Health(health), .. } = testkit::health() else { unreachable!() };
        let topic = "a|b\\c\n".to_owned();
        let event = Event { record: Record::Health(crate::event::Health { topic, ..health }), ..testkit::health() };
        assert_eq!(read(&line(&event)).0[5], "a|b\\c\\u{a}");
    }

    #[test]
    fn ipv6_and_length() {
        let mut event = testkit::hostile(&"é".repeat(9000));
        if let Record::Finding(finding) = &mut event.record {
            finding.src.ip = Some("2001:db8::5".into());
        }
        let (_, values) = read(&line(&event));
        assert_eq!(values["c6a2"], "2001:db8::5");
        assert_eq!(values.get("src"), None);
        assert_eq!((values["msg"].len(), values["cs1"].len()), (1022, 4000));
    }
}
