//! Reading a listing page by page: when to stop, and whether what was read is the whole.
//!
//! No I/O: a provider asks for the next page number, fetches it, and tells what was in it.

use std::collections::HashSet;

/// After so many pages of one listing we stop, and say that the listing is incomplete.
///
/// 100 pages of 100 rows are a backup every 4.5 minutes over 31 days.
pub const PAGE_CAP: u32 = 100;

/// Where in a listing we are. Pages are counted from 1.
#[derive(Debug)]
pub struct Paging {
    page_size: usize,
    end: End,
    cap: u32,
    next: Option<u32>,
    rows: u64,
    total: Option<u64>,
    cut: bool,
    spoiled: bool,
    seen: HashSet<String>,
}

/// What a page says about the end that is shorter than it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is the last. Asking past it would be an error (Alibaba).
    ShortPage,
    /// Nothing, as long as fewer rows were read than the total. The next page begins after the rows read (Huawei).
    RowsRead,
    /// Nothing, as long as fewer rows were asked for than the total. The next page begins after those (Volcengine).
    RowsAskedFor,
}

/// What one page held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRead {
    /// Rows on the page, duplicates included.
    pub rows: usize,
    /// Rows that no earlier page had.
    pub new_rows: usize,
    /// The provider's count of all rows, where it gave one that can be read.
    pub total: Option<u64>,
}

impl Paging {
    /// Begins with the first page.
    pub fn new(page_size: usize, end: End) -> Self {
        Self {
            page_size,
            end,
            cap: PAGE_CAP,
            next: Some(1),
            rows: 0,
            total: None,
            cut: false,
            spoiled: false,
            seen: HashSet::new(),
        }
    }

    /// Begins a further listing whose rows may be among those that were read already.
    #[must_use]
    pub fn followed_by(self, page_size: usize, end: End) -> Self {
        Self {
            seen: self.seen,
            ..Self::new(page_size, end)
        }
    }

    /// The like with room for more pages, where a listing covers more than one instance.
    #[must_use]
    pub fn with_cap_of_at_least(mut self, pages: u32) -> Self {
        self.cap = self.cap.max(pages);
        self
    }

    /// The page to ask for, or `None` at the end.
    pub fn next_page(&self) -> Option<u32> {
        self.next
    }

    /// Rows on the pages so far, duplicates included.
    pub fn rows_read(&self) -> u64 {
        self.rows
    }

    /// Whether a row with this identity is met for the first time. A row without one is always new: Alibaba's own
    /// sample has `CrossBackupId` 0, which names nothing.
    pub fn is_new(&mut self, identity: Option<String>) -> bool {
        identity.is_none_or(|identity| self.seen.insert(identity))
    }

    /// There was something that cannot be read as a row: whatever it was, it is missing.
    pub fn miss_a_row(&mut self) {
        self.spoiled = true;
    }

    /// Takes note of a page and decides whether there is another.
    ///
    /// A total alone never keeps us going over pages without new rows, because samples of the vendors' have totals of
    /// 100 beside one row.
    pub fn read(&mut self, page: PageRead) {
        let Some(number) = self.next else { return };
        self.rows += page.rows as u64;
        self.total = page.total.or(self.total);
        let short = page.rows < self.page_size;
        let reached = match self.end {
            End::ShortPage => u64::MAX,
            End::RowsRead => self.rows,
            End::RowsAskedFor => u64::from(number) * self.page_size as u64,
        };
        let is_last = page.rows == 0
            || self.total == Some(self.rows)
            || (short && self.total.is_none_or(|total| total <= reached));
        let goes_round = page.rows > 0 && page.new_rows == 0;
        // A last page that holds nothing new stands where the rest should have been, whatever the numbers say.
        self.cut |= goes_round || (!is_last && number >= self.cap);
        self.next = (!is_last && !self.cut).then_some(number + 1);
    }

    /// The provider says that this page does not exist: the page before was the last.
    pub fn past_the_end(&mut self) {
        self.next = None;
    }

    /// Whether the provider told how many rows there are.
    pub fn has_total(&self) -> bool {
        self.total.is_some()
    }

