//! What a protected connection trusts, and what it shows.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::event::config::Tls;

/// A connector and the name that the receiver's certificate must be for, from the files as they are now.
pub(super) fn connector(tls: &Tls) -> io::Result<(TlsConnector, ServerName<'static>)> {
    let name = ServerName::try_from(tls.server_name.clone())
        .map_err(|_| io::Error::other(format!("`{}` cannot be the name in a certificate", tls.server_name)))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca)? {
        roots.add(certificate).map_err(|error| in_file(&tls.ca, &error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((certificate, key_file)) => {
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| in_file(key_file, &error))?;
            config
                .with_client_auth_cert(certificates(certificate)?, key)
                .map_err(|error| in_file(certificate, &error))?
        }
    };
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// The certificates of a PEM file, of which there is at least one.
fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| in_file(path, &error))?;
    if all.is_empty() {
        return Err(in_file(path, &"there is no certificate in it"));
    }
    Ok(all)
}

fn in_file(path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
