//! The record of a DNS message on its way between a process and a resolver.

use crate::{MAX_COMM, RecordHeader};

/// Bytes of a message that are kept: header and question, whose name takes 255 at most but rarely half of that, and the
/// first answers.
pub const MAX_DNS_MESSAGE: usize = 256;

/// The port of resolvers.
pub const DNS_PORT: u16 = 53;

/// A query left for a resolver's port, or an answer arrived where it was asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DnsMessage {
    /// Of kind `DNS_MESSAGE`.
    pub header: RecordHeader,
    /// Id of the asking socket's cgroup, 0 when it is not known; of an answer always 0.
    pub cgroup: u64,
    /// Address of the resolver in network order; an IPv4 address takes the first four bytes.
    pub resolver: [u8; 16],
    /// Inode of the network namespace.
    pub netns: u32,
    /// Who asked, 0 when that is not known; of an answer always 0.
    pub pid: u32,
    /// Of the one that asks.
    pub local_port: u16,
    /// Of the resolver; not always [`DNS_PORT`] where the packet's is translated on its way.
    pub resolver_port: u16,
    /// Bytes of `message` that are there: all of the message if it fits, none where the program could not get at it.
    pub message_len: u16,
    /// 4 or 6.
    pub ip_version: u8,
    /// 1 for an answer.
    pub is_answer: u8,
    /// Name of the process `pid`.
    pub comm: [u8; MAX_COMM],
    /// The message from its header on.
    pub message: [u8; MAX_DNS_MESSAGE],
}

const _: () = assert!(
    size_of::<DnsMessage>() == 16 + 8 + 16 + 4 * 2 + 2 * 3 + 2 + MAX_COMM + MAX_DNS_MESSAGE
);
