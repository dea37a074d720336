//! zonewatch: what is on a control network, and does it stay inside its zones?
//!
//! ```text
//!  Source ─Frame<'a>─▶ decode ─Packet<'a>─▶ flow ─segment─▶ stream ─Pdu<'a>─▶ Session ─Observation<'a>─┬▶ ledger (facts)  ─resolve▶ inventory
//!  (pcap, files)      (etherparse)          (table)         (bytes│gap)       (dissectors)             └▶ policy::judge   ─fold───▶ findings
//!                                                                                                               │
//!                   table · JSON · report · API · metrics · events  ◀──────── output ◀── Snapshot ◀─────────────┘
//! ```
//!
//! Data flows one way, and the modules below stand in its order. Borrowed bytes live inside one
//! [`worker`] call; what leaves it is owned and small: a fact, a counter, a finding.

pub mod address;
pub mod decode;
pub mod flow;
pub mod ledger;
pub mod policy;
pub mod source;
pub mod time;
