//! Why something is a finding: the reason codes, the requirements they bear on, and ATT&CK for ICS.

use std::sync::LazyLock;

use dissectors::{Class, table};

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
    table::records(include_str!("reasons.csv"))
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
    table::records(include_str!("classes.csv"))
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
    }
}
