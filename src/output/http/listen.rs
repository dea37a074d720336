//! Connections: how many, how slow, and in which wrapping.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::ServeError;
use super::api::{Api, Peer};
use crate::config::{Http, Tls};

/// Bytes of a request before its body.
const HEAD: usize = 16 << 10;

/// Headers of a request.
const HEADERS: usize = 64;

/// Accepts connections, and serves as many at once as there is room for.
#[derive(Clone)]
pub(super) struct Door {
    api: Arc<Api>,
    router: Router,
    room: Arc<Semaphore>,
    size: usize,
    tls: Option<TlsAcceptor>,
    patience: Duration,
}

/// Whether the keys of TLS can be used.
pub(super) fn check(config: &Http) -> Result<(), ServeError> {
    config.tls.as_ref().map(acceptor).transpose().map(|_| ())
}

impl Door {
    pub(super) fn new(config: &Http, api: Arc<Api>, router: Router) -> Result<Self, ServeError> {
        Ok(Self {
            api,
            router,
            room: Arc::new(Semaphore::new(config.connections)),
            size: config.connections,
            tls: config.tls.as_ref().map(acceptor).transpose()?,
            patience: config.timeout.duration(),
        })
    }

    /// Accepts until told to stop.
    pub(super) async fn open(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stopped(&mut stop) => return,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors, most likely: a moment later there may be some.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
                self.api.service.refused("connections");
                continue;
            };
            let (door, stop) = (self.clone(), stop.clone());
            tokio::spawn(async move {
                door.count();
                door.serve(stream, peer, stop).await;
                drop(place);
                door.count();
            });
        }
    }

    /// Waits until nobody is served any more, but not for ever.
    pub(super) async fn empty(&self, patience: Duration) {
        let all = u32::try_from(self.size).unwrap_or(u32::MAX);
        // That some are not finished is what the limit is for.
        let _ = timeout(patience, self.room.acquire_many(all)).await;
    }

    fn count(&self) {
        self.api.service.connections(self.size.saturating_sub(self.room.available_permits()));
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, stop: watch::Receiver<bool>) {
        let _ = stream.set_nodelay(true);
        let stream = Patient { stream, patience: self.patience, late: None };
        let Some(tls) = &self.tls else { return self.talk(stream, peer, stop).await };
        match timeout(self.patience, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.talk(stream, peer, stop).await,
            Ok(Err(_)) => self.api.service.refused("tls"),
            Err(_) => self.api.service.refused("slow"),
        }
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        peer: SocketAddr,
        mut stop: watch::Receiver<bool>,
    ) {
        let service = Named { inner: TowerToHyperService::new(self.router.clone()), peer: Peer(peer.to_string()) };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience)
            .max_buf_size(HEAD)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        let late = |error: &hyper::Error| {
            let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
            error.is_timeout() || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
        };
        if ended.is_err_and(|error| late(&error)) {
            self.api.service.refused("slow");
        }
    }
}

/// Waits until the server stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever could have said so is gone: that says it as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The router, with the client's address in every request.
struct Named {
    inner: TowerToHyperService<Router>,
    peer: Peer,
}

impl hyper::service::Service<Request<Incoming>> for Named {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = TowerToHyperServiceFuture<Router, Request<Incoming>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer.clone());
        self.inner.call(request)
    }
}

/// A stream that fails when the client takes nothing for too long: whoever does not read must not hold an answer in memory.
/// That a client sends nothing is for hyper to limit, who knows when it has to.
struct Patient {
    stream: TcpStream,
    patience: Duration,
    late: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn watch<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.late = None;
            return done;
        }
        let patience = self.patience;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep(patience)));
        late.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// TLS as configured.
fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServeError> {
    let wrong = |path: &Path, why: &dyn std::fmt::Display| ServeError(format!("http.tls: {}: {why}", path.display()));
    let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, ServeError> {
        let list = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let list = list.map_err(|error| wrong(path, &error))?;
        if list.is_empty() { Err(wrong(path, &"there is no certificate in it")) } else { Ok(list) }
    };
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| wrong(&tls.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = match &tls.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| wrong(path, &error))?;
            }
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| wrong(path, &error))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_client_cert_verifier(verifier).with_single_cert(chain, key))
        .map_err(|error| wrong(&tls.certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
