//! The list of failures that are noise, as the configuration spells it. Must not know which ones are of interest.

use std::{fmt, str::FromStr};

use inquest_agent_abi::{Errnos, MAX_CALLS, SyscallPolicy};
use serde::{Serialize, Serializer};

use super::{call_of, errnos};

/// Failures that programs provoke in the normal course of things: a call that would block or was interrupted, a
/// question whether something is a terminal, a link, seekable, or has an attribute, a wait that ended, a directory or child
/// that is not there any more or is there already.
const DEFAULT: [&str; 23] = [
    "EAGAIN",
    "!clone:EAGAIN",
    "!clone3:EAGAIN",
    "!fork:EAGAIN",
    "!vfork:EAGAIN",
    "EINTR",
    "EINPROGRESS",
    "ENOTTY",
    "ENODATA",
    "EALREADY",
    "futex:ETIMEDOUT",
    "readlink:EINVAL",
    "readlinkat:EINVAL",
    "lseek:ESPIPE",
    "wait4:ECHILD",
    "waitid:ECHILD",
    "mkdir:EEXIST",
    "mkdirat:EEXIST",
    "rmdir:ENOTEMPTY",
    "kill:ESRCH",
    "listxattr:EOPNOTSUPP",
    "bpf:ENOENT",
    "getxattr:EOPNOTSUPP",
];

/// Not a rule of the form `ERRNO`, `CALL:ERRNO` or one of these after `!`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IgnoreRuleError {
    /// There is no such error.
    #[error("`{0}` is no error of errno(3)")]
    Errno(String),
    /// There is no such call.
    #[error("`{0}` is no system call of this architecture")]
    Call(String),
}

/// One rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Rule {
    /// `None` for all of them.
    call: Option<u32>,
    errno: u32,
    /// False where an earlier rule is taken back.
    ignored: bool,
}

/// The rules in order: the last one that fits a failure decides.
#[derive(Clone, Debug)]
pub struct IgnoreList {
    rules: Vec<Rule>,
    text: Vec<String>,
}

impl Default for IgnoreList {
    fn default() -> Self {
        // A name that an architecture does not have stands for nothing there.
        let text = DEFAULT
            .into_iter()
            .filter(|rule| Rule::from_str(rule).is_ok());
        let text: Vec<String> = text.map(str::to_owned).collect();
        let rules = text.iter().filter_map(|rule| rule.parse().ok()).collect();
        Self { rules, text }
    }
}

impl IgnoreList {
    /// Reads rules as the configuration spells them; the error tells which one is wrong.
    pub fn parse(text: Vec<String>) -> Result<Self, (String, IgnoreRuleError)> {
        let rules = text
            .iter()
            .map(|rule| rule.parse().map_err(|error| (rule.clone(), error)))
            .collect::<Result<_, _>>()?;
        Ok(Self { rules, text })
    }

    /// Returns whether failures of `call` with `errno` are noise.
    #[cfg(test)]
    fn ignores(&self, call: &str, errno: &str) -> bool {
        let mut policy = Box::new(SyscallPolicy::NONE);
        self.fill(&mut policy);
        policy.ignored[call_of(call).unwrap() as usize].contains(errnos::errno_of(errno).unwrap())
    }

    pub(super) fn fill(&self, policy: &mut SyscallPolicy) {
        for rule in &self.rules {
            let calls: &mut [Errnos] = match rule.call {
                None => &mut policy.ignored,
                Some(call) => policy
                    .ignored
                    .get_mut(call as usize)
                    .map(std::slice::from_mut)
                    .unwrap_or_default(),
            };
            for errnos in calls {
                errnos.set(rule.errno, rule.ignored);
            }
        }
    }
}

const _: () = assert!(MAX_CALLS > 470);

impl FromStr for Rule {
    type Err = IgnoreRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ignored, rest) = match text.strip_prefix('!') {
            Some(rest) => (false, rest),
            None => (true, text),
        };
        let (call, errno) = match rest.split_once(':') {
            Some((call, errno)) => (Some(call), errno),
            None => (None, rest),
        };
        let call = call
            .map(|name| call_of(name).ok_or_else(|| IgnoreRuleError::Call(name.to_owned())))
            .transpose()?;
        let errno =
            errnos::errno_of(errno).ok_or_else(|| IgnoreRuleError::Errno(errno.to_owned()))?;
        Ok(Self {
            call,
            errno,
            ignored,
        })
    }
}

impl Serialize for IgnoreList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl fmt::Display for IgnoreList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_by_default_what_says_nothing() {
        let list = IgnoreList::default();
        for (call, errno, ignored) in [
            ("recvfrom", "EAGAIN", true),
            ("clone", "EAGAIN", false),
            ("ioctl", "ENOTTY", true),
            ("futex", "ETIMEDOUT", true),
            ("connect", "ETIMEDOUT", false),
            ("openat", "ENOENT", false),
            ("close", "EBADF", false),
        ] {
            assert_eq!(list.ignores(call, errno), ignored, "{call}:{errno}");
        }
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        let rules = ["EPERM", "!openat:EPERM", "openat:EACCES"];
        let list = IgnoreList::parse(rules.map(str::to_owned).to_vec()).unwrap();
        for (call, errno, ignored) in [
            ("read", "EPERM", true),
            ("openat", "EPERM", false),
            ("openat", "EACCES", true),
            ("read", "EACCES", false),
            ("read", "EAGAIN", false),
        ] {
            assert_eq!(list.ignores(call, errno), ignored, "{call}:{errno}");
        }
    }

    #[test]
    fn names_what_it_does_not_know() {
        for (rule, error) in [
            ("ENOTHING", IgnoreRuleError::Errno("ENOTHING".to_owned())),
            ("opent:ENOENT", IgnoreRuleError::Call("opent".to_owned())),
            ("openat:", IgnoreRuleError::Errno(String::new())),
        ] {
            let (named, found) = IgnoreList::parse(vec![rule.to_owned()]).unwrap_err();
            assert_eq!((named.as_str(), found), (rule, error));
        }
    }
}
