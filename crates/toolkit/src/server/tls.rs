//! TLS: whether the client speaks it at all, the handshake, and the version of HTTP that it negotiates.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{Error, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Connection;
use super::client_certificate;
use crate::web_config::Tls;

/// Gives the configuration for each new connection.
pub type TlsConfigs = Arc<dyn Fn() -> BoxFuture<'static, Arc<ServerConfig>> + Send + Sync>;

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What a handshake came to.
pub(super) enum Handshake {
    /// TLS, with HTTP/1.
    Http1(TlsStream<TcpStream>),
    /// TLS, with HTTP/2.
    Http2(TlsStream<TcpStream>),
    /// A plain request instead.
    NotEncrypted(TcpStream),
}

/// Waits for the client's first byte, and makes the handshake.
pub(super) async fn accept(stream: TcpStream, configs: &TlsConfigs) -> io::Result<Handshake> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    // The first byte of a handshake is 22; a request begins with its method.
    if first[0].is_ascii_uppercase() {
        return Ok(Handshake::NotEncrypted(stream));
    }
    let acceptor = TlsAcceptor::from(configs().await);
    let stream = acceptor.accept(stream).await?;
    let (_, session) = stream.get_ref();
    Ok(if session.alpn_protocol() == Some(HTTP2) {
        Handshake::Http2(stream)
    } else {
        Handshake::Http1(stream)
    })
}

/// The configuration of rustls.
pub(crate) fn server_config(tls: &Tls, http2: bool) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(&tls.provider))
        .with_protocol_versions(&tls.versions)?;
    let builder = match &tls.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let verifier = client_certificate::verifier(clients, &tls.provider)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key_pair = SingleCertAndKey::from(Arc::clone(&tls.key_pair));
    let mut config = builder.with_cert_resolver(Arc::new(key_pair));
    config.alpn_protocols = if http2 {
        vec![HTTP2.to_vec(), HTTP1.to_vec()]
    } else {
        vec![HTTP1.to_vec()]
    };
    if tls.clients.is_some() {
        // A resumed session does not show the certificate again, which may have expired.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

impl Connection for TlsStream<TcpStream> {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}
