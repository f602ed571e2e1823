//! What `/metrics` says about the instances, written when facts change and not when it is asked for.
//!
//! An [`Editor`] keeps the text of each family, in blocks of instances, plain and compressed, and makes a new [`Edition`]
//! of what changed. A scrape takes the newest edition, which never changes, and adds what is different each time: ages,
//! which are filled in once a second, and the exporter's own metrics.

mod block;
mod deflate;
mod section;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use flate2::Crc;

use self::block::{Block, Entry, INSTANCES, Source};
use self::deflate::Deflater;
use self::section::{Aged, Piece, Section};
use super::states::States;
use super::{Assessed, Exposition, Format, Overview, ProcessMetrics, ReloadState, catalogue};
use crate::backup::Lookback;
use crate::facts::{Changes, Facts, InstanceFacts, RegionFacts, RegionKey};
use crate::posture;
use crate::shard::Shard;
use crate::tally::Counts;
use crate::target::InstanceKey;

/// How far our clock may be corrected backwards without everything being judged anew.
const CLOCK_CORRECTION: Duration = Duration::seconds(1);

/// Keeps the text about all instances up to date.
#[derive(Debug)]
pub struct Editor {
    /// In the order of their keys; none is empty.
    blocks: Vec<Block>,
    /// About so many instances share a block.
    block_size: usize,
    newest: Option<Arc<Edition>>,
    lookback: Option<Lookback>,
    deflater: Deflater,
}

/// What was known about all instances at one moment, written down. It never changes.
#[derive(Debug)]
pub struct Edition {
    /// Another edition has another number.
    number: u64,
    sections: Vec<Arc<Section>>,
    states: Arc<States>,
    regions: Vec<(RegionKey, Arc<RegionFacts>)>,
    written: DateTime<Utc>,
    holds_until: Option<DateTime<Utc>>,
    /// The sections as of the second for which they were last wanted.
    aged: Mutex<Option<(i64, Arc<[Aged]>)>>,
}

/// What is added to an edition when it is handed out.
#[derive(Debug)]
pub struct Supplement<'a> {
    /// What the exporter counted.
    pub counts: &'a Counts,
    /// How loading the configuration went.
    pub reload: ReloadState,
    /// Which part of the instances is watched.
    pub shard: Shard,
    /// This process.
    pub process: &'a ProcessMetrics,
}

impl Default for Editor {
    fn default() -> Self {
        Self::with_blocks_of(INSTANCES)
    }
}

impl Editor {
    fn with_blocks_of(instances: usize) -> Self {
        Self {
            blocks: Vec::new(),
            block_size: instances,
            newest: None,
            lookback: None,
            deflater: Deflater::default(),
        }
    }

    /// Writes what is new at `now`, which is little as long as little has changed. If nothing did, the edition stays the same.
    pub fn revise(
        &mut self,
        facts: &Facts,
        changes: Changes,
        lookback: Lookback,
        now: DateTime<Utc>,
    ) -> Arc<Edition> {
        let regions_changed = !changes.regions.is_empty();
        let stale = self.stale(facts, changes, lookback, now);
        let judge = |facts: &Arc<InstanceFacts>| Assessed {
            posture: posture::assess(facts, lookback, now),
            facts: Arc::clone(facts),
        };
        let edition = match self.newest.take() {
            Some(newest) if stale.is_empty() && !regions_changed => newest,
            before => {
                let members_changed = self.rewrite(stale, facts, &judge);
                let states = before
                    .as_ref()
                    .filter(|_| !members_changed && !regions_changed)
                    .map(|before| Arc::clone(&before.states));
                Arc::new(self.edit(before.as_deref(), states, facts.regions(), now))
            }
        };
        self.newest = Some(Arc::clone(&edition));
        edition
    }

