//! Sentences that say what their facts say. Must hold none that needs excuses.

use super::Case;

/// Sentences that say what their facts say. Each must be kept.
pub(super) const HONEST: &[Case] = &[
    ("The kernel's OOM killer killed python[4242].", &["e1"]),
    (
        "The kernel chose the process python with PID 4242 and killed it.",
        &["e1"],
    ),
    (
        "The process `python[4242]` was selected by the OOM killer, whose score adjustment for it was 987.",
        &["e1"],
    ),
    (
        "Python was using 31.5 MiB, almost all of it anonymous memory.",
        &["e2"],
    ),
    (
        "Of the memory held by python, 31 MiB was anonymous and only 512 KiB belonged to files.",
        &["e2"],
    ),
    (
        "It held 31.5 MiB in total: 31 MiB anonymous, 512 KiB file-backed, and nothing was swapped out.",
        &["e2"],
    ),
    (
        "The memory limit of 32 MiB was set one level above, on /kubepods/burstable/pod7f3c.",
        &["e3"],
    ),
    (
        "Cgroup /kubepods/burstable/pod7f3c had used all of its 33,554,432 bytes.",
        &["e3"],
    ),
    (
        "The pod-level cgroup was at its limit: 32 of 32 MiB were in use.",
        &["e3"],
    ),
    (
        "All 32 MiB allowed by the parent cgroup were in use when the kernel stepped in.",
        &["e3"],
    ),
    ("The limit had already been hit 12 times before.", &["e3"]),
    (
        "The limit was hit twelve times, so this was not a single spike.",
        &["e3"],
    ),
    (
        "The container's own cgroup has no limit; the limit that was reached belongs to its parent.",
        &["e3", "e4"],
    ),
    (
        "The limit that mattered is not the container's own but that of its ancestor pod7f3c.",
        &["e3"],
    ),
    (
        "There was plenty of memory left on the node, because the root cgroup has no limit.",
        &["e4"],
    ),
    (
        "The whole machine had 3.2 GiB in use, so the node itself was not the cause.",
        &["e4"],
    ),
    (
        "The largest process in the group was python[4242] at 31.5 MiB, followed by feeder[4243] at 1.2 MiB.",
        &["e5"],
    ),
    (
        "Its sibling feeder used only 1.2 MiB, which makes it an unlikely culprit.",
        &["e5"],
    ),
    (
        "Together, python and feeder were the largest consumers of memory in that cgroup.",
        &["e5"],
    ),
    (
        "The process sleep[4711] was killed with SIGKILL, sent by bash[977] from /user.slice.",
        &["e6"],
    ),
    (
        "Someone working in a shell, bash with PID 977, deliberately sent signal 9 to the process.",
        &["e6"],
    ),
    (
        "This was not an OOM kill: another process, bash[977], sent the signal.",
        &["e6"],
    ),
    (
        "The parser crashed because it accessed an invalid address, 0x7f0a, and received SIGSEGV.",
        &["e7"],
    ),
    (
        "A segmentation fault (SIGSEGV) at address 0x7f0a ended parser[815].",
        &["e7"],
    ),
    (
        "parser[815] died of SIGSEGV and left behind a core dump that can be examined.",
        &["e8"],
    ),
    (
        "A core dump was written, which a developer can use to find the faulty code.",
        &["e8"],
    ),
    (
        "The container 3f9a0c1d2e3f of payments-api exited with code 137 shortly after the kill.",
        &["e9"],
    ),
    (
        "The pod payments-api-7d4b9c-x2x lost its container 1.5 seconds after the kill.",
        &["e9"],
    ),
    ("Exit code 137 was reported 1500 ms later.", &["e9"]),
    (
        "Kubernetes will probably restart the container, but without a higher limit it is likely to fail again.",
        &["e3"],
    ),
    (
        "This pattern is consistent with a memory leak or with a limit that is simply too small for the workload.",
        &["e3"],
    ),
    (
        "The kernel could not reclaim enough memory within the cgroup, so it had to kill a process.",
        &["e3"],
    ),
    (
        "Because the cgroup was out of memory, the kernel's out-of-memory killer was invoked.",
        &["e1", "e3"],
    ),
    (
        "The victim was the process with the largest memory footprint under the limiting cgroup.",
        &["e1", "e5"],
    ),
    (
        "On 2026-11-24 at 18:43 the kernel recorded the kill; see e1.",
        &["e1"],
    ),
    ("The facts do not show why the memory usage grew.", &["e3"]),
    (
        "Nothing suggests that the node ran out of memory, e.g. through an unrelated workload.",
        &["e4"],
    ),
    (
        "It didn't crash by itself; it was terminated from outside.",
        &["e6"],
    ),
    (
        "The long-running process was memory-bound rather than CPU-bound.",
        &["e2"],
    ),
    (
        "Raising the limit or reducing the anonymous memory of the process would avoid the kill.",
        &["e2", "e3"],
    ),
    (
        "The limit is enforced for the pod as a whole, i.e. for all of its containers together.",
        &["e3"],
    ),
    ("The process exceeded the 32-MiB limit.", &["e3"]),
    (
        "Usage was 31.8 MiB in the container and exactly 32 MiB in the pod.",
        &["e3", "e4"],
    ),
    ("Roughly 32 MB were in use.", &["e3"]),
    (
        "The program accessed memory it must not touch, possibly through a null or dangling pointer.",
        &["e7"],
    ),
    (
        "The kill came from user space, not from the kernel.",
        &["e6"],
    ),
    (
        "Process 4242 (python) dominated the cgroup's memory consumption.",
        &["e5"],
    ),
    ("The OOM event was raised once at this level.", &["e3"]),
    (
        "The victim's oom_score_adj of 987 made it a preferred target.",
        &["e1"],
    ),
    (
        "Since the limit sits on an ancestor, raising only the container's limit would not help.",
        &["e3"],
    ),
];

