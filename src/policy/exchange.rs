//! A policy as tables of a spreadsheet, and back: one CSV file for each kind of entry, one column for each key.
//!
//! Cells are as people write them: text as it is, lists with `;`, members as `10.20.1.0/24; vlan=20 & cidr=10.0.0.0/8`,
//! objects as `holding 100-119; tag=Line1.*`, whatever has no short form as TOML. Of a conduit each allow table is one
//! row: the first carries the conduit's own cells, the others only its id. What reads a table back names file, row and
//! column of what is wrong, also of what only the loader can see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::{Table, Value};

use super::diagnostic::{Diagnostics, Severity};
use super::model::Policy;
use super::suggest::quoted;

/// Kinds of entries: the word of the language, the name of the file, and the columns that come first.
const KINDS: [(&str, &str, &str); 12] = [
    ("site", "site", "id name timezone owner approved approved_by approved_on review_due documents"),
    ("defaults", "defaults", "inter_zone intra_zone unzoned external unapproved multicast unidentified mid_stream"),
    ("zone", "zones", "id name parent kind purpose level sl_t criticality consequence safety owner members inside"),
    ("asset", "assets", "id name ip mac hostname vendor model serial role zone criticality approved owner location"),
    ("group", "groups", "id name members"),
    ("conduit", "conduits", RULE),
    ("exception", "exceptions", RULE),
    ("deny", "denies", "id reason from to except_from protocols ops"),
    ("ignore", "ignores", "id reason from to protocols"),
    ("nat", "nat", "device outside inside"),
    ("tap", "taps", "id name sees vlans direction"),
    ("protocol", "protocols", "id name transport ports class"),
];
const RULE: &str = "id name from to via owner ticket risk_owner approved_by valid_from valid_until windows \
                    allow.protocol allow.ports allow.ops allow.functions allow.services allow.units allow.objects \
                    allow.security reason";
/// `[severity]` is three tables of numbers.
const SEVERITY: (&str, &str) = ("severity", "severity");

/// How a key's cell is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    /// Texts with `;` between.
    Words,
    /// Numbers and texts with `;` between.
    Items,
    Members,
    Objects,
    Inside,
    /// TOML: numbers, dates, true and false, and whatever has no short form.
    Toml,
}

fn shape(kind: &str, key: &str) -> Shape {
    match (kind, key) {
        ("site", "approved_by") | ("nat", "inside") => Shape::Text,
        (_, "inside") => Shape::Inside,
        (_, "members") => Shape::Members,
        (_, "objects") => Shape::Objects,
        (_, "ports" | "functions" | "services" | "units" | "vlans") => Shape::Items,
        (
            _,
            "documents" | "regulations" | "threat_reference" | "tags" | "policies" | "assumptions" | "access_points"
            | "ip" | "mac" | "represents" | "boundary_of" | "from" | "to" | "via" | "windows" | "compensating"
            | "approved_by" | "overrides" | "except_from" | "protocols" | "ops" | "sees",
        ) => Shape::Words,
        (
            _,
            "approved" | "approved_on" | "review_due" | "level" | "sl_t" | "sl_c" | "sl_a" | "safety" | "untrusted"
            | "temporary" | "wireless" | "crown_jewel" | "multi_homed" | "time_source" | "engineering" | "retired_on"
            | "exact" | "one_way" | "ephemeral" | "valid_from" | "valid_until" | "remote_access" | "max_idle_days"
            | "max_concurrent" | "exception_max_days" | "security" | "dscp" | "vlan" | "weights" | "floors" | "bands",
        ) => Shape::Toml,
        _ => Shape::Text,
    }
}

/// One file of the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Its name: `zones.csv`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A policy as tables. What has no entries has no file.
///
/// # Errors
/// A file of the policy cannot be read as a table, which a policy that loads can.
pub fn export(policy: &Policy) -> Result<Vec<Sheet>, String> {
    let mut whole = Table::new();
    for source in policy.sources.iter() {
        let table: Table = if source.name.ends_with(".json") {
            serde_json::from_str(&source.text).map_err(|error| format!("{}: {error}", source.name))?
        } else {
            source.text.parse().map_err(|error| format!("{}: {error}", source.name))?
        };
        for (key, value) in table {
            match (whole.get_mut(&key), value) {
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
                (_, value) => {
                    whole.insert(key, value);
                }
            }
        }
    }
    let mut sheets = Vec::new();
    let severity = (SEVERITY.0, SEVERITY.1, "weights floors bands");
    for (kind, file, first) in KINDS.into_iter().chain([severity]) {
        let entries: Vec<&Table> = match whole.get(kind) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_table).collect(),
            Some(Value::Table(only)) => vec![only],
            _ => continue,
        };
        let rows: Vec<BTreeMap<String, String>> = entries.into_iter().flat_map(|entry| rows(kind, entry)).collect();
        sheets.push(Sheet { name: format!("{file}.csv"), text: sheet(first, &rows)? });
    }
    Ok(sheets)
}