    /// The instances that have to be judged anew.
    fn stale(
        &mut self,
        facts: &Facts,
        changes: Changes,
        lookback: Lookback,
        now: DateTime<Utc>,
    ) -> BTreeSet<InstanceKey> {
        // If our clock was set back, sets may be in the look-back again that had left it.
        let is_other_time = |edition: &Arc<Edition>| now < edition.written - CLOCK_CORRECTION;
        let is_other_lookback = self.lookback.replace(lookback) != Some(lookback);
        let mut stale: BTreeSet<_> = changes.instances.into_iter().collect();
        if is_other_lookback || self.newest.as_ref().is_none_or(is_other_time) {
            let all = facts.all();
            stale.extend(all.iter().map(|facts| facts.target.key.clone()));
        }
        let is_over = |entry: &&Entry| entry.holds_until.is_some_and(|until| until <= now);
        let over = self.entries().filter(is_over);
        stale.extend(over.map(|entry| entry.key.clone()));
        stale
    }

    /// Writes anew about these instances. Tells whether there are others than before, or one that is gone or missing since.
    fn rewrite(
        &mut self,
        stale: BTreeSet<InstanceKey>,
        facts: &Facts,
        judge: &dyn Fn(&Arc<InstanceFacts>) -> Assessed,
    ) -> bool {
        let mut stale = stale.into_iter().peekable();
        let mut members_changed = false;
        let mut before = std::mem::take(&mut self.blocks);
        if before.is_empty() {
            before.push(Block::default());
        }
        let mut before = before.into_iter().peekable();
        while let Some(block) = before.next() {
            // A block takes in everything up to the beginning of the next.
            let next = before.peek().and_then(|next| next.entries.first());
            let belongs = |key: &InstanceKey| next.is_none_or(|next| *key < next.key);
            let mut due = Vec::new();
            while let Some(key) = stale.next_if(belongs) {
                let known = facts.of(&key);
                due.push((key, known));
            }
            if due.is_empty() {
                self.blocks.push(block);
                continue;
            }
            let sources = merge(&block.entries, due);
            let first = self.blocks.len();
            let most = 2 * self.block_size;
            let size = if sources.len() > most {
                self.block_size
            } else {
                most
            };
            for part in sources.chunks(size) {
                let written = block.write(part, judge, &mut self.deflater);
                self.blocks.push(written);
            }
            let states = |entries: &Entry| (entries.key.clone(), entries.existence);
            let written = self.blocks[first..].iter().flat_map(|block| &block.entries);
            members_changed |= !written.map(states).eq(block.entries.iter().map(states));
        }
        self.blocks.retain(|block| !block.entries.is_empty());
        members_changed
    }

