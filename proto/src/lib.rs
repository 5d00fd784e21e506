//! The wire types of Inquest: what agent and aggregator say to each other, and a bundle's
//! `signals.jsonl` (proto3 JSON). Generated from `inquest/v1/*.proto`; must hold no hand-written logic.

/// Version 1 of the protocol.
pub mod v1 {
    tonic::include_proto!("inquest.v1");
    include!(concat!(env!("OUT_DIR"), "/inquest.v1.serde.rs"));
}

/// The protocol version that `Hello` and `Welcome` carry.
pub const PROTOCOL: u32 = 1;
