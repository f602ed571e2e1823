//! The standard `process_*` metrics, as the `prometheus` crate collects them.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto;

use super::exposition::{Exposition, MetricType};

/// Asks the operating system about this process.
pub struct ProcessMetrics(ProcessCollector);

impl std::fmt::Debug for ProcessMetrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ProcessMetrics")
    }
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        Self(ProcessCollector::for_self())
    }
}

impl ProcessMetrics {
    /// Writes the families.
    pub fn write(&self, exposition: &mut Exposition) {
        for collected in self.0.collect() {
            let metric_type = match collected.get_field_type() {
                proto::MetricType::COUNTER => MetricType::Counter,
                _ => MetricType::Gauge,
            };
            let mut family = exposition.family(collected.name(), metric_type, collected.help());
            for metric in collected.get_metric() {
                let value = match metric_type {
                    MetricType::Counter => metric.get_counter().get_value(),
                    _ => metric.get_gauge().get_value(),
                };
                // It is counted from the boot of the machine, which a sandbox may hide: not known, and not in 1970.
                if collected.name() == "process_start_time_seconds" && value <= 0.0 {
                    continue;
                }
                family.sample(&[], value);
            }
        }
    }
}
