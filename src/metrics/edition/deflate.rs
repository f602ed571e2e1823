//! Text that is compressed in parts, each once, and put together into one gzip stream.
//!
//! A part becomes a run of deflate blocks (RFC 1951) that ends on a byte boundary and refers to nothing before it, so that
//! runs can follow each other in any order. Ages are left open in the text; in the run, the digits of each are a stored
//! block of their own, so that they are plain bytes at a known place and can be filled in without compressing anything.

use flate2::{Compress, Compression, Crc, FlushCompress};

use crate::metrics::exposition::{AGE_DIGITS, OPEN_AGE, OpenAge};

/// The first bytes of a gzip stream (RFC 1952): deflate, no name, no time, no system.
pub(super) const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty block that is the last, and so ends the deflate stream.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// Length, and its complement, of the empty stored block in which a flush ends.
const EMPTY: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The same of a stored block that holds the digits of an age.
#[expect(clippy::cast_possible_truncation, reason = "there are ten digits")]
const DIGITS: [u8; 4] = [AGE_DIGITS as u8, 0x00, !(AGE_DIGITS as u8), 0xff];

/// Level of compression of what stays as it is until facts change.
const STANDING: Compression = Compression::new(6);

/// Level of compression of what is written for one second, or cut into small pieces: this one builds no code tables, which
/// would cost more than they spare.
const FLEETING: Compression = Compression::new(1);

/// The end of a gzip stream of text with this sum.
pub(super) fn gzip_tail(crc: &Crc) -> Vec<u8> {
    let mut tail = LAST_BLOCK.to_vec();
    tail.extend_from_slice(&crc.sum().to_le_bytes());
    tail.extend_from_slice(&crc.amount().to_le_bytes());
    tail
}

/// Makes runs, one after the other. What it works with is several hundred kilobytes, which are not asked for each time.
#[derive(Debug)]
pub(super) struct Deflater {
    standing: Compress,
    fleeting: Compress,
}

impl Default for Deflater {
    fn default() -> Self {
        Self {
            standing: Compress::new(STANDING, false),
            fleeting: Compress::new(FLEETING, false),
        }
    }
}

impl Deflater {
    /// A run of text that stays.
    pub(super) fn run(&mut self, text: &[u8]) -> Vec<u8> {
        whole_run(&mut self.standing, text)
    }

    /// A run of text with open ages, of which each stands after other text, and where in the run their digits belong.
    pub(super) fn open_run(&mut self, text: &[u8], open: &[OpenAge]) -> (Vec<u8>, Vec<usize>) {
        self.fleeting.reset();
        open_run(&mut self.fleeting, text, open)
    }
}

/// A run of text that is used once.
pub(super) fn fleeting_run(text: &[u8]) -> Vec<u8> {
    whole_run(&mut Compress::new(FLEETING, false), text)
}

fn whole_run(compress: &mut Compress, text: &[u8]) -> Vec<u8> {
    let mut run = Vec::with_capacity(text.len() / 8 + 64);
    if !text.is_empty() {
        compress.reset();
        flush(compress, text, &mut run);
    }
    run
}

fn open_run(compress: &mut Compress, text: &[u8], open: &[OpenAge]) -> (Vec<u8>, Vec<usize>) {
    let mut run = Vec::with_capacity(text.len() / 4 + 64);
    let mut thrown_away = Vec::new();
    let mut digits = Vec::with_capacity(open.len());
    let mut from = 0;
    for age in open {
        flush(compress, &text[from..age.at], &mut run);
        // The digits take the place of the empty block; if there were none they would be a block all the same.
        if run.ends_with(&EMPTY) {
            run.truncate(run.len() - EMPTY.len());
        } else {
            run.push(0);
        }
        run.extend_from_slice(&DIGITS);
        digits.push(run.len());
        run.extend_from_slice(&[b'0'; AGE_DIGITS]);
        // The compressor has to know that something stands here, since it counts distances. Nothing is ever taken for a
        // repetition of it, because no text has these bytes.
        thrown_away.clear();
        flush(compress, &OPEN_AGE, &mut thrown_away);
        from = age.at + AGE_DIGITS;
    }
    if from < text.len() {
        flush(compress, &text[from..], &mut run);
    }
    (run, digits)
}

