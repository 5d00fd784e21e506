//! Names and meanings of POSIX signals. Must hold facts of signal(7) and sigaction(2) only.

pub(crate) const SIGHUP: u32 = 1;
pub(crate) const SIGINT: u32 = 2;
pub(crate) const SIGQUIT: u32 = 3;
pub(crate) const SIGILL: u32 = 4;
pub(crate) const SIGTRAP: u32 = 5;
pub(crate) const SIGABRT: u32 = 6;
pub(crate) const SIGBUS: u32 = 7;
pub(crate) const SIGFPE: u32 = 8;
pub(crate) const SIGKILL: u32 = 9;
pub(crate) const SIGSEGV: u32 = 11;
pub(crate) const SIGTERM: u32 = 15;
pub(crate) const SIGSYS: u32 = 31;

/// Signals that a process's own code raises.
const FAULT_SIGNALS: [u32; 7] = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS];

/// Whether the signal is one that a fault raises.
pub(crate) fn is_fault_signal(signal: u32) -> bool {
    FAULT_SIGNALS.contains(&signal)
}

/// Names a signal with its number, for example `SIGKILL (9)`.
pub(crate) fn signal_name(signal: u32) -> String {
    let name = match signal {
        SIGHUP => "SIGHUP",
        SIGINT => "SIGINT",
        SIGQUIT => "SIGQUIT",
        SIGILL => "SIGILL",
        SIGTRAP => "SIGTRAP",
        SIGABRT => "SIGABRT",
        SIGBUS => "SIGBUS",
        SIGFPE => "SIGFPE",
        SIGKILL => "SIGKILL",
        10 => "SIGUSR1",
        SIGSEGV => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        SIGTERM => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        SIGSYS => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    format!("{name} ({signal})")
}

/// What a fault of this signal and `si_code` means, for a person who never read a manual page.
pub(crate) const fn fault_meaning(signal: u32, code: i32) -> &'static str {
    match (signal, code) {
        (SIGSEGV, 1) => "it touched memory that is not mapped",
        (SIGSEGV, 2) => "it touched memory in a way that its protection does not allow",
        (SIGSEGV, _) => "it used memory that it must not use",
        (SIGBUS, 1) => "it used a wrongly aligned address",
        (SIGBUS, 2) => {
            "the memory that it touched has nothing behind it, as when a mapped file was cut short"
        }
        (SIGBUS, 4 | 5) => "the hardware reported broken memory",
        (SIGBUS, _) => "its memory access could not be carried out",
        (SIGILL, _) => "it ran an instruction that this CPU does not have",
        (SIGFPE, 1) => "it divided an integer by zero",
        (SIGFPE, _) => "an arithmetic operation failed",
        (SIGABRT, _) => "it gave up by itself: abort() after a failed check",
        (SIGTRAP, _) => "it ran into a breakpoint or a trap that its compiler put there",
        (SIGSYS, _) => "it made a system call that a filter (seccomp) forbids",
        _ => "it failed in its own code",
    }
}
