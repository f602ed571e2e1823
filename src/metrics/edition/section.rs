//! One family of an edition: its head, and what it says about all instances.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Crc;

use super::block::Chunk;
use super::deflate::{self, Deflater};
use crate::metrics::catalogue::Row;
use crate::metrics::exposition::{Format, write_head};

/// A piece of an exposition, as it is and compressed.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub text: Bytes,
    pub run: Bytes,
    pub crc: Crc,
}

impl Piece {
    fn new(text: Vec<u8>, deflater: &mut Deflater) -> Self {
        Self::with(text, |text| deflater.run(text))
    }

    /// One that is used once.
    pub(super) fn fleeting(text: Vec<u8>) -> Self {
        Self::with(text, deflate::fleeting_run)
    }

    fn with(text: Vec<u8>, run: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        let mut crc = Crc::new();
        crc.update(&text);
        Self {
            run: run(&text).into(),
            text: text.into(),
            crc,
        }
    }
}

/// One family that is about instances.
#[derive(Debug)]
pub(super) struct Section {
    name: &'static str,
    text_head: Piece,
    open_metrics_head: Piece,
    chunks: Vec<Arc<Chunk>>,
    /// What stays from one second to the next; a family with ages has nothing of the kind.
    standing: Option<Standing>,
}

/// The samples of a family.
#[derive(Debug)]
struct Standing {
    text: Vec<Bytes>,
    run: Bytes,
    crc: Crc,
}

impl Section {
    /// A family that has something to say.
    pub(super) fn new(row: &Row, chunks: Vec<Arc<Chunk>>, deflater: &mut Deflater) -> Self {
        let mut head = |format| {
            let mut head = Vec::new();
            write_head(&mut head, format, row.name, row.metric_type, row.help);
            Piece::new(head, deflater)
        };
        let has_ages = chunks.iter().any(|chunk| chunk.has_ages());
        Self {
            name: row.name,
            text_head: head(Format::Text),
            open_metrics_head: head(Format::OpenMetrics),
            standing: (!has_ages).then(|| Standing::new(&chunks)),
            chunks,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it was made of these very chunks.
    pub(super) fn is_of<'a>(&self, chunks: impl Iterator<Item = &'a Arc<Chunk>>) -> bool {
        let mut own = self.chunks.iter();
        let mut others = chunks;
        loop {
            match (own.next(), others.next()) {
                (None, None) => return true,
                (Some(own), Some(other)) if Arc::ptr_eq(own, other) => {}
                _ => return false,
            }
        }
    }

    /// What comes before the samples.
    pub(super) const fn head(&self, format: Format) -> &Piece {
        match format {
            Format::Text => &self.text_head,
            Format::OpenMetrics => &self.open_metrics_head,
        }
    }
}

impl Standing {
    fn new(chunks: &[Arc<Chunk>]) -> Self {
        let mut crc = Crc::new();
        let mut run = Vec::with_capacity(chunks.iter().map(|chunk| chunk.run.len()).sum());
        for chunk in chunks {
            crc.combine(&chunk.crc);
            run.extend_from_slice(&chunk.run);
        }
        Self {
            text: chunks.iter().map(|chunk| chunk.text.clone()).collect(),
            run: run.into(),
            crc,
        }
    }
}

/// A section as of one second. Each form is made when it is asked for the first time.
#[derive(Debug)]
pub(super) struct Aged {
    section: Arc<Section>,
    now: i64,
    text: OnceLock<Vec<Bytes>>,
    run: OnceLock<(Bytes, Crc)>,
}

impl Aged {
    pub(super) fn new(section: &Arc<Section>, now: i64) -> Self {
        Self {
            section: Arc::clone(section),
            now,
            text: OnceLock::new(),
            run: OnceLock::new(),
        }
    }

    /// What comes before the samples.
    pub(super) fn head(&self, format: Format) -> &Piece {
        self.section.head(format)
    }

    /// The samples.
    pub(super) fn text(&self) -> &[Bytes] {
        if let Some(standing) = &self.section.standing {
            return &standing.text;
        }
        self.text.get_or_init(|| {
            let chunks = self.section.chunks.iter();
            chunks.map(|chunk| self.filled(chunk)).collect()
        })
    }

    fn filled(&self, chunk: &Chunk) -> Bytes {
        if !chunk.has_ages() {
            return chunk.text.clone();
        }
        let mut text = chunk.text.to_vec();
        chunk.fill_text(self.now, &mut text);
        text.into()
    }

    /// The samples, compressed, and the sum of their text.
    pub(super) fn run(&self) -> (&Bytes, &Crc) {
        if let Some(standing) = &self.section.standing {
            return (&standing.run, &standing.crc);
        }
        let (run, crc) = self.run.get_or_init(|| self.filled_run());
        (run, crc)
    }

    fn filled_run(&self) -> (Bytes, Crc) {
        let chunks = &self.section.chunks;
        let mut crc = Crc::new();
        let mut text = Vec::new();
        let mut runs = Vec::with_capacity(chunks.iter().map(|chunk| chunk.run.len()).sum());
        for chunk in chunks {
            text.clear();
            text.extend_from_slice(&chunk.text);
            chunk.fill_text(self.now, &mut text);
            crc.update(&text);
            let begin = runs.len();
            runs.extend_from_slice(&chunk.run);
            chunk.fill_run(self.now, &mut runs[begin..]);
        }
        (runs.into(), crc)
    }
}
