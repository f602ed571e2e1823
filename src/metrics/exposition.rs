//! The two text formats that Prometheus reads, written sample by sample.
//!
//! `HELP` and `TYPE` come once a family, before its first sample; label values may hold anything.

use std::io::Write as _;

use chrono::{DateTime, Utc};
pub use toolkit::negotiate::Format;

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Goes up and down.
    Gauge,
    /// Only goes up; its name ends in `_total`.
    Counter,
    /// Buckets, a sum and a count.
    Histogram,
}

impl MetricType {
    /// The word after `# TYPE`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A scrape that is being written.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    text: Vec<u8>,
}

impl Exposition {
    /// An empty scrape.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            text: Vec::new(),
        }
    }

    /// Begins a family. A family that gets no sample leaves no trace.
    pub fn family<'a>(
        &'a mut self,
        name: &'a str,
        metric_type: MetricType,
        help: &'a str,
    ) -> Family<'a> {
        Family {
            exposition: self,
            name,
            metric_type,
            help,
            begun: false,
        }
    }

    /// Adds a family that was written apart.
    pub fn add(&mut self, name: &str, metric_type: MetricType, help: &str, samples: &[u8]) {
        if !samples.is_empty() {
            write_head(&mut self.text, self.format, name, metric_type, help);
            self.text.extend_from_slice(samples);
        }
    }

    /// The finished text.
    pub fn finish(mut self) -> Vec<u8> {
        if self.format == Format::OpenMetrics {
            self.text.extend_from_slice(END_OF_OPEN_METRICS);
        }
        self.text
    }
}

/// A family that is being written.
#[derive(Debug)]
pub struct Family<'a> {
    exposition: &'a mut Exposition,
    name: &'a str,
    metric_type: MetricType,
    help: &'a str,
    begun: bool,
}

/// A label's name and value.
pub type Label<'a> = (&'a str, &'a str);

