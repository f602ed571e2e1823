//! `health`: asks the exporter on this machine whether it serves, for images that hold no shell and no other program.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::say;
use toolkit::listen::ListenAddress;

/// Below the usual bound of whoever asks, so that it is told why.
const PATIENCE: Duration = Duration::from_secs(3);

/// Far above any first line of an answer.
const LONGEST_LINE: u64 = 1024;

const REQUEST: &[u8] = b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Ends with 0 if the exporter that listens at the first of these addresses answers.
pub(super) async fn run(addresses: &[ListenAddress]) -> anyhow::Result<ExitCode> {
    let address = addresses.first().context("no address to ask")?;
    let asked = timeout(PATIENCE, ask(&address.from_this_machine())).await;
    let status = match asked {
        Ok(status) => status.with_context(|| format!("{address} does not serve"))?,
        Err(_) => bail!("{address} does not serve: no answer in {PATIENCE:?}"),
    };
    // Whoever demands TLS or a password refuses this question, and serves all the same.
    if status >= 500 {
        bail!("{address} answers with HTTP {status}");
    }
    say("healthy\n")?;
    Ok(ExitCode::SUCCESS)
}

/// The status of the answer.
async fn ask(address: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE))
        .read_line(&mut line)
        .await?;
    let mut words = line.split(' ');
    let status = match (words.next(), words.next()) {
        (Some(version), Some(status)) if version.starts_with("HTTP/1.") => status.parse().ok(),
        _ => None,
    };
    let status = status.filter(|status| (100..600).contains(status));
    status.context("what answers there does not speak HTTP")
}
