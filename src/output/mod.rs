//! What leaves the program: the contract ([`view`]), and its forms for people, machines and spreadsheets.

pub mod compare;
mod convert;
mod declarations;
pub mod diagnostics;
mod differences;
mod edges;
pub mod escape;
pub mod expect;
pub mod explain;
mod findings;
mod flow_ids;
mod html;
#[cfg(all(feature = "live", feature = "sensor"))]
pub mod http;
pub mod junit;
pub mod lines;
pub mod list;
#[cfg(all(feature = "live", feature = "sensor"))]
pub mod metrics;
pub mod report;
pub mod review;
mod rollup;
pub mod sheet;
pub mod summary;
pub mod text;
pub mod view;

pub use convert::{Told, VERSION, Whole, stand};
