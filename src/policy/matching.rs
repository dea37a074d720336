//! Whether a code, a component or an object is one of those that a rule lists.

use dissectors::{Component, ComponentId, Item, Object, table};

use super::file;
use super::read::{At, Mistake, Reader};
use super::text::range_text;

/// A code: `3`, `43/14`, `0x0e:0x01`, `Read`. A bare number or name covers its sub-codes: `43` covers `43/14`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CodePattern {
    head: String,
    tail: Option<String>,
}

impl std::fmt::Display for CodePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.head)?;
        self.tail.iter().try_for_each(|tail| write!(f, "/{tail}"))
    }
}

impl CodePattern {
    /// `class/service` in hex is turned round to `service:class`, as codes are written.
    pub(super) fn new(text: &str) -> Self {
        let (head, tail) = split(text);
        match tail {
            Some(tail) if text.contains('/') && head.starts_with("0x") && tail.starts_with("0x") => {
                Self { head: tail.to_owned(), tail: Some(head.to_owned()) }
            }
            tail => Self { head: head.to_owned(), tail: tail.map(str::to_owned) },
        }
    }

    pub(super) fn matches(&self, code: &str) -> bool {
        let (head, tail) = split(code);
        same(&self.head, head) && self.tail.as_deref().is_none_or(|wanted| tail.is_some_and(|tail| same(wanted, tail)))
    }
}

/// Whether a code as people and policies write it means this one.
#[must_use]
pub fn code_matches(written: &str, code: &str) -> bool {
    CodePattern::new(written).matches(code)
}

fn split(code: &str) -> (&str, Option<&str>) {
    match code.split_once([':', '/']) {
        Some((head, tail)) => (head.trim(), Some(tail.trim())),
        None => (code.trim(), None),
    }
}

/// Equal as numbers, in whatever base, else as words.
fn same(a: &str, b: &str) -> bool {
    match (table::number(a), table::number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.eq_ignore_ascii_case(b),
    }
}

/// A component: a number, or a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitPattern(pub(super) String);

impl UnitPattern {
    /// No component is the device itself, which Modbus TCP calls 0 or 255.
    pub(super) fn matches(&self, component: Option<Component<'_>>) -> bool {
        match component.map(|component| component.id) {
            Some(ComponentId::Number(number)) => self.0.parse() == Ok(number),
            Some(ComponentId::Path(path)) => self.0 == path,
            None => matches!(self.0.as_str(), "0" | "255"),
        }
    }
}

/// What a rule says of the things that an operation touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ObjectPattern {
    /// A part of an address space; both ends are in it.
    Range { space: String, from: u64, to: u64 },
    /// A name with `*` and `?`.
    Name { space: Option<String>, glob: String },
    /// A class of objects, and one instance of it or all.
    Class { class: u64, instance: Option<u64> },
}

impl std::fmt::Display for ObjectPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Range { space, from, to } => f.write_str(&range_text(space, (*from, *to))),
            Self::Name { glob, .. } => f.write_str(glob),
            Self::Class { class, instance: None } => write!(f, "class {class:#04x}"),
            Self::Class { class, instance: Some(instance) } => write!(f, "class {class:#04x} instance {instance}"),
        }
    }
}

impl ObjectPattern {
    /// An object lies in it: a range wholly, since half a permission is none.
    fn covers(&self, code: &str, object: &Object<'_>) -> bool {
        match (self, object.item) {
            (Self::Range { space, from, to }, Item::Range(first, last)) => {
                object.space == space && *from <= first && last <= *to
            }
            (Self::Name { space, glob }, Item::Name(name)) => {
                space.as_deref().is_none_or(|space| space == object.space) && matches_glob(glob, name)
            }
            (Self::Class { class, instance }, Item::Range(first, last)) => match object.space {
                "class" => (*class..=*class).contains(&first) && first == last,
                _ => code_class(code) == Some(*class) && instance.is_none_or(|only| (first, last) == (only, only)),
            },
            (Self::Class { class, instance: None }, Item::Name(_)) => code_class(code) == Some(*class),
            _ => false,
        }
    }

    /// A name is one of those it is about.
    pub(super) fn names(&self, space: &str, name: &str) -> bool {
        matches!(self, Self::Name { space: wanted, glob }
            if wanted.as_deref().is_none_or(|wanted| wanted == space) && matches_glob(glob, name))
    }

    /// A code is about the class of objects it names.
    pub(super) fn is_class_of(&self, code: &str) -> bool {
        matches!(self, Self::Class { class, .. } if code_class(code) == Some(*class))
    }

