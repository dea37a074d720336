//! Tables of bytes and what is seen in them, and laws of pairing.

use std::fmt::Write;

use proptest::prelude::*;

use super::{Modbus, ModbusRtu};
use crate::{
    Carrier, Direction, Framing, Limits, Pdu, Probe, Protocol, Role,
    testkit::{self, hex},
};

use Direction::{ToClient, ToServer};

/// A conversation in turns, `>` from the client and `<` from the server, as one line for each observation.
fn talk(turns: &str) -> Vec<String> {
    let turns: Vec<_> = turns
        .lines()
        .map(|line| match line.trim().split_at(1) {
            (">", bytes) => (ToServer, hex(bytes)),
            ("<", bytes) => (ToClient, hex(bytes)),
            _ => panic!("no direction in {line}"),
        })
        .collect();
    let turns: Vec<_> = turns.iter().map(|(direction, bytes)| (*direction, bytes.as_slice())).collect();
    testkit::feed(&Modbus, &turns)
}

fn check(rows: &[(&str, &str, &[&str])]) {
    for (case, turns, want) in rows {
        assert_eq!(talk(turns), *want, "{case}");
    }
}

/// An ADU of unit 17 with the transaction id 1: the PDU in hex.
fn adu(pdu: &str) -> String {
    let pdu = hex(pdu);
    let mut text = format!("0001 0000 {:04x} 11 ", pdu.len() + 1);
    for byte in pdu {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Rows of a request's and a reply's PDU, with what is seen in both.
fn check_exchanges(rows: &[(&str, &str, &str, &[&str])]) {
    for (case, request, reply, want) in rows {
        let mut turns = format!(">{}", adu(request));
        if !reply.is_empty() {
            let _ = write!(turns, "\n<{}", adu(reply));
        }
        assert_eq!(talk(&turns), *want, "{case}");
    }
}

#[test]
fn every_function() {
    check_exchanges(&[
        (
            "read ten coils",
            "01 0013 000a",
            "01 02 cd01",
            &["ask modbus/17 0x1 read coil 19-28", "answer modbus/17 0x1 read coil 19-28"],
        ),
        (
            "read discrete inputs",
            "02 00c4 0016",
            "02 03 acdb35",
            &["ask modbus/17 0x2 read discrete 196-217", "answer modbus/17 0x2 read discrete 196-217"],
        ),
        (
            "read three holding registers",
            "03 006b 0003",
            "03 06 022b 0000 0064",
            &["ask modbus/17 0x3 read holding 107-109", "answer modbus/17 0x3 read holding 107-109"],
        ),
        (
            "read input registers, refused",
            "04 0008 0001",
            "84 02",
            &["ask modbus/17 0x4 read input 8-8", "refuse:0x2 modbus/17 0x4 read input 8-8"],
        ),
        (
            "write single coil",
            "05 00ac ff00",
            "05 00ac ff00",
            &["ask modbus/17 0x5 write coil 172-172", "answer modbus/17 0x5 write coil 172-172"],
        ),
        (
            "write single register",
            "06 0001 0003",
            "06 0001 0003",
            &["ask modbus/17 0x6 write holding 1-1", "answer modbus/17 0x6 write holding 1-1"],
        ),
        ("read exception status", "07", "07 6d", &["ask modbus/17 0x7 diagnostic", "answer modbus/17 0x7 diagnostic"]),
        (
            "return query data",
            "08 0000 a537",
            "08 0000 a537",
            &["ask modbus/17 0x1000008 diagnostic", "answer modbus/17 0x1000008 diagnostic"],
        ),
        (
            "restart communications",
            "08 0001 ff00",
            "08 0001 ff00",
            &["ask modbus/17 0x1000108 restart", "answer modbus/17 0x1000108 restart"],
        ),
        ("force listen only mode", "08 0004 0000", "", &["ask modbus/17 0x1000408 mode"]),
        (
            "clear counters, refused: the exception does not repeat the sub-function, its request did",
            "08 000a 0000",
            "88 01",
            &["ask modbus/17 0x1000a08 admin", "refuse:0x1 modbus/17 0x1000a08 admin"],
        ),
        (
            "reserved diagnostics sub-function",
            "08 0063 0000",
            "88 01",
            &["ask modbus/17 0x1006308 unknown", "refuse:0x1 modbus/17 0x1006308 unknown"],
        ),
        (
            "comm event counter",
            "0b",
            "0b ffff 0108",
            &["ask modbus/17 0xb diagnostic", "answer modbus/17 0xb diagnostic"],
        ),
        (
            "comm event log",
            "0c",
            "0c 08 0000 0108 0121 2000",
            &["ask modbus/17 0xc diagnostic", "answer modbus/17 0xc diagnostic"],
        ),
        ("program controller", "0d 01", "8d 01", &["ask modbus/17 0xd program", "refuse:0x1 modbus/17 0xd program"]),
        (
            "write ten coils",
            "0f 0013 000a 02 cd01",
            "0f 0013 000a",
            &["ask modbus/17 0xf write coil 19-28", "answer modbus/17 0xf write coil 19-28"],
        ),
        (
            "write two registers",
            "10 0001 0002 04 000a 0102",
            "10 0001 0002",
            &["ask modbus/17 0x10 write holding 1-2", "answer modbus/17 0x10 write holding 1-2"],
        ),
        (
            "report server id",
            "11",
            "11 0c 02ff 41434d45206d65746572",
            &[
                "ask modbus/17 0x11 discovery",
                "modbus/17 raw-identity=ACME meter",
                "modbus/17 status=run indicator on",
                "answer modbus/17 0x11 discovery",
            ],
        ),
        (
            "read two groups of file records",
            "14 0e 06 0004 0001 0002 06 0003 0009 0002",
            "14 0c 05 06 0dfe 0020 05 06 33cd 0040",
            &[
                "ask modbus/17 0x14 file-read file 4:1+2,file 3:9+2",
                "answer modbus/17 0x14 file-read file 4:1+2,file 3:9+2",
            ],
        ),
        (
            "write a file record",
            "15 0d 06 0004 0007 0003 06af 04be 100d",
            "15 0d 06 0004 0007 0003 06af 04be 100d",
            &["ask modbus/17 0x15 file-write file 4:7+3", "answer modbus/17 0x15 file-write file 4:7+3"],
        ),
        (
            "mask write register",
            "16 0004 00f2 0025",
            "16 0004 00f2 0025",
            &["ask modbus/17 0x16 write holding 4-4", "answer modbus/17 0x16 write holding 4-4"],
        ),
        (
            "read/write multiple registers: what is written comes first",
            "17 0003 0006 000e 0003 06 00ff 00ff 00ff",
            "17 0c 00fe 0acd 0001 0003 000d 00ff",
            &[
                "ask modbus/17 0x17 write holding 14-16,holding 3-8",
                "answer modbus/17 0x17 write holding 14-16,holding 3-8",
            ],
        ),
        (
            "read FIFO queue",
            "18 04de",
            "18 0006 0002 01b8 1284",
            &["ask modbus/17 0x18 read holding 1246-1246", "answer modbus/17 0x18 read holding 1246-1246"],
        ),
        (
            "CANopen general reference",
            "2b 0d 00",
            "2b 0d 00 00",
            &["ask modbus/17 0x1000d2b config", "answer modbus/17 0x1000d2b config"],
        ),
        ("user-defined code 101", "65 0102", "65 03", &["ask modbus/17 0x65 unknown", "answer modbus/17 0x65 unknown"]),
        (
            "firmware replacement",
            "7d 01",
            "fd 01",
            &["ask modbus/17 0x7d firmware", "refuse:0x1 modbus/17 0x7d firmware"],
        ),
        (
            "unassigned code 29",
            "1d 00000000",
            "9d 01",
            &["ask modbus/17 0x1d unknown", "refuse:0x1 modbus/17 0x1d unknown"],
        ),
    ]);
}

#[test]
fn device_identification() {
    check_exchanges(&[
        (
            "basic: the product code is the model",
            "2b 0e 01 00",
            "2b 0e 01 83 00 00 03  00 04 41434d45  01 05 504d352030  02 04 76322e31",
            &[
                "ask modbus/17 0x1000e2b discovery",
                "modbus/17 vendor=ACME",
                "modbus/17 model=PM5 0",
                "modbus/17 firmware=v2.1",
                "answer modbus/17 0x1000e2b discovery",
            ],
        ),
        (
            "regular: the model name is the model, padding is no text",
            "2b 0e 02 00",
            "2b 0e 02 82 00 00 06  01 02 5031  03 02 7777  04 03 466f6f  05 04 4d312000  06 02 5431  07 01 41",
            &[
                "ask modbus/17 0x1000e2b discovery",
                "modbus/17 product-code=P1",
                "modbus/17 url=ww",
                "modbus/17 product=Foo",
                "modbus/17 model=M1",
                "modbus/17 name=T1",
                "modbus/17 raw-identity=0x07=A",
                "answer modbus/17 0x1000e2b discovery",
            ],
        ),
        (
            "more follows, private object in binary",
            "2b 0e 03 80",
            "2b 0e 03 03 ff 81 01  80 02 00ff",
            &[
                "ask modbus/17 0x1000e2b discovery",
                "modbus/17 raw-identity=0x80=00ff",
                "answer modbus/17 0x1000e2b discovery",
            ],
        ),
        (
            "an object longer than the PDU: what came before it stays",
            "2b 0e 01 00",
            "2b 0e 01 01 00 00 02  00 02 4142  01 09 4142",
            &[
                "ask modbus/17 0x1000e2b discovery",
                "modbus/17 vendor=AB",
                "anomaly@20 shorter than its function needs",
                "answer modbus/17 0x1000e2b discovery",
            ],
        ),
        (
            "nonsense in the header",
            "2b 0e 07 00",
            "2b 0e 07 04 01 00 00",
            &[
                "anomaly@9 read device id code is not 1 to 4",
                "ask modbus/17 0x1000e2b discovery",
                "anomaly@9 read device id code is not 1 to 4",
                "anomaly@10 conformity level is not defined",
                "anomaly@11 more follows is neither 0x00 nor 0xFF",
                "answer modbus/17 0x1000e2b discovery",
            ],
        ),
        (
            "server id as text throughout, run indicator at the end",
            "11",
            "11 08 41434d4520763aff",
            &["ask modbus/17 0x11 discovery", "modbus/17 raw-identity=ACME v:", "answer modbus/17 0x11 discovery"],
        ),
    ]);
}

#[test]
fn umas() {
    check(&[
        (
            "READ_ID",
            ">0000 0000 0004 00 5a 00 02\n<0000 0000 0027 00 5a 00 fe 10ff 5a010100 0000 7002 0000 2700 0900 08000000 0000 \
             0a 43505520333131203130 0000",
            &[
                "ask 0x100025a discovery",
                "vendor=Schneider Electric",
                "model=CPU 311 10",
                "firmware=2.70",
                "role=plc (90 % UMAS READ_ID answer)",
                "answer 0x100025a discovery",
            ],
        ),
        (
            "stop, refused",
            ">0001 0000 0006 00 5a 01 41 ff00\n<0001 0000 0005 00 5a 01 fd 81",
            &["ask 0x100415a mode", "refuse:0x81 0x100415a mode"],
        ),
        (
            "a reservation names the engineering host",
            ">0002 0000 000c 00 5a 00 10 434c0000 03 454e47\n<0002 0000 0005 00 5a 00 fe 01",
            &[
                "hostname=ENG",
                "role=engineering-workstation (85 % UMAS reservation)",
                "ask 0x100105a admin",
                "answer 0x100105a admin",
            ],
        ),
        (
            "project name",
            ">0003 0000 0005 00 5a 00 03 00\n<0003 0000 0030 00 5a 00 fe 020500009888010000 020500009888010000 \
             020c3b0c0e01de07 020c3b0c0e01de07 08000000 05 4c696e6500",
            &["ask 0x100035a read", "name=Line", "answer 0x100035a read"],
        ),
        ("unknown code", ">0004 0000 0004 00 5a 00 99", &["ask 0x100995a unknown"]),
        ("a reply alone does not say to what", "<0005 0000 0004 00 5a 01 fe", &["answer 0x5a unknown"]),
    ]);
    let long = format!("0007 0000 00ff 00 5a 00 0a {}", "54".repeat(251));
    assert_eq!(talk(&format!(">{long}")), ["ask 0x1000a5a diagnostic"], "longer than Modbus allows");
}

#[test]
fn out_of_specification() {
    check_exchanges(&[
        (
            "byte count of 3 for two registers",
            "10 0001 0002 03 000a01",
            "",
            &["anomaly@12 byte count is not 2 x quantity", "ask modbus/17 0x10 write holding 1-2"],
        ),
        ("quantity 0", "03 0001 0000", "", &["anomaly@10 quantity is out of range", "ask modbus/17 0x3 read"]),
        (
            "quantity above the maximum",
            "03 0001 007e",
            "",
            &["anomaly@10 quantity is out of range", "ask modbus/17 0x3 read holding 1-126"],
        ),
        (
            "range past the last address",
            "03 fffe 0004",
            "",
            &["anomaly@8 range goes past address 65535", "ask modbus/17 0x3 read holding 65534-65535"],
        ),
        (
            "coil value 0x0001, and the next request is read as well",
            "05 0001 0001",
            "85 03",
            &[
                "anomaly@10 coil value is neither 0x0000 nor 0xFF00",
                "ask modbus/17 0x5 write coil 1-1",
                "refuse:0x3 modbus/17 0x5 write coil 1-1",
            ],
        ),
        (
            "reply of another length than was asked",
            "03 0001 0002",
            "03 02 0001",
            &[
                "ask modbus/17 0x3 read holding 1-2",
                "anomaly@8 reply does not fit its request",
                "answer modbus/17 0x3 read holding 1-2",
            ],
        ),
        (
            "reply that echoes another address",
            "06 0001 0002",
            "06 0003 0002",
            &[
                "ask modbus/17 0x6 write holding 1-1",
                "anomaly@8 reply does not fit its request",
                "answer modbus/17 0x6 write holding 1-1",
            ],
        ),
        (
            "request too short",
            "03 0001 00",
            "",
            &["anomaly@8 shorter than its function needs", "ask modbus/17 0x3 read"],
        ),
        ("request too long", "07 0000", "", &["anomaly@8 bytes after the end", "ask modbus/17 0x7 diagnostic"]),
        (
            "exception code 9, and one byte too many",
            "03 0001 0001",
            "83 09 00",
            &[
                "ask modbus/17 0x3 read holding 1-1",
                "anomaly@8 exception code is not defined",
                "anomaly@9 bytes after the end",
                "refuse:0x9 modbus/17 0x3 read holding 1-1",
            ],
        ),
        (
            "an exception from the side that asks, and one byte too many: the bytes are right",
            "81 06 00",
            "",
            &["anomaly@9 bytes after the end", "refuse:0x6 modbus/17 0x1 read"],
        ),
        (
            "a scan of function codes comes to those of exceptions",
            "81 0000",
            "",
            &["anomaly@7 function code of an exception in a request", "ask modbus/17 0x81 unknown"],
        ),
        (
            "reference type 7, file 0, record above 9999",
            "14 07 07 0000 2710 0001",
            "",
            &[
                "anomaly@9 reference type is not 6",
                "anomaly@10 file number is 0",
                "anomaly@12 record number is above 9999",
                "ask modbus/17 0x14 file-read file 0:10000+1",
            ],
        ),
        ("function 0", "00 00", "", &["anomaly@7 function code is 0", "ask modbus/17 0x0 unknown"]),
        (
            "diagnostics without a sub-function",
            "08",
            "",
            &["anomaly@8 shorter than its function needs", "ask modbus/17 0x8 unknown"],
        ),
        (
            "data field of a counter",
            "08 000b 0001",
            "",
            &["anomaly@10 data field is not what the sub-function allows", "ask modbus/17 0x1000b08 diagnostic"],
        ),
        (
            "FIFO of 32 registers",
            "18 0001",
            "18 0042 0020 00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            &[
                "ask modbus/17 0x18 read holding 1-1",
                "anomaly@10 FIFO count is above 31",
                "answer modbus/17 0x18 read holding 1-1",
            ],
        ),
    ]);
    // The framer lets neither through; a datagram may.
    for (case, bytes, want) in [
        (
            "protocol identifier 1",
            "0001 0001 0002 ff 07",
            vec!["anomaly@2 protocol identifier is not 0", "ask 0x7 diagnostic"],
        ),
        (
            "length field too large",
            "0001 0000 0003 ff 07",
            vec!["anomaly@4 length field does not match the bytes", "ask 0x7 diagnostic"],
        ),
        ("no function code", "0001 0000 0001 ff", vec!["anomaly@0 shorter than its function needs"]),
    ] {
        let mut session = Modbus.session(&Limits::default());
        assert_eq!(testkit::dissect(&mut *session, ToServer, Carrier::Udp, &hex(bytes)), want, "{case}");
    }
}

#[test]
fn pairing() {
    check(&[
        (
            "several PDUs in a segment, one transaction id, two units",
            ">0000 0000 0006 01 03 0000 0001  0000 0000 0006 02 03 0064 0002  0000 0000 0006 01 03 000a 0001\n\
             <0000 0000 0007 02 03 04 0001 0002  0000 0000 0005 01 03 02 0001  0000 0000 0003 01 83 02",
            &[
                "ask modbus/1 0x3 read holding 0-0",
                "ask modbus/2 0x3 read holding 100-101",
                "ask modbus/1 0x3 read holding 10-10",
                "answer modbus/2 0x3 read holding 100-101",
                "answer modbus/1 0x3 read holding 0-0",
                "refuse:0x2 modbus/1 0x3 read holding 10-10",
            ],
        ),
        (
            "a request that was never answered does not shift the rest",
            ">0000 0000 0006 01 03 0000 0001\n>0000 0000 0006 01 03 0064 0002\n<0000 0000 0007 01 03 04 0001 0002\n\
             >0000 0000 0006 01 03 0000 0001\n<0000 0000 0005 01 03 02 0001",
            &[
                "ask modbus/1 0x3 read holding 0-0",
                "ask modbus/1 0x3 read holding 100-101",
                "answer modbus/1 0x3 read holding 100-101",
                "ask modbus/1 0x3 read holding 0-0",
                "answer modbus/1 0x3 read holding 0-0",
            ],
        ),
        (
            "replies alone",
            "<0001 0000 0005 ff 03 02 0001\n<0002 0000 0006 ff 08 0001 0000\n<0003 0000 0003 ff ab 01",
            &["answer 0x3 read", "answer 0x1000108 restart", "refuse:0x1 0x2b unknown"],
        ),
        (
            "a gateway says that it is one, of itself",
            ">0001 0000 0006 05 03 0000 0001\n<0001 0000 0003 05 83 0b",
            &[
                "ask modbus/5 0x3 read holding 0-0",
                "role=gateway (85 % Modbus exception 0x0B, gateway target failed to respond)",
                "refuse:0xb modbus/5 0x3 read holding 0-0",
            ],
        ),
        (
            "joined in the middle with the direction guessed wrong: shapes tell, and the echo of a write follows them",
            "<0001 0000 0006 01 03 0000 0002\n>0001 0000 0007 01 03 04 0001 0002\n<0002 0000 0006 01 06 0000 0001\n\
             >0002 0000 0006 01 06 0000 0001",
            &[
                "ask modbus/1 0x3 read holding 0-1",
                "answer modbus/1 0x3 read holding 0-1",
                "ask modbus/1 0x6 write holding 0-0",
                "answer modbus/1 0x6 write holding 0-0",
            ],
        ),
        (
            "a client that sends what looks like a reply stays a client",
            ">0001 0000 0006 01 03 0000 0001\n<0001 0000 0005 01 03 02 0001\n>0002 0000 0005 01 03 02 0001",
            &[
                "ask modbus/1 0x3 read holding 0-0",
                "answer modbus/1 0x3 read holding 0-0",
                "anomaly@8 shorter than its function needs",
                "ask modbus/1 0x3 read",
            ],
        ),
    ]);
}

#[test]
fn what_the_snap_length_cut_off_is_no_anomaly() {
    for (case, bytes, cut, want) in [
        ("values of a write", "0001 0000 000b ff 10 0001 0002 04", 4, "ask 0x10 write holding 1-2"),
        ("quantity of a read", "0001 0000 0006 ff 03 0001", 2, "ask 0x3 read"),
        ("read range of a read and write", "0001 0000 000d ff 17 0001 0002", 7, "ask 0x17 write holding 1-2"),
        ("second file record", "0001 0000 0011 ff 14 0e 06 0004 0001 0002 06 0003", 4, "ask 0x14 file-read file 4:1+2"),
    ] {
        let mut out = testkit::Lines::default();
        let pdu = Pdu { bytes: &hex(bytes), direction: ToServer, carrier: Carrier::Tcp, cut };
        Modbus.session(&Limits::default()).pdu(pdu, &mut out);
        assert_eq!(out.0, [want], "{case}");
    }
}

#[test]
fn a_gap_forgets_requests_only_when_replies_were_lost() {
    for (lost, want) in [(ToServer, "answer modbus/1 0x3 read holding 0-0"), (ToClient, "answer modbus/1 0x3 read")] {
        let mut session = Modbus.session(&Limits::default());
        testkit::dissect(&mut *session, ToServer, Carrier::Tcp, &hex("0000 0000 0006 01 03 0000 0001"));
        session.gap(lost);
        let reply = hex("0000 0000 0005 01 03 02 0001");
        assert_eq!(testkit::dissect(&mut *session, ToClient, Carrier::Tcp, &reply), [want], "{lost:?}");
    }
}

#[test]
fn outstanding_requests_are_bounded() {
    let limits = Limits { outstanding: 2, ..Limits::default() };
    let mut session = Modbus.session(&limits);
    let mut say = |direction, bytes: &str| testkit::dissect(&mut *session, direction, Carrier::Tcp, &hex(bytes));
    for id in 1..=3 {
        say(ToServer, &format!("000{id} 0000 0006 01 03 0000 0001"));
    }
    assert_eq!(say(ToClient, "0001 0000 0005 01 03 02 0001"), ["answer modbus/1 0x3 read"], "the oldest is forgotten");
    assert_eq!(say(ToClient, "0002 0000 0005 01 03 02 0001"), ["answer modbus/1 0x3 read holding 0-0"]);
}

#[test]
fn probe_tcp() {
    const CLIENT: Probe = Probe::Yes { sender: Some(Role::Client) };
    const SERVER: Probe = Probe::Yes { sender: Some(Role::Server) };
    const YES: Probe = Probe::Yes { sender: None };
    for (case, head, want) in [
        ("nothing", "", Probe::NeedAtLeast(6)),
        ("header alone", "0001 0000 0006", Probe::NeedAtLeast(8)),
        ("read request", "0001 0000 0006 01 03 0000 000a", CLIENT),
        ("read request, address still to come", "0001 0000 0006 01 03", Probe::NeedAtLeast(9)),
        ("two requests in the segment", "0001 0000 0006 01 03 0000 000a 0002 0000 0006 01 03 0000 000a", CLIENT),
        ("read response, its end in another segment", "0001 0000 0017 01 03 14 0001", SERVER),
        ("ambiguous read of coils", "0001 0000 0006 01 01 0300 000a", YES),
        ("write request", "0001 0000 000b 11 10 0001 0002 04 000a0102", CLIENT),
        ("write response", "0001 0000 0006 11 10 0001 0002", SERVER),
        ("echo of a single write", "0001 0000 0006 11 06 0001 0002", YES),
        ("exception", "0001 0000 0003 11 83 02", SERVER),
        ("exception code that is none", "0001 0000 0003 11 83 7f", Probe::No),
        ("quantity 0 in a segment of its own", "0001 0000 0006 01 03 0000 0000", CLIENT),
        ("quantity 0 and bytes that are no PDU", "0001 0000 0006 01 03 0000 0000 414243444546", Probe::No),
        ("device identification", "0001 0000 0005 01 2b 0e 01 00", CLIENT),
        ("unassigned function in a segment of its own", "0000 0000 0006 01 1d 00000000", YES),
        ("unassigned function, more to come", "0000 0000 0008 01 1d 00000000", Probe::NeedAtLeast(14)),
        ("RTU: two registers from 0, whose quantity stands where the length would", "01 03 0000 0002 c40b", Probe::No),
        ("UMAS", "0000 0000 0004 00 5a 00 02", CLIENT),
        ("UMAS and the start of another PDU", "0000 0000 0004 00 5a 00 02 0001 0000", Probe::NeedAtLeast(16)),
        ("UMAS answer", "0000 0000 0004 00 5a 00 fe", SERVER),
        ("read request too long, in a segment of its own", "0001 0000 0008 01 03 0000 000a 0000", YES),
        (
            "read request too long, and bytes that are no PDU",
            "0001 0000 0008 01 03 0000 000a 0000 0100 00ea 6000",
            Probe::No,
        ),
        ("scan that starts with function 0", "0000 0000 0006 01 00 00000000", YES),
        (
            "a long PDU of a length that its function does not allow",
            "0001 0000 0016 01 03 0000 0001 00000000000000000000000000000000",
            Probe::No,
        ),
        ("UMAS, longer than Modbus allows", &format!("0007 0000 00ff 00 5a 00 0a {}", "54".repeat(251)), CLIENT),
        ("LDAP search, BER with a long length", "3084 00000010 02 01 02 61 84 00000007 0a01 0004 0004 00", Probe::No),
        ("DICOM release", "0500 00000004 00000000", Probe::No),
        (
            "DICOM associate",
            "0100 0000 001e 0001 0000 41424344202020202020202020202020 4546474820202020 0000",
            Probe::No,
        ),
        (
            "IPv6 in UDP, a datagram that will not grow",
            "6000 0000 000c 3a 3a 20014860000020010000000000000068 20010000413700000000000000000000",
            Probe::NeedAtLeast(128),
        ),
        ("blanks", "0400 0000 0013 20202020202020202020202020202020202020", Probe::No),
        ("HTTP", "474554202f20485454502f312e31", Probe::No),
        ("TLS", "1603010085010000810303", Probe::No),
        ("SSH", "5353482d322e302d4f70656e535348", Probe::No),
        ("TPKT with a cookie", "0300002b26e00000000000436f6f6b69653a", Probe::No),
        ("DCE/RPC", "05000b0310000000480000000100000000", Probe::No),
        ("RPC record", "800000287e86ab4a0000000000000002", Probe::No),
        ("EtherNet/IP ListServices", "040000000000000000000000000000000000000000000000", Probe::No),
        ("IEC 104 first I frame", "680e0000000064010600", Probe::No),
        ("HART-IP session initiate", "0100 0000 0002 000d 01 0000ea60", Probe::No),
    ] {
        assert_eq!(Modbus.probe(&hex(head)), want, "{case}");
    }
}

#[test]
fn rtu() {
    for (case, frame, sender) in [
        ("read request", "11 03 006b 0003 7687", Some(Role::Client)),
        ("read response", "11 03 06 ae41 5652 4340 49ad", Some(Role::Server)),
        ("write request", "11 10 0001 0002 04 000a 0102 c6f0", Some(Role::Client)),
        ("write response", "11 10 0001 0002 1298", Some(Role::Server)),
        ("exception", "0a 81 02 b053", Some(Role::Server)),
        ("echo of a single write", "11 06 0001 0003 9a9b", None),
    ] {
        let frame = hex(frame);
        assert_eq!(ModbusRtu.frame(&frame), Framing::Pdu(frame.len()), "{case}");
        assert_eq!(ModbusRtu.probe(&frame), Probe::Yes { sender }, "{case}");
        assert!(matches!(Modbus.probe(&frame), Probe::No | Probe::NeedAtLeast(_)), "{case}");
    }
    for (case, head) in [
        ("wrong CRC", "11 03 006b 0003 7688"),
        ("ROC, which has the same CRC", "0102030406003a2f"),
        ("Modbus TCP", "0001 0000 0006 01 03 0000 000a"),
        ("HTTP", "474554202f20485454502f312e31"),
        ("TLS", "1603010085010000810303"),
    ] {
        assert_eq!(ModbusRtu.probe(&hex(head)), Probe::No, "{case}");
    }
    let turns = [(ToServer, hex("11 03 006b 0003 7687")), (ToClient, hex("11 03 06 ae41 5652 4340 49ad"))];
    let turns = [(turns[0].0, turns[0].1.as_slice()), (turns[1].0, turns[1].1.as_slice())];
    let want = ["ask modbus/17 0x3 read holding 107-109", "answer modbus/17 0x3 read holding 107-109"];
    assert_eq!(testkit::feed(&ModbusRtu, &turns), want);
}

#[test]
fn long_texts_are_cut() {
    let mut session = Modbus.session(&Limits { text: 4, ..Limits::default() });
    let reply = hex("0001 0000 000f ff 2b 0e 01 01 00 00 01 00 05 4142 43 c3a9");
    let got = testkit::dissect(&mut *session, ToClient, Carrier::Tcp, &reply);
    assert_eq!(got, ["vendor=ABC", "answer 0x1000e2b discovery"], "not through the middle of a letter");
}

proptest! {
    /// Whatever a PDU holds, it is one operation, in whichever direction: nothing is lost and nothing made up.
    #[test]
    fn a_pdu_is_an_operation(
        pdus in prop::collection::vec(
            (any::<bool>(), 0u8..130, prop::collection::vec(any::<u8>(), 0..40), 0usize..20), 1..20),
    ) {
        let mut session = Modbus.session(&Limits::default());
        for (to_server, function, data, cut) in pdus {
            let mut bytes = vec![0, 1, 0, 0, 0, u8::try_from(data.len() + 2).unwrap(), 1, function];
            bytes.extend(&data);
            let cut = cut.min(data.len());
            let mut out = testkit::Lines::default();
            let direction = if to_server { ToServer } else { ToClient };
            session.pdu(Pdu { bytes: &bytes[..bytes.len() - cut], direction, carrier: Carrier::Tcp, cut }, &mut out);
            let operation = |line: &&String| ["ask ", "answer ", "refuse:"].iter().any(|word| line.starts_with(word));
            prop_assert_eq!(out.0.iter().filter(operation).count(), 1, "{:?}", out.0);
        }
    }

    /// However many requests are under way, with whatever transaction ids, each reply gets the objects of its own
    /// request, as long as a server answers requests with the same key in order.
    #[test]
    fn pipelined_transactions_pair_right(
        requests in prop::collection::vec((0u16..3, 1u8..4, 1u8..5, any::<u16>()), 1..60),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let mut session = Modbus.session(&Limits::default());
        let mut waiting: Vec<(u16, u8, u8, u16)> = Vec::new();
        let mut requests = requests.into_iter();
        for choice in choices {
            if let Some((id, unit, function, address)) = requests.next() {
                let pdu = hex(&format!("{id:04x} 0000 0006 {unit:02x} {function:02x} {address:04x} 0001"));
                testkit::dissect(&mut *session, ToServer, Carrier::Tcp, &pdu);
                waiting.push((id, unit, function, address));
            }
            if waiting.is_empty() { break }
            // Any request under way may be answered, the first of its key first.
            let (id, unit, function, _) = waiting[choice.index(waiting.len())];
            if choice.index(3) == 0 { continue }
            let first = waiting.iter().position(|w| (w.0, w.1, w.2) == (id, unit, function)).unwrap();
            let (.., address) = waiting.remove(first);
            let count = if function < 3 { "01 00" } else { "02 0000" };
            let length = if function < 3 { 4 } else { 5 };
            let pdu = hex(&format!("{id:04x} 0000 {length:04x} {unit:02x} {function:02x} {count}"));
            let got = testkit::dissect(&mut *session, ToClient, Carrier::Tcp, &pdu);
            let space = ["coil", "discrete", "holding", "input"][usize::from(function) - 1];
            let want = format!("answer modbus/{unit} {function:#x} read {space} {address}-{address}");
            prop_assert_eq!(got, [want]);
        }
    }

    /// A conversation of RTU frames means the same wherever its segments are cut.
    #[test]
    fn rtu_in_any_cut(sizes in prop::collection::vec(1usize..12, 1..8)) {
        let asks = hex("11 03 006b 0003 7687 11 06 0001 0003 9a9b 11 03 006b 0003 7687");
        let answers = hex("11 03 06 ae41 5652 4340 49ad 11 06 0001 0003 9a9b 11 83 02 c134");
        let turns = [(ToServer, asks.as_slice()), (ToClient, answers.as_slice())];
        let got = testkit::feed(&ModbusRtu, &testkit::cut(&turns, &sizes));
        prop_assert_eq!(got.last().map(String::as_str), Some("refuse:0x2 modbus/17 0x3 read holding 107-109"));
        prop_assert_eq!(got.len(), 6);
    }
}
