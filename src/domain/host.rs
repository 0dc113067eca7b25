//! Where a key may travel in the clear: to this machine itself, and nowhere else.
//!
//! Owns: what this machine is called. Pure.

use std::net::IpAddr;

/// This machine, by its name or by address, as the host of a URL that was read. Names below `localhost` are left out: a
/// resolver may send them anywhere.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether an origin goes over the network without TLS.
pub fn is_plain(origin: &str) -> bool {
    origin.starts_with("http://")
}