/// The rows of an entry: one, or one for each allow table.
fn rows(kind: &str, entry: &Table) -> Vec<BTreeMap<String, String>> {
    let mut own: BTreeMap<String, String> = BTreeMap::new();
    let mut tables: Vec<BTreeMap<String, String>> = Vec::new();
    for (key, value) in entry {
        match (key.as_str(), value) {
            ("allow", Value::Array(list)) => {
                for table in list.iter().filter_map(Value::as_table) {
                    let cells =
                        table.iter().map(|(key, value)| (format!("allow.{key}"), cell(shape("allow", key), value)));
                    tables.push(cells.collect());
                }
            }
            _ => {
                own.insert(key.clone(), cell(shape(kind, key), value));
            }
        }
    }
    let id: BTreeMap<String, String> =
        own.get_key_value("id").map(|(key, id)| (key.clone(), id.clone())).into_iter().collect();
    let mut tables = tables.into_iter();
    own.extend(tables.next().unwrap_or_default());
    let more = tables.map(|table| id.clone().into_iter().chain(table).collect());
    [own].into_iter().chain(more).collect()
}

fn sheet(first: &str, rows: &[BTreeMap<String, String>]) -> Result<String, String> {
    let used: BTreeSet<&str> = rows.iter().flat_map(|row| row.keys().map(String::as_str)).collect();
    let known: Vec<&str> = first.split_whitespace().collect();
    let rest = used.iter().copied().filter(|key| !known.contains(key));
    let columns: Vec<&str> = known.iter().copied().filter(|key| used.contains(key)).chain(rest).collect();
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut write = |record: Vec<String>| out.write_record(record).map_err(|error| error.to_string());
    write(columns.iter().map(|column| (*column).to_owned()).collect())?;
    for row in rows {
        write(columns.iter().map(|column| guarded(row.get(*column).map_or("", String::as_str))).collect())?;
    }
    let bytes = out.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// A cell that a spreadsheet would take for a formula starts with an apostrophe.
fn guarded(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\'']) { format!("'{cell}") } else { cell.to_owned() }
}

fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@', '\'']) => rest,
        _ => cell,
    }
}

fn cell(shape: Shape, value: &Value) -> String {
    let short = match (shape, value) {
        (Shape::Text, Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        (Shape::Words | Shape::Items, Value::String(text)) => word(text).map(str::to_owned),
        (Shape::Words | Shape::Items, Value::Array(list)) => joined(list, "; ", |item| match item {
            Value::String(text) => {
                word(text).filter(|text| shape == Shape::Words || text.parse::<i64>().is_err()).map(str::to_owned)
            }
            Value::Integer(number) if shape == Shape::Items => Some(number.to_string()),
            _ => None,
        }),
        (Shape::Members, Value::Array(list)) => joined(list, "; ", member_text),
        (Shape::Objects, Value::Array(list)) => joined(list, "; ", object_text),
        (Shape::Inside, Value::Table(table)) => inside_text(table),
        _ => None,
    };
    short.unwrap_or_else(|| value.to_string())
}

fn joined(list: &[Value], by: &str, text: impl Fn(&Value) -> Option<String>) -> Option<String> {
    let items: Vec<String> = list.iter().map(text).collect::<Option<_>>()?;
    (!items.is_empty()).then(|| items.join(by))
}

/// A text that can stand in a list as it is.
fn word(text: &str) -> Option<&str> {
    let plain = !text.is_empty() && text.trim() == text && !text.contains([';', '\n', '\r']);
    (plain && !text.starts_with(['[', '{', '"', '\''])).then_some(text)
}

/// `10.20.1.0/24`, `role=plc & vendor=Beispiel`.
fn member_text(value: &Value) -> Option<String> {
    let table = match value {
        Value::String(text) => return word(text).filter(|text| !text.contains('=')).map(str::to_owned),
        Value::Table(table) => table,
        _ => return None,
    };
    let pairs: Vec<(&String, &Value)> = table.iter().collect();
    if let [(key, Value::String(text))] = pairs.as_slice()
        && guess(text) == Some(key.as_str())
    {
        return word(text).map(str::to_owned);
    }
    pairs_text(&pairs)
}

/// `key=value & key=value`.
fn pairs_text(pairs: &[(&String, &Value)]) -> Option<String> {
    let texts = pairs.iter().map(|(key, value)| match value {
        Value::String(text) if text.parse::<i64>().is_err() => {
            word(text).filter(|text| !text.contains(" & ")).map(|text| format!("{key}={text}"))
        }
        Value::Integer(number) => Some(format!("{key}={number}")),
        _ => None,
    });
    Some(texts.collect::<Option<Vec<_>>>()?.join(" & ")).filter(|text| !text.is_empty())
}

/// Which selector a bare text is.
fn guess(text: &str) -> Option<&'static str> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        Some("ip")
    } else if text.parse::<crate::address::Mac>().is_ok() {
        Some("mac")
    } else if text.contains('/') {
        Some("cidr")
    } else if text.contains('-') && text.split('-').all(|end| end.trim().parse::<std::net::IpAddr>().is_ok()) {
        Some("range")
    } else {
        None
    }
}

