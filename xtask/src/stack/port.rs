//! Ports of the loopback: one that was asked for, or a free one.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, anyhow, bail};
use tokio::net::TcpListener;

/// Where services listen; connections get their ports from 32768 on.
const PORTS: Range<u16> = 20_000..32_000;

/// A listener on a port of the loopback.
pub(super) async fn listen(port: u16) -> Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    let listener = listener.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow!("port {port} is taken: stop what listens there, or choose another with --port")
        }
        _ => error.into(),
    })?;
    Ok((listener, port))
}

/// The port itself where there is one and it is free, else another that is.
pub(super) fn port_at(port: Option<u16>) -> Result<u16> {
    match port {
        Some(port) if std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => Ok(port),
        _ => free_port(),
    }
}

/// A port that is free now, for a service that takes its port as a setting.
///
/// From below the range that the system hands out to connections, and never the same twice in a process: a
/// port that is free now must still be free when the service has started.
pub(super) fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() * 64;
    for _ in 0..PORTS.len() {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
        let port = PORTS.start + offset as u16;
        if std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {} and {} is free", PORTS.start, PORTS.end)
}
