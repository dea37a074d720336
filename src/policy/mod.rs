//! The declared model of a site, and what it says of traffic.
//!
//! A policy is one TOML file, or a folder of them (JSON loads through the same model). Terms follow IEC 62443-3-2: a
//! *zone* groups assets with common security requirements, a *conduit* is the only allowed path between zones.
//!
//! # The language
//!
//! ```toml
//! schema = 1
//!
//! [site]                                       # the system under consideration
//! id = "north-mill"
//! timezone = "Europe/Stockholm"                # windows and dates are in it
//!
//! [[zone]]
//! id      = "cell-a"
//! level   = 1                                  # Purdue: a label for severity and reports, not a rule
//! sl_t    = { all = 2, RDF = 3 }               # target security levels
//! members = [ { cidr = "10.20.1.0/24" } ]      # or ip, range, mac, hostname, vlan, vlan with cidr, asset, dnp3_link, vendor, role
//! inside  = { default = "listed", allow = ["enip"] }
//!
//! [[zone]]
//! id      = "supervision"
//! level   = 2
//! sl_t    = { all = 2 }
//! members = [ { cidr = "10.60.0.0/24" } ]
//!
//! [[conduit]]
//! id    = "C-1"
//! from  = ["supervision"]                      # who opens the session; the reply is implied
//! to    = ["cell-a"]
//! owner = "Operations"
//! allow = [ { protocol = "modbus", functions = [3, 4], units = [1],
//!             objects = [ { table = "holding", from = 0, to = 99 } ] } ]
//! ```
//!
//! Further tables: `[defaults]` what happens to the rest, `[[asset]]` names and pins, `[[group]]` shorter ends,
//! `[[deny]]` wins over conduits, `[[exception]]` a conduit with an end and a risk owner, `[[ignore]]` noise,
//! `[[nat]]` address translation, `[[tap]]` where the sensor listens, `[[protocol]]` private protocols by port,
//! `[severity]` other weights. Every object takes `notes` and `tags`. An unknown key is an error: a typo must never
//! become a silent allow. All errors of all files are told in one run ([`Diagnostics`]).
//!
//! # Membership
//!
//! An endpoint is in exactly one zone, by the most specific selector: pinned asset, MAC address, single IP, host name,
//! VLAN with CIDR, longest CIDR or smallest range, VLAN, query; else `external` (public addresses) or `unknown`
//! ([`Policy::zone_of`]). A conduit that names a zone covers the zones in it, unless `exact = true`, and never a safety
//! zone that is not named. A deny covers all that lies in a zone, safety or not.
//!
//! # Evaluation
//!
//! [`Policy::conversation`] once a flow, [`Conversation::judge`] once a distinct operation, in this order:
//!
//! 1. `ignore`.
//! 2. Multicast and broadcast stay in their zone; what changes something is judged as within the zone.
//! 3. `deny`, unless an exception names it in `overrides` and passes.
//! 4. Within one zone: its `inside` lists.
//! 5. Conduits and exceptions whose ends cover both sides. One allow table has to pass every stage: protocol, operation,
//!    object, validity, window, security, rate, boundary. The candidate that got furthest names the reason.
//! 6. No candidate: external side, unknown side, reverse conduit, conduit for other assets, `defaults.inter_zone`.
//! 7. Allowed, but nobody approved the asset or knows the payload: review.
//! 8. Allowed by a draft (`[site] approved = false`): review, without a reason to object.
//!
//! A rate is measured for one allow table and one client-server pair, in windows of the unit that it is declared in, laid
//! at whole units of UTC: `max_rate = "50/s"` is more than 50 operations between two full seconds.
//!
//! The order of blocks in the files never matters, and only packet time is used.
//!
//! # Findings
//!
//! [`Reason`] says why, with the requirements of IEC 62443-3-3 and the techniques of ATT&CK for ICS it bears on.
//! [`Policy::score`] says how bad, with every term. [`Identity::id`] says which finding it is. [`Policy::what`],
//! [`Policy::why`], [`Policy::do_next`] and [`Policy::harmless`] say it in sentences.

mod boundary;
mod breadth;
mod cases;
mod compile;
mod conversation;
pub mod decisions;
pub mod declaration;
mod diagnostic;
mod diff;
pub mod exchange;
mod file;
mod finding;
pub mod firewall;
mod index;
mod json;
mod judge;
mod kind;
pub mod life;
mod lint;
mod marking;
mod matching;
mod membership;
mod model;
mod protocol;
mod question;
mod rate;
mod read;
mod reason;
pub mod remote;
pub mod review;
mod schema;
mod setting;
mod severity;
mod side;
pub mod silence;
pub mod suggest;
mod tap;
mod text;
pub mod tidy;
mod trace;
mod verdict;
pub mod widening;
mod window;
mod word;

pub use boundary::{Sign, Way};
pub use cases::{Case, Difference};
pub use conversation::{Cast, Conversation, Ends};
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity, Source, Span};
pub use diff::Change;
pub use file::{Consequence, Criticality, ZoneKind};
pub use finding::{Identity, bucket};
pub use judge::{Judgement, Protection, Request, Statement};
pub use kind::Kind;
pub use lint::level_of;
pub use marking::Markings;
pub use matching::code_matches;
pub use membership::{Member, Membership, Selector};
pub use model::{Asset, AssetId, Policy, Rule, Zone, ZoneId};
pub use protocol::{service_name, spoken_name};
pub use question::{Answer, Asked, Question, Touch};
pub use rate::{Measure, Peak, Rates, Table};
pub use reason::{Attack, Reason, class_attack, evidence_class, mapping_version, technique_name};
pub use schema::schema;
pub use setting::Setting;
pub use severity::{Band, Outcome, Score, Weights};
pub use side::Side;
pub use tap::{TapId, TapPlace};
pub use text::{Context, Touched, Who};
pub use trace::Step;
pub use verdict::{Qualifier, Qualifiers, Stage, Verdict};
pub use word::{Classes, Rate, SecurityLevels, is_id};