/// `holding 100-119`, `tag=Line1.*`.
fn object_text(value: &Value) -> Option<String> {
    let table = value.as_table()?;
    let number = |key: &str| table.get(key).and_then(Value::as_integer);
    if let (Some(Value::String(space)), Some(from), Some(to), 3) =
        (table.get("table"), number("from"), number("to"), table.len())
        && !space.contains([' ', ';', '='])
    {
        return Some(if from == to { format!("{space} {from}") } else { format!("{space} {from}-{to}") });
    }
    let pairs: Vec<(&String, &Value)> = table.iter().collect();
    let simple = |value: &Value| value.as_str().is_none_or(|text| !text.contains("; ") && !text.ends_with(';'));
    let texts = pairs.iter().map(|(key, value)| match value {
        Value::String(text)
            if simple(value) && !text.contains(" & ") && text.trim() == text && text.parse::<i64>().is_err() =>
        {
            Some(format!("{key}={text}"))
        }
        Value::Integer(number) => Some(format!("{key}={number}")),
        _ => None,
    });
    Some(texts.collect::<Option<Vec<_>>>()?.join(" & ")).filter(|text| !text.is_empty())
}

/// `deny`, `listed: https; dns`.
fn inside_text(table: &Table) -> Option<String> {
    let default = table.get("default")?.as_str()?;
    if table.keys().any(|key| key != "default" && key != "allow") {
        return None;
    }
    match table.get("allow") {
        None => Some(default.to_owned()),
        Some(Value::Array(list)) => joined(list, "; ", |item| item.as_str().and_then(word).map(str::to_owned))
            .map(|names| format!("{default}: {names}")),
        Some(_) => None,
    }
}

/// What is wrong with a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCell {
    /// The file.
    pub file: String,
    /// The row as a spreadsheet counts it: the header is 1.
    pub row: u64,
    /// The column by its header; empty: the whole row.
    pub column: String,
    /// What is wrong, and what to do.
    pub message: String,
    /// Only worth a look.
    pub warning: bool,
}

impl fmt::Display for BadCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning" } else { "error" };
        write!(f, "{}: row {}", self.file, self.row)?;
        if !self.column.is_empty() {
            write!(f, ", column {}", self.column)?;
        }
        write!(f, ": {kind}: {}", self.message)
    }
}

/// Where a line of the text came from: file, row, column.
#[derive(Clone, Debug)]
struct Origin {
    file: String,
    row: u64,
    column: String,
}

/// Text that knows where each of its lines came from.
#[derive(Default)]
struct Written {
    text: String,
    origins: Vec<Option<Origin>>,
}

impl Written {
    fn line(&mut self, text: &str, origin: Option<Origin>) {
        self.text.push_str(text);
        self.text.push('\n');
        self.origins.push(origin);
    }
}

