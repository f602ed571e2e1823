//! What has been asked of the cloud, for a test to read.

use std::collections::{BTreeMap, VecDeque};

use crate::exchange::RecordedRequest;

/// A cloud that is watched for days keeps the newest of each list; counts go on.
const KEPT: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Journal {
    requests: VecDeque<RecordedRequest>,
    counts: BTreeMap<String, usize>,
    unexpected: VecDeque<String>,
}

impl Journal {
    pub(crate) fn record(&mut self, request: RecordedRequest, violations: Vec<String>) {
        *self.counts.entry(request.operation.clone()).or_default() += 1;
        self.requests.push_back(request);
        self.unexpected.extend(violations);
        self.requests
            .drain(..self.requests.len().saturating_sub(KEPT));
        self.unexpected
            .drain(..self.unexpected.len().saturating_sub(KEPT));
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.counts.get(operation).copied().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> usize {
        self.counts.values().sum()
    }

    pub(crate) fn unexpected(&self) -> Vec<String> {
        self.unexpected.iter().cloned().collect()
    }

    /// Forgets the requests, but not what was wrong with them.
    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        self.counts.clear();
    }
}
