//! Reads the open files of the current process.

use super::{Address, TaskPtr, descriptor, read};
use crate::maps::LAYOUT;

/// Returns the device of the file system that the open file `number` lives on, as the kernel keeps it; 0 when there
/// is no such file.
#[inline(always)]
pub(crate) fn device_of_open_file(number: u32) -> u32 {
    let file = descriptor::file(TaskPtr::current(), number);
    let inode: Address = read(file, &LAYOUT.wait.file_inode);
    read(read(inode, &LAYOUT.file.super_block), &LAYOUT.file.device)
}
