//! Assets, flows and findings as CSV, for spreadsheets: one row each, lists joined by blanks, formulas made harmless.

use std::io::Write;

use super::escape;
use super::view::{AssetView, FindingEndView, FindingView, FlowView};

/// Writes assets.csv.
///
/// # Errors
/// The output cannot be written.
pub fn assets(assets: &[AssetView], out: impl Write) -> csv::Result<()> {
    let mut sheet = csv::Writer::from_writer(out);
    sheet.write_record([
        "id",
        "name",
        "ips",
        "macs",
        "vlans",
        "zone",
        "role",
        "role_confidence",
        "level",
        "vendor",
        "product",
        "model",
        "firmware",
        "serial",
        "mac_vendor",
        "hostnames",
        "serves",
        "asks",
        "components",
        "approved",
        "first_seen",
        "last_seen",
        "frames_sent",
        "bytes_sent",
    ])?;
    for asset in assets {
        let speaks = |side| {
            let own = asset.protocols.iter().filter(|p| p.side == side);
            own.map(
                |p| if p.ports.is_empty() { p.name.to_owned() } else { format!("{}:{}", p.name, list(&p.ports, ",")) },
            )
            .collect::<Vec<_>>()
            .join(" ")
        };
        let record = [
            asset.id.clone(),
            asset.name.clone(),
            asset.ips.join(" "),
            asset.macs.join(" "),
            list(&asset.vlans, " "),
            text(&asset.zone),
            asset.role.value.unwrap_or_default().to_owned(),
            asset.role.value.map_or(String::new(), |_| asset.role.confidence.to_string()),
            asset.level.as_ref().map_or(String::new(), |level| level.value.to_string()),
            text(&asset.vendor),
            text(&asset.product),
            text(&asset.model),
            text(&asset.firmware),
            text(&asset.serial),
            text(&asset.mac_vendor),
            asset.hostnames.join(" "),
            speaks("server"),
            speaks("client"),
            asset.components.iter().map(|c| c.id.as_str()).collect::<Vec<_>>().join(" "),
            asset.approved.map_or(String::new(), |approved| approved.to_string()),
            asset.first_seen.clone(),
            asset.last_seen.clone(),
            asset.frames_sent.to_string(),
            asset.bytes_sent.to_string(),
        ];
        write(&mut sheet, &record)?;
    }
    sheet.flush()?;
    Ok(())
}

/// Writes flows.csv.
///
/// # Errors
/// The output cannot be written.
pub fn flows(flows: &[FlowView], out: impl Write) -> csv::Result<()> {
    let mut sheet = csv::Writer::from_writer(out);
    sheet.write_record([
        "id",
        "client",
        "client_asset",
        "client_zone",
        "server",
        "server_asset",
        "server_zone",
        "transport",
        "port",
        "protocol",
        "service",
        "initiator",
        "connections",
        "frames_to_server",
        "frames_to_client",
        "bytes_to_server",
        "bytes_to_client",
        "classes",
        "verdict",
        "rule",
        "first_seen",
        "last_seen",
    ])?;
    for flow in flows {
        let mut classes: Vec<_> = flow.operations.iter().map(|o| o.class).collect();
        classes.sort_unstable();
        classes.dedup();
        let (client, server) = (&flow.client, &flow.server.end);
        let record = [
            flow.id.clone(),
            text(&client.ip.clone().or_else(|| client.mac.clone())),
            text(&client.asset),
            text(&client.zone),
            text(&server.ip.clone().or_else(|| server.mac.clone())),
            text(&server.asset),
            text(&server.zone),
            flow.transport.clone(),
            flow.server.port.map_or(String::new(), |port| port.to_string()),
            flow.protocol.unwrap_or_default().to_owned(),
            flow.service.unwrap_or_default().to_owned(),
            flow.initiator.to_owned(),
            flow.connections.to_string(),
            flow.frames_to_server.to_string(),
            flow.frames_to_client.to_string(),
            flow.bytes_to_server.to_string(),
            flow.bytes_to_client.to_string(),
            classes.join(" "),
            flow.verdict.unwrap_or_default().to_owned(),
            text(&flow.rule),
            flow.first_seen.clone(),
            flow.last_seen.clone(),
        ];
        write(&mut sheet, &record)?;
    }
    sheet.flush()?;
    Ok(())
}

/// Writes findings.csv.
///
/// # Errors
/// The output cannot be written.
pub fn findings(findings: &[FindingView], out: impl Write) -> csv::Result<()> {
    let mut sheet = csv::Writer::from_writer(out);
    sheet.write_record([
        "id",
        "state",
        "score",
        "band",
        "kind",
        "reason",
        "name",
        "verdict",
        "source",
        "source_zone",
        "destination",
        "destination_zone",
        "protocol",
        "class",
        "rule",
        "count",
        "first_seen",
        "last_seen",
        "what",
        "acknowledged_by",
        "note",
    ])?;
    for finding in findings {
        let end = |end: &FindingEndView| text(&end.name.clone().or_else(|| end.ip.clone()).or_else(|| end.mac.clone()));
        let by = finding.acknowledged.as_ref();
        let record = [
            finding.id.clone(),
            finding.state.to_owned(),
            finding.severity.score.to_string(),
            finding.severity.band.to_owned(),
            finding.kind.to_owned(),
            finding.reason.code.to_owned(),
            finding.reason.name.to_owned(),
            finding.verdict.to_owned(),
            end(&finding.src),
            text(&finding.src.zone),
            end(&finding.dst),
            text(&finding.dst.zone),
            finding.protocol.unwrap_or_default().to_owned(),
            finding.operation.as_ref().map_or(String::new(), |operation| operation.class.to_owned()),
            finding.conduit.as_ref().map_or(String::new(), |conduit| conduit.id.clone()),
            finding.count.to_string(),
            finding.time.first.clone(),
            finding.time.last.clone(),
            finding.what.clone(),
            by.map_or(String::new(), |by| by.by.clone()),
            by.map_or(String::new(), |by| by.note.clone()),
        ];
        write(&mut sheet, &record)?;
    }
    sheet.flush()?;
    Ok(())
}

fn write(sheet: &mut csv::Writer<impl Write>, record: &[String]) -> csv::Result<()> {
    sheet.write_record(record.iter().map(|field| escape::csv(field).into_owned()))
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

fn list(values: &[u16], by: &str) -> String {
    values.iter().map(u16::to_string).collect::<Vec<_>>().join(by)
}
