//! The kernel programs of the Inquest agent: thin probes that copy what the kernel alone knows into two
//! ring buffers. Must not decide what a record means; that is the agent's part.
//!
//! Licensed under GPL-2.0-only or Apache-2.0, at your choice. The object declares a licence that the
//! kernel accepts for its GPL-only helpers.
#![no_std]
#![no_main]
// For atomic addition to counters in maps, which the target lacks in its stable form.
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "see above")]
#![expect(
    clippy::inline_always,
    reason = "a call of its own costs a stack frame of the few that a program has, and hides constants from the verifier"
)]
#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what the agent overrides has to be read where it is"
)]

#[macro_use]
mod log;

mod count;
mod emit;
mod kernel_read;
mod maps;
mod meter;
mod owner;
mod probes;
mod rate;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program from which this could be reached.
    loop {}
}

/// By which the agent knows that this object was built from its own abi.
#[used]
#[unsafe(link_section = "inquest_abi")]
#[unsafe(no_mangle)]
static ABI: [u8; inquest_agent_abi::ABI_MARK.len()] = inquest_agent_abi::ABI_MARK;

/// One of the spellings that the kernel compares with (`include/linux/license.h`).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
