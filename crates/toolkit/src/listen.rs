//! Where the HTTP server listens: reading the addresses as Prometheus programs write them, and binding them.
//!
//! Binding is apart from serving so that a port in use stops the program before it has started anything else.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

use super::server::slot::give_up_after;

/// The most connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 1024;

/// How much of a response the kernel buffers for each client. Linux doubles it for its own bookkeeping; without a limit it
/// buffers several megabytes for a client that does not read.
const SEND_BUFFER: usize = 256 * 1024;

/// How long the kernel waits for a client that acknowledges nothing, also after the program has written everything.
const UNREAD_TIME: Duration = Duration::from_secs(10);

/// One address to listen on: `:19110`, `127.0.0.1:19110`, `[::1]:19110` or `localhost:19110`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// Every interface, over IPv6 and IPv4.
    Every,
    Ip(IpAddr),
    /// Resolved when it is bound.
    Name(String),
}

/// Why a text is not a [`ListenAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address to listen on: {reason}")]
pub struct ListenAddressError {
    text: String,
    reason: &'static str,
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(cause))]
pub struct BindError {
    address: ListenAddress,
    // Not a `source`: it is part of the message, and a printed chain would repeat it.
    cause: io::Error,
}

/// A bound address, accepting connections as soon as it exists.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    local: SocketAddr,
}

impl ListenAddress {
    /// Reads `[host]:port`. A host left out means every interface.
    pub fn parse(text: &str) -> Result<Self, ListenAddressError> {
        let refuse = |reason| ListenAddressError {
            text: text.to_owned(),
            reason,
        };
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| refuse("it has no port; `:19110` is port 19110 on every interface"))?;
        // `u16::from_str` also takes a plus sign.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse("its port is not a number"));
        }
        let port = port
            .parse()
            .map_err(|_| refuse("its port is not a number from 0 to 65535"))?;
        let host = if host.is_empty() {
            Host::Every
        } else if let Some(inside) = host.strip_prefix('[') {
            let inside = inside.strip_suffix(']').and_then(|ip| ip.parse().ok());
            Host::Ip(IpAddr::V6(inside.ok_or_else(|| {
                refuse("between the brackets must be an IPv6 address")
            })?))
        } else if let Ok(ip) = host.parse() {
            Host::Ip(IpAddr::V4(ip))
        } else if host.contains(':') {
            return Err(refuse(
                "an IPv6 address needs brackets, as in `[::1]:19110`",
            ));
        } else if is_name(host) {
            Host::Name(host.to_owned())
        } else {
            return Err(refuse("its host is neither an IP address nor a name"));
        };
        Ok(Self { host, port })
    }
}

impl ListenAddress {
    /// The address at which a client on this machine reaches this listener.
    pub fn from_this_machine(&self) -> String {
        let port = self.port;
        let loopback = match &self.host {
            Host::Every => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Host::Ip(IpAddr::V4(ip)) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Host::Ip(IpAddr::V6(ip)) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            Host::Ip(_) | Host::Name(_) => return self.to_string(),
        };
        SocketAddr::new(loopback, port).to_string()
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.host {
            Host::Every => write!(formatter, ":{port}"),
            Host::Ip(ip) => SocketAddr::new(*ip, port).fmt(formatter),
            Host::Name(name) => write!(formatter, "{name}:{port}"),
        }
    }
}

impl BindError {
    /// The requested address.
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }
}

impl Listener {
    /// The bound address, with the real port if port 0 was requested.
    pub const fn local_address(&self) -> SocketAddr {
        self.local
    }
}

/// Binds all addresses or none: if one fails, those before it are closed.
///
/// A name with several addresses is bound at one of them, an IPv4 one if there is any, as Go's `net.Listen` does.
pub async fn bind(addresses: &[ListenAddress]) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = bind_one(address).await.map_err(|cause| BindError {
            address: address.clone(),
            cause,
        })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

async fn bind_one(address: &ListenAddress) -> io::Result<Listener> {
    match &address.host {
        Host::Every => listen_everywhere(address.port),
        Host::Ip(ip) => listen_at(SocketAddr::new(*ip, address.port)),
        Host::Name(name) => {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), address.port))
                .await?
                .collect();
            let chosen = found.iter().find(|at| at.is_ipv4()).or(found.first());
            let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            listen_at(*chosen.ok_or_else(no_address)?)
        }
    }
}

