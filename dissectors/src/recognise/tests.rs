use super::*;

/// Bytes as text with `\r\n`, or hex behind `#`.
fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix('#') {
        Some(hex) => {
            let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_else(|| panic!("{hex}")) as u8;
            digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
        }
        None => text.as_bytes().to_vec(),
    }
}

/// `name`, `name version`, with `...` when more may be told.
fn answer(carrier: Carrier, one: &str, other: &str) -> String {
    let (one, other) = (bytes(one), bytes(other));
    let show = |answer| {
        let (what, more) = match answer {
            Answer::Is(what) => (what, ""),
            Answer::Until(what) => (what, "..."),
        };
        format!("{} {}{more}", what.name, what.version.unwrap_or("")).trim().replace(" ...", "...")
    };
    let found = recognise(carrier, &[&one, &other]);
    assert!(found.is_none_or(|answer| NAMES.contains(&answer.recognised().name)), "{found:?}");
    let found = found.map_or("-".to_owned(), show);
    let turned = recognise(carrier, &[&other, &one]).map_or("-".to_owned(), show);
    assert_eq!(found, turned, "which side is which does not matter");
    found
}

const CLIENT_HELLO: &str = "#16 0301 0030 01 00002c 0303";
const RANDOM: &str = "00000000000000000000000000000000 00000000000000000000000000000000";

#[test]
fn streams() {
    let hello_1_2 = format!("#16 0303 002c 02 000028 0303 {RANDOM} 00 c02f 00 0000");
    let hello_1_3 = format!("#16 0303 0032 02 00002e 0303 {RANDOM} 00 1301 00 0006 002b 0002 0304");
    let hello_1_0 = format!("#16 0301 002a 02 000026 0301 {RANDOM} 00 002f 00");
    let smb2 = format!("#00 000080 fe534d42 4000 0000 00000000 0000 0100 01000000 {} 4100 0100 1103", "00".repeat(44));
    for (case, one, other, want) in [
        ("nothing", "", "", "-"),
        ("SSH, the server speaks first", "SSH-2.0-OpenSSH_9.2\r\n", "", "ssh 2"),
        ("SSH that also speaks 1", "SSH-1.99-x\r\n", "", "ssh 2"),
        ("SSH 1", "SSH-1.5-x\r\n", "", "ssh 1"),
        ("HTTP request", "GET /index.html HTTP/1.1\r\nHost: x\r\n", "", "http"),
        ("HTTP, first line cut off", "GET /a/very/long", "", "http"),
        ("HTTP reply alone", "", "HTTP/1.0 200 OK\r\n", "http"),
        ("a word that only begins like one", "GET down from there\r\n", "", "-"),
        ("RTSP", "OPTIONS rtsp://10.0.0.1/1 RTSP/1.0\r\n", "", "rtsp"),
        ("SIP", "INVITE sip:a@b SIP/2.0\r\n", "", "sip"),
        ("TLS, client only", CLIENT_HELLO, "", "tls..."),
        ("TLS 1.0", CLIENT_HELLO, &hello_1_0, "tls 1.0"),
        ("TLS 1.2", CLIENT_HELLO, &hello_1_2, "tls 1.2"),
        ("TLS 1.3 tells itself in an extension", CLIENT_HELLO, &hello_1_3, "tls 1.3"),
        ("TLS records, start not captured", "#17 0303 0004 01020304 17 0303 0004 01020304", "", "tls..."),
        ("one record says too little", "#17 0303 0004 01020304", "", "-"),
        ("S7", "#0300 0016 11 e0 00000001 00 c1020100 c2020102 c0010a 0300 0019 02 f080 32 01 0000 0000", "", "s7comm"),
        ("COTP connection, what for is not known", "#0300 0016 11 e0 00000001 00 c1020100 c2020102 c0010a", "", "-"),
        (
            "RDP by its cookie",
            "#0300 0022 1d e0 0000 0000 00 436f6f6b69653a206d737473686173683d 75736572 0d0a",
            "",
            "rdp",
        ),
        ("RDP by its negotiation", "#0300 0013 0e e0 0000 0000 00 01 00 0800 03000000", "", "rdp"),
        ("MMS", "#0300 001a 02 f080 0d 11 01020304 0605 28ca220201 0000", "", "mms"),
        ("SMB 1", "#00 000023 ff534d42 72", "#00 000023 ff534d42 72", "smb 1"),
        ("SMB, one side", "#00 000023 ff534d42 72", "", "smb..."),
        ("SMB 3.1.1", "#00 000023 fe534d42 40", &smb2, "smb 3"),
        ("IEC 104 start", "#68 04 07 00 00 00", "", "iec104"),
        ("IEC 104 data", "#68 0e 0200 0200 64 01 06 00 0100 000000 14", "", "iec104"),
        ("IEC 104, an acknowledgement alone", "#68 04 01 00 02 00", "", "-"),
        ("DNP3", "#05 64 05 c0 0100 0a00 e08c", "", "dnp3"),
        ("DNP3 start, wrong checksum", "#05 64 05 c0 0100 0a00 e18c", "", "-"),
        ("FTP by its greeting", "220 (vsFTPd 3.0.3)\r\n", "", "ftp"),
        ("a greeting that says nothing", "220 ready\r\n", "", "-"),
        ("FTP by its first command", "220 ready\r\n", "USER plant\r\n", "ftp"),
        ("SMTP", "220 mx ESMTP\r\n", "", "smtp"),
        ("SMTP by its first command", "", "EHLO mx\r\n", "smtp"),
        ("POP3", "+OK ready\r\n", "USER plant\r\n", "pop3"),
        ("VNC", "RFB 003.008\n", "", "vnc"),
        ("Telnet", "#fffd18 fffd20", "", "telnet"),
        ("MQTT", "#10 10 0004 4d515454 05 02 003c 00 0003 616263", "", "mqtt"),
        ("MQTT 3.1", "#10 8201 0006 4d5149736470 03", "", "mqtt"),
        ("MSRPC bind", "#05 00 0b 03 10000000 4800 0000", "", "msrpc"),
        ("Modbus is dissected, not recognised", "#0001 0000 0006 01 03 0000 000a", "", "-"),
        ("DNS over TCP", "#001d 1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001", "", "dns"),
        ("zeros", "#00000000000000000000000000000000", "", "-"),
    ] {
        assert_eq!(answer(Carrier::Tcp, one, other), want, "{case}");
    }
}

