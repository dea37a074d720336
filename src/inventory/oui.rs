//! Who made a network card: the IEEE registries of MAC address blocks (MA-L 24 bit, MA-M 28 bit, MA-S and IAB 36 bit).

use std::collections::HashMap;
use std::io::Read;
use std::sync::LazyLock;

use crate::address::Mac;

/// The registries as of 2022-08-27: the files that Debian 12 ships in its package `ieee-data`, made smaller by
/// `oui/make.py`. IEEE asserts no copyright in them. Newer blocks are not in it; [`Oui::with_csv`] adds them.
const MAKERS: &[u8] = include_bytes!("oui/makers.txt.gz");

/// Longest name that is kept from a file that a site supplies.
const MAX_NAME: usize = 200;

/// A file that is not in the form of the IEEE registries.
#[derive(Debug, thiserror::Error)]
pub enum OuiError {
    /// Not CSV at all.
    #[error("not a CSV file: {0}")]
    Csv(#[from] csv::Error),
    /// CSV without the columns that are needed.
    #[error("no column {0:?}: expected an IEEE registry such as oui.csv (Registry,Assignment,Organization Name,...)")]
    Column(&'static str),
    /// An assignment that is no prefix.
    #[error("line {line}: {text:?} is not a MAC prefix of 6, 7 or 9 hex digits")]
    Prefix {
        /// Line of the file, from 1.
        line: u64,
        /// What is there instead.
        text: String,
    },
}

/// MAC prefixes and their makers.
#[derive(Clone, Debug, Default)]
pub struct Oui {
    /// The table that is built in counts as well.
    builtin: bool,
    makers: Vec<Box<str>>,
    /// Prefix (left-aligned in 48 bits) and its length in bits, to the maker.
    prefixes: HashMap<(u64, u8), u32, ahash::RandomState>,
}

/// The table that is built in, searched as it is unpacked.
struct Builtin {
    text: Vec<u8>,
    /// Where the lines of the blocks start, and where the names do behind them.
    blocks: usize,
    names: usize,
}

/// Unpacked when the first MAC address is asked for: a command that asks for none need not wait.
static BUILTIN: LazyLock<Builtin> = LazyLock::new(|| {
    let mut text = Vec::with_capacity(8 * MAKERS.len());
    let read = flate2::read::GzDecoder::new(MAKERS).read_to_end(&mut text);
    debug_assert!(read.is_ok(), "the embedded table is a gzip file");
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count: usize = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()).unwrap_or_default();
    let blocks = line.len() + 1;
    Builtin { names: blocks + count * BLOCK, blocks, text }
});

/// Bytes of a block's line: its prefix, and where its maker's name is, both in hex.
const BLOCK: usize = 17;

/// Hex digits of a prefix; a shorter one is filled with dots.
const DIGITS: usize = 9;

impl Builtin {
    fn blocks(&self) -> &[[u8; BLOCK]] {
        self.text.get(self.blocks..self.names).unwrap_or_default().as_chunks().0
    }

    fn maker(&self, (value, bits): (u64, u8)) -> Option<&str> {
        let mut wanted = [b'.'; DIGITS];
        for (place, digit) in (0..u32::from(bits / 4)).zip(&mut wanted) {
            let nibble = (value >> (44 - 4 * place)) as u32 & 0xF; // Twelve of them, the highest first.
            *digit = char::from_digit(nibble, 16).map_or(b'.', |digit| digit as u8); // A hex digit is ASCII.
        }
        let blocks = self.blocks();
        let place = blocks.binary_search_by(|block| block[..DIGITS].cmp(&wanted)).ok()?;
        let start = std::str::from_utf8(blocks.get(place)?.get(DIGITS + 1..BLOCK - 1)?).ok()?;
        let name = self.text.get(self.names + usize::from_str_radix(start, 16).ok()?..)?;
        std::str::from_utf8(name.split(|byte| *byte == b'\n').next()?).ok()
    }
}

impl Oui {
    /// The table that is built in.
    #[must_use]
    pub fn builtin() -> Self {
        Self { builtin: true, ..Self::default() }
    }

    /// Adds a registry in the CSV form of the IEEE (`Registry,Assignment,Organization Name,...`); it wins over what is
    /// there.
    ///
    /// # Errors
    /// [`OuiError`] when it is not such a file; nothing is added then.
    pub fn with_csv(mut self, file: impl Read) -> Result<Self, OuiError> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let headers = reader.headers()?.clone();
        let column = |name| headers.iter().position(|header| header.trim() == name).ok_or(OuiError::Column(name));
        let (assignment, organization) = (column("Assignment")?, column("Organization Name")?);
        for record in reader.records() {
            let record = record?;
            let text = record.get(assignment).unwrap_or_default().trim();
            let Some(prefix) = prefix(text) else {
                return Err(OuiError::Prefix {
                    line: record.position().map_or(0, |p| p.line()),
                    text: text.to_owned(),
                });
            };
            let name = record.get(organization).unwrap_or_default().trim();
            if !name.is_empty() && !matches!(name, "Private" | "IEEE Registration Authority") {
                let maker = self.maker(name);
                self.prefixes.insert(prefix, maker);
            }
        }
        Ok(self)
    }