/// Compresses some text, up to a byte boundary.
fn flush(compress: &mut Compress, mut text: &[u8], run: &mut Vec<u8>) {
    loop {
        run.reserve(text.len() / 2 + 64);
        let before = compress.total_in();
        let status = compress.compress_vec(text, run, FlushCompress::Sync);
        // It fails only where it is used wrongly.
        debug_assert!(status.is_ok(), "{status:?}");
        let taken = usize::try_from(compress.total_in() - before).unwrap_or(text.len());
        text = &text[taken.min(text.len())..];
        // Room that is left means that the flush is complete.
        if status.is_err() || text.is_empty() && run.len() < run.capacity() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::exposition::age_digits;

    fn decoded(runs: &[&[u8]], crc: &Crc) -> Vec<u8> {
        let mut stream = GZIP_HEAD.to_vec();
        for run in runs {
            stream.extend_from_slice(run);
        }
        stream.extend_from_slice(&gzip_tail(crc));
        let mut text = Vec::new();
        let mut decoder = GzDecoder::new(&stream[..]);
        // Checks the sum and the length, too.
        decoder.read_to_end(&mut text).unwrap();
        assert!(decoder.into_inner().is_empty(), "nothing follows");
        text
    }

    fn crc(text: &[u8]) -> Crc {
        let mut crc = Crc::new();
        crc.update(text);
        crc
    }

    #[test]
    fn nothing_is_a_stream_too() {
        assert_eq!(decoded(&[], &Crc::new()), b"");
        let mut deflater = Deflater::default();
        assert_eq!(deflater.run(b""), b"");
        assert_eq!(deflater.open_run(b"", &[]), (vec![], vec![]));
    }

    /// Lines as a family has them: much that is the same, and something that is not.
    fn any_lines() -> impl Strategy<Value = Vec<(Vec<u8>, i64)>> {
        let label = prop_oneof![
            "[a-z]{0,40}",
            Just("cloud_backup_last_success_age_seconds{provider=\"alibaba\"}".to_owned()),
            "\\PC{0,20}",
            "0{0,30}",
        ];
        let line = (label, any::<i32>())
            .prop_map(|(label, since)| ([b"x", label.as_bytes(), b" "].concat(), i64::from(since)));
        proptest::collection::vec(line, 0..300)
    }

    proptest! {
        #[test]
        fn ages_can_be_filled_in_any_number_of_times(
            lines in any_lines(), before in any::<Vec<u8>>(), now in any::<i32>()
        ) {
            let mut text = Vec::new();
            let mut open = Vec::new();
            for (line, since) in &lines {
                text.extend_from_slice(line);
                open.push(OpenAge { at: text.len(), since: *since });
                text.extend_from_slice(&OPEN_AGE);
                text.push(b'\n');
            }
            let mut deflater = Deflater::default();
            // What went before leaves no trace.
            let _others = (deflater.run(&text), deflater.open_run(&text, &open));
            let (mut run_of_ages, digits) = deflater.open_run(&text, &open);
            prop_assert_eq!(digits.len(), lines.len());
            for now in [0, i64::from(now), i64::MAX] {
                for (age, at) in open.iter().zip(&digits) {
                    let digits = age_digits(age.since, now);
                    text[age.at..age.at + AGE_DIGITS].copy_from_slice(&digits);
                    run_of_ages[*at..at + AGE_DIGITS].copy_from_slice(&digits);
                }
                let mut sum = crc(&before);
                sum.combine(&crc(&text));
                let whole = [&before[..], &text].concat();
                prop_assert_eq!(sum.sum(), crc(&whole).sum());
                prop_assert_eq!(decoded(&[&deflater.run(&before), &run_of_ages], &sum), whole);
            }
        }

        #[test]
        fn runs_follow_each_other_in_any_order(parts in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
            let mut sum = Crc::new();
            let mut runs = Vec::new();
            let mut deflater = Deflater::default();
            for (index, part) in parts.iter().enumerate() {
                sum.combine(&crc(part));
                runs.push(if index % 2 == 0 { deflater.run(part) } else { fleeting_run(part) });
            }
            let runs: Vec<&[u8]> = runs.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(decoded(&runs, &sum), parts.concat());
        }
    }

    #[test]
    fn a_long_text_comes_through_whole() {
        let text = b"cloud_backup_sets{instance_id=\"rm-1\"} 1\n".repeat(100_000);
        assert_eq!(
            decoded(&[&Deflater::default().run(&text)], &crc(&text)),
            text
        );
        assert_eq!(decoded(&[&fleeting_run(&text)], &crc(&text)), text);
    }
}
