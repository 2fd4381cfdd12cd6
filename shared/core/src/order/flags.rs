//! Texts as they are kept, and the flags that are raised on the way.

use super::Flag;
use crate::body::{Raw, filled, trim};

/// How many characters are kept of names and titles, of what a customer answers, and of notes.
pub(crate) const SHORT: usize = 255;
pub(crate) const LONG: usize = 2_000;
pub(crate) const NOTES: usize = 5_000;

/// The flags raised so far, sorted and each once.
#[derive(Default)]
pub(crate) struct Flags(pub(crate) Vec<Flag>);

impl Flags {
    pub(crate) fn raise(&mut self, flag: Flag) {
        if let Err(place) = self.0.binary_search(&flag) {
            self.0.insert(place, flag);
        }
    }

    /// The first `most` characters; without U+0000, which Postgres cannot hold.
    pub(crate) fn keep(&mut self, text: &str, most: usize) -> String {
        // Nearly every text, and copied as a whole: characters are at least as many bytes.
        if text.len() <= most && !text.contains('\0') {
            return text.to_owned();
        }
        let mut rest = text.chars().filter(|c| *c != '\0');
        let kept = rest.by_ref().take(most).collect();
        if rest.next().is_some() {
            self.raise(Flag::Truncated);
        }
        kept
    }

    /// The same of a field, trimmed; none when blank.
    pub(crate) fn text(&mut self, raw: Raw<'_>, most: usize) -> Option<String> {
        filled(raw).map(|text| self.keep(trim(&text), most))
    }
}

pub(crate) fn has(text: &str, word: &str) -> bool {
    find(text, word).is_some()
}

/// Where a word begins. (The standard search prepares for long texts: here that costs more than it saves.)
pub(crate) fn find(text: &str, word: &str) -> Option<usize> {
    let word = word.as_bytes();
    text.as_bytes().windows(word.len()).position(|part| part.first() == word.first() && part == word)
}

pub(crate) fn same(name: &str, lower: &str) -> bool {
    name.eq_ignore_ascii_case(lower)
}
