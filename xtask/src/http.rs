//! The one HTTP request that `up` needs: GET on loopback, status and body.
//!
//! No client for anything else: HTTP/1.0, so that the answer ends with the connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

/// Bounds connecting, and each read and write.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bounds an answer; `/status` is a few KB.
const MAX_BYTES: u64 = 1 << 20;

/// An answer.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body, as text.
    pub(crate) body: String,
}

/// Asks `address` for `path`.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let context = || format!("failed to get http://{address}{path}");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).with_context(context)?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .with_context(context)?;
    stream
        .set_write_timeout(Some(TIMEOUT))
        .with_context(context)?;
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).with_context(context)?;
    let mut bytes = Vec::new();
    stream
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .with_context(context)?;
    parse(&String::from_utf8_lossy(&bytes)).with_context(context)
}

fn parse(text: &str) -> anyhow::Result<Answer> {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("the answer has no end of head")?;
    let status = head.split(' ').nth(1).context("the answer has no status")?;
    let status = status.parse().context("the status is no number")?;
    Ok(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn gets_status_and_body() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /readyz HTTP/1.0\r\n"));
            stream
                .write_all(b"HTTP/1.0 503 Not\r\nx: y\r\n\r\nnot yet")
                .unwrap();
        });
        let answer = get(address, "/readyz").unwrap();
        assert_eq!(
            answer,
            Answer {
                status: 503,
                body: "not yet".to_owned()
            }
        );
        server.join().unwrap();
        get(address, "/readyz").unwrap_err();
    }

    #[test]
    fn refuses_what_is_no_http() {
        for text in [
            "",
            "HTTP/1.0 200 OK",
            "HTTP/1.0\r\n\r\n",
            "HTTP/1.0 x\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
