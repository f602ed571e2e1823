//! Ways to a cloud that are not a straight line: private authorities, proxies.

use std::path::Path;
use std::sync::{Arc, Mutex};

use sim::Cloud;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::harness::{Configuration, Exporter, cloud, hourly};

const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");

fn address_of(cloud: &Cloud) -> String {
    cloud.url().trim_start_matches("http://").to_owned()
}

/// Opens TLS in front of an address, with a certificate of the private authority. Tells its port.
async fn tls_in_front_of(address: String) -> u16 {
    let folder = Path::new(AUTHORITY).parent().unwrap();
    let certificates = CertificateDer::pem_file_iter(folder.join("server.pem"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    // Also makes sure that the cryptography is set up.
    let _client = super::harness::client();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, address) = (acceptor.clone(), address.clone());
            tokio::spawn(async move {
                // Who does not trust us hangs up here.
                let Ok(mut plain) = acceptor.accept(stream).await else {
                    return;
                };
                let mut behind = TcpStream::connect(address).await.unwrap();
                let _either_end_may_hang_up = copy_bidirectional(&mut plain, &mut behind).await;
            });
        }
    });
    port
}

/// A proxy that sends everything to one address. Tells its port, and the first line of each connection.
async fn proxy_to(address: String) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (address, lines) = (address.clone(), Arc::clone(&lines));
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else {
                        return;
                    };
                    head.push(byte);
                }
                let text = String::from_utf8_lossy(&head).into_owned();
                let line = text.lines().next().unwrap_or_default().to_owned();
                let is_tunnel = line.starts_with("CONNECT ");
                lines.lock().unwrap().push(line);
                let mut behind = TcpStream::connect(address).await.unwrap();
                if is_tunnel {
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                } else {
                    behind.write_all(&head).await.unwrap();
                }
                let _either_end_may_hang_up = copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    (port, seen)
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_the_configuration_names_it() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let port = tls_in_front_of(address_of(&cloud)).await;
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.endpoint = format!("https://localhost:{port}");
    let exporter = Exporter::start(&configuration).await;
    let refused = exporter.ready().await;
    assert_eq!(refused.poll_success("rm-orders", "local"), Some(0.0));
    assert!(refused.poll_failures("local", "network") >= 1.0);
    assert_eq!(cloud.requests().len(), 0);

    configuration.more_keys = vec![format!("ca_file: {AUTHORITY}")];
    exporter.configure(&configuration);
    exporter.signal("HUP");
    exporter
        .until("the authority is trusted", |scrape| {
            scrape.poll_success("rm-orders", "local") == Some(1.0)
        })
        .await;
    // At the top it holds for every account.
    configuration.more_keys.clear();
    configuration.more_accounts = format!("ca_file: {AUTHORITY}\n");
    let exporter = Exporter::start(&configuration).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));
}

#[tokio::test]
async fn an_outbound_proxy_is_honoured_and_so_are_its_exceptions() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let (port, seen) = proxy_to(address_of(&cloud)).await;
    let proxy = format!("http://127.0.0.1:{port}");
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    let direct = std::mem::replace(
        &mut configuration.endpoint,
        "http://rds.simulated.test".to_owned(),
    );
    let exporter = Exporter::start_with(&configuration, &[], &[("HTTP_PROXY", &proxy)]).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));
    let first = seen.lock().unwrap()[0].clone();
    assert!(
        first.starts_with("POST http://rds.simulated.test/?"),
        "{first}"
    );
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
    drop(exporter);

    seen.lock().unwrap().clear();
    configuration.endpoint = direct;
    let environment = [("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", "127.0.0.1")];
    let exporter = Exporter::start_with(&configuration, &[], &environment).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));
    assert_eq!(*seen.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn tls_goes_through_a_proxy_unopened() {
    let cloud = cloud().await;
    cloud.add_instance(hourly("rm-orders"));
    let tls = tls_in_front_of(address_of(&cloud)).await;
    let (port, seen) = proxy_to(format!("127.0.0.1:{tls}")).await;
    let proxy = format!("http://127.0.0.1:{port}");
    let mut configuration = Configuration::of(&cloud, &["rm-orders"]);
    configuration.endpoint = "https://rds.simulated.test".to_owned();
    configuration.more_keys = vec![format!("ca_file: {AUTHORITY}")];
    let exporter = Exporter::start_with(&configuration, &[], &[("HTTPS_PROXY", &proxy)]).await;
    let scrape = exporter.ready().await;
    assert_eq!(scrape.poll_success("rm-orders", "local"), Some(1.0));
    let first = seen.lock().unwrap()[0].clone();
    assert_eq!(first, "CONNECT rds.simulated.test:443 HTTP/1.1");
    assert_eq!(cloud.unexpected(), Vec::<String>::new());
}