impl Family<'_> {
    /// Writes one sample of a gauge or a counter. Its labels come in groups, so that those which many samples share need
    /// not be copied for each.
    pub fn sample(&mut self, labels: &[&[Label<'_>]], value: f64) {
        self.line("", labels, None, value);
    }

    /// Writes one histogram: how many observations fell into each bucket and above the last bound, and their sum.
    pub fn histogram(&mut self, labels: &[Label<'_>], bounds: &[f64], buckets: &[u64], sum: f64) {
        let mut count = 0;
        for (index, observed) in buckets.iter().enumerate() {
            count += observed;
            let bound = match (bounds.get(index), self.exposition.format) {
                (None, _) => "+Inf".to_owned(),
                (Some(bound), Format::Text) => bound.to_string(),
                // OpenMetrics wants `1.0`, not `1`.
                (Some(bound), Format::OpenMetrics) => format!("{bound:?}"),
            };
            self.line("_bucket", &[labels], Some(("le", &bound)), as_float(count));
        }
        self.line("_sum", &[labels], None, sum);
        self.line("_count", &[labels], None, as_float(count));
    }

    fn line(&mut self, suffix: &str, labels: &[&[Label<'_>]], last: Option<Label<'_>>, value: f64) {
        if !self.begun {
            self.begun = true;
            let Exposition { format, text } = &mut *self.exposition;
            write_head(text, *format, self.name, self.metric_type, self.help);
        }
        let text = &mut self.exposition.text;
        text.extend_from_slice(self.name.as_bytes());
        text.extend_from_slice(suffix.as_bytes());
        let labels = labels.iter().copied().flatten().copied().chain(last);
        let mut is_first = true;
        for label in labels {
            text.push(if is_first { b'{' } else { b',' });
            write_label(text, label);
            is_first = false;
        }
        if !is_first {
            text.push(b'}');
        }
        text.push(b' ');
        write_value(text, value);
        text.push(b'\n');
    }
}

/// The samples of one instance in one family.
#[derive(Debug)]
pub struct InstanceFamily<'a> {
    /// The family.
    pub name: &'static str,
    /// The labels that all series of the instance begin with, as [`written_labels`] writes them.
    pub labels: &'a [u8],
    /// The text to which the samples are added.
    pub text: &'a mut Vec<u8>,
    /// What becomes of ages.
    pub ages: Ages<'a>,
}

/// How the age of something is written, which goes on growing when everything else stays as it is.
#[derive(Debug)]
pub enum Ages<'a> {
    /// As of this time, in Unix seconds.
    AsOf(i64),
    /// Left open, as [`OPEN_AGE`], and noted down to be filled in later.
    Open(&'a mut Vec<OpenAge>),
}

/// An age that is not filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenAge {
    /// Where in the text its first digit belongs.
    pub at: usize,
    /// The Unix second since which it grows.
    pub since: i64,
}

/// Digits of an age. There are always so many, so that an older age takes the place of a younger one; they last for three
/// centuries.
pub const AGE_DIGITS: usize = 10;

/// What stands in the place of an age that is left open: a byte that no label, being UTF-8, can hold.
pub const OPEN_AGE: [u8; AGE_DIGITS] = [0xff; AGE_DIGITS];

/// The digits of an age in whole seconds. A time that our clock has not reached yet has the age 0.
pub fn age_digits(since: i64, now: i64) -> [u8; AGE_DIGITS] {
    let mut left = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
    let mut digits = [b'0'; AGE_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
    if left > 0 { [b'9'; AGE_DIGITS] } else { digits }
}

impl InstanceFamily<'_> {
    /// Writes one sample, with these labels beside those of the instance.
    pub fn sample(&mut self, labels: &[&[Label<'_>]], value: f64) {
        self.series(labels);
        write_value(self.text, value);
        self.text.push(b'\n');
    }

    /// Writes a sample that says how long ago something was.
    pub fn age(&mut self, labels: &[&[Label<'_>]], since: DateTime<Utc>) {
        self.series(labels);
        let since = since.timestamp();
        match &mut self.ages {
            Ages::AsOf(now) => self.text.extend_from_slice(&age_digits(since, *now)),
            Ages::Open(open) => {
                let at = self.text.len();
                open.push(OpenAge { at, since });
                self.text.extend_from_slice(&OPEN_AGE);
            }
        }
        self.text.push(b'\n');
    }

    fn series(&mut self, labels: &[&[Label<'_>]]) {
        self.text.extend_from_slice(self.name.as_bytes());
        self.text.push(b'{');
        self.text.extend_from_slice(self.labels);
        for label in labels.iter().copied().flatten().copied() {
            self.text.push(b',');
            write_label(self.text, label);
        }
        self.text.extend_from_slice(b"} ");
    }
}

/// Labels as they are written between the braces.
pub fn written_labels(labels: &[Label<'_>]) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, label) in labels.iter().copied().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_label(&mut text, label);
    }
    text
}

/// The last line of `OpenMetrics`.
pub const END_OF_OPEN_METRICS: &[u8] = b"# EOF\n";

/// Writes what comes before the samples of a family.
pub fn write_head(
    text: &mut Vec<u8>,
    format: Format,
    name: &str,
    metric_type: MetricType,
    help: &str,
) {
    let open_metrics = format == Format::OpenMetrics;
    // In OpenMetrics a counter's family is named without the suffix of its sample.
    let family = match metric_type {
        MetricType::Counter if open_metrics => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    for part in ["# HELP ", family, " "] {
        text.extend_from_slice(part.as_bytes());
    }
    escape(text, help, open_metrics);
    for part in ["\n# TYPE ", family, " ", metric_type.label(), "\n"] {
        text.extend_from_slice(part.as_bytes());
    }
}

fn write_label(text: &mut Vec<u8>, (name, value): Label<'_>) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"=\"");
    escape(text, value, true);
    text.push(b'"');
}

/// A count as the float that both formats carry; exact up to 2⁵³.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples are floats; above 2^53 the last digits of a count do not matter"
)]
pub fn as_float(count: u64) -> f64 {
    count as f64
}

fn escape(text: &mut Vec<u8>, value: &str, quotes: bool) {
    for byte in value.bytes() {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'"' if quotes => text.extend_from_slice(b"\\\""),
            other => text.push(other),
        }
    }
}

/// Below this every whole number is a float.
const WHOLE_NUMBERS: f64 = 9_007_199_254_740_992.0;

fn write_value(text: &mut Vec<u8>, value: f64) {
    let written = if value.is_nan() {
        text.write_all(b"NaN")
    } else if value.is_infinite() {
        text.write_all(if value > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if value.fract() == 0.0 && value.abs() < WHOLE_NUMBERS && value != 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is a whole number within the bounds"
        )]
        let whole = value as i64;
        write!(text, "{whole}")
    } else {
        write!(text, "{value}")
    };
    // Writing into a `Vec` cannot fail.
    debug_assert!(written.is_ok());
}
