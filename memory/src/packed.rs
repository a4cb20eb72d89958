//! The packed buffers of the store interface. Lengths are u32 little-endian.

/// A buffer that does not parse. From a guest that is a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed packed buffer: {0}")]
pub struct Malformed(pub &'static str);

/// A write operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Puts an entry.
    Put {
        /// The table's number.
        table: u16,
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Deletes an entry.
    Delete {
        /// The table's number.
        table: u16,
        /// The key.
        key: &'a [u8],
    },
    /// Deletes all entries.
    Clear {
        /// The table's number.
        table: u16,
    },
}

impl Op<'_> {
    /// The table's number.
    pub fn table(&self) -> u16 {
        match self {
            Op::Put { table, .. } | Op::Delete { table, .. } | Op::Clear { table } => *table,
        }
    }
}

fn split<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (head, rest) = input.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
    *input = rest;
    Ok(head)
}

fn number(input: &mut &[u8]) -> Result<usize, Malformed> {
    let (head, rest) = input.split_first_chunk::<4>().ok_or(Malformed("it ends too early"))?;
    *input = rest;
    Ok(u32::from_le_bytes(*head) as usize)
}

/// The items of a packed buffer; the last one may be that it does not parse.
pub struct Items<'a, T> {
    input: &'a [u8],
    item: fn(&mut &'a [u8]) -> Result<T, Malformed>,
}

impl<'a, T> Items<'a, T> {
    /// What has not been parsed yet.
    pub fn rest(&self) -> &'a [u8] {
        self.input
    }
}

impl<T> Iterator for Items<'_, T> {
    type Item = Result<T, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.input.is_empty() {
            return None;
        }
        let item = (self.item)(&mut self.input);
        if item.is_err() {
            self.input = &[];
        }
        Some(item)
    }
}

/// The operations of `transaction.write`.
pub fn ops(packed: &[u8]) -> Items<'_, Op<'_>> {
    Items { input: packed, item: op }
}

fn op<'a>(input: &mut &'a [u8]) -> Result<Op<'a>, Malformed> {
    let (head, rest) = input.split_first_chunk::<3>().ok_or(Malformed("it ends too early"))?;
    *input = rest;
    let [kind, low, high] = *head;
    let table = u16::from_le_bytes([low, high]);
    let (key_len, value_len) = (number(input)?, number(input)?);
    let (key, value) = (split(input, key_len)?, split(input, value_len)?);
    match kind {
        0 => Ok(Op::Put { table, key, value }),
        1 if value.is_empty() => Ok(Op::Delete { table, key }),
        1 => Err(Malformed("a delete has a value")),
        2 if key.is_empty() && value.is_empty() => Ok(Op::Clear { table }),
        2 => Err(Malformed("a clear has a key or value")),
        _ => Err(Malformed("unknown operation")),
    }
}

/// The keys of `transaction.get-many`.
pub fn keys(packed: &[u8]) -> Items<'_, &[u8]> {
    Items { input: packed, item: key }
}

fn key<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = number(input)?;
    split(input, length)
}

/// Appends an answer of `get-many`.
pub fn push_value(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        None => out.extend_from_slice(&u32::MAX.to_le_bytes()),
        Some(value) => {
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.extend_from_slice(value);
        }
    }
}

/// Appends an entry of a scan.
pub fn push_entry(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// Appends a write operation.
pub fn push_op(op: Op<'_>, out: &mut Vec<u8>) {
    let (kind, key, value): (u8, &[u8], &[u8]) = match op {
        Op::Put { key, value, .. } => (0, key, value),
        Op::Delete { key, .. } => (1, key, &[]),
        Op::Clear { .. } => (2, &[], &[]),
    };
    out.push(kind);
    out.extend_from_slice(&op.table().to_le_bytes());
    push_entry(key, value, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_come_back() {
        let given = [
            Op::Put { table: 3, key: b"k", value: b"value" },
            Op::Put { table: 0, key: b"", value: b"" },
            Op::Delete { table: 513, key: b"key" },
            Op::Clear { table: 65535 },
        ];
        let mut packed = Vec::new();
        given.iter().for_each(|op| push_op(*op, &mut packed));
        assert_eq!(ops(&packed).collect::<Result<Vec<_>, _>>().unwrap(), given);
    }

    #[test]
    fn every_truncation_is_malformed_or_shorter() {
        let mut packed = Vec::new();
        push_op(Op::Put { table: 1, key: b"key", value: b"value" }, &mut packed);
        for length in 1..packed.len() {
            assert!(ops(&packed[..length]).any(|op| op.is_err()), "{length}");
        }
        let mut bytes = 3u32.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"ab");
        assert!(keys(&bytes).any(|key| key.is_err()));
    }

    #[test]
    fn huge_lengths_are_malformed() {
        let mut packed = vec![0, 0, 0];
        packed.extend_from_slice(&u32::MAX.to_le_bytes());
        packed.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(ops(&packed).all(|op| op.is_err()));
    }

    #[test]
    fn operations_that_do_not_exist_are_malformed() {
        let mut packed = Vec::new();
        push_op(Op::Clear { table: 1 }, &mut packed);
        packed[0] = 7;
        assert_eq!(ops(&packed).next(), Some(Err(Malformed("unknown operation"))));
    }
}
