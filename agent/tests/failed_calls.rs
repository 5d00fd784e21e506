//! Failed system calls and what becomes of them, by the running kernel: each is made to fail for real by a process in a
//! cgroup of its own, which also knows how often. Skipped without root.

#[cfg(test)]
#[path = "double/watch.rs"]
#[expect(dead_code, reason = "profiles are for other tests")]
mod watch;

#[cfg(test)]
#[path = "failed_calls/actor.rs"]
mod actor;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use inquest_proto::v1::signal::Body;
    use inquest_proto::v1::{self, ExecFailure, ProcessExit, SyscallFailures};

    use super::actor::{self, COUNTED, DONE};
    use super::watch::{ScratchCgroup, Watch};

    const PROBES: [&str; 3] = ["sys_exit", "sched_process_exit", "sched_process_exec"];

    fn is_of(signal: &v1::Signal, cgroup: &ScratchCgroup) -> bool {
        let subject = signal.subject.as_ref();
        let found = subject.and_then(|subject| subject.cgroup.as_ref());
        found.is_some_and(|found| found.path == cgroup.path)
    }

    /// Has the actor fail in every way that it knows, by itself in mount and network namespaces of its own.
    fn act(cgroup: &ScratchCgroup) {
        let status = cgroup
            .command("unshare")
            .args(["--mount", "--net"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "tests::acts", "--nocapture"])
            .env(actor::ACTS, "1")
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        assert_eq!(status.status.code(), Some(DONE), "{status:?}");
    }

    /// Not a test, but the actor of one, which ends by a panic.
    #[test]
    fn acts() {
        if std::env::var_os(actor::ACTS).is_some() {
            actor::fail_in_every_way();
            panic!("the end of an actor");
        }
    }

    /// Collects what is told of a cgroup until `enough`: counts by call and error, and ends.
    async fn told(
        watch: &mut Watch,
        cgroup: &ScratchCgroup,
        enough: impl Fn(&Told) -> bool,
    ) -> Told {
        let mut told = Told::default();
        watch
            .next(|signal| {
                if is_of(signal, cgroup) {
                    told.take(signal);
                }
                enough(&told).then_some(())
            })
            .await;
        told
    }

    #[derive(Debug, Default)]
    struct Told {
        counts: BTreeMap<(String, String), u64>,
        exits: Vec<ProcessExit>,
        exec_failures: Vec<ExecFailure>,
    }

    impl Told {
        fn take(&mut self, signal: &v1::Signal) {
            match &signal.body {
                Some(Body::SyscallFailures(SyscallFailures { failures, .. })) => {
                    for failure in failures {
                        let key = (failure.syscall.clone(), failure.errno.clone());
                        *self.counts.entry(key).or_default() += failure.count;
                    }
                }
                Some(Body::ProcessExit(exit)) => self.exits.push(exit.clone()),
                Some(Body::ExecFailure(failure)) => self.exec_failures.push(failure.clone()),
                _ => {}
            }
        }

        fn count(&self, call: &str, errno: &str) -> u64 {
            let key = (call.to_owned(), errno.to_owned());
            self.counts.get(&key).copied().unwrap_or(0)
        }
    }

    #[tokio::test]
    async fn every_way_to_fail_is_counted_and_the_last_ones_go_with_the_end() {
        let Some(mut watch) = Watch::start(&PROBES).await else {
            return;
        };
        let cgroup = ScratchCgroup::new("fails");
        act(&cgroup);
        let last = actor::WAYS.last().unwrap();
        let told = told(&mut watch, &cgroup, |told| {
            told.count(last.call, last.errno) > 0 && !told.exits.is_empty()
        })
        .await;
        assert_eq!(told.count("openat", "ENAMETOOLONG"), COUNTED);
        let exit = told.exits.last().unwrap();
        assert_eq!(exit.code, DONE as u32);
        for way in actor::WAYS {
            assert!(
                told.count(way.call, way.errno) > 0,
                "{way:?} was not counted: {told:#?}"
            );
            let remembered = exit.last_words.iter().find(|call| {
                let address = call.address.as_ref();
                let address =
                    address.map(|address| format!("{}:{}", address.address, address.port));
                call.syscall == way.call
                    && call.errno == way.errno
                    && [&call.path, &address.unwrap_or_default(), &call.mount_point]
                        .iter()
                        .any(|object| object.as_str() == way.object)
            });
            assert!(remembered.is_some(), "{way:?} is no last word of {exit:#?}");
        }
        watch.stop().await;
    }

    #[tokio::test]
    async fn a_program_that_cannot_run_is_told_with_what_it_asks_for() {
        let Some(mut watch) = Watch::start(&PROBES).await else {
            return;
        };
        let cgroup = ScratchCgroup::new("execs");
        let dir = tempfile::tempdir().unwrap();
        let executable = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let script = executable("script", b"#!/inquest/no-such-interpreter -x\n");
        let mut foreign = fs::read("/proc/self/exe").unwrap();
        // EM_S390, of which no node is that runs this.
        foreign[18..20].copy_from_slice(&22_u16.to_le_bytes());
        let foreign = executable("foreign", &foreign);
        for program in [&script, &foreign] {
            run_in_vain(&cgroup, program, "/bin");
        }
        run_in_vain(
            &cgroup,
            "inquest-no-such-program",
            "/inquest/a:/inquest/b:/inquest/c",
        );
        let told = told(&mut watch, &cgroup, |told| told.exec_failures.len() >= 3).await;
        let told: Vec<_> = told
            .exec_failures
            .iter()
            .map(|told| (told.filename.as_str(), told.errno.as_str(), told.count))
            .collect();
        assert_eq!(
            told,
            [
                (script.as_str(), "ENOENT", 1),
                (foreign.as_str(), "ENOEXEC", 1),
                ("inquest-no-such-program", "ENOENT", 3),
            ]
        );
        watch.stop().await;
    }

    /// Has `env` look for a program and execute it, once in vain.
    fn run_in_vain(cgroup: &ScratchCgroup, program: &str, search_path: &str) {
        let status = cgroup
            .command("/usr/bin/env")
            .args([&format!("PATH={search_path}"), program])
            .output()
            .unwrap();
        assert!(!status.status.success());
    }

    #[tokio::test]
    async fn the_interpreter_is_read_in_the_root_of_a_parent_that_lives() {
        let Some(mut watch) = Watch::start(&PROBES).await else {
            return;
        };
        let cgroup = ScratchCgroup::new("roots");
        let dir = tempfile::tempdir().unwrap();
        let script = r#"
            mount -t tmpfs none "$1"
            printf '#!/inquest/no-such-interpreter\n' > "$1/script"
            chmod +x "$1/script"
            (exec "$1/script") 2> /dev/null
            read -r _
        "#;
        let mut shell = cgroup
            .command("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(dir.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let told = told(&mut watch, &cgroup, |told| !told.exec_failures.is_empty()).await;
        let failure = &told.exec_failures[0];
        assert_eq!(Path::new(&failure.filename), dir.path().join("script"));
        assert_eq!(failure.interpreter, "/inquest/no-such-interpreter");
        drop(shell.stdin.take());
        shell.wait().unwrap();
        watch.stop().await;
    }
}
