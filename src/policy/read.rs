//! From TOML or JSON to typed entries, with every mistake told and none stopping the reading.
//!
//! serde stops at the first error. Whoever corrects a policy at night wants all of them, so the tree is read by hand:
//! each type says how it is written ([`Read`]), and a table complains about the keys that nobody asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source, Span, did_you_mean};
use super::json;
use super::kind::Kind;

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Span,
    pub(super) value: Value,
}

/// What TOML and JSON have in common.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Time(toml::value::Datetime),
    List(Vec<Node>),
    Table(BTreeMap<String, (Span, Node)>),
    /// JSON null: as if the key were not there.
    Null,
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a decimal number",
            Self::Bool(_) => "true or false",
            Self::Time(_) => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Null => "null",
        }
    }
}

/// Reads one file. A file that is not TOML (or JSON, by its name) still gives what could be read of it.
pub(super) fn parse(file: u16, source: &Source, reader: &mut Reader) -> Node {
    if source.name.ends_with(".json") {
        return match serde_json::from_str::<serde_json::Value>(&source.text) {
            Ok(_) => json::read(file, &source.text, reader),
            Err(error) => {
                let at = line_column(&source.text, error.line(), error.column());
                reader.syntax_error = true;
                let error = Diagnostic::error(Span::new(file, &(at..at + 1)), format!("not JSON: {error}"));
                reader.found.push(error.kind(Kind::Syntax));
                Node { at: Span::default(), value: Value::Table(BTreeMap::new()) }
            }
        };
    }
    let (tree, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        reader.syntax_error = true;
        let at = Span::new(file, &error.span().unwrap_or(0..0));
        reader.found.push(Diagnostic::error(at, format!("not TOML: {}", error.message())).kind(Kind::Syntax));
    }
    let span = tree.span();
    from_toml(file, &span, DeValue::Table(tree.into_inner()), reader)
}

fn line_column(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before.saturating_add(column.saturating_sub(1)).min(text.len())
}

fn from_toml(file: u16, span: &Range<usize>, value: DeValue<'_>, reader: &mut Reader) -> Node {
    let at = Span::new(file, span);
    let value = match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => {
                reader.error(at, "this number is too large");
                Value::Null
            }
        },
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(bool) => Value::Bool(bool),
        DeValue::Datetime(time) => Value::Time(time),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    from_toml(file, &span, item.into_inner(), reader)
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(
            table
                .into_iter()
                .map(|(key, item)| {
                    let (key_span, span) = (key.span(), item.span());
                    let node = from_toml(file, &span, item.into_inner(), reader);
                    (key.into_inner().into_owned(), (Span::new(file, &key_span), node))
                })
                .collect(),
        ),
    };
    Node { at, value }
}

/// Collects what is wrong while entries are read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) found: Vec<Diagnostic>,
    /// Some file is not well-formed: what is missing may only be unreadable.
    pub(super) syntax_error: bool,
}

impl Reader {
    pub(super) fn error(&mut self, at: Span, message: impl Into<String>) {
        self.found.push(Diagnostic::error(at, message));
    }

    fn wrong_kind(&mut self, node: &Node, want: &str) {
        let message = format!("expected {want}, found {}", node.value.kind());
        let error = Diagnostic::error(node.at, message).kind(Kind::WrongType);
        self.found.push(error.label(format!("should be {want}")));
    }

    /// Opens a table, whose owner then takes the fields it knows and calls [`Table::finish`].
    pub(super) fn table(&mut self, node: Node, what: &'static str) -> Option<Table> {
        match node.value {
            Value::Table(fields) => Some(Table { at: node.at, what, fields, asked: Vec::new(), wrong: Vec::new() }),
            _ => {
                self.wrong_kind(&node, &format!("a table of {what}"));
                None
            }
        }
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) at: Span,
    what: &'static str,
    fields: BTreeMap<String, (Span, Node)>,
    asked: Vec<&'static str>,
    wrong: Vec<&'static str>,
}

