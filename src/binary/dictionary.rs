//! What the records of a file refer to by number: callsites and threads, each defined before its first use.
//!
//! Callsites of this process never move, so they are known by their addresses; those that came through a queue live as
//! long as their batch, and are known by what they say. What was defined is kept, as it was written, to be defined again where
//! that may be missing: after frames were lost, and in a file that takes over frames of another one. A dictionary is
//! *forgotten* where nothing of it goes any more, and the next one has another number.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::{DEFINITION_BYTES_MAX, item, push_number};
use crate::callsite::{Entry, EntryOf};
use crate::record::portable::{PortableError, write_callsite};
use crate::record::{Record, Thread};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// Distinguishes it from all others in any file.
    number: u64,
    /// The numbers of this process's callsites by their addresses.
    addresses: HashMap<usize, u32, BuildHasherDefault<Quick>>,
    /// The numbers of others by their definitions.
    contents: HashMap<Box<[u8]>, u32>,
    threads: Vec<Thread>,
    /// The numbers of threads by those that the kernel gave them, which may come again.
    thread_numbers: HashMap<u32, u32, BuildHasherDefault<Quick>>,
    /// All definitions.
    items: Vec<u8>,
    scratch: Vec<u8>,
}

impl Dictionary {
    pub(super) fn new() -> Self {
        Dictionary {
            number: new_number(),
            addresses: HashMap::default(),
            contents: HashMap::new(),
            threads: Vec::new(),
            thread_numbers: HashMap::default(),
            items: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// All definitions, as items.
    pub(super) fn items(&self) -> &[u8] {
        &self.items
    }

    /// Begins an empty one.
    pub(super) fn forget(&mut self) {
        if self.items.is_empty() {
            return; // nothing was ever said in its name
        }
        self.number = new_number();
        self.addresses.clear();
        self.contents.clear();
        self.threads.clear();
        self.thread_numbers.clear();
        self.items.clear();
    }

    /// The number of a record's callsite, which is defined in `out` if it is new.
    ///
    /// # Errors
    /// If it cannot be defined; nothing was appended then.
    #[inline]
    pub(super) fn callsite(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<u32, PortableError> {
        match record.entry {
            EntryOf::Process(entry) => {
                let address = std::ptr::from_ref(entry).addr();
                match self.addresses.get(&address) {
                    Some(number) => Ok(*number),
                    None => self.define_here(address, entry, out),
                }
            }
            EntryOf::Batch(entry) => self.callsite_from_elsewhere(entry, out),
        }
    }

    #[cold]
    fn define_here(
        &mut self,
        address: usize,
        entry: &Entry<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u32, PortableError> {
        self.describe(entry)?;
        let number = self.define_callsite(out);
        self.addresses.insert(address, number);
        Ok(number)
    }

    fn callsite_from_elsewhere(
        &mut self,
        entry: &Entry<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u32, PortableError> {
        self.describe(entry)?;
        if let Some(number) = self.contents.get(self.scratch.as_slice()) {
            return Ok(*number);
        }
        let number = self.define_callsite(out);
        self.contents.insert(self.scratch.as_slice().into(), number);
        Ok(number)
    }

    /// Writes the definition of a callsite into the scratch buffer.
    fn describe(&mut self, entry: &Entry<'_>) -> Result<(), PortableError> {
        self.scratch.clear();
        write_callsite(entry, &mut self.scratch)?;
        if self.scratch.len() > DEFINITION_BYTES_MAX { Err(PortableError::TooLarge) } else { Ok(()) }
    }

    /// Defines what the scratch buffer describes.
    fn define_callsite(&mut self, out: &mut Vec<u8>) -> u32 {
        let number = (self.addresses.len() + self.contents.len()) as u32;
        let start = out.len();
        push_number(u64::from(number) << item::BITS | item::CALLSITE, out);
        push_number(self.scratch.len() as u64, out);
        out.extend_from_slice(&self.scratch);
        self.items.extend_from_slice(&out[start..]);
        number
    }

    /// Whether this thread has that number.
    #[inline]
    pub(super) fn is_thread(&self, number: u32, thread: &Thread) -> bool {
        self.threads.get(number as usize) == Some(thread)
    }

    /// Says in `out` that records of this thread follow. Its number.
    pub(super) fn turn_to(&mut self, thread: &Thread, out: &mut Vec<u8>) -> u32 {
        match self.thread_numbers.get(&thread.id()) {
            Some(&number) if self.is_thread(number, thread) => {
                push_number(u64::from(number) << (item::BITS + 1) | item::THREAD, out);
                number
            }
            _ => self.define_thread(thread, out),
        }
    }

    #[cold]
    fn define_thread(&mut self, thread: &Thread, out: &mut Vec<u8>) -> u32 {
        let number = self.threads.len() as u32;
        let start = out.len();
        push_number((u64::from(number) << 1 | 1) << item::BITS | item::THREAD, out);
        out.extend_from_slice(&thread.process_id().to_le_bytes());
        out.extend_from_slice(&thread.token().to_le_bytes());
        out.extend_from_slice(&thread.id().to_le_bytes());
        push_number(thread.name().map_or(0, |name| name.len() as u64 + 1), out);
        out.extend_from_slice(thread.name().unwrap_or_default().as_bytes());
        self.items.extend_from_slice(&out[start..]);
        self.threads.push(thread.clone());
        self.thread_numbers.insert(thread.id(), number);
        number
    }
}

/// A number that no other dictionary has: std's seeds are random and differ each time; a child of `fork` has its parent's.
fn new_number() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Mixes an address or a small number. They are this process's own, so nobody chooses them to collide.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    #[inline]
    fn write_usize(&mut self, number: usize) {
        let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_usize(number as usize);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(self.0 as usize ^ usize::from(*byte)));
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
