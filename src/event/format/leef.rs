//! IBM Log Event Extended Format, version 2.0: a header between pipes, then `key=value` between tabs.
//!
//! Keys are the predefined attributes of LEEF where there is one, else those of CEF. LEEF has no escapes: a delimiter in
//! a value is shown as `\u{..}`, like every other control character.

use std::fmt::Write as _;

use super::flat::{End, Flat};
use super::{NAME, milliseconds, severity_of_ten};
use crate::event::Event;
use crate::output::VERSION;
use crate::output::escape::terminal;

pub(super) fn line(event: &Event) -> String {
    let flat = Flat::of(event);
    // The sixth field is the delimiter, in hexadecimal.
    let mut out = format!("LEEF:2.0|{NAME}|{NAME}|{VERSION}|{}|x09|", terminal(&flat.code).replace('|', "_"));
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let [src, src_mac, src_name, src_zone] = texts(flat.source);
    let [dst, dst_mac, dst_name, dst_zone] = texts(flat.destination);
    let values = [
        // Milliseconds since the epoch need no devTimeFormat.
        ("devTime", number(Some(milliseconds(event.time.nanos())))),
        ("sev", Some(severity_of_ten(event.band).to_string())),
        ("cat", Some(flat.category.to_owned())),
        ("name", Some(flat.name)),
        ("src", src),
        ("srcMAC", src_mac),
        ("identHostName", src_name),
        ("dst", dst),
        ("dstMAC", dst_mac),
        ("dstHostName", dst_name),
        ("dstPort", flat.port.map(|port| port.to_string())),
        ("proto", flat.transport),
        ("usrName", flat.user),
        ("app", flat.application.map(str::to_owned)),
        ("act", flat.verdict.map(str::to_owned)),
        ("cnt", flat.count.map(|count| count.to_string())),
        ("start", number(flat.first)),
        ("end", number(flat.last)),
        ("msg", Some(event.message())),
        ("externalId", Some(event.id())),
        ("deviceExternalId", Some(event.sensor.clone())),
        ("site", Some(event.site.clone())),
        ("srcZone", src_zone),
        ("dstZone", dst_zone),
        ("conduit", flat.conduit),
        ("operation", flat.operation),
        ("changes", flat.changes),
        ("attack", flat.techniques),
        ("requirement", flat.requirements),
        ("score", Some(event.score.to_string())),
    ];
    let known = values.into_iter().filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)));
    for (place, (key, value)) in known.enumerate() {
        let _ = write!(out, "{}{key}={}", if place == 0 { "" } else { "\t" }, terminal(&value));
    }
    out
}

fn texts(end: End) -> [Option<String>; 4] {
    [end.ip, end.mac, end.name, end.zone]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::testkit;

    #[test]
    fn examples() {
        for (event, want) in [
            (
                testkit::finding(),
                "LEEF:2.0|zonewatch|zonewatch|0.1.0|ZC005|x09|devTime=1794824100123\tsev=8\tcat=violation\t\
                 name=object-not-listed\tsrc=10.60.0.10\tsrcMAC=00:00:5e:00:53:01\tidentHostName=scada-1\t\
                 dst=10.20.1.5\tdstMAC=00:00:5e:00:53:02\tdstHostName=plc-b1\tdstPort=502\tproto=tcp\tapp=modbus\t\
                 act=violation\tcnt=14\tstart=1794823080000\tend=1794824100123\tmsg=scada-1 wrote holding registers \
                 200-201 of plc-b1; conduit C-031 allows 100-119 only.\texternalId=V-gkh2al3yyoxc5ymh.3\t\
                 deviceExternalId=sensor-1\tsite=north-mill\tsrcZone=supervision\tdstZone=cell-b\tconduit=C-031\t\
                 operation=write: write multiple registers: holding 200-201\tattack=T0836\t\
                 requirement=IEC 62443-3-3 SR 2.1\tscore=64",
            ),
            (
                testkit::health(),
                "LEEF:2.0|zonewatch|zonewatch|0.1.0|health|x09|devTime=1794824100123\tsev=5\tcat=health\t\
                 name=capture-loss\tmsg=The kernel dropped 12 of 1000 frames in the last minute.\t\
                 externalId=H-capture-loss.7\tdeviceExternalId=sensor-1\tsite=north-mill\tscore=45",
            ),
        ] {
            assert_eq!(line(&event), want);
        }
    }

    #[test]
    fn hostile_text_stays_in_its_value() {
        for text in testkit::HOSTILE {
            let line = line(&testkit::hostile(text));
            let fields: Vec<&str> = line.splitn(7, '|').collect();
            assert_eq!(fields[..6], ["LEEF:2.0", "zonewatch", "zonewatch", VERSION, "ZC005", "x09"]);
            let pairs: Vec<_> = fields[6].split('\t').map(|pair| pair.split_once('=').unwrap()).collect();
            let values: BTreeMap<&str, &str> = pairs.iter().copied().collect();
            assert_eq!(values.len(), pairs.len(), "a key twice: {line}");
            for key in ["identHostName", "srcZone", "conduit", "msg", "site"] {
                assert_eq!(values.get(key).copied().unwrap_or(""), terminal(text), "{key} {text:?}");
            }
            assert_eq!(values["act"], "violation", "{text:?}");
        }
    }
}
