//! Acts on TCP sockets. Must connect only where it is told to.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

use super::word;

/// How long an attempt may take, as clients set it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(200);

/// Connects again and again.
pub(super) fn connect(to: SocketAddr) -> anyhow::Result<ExitCode> {
    let mut goes_on = word::ready()?;
    while goes_on {
        match TcpStream::connect_timeout(&to, CONNECT_TIMEOUT) {
            Ok(_) => word::say("connected"),
            Err(error) => word::say(error),
        }
        goes_on = word::rest(RETRY)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Accepts and forgets.
pub(super) fn accept(at: SocketAddr) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(at)?;
    if word::ready()? {
        while word::until_readable(&listener)? {
            drop(listener.accept());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets those who connect wait.
pub(super) fn accept_nobody(at: SocketAddr, backlog: i32) -> anyhow::Result<ExitCode> {
    let family = match at {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let listener = socket(family, SocketType::STREAM, None)?;
    bind(&listener, &at)?;
    listen(&listener, backlog)?;
    if word::ready()? {
        word::until_let_go()?;
    }
    Ok(ExitCode::SUCCESS)
}
