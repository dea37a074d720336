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

pub mod cli;
pub mod command;