impl Table {
    /// The value of a key, once.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.asked.push(key);
        self.fields.remove(key).map(|(_, node)| node).filter(|node| !matches!(node.value, Value::Null))
    }

    /// A field, as its type is written.
    pub(super) fn field<T: Field>(&mut self, key: &'static str, reader: &mut Reader) -> T {
        let before = reader.found.len();
        let field = T::take(self, key, reader);
        if reader.found.len() > before {
            self.wrong.push(key);
        }
        field
    }

    /// Keys that were not asked for are mistakes: a typo must never become a silent allow. Returns the keys of which
    /// something wrong was told, those that were meant by a typo among them.
    pub(super) fn finish(mut self, reader: &mut Reader) -> Vec<&'static str> {
        for (key, (at, _)) in &self.fields {
            let error = Diagnostic::error(*at, format!("{} has no key \"{key}\"", self.what))
                .kind(Kind::UnknownKey)
                .label("unknown key");
            let meant = did_you_mean(key, self.asked.iter().copied());
            self.wrong.extend(meant);
            reader.found.push(match meant {
                Some(known) => error.help(format!("did you mean \"{known}\"?")),
                None => error.help(format!("known keys: {}", self.asked.join(", "))),
            });
        }
        self.wrong
    }
}

/// How a value is written. `None`: it was wrong, and that has been said.
pub(super) trait Read: Sized {
    fn read(node: Node, reader: &mut Reader) -> Option<Self>;
}

/// How a field of a table is read, present or not.
pub(super) trait Field: Sized {
    fn take(table: &mut Table, key: &'static str, reader: &mut Reader) -> Self;
}

impl<T: Read> Field for Option<T> {
    fn take(table: &mut Table, key: &'static str, reader: &mut Reader) -> Self {
        table.take(key).and_then(|node| T::read(node, reader))
    }
}

/// Absent: empty.
impl<T: Read> Field for Vec<T> {
    fn take(table: &mut Table, key: &'static str, reader: &mut Reader) -> Self {
        table.take(key).and_then(|node| Self::read(node, reader)).unwrap_or_default()
    }
}

/// Absent: false.
impl Field for bool {
    fn take(table: &mut Table, key: &'static str, reader: &mut Reader) -> Self {
        table.take(key).and_then(|node| Self::read(node, reader)).unwrap_or(false)
    }
}

/// A value that remembers where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: Span,
}

impl<T: Read> Read for At<T> {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        let at = node.at;
        T::read(node, reader).map(|value| Self { value, at })
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::List(items) => Some(items.into_iter().filter_map(|item| T::read(item, reader)).collect()),
            _ => {
                reader.wrong_kind(&node, "a list");
                None
            }
        }
    }
}

impl Read for Node {
    fn read(node: Node, _: &mut Reader) -> Option<Self> {
        Some(node)
    }
}

impl Read for String {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Text(text) => Some(text),
            _ => {
                reader.wrong_kind(&node, "text");
                None
            }
        }
    }
}

impl Read for bool {
    fn read(node: Node, reader: &mut Reader) -> Option<Self> {
        match node.value {
            Value::Bool(bool) => Some(bool),
            _ => {
                reader.wrong_kind(&node, "true or false");
                None
            }
        }
    }
}

macro_rules! read_integers {
    ($($ty:ident)*) => { $(
        impl Read for $ty {
            fn read(node: Node, reader: &mut Reader) -> Option<Self> {
                let Value::Integer(integer) = node.value else {
                    reader.wrong_kind(&node, "an integer");
                    return None;
                };
                let value = Self::try_from(integer).ok();
                if value.is_none() {
                    reader.error(node.at, format!("{integer} is out of range: {} to {}", Self::MIN, Self::MAX));
                }
                value
            }
        }
    )* };
}
read_integers!(u8 u16 u32 u64);

/// A type that is written as text: says what is wrong with a text that is not one.
pub(super) trait Word: Sized {
    fn parse(text: &str) -> Result<Self, Mistake>;
}

