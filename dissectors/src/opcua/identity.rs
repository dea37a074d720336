use super::certificate::Certificate;
use super::codec::{Decoder, date_time, text};
use super::{code, services};
use crate::{Attribute, Identity, Method, Observation, ParseError, Sink, attribute};

/// Endpoints, servers and URLs of one message that are looked at.
const ENTRIES: usize = 64;

/// Node ids of namespace 0 whose value tells who the server is. OPC 10000-5, 6.3; NodeIds.csv.
mod node {
    pub(super) const SERVER_ARRAY: u32 = 2254;
    pub(super) const NAMESPACE_ARRAY: u32 = 2255;
    pub(super) const SERVER_STATUS: u32 = 2256;
    pub(super) const BUILD_INFO: u32 = 2260;
    pub(super) const PRODUCT_NAME: u32 = 2261;
    pub(super) const PRODUCT_URI: u32 = 2262;
    pub(super) const MANUFACTURER_NAME: u32 = 2263;
    pub(super) const SOFTWARE_VERSION: u32 = 2264;
    pub(super) const BUILD_NUMBER: u32 = 2265;
    pub(super) const BUILD_DATE: u32 = 2266;
}

/// Whether the value of this node of namespace 0 tells who the server is.
pub(super) fn tells(node: u32) -> bool {
    matches!(node, node::SERVER_ARRAY..=node::SERVER_STATUS | node::BUILD_INFO..=node::BUILD_DATE)
}

/// Says identity of the sender of a message.
pub(super) struct Teller<'s> {
    /// Where it goes.
    pub(super) out: &'s mut dyn Sink,
    /// How it is known: an answer, or said unasked.
    pub(super) method: Method,
    /// Bytes of one text that are kept.
    pub(super) text: usize,
}

