use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const MIB: u64 = 1 << 20;

fn put(spool: &mut Spool, band: Band, text: &str) {
    spool.put(band, Timestamp::new(1, 0), text.as_bytes());
}

/// Everything that is handed out from here on.
fn all(spool: &mut Spool) -> Vec<String> {
    let batch = spool.take(usize::MAX, usize::MAX);
    batch.into_iter().map(|message| String::from_utf8(message.bytes).unwrap()).collect()
}

/// Every record is somewhere.
fn balance(spool: &Spool) {
    let counts = spool.counts();
    let dropped: u64 = counts.dropped.iter().sum();
    assert_eq!(counts.put, counts.delivered + dropped + spool.waiting().records, "{counts:?}");
}

#[test]
fn records_come_out_in_the_order_of_putting_and_only_once_confirmed_never_again() {
    let folder = TempDir::new().unwrap();
    let mut spool = Spool::open(folder.path(), MIB);
    for (band, text) in [(Band::High, "a"), (Band::Info, "b"), (Band::High, "c"), (Band::Critical, "d")] {
        put(&mut spool, band, text);
    }
    let batch = spool.take(2, usize::MAX);
    assert_eq!(batch.iter().map(|m| (m.number, &m.bytes[..])).collect::<Vec<_>>(), [(1, &b"a"[..]), (2, b"b")]);
    spool.confirm(1);
    spool.rewind();
    assert_eq!(all(&mut spool), ["b", "c", "d"]);
    assert_eq!(all(&mut spool), [""; 0]);
    drop(spool);
    let mut spool = Spool::open(folder.path(), MIB);
    assert_eq!(all(&mut spool), ["b", "c", "d"]);
    put(&mut spool, Band::Low, "e");
    assert_eq!(all(&mut spool), ["e"]);
    spool.confirm(5);
    assert_eq!(spool.waiting(), Waiting::default());
    balance(&spool);
    drop(spool);
    // A number is never used twice, even when nothing is left.
    let mut spool = Spool::open(folder.path(), MIB);
    put(&mut spool, Band::Low, "f");
    assert_eq!(spool.take(1, 1)[0].number, 6);
}

#[test]
fn a_batch_is_bounded_in_bytes_but_never_empty() {
    let folder = TempDir::new().unwrap();
    let mut spool = Spool::open(folder.path(), MIB);
    (0..4).for_each(|_| put(&mut spool, Band::Low, &"x".repeat(100)));
    assert_eq!([spool.take(9, 1).len(), spool.take(9, 150).len(), spool.take(9, 0).len()], [1, 2, 0]);
}

#[test]
fn a_torn_end_is_counted_and_costs_nothing_else() {
    let folder = TempDir::new().unwrap();
    let mut spool = Spool::open(folder.path(), MIB);
    ["one", "two", "three"].into_iter().for_each(|text| put(&mut spool, Band::High, text));
    drop(spool);
    let file = folder.path().join("0000000000000001.high");
    let bytes = fs::read(&file).unwrap();
    for cut in (0..bytes.len()).step_by(7) {
        let copy = TempDir::new().unwrap();
        fs::write(copy.path().join("0000000000000001.high"), &bytes[..cut]).unwrap();
        let mut spool = Spool::open(copy.path(), MIB);
        put(&mut spool, Band::High, "next");
        let whole = [32, 64, 98].into_iter().filter(|end| *end <= cut).count();
        let want: Vec<&str> = ["one", "two", "three"].into_iter().take(whole).chain(["next"]).collect();
        assert_eq!(all(&mut spool), want, "cut at {cut}");
        assert_eq!(spool.counts().torn_bytes, (cut - [0, 32, 64, 98][whole]) as u64, "cut at {cut}");
    }
}

#[test]
fn without_a_whole_cursor_everything_is_delivered_again() {
    for damage in [None, Some(&b""[..]), Some(b"12345678\0\0\0\0"), Some(b"1234")] {
        let folder = TempDir::new().unwrap();
        let mut spool = Spool::open(folder.path(), MIB);
        ["a", "b"].into_iter().for_each(|text| put(&mut spool, Band::High, text));
        spool.confirm(1);
        drop(spool);
        let cursor = folder.path().join("cursor");
        match damage {
            Some(bytes) => fs::write(cursor, bytes).unwrap(),
            None => fs::remove_file(cursor).unwrap(),
        }
        assert_eq!(all(&mut Spool::open(folder.path(), MIB)), ["a", "b"], "{damage:?}");
    }
}

