//! What the clients know: which uploads they began, and what they were answered. It is filled
//! by `load` alone, from answers alone, and never looks at the platform.

use std::sync::{Mutex, MutexGuard};

use monopod_tests::client::Upload;
use monopod_tests::photo::Photo;

/// How far a step is, from its client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Not sent yet.
    Unsent,
    /// Sent; no answer came. It may have happened or not.
    Unknown,
    /// Answered with success: it must never be undone.
    Acknowledged,
}

/// An upload that `startUpload` acknowledged.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whose it is: the number of the client.
    pub owner: usize,
    /// Its id and URL.
    pub upload: Upload,
    /// What is uploaded.
    pub photo: Photo,
    /// The photo itself.
    pub put: Step,
    /// `confirmUpload`.
    pub confirm: Step,
}

/// All uploads of all clients.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    entries: Vec<Entry>,
    /// `startUpload` without an answer: perhaps there is a session that nobody knows.
    unanswered_starts: usize,
    /// Confirmations that were sent again after an answer, and accepted again.
    repeated: usize,
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    /// A new upload; returns its number.
    pub fn started(&self, owner: usize, upload: Upload, photo: Photo) -> usize {
        let mut book = self.book();
        book.entries.push(Entry { owner, upload, photo, put: Step::Unsent, confirm: Step::Unsent });
        book.entries.len() - 1
    }

    /// A start without an answer.
    pub fn start_unanswered(&self) {
        self.book().unanswered_starts += 1;
    }

    /// What became of the photo's step. It never goes back.
    pub fn put(&self, number: usize, step: Step) {
        let entry = &mut self.book().entries[number];
        entry.put = entry.put.max(step);
    }

    /// What became of the confirmation. It never goes back.
    pub fn confirm(&self, number: usize, step: Step) {
        let mut book = self.book();
        let before = book.entries[number].confirm;
        book.repeated += usize::from(before == Step::Acknowledged && step == Step::Acknowledged);
        book.entries[number].confirm = before.max(step);
    }

    /// Everything, as it is now.
    pub fn entries(&self) -> Vec<Entry> {
        self.book().entries.clone()
    }

    /// How many there are with this state of their confirmation.
    pub fn count(&self, confirm: Step) -> usize {
        self.book().entries.iter().filter(|entry| entry.confirm == confirm).count()
    }

    /// How many starts were never answered.
    pub fn unanswered_starts(&self) -> usize {
        self.book().unanswered_starts
    }

    /// How many confirmations were accepted a second time.
    pub fn repeated(&self) -> usize {
        self.book().repeated
    }
}
