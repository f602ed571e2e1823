//! The two text formats that Prometheus reads, written sample by sample.
//!
//! `HELP` and `TYPE` come once a family, before its first sample; label values may hold anything.

use std::fmt::Write as _;

/// How a scrape is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of the header `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

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
    text: String,
}

impl Exposition {
    /// An empty scrape.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            text: String::new(),
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

    /// The finished text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
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
        self.begin();
        let text = &mut self.exposition.text;
        text.push_str(self.name);
        text.push_str(suffix);
        let mut separator = '{';
        for (name, value) in labels.iter().copied().flatten().copied().chain(last) {
            text.push(separator);
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value, true);
            text.push('"');
            separator = ',';
        }
        if separator == ',' {
            text.push('}');
        }
        text.push(' ');
        write_value(text, value);
        text.push('\n');
    }

    fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        let open_metrics = self.exposition.format == Format::OpenMetrics;
        // In OpenMetrics a counter's family is named without the suffix of its sample.
        let family = match self.metric_type {
            MetricType::Counter if open_metrics => {
                self.name.strip_suffix("_total").unwrap_or(self.name)
            }
            _ => self.name,
        };
        let text = &mut self.exposition.text;
        for part in ["# HELP ", family, " "] {
            text.push_str(part);
        }
        escape(text, self.help, open_metrics);
        for part in ["\n# TYPE ", family, " ", self.metric_type.label(), "\n"] {
            text.push_str(part);
        }
    }
}

/// A count as the float that both formats carry; exact up to 2⁵³.
#[expect(
    clippy::cast_precision_loss,
    reason = "samples are floats; above 2^53 the last digits of a count do not matter"
)]
pub fn as_float(count: u64) -> f64 {
    count as f64
}

fn escape(text: &mut String, value: &str, quotes: bool) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

fn write_value(text: &mut String, value: f64) {
    let written = if value.is_nan() {
        text.write_str("NaN")
    } else if value.is_infinite() {
        text.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        write!(text, "{value}")
    };
    // Writing into a `String` cannot fail.
    debug_assert!(written.is_ok());
}