    fn edit(
        &mut self,
        before: Option<&Edition>,
        states: Option<Arc<States>>,
        regions: Vec<(RegionKey, Arc<RegionFacts>)>,
        now: DateTime<Utc>,
    ) -> Edition {
        let sections = catalogue::about_instances().enumerate();
        let (blocks, deflater) = (&self.blocks, &mut self.deflater);
        let sections = sections.filter_map(|(family, (row, _))| {
            let chunks = blocks.iter().map(|block| &block.chunks[family]);
            let chunks = chunks.filter(|chunk| !chunk.text.is_empty());
            chunks.clone().next()?;
            let same = before.and_then(|before| before.section(row.name));
            let same = same.filter(|section| section.is_of(chunks.clone()));
            Some(same.map_or_else(
                || Arc::new(Section::new(row, chunks.cloned().collect(), deflater)),
                Arc::clone,
            ))
        });
        let sections = sections.collect();
        let states = states.unwrap_or_else(|| {
            let watched = self.entries().map(|entry| (&entry.key, entry.existence));
            Arc::new(States::count(watched, &regions, |key| {
                self.writes_about(key)
            }))
        });
        Edition {
            number: before.map_or(0, |before| before.number + 1),
            sections,
            states,
            regions,
            written: now,
            holds_until: self.entries().filter_map(|entry| entry.holds_until).min(),
            aged: Mutex::default(),
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flat_map(|block| &block.entries)
    }

    fn writes_about(&self, key: &InstanceKey) -> bool {
        let after = |block: &Block| block.entries.first().is_some_and(|first| first.key <= *key);
        let place = self.blocks.partition_point(after);
        let block = place.checked_sub(1).map(|place| &self.blocks[place]);
        block.is_some_and(|block| {
            let entries = &block.entries;
            entries.binary_search_by(|entry| entry.key.cmp(key)).is_ok()
        })
    }
}

/// The instances of a block, in order: those that stay, and those about which something is new. Of these nothing is known
/// if they are no longer watched.
fn merge(entries: &[Entry], due: Vec<(InstanceKey, Option<Arc<InstanceFacts>>)>) -> Vec<Source> {
    let mut sources = Vec::with_capacity(entries.len() + due.len());
    let mut entries = entries.iter().enumerate().peekable();
    for (key, known) in due {
        while let Some((place, _)) = entries.next_if(|(_, entry)| entry.key < key) {
            sources.push(Source::Old(place));
        }
        let _replaced = entries.next_if(|(_, entry)| entry.key == key);
        sources.extend(known.map(Source::New));
    }
    sources.extend(entries.map(|(place, _)| Source::Old(place)));
    sources
}

impl Edition {
    /// Tells this edition from others of the same editor.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The next time at which a part of it no longer holds although nothing new is read, but for ages; `None`: never.
    pub const fn holds_until(&self) -> Option<DateTime<Utc>> {
        self.holds_until
    }

    /// As of when everything in it was judged.
    pub const fn written(&self) -> DateTime<Utc> {
        self.written
    }

    /// The exposition as of `now`, in pieces.
    pub fn text(
        &self,
        format: Format,
        supplement: &Supplement<'_>,
        now: DateTime<Utc>,
    ) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        for section in &*self.aged(now) {
            pieces.push(section.head(format).text.clone());
            pieces.extend_from_slice(section.text());
        }
        pieces.push(self.supplemented(format, supplement).into());
        pieces
    }

    /// The exposition as of `now`, compressed with gzip, in pieces.
    pub fn gzip(
        &self,
        format: Format,
        supplement: &Supplement<'_>,
        now: DateTime<Utc>,
    ) -> Vec<Bytes> {
        let mut pieces = vec![Bytes::from_static(&deflate::GZIP_HEAD)];
        let mut sum = Crc::new();
        for section in &*self.aged(now) {
            let head = section.head(format);
            let (run, crc) = section.run();
            sum.combine(&head.crc);
            sum.combine(crc);
            pieces.extend([head.run.clone(), run.clone()]);
        }
        let rest = Piece::fleeting(self.supplemented(format, supplement));
        sum.combine(&rest.crc);
        pieces.extend([rest.run, deflate::gzip_tail(&sum).into()]);
        pieces
    }

    fn supplemented(&self, format: Format, supplement: &Supplement<'_>) -> Vec<u8> {
        let mut exposition = Exposition::new(format);
        let overview = Overview {
            states: &self.states,
            regions: &self.regions,
            counts: supplement.counts,
            reload: supplement.reload,
            shard: supplement.shard,
        };
        catalogue::write_overview(&overview, &mut exposition);
        supplement.process.write(&mut exposition);
        exposition.finish()
    }

    fn aged(&self, now: DateTime<Utc>) -> Arc<[Aged]> {
        let second = now.timestamp();
        let mut aged = self.aged.lock().unwrap_or_else(PoisonError::into_inner);
        match &*aged {
            Some((of, sections)) if *of == second => Arc::clone(sections),
            _ => {
                let sections = self.sections.iter();
                let sections: Arc<[_]> =
                    sections.map(|section| Aged::new(section, second)).collect();
                *aged = Some((second, Arc::clone(&sections)));
                sections
            }
        }
    }

    fn section(&self, name: &str) -> Option<&Arc<Section>> {
        self.sections.iter().find(|section| section.name() == name)
    }
}
