//! Devices.

use std::collections::BTreeSet;

use super::table::{Cell, Table};
use super::{Page, Report, safe};

pub(super) fn devices(page: &mut Page, report: &Report<'_>) {
    let rows = report.view.assets.iter().map(|asset| {
        let addresses = if asset.ips.is_empty() { &asset.macs } else { &asset.ips };
        let product: Vec<&str> = [&asset.product, &asset.model].into_iter().flatten().map(String::as_str).collect();
        let protocols: BTreeSet<&str> = asset.protocols.iter().map(|speaks| speaks.name).collect();
        let name = format!("{}<br><small>{}</small>", safe(&asset.name), safe(&asset.id));
        [
            Cell::shown(asset.name.as_str(), name),
            addresses.join(" ").into(),
            (&asset.zone).into(),
            asset.role.value.into(),
            (&asset.vendor).into(),
            product.join(" ").into(),
            (&asset.firmware).into(),
            (&asset.serial).into(),
            protocols.into_iter().collect::<Vec<_>>().join(" ").into(),
            match asset.approved {
                Some(true) => "yes".into(),
                Some(false) => Cell::class("no", "medium"),
                None => "".into(),
            },
            Cell::time(&asset.last_seen),
            asset.id.as_str().into(),
            asset.macs.join(" ").into(),
            asset.first_seen.as_str().into(),
        ]
    });
    let heads = [
        "name",
        "addresses",
        "zone",
        "role",
        "vendor",
        "model",
        "firmware",
        "serial",
        "speaks",
        "approved",
        "last seen",
        "-id",
        "-MACs",
        "-first seen",
    ];
    page.table(Table::new("devices", heads, rows));
}