/// Honest sentences written after the rules; the first run dropped 7 of these 40, and the word list was
/// made larger for it.
pub(super) const LEARNED_FROM: &[Case] = &[
    (
        "The container was terminated because the pod's memory cgroup hit its hard ceiling of 32 MiB.",
        &["e3"],
    ),
    (
        "Once that ceiling was reached, the kernel had no choice but to sacrifice one of the processes in the group.",
        &["e1", "e3"],
    ),
    (
        "It picked python (PID 4242), since that process accounted for nearly all of the consumption.",
        &["e1", "e5"],
    ),
    (
        "Almost everything python held was anonymous memory, such as heap allocations, rather than cached files.",
        &["e2"],
    ),
    (
        "Anonymous memory cannot simply be written back to disk, which is why reclaiming pages did not help.",
        &["e2"],
    ),
    (
        "No swap was in use, so there was nowhere for these pages to go.",
        &["e2"],
    ),
    (
        "The culprit is therefore the workload itself, not a shortage of memory on the node.",
        &["e2", "e4"],
    ),
    (
        "Note that the limit is configured on the pod rather than on the individual container.",
        &["e3"],
    ),
    (
        "The same limit had been bumped into 12 times earlier, which suggests persistent memory pressure.",
        &["e3"],
    ),
    (
        "A neighbouring process called feeder consumed a mere 1.2 MiB and played no significant role.",
        &["e5"],
    ),
    (
        "The high oom_score_adj value of 987 additionally made python an attractive candidate.",
        &["e1"],
    ),
    (
        "Consequently, the container exited with status 137, which is what one sees after a SIGKILL.",
        &["e6", "e9"],
    ),
    (
        "The exit happened about 1.5 seconds after the kill.",
        &["e9"],
    ),
    (
        "An operator, or a script started from an interactive shell, apparently issued the kill command.",
        &["e6"],
    ),
    (
        "The sender, bash[977], lives in /user.slice, so it runs outside of any container.",
        &["e6"],
    ),
    (
        "The sleep process did nothing wrong; it was shut down on purpose.",
        &["e6"],
    ),
    (
        "parser dereferenced an invalid pointer and was immediately stopped by the kernel.",
        &["e7"],
    ),
    (
        "The faulting address 0x7f0a is close to zero, which often hints at a null pointer plus an offset.",
        &["e7"],
    ),
    (
        "Analysing the core dump with a debugger should reveal the exact line of code.",
        &["e8"],
    ),
    (
        "This is a programming error in parser, not an infrastructure problem.",
        &["e7", "e8"],
    ),
    (
        "Neither the kernel nor another process requested this termination.",
        &["e7"],
    ),
    (
        "In short, the application asked for more memory than it was permitted to use.",
        &["e3"],
    ),
    (
        "The evidence is consistent and comes straight from the kernel, leaving little room for doubt.",
        &["e1", "e3"],
    ),
    (
        "Whether the growth was gradual or sudden cannot be determined from the available evidence.",
        &["e3"],
    ),
    (
        "The remaining headroom on the machine was irrelevant, as the constraint applied only to this pod.",
        &["e3", "e4"],
    ),
    (
        "All 33,554,432 bytes that the pod may use were taken at that moment.",
        &["e3"],
    ),
    (
        "The kernel's decision was triggered by the group limit and not by global memory exhaustion.",
        &["e3", "e4"],
    ),
    (
        "Memory usage of the web container, at 31.8 MiB, made up nearly the entire total.",
        &["e4"],
    ),
    ("Shared memory did not contribute at all.", &["e2"]),
    (
        "The kill was deliberate behaviour of Linux to protect the rest of the system.",
        &["e1"],
    ),
    (
        "Python's share of files was only 512 KiB, therefore dropping caches would have freed next to nothing.",
        &["e2"],
    ),
    ("The affected pod is payments-api-7d4b9c-x2x.", &["e9"]),
    (
        "Restarting it without any change will most likely lead to the same outcome.",
        &["e3"],
    ),
    ("The OOM killer acted exactly once here.", &["e3"]),
    (
        "The kernel logged this on 2026-11-24 at 18:43:20 UTC.",
        &["e1"],
    ),
    (
        "The signal 11 that parser received is the standard reaction to an illegal memory access.",
        &["e7"],
    ),
    (
        "The process was not the container's entry point, or this is at least not visible in the data.",
        &["e6"],
    ),
    (
        "Out of the processes observed, python and feeder were the two biggest.",
        &["e5"],
    ),
    (
        "The parent control group enforces the limit, hence every child inside it shares that allowance.",
        &["e3"],
    ),
    ("It is unclear who started the shell.", &["e6"]),
];