/// Tables back to a policy in TOML, with what is odd about it.
///
/// # Errors
/// Every bad cell of all tables.
pub fn import(sheets: &[Sheet]) -> Result<(String, Vec<BadCell>), Vec<BadCell>> {
    let mut out = Written::default();
    let mut bad = Vec::new();
    out.line("schema = 1", None);
    if !sheets.iter().any(|sheet| sheet.name == "site.csv") {
        for line in ["", "[site]", "id = \"imported\"", "timezone = \"UTC\"", "approved = false"] {
            out.line(line, None);
        }
    }
    let known = |name: &str| {
        let kinds = KINDS.iter().map(|(kind, file, _)| (*kind, *file)).chain([SEVERITY]);
        kinds.into_iter().find(|(_, file)| name == format!("{file}.csv")).map(|(kind, _)| kind)
    };
    for sheet in sheets {
        match known(&sheet.name) {
            Some(kind) => read_sheet(kind, sheet, &mut out, &mut bad),
            None => bad.push(BadCell {
                file: sheet.name.clone(),
                row: 1,
                column: String::new(),
                message: format!(
                    "no such table; known are {}",
                    KINDS.map(|(_, file, _)| format!("{file}.csv")).join(", ")
                ),
                warning: false,
            }),
        }
    }
    if bad.is_empty() {
        let (found, failed) = match Policy::parse("policy.toml", &out.text) {
            Ok(policy) => (policy.warnings, false),
            Err(found) => (found, true),
        };
        bad.extend(located(&found, &out));
        if !failed {
            return Ok((out.text, bad));
        }
    }
    bad.sort_by(|a, b| (&a.file, a.row, &a.column).cmp(&(&b.file, b.row, &b.column)));
    Err(bad)
}

/// What the loader says of the text, at the cells that it came from.
fn located(found: &Diagnostics, out: &Written) -> Vec<BadCell> {
    let nowhere = || Origin { file: "policy.toml".to_owned(), row: 1, column: String::new() };
    let cell = |diagnostic: &super::Diagnostic| {
        let line = found.place(diagnostic.at).line;
        // A message about a whole entry stands at its header line, which is the row's first cell.
        let origin = out.origins.get(line.saturating_sub(1)).cloned().flatten().unwrap_or_else(nowhere);
        let label = if diagnostic.label.is_empty() { String::new() } else { format!(" ({})", diagnostic.label) };
        let help = diagnostic.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        BadCell {
            file: origin.file,
            row: origin.row,
            column: origin.column,
            message: format!("{}{label}{help}", diagnostic.message),
            warning: diagnostic.severity == Severity::Warning,
        }
    };
    found.list.iter().map(cell).collect()
}

fn read_sheet(kind: &str, sheet: &Sheet, out: &mut Written, bad: &mut Vec<BadCell>) {
    let text = sheet.text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default();
    // Spreadsheets of many countries separate cells with a semicolon.
    let delimiter = if head.matches(';').count() > head.matches(',').count() { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let columns: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(|header| header.trim().to_owned()).collect(),
        Err(error) => {
            bad.push(whole_row(sheet, 1, format!("not a CSV table: {error}")));
            return;
        }
    };
    let mut last_id: Option<String> = None;
    for (row, record) in (2..).zip(reader.records()) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                bad.push(whole_row(sheet, row, format!("not a CSV row: {error}")));
                continue;
            }
        };
        let cells: Vec<(&str, &str)> = columns.iter().map(String::as_str).zip(record.iter().map(unguarded)).collect();
        let filled: Vec<(&str, &str)> = cells.into_iter().filter(|(_, cell)| !cell.trim().is_empty()).collect();
        if filled.is_empty() {
            continue;
        }
        let more = record.iter().skip(columns.len()).any(|cell| !cell.trim().is_empty());
        if more || filled.iter().any(|(column, _)| column.is_empty()) {
            bad.push(whole_row(sheet, row, "a cell without a column header".to_owned()));
            continue;
        }
        let id = filled.iter().find(|(column, _)| *column == "id").map(|(_, id)| id.trim().to_owned());
        let continues = id.is_some()
            && id == last_id
            && filled.iter().all(|(column, _)| *column == "id" || column.starts_with("allow."));
        let origin = |column: &str| Some(Origin { file: sheet.name.clone(), row, column: column.to_owned() });
        let mut entry = |prefix: &str, header: &str, out: &mut Written| {
            let mine = filled.iter().filter_map(|(column, cell)| match column.strip_prefix("allow.") {
                Some(key) if prefix == "allow." => Some((*column, key, *cell)),
                None if prefix.is_empty() => Some((*column, *column, *cell)),
                _ => None,
            });
            let mine: Vec<_> = mine.collect();
            if mine.is_empty() {
                return;
            }
            out.line("", None);
            out.line(header, origin("id"));
            for (column, key, cell) in mine {
                let kind = if prefix.is_empty() { kind } else { "allow" };
                match value(shape(kind, key), cell, kind) {
                    Ok(text) => out.line(&format!("{} = {text}", bare_key(key)), origin(column)),
                    Err(message) => bad.push(BadCell {
                        file: sheet.name.clone(),
                        row,
                        column: column.to_owned(),
                        message,
                        warning: false,
                    }),
                }
            }
        };
        if !continues {
            let single = matches!(kind, "site" | "defaults" | "severity");
            let header = if single { format!("[{kind}]") } else { format!("[[{kind}]]") };
            entry("", &header, out);
        }
        entry("allow.", &format!("[[{kind}.allow]]"), out);
        last_id = id;
    }
}

