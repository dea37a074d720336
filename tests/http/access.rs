//! Tokens, roles, TLS, and what is noted of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use zonewatch::config::{Http, Tls};
use zonewatch::output::http::audit::verify;

use super::client::Answer;
use super::{Running, guarded, loopback, program};

#[test]
fn tokens_and_roles() {
    let running = Running::start(&guarded());
    let finding = {
        let page = running.client().with("Bearer reader").get("/api/v1/findings?limit=1").json();
        page["findings"][0]["id"].as_str().unwrap().to_owned()
    };
    let acknowledge = &format!("/api/v1/findings/{finding}/acknowledge");
    let long = "x".repeat(20_000);
    for (case, authorization, method, path, body, status) in [
        ("nobody reads", "", "GET", "/api/v1/assets", "", 401),
        ("nobody learns what is there", "", "GET", "/api/v1/no-such-thing", "", 401),
        ("a wrong token", "Bearer secrets", "GET", "/metrics", "", 401),
        (
            "the hash is no token",
            "Bearer 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
            "GET",
            "/metrics",
            "",
            401,
        ),
        ("a reader reads", "Bearer reader", "GET", "/metrics", "", 200),
        ("a browser reads", "Basic eDpyZWFkZXI=", "GET", "/", "", 200),
        ("a reader does not operate", "Bearer reader", "POST", "/api/v1/reload", "", 403),
        ("a browser does not operate", "Basic eDpzZWNyZXQ=", "POST", "/api/v1/reload", "", 403),
        ("reload", "Bearer secret", "POST", "/api/v1/reload", "", 202),
        ("acknowledge", "Bearer secret", "POST", acknowledge, r#"{"note": "it is planned"}"#, 200),
        ("acknowledge without a word", "Bearer secret", "POST", acknowledge, "", 200),
        ("it cannot be done", "Bearer secret", "POST", acknowledge, r#"{"note": "no"}"#, 409),
        ("no such finding", "Bearer secret", "POST", "/api/v1/findings/V-none/acknowledge", "", 404),
        ("no JSON", "Bearer secret", "POST", acknowledge, "note=x", 400),
        ("for a while", "Bearer secret", "POST", acknowledge, r#"{"until": "2200-01-31T12:00:00Z"}"#, 200),
        (
            "until a time that is over",
            "Bearer secret",
            "POST",
            acknowledge,
            r#"{"until": "2020-01-31T12:00:00Z"}"#,
            400,
        ),
        ("until some day", "Bearer secret", "POST", acknowledge, r#"{"until": "some day"}"#, 400),
        ("an unknown word", "Bearer secret", "POST", acknowledge, r#"{"unless": 1}"#, 400),
        ("a long word", "Bearer secret", "POST", acknowledge, &long, 413),
    ] {
        let client = running.client();
        let client = if authorization.is_empty() { client } else { client.with(authorization) };
        let answer = client.ask(method, path, body);
        assert_eq!(answer.status, status, "{case}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), [401, 403].contains(&status), "{case}");
    }
    let page = running.get("/");
    assert!(page.header("www-authenticate").unwrap().starts_with("Basic "), "a browser asks for the password");

    let wishes = running.wishes.0.lock().unwrap().join("; ");
    let want = format!(
        "reload; shift lead acknowledges {finding}: it is planned; shift lead acknowledges {finding}: ; \
         shift lead acknowledges {finding}: no; shift lead acknowledges {finding} until 2200-01-31T12:00:00.000000000Z: "
    );
    assert_eq!(wishes, want);

    let audit = running.audit();
    let (lines, _) = verify(audit.as_bytes()).unwrap();
    assert_eq!(lines as usize, audit.lines().count());
    for (what, count) in [
        ("\"outcome\":\"done\"", 5),
        ("\"outcome\":\"failed\"", 1),
        ("\"outcome\":\"refused\"", 7),
        ("\"action\":\"reload\"", 1),
        ("\"detail\":\"it is planned\"", 1),
        ("\"who\":\"shift lead\"", 6),
        ("GET /api/v1/no-such-thing", 1),
        ("secret", 0),
    ] {
        assert_eq!(audit.matches(what).count(), count, "{what} in {audit}");
    }
    assert!(verify(audit.replace("planned", "harmless").as_bytes()).is_err());
}

#[test]
fn probes_tell_details_to_those_who_may_read() {
    let running = Running::start(&guarded());
    for (path, word) in [("/healthz", "alive"), ("/readyz", "ready")] {
        assert_eq!(running.get(path).body, format!("{{\"{word}\":true}}"));
        let told = running.client().with("Bearer reader").get(path).json();
        assert_eq!(told["wrong"].as_array().unwrap().len(), 0, "{told}");
        assert!(told["troubles"][0].as_str().unwrap().contains("2 of"), "{told}");
    }
}

#[test]
fn another_name_for_this_machine_is_no_way_in() {
    let running = Running::start(&loopback());
    for (host, status) in [("localhost", 200), ("127.0.0.1:1", 200), ("evil.example", 421)] {
        let request = format!("GET /api/v1/assets HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(running.client().raw(&request).unwrap().status, status, "{host}");
    }
}

/// Keys made by openssl.
struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    fn make() -> Option<Self> {
        program("openssl")?;
        let keys = Self { folder: tempfile::tempdir().unwrap() };
        for authority in ["ours", "others"] {
            keys.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={authority} \
                 -keyout {authority}.key -out {authority}.pem -addext keyUsage=critical,keyCertSign"
            ));
        }
        for (name, authority) in [("server", "ours"), ("client", "ours"), ("stranger", "others")] {
            std::fs::write(keys.path("san"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
            keys.openssl(&format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ));
            keys.openssl(&format!(
                "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 \
                 -extfile san -out {name}.pem"
            ));
        }
        Some(keys)
    }

    fn openssl(&self, args: &str) {
        let output =
            Command::new("openssl").current_dir(self.folder.path()).args(args.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tls(&self, client_ca: bool) -> Tls {
        Tls {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: client_ca.then(|| self.path("ours.pem")),
        }
    }

    /// What a client gets who trusts this authority and has this certificate.
    fn ask(&self, running: &Running, trusts: &str, has: Option<&str>) -> Result<Answer, String> {
        let certificate = |path: &Path| CertificateDer::from_pem_file(path).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.path(&format!("{trusts}.pem")))).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match has {
            None => config.with_no_client_auth(),
            Some(name) => config
                .with_client_auth_cert(
                    vec![certificate(&self.path(&format!("{name}.pem")))],
                    PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap(),
                )
                .unwrap(),
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let client = running.client();
        let mut stream = StreamOwned::new(connection, client.connect());
        stream.write_all(client.request("GET", "/healthz", "").as_bytes()).map_err(|error| error.to_string())?;
        Answer::read(&mut stream).map_err(|error| error.to_string())
    }
}

#[test]
fn tls_with_and_without_certificates_of_clients() {
    let Some(keys) = Keys::make() else { return };
    for (case, client_ca, trusts, has, good) in [
        ("any client", false, "ours", None, true),
        ("a client that trusts another authority", false, "others", None, false),
        ("a client with our certificate", true, "ours", Some("client"), true),
        ("a client without a certificate", true, "ours", None, false),
        ("a client with a certificate of others", true, "ours", Some("stranger"), false),
    ] {
        let running = Running::start(&Http { tls: Some(keys.tls(client_ca)), ..loopback() });
        let answer = keys.ask(&running, trusts, has);
        assert_eq!(answer.as_ref().is_ok_and(|answer| answer.status == 200), good, "{case}: {answer:?}");
        // Plain HTTP gets nothing, and a silent client is cut off before the handshake as well.
        assert!(running.client().raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n").is_err(), "{case}");
        assert!(running.client().raw("").is_err(), "{case}");
    }
}

#[test]
fn keys_that_cannot_be_used_are_told() {
    let Some(keys) = Keys::make() else { return };
    for (case, tls, says) in [
        ("no file", Tls { key: keys.path("no.key"), ..keys.tls(false) }, "no.key"),
        ("no certificate", Tls { certificate: keys.path("server.key"), ..keys.tls(false) }, "there is no certificate"),
        ("another key", Tls { key: keys.path("client.key"), ..keys.tls(false) }, "server.pem"),
        ("no authority", Tls { client_ca: Some(keys.path("san")), ..keys.tls(false) }, "san"),
    ] {
        let served = zonewatch::output::http::Served {
            shared: super::plant(),
            streams: Arc::default(),
            flush: std::time::Duration::from_secs(10),
            audit: zonewatch::output::http::audit::Audit::to(Box::new(std::io::sink())),
            operator: Arc::new(super::Wishes::default()),
        };
        let config = Http { tls: Some(tls), ..loopback() };
        let error = zonewatch::output::http::Server::start(&config, served).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(says)), "{case}: {error:?}");
    }
}
