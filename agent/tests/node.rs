//! Trouble of the node: what the kernel logs, and ends of its daemons, by the running kernel. Skipped without root.

#[cfg(test)]
#[path = "double/watch.rs"]
#[expect(dead_code, reason = "profiles are for other tests")]
mod watch;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use inquest_proto::v1::NodeEvent;
    use inquest_proto::v1::daemon_exit::Role;
    use inquest_proto::v1::node_event::Kind;
    use inquest_proto::v1::signal::Body;

    use super::watch::{ScratchCgroup, Watch};

    /// Has a file system of its own report an error, in a mount namespace of its own: ext4 has a file for that.
    const BREAK: &str = r#"
        set -e
        truncate -s 8M image
        mkfs.ext4 -q -F image
        mkdir mounted
        mount -o loop,errors=remount-ro image mounted
        device=$(basename "$(findmnt -no SOURCE mounted)")
        echo inquest > "/sys/fs/ext4/$device/trigger_fs_error"
        umount mounted
        echo "$device"
    "#;

    /// Returns the device whose file system reported an error, counting the test as skipped when none can be had.
    fn break_a_file_system() -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", BREAK])
            .current_dir(dir.path())
            .output();
        match output {
            Ok(output) if output.status.success() => {
                Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
            }
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                testkit::skip(format_args!("no file system of its own to break: {why}"));
                None
            }
            Err(error) => {
                testkit::skip(format_args!("unshare: {error}"));
                None
            }
        }
    }

    #[tokio::test]
    async fn an_error_of_a_file_system_is_told_in_the_kernels_words() {
        let Some(mut watch) = Watch::start(&["kernel_log"]).await else {
            return;
        };
        let status = watch.probes.iter().find(|probe| probe.name == "kernel_log");
        assert_eq!(status.unwrap().hook, "poll");
        let broken = tokio::task::spawn_blocking(break_a_file_system)
            .await
            .unwrap();
        let Some(device) = broken else {
            return watch.stop().await;
        };
        // In the order in which the kernel logged them.
        for (pattern, kind, word, of) in [
            (
                "ext4_error",
                Kind::FilesystemError,
                "trigger_test_error",
                device.clone(),
            ),
            (
                "ext4_read_only",
                Kind::FilesystemReadOnly,
                "read-only",
                device.clone(),
            ),
        ] {
            let event: NodeEvent = watch
                .next(|signal| match &signal.body {
                    Some(Body::NodeEvent(event))
                        if event.pattern == pattern && event.device == of =>
                    {
                        Some(event.clone())
                    }
                    _ => None,
                })
                .await;
            assert_eq!(event.kind(), kind);
            assert!(event.text.contains(word), "{event:?}");
            assert_eq!(event.count, 1);
        }
        watch.stop().await;
    }

    #[tokio::test]
    async fn a_daemon_that_ends_without_a_fault_is_told_and_nothing_else_that_does() {
        let Some(mut watch) = Watch::start(&["sched_process_exec", "sched_process_exit"]).await
        else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let cgroup = ScratchCgroup::new("daemon");
        // Long enough for a daemon; the other would be told first.
        let [kubelet, _other] = [("kubelet", "11"), ("other", "1")].map(|(name, seconds)| {
            let program = dir.path().join(name);
            symlink("/bin/sleep", &program).unwrap();
            cgroup.spawn(Command::new(program).arg(seconds))
        });
        let (pid, exit) = watch
            .next(|signal| {
                let subject = signal.subject.as_ref()?;
                if subject.cgroup.as_ref()?.path != cgroup.path {
                    return None;
                }
                let pid = subject.process.as_ref()?.pid;
                match &signal.body {
                    Some(Body::DaemonExit(exit)) => Some((pid, *exit)),
                    Some(Body::ProcessExit(exit)) => panic!("{exit:?} of {pid}"),
                    _ => None,
                }
            })
            .await;
        assert_eq!(pid, kubelet.pid());
        assert_eq!(exit.role(), Role::Kubelet);
        assert_eq!((exit.code, exit.signal), (0, 0));
        watch.stop().await;
    }
}