fn whole_row(sheet: &Sheet, row: u64, message: String) -> BadCell {
    BadCell { file: sheet.name.clone(), row, column: String::new(), message, warning: false }
}

/// A key as TOML writes it; one that is no plain word is an unknown key anyway, and the loader says so.
fn bare_key(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain { key.to_owned() } else { quoted(key) }
}

/// A cell as a TOML value in one line.
fn value(shape: Shape, cell: &str, kind: &str) -> Result<String, String> {
    let trimmed = cell.trim();
    let toml_list = trimmed.starts_with('[');
    match shape {
        Shape::Text => Ok(quoted(cell)),
        Shape::Toml => inline(trimmed),
        _ if toml_list => inline(trimmed),
        Shape::Words => list(trimmed, ";", |item| Ok(quoted(item))),
        Shape::Items => {
            list(trimmed, ";", |item| Ok(item.parse::<u32>().map_or_else(|_| quoted(item), |n| n.to_string())))
        }
        Shape::Members => list(trimmed, ";", |item| member(item, kind)),
        Shape::Objects => list(trimmed, "; ", object),
        Shape::Inside => inside(trimmed),
    }
}

fn list(cell: &str, by: &str, item: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let items = cell.split(by).map(|part| part.trim().trim_end_matches(';')).filter(|part| !part.is_empty());
    Ok(format!("[{}]", items.map(item).collect::<Result<Vec<_>, _>>()?.join(", ")))
}

/// TOML as it stands in the cell, if it is any.
fn inline(cell: &str) -> Result<String, String> {
    let one_line = cell.replace(['\r', '\n'], " ");
    // Spreadsheets write truth in capitals.
    let one_line = match one_line.as_str() {
        "TRUE" | "True" | "FALSE" | "False" => one_line.to_ascii_lowercase(),
        _ => one_line,
    };
    match format!("x = {one_line}").parse::<Table>() {
        Ok(table) if table.len() == 1 => Ok(one_line),
        _ => Err(format!(
            "{cell:?} is no value: write true, a number, a date like 2026-12-31, or TOML like {{ all = 2 }}"
        )),
    }
}

fn member(item: &str, kind: &str) -> Result<String, String> {
    match guess(item) {
        _ if item.starts_with('{') => inline(item),
        _ if item.contains('=') => pairs(item),
        _ if kind == "group" => Ok(quoted(item)),
        Some(key) => Ok(format!("{{ {key} = {} }}", quoted(item))),
        None => Err(format!(
            "{item:?} is no member: write an address, a CIDR, a range, a MAC address, or key=value like vlan=20 or role=plc"
        )),
    }
}

fn pairs(item: &str) -> Result<String, String> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is no key=value"))?;
        let (key, value) = (key.trim(), value.trim());
        let value = value.parse::<i64>().map_or_else(|_| quoted(value), |number| number.to_string());
        Ok(format!("{} = {value}", bare_key(key)))
    };
    let pairs: Result<Vec<String>, String> = item.split(" & ").map(pair).collect();
    Ok(format!("{{ {} }}", pairs?.join(", ")))
}

fn object(item: &str) -> Result<String, String> {
    if item.starts_with('{') {
        return inline(item);
    }
    let range = item.split_once(' ').filter(|(space, _)| !space.contains('=')).and_then(|(space, range)| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        Some((space, from.trim().parse::<u32>().ok()?, to.trim().parse::<u32>().ok()?))
    });
    match range {
        Some((space, from, to)) => Ok(format!("{{ table = {}, from = {from}, to = {to} }}", quoted(space))),
        None if item.contains('=') => pairs(item),
        None => Err(format!("{item:?} is no object: write holding 100-119, or key=value like tag=Line1.*")),
    }
}

fn inside(cell: &str) -> Result<String, String> {
    if cell.starts_with('{') {
        return inline(cell);
    }
    let (default, allow) = cell.split_once(':').unwrap_or((cell, ""));
    let default = quoted(default.trim());
    if allow.trim().is_empty() {
        return Ok(format!("{{ default = {default} }}"));
    }
    let allow = list(allow, ";", |item| Ok(quoted(item)))?;
    Ok(format!("{{ default = {default}, allow = {allow} }}"))
}
