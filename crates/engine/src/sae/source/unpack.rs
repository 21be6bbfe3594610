//! Unpacking deflated members, into memory or into a file beside the one that is made of them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::raw::Raw;
use super::zip::Member;
use super::{Container, Place, npy};
use crate::error::{EngineError, Result};
use crate::memory::room_for_bytes;

/// Where members go that are packed.
#[derive(Clone, Copy, Debug)]
pub(in crate::sae) enum Room<'a> {
    /// Into memory.
    Memory,
    /// Into a file of this name, which is removed again.
    File(&'a Path),
}

/// An unpacked member.
#[derive(Debug)]
pub(super) enum Unpacked {
    Memory(Vec<u8>),
    File(Raw, PathBuf),
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if let Self::File(_, path) = self {
            // Nothing is lost when it stays: the next conversion writes over it.
            drop(std::fs::remove_file(path));
        }
    }
}

impl Container {
    /// The tensors among `names` that are packed, with their members and where they begin in these.
    fn packed(&self, names: &[&str]) -> Vec<(String, Member, u64)> {
        let packed = |name: &&str| match &self.entry(name)?.place {
            Place::Packed(member, at) => Some(((*name).to_owned(), member.clone(), *at)),
            _ => None,
        };
        names.iter().filter_map(packed).collect()
    }

    /// Bytes that [`Self::unpack`] will write.
    pub(in crate::sae) fn packed_bytes(&self, names: &[&str]) -> u64 {
        self.packed(names).iter().map(|(_, member, _)| member.size).sum()
    }

    /// Unpacks the tensors among `names` that are packed and checks their sums; `progress(bytes)` returns `false` to
    /// stop.
    ///
    /// # Errors
    /// A member that is broken, no room for it, or [`EngineError::Stopped`].
    pub(in crate::sae) fn unpack(
        &mut self,
        names: &[&str],
        room: Room<'_>,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<()> {
        let packed = self.packed(names);
        for (idx, (name, member, at)) in packed.into_iter().enumerate() {
            let unpacked = match room {
                Room::Memory => {
                    room_for_bytes(member.size)?;
                    let mut bytes = Vec::with_capacity(member.size as usize);
                    self.inflate(&member, progress, &mut |some| {
                        bytes.extend_from_slice(some);
                        Ok(())
                    })?;
                    Unpacked::Memory(bytes)
                }
                Room::File(path) => {
                    let path = path.with_extension(format!("unpacked{idx}"));
                    let io = |source| EngineError::Io { path: path.clone(), source };
                    let mut file = File::create(&path).map_err(io)?;
                    let written = self.inflate(&member, progress, &mut |some| file.write_all(some).map_err(io));
                    let opened = written.and_then(|()| Raw::open(&path));
                    match opened {
                        Ok(raw) => Unpacked::File(raw, path),
                        Err(error) => {
                            drop(std::fs::remove_file(&path));
                            return Err(error);
                        }
                    }
                }
            };
            self.unpacked.push(unpacked);
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.place = Place::Unpacked(self.unpacked.len() - 1, at);
            }
        }
        Ok(())
    }

    fn inflate(
        &self,
        member: &Member,
        progress: &mut dyn FnMut(u64) -> bool,
        write: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let broken = |reason: &str| self.bad(format!("its member {} {reason}", member.name));
        let mut from = npy::unpacked(self.raw.part(member.start, member.packed), member.is_deflated);
        let mut sum = flate2::Crc::new();
        let mut some = vec![0; 1 << 16];
        let mut n_done = 0;
        loop {
            let n = from.read(&mut some).map_err(|error| broken(&format!("cannot be unpacked ({error})")))?;
            if n == 0 {
                break;
            }
            n_done += n as u64;
            if n_done > member.size {
                return Err(broken("unpacks to more than it says"));
            }
            sum.update(&some[..n]);
            write(&some[..n])?;
            if !progress(n as u64) {
                return Err(EngineError::Stopped);
            }
        }
        if n_done < member.size || sum.sum() != member.crc {
            return Err(broken("is broken: its check sum is another"));
        }
        Ok(())
    }
}
