//! Names of errors by number, as in errno(3). Must not know which ones matter.

/// Names the constants of libc.
macro_rules! constants {
    ($($constant:ident)+) => { &[$((libc::$constant as u32, stringify!($constant))),+] };
}

const NAMES: &[(u32, &str)] = constants! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT
    ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG
    ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY
    ELOOP ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR
    EXFULL ENOANO EBADRQC EBADSLT EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK
    EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC
    ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ
    EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT
    EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET
    ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH
    EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM
    EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE
    ERFKILL EHWPOISON
};

/// Returns the name of `errno`, `None` for one without.
pub(crate) fn errno_name(errno: u32) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(number, _)| *number == errno)
        .map(|(_, name)| *name)
}

/// Returns the error that is called `name`.
pub(crate) fn errno_of(name: &str) -> Option<u32> {
    let synonym = match name {
        "EWOULDBLOCK" => "EAGAIN",
        "ENOTSUP" => "EOPNOTSUPP",
        "EDEADLOCK" => "EDEADLK",
        name => name,
    };
    NAMES
        .iter()
        .find(|(_, known)| *known == synonym)
        .map(|(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_errors_of_linux_have_one_name_each() {
        let numbers: BTreeSet<u32> = NAMES.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers.len(), NAMES.len());
        for errno in 1..=133 {
            // Not assigned: 41 is a synonym of 11, 58 of 35.
            assert_eq!(
                errno_name(errno).is_none(),
                matches!(errno, 41 | 58),
                "{errno}"
            );
        }
        assert_eq!(errno_of("EWOULDBLOCK"), errno_of("EAGAIN"));
        assert_eq!(errno_of("ENONSENSE"), None);
    }
}
