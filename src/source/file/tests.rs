//! Files that are made here byte by byte, read back, cut and spoilt.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::source::tests::hex;

fn stored(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// All frames as text, and the summary.
fn read(bytes: &[u8]) -> Result<(Vec<String>, CaptureSummary), String> {
    let file = stored(bytes);
    let mut capture = CaptureFile::open(file.path()).map_err(|error| error.to_string())?;
    let (mut batch, mut frames) = (Batch::default(), Vec::new());
    while capture.fill(&mut batch) {
        for frame in batch.frames() {
            let data: String = frame.bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let cut = if frame.wire_len as usize > frame.bytes.len() { "+" } else { "" };
            frames.push(format!("{} {} {} {data}{cut}", frame.number, frame.at.nanos(), frame.link.0));
        }
    }
    Ok((frames, capture.summary()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// One frame of `len` bytes in a little-endian microsecond file.
fn long(len: u32) -> Vec<u8> {
    let mut bytes = hex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000");
    bytes.extend(hex("01000000 02000000"));
    bytes.extend(len.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    bytes.resize(bytes.len() + len as usize, 0xAB);
    bytes
}

const PCAP: &str = "d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000
    01000000 02000000 03000000 03000000 aabbcc
    02000000 04000000 01000000 09000000 dd";

/// Two sections of different byte order; two interfaces of different link type and resolution; all packet blocks.
const PCAPNG: &str = "
    0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000
    01000000 14000000 0100 0000 00000000 14000000
    01000000 2c000000 6500 0000 02000000  0900 0100 09000000  0e00 0800 0a00000000000000  0000 0000 2c000000
    05000000 10000000 00000000 10000000
    06000000 24000000 00000000 00000000 40420f00 03000000 03000000 aabbcc00 24000000
    06000000 24000000 01000000 00000000 00ca9a3b 02000000 09000000 ddee0000 24000000
    03000000 14000000 01000000 55000000 14000000
    02000000 24000000 0100 0000 00000000 01ca9a3b 01000000 01000000 66000000 24000000
    06000000 20000000 07000000 00000000 40420f00 00000000 00000000 20000000
    0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c
    00000001 00000014 0071 0000 00000002 00000014
    00000003 00000014 00000003 77880000 00000014";

/// RFC 1761: a record with padding, and one that was cut; 3 frames were dropped before it.
const SNOOP: &str = "736e6f6f70000000 00000002 00000004
    00000003 00000003 0000001c 00000000 00000001 00000002 aabbcc 00
    00000009 00000001 00000019 00000003 00000002 00000004 dd";

#[test]
fn formats() {
    let two = "1 1000002000 1 aabbcc | 2 2000004000 1 dd+";
    let big = "a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001
        00000001 00000002 00000003 00000003 aabbcc 00000002 00000004 00000001 00000009 dd";
    let nanos = "4d3cb2a1 0200 0400 00000000 00000000 00000400 65000000 01000000 02000000 01000000 01000000 aa";
    let modified = "34cdb2a1 0200 0400 00000000 00000000 00000400 01000000
        01000000 02000000 03000000 03000000 01000000 0800 00 00 aabbcc
        02000000 04000000 01000000 09000000 01000000 0800 00 00 dd";
    let check_sequence = "d4c3b2a1 0200 0400 00000000 00000000 00000400 01000024";
    let sections = "1 1000000000 1 aabbcc | 2 11000000000 101 ddee+ | 3 11000000000 1 55 | 4 11000000001 101 66 \
                    | 5 1000000000 65535  | 6 1000000000 113 7788+";
    for (case, bytes, want) in [
        ("pcap", hex(PCAP), two),
        ("pcap, big-endian", hex(big), two),
        ("pcap, nanoseconds, raw IP", hex(nanos), "1 1000000002 101 aa"),
        ("pcap, modified", hex(modified), two),
        ("pcap without frames, with check sequence bits", hex(check_sequence), ""),
        ("pcap, gzip", gzip(&hex(PCAP)), two),
        ("pcap, zstd", zstd(&hex(PCAP)), two),
        ("two gzip members", [gzip(&hex(PCAP)[..30]), gzip(&hex(PCAP)[30..])].concat(), two),
        (
            "zstd frames, the first and the third skippable",
            [hex("502a4d18 03000000 010203"), zstd(&hex(PCAP)[..50]), hex("5f2a4d18 00000000"), zstd(&hex(PCAP)[50..])]
                .concat(),
            two,
        ),
        ("pcapng", hex(PCAPNG), sections),
        ("snoop", hex(SNOOP), two),
        ("snoop, gzip", gzip(&hex(SNOOP)), two),
        ("snoop of FDDI, empty", hex("736e6f6f70000000 00000002 00000008"), ""),
        ("a frame as long as a block", long(MAX_FRAME), "1 1000002000 1 abababababababab"),
    ] {
        let (frames, summary) = read(&bytes).expect(case);
        assert_eq!((frames.join(" | ").as_str(), summary.damage), (want, None), "{case}");
    }
    let summary = read(&hex(PCAPNG)).unwrap().1;
    assert_eq!(summary.link_types, [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL]);
    assert_eq!((summary.frames, summary.bytes), (6, 3 + 9 + 1 + 1 + 3));
    assert_eq!((summary.first.unwrap().nanos(), summary.last.unwrap().nanos()), (1_000_000_000, 11_000_000_001));
}

#[test]
fn no_captures() {
    for (bytes, want) in [
        (hex(""), "the file is empty"),
        (hex("d4c3b2a1 0200 0400 0000"), "the capture ends inside its file header"),
        (hex("736e6f6f70000000 000000"), "the capture ends inside its file header"),
        (
            hex("736e6f6f70000000 00000001 00000004"),
            "not a pcap, pcapng or snoop capture: it looks like a snoop capture of another version",
        ),
        (hex("0a0d0d0a 1c00"), "the capture ends inside its file header"),
        (b"%PDF-1.7".to_vec(), "not a pcap, pcapng or snoop capture: it looks like a PDF document"),
        (b"zone, conduit\n".to_vec(), "not a pcap, pcapng or snoop capture: it looks like text"),
        (hex("00010203"), "not a pcap, pcapng or snoop capture"),
        (gzip(b"hello"), "not a pcap, pcapng or snoop capture: it looks like text"),
        (hex("1f8b 0800 00000000 0000 ffff"), "the gzip data is damaged at its start: corrupt deflate stream"),
    ] {
        assert_eq!(read(&bytes).map(|_| ()), Err(want.to_owned()), "{bytes:02x?}");
    }
}

#[test]
fn damage() {
    let pcap = |rest: &str| hex(&format!("{PCAP} {rest}"));
    let pcapng = |rest: &str| [&hex(PCAPNG)[..28], &hex(rest)].concat();
    let huge = "03000000 04000000 ff000000 00ffffff";
    let skipped = "0b000000 00000010 000000";
    let mut bad_gzip = gzip(&hex(PCAP));
    bad_gzip.truncate(bad_gzip.len() - 5);
    let altered = |mut bytes: Vec<u8>, from_end: usize| {
        let place = bytes.len() - from_end;
        bytes[place] ^= 1;
        bytes
    };
    let mut bad_zstd = zstd(&hex(PCAP));
    bad_zstd.truncate(bad_zstd.len() - 1);
    let wrong = "the checksum does not fit at byte 60";
    for (case, bytes, frames, want) in [
        ("cut in a record head", pcap("03000000"), 2, "the capture ends inside a record at byte 60"),
        (
            "impossible length",
            pcap("00000000 00000000 ffffff7f 00000000"),
            2,
            "a packet record claims more than 256 KiB at byte 60",
        ),
        ("cut in a record", pcap(huge), 2, "the capture ends inside a record at byte 60"),
        ("gzip without its trailer", bad_gzip, 2, "the gzip data is damaged: unexpected end of file at byte 60"),
        ("gzip of something else", altered(gzip(&hex(PCAP)), 6), 2, &format!("the gzip data is damaged: {wrong}")),
        ("zstd without its checksum", bad_zstd, 2, "the zstd data is damaged: unexpected end of file at byte 60"),
        ("zstd of something else", altered(zstd(&hex(PCAP)), 1), 2, &format!("the zstd data is damaged: {wrong}")),
        (
            "no second zstd frame",
            [zstd(&hex(PCAP)), b"what is this".to_vec()].concat(),
            2,
            "the zstd data is damaged: invalid zstd frame header at byte 60",
        ),
        (
            "lengths differ",
            pcapng("01000000 14000000 0100 0000 00000000 18000000"),
            0,
            "a block whose two lengths differ at byte 28",
        ),
        ("a block too short", pcapng("06000000 0c000000 0c000000"), 0, "a block too short for its kind at byte 28"),
        ("no length", pcapng("06000000 00000000 00000000"), 0, "a block shorter than its own head at byte 28"),
        (
            "no byte-order magic",
            pcapng("0a0d0d0a 1c000000 00000000 0c"),
            0,
            "a section header without its byte-order magic at byte 28",
        ),
        (
            "snoop record shorter than its frame",
            hex("736e6f6f70000000 00000002 00000004 00000003 00000003 0000001a 00000000 00000001 00000002 aabbcc"),
            0,
            "a packet record is shorter than the packet in it at byte 16",
        ),
        ("cut in a block that is skipped", pcapng(skipped), 0, "the capture ends inside a record at byte 28"),
        (
            "frame longer than its block",
            pcapng("03000000 10000000 05000000 10000000"),
            0,
            "a packet block shorter than its frame at byte 28",
        ),
    ] {
        let (found, summary) = read(&bytes).expect(case);
        assert_eq!((found.len(), summary.damage.unwrap().to_string().as_str()), (frames, want), "{case}");
    }
}

#[test]
fn a_long_unknown_block_is_skipped_and_not_held() {
    let mut bytes = hex(PCAPNG);
    bytes.extend(hex("0000000b 00400010"));
    bytes.resize(bytes.len() + 0x40_0008 - 4, 0);
    bytes.extend(hex("00400010"));
    let end = bytes.len();
    bytes.extend(hex("00000003 00000014 00000003 99880000 00000014 00"));
    let (frames, summary) = read(&bytes).unwrap();
    assert_eq!(frames.last().unwrap(), "7 1000000000 113 9988+");
    assert_eq!(summary.damage.unwrap().offset as usize, end + 20);
}

/// Wherever a capture is cut, the frames before the cut are read, and unless the cut is between records it is named.
#[test]
fn every_cut_keeps_the_frames_before_it() {
    for whole in [hex(PCAP), hex(PCAPNG), hex(SNOOP)] {
        let (all, _) = read(&whole).unwrap();
        for cut in 0..whole.len() {
            let Ok((frames, summary)) = read(&whole[..cut]) else {
                assert!(cut < 24, "{cut}");
                continue;
            };
            assert_eq!(frames, all[..frames.len()], "{cut}");
            let ends = summary.damage.map_or(cut, |damage| damage.offset as usize);
            assert!(ends <= cut && frames.len() < all.len(), "{cut}");
            // The damaged record is the first that is not whole: nothing is lost before it.
            assert_eq!(read(&whole[..ends]).map_or(0, |(frames, _)| frames.len()), frames.len(), "{cut}");
        }
    }
}

/// What was unpacked before a cut or a changed byte is read: of a small capture all of it is unpacked at once.
#[test]
fn damage_of_what_is_compressed_takes_nothing_before_it() {
    let capture = |frames: u32| {
        let mut bytes = hex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000");
        for number in 0..frames {
            let noise = number.wrapping_mul(2_654_435_761);
            bytes.extend([number.to_le_bytes(), [0; 4], [8, 0, 0, 0], [8, 0, 0, 0]].concat());
            bytes.extend([noise.to_le_bytes(), noise.rotate_left(7).wrapping_mul(noise).to_le_bytes()].concat());
        }
        bytes
    };
    let (few, many) = (capture(400), capture(14_000));
    let middle = few.len() / 2;
    // Of zstd a block of 128 KiB is whole or not there.
    let block = (128 << 10) / 24;
    for (what, bytes, packed, lost) in [
        ("gzip", &few, gzip(&few), 3),
        ("two gzip members", &few, [gzip(&few[..middle]), gzip(&few[middle..])].concat(), 3),
        ("zstd", &many, zstd(&many), block),
        ("two zstd frames", &few, [zstd(&few[..middle]), zstd(&few[middle..])].concat(), 201),
    ] {
        let (all, summary) = read(bytes).unwrap();
        assert_eq!(summary.damage, None, "{what}");
        let mut most = 0;
        for cut in (0..packed.len()).step_by(packed.len() / 50) {
            let Ok((frames, summary)) = read(&packed[..cut]) else { continue };
            assert_eq!(frames, all[..frames.len()], "{what}, {cut}");
            assert!(frames.len() >= most, "{what}, {cut}");
            assert!(summary.damage.is_some() || what.contains("two") && frames.len() == all.len() / 2, "{what}, {cut}");
            most = frames.len();
        }
        assert!(most + lost >= all.len(), "{what}: {most} frames");
        for from_end in [1, 6, 12] {
            let mut altered = packed.clone();
            let place = altered.len() - from_end;
            altered[place] ^= 0x10;
            let (frames, summary) = read(&altered).unwrap();
            assert!(summary.damage.is_some(), "{what}");
            assert!(frames.len() + lost >= all.len(), "{what}: {} frames", frames.len());
        }
    }
}

/// A medium that fails is told as one, and not as damage of what is on it.
#[test]
fn a_medium_that_fails() {
    struct Failing(std::io::Cursor<Vec<u8>>);
    impl std::io::Read for Failing {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(to)? {
                0 => Err(std::io::Error::other("the disk is gone")),
                count => Ok(count),
            }
        }
    }
    let half = |bytes: Vec<u8>| bytes[..bytes.len() - 6].to_vec();
    for bytes in [half(hex(PCAP)), half(gzip(&long(60_000))), half(zstd(&long(200_000)))] {
        let mut capture = CaptureFile::stream("-", Box::new(Failing(std::io::Cursor::new(bytes)))).unwrap();
        while capture.fill(&mut Batch::default()) {}
        let damage = capture.summary().damage.unwrap();
        assert_eq!(damage.what, "the capture cannot be read on: the disk is gone");
    }
}

#[test]
fn frames_over_block_borders_are_the_same() {
    let mut bytes = hex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000");
    for number in 0..3000_u32 {
        let len = number.wrapping_mul(2_654_435_761) % 1500;
        bytes.extend([number.to_le_bytes(), [0; 4], len.to_le_bytes(), len.to_le_bytes()].concat());
        bytes.resize(bytes.len() + len as usize, number as u8);
    }
    let file = stored(&bytes);
    let mut capture = CaptureFile::open(file.path()).unwrap();
    let (mut batch, mut number) = (Batch::default(), 0_u32);
    while capture.fill(&mut batch) {
        for frame in batch.frames() {
            assert_eq!(frame.at, Timestamp::new(number.into(), 0));
            assert!(frame.bytes.iter().all(|byte| *byte == number as u8));
            number += 1;
        }
    }
    assert_eq!((number, capture.summary().damage), (3000, None));
    assert_eq!(capture.progress(), (bytes.len() as u64, Some(bytes.len() as u64)));
}

#[test]
fn sha256_is_that_of_the_stored_bytes() {
    let file = stored(b"abc");
    let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256(file.path()).unwrap(), want);
}

proptest! {
    /// Any bytes, and valid files with a few bytes changed: no panic, no endless loop, frames inside the batch.
    #[test]
    fn hostile_bytes(
        which in 0..5_usize,
        changes in prop::collection::vec((0..600_usize, any::<u8>()), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = match which {
            0 => hex(PCAP),
            1 => hex(PCAPNG),
            2 => gzip(&hex(PCAP)),
            3 => zstd(&hex(PCAPNG)),
            _ => Vec::new(),
        };
        for (place, value) in changes {
            let len = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(place % len) {
                *byte = value;
            }
        }
        bytes.extend(tail);
        if let Ok((frames, summary)) = read(&bytes) {
            prop_assert_eq!(frames.len() as u64, summary.frames);
        }
    }
}
