//! A process that fails in every way that matters, in mount and network namespaces of its own.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Set for the copy of the test that is the actor.
pub(crate) const ACTS: &str = "INQUEST_TEST_FAILS";
/// How an actor ends: as a test that panics.
pub(crate) const DONE: i32 = 101;
/// How often the actor opens a file with too long a name: exactly.
pub(crate) const COUNTED: u64 = 250;

/// One way to fail.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) call: &'static str,
    pub(crate) errno: &'static str,
    /// The path, address or mount point that it is about; empty for none.
    pub(crate) object: &'static str,
    fail: fn() -> io::Result<()>,
}

/// Makes a full and a read-only file system and brings the loopback device up.
const SET_UP: &str = "
    mount -t tmpfs -o size=64k none /mnt
    mkdir /mnt/full /mnt/read-only
    mount -t tmpfs -o size=64k none /mnt/full
    mount -t tmpfs -o size=64k none /mnt/read-only
    echo secret > /mnt/read-only/secret
    chmod 600 /mnt/read-only/secret
    mount -o remount,ro /mnt/read-only
    ip link set lo up
";
/// Neither root nor anybody's.
const NOBODY: libc::uid_t = 65_534;

/// In the order in which the actor fails.
pub(crate) const WAYS: &[Way] = &[
    Way {
        call: "openat",
        errno: "ENOENT",
        object: "/inquest/app.yaml",
        fail: || File::open("/inquest/app.yaml").map(drop),
    },
    Way {
        call: "openat",
        errno: "ENOTDIR",
        object: "/etc/passwd/x",
        fail: || File::open("/etc/passwd/x").map(drop),
    },
    Way {
        call: "write",
        errno: "ENOSPC",
        object: "/mnt/full",
        fail: || File::create("/mnt/full/file")?.write_all(&[1; 1 << 20]),
    },
    Way {
        call: "openat",
        errno: "EROFS",
        object: "/mnt/read-only/file",
        fail: || File::create("/mnt/read-only/file").map(drop),
    },
    Way {
        call: "mkdir",
        errno: "EROFS",
        object: "/mnt/read-only/dir",
        fail: || fs::create_dir("/mnt/read-only/dir"),
    },
    Way {
        call: "pread64",
        errno: "EIO",
        object: "/proc",
        fail: || {
            File::open("/proc/self/mem")?
                .read_at(&mut [0; 8], 0)
                .map(drop)
        },
    },
    Way {
        call: "openat",
        errno: "EACCES",
        object: "/mnt/read-only/secret",
        fail: without_privileges,
    },
    Way {
        call: "connect",
        errno: "ECONNREFUSED",
        object: "127.0.0.1:9",
        fail: || TcpStream::connect("127.0.0.1:9").map(drop),
    },
    Way {
        call: "connect",
        errno: "ENETUNREACH",
        object: "192.0.2.1:80",
        fail: || TcpStream::connect("192.0.2.1:80").map(drop),
    },
    Way {
        call: "bind",
        errno: "EADDRINUSE",
        object: "127.0.0.1:8080",
        fail: || {
            let _first = TcpListener::bind("127.0.0.1:8080")?;
            TcpListener::bind("127.0.0.1:8080").map(drop)
        },
    },
    Way {
        call: "bind",
        errno: "EADDRNOTAVAIL",
        object: "192.0.2.1:8080",
        fail: || TcpListener::bind("192.0.2.1:8080").map(drop),
    },
    Way {
        call: "openat",
        errno: "EMFILE",
        object: "/dev/null",
        fail: open_too_many,
    },
];

/// Fails once in each way, having failed in another one [`COUNTED`] times.
pub(crate) fn fail_in_every_way() {
    let set_up = Command::new("sh").args(["-ec", SET_UP]).status().unwrap();
    assert!(set_up.success());
    let too_long = Path::new("/").join("x".repeat(300));
    for _ in 0..COUNTED {
        assert!(File::open(&too_long).is_err());
    }
    for way in WAYS {
        assert!((way.fail)().is_err(), "{way:?} did not fail");
    }
}

/// Opens what only root may read, on a thread that is not root.
fn without_privileges() -> io::Result<()> {
    let opened = std::thread::spawn(|| {
        // SAFETY: the call by itself changes this thread alone, which does nothing else.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
        assert_eq!(changed, 0);
        File::open("/mnt/read-only/secret").map(drop)
    });
    opened.join().unwrap()
}

/// Opens more than it may. The limit is taken back: the test that this is needs files of its own.
fn open_too_many() -> io::Result<()> {
    let limit = |current| Rlimit {
        current: Some(current),
        maximum: Some(1024),
    };
    setrlimit(Resource::Nofile, limit(1))?;
    let opened = File::open("/dev/null").map(drop);
    setrlimit(Resource::Nofile, limit(1024))?;
    opened
}