/// What is wrong with a text, and what to do.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A word that is none of those known.
    pub(super) fn unknown<'a>(what: &str, wrong: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        let mistake = Self::new(format!("there is no {what} called \"{wrong}\""));
        match did_you_mean(wrong, known.clone()) {
            Some(word) => mistake.help(format!("did you mean \"{word}\"?")),
            None => {
                let words: Vec<&str> = known.into_iter().take(30).collect();
                mistake.help(format!("known: {}", words.join(", ")))
            }
        }
    }

    pub(super) fn at(self, at: Span) -> Diagnostic {
        let error = Diagnostic::error(at, self.message);
        match self.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

macro_rules! read_words {
    ($($ty:ty),* $(,)?) => { $(
        impl $crate::policy::read::Read for $ty {
            fn read(node: $crate::policy::read::Node, reader: &mut $crate::policy::read::Reader) -> Option<Self> {
                let at = node.at;
                let text = <String as $crate::policy::read::Read>::read(node, reader)?;
                match <$ty as $crate::policy::read::Word>::parse(&text) {
                    Ok(value) => Some(value),
                    Err(mistake) => {
                        reader.found.push(mistake.at(at));
                        None
                    }
                }
            }
        }
    )* };
}
pub(super) use read_words;

/// A closed set of words.
macro_rules! words {
    ($(#[doc = $meta:literal])* $vis:vis enum $name:ident as $what:literal { $($(#[doc = $doc:literal])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[doc = $meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name { $($(#[doc = $doc])* $variant),* }

        impl $crate::policy::schema::Describe for $name {
            fn describe(_: &mut $crate::policy::schema::Definitions) -> serde_json::Value {
                $crate::policy::schema::words(&[$(($text, concat!($($doc),*))),*])
            }
        }

        impl $name {
            /// The word as policies and reports write it.
            #[must_use]
            #[allow(dead_code)] // Not every set of words is also printed.
            $vis fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl $crate::policy::read::Word for $name {
            fn parse(text: &str) -> Result<Self, $crate::policy::read::Mistake> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::policy::read::Mistake::unknown($what, text, [$($text),*])),
                }
            }
        }

        $crate::policy::read::read_words!($name);
    };
}
pub(super) use words;

/// A table of the language: a struct whose fields are its keys.
macro_rules! schema {
    ($($(#[doc = $meta:literal])* struct $name:ident as $what:literal $(needs [$($need:literal),*])? {
        $($(#[doc = $doc:literal])* $field:ident $(= $key:literal)? : $ty:ty),* $(,)?
    })*) => { $(
        $(#[doc = $meta])*
        #[derive(Clone, Debug)]
        #[allow(dead_code)] // Some keys are documentation, or are evaluated elsewhere: they are checked and kept.
        pub(super) struct $name {
            /// Where the whole entry stands.
            pub(super) at: $crate::policy::diagnostic::Span,
            /// Keys of which something wrong was told.
            wrong: Vec<&'static str>,
            $($(#[doc = $doc])* pub(super) $field: $ty),*
        }

        impl $name {
            /// Something wrong with a key was told: that its value is missing follows from it, and is no news.
            #[allow(dead_code)] // Not every table has to have some key.
            pub(super) fn told(&self, key: &str) -> bool {
                self.wrong.contains(&key)
            }

            /// The same of any key.
            #[allow(dead_code)]
            pub(super) fn is_told(&self) -> bool {
                !self.wrong.is_empty()
            }
        }

        impl $crate::policy::schema::Describe for $name {
            fn describe(definitions: &mut $crate::policy::schema::Definitions) -> serde_json::Value {
                definitions.define(stringify!($name), concat!($($meta),*), &[$($($need),*)?], |definitions| {
                    vec![$((
                        $crate::policy::read::key!($field $($key)?),
                        concat!($($doc),*),
                        <$ty as $crate::policy::schema::Describe>::describe(definitions),
                    )),*]
                })
            }
        }

        impl $crate::policy::read::Read for $name {
            fn read(node: $crate::policy::read::Node, reader: &mut $crate::policy::read::Reader) -> Option<Self> {
                let mut table = reader.table(node, $what)?;
                let entry = Self {
                    at: table.at,
                    wrong: Vec::new(),
                    $($field: table.field($crate::policy::read::key!($field $($key)?), reader)),*
                };
                Some(Self { wrong: table.finish(reader), ..entry })
            }
        }
    )* };
}
pub(super) use schema;

/// A field's key: its name, unless that is a word of Rust.
macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}
pub(super) use key;
