//! A client that does what it is told, also what no good client would do.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}\n{self:?}"))
    }

    /// Reads an answer to the end of the connection.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        // A server that does not want the rest of a request resets the connection; what it said before counts.
        let read = from.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Err(read.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        };
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut answer = Self {
            status: status.unwrap_or_default(),
            headers: lines.filter_map(header).collect(),
            body: body.to_owned(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunk(body);
        }
        Ok(answer)
    }
}

fn unchunk(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Some((chunk, after)) = usize::from_str_radix(size, 16).ok().and_then(|size| rest.split_at_checked(size))
        else {
            break;
        };
        text += chunk;
        body = after.strip_prefix("\r\n").unwrap_or(after);
    }
    text
}

/// Who asks.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    authorization: Option<String>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, authorization: None }
    }

    /// With a header `Authorization`.
    pub(crate) fn with(&self, authorization: &str) -> Self {
        Self { authorization: Some(authorization.to_owned()), ..self.clone() }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> String {
        let authorization = self.authorization.as_ref().map(|value| format!("Authorization: {value}\r\n"));
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            authorization.unwrap_or_default(),
            body.len()
        )
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.raw(&self.request(method, path, body)).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// Sends these bytes, and reads what comes.
    pub(crate) fn raw(&self, bytes: &str) -> io::Result<Answer> {
        let mut stream = self.connect();
        // The server may have had enough before all is sent.
        let _ = stream.write_all(bytes.as_bytes());
        Answer::read(&mut stream)
    }
}