#[test]
fn when_full_the_oldest_of_the_mildest_go_first() {
    let folder = TempDir::new().unwrap();
    let mut spool = Spool::open(folder.path(), 64 << 10);
    // Each is a little over 1 KiB; a segment is 16 KiB.
    let text = |band: Band, number: usize| format!("{}-{number:03}{}", band.text(), "x".repeat(1000));
    for number in 0..20 {
        put(&mut spool, Band::Low, &text(Band::Low, number));
        put(&mut spool, Band::High, &text(Band::High, number));
    }
    for number in 20..45 {
        put(&mut spool, Band::High, &text(Band::High, number));
    }
    assert_eq!(spool.counts().dropped, [0, 15, 0, 0, 0], "one segment of the milder band");
    put(&mut spool, Band::Info, &text(Band::Info, 0));
    for number in 0..30 {
        put(&mut spool, Band::Critical, &text(Band::Critical, number));
    }
    assert_eq!(spool.counts().dropped, [1, 20, 0, 15, 0], "then whatever is milder, the oldest first");
    balance(&spool);
    let left = all(&mut spool);
    let of = |band: &str| left.iter().filter(|text| text.starts_with(band)).count();
    assert_eq!([of("info"), of("low"), of("high"), of("critical")], [0, 0, 30, 30]);
    assert!(left[0].starts_with("high-015"), "the oldest went: {}", &left[0][..9]);
    let size: u64 = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= 64 << 10, "{size}");
}

#[test]
fn a_milder_record_never_displaces_a_graver_one() {
    let folder = TempDir::new().unwrap();
    let mut spool = Spool::open(folder.path(), 64 << 10);
    (0..200).for_each(|_| put(&mut spool, Band::High, &"x".repeat(1000)));
    let before = spool.waiting().records;
    (0..200).for_each(|_| put(&mut spool, Band::Medium, &"x".repeat(1000)));
    assert!(spool.waiting().records >= before);
    let kept = spool.counts();
    assert!(kept.dropped[2] > 180, "{kept:?}");
    balance(&spool);
}

#[test]
fn what_is_too_long_is_dropped_and_counted() {
    let folder = TempDir::new().unwrap();
    for (most, length) in [(4 * MIB, LONGEST + 1), (16 << 10, 17 << 10)] {
        let mut spool = Spool::open(&folder.path().join(length.to_string()), most);
        put(&mut spool, Band::Critical, &"x".repeat(length));
        assert_eq!((spool.counts().dropped[4], spool.waiting().records), (1, 0));
        balance(&spool);
    }
}

#[test]
fn a_smaller_bound_after_a_restart_holds_at_once() {
    let folder = TempDir::new().unwrap();
    let mut spool = Spool::open(folder.path(), MIB);
    (0..200).for_each(|_| put(&mut spool, Band::High, &"x".repeat(1000)));
    drop(spool);
    let spool = Spool::open(folder.path(), 64 << 10);
    assert!(spool.waiting().bytes <= 64 << 10);
    balance(&spool);
}

#[test]
fn a_disk_that_takes_nothing_leaves_a_bounded_queue_in_memory() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("queue");
    fs::write(&place, "a file where the folder should be").unwrap();
    let mut spool = Spool::open(&place, 1 << 20);
    assert!(spool.trouble().is_some_and(|text| text.contains("queue")), "{:?}", spool.trouble());
    let before = spool.trouble();
    (0..2000).for_each(|_| put(&mut spool, Band::Low, &"x".repeat(1000)));
    assert_eq!(spool.trouble(), before);
    let waiting = spool.waiting();
    assert_eq!(waiting.records, waiting.in_memory);
    assert!((900_000..=1 << 20).contains(&waiting.bytes), "{waiting:?}");
    balance(&spool);
    assert_eq!(all(&mut spool).len() as u64, waiting.records);
    // The disk is back, and taken as soon as memory holds nothing.
    fs::remove_file(&place).unwrap();
    put(&mut spool, Band::Low, "still in memory");
    assert!(spool.trouble().is_some());
    assert_eq!(all(&mut spool), ["still in memory"]);
    spool.confirm(2001);
    put(&mut spool, Band::Low, "on disk");
    assert_eq!((spool.trouble(), spool.waiting().in_memory), (None, 0));
    drop(spool);
    assert_eq!(all(&mut Spool::open(&place, MIB)), ["on disk"]);
}

