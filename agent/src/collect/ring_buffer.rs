//! Opens maps, and reads the two ring buffers. Must not decode.

use std::io;

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError, RingBuf},
};
use inquest_agent_abi::{Lane, names};
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
pub(crate) struct WakingRing {
    ring: AsyncFd<Ring>,
    /// The last record is out: only then will the kernel wake its reader for the next one.
    emptied: bool,
}

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
        let ring = registered.map_err(io::Error::from)?;
        Ok(Self {
            ring,
            emptied: true,
        })
    }

    /// Waits until the kernel side has written since the last call, unless not everything was taken out.
    pub(crate) async fn woken(&mut self) -> io::Result<()> {
        if self.emptied {
            // Readiness is cleared before the ring is read: a record that comes meanwhile wakes again.
            self.ring.readable_mut().await?.clear_ready();
        }
        Ok(())
    }

    /// Takes the next record out with `read`, `None` when there is none.
    pub(crate) fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let taken = self.ring.get_mut().next(read);
        self.emptied = taken.is_none();
        taken
    }
}

/// Takes the map `name` out of `ebpf`, of the kind that is asked for.
pub(crate) fn open_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, OpenError>
where
    M: TryFrom<Map, Error = MapError>,
{
    M::try_from(take(ebpf, name)?).map_err(|source| OpenError::Map { name, source })
}

/// Takes the map `name` out of `ebpf`.
pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, OpenError> {
    ebpf.take_map(name).ok_or(OpenError::Absent(name))
}