impl Teller<'_> {
    fn say(&mut self, attribute: Attribute, value: &[u8]) {
        if !value.is_empty() {
            let value = text(value, self.text);
            self.out.observe(Observation::Identity(Identity::told(None, attribute, value).by(self.method)));
        }
    }

    fn role(&mut self, role: &'static str, weight: u8, basis: &'static str) {
        let sign = Identity { method: self.method, ..Identity::role(None, role, weight, basis) };
        self.out.observe(Observation::Identity(sign));
    }

    /// A host name, or an address that the sender says to have. One that is true on every host says nothing.
    fn host(&mut self, host: &str) {
        match host.parse::<std::net::IpAddr>() {
            Ok(ip) if ip.is_loopback() || ip.is_unspecified() => {}
            Ok(_) => self.say(attribute::OWN_ADDRESS, host.as_bytes()),
            Err(_) if host.eq_ignore_ascii_case("localhost") => {}
            Err(_) => self.say(attribute::HOSTNAME, host.as_bytes()),
        }
    }

    /// What the sender's application certificate says; an anomaly is the caller's to report.
    pub(super) fn certificate(&mut self, der: &[u8]) -> Result<(), ParseError> {
        if der.is_empty() {
            return Ok(());
        }
        let certificate = Certificate::read(der)?;
        let optional = |value: &Option<String>| value.clone().unwrap_or_default();
        for (attribute, value) in [
            (attribute::CERTIFICATE_SUBJECT, certificate.subject.as_str()),
            (attribute::CERTIFICATE_ISSUER, certificate.issuer.as_str()),
            (attribute::CERTIFICATE_NOT_BEFORE, &optional(&certificate.not_before)),
            (attribute::CERTIFICATE_NOT_AFTER, &optional(&certificate.not_after)),
            (attribute::CERTIFICATE_KEY, &optional(&certificate.key)),
            (attribute::CERTIFICATE_THUMBPRINT, &certificate.thumbprint),
            (attribute::APPLICATION_URI, &optional(&certificate.application_uri)),
        ] {
            self.say(attribute, value.as_bytes());
        }
        for host in &certificate.hosts {
            self.host(host);
        }
        for address in &certificate.addresses {
            self.host(&address.to_string());
        }
        Ok(())
    }

    /// What an application says of itself.
    pub(super) fn application(&mut self, application: &Application<'_>) {
        self.say(attribute::APPLICATION_URI, application.uri);
        self.say(attribute::PRODUCT_URI, application.product_uri);
        self.say(attribute::NAME, application.name);
        match application.kind {
            0 => self.role("opc-server", 80, "OPC UA ApplicationType server"),
            1 => self.role("opc-client", 70, "OPC UA ApplicationType client"),
            2 => self.role("opc-server", 80, "OPC UA ApplicationType client and server"),
            3 => self.role("opc-discovery", 95, "OPC UA ApplicationType discovery server"),
            _ => {}
        }
        if !application.gateway_uri.is_empty() {
            self.role("gateway", 80, "OPC UA GatewayServerUri");
        }
        // A client that has URLs is reached elsewhere, if at all.
        if application.kind != 1 {
            for url in &application.urls {
                self.host(host_of(&String::from_utf8_lossy(url)));
            }
        }
    }

    /// What the endpoints of one server say of it: those of `own`, when it can be told; not again the certificate that
    /// was said. OPC 10000-4, 5.5.4 and 5.7.2.
    pub(super) fn endpoints(
        &mut self,
        endpoints: &[Endpoint<'_>],
        url: Option<&str>,
        said: &[u8],
    ) -> Result<(), ParseError> {
        let applications: Vec<_> =
            endpoints.iter().map(|endpoint| (&endpoint.server, std::slice::from_ref(&endpoint.url))).collect();
        let Some(own) = own(&applications, url) else { return Ok(()) };
        self.application(own);
        let mut offered: Vec<String> = Vec::new();
        let mut tokens: Vec<&'static str> = Vec::new();
        let mut certificate: &[u8] = &[];
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.server.uri == own.uri) {
            let policy = text(code::policy_name(endpoint.policy), self.text);
            let security = match endpoint.mode {
                1 if policy == "None" => "None".to_owned(),
                1 => format!("{policy}/none"),
                2 => format!("{policy}/sign"),
                3 => format!("{policy}/sign-and-encrypt"),
                _ => continue,
            };
            if !offered.contains(&security) {
                offered.push(security);
            }
            for token in endpoint.tokens.iter().filter_map(|kind| token_word(*kind)) {
                if !tokens.contains(&token) {
                    tokens.push(token);
                }
            }
            if certificate.is_empty() {
                certificate = endpoint.certificate;
            }
        }
        for security in &offered {
            self.say(attribute::OFFERED_SECURITY, security.as_bytes());
        }
        for token in tokens {
            self.say(attribute::OFFERED_TOKEN, token.as_bytes());
        }
        if certificate == said { Ok(()) } else { self.certificate(certificate) }
    }

    /// The values of identity nodes in a Read response, behind its header; `watched` says which of the results they are.
    pub(super) fn values(&mut self, d: &mut Decoder<'_>, watched: &[(usize, u32)]) -> Result<(), ParseError> {
        let results = d.count("results")?;
        let mut watched = watched.iter().peekable();
        for at in 0..results {
            let Some(&&(place, node)) = watched.peek() else { break };
            if at == place {
                watched.next();
                self.value(*d, node)?;
            }
            d.data_value()?;
        }
        Ok(())
    }

    /// One DataValue, when it has a good value.
    fn value(&mut self, mut d: Decoder<'_>, node: u32) -> Result<(), ParseError> {
        let mask = d.r.u8("data value mask")?;
        if mask & 0x01 == 0 {
            return Ok(());
        }
        let kind = d.r.u8("variant mask")?;
        match (node, kind) {
            (node::SERVER_STATUS, 0x16) => {
                let (id, body) = d.extension_object()?;
                if id.standard() == Some(864) {
                    let mut status = d.inside(body);
                    // Start time, current time and state. OPC 10000-5, 12.10 "ServerStatusDataType".
                    status.skip("server status", 20)?;
                    self.build_info(&mut status)?;
                }
            }
            (node::BUILD_INFO, 0x16) => {
                let (id, body) = d.extension_object()?;
                if id.standard() == Some(340) {
                    self.build_info(&mut d.inside(body))?;
                }
            }
            (node::PRODUCT_NAME, 0x0c) => self.say(attribute::PRODUCT, d.string("product name")?),
            (node::PRODUCT_URI, 0x0c) => self.say(attribute::PRODUCT_URI, d.string("product URI")?),
            (node::MANUFACTURER_NAME, 0x0c) => self.say(attribute::VENDOR, d.string("manufacturer name")?),
            (node::SOFTWARE_VERSION, 0x0c) => self.say(attribute::FIRMWARE, d.string("software version")?),
            (node::BUILD_NUMBER, 0x0c) => self.say(attribute::BUILD, d.string("build number")?),
            (node::BUILD_DATE, 0x0d) => self.build_date(d.r.le64i("build date")?),
            (node::SERVER_ARRAY, 0x8c) => {
                // The server itself is the first. OPC 10000-5, 6.3.1.
                let uris = strings(&mut d)?;
                self.say(attribute::APPLICATION_URI, uris.first().copied().unwrap_or_default());
            }
            (node::NAMESPACE_ARRAY, 0x8c) => {
                let uris = strings(&mut d)?;
                self.namespaces(&uris);
            }
            _ => {}
        }
        Ok(())
    }

    /// Namespace 0 is the OPC Foundation's, 1 the server itself, the others what it serves. OPC 10000-5, 6.3.1.
    fn namespaces(&mut self, uris: &[&[u8]]) {
        let Some((_, uris)) = uris.split_first() else { return };
        self.say(attribute::APPLICATION_URI, uris.first().copied().unwrap_or_default());
        let machine = |uri: &&[u8]| {
            uri.starts_with(b"http://opcfoundation.org/UA/Robotics")
                || uri.starts_with(b"http://opcfoundation.org/UA/MachineTool")
        };
        if uris.iter().any(machine) {
            self.role("robot-cnc", 90, "OPC UA namespace of robots or machine tools");
        }
        let names: Vec<_> = uris.iter().skip(1).map(|uri| text(uri, self.text)).collect();
        if !names.is_empty() {
            let value = format!("namespaces: {}", names.join("; "));
            self.out.observe(Observation::Identity(Identity::told(None, attribute::RAW_IDENTITY, value)));
        }
    }

    /// OPC 10000-5, 12.4 "BuildInfo".
    fn build_info(&mut self, d: &mut Decoder<'_>) -> Result<(), ParseError> {
        self.say(attribute::PRODUCT_URI, d.string("product URI")?);
        self.say(attribute::VENDOR, d.string("manufacturer name")?);
        self.say(attribute::PRODUCT, d.string("product name")?);
        self.say(attribute::FIRMWARE, d.string("software version")?);
        self.say(attribute::BUILD, d.string("build number")?);
        self.build_date(d.r.le64i("build date")?);
        Ok(())
    }

    fn build_date(&mut self, ticks: i64) {
        if let Some(date) = date_time(ticks) {
            self.say(attribute::BUILD_DATE, date.as_bytes());
        }
    }

    /// FindServers answers with all that are known to the asked one: only its own description is taken.
    pub(super) fn found_servers(&mut self, d: &mut Decoder<'_>, url: Option<&str>) -> Result<(), ParseError> {
        let found = list(d, Application::read)?;
        let applications: Vec<_> = found.iter().map(|application| (application, application.urls.as_slice())).collect();
        if let Some(own) = own(&applications, url).filter(|own| own.kind != 1) {
            self.application(own);
        }
        Ok(())
    }

    /// The client of CreateSession, behind the request header. OPC 10000-4, 5.7.2.
    pub(super) fn client(&mut self, d: &mut Decoder<'_>) -> Result<(), ParseError> {
        let application = Application::read(d)?;
        self.application(&application);
        for item in ["server URI", "endpoint URL", "session name", "client nonce"] {
            d.string(item)?;
        }
        self.certificate(d.string("client certificate")?)
    }

    /// The server of CreateSession, behind the response header. OPC 10000-4, 5.7.2.
    pub(super) fn server(&mut self, d: &mut Decoder<'_>, url: Option<&str>) -> Result<(), ParseError> {
        d.node_id()?;
        // The authentication token is a secret: it is passed over.
        d.node_id()?;
        d.skip("session timeout", 8)?;
        d.string("server nonce")?;
        let certificate = d.string("server certificate")?;
        let endpoints = list(d, Endpoint::read)?;
        self.endpoints(&endpoints, url, certificate)?;
        self.certificate(certificate)
    }

    /// A server that registers itself: the RegisteredServer behind the request header. OPC 10000-4, 7.35.
    pub(super) fn registered(&mut self, d: &mut Decoder<'_>) -> Result<(), ParseError> {
        let uri = d.string("server URI")?;
        let product_uri = d.string("product URI")?;
        let names = list(d, Decoder::localized_text)?;
        let kind = d.r.le32("server type")?;
        let gateway_uri = d.string("gateway server URI")?;
        let urls = strings(d)?;
        let name = names.first().copied().unwrap_or_default();
        self.application(&Application { uri, product_uri, name, kind, gateway_uri, urls });
        Ok(())
    }

    /// Who takes registrations is a discovery server.
    pub(super) fn registrar(&mut self) {
        self.role("opc-discovery", 95, "receiver of OPC UA RegisterServer");
    }

    /// Server URI and endpoint URL of a ReverseHello.
    pub(super) fn reverse_hello(&mut self, uri: &[u8], url: &[u8]) {
        self.say(attribute::APPLICATION_URI, uri);
        self.host(host_of(&String::from_utf8_lossy(url)));
    }
}

