//! `/`: the sensor at a glance, for a person with a browser. One document without scripts; what came from the wire is
//! escaped.

use std::fmt::Write;

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::output::VERSION;
use crate::output::escape::html;
use crate::output::html::{STYLE, table};
use crate::output::summary::Summary;
use crate::output::view::FindingView;
use crate::policy::{Band, Verdict};
use crate::sensor::shared::{Health, Picture};

/// Rows of a table; the rest is in the API.
const ROWS: usize = 200;
/// Rows and columns of the matrix of zones.
const ZONES: usize = 40;

/// The page, with the policy that lets a browser load nothing but it.
pub(super) fn answer(health: &Health, picture: &Picture, summary: &Summary) -> Response {
    let mut response = Html(text(health, picture, summary)).into_response();
    let style = base64(&Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn text(health: &Health, picture: &Picture, summary: &Summary) -> String {
    let site = summary.policy.as_ref().map_or("no policy", |policy| &policy.site);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"30\"><title>zonewatch: {site}</title><style>{STYLE}</style></head><body>\
         <h1>zonewatch: {site}</h1><p class=\"dim\">as of {at}, version {VERSION}</p>",
        site = html(site),
        at = html(&picture.at.to_string()),
    );
    about_health(&mut page, health, summary);
    about_findings(&mut page, picture.told.findings());
    about_zones(&mut page, summary);
    about_assets(&mut page, picture);
    page += "<p class=\"dim\">Everything in full: <a href=\"/api/v1/openapi.json\">the API</a>, \
             <a href=\"/metrics\">metrics</a>. Nothing is ever sent on a network that is watched.</p></body></html>\n";
    page
}

fn about_health(page: &mut String, health: &Health, summary: &Summary) {
    let troubles = health.troubles();
    page.push_str("<h2>Health</h2>");
    if troubles.is_empty() {
        page.push_str("<p class=\"good\">All is well.</p>");
    } else {
        let items: String =
            troubles.iter().map(|trouble| format!("<li class=\"bad\">{}</li>", html(trouble))).collect();
        let _ = write!(page, "<ul>{items}</ul>");
    }
    let rows = health.interfaces.iter().map(|state| {
        [
            html(&state.name),
            state.frames.to_string(),
            state.bytes.to_string(),
            (state.counts.dropped + state.counts.dropped_by_interface).to_string(),
            state.last.map_or("never".to_owned(), |last| last.to_string()),
        ]
    });
    table(page, ["interface", "#frames", "#bytes", "#lost", "last frame"], rows);
    let coverage = &summary.coverage;
    let _ = write!(
        page,
        "<p>{} frames analysed, {} decoded; {} connections given up because a dissector failed.</p>",
        coverage.frames, coverage.decoded, coverage.dissector_failures
    );
}

fn about_findings(page: &mut String, findings: &[FindingView]) {
    page.push_str("<h2>Findings</h2>");
    let rows = Band::ALL.iter().rev().map(|band| {
        let count = findings.iter().filter(|finding| finding.severity.band == band.text()).count();
        [format!("<span class=\"{0}\">{0}</span>", band.text()), count.to_string()]
    });
    table(page, ["severity", "#findings"], rows);
    let mut gravest: Vec<&FindingView> = findings.iter().collect();
    gravest.sort_by(|a, b| b.severity.score.cmp(&a.severity.score).then(a.id.cmp(&b.id)));
    let rows = gravest.into_iter().take(ROWS).map(|finding| {
        [
            format!("<span class=\"{}\">{}</span>", finding.severity.band, finding.severity.score),
            format!("<a href=\"/api/v1/findings/{0}\">{0}</a>", html(&finding.id)),
            html(finding.reason.name),
            html(&finding.what),
            html(&finding.time.last),
        ]
    });
    table(page, ["#score", "id", "reason", "what", "last"], rows);
    more(page, findings.len(), "findings");
}

/// Who asks whom: a zone a row, a zone a column, flows in the cells, coloured by the gravest verdict.
fn about_zones(page: &mut String, summary: &Summary) {
    page.push_str("<h2>Zones</h2><p class=\"dim\">Flows from the zone of the row to the zone of the column.</p>");
    let mut zones: Vec<&str> = summary.flows.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    zones.sort_unstable();
    zones.dedup();
    let count = zones.len();
    zones.truncate(ZONES);
    page.push_str("<div class=\"wide\"><table><tr><th></th>");
    zones.iter().for_each(|zone| page.push_str(&format!("<th class=\"n\">{}</th>", html(zone))));
    page.push_str("</tr>");
    for from in &zones {
        let _ = write!(page, "<tr><th>{}</th>", html(from));
        for to in &zones {
            let Some(verdicts) = summary.flows.get(&((*from).to_owned(), (*to).to_owned())) else {
                page.push_str("<td class=\"n dim\">·</td>");
                continue;
            };
            let gravest = Verdict::ALL.iter().rev().find(|verdict| verdicts.contains_key(verdict.text()));
            let class = gravest.map_or("", |verdict| verdict.text());
            let _ = write!(page, "<td class=\"n {class}\">{}</td>", verdicts.values().sum::<u64>());
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
    if count > ZONES {
        let _ = write!(page, "<p class=\"dim\">{ZONES} of {count} zones.</p>");
    }
}

fn about_assets(page: &mut String, picture: &Picture) {
    page.push_str("<h2>Assets</h2>");
    let text = |text: &Option<String>| html(text.as_deref().unwrap_or_default());
    let rows = picture.told.assets(&picture.world.analysis).take(ROWS).map(|asset| {
        let addresses = if asset.ips.is_empty() { &asset.macs } else { &asset.ips };
        [
            format!("<a href=\"/api/v1/assets/{0}\">{0}</a>", html(&asset.id)),
            html(&asset.name),
            html(&addresses.join(" ")),
            text(&asset.zone),
            html(asset.role.value.unwrap_or_default()),
            html(
                &[&asset.vendor, &asset.product, &asset.firmware]
                    .map(|known| known.clone().unwrap_or_default())
                    .join(" "),
            ),
            html(&asset.last_seen),
        ]
    });
    table(page, ["id", "name", "addresses", "zone", "role", "what it says it is", "last seen"], rows);
    more(page, picture.world.analysis.inventory.assets.len(), "assets");
}

fn more(page: &mut String, count: usize, list: &str) {
    if count > ROWS {
        let _ = write!(page, "<p>{ROWS} of {count}; <a href=\"/api/v1/{list}\">all</a>.</p>");
    }
}

/// Encodes base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (bytes, want) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), want);
        }
    }
}
