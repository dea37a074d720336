//! Asking a sensor that runs, for the commands that show what it knows: one question, one answer.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::output::list::{Item, words};

/// A sensor that does not answer for so long is not there.
const PATIENCE: Duration = Duration::from_secs(40);

/// Largest answer: a little more than a sensor gives.
const ANSWER: u64 = 80 << 20;

/// Where a sensor is, and what it lets in.
pub struct Place<'a> {
    /// `http://127.0.0.1:9470` or `https://sensor:9470`.
    pub url: &'a str,
    /// The token, if it wants one.
    pub token: Option<&'a str>,
    /// PEM file with the authority that the sensor's certificate is of.
    pub ca: Option<&'a Path>,
}

impl Place<'_> {
    /// The body of the answer to `GET path`.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self, path: &str) -> Result<String, String> {
        self.page(path).map(|(body, _)| body)
    }

    /// The items of a list that pass these filters, so many on a page.
    ///
    /// # Errors
    /// Why there are none.
    pub fn list<I: Item>(&self, filters: &[(&str, String)], page: usize) -> Result<Vec<I>, String> {
        let mut items = Vec::new();
        let mut next = Some(format!("/api/v1/{}?format=ndjson&limit={page}&{}", I::LIST, words(filters)));
        while let Some(path) = next.take() {
            let (body, more) = self.page(path.trim_end_matches('&'))?;
            // The words of the contract are static: what a command was answered is kept until it ends.
            for line in Box::leak(body.into_boxed_str()).lines() {
                items.push(serde_json::from_str(line).map_err(|error| format!("it is of another version: {error}"))?);
            }
            next = more;
        }
        Ok(items)
    }

    /// The body of an answer, and where the next page is.
    fn page(&self, path: &str) -> Result<(String, Option<String>), String> {
        let (scheme, rest) = self.url.split_once("://").ok_or("write it like http://127.0.0.1:9470")?;
        let host = rest.trim_end_matches('/');
        if host.contains('/') || !["http", "https"].contains(&scheme) {
            return Err("write it like http://127.0.0.1:9470".to_owned());
        }
        let place = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            host.to_owned()
        } else {
            format!("{host}:9470")
        };
        let address =
            place.to_socket_addrs().map_err(|error| error.to_string())?.next().ok_or("nobody knows this name")?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| error.to_string())?;
        let limits = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        limits.map_err(|error| error.to_string())?;
        if scheme == "http" {
            return self.ask(stream, host, path);
        }
        let name = place.rsplit_once(':').map_or(place.as_str(), |(name, _)| name).trim_matches(['[', ']']);
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let session = ClientConnection::new(Arc::new(self.trust()?), name).map_err(|error| error.to_string())?;
        self.ask(StreamOwned::new(session, stream), host, path)
    }

    fn trust(&self) -> Result<ClientConfig, String> {
        let file =
            self.ca.ok_or("https needs --ca: the PEM file of the authority that the sensor's certificate is of")?;
        let tell = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| tell(&error))? {
            roots.add(certificate.map_err(|error| tell(&error))?).map_err(|error| tell(&error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Ok(config.map_err(|error| tell(&error))?.with_root_certificates(roots).with_no_client_auth())
    }

    /// HTTP/1.0: the answer ends where the connection does.
    fn ask(&self, mut stream: impl Read + Write, host: &str, path: &str) -> Result<(String, Option<String>), String> {
        let token = self.token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let question = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{token}\r\n");
        stream.write_all(question.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        match stream.take(ANSWER).read_to_end(&mut answer) {
            // Whoever ends a TLS connection without a word has cut nothing off: the length of the body says so.
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(error.to_string()),
            _ => {}
        }
        let answer = String::from_utf8(answer).map_err(|_| "the answer is no text")?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer has no end; is it a sensor?")?;
        let header = |name: &str| {
            let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
            pairs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
        if length.is_some_and(|length| length != body.len()) {
            return Err("the answer was cut off".to_owned());
        }
        match head.split(' ').nth(1) {
            Some("200") => {
                let next = header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
                Ok((body.to_owned(), next.map(|(path, _)| path.to_owned())))
            }
            Some("401" | "403") => Err("it wants a token: give it with --token-file".to_owned()),
            _ => {
                let status: String = head.lines().next().unwrap_or_default().chars().take(80).collect();
                Err(format!("it answers {}: {}", crate::output::escape::terminal(&status), why(body)))
            }
        }
    }
}

/// The reason in a problem document (RFC 9457).
fn why(body: &str) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str()).unwrap_or("no reason");
    crate::output::escape::terminal(&detail.chars().take(400).collect::<String>()).into_owned()
}