/// OPC 10000-4, 7.2 "ApplicationDescription".
#[derive(Clone, Debug)]
pub(super) struct Application<'a> {
    uri: &'a [u8],
    product_uri: &'a [u8],
    name: &'a [u8],
    /// ApplicationType: 0 server, 1 client, 2 both, 3 discovery server.
    kind: u32,
    gateway_uri: &'a [u8],
    urls: Vec<&'a [u8]>,
}

impl<'a> Application<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Self, ParseError> {
        let uri = d.string("application URI")?;
        let product_uri = d.string("product URI")?;
        let name = d.localized_text()?;
        let kind = d.r.le32("application type")?;
        let gateway_uri = d.string("gateway server URI")?;
        d.string("discovery profile URI")?;
        Ok(Self { uri, product_uri, name, kind, gateway_uri, urls: strings(d)? })
    }
}

/// OPC 10000-4, 7.14 "EndpointDescription".
#[derive(Clone, Debug)]
pub(super) struct Endpoint<'a> {
    url: &'a [u8],
    server: Application<'a>,
    certificate: &'a [u8],
    /// MessageSecurityMode: 1 none, 2 sign, 3 sign and encrypt.
    mode: u32,
    policy: &'a [u8],
    /// UserTokenType of each token policy: 0 anonymous, 1 user name, 2 certificate, 3 issued.
    tokens: Vec<u32>,
}

