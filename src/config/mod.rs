//! What an operator can set: the limits of the pipeline, and the file of the service.

mod file;
mod limits;
mod output;
mod unit;

pub use file::{ConfigError, Evidence, File, Http, Interface, Store, Tls, Token};
pub use limits::Limits;
pub use output::{Output, OutputType, Transport};
pub use unit::{Seconds, Size};