#[test]
fn datagrams() {
    let ntp_ask = format!("#23 00 06 ec {} e5f1000011111111", "00".repeat(36));
    let ntp_reply =
        format!("#24 02 06 ec {} e5f1000000000000 e5f1000011111111 e5f1000022222222 e5f1000033333333", "00".repeat(12));
    let netbios = "#1234 0110 0001 0000 0000 0000 20 4648464145424545434143414341434143414341434143414341434143414341 00 0020 0001";
    for (case, one, other, want) in [
        ("DNS", "#1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001", "", "dns"),
        ("DNS with something behind", "#1234 0100 0001 0000 0000 0000 01 61 00 0001 0001 00", "", "-"),
        ("NetBIOS name", netbios, "", "nbns"),
        ("SNMP 1", "#30 0f 02 01 00 04 06 7075626c6963 a0 02 0000", "", "snmp 1"),
        ("SNMP 2c", "#30 0f 02 01 01 04 06 7075626c6963 a0 02 0000", "", "snmp 2c"),
        ("SNMP 3", "#30 0a 02 01 03 30 03 02 01 05 0400", "", "snmp 3"),
        ("SNMP, length of something else", "#30 10 02 01 00 04 06 7075626c6963 a0 02 0000", "", "-"),
        ("NTP, asked and answered", &ntp_ask, &ntp_reply, "ntp"),
        ("NTP, asked alone: 48 bytes of anything look so", &ntp_ask, "", "-"),
        ("NTP, answered", "", &ntp_reply, "ntp"),
        ("BACnet who-is", "#81 0b 0008 01 00 10 08", "", "bacnet"),
        ("BACnet, length of something else", "#81 0b 0009 01 00 10 08", "", "-"),
        ("SSDP", "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n", "", "ssdp"),
        ("DTLS client", "#16 fefd 0000 000000000000 0030 01 000024 0000 000000 000024 fefd", "", "tls..."),
    ] {
        assert_eq!(answer(Carrier::Udp, one, other), want, "{case}");
    }
}

#[test]
fn stations() {
    let dnp3 = Recognised::industrial("dnp3");
    for (case, name, hex, want) in [
        ("to 1 from 10", &dnp3, "#05 64 05 c0 0100 0a00 e08c", Some([Some(1), Some(10)])),
        ("to all", &dnp3, "#05 64 05 c4 ffff 0a00 a521", Some([None, Some(10)])),
        ("wrong checksum", &dnp3, "#05 64 05 c0 0100 0a00 e18c", None),
        ("cut off", &dnp3, "#05 64 05 c0 0100 0a00 e0", None),
        ("another protocol", &Recognised::new("ssh"), "#05 64 05 c0 0100 0a00 e08c", None),
    ] {
        assert_eq!(told_stations(name, &bytes(hex)), want, "{case}");
    }
}

#[test]
fn frames() {
    for (case, ethertype, hex, want) in [
        ("DCP identify", 0x8892, "#fefe 05 00", Some("profinet-dcp")),
        ("cyclic data", 0x8892, "#8000 00", Some("profinet-rt")),
        ("GOOSE", 0x88B8, "#0001 0010 0000 0000 61 81", Some("goose")),
        ("GOOSE type, other content", 0x88B8, "#0001 0010 0000 0000 30 81", None),
        ("EtherCAT", 0x88A4, "#0e10 00", Some("ethercat")),
        ("another type", 0x0800, "#4500", None),
    ] {
        assert_eq!(recognise_frame(ethertype, &bytes(hex)).map(|it| it.name), want, "{case}");
    }
}