    /// Every object of an operation lies in some pattern of the list. An operation without objects has at least its
    /// class, if the patterns ask for no more.
    pub(super) fn all_covered(patterns: &[Self], code: &str, objects: &[Object<'_>]) -> bool {
        if objects.is_empty() {
            let whole = |pattern: &Self| matches!(pattern, Self::Class { class, instance: None } if code_class(code) == Some(*class));
            return patterns.iter().any(whole);
        }
        objects.iter().all(|object| patterns.iter().any(|pattern| pattern.covers(code, object)))
    }

    pub(super) fn new(entry: &file::Object, reader: &mut Reader) -> Option<Self> {
        let keys = [
            ("table", entry.table.is_some()),
            ("from", entry.from.is_some()),
            ("to", entry.to.is_some()),
            ("class", entry.class.is_some()),
            ("instance", entry.instance.is_some()),
            ("tag", entry.tag.is_some()),
            ("node", entry.node.is_some()),
            ("method", entry.method.is_some()),
            ("db", entry.db.is_some()),
            ("type", entry.kind.is_some()),
            ("property", entry.property.is_some()),
            ("name", entry.name.is_some()),
        ];
        let given: Vec<&str> = keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect();
        let (from, to) =
            (entry.from.as_ref().map_or(0, |at| at.value), entry.to.as_ref().map_or(u64::MAX, |at| at.value));
        if from > to {
            let mistake = Mistake::new(format!("the range {from} to {to} is empty"));
            reader.found.push(mistake.help("write the lower end first").at(entry.at));
            return None;
        }
        let named = |space: &str, glob: &At<String>| {
            Some(Self::Name { space: Some(space.to_owned()), glob: glob.value.clone() })
        };
        match (given.as_slice(), entry) {
            (["table", rest @ ..], file::Object { table: Some(table), .. }) if only(rest, &["from", "to"]) => {
                Some(Self::Range { space: table.value.clone(), from, to })
            }
            (_, file::Object { db: Some(db), .. }) if only(&given, &["db", "from", "to"]) => {
                Some(Self::Range { space: format!("db{}", db.value), from, to })
            }
            (_, file::Object { class: Some(class), instance, .. }) if only(&given, &["class", "instance"]) => {
                Some(Self::Class { class: class.value, instance: instance.as_ref().map(|at| at.value) })
            }
            (["tag"], file::Object { tag: Some(tag), .. }) => named("tag", tag),
            (["node"], file::Object { node: Some(node), .. }) => named("node", node),
            (["method"], file::Object { method: Some(method), .. }) => named("method", method),
            (["name"], file::Object { name: Some(name), .. }) => {
                Some(Self::Name { space: None, glob: name.value.clone() })
            }
            (_, file::Object { kind: Some(kind), instance, .. }) if only(&given, &["type", "instance", "property"]) => {
                let (first, last) = instance.as_ref().map_or((0, u64::MAX), |at| (at.value, at.value));
                Some(Self::Range { space: kind.value.0.clone(), from: first, to: last })
            }
            _ => {
                let mistake = Mistake::new(format!("the keys {} do not make an object", given.join(", ")));
                let forms = "write one of { table, from, to }, { class, instance }, { tag }, { node }, { method }, \
                             { db, from, to }, { type, instance, property }, { name }";
                reader.found.push(mistake.help(forms).at(entry.at));
                None
            }
        }
    }
}

fn only(given: &[&str], known: &[&str]) -> bool {
    given.iter().all(|key| known.contains(key))
}

/// The class in a code that has one: `0x0e:0x01` is service 0x0e of class 0x01.
pub(super) fn code_class(code: &str) -> Option<u64> {
    code.split_once(':').and_then(|(_, class)| table::number(class))
}

/// `*` is any text, `?` any one character. Linear in practice and never worse than the product of both lengths.
pub(super) fn matches_glob(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t, mut star) = (0, 0, None);
    while let Some(c) = text.get(t) {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(wanted) if wanted == c || *wanted == '?' => (g, t) = (g + 1, t + 1),
            // Let the last star take one character more.
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (g, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    glob.get(g..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for (pattern, code, want) in [
            ("3", "3", true),
            ("3", "0x03", true),
            ("3", "30", false),
            ("43", "43/14", true),
            ("43/14", "43/14", true),
            ("43/14", "43/13", false),
            ("43/14", "43", false),
            ("0x4C", "0x4c:0x6b", true),
            ("0x6b/0x4c", "0x4c:0x6b", true),
            ("0x4c:0x6b", "0x4c:0x6b", true),
            ("0x6b/0x4c", "0x4c:0x01", false),
            ("encap/0x0063", "encap/0x0063", true),
            ("read", "Read", true),
            ("Read", "HistoryRead", false),
        ] {
            assert_eq!(CodePattern::new(pattern).matches(code), want, "{pattern} of {code}");
        }
    }

    #[test]
    fn globs() {
        for (glob, text, want) in [
            ("Line1.*", "Line1.Speed", true),
            ("Line1.*", "Line2.Speed", false),
            ("*", "", true),
            ("*.csv", "a.csv.csv", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "aXbYbZc", true),
            ("", "x", false),
        ] {
            assert_eq!(matches_glob(glob, text), want, "{glob} on {text}");
        }
    }

    #[test]
    fn objects() {
        let range = |from, to| Object { space: "holding", item: Item::Range(from, to) };
        let list = [ObjectPattern::Range { space: "holding".into(), from: 100, to: 119 }];
        for (case, objects, want) in [
            ("inside", vec![range(100, 119)], true),
            ("across the end", vec![range(118, 121)], false),
            ("one in, one out", vec![range(100, 100), range(1, 1)], false),
            ("nothing known", vec![], false),
            ("other table", vec![Object { space: "input", item: Item::Range(100, 100) }], false),
        ] {
            assert_eq!(ObjectPattern::all_covered(&list, "16", &objects), want, "{case}");
        }
        let class = [ObjectPattern::Class { class: 0x6B, instance: None }];
        assert!(ObjectPattern::all_covered(&class, "0x4c:0x6b", &[]));
        assert!(!ObjectPattern::all_covered(&class, "0x4c:0x01", &[]));
    }
}
