//! What is worth telling, then the sampler against a real file system in a mount namespace of its own.

use std::path::Path;

use tokio::time::{Instant, sleep};

use super::*;
use crate::collect::{clock::ktime_now_ns, sources::real_cgroup::RealCgroup};

const SECOND_NS: u64 = 1_000_000_000;
/// Longest wait for a script to have done its part.
const LOOK_DEADLINE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

fn capacity(available_bytes: u64, read_only: bool) -> Capacity {
    Capacity {
        size_bytes: 1000,
        available_bytes,
        inodes: 0,
        inodes_free: 0,
        read_only,
    }
}

fn mount(device: &str) -> Mount {
    Mount {
        device: device.to_owned(),
        point: format!("/mnt/{device}"),
        fs_type: "ext4".to_owned(),
    }
}

fn sampler() -> Sampler {
    Sampler::new(Arc::new(CgroupFs::find(Path::new("/nonexistent"))), 0)
}

#[test]
fn tells_a_file_system_when_it_fills_and_again_while_it_stays_full() {
    let mut seen = Seen::new(capacity(500, false), 0);
    let again = AGAIN_NS / SECOND_NS;
    for (second, available, expected) in [
        (0, 500, None),
        (30, 100, Some(0)),
        (60, 90, None),
        (30 + again, 90, Some(0)),
        (60 + again, 500, None),
        (90 + again, 50, Some(0)),
    ] {
        let told = seen.look(capacity(available, false), 0, second * SECOND_NS);
        assert_eq!(told, expected, "at {second} s");
    }
}

#[test]
fn tells_refused_writes_within_a_pace_and_loses_none() {
    let mut seen = Seen::new(capacity(0, false), 0);
    let told: Vec<(u64, u64)> = (1..=25)
        .filter_map(|second| {
            Some((
                second,
                seen.look(capacity(0, false), 5, second * SECOND_NS)?,
            ))
        })
        .collect();
    assert_eq!(told, [(1, 5), (11, 50), (21, 50)]);
}

#[test]
fn tells_a_turn_to_read_only_and_back_but_not_what_always_was() {
    let mut seen = Seen::new(capacity(500, true), 0);
    for (second, read_only, is_told) in [(0, true, false), (1, false, true), (2, true, true)] {
        let told = seen.look(capacity(500, read_only), 0, second * SECOND_NS);
        assert_eq!(told.is_some(), is_told, "at {second} s");
    }
}

#[test]
fn lays_refused_writes_to_the_file_system_that_must_have_refused_them() {
    let refused = Refused {
        no_room: 3,
        read_only: 4,
    };
    type Case = (
        &'static str,
        Vec<(&'static str, Capacity)>,
        Vec<(&'static str, u64)>,
    );
    let cases: [Case; 4] = [
        (
            "the fullest",
            vec![
                ("8:1", capacity(5, false)),
                ("8:2", capacity(0, false)),
                ("8:3", capacity(0, true)),
            ],
            vec![("8:2", 3), ("8:3", 4)],
        ),
        (
            "none is used up",
            vec![("8:1", capacity(500, false)), ("8:3", capacity(500, true))],
            vec![("8:3", 4)],
        ),
        (
            "one of two that are read-only",
            vec![("8:1", capacity(500, true)), ("8:2", capacity(500, true))],
            vec![],
        ),
        ("nothing is known", vec![], vec![]),
    ];
    for (case, found, expected) in cases {
        let found = found
            .into_iter()
            .map(|(device, capacity)| (mount(device), capacity));
        let told = sampler().judge(7, found.collect(), refused, 20 * SECOND_NS);
        let told: Vec<(&str, u64)> = told
            .iter()
            .filter(|sample| sample.usage.failed_writes > 0)
            .map(|sample| (sample.usage.device.as_str(), sample.usage.failed_writes))
            .collect();
        assert_eq!(told, expected, "{case}");
    }
}

#[test]
fn lays_refused_writes_to_the_one_that_turned_read_only() {
    let mut sampler = sampler();
    let both = |read_only| {
        vec![
            (mount("8:1"), capacity(500, true)),
            (mount("8:2"), capacity(500, read_only)),
        ]
    };
    sampler.judge(7, both(false), Refused::default(), SECOND_NS);
    let refused = Refused {
        no_room: 0,
        read_only: 2,
    };
    let told = sampler.judge(7, both(true), refused, 2 * SECOND_NS);
    let [sample] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(sample.usage.device, "8:2");
    assert!(sample.usage.became_read_only && sample.usage.read_only);
    assert_eq!(sample.usage.failed_writes, 2);
    assert_eq!((sample.cgroup, sample.start_ktime_ns), (Some(7), 0));
}

/// Looks at one cgroup until something is told of its file system at `mount_point`.
async fn told(
    sampler: &mut Sampler,
    cgroup: &RealCgroup,
    mount_point: &str,
    refused: Refused,
) -> FilesystemUsage {
    let deadline = Instant::now() + LOOK_DEADLINE;
    let id = cgroup.id().unwrap();
    loop {
        let looks = BTreeMap::from([(id, refused)]);
        let told = sampler.look_into(looks, ktime_now_ns());
        let mut ours = told.into_iter().filter(|sample| sample.cgroup == Some(id));
        if let Some(sample) = ours.find(|sample| sample.usage.mount_point == mount_point) {
            return sample.usage;
        }
        assert!(Instant::now() < deadline, "never told of {mount_point}");
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn finds_a_full_file_system_inside_a_mount_namespace_and_its_turn_to_read_only() {
    let Some(mut cgroup) = RealCgroup::make() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display().to_string();
    // A line each lets it go on.
    cgroup.run(&format!(
        "exec unshare --mount sh -c '
            mount -t tmpfs -o size=1m,nr_inodes=100 tmpfs {place} || exit
            head -c 2000000 /dev/zero > {place}/file
            read line
            mount -o remount,ro {place}
            read line'"
    ));
    let mut sampler = Sampler::new(Arc::new(CgroupFs::find(Path::new("/sys/fs/cgroup"))), 0);
    let refused = Refused {
        no_room: 1,
        read_only: 0,
    };
    let full = told(&mut sampler, &cgroup, &place, refused).await;
    assert_eq!(full.fs_type, "tmpfs");
    assert_eq!((full.size_bytes, full.available_bytes), (1 << 20, 0));
    // The root of the file system and the one file.
    assert_eq!((full.inodes, full.inodes_free), (100, 98));
    assert!(!full.read_only && full.failed_writes > 0, "{full:?}");
    cgroup.let_go_on();
    let turned = told(&mut sampler, &cgroup, &place, Refused::default()).await;
    assert!(turned.read_only && turned.became_read_only, "{turned:?}");
}
