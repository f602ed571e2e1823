//! What has been asked of the cloud, for a test to read.

use std::collections::{BTreeMap, VecDeque};

use crate::exchange::RecordedRequest;

/// A cloud that is watched for days keeps the newest of each list, so many unless it is told otherwise; counts go on.
const KEPT: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Journal {
    kept: usize,
    requests: VecDeque<RecordedRequest>,
    counts: BTreeMap<String, usize>,
    unexpected: VecDeque<String>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            kept: KEPT,
            requests: VecDeque::new(),
            counts: BTreeMap::new(),
            unexpected: VecDeque::new(),
        }
    }
}

impl Journal {
    /// Keeps no more than so many of each list from now on.
    pub(crate) fn keep(&mut self, newest: usize) {
        self.kept = newest;
    }

    pub(crate) fn record(&mut self, request: RecordedRequest, violations: Vec<String>) {
        *self.counts.entry(request.operation.clone()).or_default() += 1;
        self.requests.push_back(request);
        self.unexpected.extend(violations);
        self.requests
            .drain(..self.requests.len().saturating_sub(self.kept));
        self.unexpected
            .drain(..self.unexpected.len().saturating_sub(self.kept));
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
