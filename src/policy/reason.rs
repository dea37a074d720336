//! Why something is a finding: the reason codes, the requirements they bear on, and ATT&CK for ICS.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dissectors::{Class, table};

use crate::id;

const REASONS: &str = include_str!("reasons.csv");
const CLASS_ROWS: &str = include_str!("classes.csv");
const TECHNIQUES: &str = include_str!("techniques.csv");
const REQUIREMENTS: &str = include_str!("requirements.csv");

/// Declares the codes in their order; everything else about them stands in `reasons.csv`.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// A reason code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name),* }

        impl Reason {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

reasons! {
    /// ZC001.
    UndeclaredConduit,
    /// ZC002.
    WrongInitiator,
    /// ZC003.
    ProtocolNotListed,
    /// ZC004.
    OperationNotListed,
    /// ZC005.
    ObjectNotListed,
    /// ZC006.
    OutsideWindow,
    /// ZC007.
    NotValid,
    /// ZC008.
    WeakSecurity,
    /// ZC009.
    RateExceeded,
    /// ZC010.
    BoundaryBypass,
    /// ZC011.
    FlatLayer2,
    /// ZC012.
    DualHomed,
    /// ZC013.
    UnzonedAddress,
    /// ZC014.
    UnapprovedAsset,
    /// ZC015.
    ExternalContact,
    /// ZC016.
    IntraZoneNotListed,
    /// ZC017.
    DiodeReverse,
    /// ZC018.
    MulticastLeak,
    /// ZC019.
    ExplicitDeny,
    /// ZC020.
    ProtocolMismatch,
    /// ZC021.
    Tunnel,
    /// ZC022.
    IdentityConflict,
    /// ZC023.
    EndpointNotListed,
}

struct Row {
    code: String,
    name: String,
    requirements: Vec<String>,
    attack: Attack,
    says: String,
}

/// Technique ids of MITRE ATT&CK for ICS, in the two numberings that are in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attack {
    /// Version 18.
    pub v18: Vec<String>,
    /// Version 19, which renumbered some.
    pub v19: Vec<String>,
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    table::records(REASONS)
        .filter_map(|fields| <[String; 6]>::try_from(fields).ok())
        .map(|[code, name, requirements, v18, v19, says]| Row {
            code,
            name,
            requirements: words(&requirements),
            attack: Attack { v18: words(&v18), v19: words(&v19) },
            says,
        })
        .collect()
});

impl Reason {
    fn row(self) -> &'static Row {
        static MISSING: Row = Row {
            code: String::new(),
            name: String::new(),
            requirements: Vec::new(),
            attack: Attack { v18: Vec::new(), v19: Vec::new() },
            says: String::new(),
        };
        ROWS.get(self as usize).unwrap_or(&MISSING)
    }

    /// `ZC005`.
    #[must_use]
    pub fn code(self) -> &'static str {
        &self.row().code
    }

    /// `object-not-listed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.row().name
    }

    /// System requirements of IEC 62443-3-3 that it bears on: `2.1`, an enhancement as `5.2(1)`.
    #[must_use]
    pub fn requirements(self) -> &'static [String] {
        &self.row().requirements
    }

    /// Techniques it may be a sign of.
    #[must_use]
    pub fn attack(self) -> &'static Attack {
        &self.row().attack
    }

    /// What it means, as half a sentence.
    #[must_use]
    pub fn says(self) -> &'static str {
        &self.row().says
    }

    /// The reason of this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

/// What is known of an operation class: its weight, what it may be a sign of, and the verb of a sentence about it.
#[derive(Debug, Default)]
pub(super) struct ClassRow {
    pub(super) weight: i32,
    pub(super) attack: Attack,
    pub(super) verb: String,
}

static CLASSES: LazyLock<Vec<(Class, ClassRow)>> = LazyLock::new(|| {
    table::records(CLASS_ROWS)
        .filter_map(|fields| <[String; 5]>::try_from(fields).ok())
        .filter_map(|[class, weight, v18, v19, verb]| {
            let attack = Attack { v18: words(&v18), v19: words(&v19) };
            Some((Class::parse(&class)?, ClassRow { weight: weight.parse().ok()?, attack, verb }))
        })
        .collect()
});

pub(super) fn class_row(class: Class) -> &'static ClassRow {
    static NONE: LazyLock<ClassRow> = LazyLock::new(ClassRow::default);
    CLASSES.iter().find(|(known, _)| *known == class).map_or(&NONE, |(_, row)| row)
}

/// Techniques that an operation class may be a sign of.
#[must_use]
pub fn class_attack(class: Class) -> &'static Attack {
    &class_row(class).attack
}

/// The name of a technique of ATT&CK for ICS, by its id in either numbering.
#[must_use]
pub fn technique_name(id: &str) -> Option<&'static str> {
    // Asked for each finding at each look.
    static NAMES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let rows = table::records(TECHNIQUES).filter_map(|fields| <[String; 3]>::try_from(fields).ok());
        rows.flat_map(|[v18, v19, name]| [(v18, name.clone()), (v19, name)]).collect()
    });
    NAMES.get(id).map(String::as_str)
}

/// What passive evidence can say of a system requirement: `E1` shows the fact itself, `E2` can only refute, `E3` only
/// support, `E0` nothing. An enhancement, as `5.2(1)`, has the class of its requirement.
#[must_use]
pub fn evidence_class(requirement: &str) -> Option<&'static str> {
    static CLASSES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let rows = table::records(REQUIREMENTS).filter_map(|fields| <[String; 2]>::try_from(fields).ok());
        rows.map(|[id, class]| (id, class)).collect()
    });
    let requirement = requirement.split('(').next().unwrap_or_default();
    CLASSES.get(requirement).map(String::as_str)
}

/// The version of the tables that lead from reasons and operations to techniques and requirements: a hash of them, so
/// that a corrected table is another version.
#[must_use]
pub fn mapping_version() -> &'static str {
    static VERSION: LazyLock<String> =
        LazyLock::new(|| id::base32(&[REASONS, CLASS_ROWS, TECHNIQUES, REQUIREMENTS].concat(), 8));
    &VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_whole() {
        assert_eq!(ROWS.len(), Reason::ALL.len());
        for (number, reason) in (1..).zip(Reason::ALL) {
            assert_eq!(reason.code(), format!("ZC{number:03}"));
            assert!(!reason.says().is_empty() && !reason.requirements().is_empty(), "{}", reason.code());
            assert_eq!(reason.attack().v18.len(), reason.attack().v19.len(), "{}", reason.code());
        }
        assert_eq!(CLASSES.len(), Class::ALL.len());
        for class in Class::ALL {
            assert!(class_row(class).weight > 0 && !class_row(class).verb.is_empty(), "{}", class.text());
        }
        assert_eq!(Reason::parse("ZC005"), Some(Reason::ObjectNotListed));
        let of_reasons = Reason::ALL.iter().map(|reason| reason.attack());
        for attack in of_reasons.chain(Class::ALL.iter().map(|class| class_attack(*class))) {
            for id in attack.v18.iter().chain(&attack.v19) {
                assert!(technique_name(id).is_some(), "{id}");
            }
        }
        for requirement in Reason::ALL.iter().flat_map(|reason| reason.requirements()) {
            assert!(evidence_class(requirement).is_some(), "{requirement}");
        }
    }
}
