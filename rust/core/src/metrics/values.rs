//! The label values of one series, in one block of memory.

const WORD: usize = size_of::<u32>();

/// Texts in a row: where each begins, then one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Values(Box<[u8]>);

impl Values {
    /// The row of these texts; nothing if they have 4 GB and more.
    pub fn new(texts: &[&str]) -> Option<Self> {
        let mut bytes = Vec::with_capacity(length(texts));
        let mut start = texts.len() * WORD;
        for text in texts {
            bytes.extend_from_slice(&u32::try_from(start).ok()?.to_le_bytes());
            start += text.len();
        }
        u32::try_from(start).ok()?;
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
        }
        Some(Self(bytes.into_boxed_slice()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.start(0).unwrap_or(0) / WORD
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text at a position.
    pub fn get(&self, at: usize) -> Option<&str> {
        if at >= self.len() {
            return None;
        }
        let end = if at + 1 < self.len() {
            self.start(at + 1)?
        } else {
            self.0.len()
        };
        std::str::from_utf8(self.0.get(self.start(at)?..end)?).ok()
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|at| self.get(at).unwrap_or_default())
    }

    /// Whether this is the row of these texts.
    #[inline]
    pub fn is_row(&self, texts: &[&str]) -> bool {
        if self.0.len() != length(texts) {
            return false;
        }
        let (mut starts, mut own) = self.0.split_at(texts.len() * WORD);
        let mut start = texts.len() * WORD;
        for text in texts {
            let (first, others) = starts.split_at(WORD);
            let (head, tail) = own.split_at(text.len().min(own.len()));
            let begins = first.try_into().map(u32::from_le_bytes);
            if begins.ok().map(|begins| begins as usize) != Some(start) || head != text.as_bytes() {
                return false;
            }
            start += text.len();
            (starts, own) = (others, tail);
        }
        true
    }

    #[inline]
    fn start(&self, at: usize) -> Option<usize> {
        let bytes = self.0.get(at * WORD..(at + 1) * WORD)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    }
}

#[inline]
fn length(texts: &[&str]) -> usize {
    texts.iter().map(|text| WORD + text.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_told_from_all_others() {
        let rows: [&[&str]; 9] = [
            &[],
            &[""],
            &["", ""],
            &["ab", "c"],
            &["a", "bc"],
            &["abc", ""],
            &["", "abc"],
            &["a\0", "b"],
            &["\u{e9}", "c"],
        ];
        for (nth, row) in rows.iter().enumerate() {
            let values = Values::new(row).unwrap();
            assert_eq!(values.iter().collect::<Vec<_>>(), *row);
            assert_eq!(
                (values.len(), values.is_empty()),
                (row.len(), row.is_empty())
            );
            assert_eq!(values.get(row.len()), None);
            for (other, texts) in rows.iter().enumerate() {
                assert_eq!(values.is_row(texts), nth == other, "{row:?} {texts:?}");
            }
        }
    }
}
