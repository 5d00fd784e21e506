//! Programs at the returns of functions of the kernel, one loaded for each function. Must not know which functions.

mod switch;

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    sync::Arc,
};

use aya::{
    Btf, BtfError, Ebpf,
    programs::{FExit, ProgramError},
};

pub(super) use switch::ReturnSwitch;

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
pub(crate) struct ReturnPrograms(Arc<[ReturnProgram]>);

#[derive(Debug)]
struct ReturnProgram {
    function: String,
    fd: OwnedFd,
}

/// Loads a program for each of `returns` whose function the kernel has, and attaches all of them or none; returns the
/// functions that it does not have, too.
pub(super) fn load(
    returns: Vec<Return>,
    ebpf: &mut Ebpf,
    btf: &Btf,
) -> Result<(ReturnSwitch, Vec<String>), AttachError> {
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
    let links = programs.iter().map(ReturnProgram::attach);
    let links = links.collect::<Result<_, _>>()?;
    let switch = ReturnSwitch::new(ReturnPrograms(programs.into()), links)?;
    Ok((switch, absent))
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
    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns each with the name of its function.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let programs = self.0.iter();
        programs.map(|program| (program.function.as_str(), program.fd.as_fd()))
    }
}

impl ReturnProgram {
    fn attach(&self) -> Result<OwnedFd, AttachError> {
        open_link(self.fd.as_fd())
            .map_err(|error| AttachError::Function(self.function.clone(), error))
    }

    /// Attaches it, lets it go and attaches it again, as the governor may: kernels before 5.13 attach a program once only.
    fn try_twice(&self) -> Result<(), AttachError> {
        drop(self.attach()?);
        let again = self.attach().map(drop);
        again.map_err(|error| AttachError::OnceOnly(Box::new(error)))
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
