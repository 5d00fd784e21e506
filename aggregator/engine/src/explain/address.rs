//! Addresses of sockets as text. Must not resolve anything.

use super::quote::clean;
use crate::model::signal::SocketAddress;

/// Formats an address with its port as programs take it; a unix socket as its path.
pub(crate) fn socket(of: &SocketAddress) -> String {
    let address = clean(&of.address);
    if of.port == 0 {
        address
    } else if address.contains(':') {
        format!("[{address}]:{}", of.port)
    } else {
        format!("{address}:{}", of.port)
    }
}

#[cfg(test)]
mod tests {
    use super::socket;
    use crate::model::signal::SocketAddress;

    #[test]
    fn formats_addresses_as_programs_take_them() {
        for (address, port, text) in [
            ("10.0.0.2", 5432, "10.0.0.2:5432"),
            ("fd00::2", 80, "[fd00::2]:80"),
            ("/run/app.sock", 0, "/run/app.sock"),
        ] {
            let of = SocketAddress {
                address: address.to_owned(),
                port,
            };
            assert_eq!(socket(&of), text);
        }
    }
}
