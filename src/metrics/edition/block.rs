//! What is written about a few instances: for each family one text, which is kept as it is until one of them changes.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::Crc;

use super::deflate::Deflater;
use crate::facts::InstanceFacts;
use crate::metrics::exposition::{
    AGE_DIGITS, Ages, InstanceFamily, OpenAge, age_digits, written_labels,
};
use crate::metrics::states::Existence;
use crate::metrics::{Assessed, catalogue};
use crate::target::InstanceKey;

/// About so many instances share a block. Fewer would compress worse and make more pieces to send; with more of them, one
/// that changes takes longer to be seen.
pub(super) const INSTANCES: usize = 128;

/// Some instances that follow each other in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub entries: Vec<Entry>,
    /// One for each family that is about instances.
    pub chunks: Vec<Arc<Chunk>>,
}

/// One instance that is written about.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: InstanceKey,
    pub existence: Existence,
    /// When what is written about it may have to be written anew by itself.
    pub holds_until: Option<DateTime<Utc>>,
}

/// Where the text about an instance comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// From the block of before, as it stands at this place.
    Old(usize),
    /// It has to be written, because this is known by now.
    New(Arc<InstanceFacts>),
}

/// The same, once it is known what the facts mean, with the labels that all series of the instance begin with.
#[derive(Debug)]
enum Judged {
    Old(usize),
    New(Box<Assessed>, Vec<u8>),
}

/// What one family says about the instances of a block.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// With ages left open.
    pub text: Bytes,
    /// Where the text about each instance ends.
    ends: Box<[u32]>,
    /// The ages, in order.
    open: Box<[Slot]>,
    /// The text, compressed, with zeros for ages.
    pub run: Bytes,
    /// The sum of a text without ages.
    pub crc: Crc,
}

/// The place of an age in a text and in its run.
#[derive(Debug, Clone, Copy)]
struct Slot {
    in_text: u32,
    in_run: u32,
    since: i64,
}

impl Block {
    /// Writes about these instances. What would be written as it was before stays the very same.
    pub(super) fn write(
        &self,
        sources: &[Source],
        judge: &dyn Fn(&Arc<InstanceFacts>) -> Assessed,
        deflater: &mut Deflater,
    ) -> Self {
        let judged: Vec<_> = sources
            .iter()
            .map(|source| match source {
                Source::Old(place) => Judged::Old(*place),
                Source::New(facts) => {
                    let labels = catalogue::instance_labels(&facts.target.key);
                    Judged::New(Box::new(judge(facts)), written_labels(&labels))
                }
            })
            .collect();
        let entries = judged.iter().map(|judged| match judged {
            Judged::Old(place) => self.entries[*place].clone(),
            Judged::New(instance, _) => Entry {
                key: instance.facts.target.key.clone(),
                existence: Existence::of(&instance.posture),
                holds_until: instance.posture.holds_until,
            },
        });
        let nothing = Arc::default();
        let chunks = catalogue::about_instances()
            .enumerate()
            .map(|(family, (row, samples))| {
                let old = self.chunks.get(family).unwrap_or(&nothing);
                let mut draft = Draft::with_room_for(old);
                for judged in &judged {
                    match judged {
                        Judged::Old(place) => draft.copy(old, *place),
                        Judged::New(instance, labels) => {
                            let mut written = InstanceFamily {
                                name: row.name,
                                labels,
                                text: &mut draft.text,
                                ages: Ages::Open(&mut draft.open),
                            };
                            samples(instance, &mut written);
                        }
                    }
                    draft.end();
                }
                if draft.is(old) {
                    Arc::clone(old)
                } else {
                    Arc::new(draft.finish(deflater))
                }
            })
            .collect();
        Self {
            entries: entries.collect(),
            chunks,
        }
    }
}

/// A chunk that is being written.
#[derive(Debug)]
struct Draft {
    text: Vec<u8>,
    ends: Vec<u32>,
    open: Vec<OpenAge>,
}

impl Draft {
    fn with_room_for(old: &Chunk) -> Self {
        Self {
            text: Vec::with_capacity(old.text.len() + old.text.len() / 16),
            ends: Vec::with_capacity(old.ends.len() + 1),
            open: Vec::with_capacity(old.open.len()),
        }
    }

    fn copy(&mut self, old: &Chunk, place: usize) {
        let end = old.ends[place];
        let begin = place.checked_sub(1).map_or(0, |before| old.ends[before]);
        let first = old.open.partition_point(|slot| slot.in_text < begin);
        let slots = &old.open[first..];
        let slots = &slots[..slots.partition_point(|slot| slot.in_text < end)];
        let here = self.text.len();
        self.open.extend(slots.iter().map(|slot| OpenAge {
            at: here + (slot.in_text - begin) as usize,
            since: slot.since,
        }));
        self.text
            .extend_from_slice(&old.text[begin as usize..end as usize]);
    }

    /// The text about an instance is complete.
    fn end(&mut self) {
        self.ends.push(place(self.text.len()));
    }

    fn is(&self, old: &Chunk) -> bool {
        let ages = self.open.iter().map(|age| age.since);
        self.text == old.text
            && *self.ends == *old.ends
            && ages.eq(old.open.iter().map(|slot| slot.since))
    }

    fn finish(self, deflater: &mut Deflater) -> Chunk {
        let (run, digits) = if self.open.is_empty() {
            (deflater.run(&self.text), Vec::new())
        } else {
            deflater.open_run(&self.text, &self.open)
        };
        let mut crc = Crc::new();
        if self.open.is_empty() {
            crc.update(&self.text);
        }
        let slots = self.open.iter().zip(digits);
        Chunk {
            ends: self.ends.into(),
            open: slots
                .map(|(age, digits)| Slot {
                    in_text: place(age.at),
                    in_run: place(digits),
                    since: age.since,
                })
                .collect(),
            run: exact(run),
            text: exact(self.text),
            crc,
        }
    }
}

/// A chunk is far below four gigabytes: there are a few hundred instances, and the lines of one family about each.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Without the room that is left, since it is kept for long.
fn exact(mut bytes: Vec<u8>) -> Bytes {
    bytes.shrink_to_fit();
    bytes.into()
}

impl Chunk {
    pub(super) fn has_ages(&self) -> bool {
        !self.open.is_empty()
    }

    /// Writes the ages as of this second into a copy of the text.
    pub(super) fn fill_text(&self, now: i64, text: &mut [u8]) {
        for slot in &self.open {
            fill(text, slot.in_text, slot.since, now);
        }
    }

    /// The same in a copy of the run.
    pub(super) fn fill_run(&self, now: i64, run: &mut [u8]) {
        for slot in &self.open {
            fill(run, slot.in_run, slot.since, now);
        }
    }
}

fn fill(bytes: &mut [u8], at: u32, since: i64, now: i64) {
    let at = at as usize;
    bytes[at..at + AGE_DIGITS].copy_from_slice(&age_digits(since, now));
}
