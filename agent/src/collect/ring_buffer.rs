//! Reads the two ring buffers and the kernel side's counters of what did not fit. Must not decode.

use std::io;

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError, PerCpuArray, RingBuf},
};
use inquest_agent_abi::{LOSS_COUNTERS, Lane, RecordKind, loss_index, names};
use tokio::io::unix::AsyncFd;

/// A map of the object is absent or of another type.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The object has no such map.
    #[error("the eBPF object has no map `{0}`")]
    Absent(&'static str),
    /// It cannot be used.
    #[error("failed to open map `{name}`")]
    Map {
        /// Its name in the object.
        name: &'static str,
        /// What the loader says.
        #[source]
        source: MapError,
    },
}

/// A ring buffer that is polled.
pub(crate) struct Ring(RingBuf<MapData>);

impl Ring {
    /// Takes the map of `lane` out of `ebpf`.
    pub(crate) fn open(ebpf: &mut Ebpf, lane: Lane) -> Result<Self, OpenError> {
        let name = match lane {
            Lane::Urgent => names::URGENT,
            Lane::Bulk => names::BULK,
        };
        let ring = RingBuf::try_from(take(ebpf, name)?);
        ring.map(Self)
            .map_err(|source| OpenError::Map { name, source })
    }

    /// Takes the next record out with `read`, `None` when there is none.
    pub(crate) fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.0.next().map(|record| read(&record))
    }
}

/// A ring buffer that wakes its reader.
pub(crate) struct WakingRing(AsyncFd<Ring>);

impl std::os::fd::AsRawFd for Ring {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl WakingRing {
    /// Registers `ring` with the runtime.
    ///
    /// # Panics
    ///
    /// Outside a runtime with I/O enabled.
    pub(crate) fn register(ring: Ring) -> io::Result<Self> {
        // SAFETY: the ring owns its map's descriptor, which stays open and the same until it is dropped.
        let registered = unsafe { AsyncFd::register(ring) };
        registered.map(Self).map_err(io::Error::from)
    }

    /// Waits until the kernel side has written since the last call.
    pub(crate) async fn woken(&mut self) -> io::Result<()> {
        // Readiness is cleared before the ring is read: a record that comes meanwhile wakes again.
        self.0.readable_mut().await?.clear_ready();
        Ok(())
    }

    /// Takes the next record out with `read`, `None` when there is none.
    pub(crate) fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.0.get_mut().next(read)
    }
}

/// What the kernel side counted as lost.
pub(crate) struct LossCounters {
    map: PerCpuArray<MapData, u64>,
    seen: [u64; LOSS_COUNTERS as usize],
}

impl LossCounters {
    /// Takes the map out of `ebpf`.
    pub(crate) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        let map =
            PerCpuArray::try_from(take(ebpf, names::LOST)?).map_err(|source| OpenError::Map {
                name: names::LOST,
                source,
            })?;
        Ok(Self {
            map,
            seen: [0; LOSS_COUNTERS as usize],
        })
    }

    /// Returns how many records of `lane` were lost since it was last asked. A counter that cannot be read
    /// now is read the next time.
    pub(crate) fn lost_since(&mut self, lane: Lane) -> u64 {
        (0..RecordKind::COUNT)
            .map(|kind| self.advance(loss_index(lane, RecordKind(kind))))
            .sum()
    }

    fn advance(&mut self, index: u32) -> u64 {
        let (Ok(per_cpu), Some(seen)) =
            (self.map.get(&index, 0), self.seen.get_mut(index as usize))
        else {
            return 0;
        };
        let total: u64 = per_cpu.iter().sum();
        let lost = total.saturating_sub(*seen);
        *seen = total;
        lost
    }
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, OpenError> {
    ebpf.take_map(name).ok_or(OpenError::Absent(name))
}
