//! A DNS client and a resolver that is of no help. Must not resolve anything.

use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use super::word;

/// Between two lookups.
const RETRY: Duration = Duration::from_millis(200);
/// Any port: a lookup needs one.
const PORT: u16 = 80;
/// A query over UDP is no longer, by RFC 1035.
const MAX_QUERY_BYTES: usize = 512;
/// Of the header, by RFC 1035 4.1.1.
const HEADER_BYTES: usize = 12;
/// In the third byte of the header: this is a response; the query's opcode and "recursion desired"
/// stay as they are.
const RESPONSE: u8 = 0x80;
/// In the fourth byte of the header, above the response code.
const RECURSION_AVAILABLE: u8 = 0x80;

/// Looks a name up as every program does: by getaddrinfo(3).
pub(super) fn look_up(name: &str) -> anyhow::Result<ExitCode> {
    let mut goes_on = word::ready()?;
    while goes_on {
        match (name, PORT).to_socket_addrs() {
            Ok(addresses) => word::say(format_args!("{} addresses", addresses.count())),
            Err(error) => word::say(error),
        }
        goes_on = word::rest(RETRY)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers with `rcode`, or takes queries in silence.
pub(super) fn answer(at: SocketAddr, rcode: Option<u8>) -> anyhow::Result<ExitCode> {
    let socket = UdpSocket::bind(at)?;
    if !word::ready()? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut query = [0; MAX_QUERY_BYTES];
    while word::until_readable(&socket)? {
        let (length, from) = socket.recv_from(&mut query)?;
        let reply = rcode.and_then(|rcode| reply(query.get(..length)?, rcode));
        if let Some(reply) = reply {
            socket.send_to(&reply, from)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The query as a response without records: header and question alone. `None` for what is no query.
fn reply(query: &[u8], rcode: u8) -> Option<Vec<u8>> {
    let mut reply = query.get(..question_end(query)?)?.to_vec();
    *reply.get_mut(2)? |= RESPONSE;
    *reply.get_mut(3)? = RECURSION_AVAILABLE | (rcode & 0x0f);
    // No answer, authority or additional records; EDNS options were among the last.
    reply.get_mut(6..HEADER_BYTES)?.fill(0);
    Some(reply)
}

/// Where the one question ends: labels up to the empty one, then type and class.
fn question_end(query: &[u8]) -> Option<usize> {
    let mut at = HEADER_BYTES;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at + 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a.b`, type A, with an EDNS record behind the question.
    const QUERY: &[u8] = b"\x12\x34\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01\
        \x01a\x01b\x00\x00\x01\x00\x01\
        \x00\x00\x29\x04\xb0\x00\x00\x00\x00\x00\x00";

    #[test]
    fn a_reply_repeats_the_question_and_nothing_else() {
        let expected = b"\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00\
            \x01a\x01b\x00\x00\x01\x00\x01";
        assert_eq!(reply(QUERY, 3).unwrap(), expected);
    }

    #[test]
    fn what_is_no_query_is_not_answered() {
        for length in 0..HEADER_BYTES + 9 {
            assert_eq!(reply(&QUERY[..length], 3), None, "{length} bytes");
        }
    }
}
