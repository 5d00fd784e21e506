//! Programs at the returns of functions of the kernel, one loaded for each function. Must not know which functions.

use std::{
    fmt, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    sync::Arc,
};

use aya::{
    Btf, BtfError, Ebpf,
    programs::{FExit, ProgramError},
};

use super::attach::AttachError;

/// `BPF_RAW_TRACEPOINT_OPEN` of bpf(2), which also attaches a program to the function that it was loaded for.
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;

/// A function, and the program that is to run when it returns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Return {
    pub(super) program: &'static str,
    pub(super) function: String,
}

/// Programs that are loaded, each for the return of one function. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ReturnPrograms {
    programs: Arc<[ReturnProgram]>,
    /// Functions that the kernel does not have.
    absent: Arc<[String]>,
}

#[derive(Debug)]
struct ReturnProgram {
    function: String,
    fd: OwnedFd,
}

/// The programs are attached for as long as this lives.
#[derive(Debug)]
pub(super) struct ReturnLinks {
    _links: Vec<OwnedFd>,
}

/// Loads a program for each of `returns` whose function the kernel has.
pub(super) fn load(
    returns: Vec<Return>,
    ebpf: &mut Ebpf,
    btf: &Btf,
) -> Result<ReturnPrograms, AttachError> {
    let mut programs = Vec::with_capacity(returns.len());
    let mut absent = Vec::new();
    for Return { program, function } in returns {
        match load_one(program, &function, ebpf, btf) {
            Ok(fd) => {
                let loaded = ReturnProgram { function, fd };
                if programs.is_empty() {
                    loaded.try_twice()?;
                }
                programs.push(loaded);
            }
            Err(AttachError::Load(_, error)) if is_unknown_function(&error) => {
                absent.push(function);
            }
            Err(error) => return Err(error),
        }
    }
    if programs.is_empty() {
        let why = "the kernel's type information has none of the functions";
        return Err(AttachError::Obstacle(why.to_owned()));
    }
    Ok(ReturnPrograms {
        programs: programs.into(),
        absent: absent.into(),
    })
}

/// A program of the object is for one function at a time: what was loaded is kept by its descriptor.
fn load_one(
    name: &'static str,
    function: &str,
    ebpf: &mut Ebpf,
    btf: &Btf,
) -> Result<OwnedFd, AttachError> {
    let program = ebpf.program_mut(name).ok_or(AttachError::NoProgram(name))?;
    let load = |program: &mut FExit| {
        program.load(function, btf)?;
        let fd = program.fd()?.as_fd().try_clone_to_owned();
        program.unload()?;
        fd.map_err(ProgramError::IOError)
    };
    let program: Result<&mut FExit, _> = program.try_into();
    program
        .and_then(load)
        .map_err(|error| AttachError::Load(name, error))
}

fn is_unknown_function(error: &ProgramError) -> bool {
    matches!(
        error,
        ProgramError::Btf(BtfError::UnknownBtfTypeName { .. })
    )
}

impl ReturnPrograms {
    /// Returns each with the name of its function.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let programs = self.programs.iter();
        programs.map(|program| (program.function.as_str(), program.fd.as_fd()))
    }

    /// Attaches all of them, or none.
    pub(super) fn attach(&self) -> Result<ReturnLinks, AttachError> {
        let links = self.programs.iter().map(ReturnProgram::attach);
        Ok(ReturnLinks {
            _links: links.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for ReturnPrograms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at the returns of {} functions", self.programs.len())?;
        if self.absent.is_empty() {
            return Ok(());
        }
        write!(f, "; this kernel has no {}", self.absent.join(", "))
    }
}

impl ReturnProgram {
    fn attach(&self) -> Result<OwnedFd, AttachError> {
        open_link(self.fd.as_fd())
            .map_err(|error| AttachError::Function(self.function.clone(), error))
    }

    /// Kernels before 5.13 attach a program once only: it would be lost when it is let go.
    fn try_twice(&self) -> Result<(), AttachError> {
        drop(self.attach()?);
        self.attach().map(drop)
    }
}

/// The part of `union bpf_attr` that the command reads.
#[repr(C)]
struct RawTracepoint {
    /// None: the program knows where it belongs.
    name: u64,
    program: u32,
    reserved: u32,
}

fn open_link(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = RawTracepoint {
        name: 0,
        program: program.as_raw_fd().cast_unsigned(),
        reserved: 0,
    };
    // SAFETY: the kernel reads as many bytes as it is told, which are initialized.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            RAW_TRACEPOINT_OPEN,
            &raw const attributes,
            size_of::<RawTracepoint>(),
        )
    };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0);
    let fd = fd.ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the descriptor was made just now, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
