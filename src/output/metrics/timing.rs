//! Histograms that are counted where packets are seen, and only shown here.

use std::collections::BTreeMap;

use prometheus::proto::{self, Bucket, LabelPair, Metric, MetricFamily, MetricType};

use super::family::{Family, POLL_INTERVAL, RESPONSE_TIME};
use crate::flow::timing::{BOUNDS, Histogram, Timing};

/// By client's zone, server's zone and protocol.
type Timings = BTreeMap<(String, String, &'static str), Timing>;

/// Poll intervals and response times. A family without series is none.
pub(super) fn histograms(timings: &Timings) -> Vec<MetricFamily> {
    if timings.is_empty() {
        return Vec::new();
    }
    vec![
        family(&POLL_INTERVAL, timings, |timing| &timing.poll),
        family(&RESPONSE_TIME, timings, |timing| &timing.response),
    ]
}

fn family(family: &Family, timings: &Timings, of: fn(&Timing) -> &Histogram) -> MetricFamily {
    let metric = |((from, to, protocol), timing): (&(String, String, &'static str), &Timing)| {
        let values = [from.as_str(), to.as_str(), protocol];
        let labels = family.labels.iter().zip(values).map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value(value.to_owned());
            label
        });
        let mut metric = Metric::from_label(labels.collect());
        metric.set_histogram(histogram(of(timing)));
        metric
    };
    let mut shown = MetricFamily::default();
    shown.set_name(family.name.to_owned());
    shown.set_help(family.help.to_owned());
    shown.set_field_type(MetricType::HISTOGRAM);
    shown.set_metric(timings.iter().map(metric).collect());
    shown
}

fn histogram(of: &Histogram) -> proto::Histogram {
    let mut total = 0;
    let buckets = BOUNDS.iter().zip(&of.counts).map(|(bound, count)| {
        total += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(total);
        bucket
    });
    let mut shown = proto::Histogram::default();
    shown.set_bucket(buckets.collect());
    shown.set_sample_count(of.counts.iter().sum());
    shown.set_sample_sum(of.seconds());
    shown
}
