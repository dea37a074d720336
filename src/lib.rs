//! zonewatch: what is on a control network, and does it stay inside its zones?
//!
//! ```text
//!  Source ─Frame<'a>─▶ decode ─Packet<'a>─▶ flow ─segment─▶ stream ─Pdu<'a>─▶ Session ─Observation<'a>─┬▶ ledger (facts)  ─resolve▶ inventory
//!  (pcap, files)      (etherparse)          (table)         (bytes│gap)       (dissectors)             └▶ policy::judge   ─fold───▶ findings
//!                                                                                                               │
//!                                                 table · JSON · CSV  ◀──────── output ◀────────────────────────┘
//! ```
//!
//! Data flows one way, and the modules below stand in its order: read them from the top. Borrowed bytes live inside one
//! [`worker`] call; what leaves it is owned and small: a fact, a counter, a finding.
//!
//! # Who does what
//!
//! 1. [`source`] lists the frames of capture files where they lie; [`decode`] tells of a frame who sent it to whom over
//!    what, through whatever tunnels it came.
//! 2. [`flow`] puts packets into connections and connections into the flows that people mean; [`stream`] makes a TCP
//!    direction into whole PDUs, or a gap. Which protocol it is, and what a PDU says, the crate [`dissectors`] knows.
//! 3. [`ledger`] keeps what was observed as facts with their frames; [`inventory`] concludes from them which devices there
//!    are, and can be run again at any time. [`policy`] judges each distinct operation once, and it is counted from then on.
//!    Whom a policy knows by a name and not by an address is known only then: [`analysis`] has those flows judged again.
//! 4. [`worker`] runs all of that to completion for its share of the host pairs; [`pipeline`] feeds one worker inline or
//!    several by channels; [`analysis`] is a whole run: captures in, inventory and judgements out.
//! 5. [`output`] alone says what the outside sees; [`cli`] and [`command`] are the words and the wiring.
//! 6. `event` (feature `sensor`) brings what happens to files and SIEMs, through a queue on disk for each.
//! 7. `sensor` does the same without an end: what the workers learned is gathered every few seconds, and shown by
//!    `output::http` and `output::metrics`, which stand above it.
//!
//! # Who may import whom
//!
//! A module imports only from those above it (`tests/layering.rs` has the list and checks it). [`address`], [`bounded`],
//! [`id`] and [`time`] are vocabulary that everybody may use, [`config`] is the limits. Each foreign crate has one door: it
//! is named in one module only.
//!
//! # What always holds
//!
//! 1. `dissectors` knows no sockets, files, clocks, threads, addresses, assets or policies.
//! 2. [`ledger`], [`inventory`] and [`policy`] name no protocol: to them it is a name, operation classes and numbers. A new
//!    protocol touches its own folder, its fixtures and two lines of the registry.
//! 3. One crate, one door.
//! 4. Nothing reads the wall clock. The same captures give the same bytes of output on any day, for any number of workers
//!    and in whatever order they are named.
//! 5. No input makes the process panic, loop without progress, or grow a structure past its limit. Each limit that bites is
//!    counted and shown.
//! 6. Nothing is ever sent on a network that is watched: no code path holds a sending handle.
//! 7. Inner types are not `Serialize`; [`output::view`] is the contract with the outside.
//! 8. Frames in = frames decoded + frames counted by the reason why not. Nothing disappears silently.

pub mod address;
pub mod bounded;
pub mod config;
pub mod id;
pub mod time;

pub mod source;

pub mod decode;

pub mod stream;

pub mod flow;

pub mod ledger;

pub mod inventory;

pub mod policy;

pub mod worker;

pub mod pipeline;

pub mod analysis;

pub mod output;

#[cfg(feature = "sensor")]
pub mod event;

#[cfg(feature = "sensor")]
pub mod store;

#[cfg(all(feature = "live", feature = "sensor"))]
pub mod sensor;

pub mod cli;
pub mod command;