    /// Whether everything was read, as far as the rows and the provider's total tell.
    pub fn is_complete(&self) -> bool {
        !self.cut && !self.spoiled && self.total.is_none_or(|total| total == self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 3;

    /// Reads pages of (rows, new rows, total) for as long as the paging asks for one.
    fn check(pages: &[(usize, usize, Option<u64>)], asked: usize, complete: bool) {
        check_until(End::ShortPage, pages, asked, complete);
    }

    fn check_until(end: End, pages: &[(usize, usize, Option<u64>)], asked: usize, complete: bool) {
        let mut paging = Paging::new(SIZE, end);
        let mut read = 0;
        while let Some(number) = paging.next_page() {
            read += 1;
            assert_eq!(number as usize, read);
            match pages.get(read - 1) {
                Some(&(rows, new_rows, total)) => paging.read(PageRead {
                    rows,
                    new_rows,
                    total,
                }),
                None => paging.past_the_end(),
            }
        }
        assert_eq!(
            (read, paging.is_complete()),
            (asked, complete),
            "{end:?} {pages:?}"
        );
    }

    #[test]
    fn a_listing_ends_where_its_rows_end_and_says_whether_it_is_whole() {
        check(&[(0, 0, Some(0))], 1, true);
        check(&[(2, 2, Some(2))], 1, true);
        check(&[(3, 3, Some(3))], 1, true);
        check(&[(3, 3, Some(5)), (2, 2, Some(5))], 2, true);
        check(&[(3, 3, None), (1, 1, None)], 2, true);
        // The vendor's own sample: a total of 100 beside one row.
        check(&[(1, 1, Some(100))], 1, false);
        // A total that is too small does not hide the rows after it, and the page past the end is no failure.
        check(&[(3, 3, Some(1)), (3, 3, Some(1))], 3, false);
        // Without a total the page past the end is the only end of a full last page.
        check(&[(3, 3, None)], 2, true);
        // A row that moved to the next page while we read counts as read.
        check(&[(3, 3, Some(6)), (3, 2, Some(6))], 2, true);
        // The same page for ever, also where the total is reached by it.
        check(&[(3, 3, Some(9)), (3, 0, Some(9))], 2, false);
        check(&[(3, 3, Some(6)), (3, 0, Some(6))], 2, false);
        check(&[(3, 3, Some(4)), (1, 0, Some(4))], 2, false);
        // A listing that shrank or grew while we read it: the newest total counts.
        check(&[(3, 3, Some(6)), (2, 2, Some(5))], 2, true);
    }

    #[test]
    fn a_short_page_does_not_end_a_listing_whose_total_promises_more() {
        // The server gives two rows a page where three were asked for.
        let grudging = [(2, 2, Some(4)), (2, 2, Some(4))];
        check_until(End::RowsRead, &grudging, 2, true);
        // By page numbers, the second page of three rows would hold the last that there are.
        check_until(End::RowsAskedFor, &[(2, 2, Some(3))], 1, false);
        for end in [End::RowsRead, End::RowsAskedFor] {
            check_until(end, &[(0, 0, Some(0))], 1, true);
            check_until(end, &[(2, 2, Some(2))], 1, true);
            check_until(end, &[(3, 3, Some(5)), (2, 2, Some(5))], 2, true);
            check_until(end, &[(1, 1, None)], 1, true);
            // A total that lies high costs a call and is found out; one that lies low hides nothing.
            let high = [(3, 3, Some(9)), (0, 0, Some(9))];
            check_until(end, &high, 2, false);
            check_until(end, &[(3, 3, Some(1)), (1, 1, Some(1))], 2, false);
            // The same page for ever.
            check_until(end, &[(3, 3, Some(9)), (3, 0, Some(9))], 2, false);
        }
    }

    #[test]
    fn a_listing_without_end_is_cut_at_the_page_cap() {
        let pages = vec![(SIZE, SIZE, Some(1_000_000)); 200];
        check(&pages, PAGE_CAP as usize, false);
    }

    #[test]
    fn a_row_without_an_identity_is_never_a_duplicate() {
        let mut paging = Paging::new(SIZE, End::ShortPage);
        assert!(paging.is_new(None));
        assert!(paging.is_new(None));
        assert!(paging.is_new(Some("14358".to_owned())));
        assert!(!paging.is_new(Some("14358".to_owned())));
    }
}
