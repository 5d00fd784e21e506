//! A look into a spool from outside; must not change it.

use std::io;
use std::path::Path;

use inquest_proto::v1;
use prost::Message as _;

use super::cursor;
use super::segment::{Segment, Step};

/// Reads the batches that are not settled from the spool of a directory, without changing it and
/// whether or not an agent has it open. For tools and tests.
pub fn read_unsettled(dir: &Path) -> io::Result<Vec<v1::SignalBatch>> {
    let settled = cursor::read_only(dir)?.into_cursor().settled;
    let mut batches = Vec::new();
    for number in Segment::list(dir)?
        .into_iter()
        .filter(|number| *number >= settled.segment)
    {
        let segment = Segment::open_read_only(dir, number)?;
        let mut offset = if number == settled.segment {
            settled.offset
        } else {
            0
        };
        loop {
            offset = match segment.step(offset)? {
                Step::Record { payload, end, .. } => {
                    batches.extend(v1::SignalBatch::decode(payload.as_slice()).ok());
                    end
                }
                Step::Damaged { end, .. } => end,
                Step::End => break,
            }
        }
    }
    Ok(batches)
}