#[test]
fn a_disk_that_fails_later_and_comes_back_keeps_the_order() {
    let folder = TempDir::new().unwrap();
    let (place, away) = (folder.path().join("queue"), folder.path().join("away"));
    let mut spool = Spool::open(&place, MIB);
    put(&mut spool, Band::Low, "a");
    fs::rename(&place, &away).unwrap();
    // The open segment still takes its band; a new one cannot be made.
    put(&mut spool, Band::High, "b");
    assert!(spool.trouble().is_some());
    fs::rename(&away, &place).unwrap();
    put(&mut spool, Band::High, "c");
    assert_eq!(spool.trouble(), None);
    assert_eq!(spool.waiting().in_memory, 1);
    assert_eq!(all(&mut spool), ["a", "b", "c"]);
    spool.confirm(3);
    balance(&spool);
}

#[test]
fn two_processes_do_not_share_a_queue() {
    let folder = TempDir::new().unwrap();
    let first = Spool::open(folder.path(), MIB);
    let mut second = Spool::open(folder.path(), MIB);
    put(&mut second, Band::Low, "a");
    assert!(second.trouble().is_some_and(|text| text.contains("another process")), "{:?}", second.trouble());
    assert_eq!(second.waiting().in_memory, 1);
    drop(first);
}

#[test]
fn a_record_damaged_while_it_waits_is_dropped_and_the_rest_goes_on() {
    let folder = TempDir::new().unwrap();
    let mut spool = Spool::open(folder.path(), MIB);
    ["one", "two", "three"].into_iter().for_each(|text| put(&mut spool, Band::High, text));
    let file = folder.path().join("0000000000000001.high");
    let mut bytes = fs::read(&file).unwrap();
    bytes[62] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(all(&mut spool), ["one", "three"]);
    assert_eq!(spool.counts().dropped[3], 1);
    balance(&spool);
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u16),
    Take(u8),
    Confirm,
    Rewind,
    /// The process dies: nothing is said goodbye to.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5_u8, 0..900_u16).prop_map(|(band, size)| Step::Put(band, size)),
        3 => (0..9_u8).prop_map(Step::Take),
        2 => Just(Step::Confirm),
        1 => Just(Step::Rewind),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    /// With room for everything, everything arrives, in order and at least once, through any number of kills.
    #[test]
    fn nothing_is_lost(steps in prop::collection::vec(step(), 0..60)) {
        let folder = TempDir::new().unwrap();
        let mut spool = Spool::open(folder.path(), MIB);
        let (mut sent, mut arrived, mut last) = (0_u64, 0_u64, 0_u64);
        for step in steps.into_iter().chain([Step::Kill, Step::Take(255)]) {
            match step {
                Step::Put(band, size) => {
                    sent += 1;
                    let text = format!("{sent}:{}", "x".repeat(size.into()));
                    put(&mut spool, BANDS[usize::from(band)], &text);
                }
                Step::Take(count) => for message in spool.take(count.into(), usize::MAX) {
                    let text = String::from_utf8(message.bytes).unwrap();
                    let number: u64 = text.split_once(':').unwrap().0.parse().unwrap();
                    // Each is new, or one that came before.
                    prop_assert!(number <= arrived + 1, "{number} after {arrived}");
                    arrived = arrived.max(number);
                    last = message.number;
                },
                Step::Confirm => spool.confirm(last),
                Step::Rewind => spool.rewind(),
                Step::Kill => {
                    drop(spool);
                    spool = Spool::open(folder.path(), MIB);
                }
            }
            balance(&spool);
        }
        prop_assert_eq!(arrived, sent);
    }
}
