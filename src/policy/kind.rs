//! The kinds of mistakes and warnings, for tools that count, filter or suppress them.

/// Declares the kinds: variant, id, and what it is about in one sentence, which is also its documentation.
macro_rules! kinds {
    ($($name:ident $id:literal $says:literal),* $(,)?) => {
        /// What sort of thing is wrong. Ids are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $says] $name),* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// `unknown-name`.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id),* }
            }

            /// What it is about, in one sentence.
            #[must_use]
            pub fn says(self) -> &'static str {
                match self { $(Self::$name => $says),* }
            }
        }
    };
}

kinds! {
    Unreadable "unreadable" "A file cannot be read.",
    Syntax "syntax" "A file is not TOML or JSON.",
    UnknownKey "unknown-key" "A key that the language does not have: a typo must never become a silent allow.",
    WrongType "wrong-type" "A value of another type than the key takes.",
    BadValue "bad-value" "A value that means nothing here.",
    MissingKey "missing-key" "A key that the entry must have.",
    UnknownName "unknown-name" "A name of nothing that is declared.",
    Duplicate "duplicate" "The same id or address twice.",
    EqualMembership "equal-membership" "Two zones claim the same members with the same precedence.",
    ConflictingKeys "conflicting-keys" "Keys that do not go together.",
    ExceptionWithoutEnd "exception-without-end" "An exception ends: what is allowed for good is a conduit.",
    ExceptionTooLong "exception-too-long" "An exception lasts longer than defaults.exception_max_days.",
    UnboundedEphemeral "unbounded-ephemeral" "A just-in-time conduit has a beginning and an end.",
    OperationsMissing "operations-missing" "A protocol whose operations are told apart, allowed without saying which.",
    PortsMissing "ports-missing" "TCP or UDP, allowed without saying on which ports.",
    IgnoreHidesChanges "ignore-hides-changes" "What is ignored could hide writes and programming.",
    OneWayTcp "one-way-tcp" "TCP needs answers, which a one-way conduit does not carry.",
    AnyToSafety "any-to-safety" "A safety zone, opened to anybody.",
    NoTimeZone "no-time-zone" "Windows and dates without a time zone.",
    AnyEnd "any-end" "An end that is any zone, external and unknown included.",
    LongEphemeral "long-ephemeral" "A just-in-time conduit that lasts longer than a day.",
    NotEvaluated "not-evaluated" "A condition that cannot be checked yet: it would silently hold for everything, or for nothing.",
    TwoPurposes "two-purposes" "A zone of two purposes, or with assets of levels far apart.",
    NoOwner "no-owner" "Nobody answers for it.",
    NothingAllowed "nothing-allowed" "A conduit that allows nothing.",
    NeverAsked "never-asked" "Both ends are in one zone, where only its inside list is asked.",
    LevelSkip "level-skip" "From level 4 or above to level 3 or below with no DMZ between.",
    SafetyFromEngineering "safety-from-engineering" "Ordinary engineering reaches a safety zone.",
    StandingRemoteEngineering "standing-remote-engineering" "Remote access with engineering rights and no end.",
    EngineeringWithoutWindow "engineering-without-window" "Engineering operations at any time.",
    WeakConduit "weak-conduit" "A conduit less capable than its ends need.",
    SlGap "sl-gap" "Security levels two or more apart, joined with no boundary device.",
    ClearText "clear-text" "A clear-text protocol to or from a zone that asks for confidentiality.",
    WithinAnother "within-another" "A wider conduit of the same zones allows all of it: its limits never bind.",
    WideMembers "wide-members" "A zone that claims a very large network.",
    NoMembers "no-members" "A zone that nothing is a member of.",
    EngineeringElsewhere "engineering-elsewhere" "Engineering rights of an asset that the policy does not let program.",
    TimeFromElsewhere "time-from-elsewhere" "Time from where the policy names no source of it.",
    NoTime "no-time" "No conduit carries time between zones.",
    Draft "draft" "A draft from traffic that nobody approved: what it would allow is reviewed.",
    OneApprover "one-approver" "An exception into a safety zone that fewer than two people approved.",
}
