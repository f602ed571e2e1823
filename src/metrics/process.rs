//! The standard `process_*` metrics, as the `prometheus` crate collects them.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricType;

use super::exposition::{Exposition, FamilyType};

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
            let family_type = match collected.get_field_type() {
                MetricType::COUNTER => FamilyType::Counter,
                _ => FamilyType::Gauge,
            };
            let mut family = exposition.family(collected.name(), family_type, collected.help());
            for metric in collected.get_metric() {
                let value = match family_type {
                    FamilyType::Counter => metric.get_counter().get_value(),
                    _ => metric.get_gauge().get_value(),
                };
                family.sample(&[], value);
            }
        }
    }
}
