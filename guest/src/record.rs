//! Records: what a primary table holds.
//!
//! On disk a record is a msgpack map whose keys are the names of the fields, so
//! that a field can be added later: a reader ignores what it does not know and
//! gives what is missing its default. Fields that were added after the SQLite
//! schema (`later`) are written only where they differ from their default, so
//! that the map has exactly the columns of the reference otherwise.
//!
//! Decoding borrows from the bytes. It first expects the fields in the order
//! they are written in, which costs a comparison a field; anything else goes
//! through `rmp_serde`. Both read the same values from the same bytes, and neither
//! takes anything but one map that fills the value.

use crate::error::{Error, Result};
use crate::index::Sink;
use crate::key::{self, Key};
use crate::table::{Counter, Table};

/// A record of a primary table, borrowed from the bytes it was decoded from.
pub trait Record<'a>: Sized {
    /// The row type that import and export use.
    type Row;
    /// The table.
    const TABLE: Table;
    /// The counter that numbers these records, if one does.
    const COUNTER: Option<Counter> = None;
    /// False if the key's parts are not in the value.
    const KEY_IN_VALUE: bool = true;

    /// Its logical key.
    fn key(&self) -> Key;
    /// Appends its value.
    fn encode(&self, out: &mut Vec<u8>);
    /// From the logical key, which is only looked at if `KEY_IN_VALUE` is
    /// false, and the value.
    fn decode(key: &'a [u8], value: &'a [u8]) -> Option<Self>;
    /// Names every index entry that this record has.
    fn index(&self, sink: &mut dyn Sink);
    /// The number that the counter gave it.
    fn number(&self) -> Option<u64> {
        None
    }
    /// What is wrong with its values, for `verify`: the record is sound, but a
    /// column does not hold what it should.
    fn warnings(&self, _report: &mut dyn FnMut(&str)) {}
    /// From a row.
    fn from_row(row: &'a Self::Row) -> Self;
    /// As a row.
    fn into_row(self) -> Self::Row;
}

/// Decodes a stored value, given its physical key.
pub fn decode<'a, R: Record<'a>>(physical: &'a [u8], value: &'a [u8]) -> Result<R> {
    let (logical, value) = if !R::KEY_IN_VALUE && key::is_cut(physical) {
        // The key in front has to be the one that was cut.
        let split = key::split_value(value).filter(|(logical, _)| key::is_cut_of(physical, logical));
        split.ok_or_else(|| corrupt(R::TABLE, physical))?
    } else {
        (physical, value)
    };
    R::decode(logical, value).ok_or_else(|| corrupt(R::TABLE, physical))
}

/// The error for an entry that cannot be decoded.
pub fn corrupt(table: Table, physical: &[u8]) -> Error {
    Error::Corrupt(format!("table {}, key {}: the value cannot be decoded", table.name(), key::printable(physical)))
}

/// Declares a record: the struct, its msgpack form and its row form.
macro_rules! record {
    (
        $(#[$doc:meta])*
        $name:ident as $row:ident {
            $($(#[$attr:meta])* $field:ident: $type:ty,)+
        }
        $(later { $($(#[$later_attr:meta])* $later:ident: $later_type:ty,)+ })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(default)]
        #[allow(missing_docs, reason = "the fields are those of the WIT record")]
        pub struct $name<'a> {
            $($(#[$attr])* pub $field: $type,)+
            $($($(#[$later_attr])* pub $later: $later_type,)+)?
        }

        impl<'a> $name<'a> {
            /// Appends the msgpack form.
            pub fn write(&self, out: &mut Vec<u8>) {
                #[allow(unused_imports)]
                use $crate::field::{self, Field};
                let fields = [$(stringify!($field),)+].len() $($(+ usize::from(!self.$later.is_default()))+)?;
                field::write_map_len(fields, out);
                $(
                    field::write_str(stringify!($field), out);
                    self.$field.write(out);
                )+
                $($(if !self.$later.is_default() {
                    field::write_str(stringify!($later), out);
                    self.$later.write(out);
                })+)?
            }

            /// Reads the msgpack form.
            pub fn read(bytes: &'a [u8]) -> Option<Self> {
                Self::read_in_order(bytes).or_else(|| Self::read_in_any_order(bytes))
            }

            /// Reads what `write` wrote, or who else keeps its order: a comparison a field.
            pub(crate) fn read_in_order(bytes: &'a [u8]) -> Option<Self> {
                use $crate::field::{self, Field};
                let mut input = bytes;
                #[allow(unused_mut)]
                let mut left = field::read_map_len(&mut input)?.checked_sub([$(stringify!($field),)+].len())?;
                let record = $name {
                    $($field: {
                        if !field::read_name(&mut input, stringify!($field)) {
                            return None;
                        }
                        Field::read(&mut input)?
                    },)+
                    $($($later: if left > 0 && field::read_name(&mut input, stringify!($later)) {
                        left -= 1;
                        Field::read(&mut input)?
                    } else {
                        Default::default()
                    },)+)?
                };
                (left == 0 && input.is_empty()).then_some(record)
            }

            /// Reads a map with any fields in any order.
            pub(crate) fn read_in_any_order(bytes: &'a [u8]) -> Option<Self> {
                $crate::field::read_map(bytes)
            }

            /// Borrows from the row type.
            pub fn borrow_row(row: &'a $crate::types::$row) -> Self {
                use $crate::field::Field;
                $name {
                    $($field: Field::from_wit(&row.$field),)+
                    $($($later: Field::from_wit(&row.$later),)+)?
                }
            }

            /// Copies into the row type.
            pub fn into_wit(self) -> $crate::types::$row {
                use $crate::field::Field;
                $crate::types::$row {
                    $($field: Field::into_wit(self.$field),)+
                    $($($later: Field::into_wit(self.$later),)+)?
                }
            }
        }
    };
}

/// The parts of [`Record`] that are the same for every record whose value is
/// its msgpack form.
macro_rules! msgpack_record {
    ($row:ident, $table:ident) => {
        type Row = $crate::types::$row;
        const TABLE: $crate::table::Table = $crate::table::Table::$table;

        fn encode(&self, out: &mut Vec<u8>) {
            self.write(out);
        }
        fn decode(_key: &'a [u8], value: &'a [u8]) -> Option<Self> {
            Self::read(value)
        }
        fn from_row(row: &'a Self::Row) -> Self {
            Self::borrow_row(row)
        }
        fn into_row(self) -> Self::Row {
            self.into_wit()
        }
    };
}

/// The same, for records that a counter numbers.
macro_rules! numbered {
    ($counter:ident) => {
        const COUNTER: Option<$crate::table::Counter> = Some($crate::table::Counter::$counter);

        fn number(&self) -> Option<u64> {
            Some(self.id)
        }
    };
}

pub(crate) use {msgpack_record, numbered, record};
