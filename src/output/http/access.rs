//! Who may ask for what.
//!
//! Without tokens everybody who reaches the address may read; that is loopback, or a client with a certificate. What
//! changes something always needs a token with the role `operate`.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::problem::Problem;
use crate::config::Http;

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: probes of life. They tell details only to those who may read.
    Nothing,
    /// To read.
    Read,
    /// To read, with a browser that can only ask for a password.
    Page,
    /// To change something.
    Operate,
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    /// The token's name.
    pub(super) name: Option<String>,
    /// Whether it may read.
    pub(super) reads: bool,
}

/// Who may ask.
pub(super) struct Access {
    tokens: Vec<Known>,
    /// Anybody on this machine may read, by plain HTTP.
    local: bool,
}

struct Known {
    name: String,
    sha256: [u8; 32],
    operates: bool,
}

impl Access {
    pub(super) fn new(config: &Http) -> Self {
        let known = |token: &crate::config::Token| {
            // The configuration was checked: 64 hex digits. A digest that is none is nobody's.
            let mut sha256 = [0; 32];
            for (byte, at) in sha256.iter_mut().zip((0..).step_by(2)) {
                let hex = token.sha256.get(at..at + 2);
                *byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or_default();
            }
            Known { name: token.name.clone(), sha256, operates: token.role == "operate" }
        };
        let local = config.token.is_empty() && config.tls.is_none();
        Self { tokens: config.token.iter().map(known).collect(), local }
    }

    /// Who asks, or why that is refused.
    pub(super) fn check(&self, headers: &HeaderMap, needs: Needs) -> Result<Caller, (&'static str, Problem)> {
        if self.local {
            names_this_machine(headers)?;
        }
        let given = given(headers);
        let known = given.as_ref().and_then(|given| self.known(given.secret.as_bytes()));
        let caller = |known: Option<&Known>| Caller {
            name: known.map(|known| known.name.clone()),
            reads: known.is_some() || self.tokens.is_empty(),
        };
        let refuse = |why, status, detail: &str| Err((why, Problem::new(status, detail).challenge(challenge(needs))));
        match (needs, known) {
            (Needs::Nothing, known) => Ok(caller(known)),
            // A browser sends a password that it knows with every request, also with those that another page makes it send.
            (Needs::Operate, Some(_)) if given.is_some_and(|given| given.basic) => {
                refuse("role", StatusCode::FORBIDDEN, "this needs a bearer token, not a password")
            }
            (Needs::Operate, Some(known)) if !known.operates => {
                refuse("role", StatusCode::FORBIDDEN, "this needs a token with the role 'operate'")
            }
            (_, Some(known)) => Ok(caller(Some(known))),
            (Needs::Operate, None) if self.tokens.is_empty() => {
                refuse("role", StatusCode::FORBIDDEN, "this needs a token with the role 'operate'; none is configured")
            }
            (_, None) if self.tokens.is_empty() => Ok(caller(None)),
            (_, None) => refuse("token", StatusCode::UNAUTHORIZED, "this needs a token"),
        }
    }

    /// Whose secret this is. All are compared, each in constant time.
    fn known(&self, secret: &[u8]) -> Option<&Known> {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let mut found = u64::MAX;
        for (place, known) in (0_u64..).zip(&self.tokens) {
            let same: Choice = known.sha256.ct_eq(&digest);
            found = u64::conditional_select(&found, &place, same);
        }
        self.tokens.get(usize::try_from(found).ok()?)
    }
}

fn challenge(needs: Needs) -> &'static str {
    if needs == Needs::Page {
        "Basic realm=\"zonewatch: the token is the password\", charset=\"UTF-8\""
    } else {
        "Bearer"
    }
}

struct Given {
    secret: String,
    basic: bool,
}

/// The secret of `Authorization: Bearer`, or the password of `Basic`.
fn given(headers: &HeaderMap) -> Option<Given> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Given { secret: value.trim().to_owned(), basic: false });
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(base64(value.trim())?).ok()?;
    Some(Given { secret: pair.split_once(':')?.1.to_owned(), basic: true })
}

/// Decodes base64 (RFC 4648, section 4).
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

/// A page of somebody else can have its own name lead to this machine ("DNS rebinding"); it cannot change the name that the
/// browser then says it asks.
fn names_this_machine(headers: &HeaderMap) -> Result<(), (&'static str, Problem)> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let detail = "without a token the sensor answers only to localhost or an IP address";
    Err(("host", Problem::new(StatusCode::MISDIRECTED_REQUEST, detail)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Token;

    /// SHA-256 of `secret` and of `reader`.
    const OPERATE: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    const READ: &str = "3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30";

    #[test]
    fn who_may_what() {
        let token = |name: &str, sha256: &str, role: &str| Token {
            name: name.to_owned(),
            sha256: sha256.to_owned(),
            role: role.to_owned(),
        };
        let closed =
            Http { token: vec![token("boss", OPERATE, "operate"), token("eye", READ, "read")], ..Http::default() };
        let broken = Http { token: vec![token("x", "zz", "read")], ..Http::default() };
        let (open, closed, broken) = (Http::default(), closed, broken);
        for (case, config, host, authorization, needs, want) in [
            ("loopback reads", &open, "127.0.0.1:9470", "", Needs::Read, "reads"),
            ("by name", &open, "localhost:9470", "", Needs::Read, "reads"),
            ("version 6", &open, "[::1]:9470", "", Needs::Read, "reads"),
            ("rebinding", &open, "evil.example:9470", "", Needs::Read, "421"),
            ("no host", &open, "", "", Needs::Nothing, "421"),
            ("loopback does not operate", &open, "127.0.0.1", "", Needs::Operate, "403"),
            ("a token nobody knows", &open, "127.0.0.1", "Bearer x", Needs::Operate, "403"),
            ("no token", &closed, "sensor.example", "", Needs::Read, "401"),
            ("no token, a probe", &closed, "sensor.example", "", Needs::Nothing, "nobody"),
            ("a wrong token", &closed, "sensor.example", "Bearer secreT", Needs::Read, "401"),
            ("an empty token", &closed, "sensor.example", "Bearer ", Needs::Read, "401"),
            ("another scheme", &closed, "sensor.example", "Digest secret", Needs::Read, "401"),
            ("read", &closed, "sensor.example", "Bearer reader", Needs::Read, "eye reads"),
            ("read does not operate", &closed, "sensor.example", "Bearer reader", Needs::Operate, "403"),
            ("operate", &closed, "sensor.example", "bearer secret", Needs::Operate, "boss reads"),
            ("a password", &closed, "sensor.example", "Basic OnNlY3JldA==", Needs::Page, "boss reads"),
            ("a password does not operate", &closed, "sensor.example", "Basic OnNlY3JldA==", Needs::Operate, "403"),
            ("no base64", &closed, "sensor.example", "Basic %%%", Needs::Page, "401"),
            ("a broken token is no open door", &broken, "sensor.example", "", Needs::Read, "401"),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::AUTHORIZATION, authorization)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let got = match Access::new(config).check(&headers, needs) {
                Ok(caller) => {
                    let reads = if caller.reads { "reads" } else { "nobody" };
                    format!("{} {reads}", caller.name.unwrap_or_default()).trim().to_owned()
                }
                Err((_, problem)) => problem.status().as_u16().to_string(),
            };
            assert_eq!(got, want, "{case}");
        }
    }
}