fn listen_everywhere(port: u16) -> io::Result<Listener> {
    match listen_at(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        // A kernel without IPv6 fails in several ways. These two errors have other causes, which a retry over IPv4
        // would hide.
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
            ) =>
        {
            listen_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        outcome => outcome,
    }
}

fn listen_at(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // On some systems `[::]` is IPv6 only (sysctl net.ipv6.bindv6only), and tokio's `TcpSocket` cannot change that.
        socket.set_only_v6(false)?;
    }
    // Elsewhere than on Unix the option lets two programs share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted connections inherit both.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    give_up_after(&SockRef::from(&socket), UNREAD_TIME)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from_std(socket.into())?;
    let local = socket.local_addr()?;
    Ok(Listener { socket, local })
}

fn is_name(host: &str) -> bool {
    host.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface has this address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_prometheus_programs_write_them() {
        let check =
            |text: &str, expected: Result<Host, &str>| match (ListenAddress::parse(text), expected)
            {
                (Ok(address), Ok(host)) => {
                    assert_eq!(address.host, host, "{text}");
                    assert_eq!(address.to_string(), text, "is shown as it was written");
                }
                (Err(error), Err(reason)) => {
                    let message = error.to_string();
                    assert!(message.contains(reason), "{text}: {message}");
                    assert!(message.contains(&format!("`{text}`")), "{message}");
                }
                (parsed, expected) => panic!("{text}: {parsed:?} instead of {expected:?}"),
            };
        let ip = |text: &str| Ok(Host::Ip(text.parse().unwrap()));
        check(":19110", Ok(Host::Every));
        check("127.0.0.1:19110", ip("127.0.0.1"));
        check("0.0.0.0:1", ip("0.0.0.0"));
        check("[::1]:0", ip("::1"));
        check("[::]:65535", ip("::"));
        check("localhost:19110", Ok(Host::Name("localhost".to_owned())));
        check(
            "node-1.example_a:80",
            Ok(Host::Name("node-1.example_a".to_owned())),
        );
        check("", Err("no port"));
        check("19110", Err("no port"));
        check("localhost", Err("no port"));
        check(":", Err("from 0 to 65535"));
        check(":65536", Err("from 0 to 65535"));
        check(":+80", Err("not a number"));
        check(":http", Err("not a number"));
        check("::1:19110", Err("needs brackets"));
        check("[::1]", Err("not a number"));
        check("[127.0.0.1]:80", Err("IPv6 address"));
        check("[::1:80", Err("IPv6 address"));
        check("a b:80", Err("neither"));
        check("http://x:80", Err("needs brackets"));
    }

    #[test]
    fn who_listens_everywhere_is_reached_over_the_loopback_interface() {
        for (text, expected) in [
            (":19110", "127.0.0.1:19110"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.1.2.3:80", "10.1.2.3:80"),
            ("localhost:80", "localhost:80"),
        ] {
            let address = ListenAddress::parse(text).unwrap();
            assert_eq!(address.from_this_machine(), expected);
        }
    }

    #[tokio::test]
    async fn a_bound_listener_knows_its_real_port() {
        for text in ["127.0.0.1:0", "localhost:0", ":0"] {
            let address = ListenAddress::parse(text).unwrap();
            let listeners = bind(&[address]).await.unwrap();
            let local = listeners[0].local_address();
            assert_ne!(local.port(), 0, "{text}");
            // Every interface includes the IPv4 one, whichever family the socket has.
            let reached = tokio::net::TcpStream::connect(("127.0.0.1", local.port())).await;
            assert!(reached.is_ok(), "{text} bound as {local}: {reached:?}");
        }
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_bound_is_named() {
        let any = ListenAddress::parse("127.0.0.1:0").unwrap();
        let held = bind(std::slice::from_ref(&any)).await.unwrap();
        let taken = ListenAddress::parse(&held[0].local_address().to_string()).unwrap();
        let error = bind(&[any, taken.clone()]).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {taken}: address in use")
        );
        assert_eq!(error.address(), &taken);

        // A label this long is refused without asking any name server.
        let unknown = ListenAddress::parse(&format!("{}:0", "x".repeat(70))).unwrap();
        let message = bind(&[unknown]).await.unwrap_err().to_string();
        assert!(
            message.starts_with("cannot listen on xxxxx"),
            "names the host: {message}"
        );
    }
}