/// Honest sentences written after all rules and lists, to see how often these err on what they were not
/// made with. Nothing was changed after their first run.
pub(super) const HELD_OUT: &[Case] = &[
    (
        "The kernel terminated python after the pod exhausted its memory allowance.",
        &["e1", "e3"],
    ),
    (
        "The main finding is that the pod ran into its own limit of 32 MiB.",
        &["e3"],
    ),
    (
        "With the limit fully consumed, any additional allocation request was bound to fail.",
        &["e3"],
    ),
    (
        "Python stood out as the heaviest consumer with 31.5 MiB, dwarfing the 1.2 MiB of feeder.",
        &["e5"],
    ),
    (
        "The dominance of anonymous pages points to data structures living on the heap.",
        &["e2"],
    ),
    (
        "Such pages stay resident until the owning process frees them or exits.",
        &["e2"],
    ),
    (
        "The restriction originates from the pod and therefore covers every container within it.",
        &["e3"],
    ),
    (
        "Over time the group collided with this barrier 12 times, yet it survived until now.",
        &["e3"],
    ),
    (
        "Compared with the parent, the container itself is unrestricted.",
        &["e4"],
    ),
    (
        "Ample memory elsewhere on the host could not help, because the boundary is strictly local.",
        &["e3", "e4"],
    ),
    (
        "It is the kernel, rather than Kubernetes, that carried out the kill.",
        &["e1"],
    ),
    (
        "A positive oom_score_adj such as 987 tells the kernel to prefer this process.",
        &["e1"],
    ),
    (
        "bash[977] issued SIGKILL, a signal which a process can neither catch nor ignore.",
        &["e6"],
    ),
    ("The termination was intentional and external.", &["e6"]),
    (
        "Whoever controlled that shell most probably wanted sleep to stop.",
        &["e6"],
    ),
    (
        "The parser tried to access an address that was never mapped, hence the crash.",
        &["e7"],
    ),
    (
        "SIGSEGV indicates an invalid memory reference made by the program.",
        &["e7"],
    ),
    (
        "Developers should inspect the dump left by parser to locate the defect.",
        &["e8"],
    ),
    (
        "The exit code 137 simply reflects that the container was forcibly stopped.",
        &["e9"],
    ),
    (
        "From the kill to the exit of the container it took 1.5 s.",
        &["e9"],
    ),
    (
        "The workload payments-api-7d4b9c-x2x was affected.",
        &["e9"],
    ),
    ("Nothing in the data hints at a hardware failure.", &["e7"]),
    (
        "File caches contributed merely 512 KiB and could have been reclaimed easily.",
        &["e2"],
    ),
    (
        "The ultimate reason behind the growth remains unknown.",
        &["e2"],
    ),
    (
        "Either the limit is too tight or the program retains memory it no longer needs.",
        &["e2", "e3"],
    ),
    (
        "The chain of events is short: limit reached, victim chosen, victim killed.",
        &["e1", "e3"],
    ),
    ("feeder was spared because its footprint is tiny.", &["e5"]),
    (
        "The numbers leave no doubt that 33554432 bytes is both the usage and the limit.",
        &["e3"],
    ),
    (
        "One level above the container sits the cgroup whose limit was decisive.",
        &["e3"],
    ),
    ("Everything happened inside a single pod.", &["e3"]),
];
