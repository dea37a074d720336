//! How the memory is divided that is not the tables': the ring of each interface, and recent frames. The tables get the
//! rest when the sensor starts, and keep it: what is added later has to do with what others gave back, until a restart.

use crate::config::{File, Interface, Size};
use crate::source::live::LiveOptions;

/// The shares.
pub(super) struct Shares {
    /// What there was to divide at the start, in bytes.
    all: u64,
    /// Bytes for recent frames.
    pub(super) context: u64,
    lacks_context: bool,
    rings: Vec<Ring>,
}

/// An interface with its ring.
#[derive(Clone)]
struct Ring {
    interface: Interface,
    options: LiveOptions,
    /// It is smaller than it was meant to be.
    is_small: bool,
}

/// What an interface gets although nothing is left: twice what libpcap takes for enough.
const LEAST_RING: u64 = 4 << 20;
/// What recent frames get although nothing is left: the least that may be configured.
const LEAST_CONTEXT: u64 = 1 << 20;

impl Shares {
    /// As the configuration says.
    pub(super) fn divide(config: &File) -> Self {
        let ring = |interface: &Interface| Ring {
            interface: interface.clone(),
            options: options(interface, config.ring(interface).0),
            is_small: false,
        };
        let rings: Vec<Ring> = config.interface.iter().map(ring).collect();
        let context = context(config);
        let all = context + rings.iter().map(|ring| u64::from(ring.options.buffer)).sum::<u64>();
        Self { all, context, lacks_context: false, rings }
    }

    /// As another configuration says, as far as there is room. An interface that is configured as before keeps its ring.
    pub(super) fn divide_again(&self, config: &File) -> Self {
        let known = |interface: &Interface| self.rings.iter().find(|ring| ring.interface == *interface).cloned();
        let kept = config.interface.iter().filter_map(known).map(|ring| u64::from(ring.options.buffer));
        let mut left = self.all.saturating_sub(kept.sum());
        let wanted = context(config);
        let context = wanted.min(left.max(self.context).max(LEAST_CONTEXT));
        left = left.saturating_sub(context);
        let mut grant = |interface: &Interface| {
            let wanted = config.ring(interface).0;
            let bytes = wanted.min(left.max(LEAST_RING));
            left = left.saturating_sub(bytes);
            Ring { interface: interface.clone(), options: options(interface, bytes), is_small: bytes < wanted }
        };
        let rings = config.interface.iter().map(|interface| known(interface).unwrap_or_else(|| grant(interface)));
        Self { all: self.all, context, lacks_context: context < wanted, rings: rings.collect() }
    }

    /// How each interface is watched.
    pub(super) fn interfaces(&self) -> Vec<LiveOptions> {
        self.rings.iter().map(|ring| ring.options.clone()).collect()
    }

    /// Settings that got less than they say.
    pub(super) fn lacks(&self) -> impl Iterator<Item = &'static str> {
        let small = self.rings.iter().any(|ring| ring.is_small).then_some("interface.buffer");
        small.into_iter().chain(self.lacks_context.then_some("evidence.context"))
    }
}

/// Bytes for recent frames.
fn context(config: &File) -> u64 {
    if config.evidence.path.as_os_str().is_empty() { 0 } else { config.evidence.context.0 }
}

fn options(interface: &Interface, ring: u64) -> LiveOptions {
    let bytes = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
    let Size(snaplen) = interface.snaplen;
    LiveOptions {
        interface: interface.name.clone(),
        filter: interface.filter.clone(),
        snaplen: bytes(snaplen),
        buffer: bytes(ring),
        promiscuous: interface.promiscuous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A configuration of 256 MiB with these interfaces, and so many MiB of recent frames.
    fn config(interfaces: &[(&str, Option<u64>)], context: u64) -> File {
        let mut config = File::default();
        let interface = |(name, buffer): &(&str, Option<u64>)| Interface {
            buffer: buffer.map(|mib| Size(mib * MIB)),
            ..Interface::named(name)
        };
        config.interface = interfaces.iter().map(interface).collect();
        config.evidence.context = Size(context * MIB);
        if context > 0 {
            config.evidence.path = "/e".into();
        }
        config
    }

    #[test]
    fn what_is_added_takes_what_others_gave_back() {
        let start = config(&[("a", None)], 16);
        for (case, now, rings, context, lacks) in [
            ("nothing changes", config(&[("a", None)], 16), &[64][..], 16, &[][..]),
            ("one more", config(&[("a", None), ("b", None)], 16), &[64, 4], 16, &["interface.buffer"]),
            ("one more, small", config(&[("a", None), ("b", Some(2))], 16), &[64, 2], 16, &[]),
            ("another one", config(&[("b", None)], 16), &[64], 16, &[]),
            ("two others", config(&[("b", None), ("c", None)], 16), &[32, 32], 16, &[]),
            ("it is smaller", config(&[("a", Some(8))], 16), &[8], 16, &[]),
            ("it gave back for two", config(&[("a", Some(8)), ("b", None), ("c", None)], 16), &[8, 21, 21], 16, &[]),
            ("more recent frames", config(&[("a", None)], 32), &[64], 16, &["evidence.context"]),
            ("fewer, and a ring for it", config(&[("a", None), ("b", Some(8))], 8), &[64, 8], 8, &[]),
            ("no evidence", config(&[("a", None), ("b", Some(8))], 0), &[64, 8], 0, &[]),
        ] {
            let shares = Shares::divide(&start).divide_again(&now);
            let got: Vec<u64> = shares.rings.iter().map(|ring| u64::from(ring.options.buffer) / MIB).collect();
            assert_eq!((got.as_slice(), shares.context / MIB), (rings, context), "{case}");
            assert_eq!(shares.lacks().collect::<Vec<_>>(), lacks, "{case}");
            let same = shares.divide_again(&now);
            assert_eq!(same.interfaces(), shares.interfaces(), "{case}: nobody is disturbed by another reload");
            assert_eq!(same.lacks().collect::<Vec<_>>(), lacks, "{case}: again");
        }
    }
}