impl<'a> Endpoint<'a> {
    pub(super) fn read(d: &mut Decoder<'a>) -> Result<Self, ParseError> {
        let url = d.string("endpoint URL")?;
        let server = Application::read(d)?;
        let certificate = d.string("server certificate")?;
        let mode = d.r.le32("security mode")?;
        let policy = d.string("security policy URI")?;
        let tokens = list(d, |d| {
            d.string("policy id")?;
            let kind = d.r.le32("token type")?;
            for item in ["issued token type", "issuer endpoint URL", "token security policy URI"] {
                d.string(item)?;
            }
            Ok(kind)
        })?;
        d.string("transport profile URI")?;
        d.r.u8("security level")?;
        Ok(Self { url, server, certificate, mode, policy, tokens })
    }
}

/// An array of which the first [`ENTRIES`] are kept.
pub(super) fn list<'a, T>(
    d: &mut Decoder<'a>,
    mut read: impl FnMut(&mut Decoder<'a>) -> Result<T, ParseError>,
) -> Result<Vec<T>, ParseError> {
    let mut kept = Vec::new();
    for _ in 0..d.count("array longer than the message")? {
        let element = read(d)?;
        if kept.len() < ENTRIES {
            kept.push(element);
        }
    }
    Ok(kept)
}

fn strings<'a>(d: &mut Decoder<'a>) -> Result<Vec<&'a [u8]>, ParseError> {
    list(d, |d| d.string("text"))
}

/// Which of these descriptions is the sender's: the only application there is, or the only one that is reached under
/// the URL which the client opened. Else it cannot be told, and nothing is said.
fn own<'e, 'a>(
    applications: &[(&'e Application<'a>, &'e [&'a [u8]])],
    url: Option<&str>,
) -> Option<&'e Application<'a>> {
    let alone = |found: &[&'e Application<'a>]| {
        let (first, rest) = found.split_first()?;
        rest.iter().all(|other| other.uri == first.uri).then_some(*first)
    };
    let all: Vec<_> = applications.iter().map(|(application, _)| *application).collect();
    alone(&all).or_else(|| {
        let url = url?;
        let reached = |urls: &[&[u8]]| urls.iter().any(|other| same_url(other, url.as_bytes()));
        let there: Vec<_> =
            applications.iter().filter(|(_, urls)| reached(urls)).map(|(application, _)| *application).collect();
        alone(&there)
    })
}

fn same_url(one: &[u8], other: &[u8]) -> bool {
    let trim = |url: &[u8]| url.strip_suffix(b"/").unwrap_or(url).to_ascii_lowercase();
    trim(one) == trim(other)
}

/// The host of `opc.tcp://host:port/path`.
fn host_of(url: &str) -> &str {
    let Some((_, authority)) = url.split_once("://") else { return "" };
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn token_word(kind: u32) -> Option<&'static str> {
    services::token_type(kind).map(crate::Token::text)
}
