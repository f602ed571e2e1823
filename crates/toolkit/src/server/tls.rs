//! The beginning of a connection with TLS: whether the client speaks it at all, the handshake, and the protocol to go on
//! with.

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

/// Says for each new connection what holds for it.
pub type TlsConfigs = Arc<dyn Fn() -> BoxFuture<'static, Arc<ServerConfig>> + Send + Sync>;

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How a connection has begun.
pub(super) enum Hello {
    /// With TLS, and HTTP/1 in it.
    Http1(TlsStream<TcpStream>),
    /// With TLS, and HTTP/2 in it.
    Http2(TlsStream<TcpStream>),
    /// With a request, as if there were no TLS.
    NotEncrypted(TcpStream),
}

/// Waits for the client's first byte, and then for the handshake to end.
pub(super) async fn greet(stream: TcpStream, configs: &TlsConfigs) -> io::Result<Hello> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    // The first byte of a handshake is 22; a request begins with its method.
    if first[0].is_ascii_uppercase() {
        return Ok(Hello::NotEncrypted(stream));
    }
    let acceptor = TlsAcceptor::from(configs().await);
    let stream = acceptor.accept(stream).await?;
    let (_, session) = stream.get_ref();
    Ok(if session.alpn_protocol() == Some(HTTP2) {
        Hello::Http2(stream)
    } else {
        Hello::Http1(stream)
    })
}

/// Makes of a checked configuration one for handshakes.
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
        // A session that goes on would not show its certificate again, and it may have expired by then.
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