    /// The maker of this card, tidied: `Rockwell Automation`. None for addresses set by software and unknown blocks.
    #[must_use]
    pub fn maker_of(&self, mac: Mac) -> Option<String> {
        if mac.is_local() || mac.is_group() {
            return None;
        }
        let value = mac.0.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let name = [36u8, 28, 24].into_iter().find_map(|bits| {
            let block = (value >> (48 - bits) << (48 - bits), bits);
            let own = self.prefixes.get(&block).and_then(|maker| self.makers.get(*maker as usize));
            own.map(|name| &**name).or_else(|| self.builtin.then(|| BUILTIN.maker(block))?)
        })?;
        Some(tidy(name))
    }

    fn maker(&mut self, name: &str) -> u32 {
        // A file of more than 2^32 makers would name some of them wrongly; the registries hold 40,000 blocks.
        let number = u32::try_from(self.makers.len()).unwrap_or(u32::MAX);
        self.makers.push(name.chars().take(MAX_NAME).collect::<String>().into());
        number
    }
}

/// A prefix in hex: 6, 7 or 9 digits.
fn prefix(text: &str) -> Option<(u64, u8)> {
    let bits = match text.len() {
        6 => 24u8,
        7 => 28,
        9 => 36,
        _ => return None,
    };
    let value = u64::from_str_radix(text, 16).ok()?;
    Some((value << (48 - bits), bits))
}

/// Forms of companies and their branches: they tell nothing and fill a column.
const FORMS: &[&str] = &[
    "ab",
    "ag",
    "as",
    "a/s",
    "asa",
    "b.v",
    "bv",
    "co",
    "co.,ltd",
    "company",
    "corp",
    "corporation",
    "gmbh",
    "inc",
    "incorporated",
    "kg",
    "kgaa",
    "limited",
    "llc",
    "ltd",
    "l.p",
    "lp",
    "ltda",
    "n.v",
    "nv",
    "oy",
    "plc",
    "pte",
    "pty",
    "pvt",
    "s.a",
    "sa",
    "s.a.s",
    "sas",
    "s.l",
    "s.p.a",
    "spa",
    "s.r.l",
    "srl",
    "se",
    "&",
    "und",
    "and",
];

/// A maker's name as people say it: without the form of the company, and not shouting.
fn tidy(name: &str) -> String {
    let name = name.replace(",Ltd", " Ltd").replace(",LTD", " Ltd");
    let mut words: Vec<&str> = name.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    while let [_, .., last] = words[..] {
        let bare = last.trim_matches(['.', ',', '(', ')']).to_lowercase();
        if !bare.is_empty() && !FORMS.contains(&bare.as_str()) {
            break;
        }
        words.pop();
    }
    let shouts =
        |word: &str| word.len() > 4 && word.chars().all(|c| !c.is_lowercase()) && word.chars().all(char::is_alphabetic);
    let calm = |word: &&str| match word.chars().next() {
        Some(first) if shouts(word) => first.to_string() + &word[first.len_utf8()..].to_lowercase(),
        _ => (*word).to_owned(),
    };
    words.iter().map(calm).collect::<Vec<_>>().join(" ").trim_end_matches(['.', ',']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(oui: &Oui, mac: &str) -> String {
        oui.maker_of(mac.parse().unwrap()).unwrap_or_else(|| "-".to_owned())
    }

    #[test]
    fn the_longest_prefix_names_the_maker() {
        let oui = Oui::builtin();
        for (case, mac, want) in [
            ("MA-L", "00:00:bc:01:02:03", "Rockwell Automation"),
            ("MA-L, a form of company", "00:0e:8c:01:02:03", "Siemens"),
            ("MA-L, shouting", "08:00:06:01:02:03", "Siemens"),
            ("MA-L, several words of form", "00:30:de:01:02:03", "WAGO Kontakttechnik"),
            ("MA-L, comma", "00:0c:29:01:02:03", "VMware"),
            ("MA-M", "20:85:93:b1:02:03", "IOG Products"),
            ("MA-S", "70:b3:d5:71:90:03", "2M Technology"),
            ("IAB", "00:50:c2:7d:50:03", "DEUTA-WERKE"),
            ("a block handed out in parts, this part to nobody named", "74:1a:e0:90:00:01", "-"),
            ("set by software", "02:00:bc:01:02:03", "-"),
            ("group address", "01:00:5e:00:00:01", "-"),
            ("nobody's", "fc:ff:ff:01:02:03", "-"),
        ] {
            assert_eq!(maker(&oui, mac), want, "{case}");
        }
        let blocks = BUILTIN.blocks();
        assert!(blocks.len() > 40_000 && blocks.is_sorted());
        assert!(blocks.iter().all(|[.., end]| *end == b'\n'));
    }

    #[test]
    fn a_site_adds_newer_registries() {
        let csv =
            "Registry,Assignment,Organization Name,Organization Address\nMA-L,FCFFFF,\"Plant Works Co., Ltd.\",x\n";
        let oui = Oui::builtin().with_csv(csv.as_bytes()).unwrap();
        assert_eq!(maker(&oui, "fc:ff:ff:01:02:03"), "Plant Works");
        for (case, csv, want) in [
            ("other columns", "a,b\n1,2\n", "no column \"Assignment\""),
            ("no prefix", "Assignment,Organization Name\nFCFF,x\n", "line 2: \"FCFF\" is not a MAC prefix"),
        ] {
            let error = Oui::default().with_csv(csv.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(want), "{case}: {error}");
        }
    }
}
