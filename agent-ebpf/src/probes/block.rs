//! Hooks `block:block_rq_issue` and `block:block_rq_complete`: how long block devices take for requests, and which fail.
//! Kernel 5.10 and later. Some 15 reads and a map update at the first, some 5 reads and three map accesses at the second, which
//! runs in an interrupt, so the current task is asked at the first only. Counts in `BLOCK_IO`.

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns,
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{BlockIoCount, BlockIoKey, BlockRequest, Counted, Meter};

use crate::{
    count,
    kernel_read::{Address, Arguments, BlockRequestPtr, TaskPtr, TracepointFields, layout},
    maps::{BLOCK_IO, BLOCK_REQUESTS, LAYOUT},
    meter::metered,
};

const ISSUE: Meter = Meter::BLOCK_RQ_ISSUE;
const COMPLETE: Meter = Meter::BLOCK_RQ_COMPLETE;

/// The identity of the v2 hierarchy, in which the memory and the block I/O controller name the same cgroups.
const UNIFIED: u32 = 0;
/// Bytes of a sector, whatever the device's own are.
const SECTOR_BYTES: u32 = 512;

/// The end of a request, or of a part of one.
struct Completion {
    key: u64,
    device: u32,
    error: i32,
    bytes: u32,
}

#[btf_tracepoint(function = "block_rq_issue")]
pub(crate) fn block_issue_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(ISSUE, || try_issue(Arguments::of(&ctx)));
    0
}

#[raw_tracepoint(tracepoint = "block_rq_issue")]
pub(crate) fn block_issue_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(ISSUE, || try_issue(Arguments::of(&ctx)));
    0
}

/// Not told the request: known by device and sector instead, and for whom by the task that issues it.
#[tracepoint(category = "block", name = "block_rq_issue")]
pub(crate) fn block_issue_tracepoint(ctx: TracePointContext) -> u32 {
    let fields = TracepointFields::of(&ctx);
    let device = fields.get(&LAYOUT.tracepoint.block_rq_issue_dev);
    let sector = fields.get(&LAYOUT.tracepoint.block_rq_issue_sector);
    metered(ISSUE, || begin(place(device, sector), current_cgroup()));
    0
}

#[btf_tracepoint(function = "block_rq_complete")]
pub(crate) fn block_complete_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(COMPLETE, || try_complete(Arguments::of(&ctx)));
    0
}

#[raw_tracepoint(tracepoint = "block_rq_complete")]
pub(crate) fn block_complete_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(COMPLETE, || try_complete(Arguments::of(&ctx)));
    0
}

#[tracepoint(category = "block", name = "block_rq_complete")]
pub(crate) fn block_complete_tracepoint(ctx: TracePointContext) -> u32 {
    let fields = TracepointFields::of(&ctx);
    let device = fields.get(&LAYOUT.tracepoint.block_rq_complete_dev);
    let sector = fields.get(&LAYOUT.tracepoint.block_rq_complete_sector);
    let sectors: u32 = fields.get(&LAYOUT.tracepoint.block_rq_complete_nr_sector);
    let completion = Completion {
        key: place(device, sector),
        device,
        error: fields.get(&LAYOUT.tracepoint.block_rq_complete_error),
        bytes: sectors * SECTOR_BYTES,
    };
    metered(COMPLETE, || complete(&completion));
    0
}

/// Stands for a place on a device. Multiplied by 2^64 over the golden ratio, the numbers of two devices differ in their
/// high bits, which the sectors of no disk reach.
#[inline(always)]
fn place(device: u32, sector: u64) -> u64 {
    u64::from(device).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ sector
}

#[inline(always)]
fn try_issue(arguments: Arguments) {
    let request: Address = if layout(&LAYOUT.block_issue_has_queue) == 1 {
        arguments.get(1)
    } else {
        arguments.get(0)
    };
    let request = BlockRequestPtr::at(request);
    begin(request.address(), cgroup_of(request));
}

#[inline(always)]
fn try_complete(arguments: Arguments) {
    let request = BlockRequestPtr::at(arguments.get(0));
    complete(&Completion {
        key: request.address(),
        device: request.device(),
        error: arguments.get(1) as i32,
        bytes: arguments.get(2) as u32,
    });
}

/// The controller knows for whom the kernel writes back, and whose request another task happens to issue; on v1 its cgroups
/// are others than those that name processes.
#[inline(always)]
fn cgroup_of(request: BlockRequestPtr) -> u64 {
    if layout(&LAYOUT.identity_hierarchy) == UNIFIED
        && let Some(cgroup) = request.cgroup()
    {
        return cgroup.id();
    }
    current_cgroup()
}

/// The kernel's own threads issue for others: for whom is not known.
#[inline(always)]
fn current_cgroup() -> u64 {
    let task = TaskPtr::current();
    if task.is_kernel_thread() {
        0
    } else {
        task.identity_cgroup()
    }
}

#[inline(always)]
fn begin(key: u64, cgroup: u64) {
    let request = BlockRequest {
        // SAFETY: the helper has no preconditions.
        issued_ktime_ns: unsafe { bpf_ktime_get_ns() },
        cgroup,
    };
    // An LRU map makes room; where it cannot for now, the request is counted without its time.
    let _inserted = BLOCK_REQUESTS.insert(key, request, 0);
}

#[inline(always)]
fn complete(completion: &Completion) {
    let mut key = BlockIoKey {
        cgroup: 0,
        device: completion.device,
        generation: count::generation(Counted::BlockIo),
    };
    let mut latency_ns = 0;
    if let Some(request) = BLOCK_REQUESTS.get_ptr(&completion.key) {
        // SAFETY: the entry stays valid while the program runs; nobody else ends this request.
        let BlockRequest {
            issued_ktime_ns,
            cgroup,
        } = unsafe { *request };
        key.cgroup = cgroup;
        // SAFETY: the helper has no preconditions.
        latency_ns = unsafe { bpf_ktime_get_ns() }.saturating_sub(issued_ktime_ns);
        // Of a request that ends in parts, the first stands for all, but for what fails later.
        let _removed = BLOCK_REQUESTS.remove(&completion.key);
    } else if completion.error == 0 {
        return;
    }
    let Some(counted) = count::entry(&BLOCK_IO, &key, &BlockIoCount::default()) else {
        count::uncounted(Counted::BlockIo);
        return;
    };
    // SAFETY: an entry stays where it is until the generation after next.
    unsafe {
        count::add(&raw mut (*counted).requests, 1);
        count::add(&raw mut (*counted).bytes, u64::from(completion.bytes));
        count::add(&raw mut (*counted).latency_sum_ns, latency_ns);
        // Of two CPUs that find a longest one at once, either stays.
        if latency_ns > (*counted).latency_max_ns {
            (*counted).latency_max_ns = latency_ns;
        }
        if completion.error != 0 {
            count::add(&raw mut (*counted).errors, 1);
            (*counted).last_error = completion.error;
        }
    }
}
