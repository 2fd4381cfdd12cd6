//! The one pass in which a text is checked, and the place of every value noted. Not here: what a value says.

use super::Place;

/// Reads a text from its start; every step is none where the text does not go on as it must.
pub(super) struct Parser<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) places: Vec<Place>,
    /// The lists and objects that are not closed yet, outermost first, and what closes them: depth costs
    /// memory, not stack.
    pub(super) open: Vec<(usize, u8)>,
}

impl Parser<'_> {
    pub(super) fn document(&mut self) -> Option<()> {
        self.blanks();
        self.value()?;
        while let Some((container, close)) = self.open.last().copied() {
            self.step(container, close)?;
        }
        self.blanks();
        (self.at == self.text.len()).then_some(())
    }

    /// The end of an open list or object, or what comes next in it.
    fn step(&mut self, container: usize, close: u8) -> Option<()> {
        self.blanks();
        if self.peek()? == close {
            self.at += 1;
            self.open.pop();
            return self.close(container);
        }
        if self.places.len() > container + 1 {
            self.byte(b',')?;
            self.blanks();
        }
        if close == b'}' {
            let key = self.begin();
            self.string()?;
            self.close(key)?;
            self.blanks();
            self.byte(b':')?;
            self.blanks();
        }
        self.value()
    }

    /// A value; a list or an object is only opened.
    fn value(&mut self) -> Option<()> {
        let place = self.begin();
        match self.peek()? {
            b'[' => return self.open(place, b']'),
            b'{' => return self.open(place, b'}'),
            b'"' => self.string()?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        self.close(place)
    }

    fn string(&mut self) -> Option<()> {
        self.byte(b'"')?;
        loop {
            self.skip(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        if let Some(place) = self.places.last_mut() {
            place.escaped = true;
        }
        self.at += 1;
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                for _ in 0..4 {
                    self.at += 1;
                    self.peek().filter(u8::is_ascii_hexdigit)?;
                }
                self.at += 1;
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.byte(b'-');
        if self.byte(b'0').is_none() {
            self.digits()?;
        }
        if self.byte(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        self.peek().filter(u8::is_ascii_digit)?;
        self.skip(|byte| byte.is_ascii_digit());
        Some(())
    }

    fn blanks(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| !which(*byte)).unwrap_or(rest.len());
    }

    fn begin(&mut self) -> usize {
        self.places.push(Place { start: self.at, end: 0, next: 0, escaped: false });
        self.places.len() - 1
    }

    fn open(&mut self, place: usize, close: u8) -> Option<()> {
        self.at += 1;
        self.open.push((place, close));
        Some(())
    }

    fn close(&mut self, place: usize) -> Option<()> {
        let next = self.places.len();
        let place = self.places.get_mut(place)?;
        (place.end, place.next) = (self.at, next);
        Some(())
    }
}
