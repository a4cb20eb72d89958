//! Component values as JSON, and back.
//!
//! One encoding for the command line's `--json`, for its calls as JSON and for
//! the recorded calls that every language's host replays:
//!
//! | WIT | JSON |
//! |---|---|
//! | bool, string, integers | themselves; integers are exact, also beyond 2^53 |
//! | f64 | a number; `"inf"`, `"-inf"` and `"nan"`, which JSON cannot write |
//! | `list<u8>` | its bytes as base64 |
//! | list, tuple | an array |
//! | record | an object, names as in WIT |
//! | enum, variant without payload | the case as a string |
//! | variant with payload | `{"case": payload}` |
//! | option | `null` or the value |

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use wasmtime::component::{Type, Val};

use crate::tracker::type_name;

/// A JSON value that does not fit the type it is for.
#[derive(Debug, thiserror::Error)]
#[error("{value} is not a {expected}")]
pub struct Unfit {
    /// The value.
    pub value: Value,
    /// The type, as WIT writes it.
    pub expected: String,
}

/// A JSON value as a component's, given its type.
///
/// # Errors
///
/// If the value is not of the type; fields of a record that it does not have are an error, too.
pub fn to_val(value: &Value, ty: &Type) -> Result<Val, Unfit> {
    let unfit = || Unfit { value: value.clone(), expected: type_name(ty) };
    let natural = || value.as_u64().ok_or_else(unfit);
    let integer = || value.as_i64().ok_or_else(unfit);
    Ok(match ty {
        Type::Bool => Val::Bool(value.as_bool().ok_or_else(unfit)?),
        Type::U8 => Val::U8(natural()?.try_into().map_err(|_| unfit())?),
        Type::U16 => Val::U16(natural()?.try_into().map_err(|_| unfit())?),
        Type::U32 => Val::U32(natural()?.try_into().map_err(|_| unfit())?),
        Type::U64 => Val::U64(natural()?),
        Type::S8 => Val::S8(integer()?.try_into().map_err(|_| unfit())?),
        Type::S16 => Val::S16(integer()?.try_into().map_err(|_| unfit())?),
        Type::S32 => Val::S32(integer()?.try_into().map_err(|_| unfit())?),
        Type::S64 => Val::S64(integer()?),
        Type::Float64 => Val::Float64(to_float(value).ok_or_else(unfit)?),
        Type::String => Val::String(value.as_str().ok_or_else(unfit)?.to_owned()),
        Type::List(list) => match list.ty() {
            Type::U8 => {
                let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(unfit)?;
                Val::List(bytes.into_iter().map(Val::U8).collect())
            }
            ty => {
                let items = value.as_array().ok_or_else(unfit)?;
                Val::List(items.iter().map(|item| to_val(item, &ty)).collect::<Result<_, _>>()?)
            }
        },
        Type::Tuple(tuple) => {
            let items = value.as_array().filter(|items| items.len() == tuple.types().len()).ok_or_else(unfit)?;
            Val::Tuple(items.iter().zip(tuple.types()).map(|(item, ty)| to_val(item, &ty)).collect::<Result<_, _>>()?)
        }
        Type::Record(record) => {
            let given = value.as_object().filter(|given| given.len() == record.fields().len()).ok_or_else(unfit)?;
            let fields = record.fields().map(|field| {
                let value = given.get(field.name).ok_or_else(unfit)?;
                Ok((field.name.to_owned(), to_val(value, &field.ty)?))
            });
            Val::Record(fields.collect::<Result<_, _>>()?)
        }
        Type::Option(_) if value.is_null() => Val::Option(None),
        Type::Option(option) => Val::Option(Some(Box::new(to_val(value, &option.ty())?))),
        Type::Enum(cases) => {
            let case = value.as_str().filter(|given| cases.names().any(|name| name == *given)).ok_or_else(unfit)?;
            Val::Enum(case.to_owned())
        }
        Type::Variant(variant) => {
            let (case, payload) = match value {
                Value::String(case) => (case, None),
                Value::Object(fields) if fields.len() == 1 => {
                    fields.iter().next().map(|(case, payload)| (case, Some(payload))).ok_or_else(unfit)?
                }
                _ => return Err(unfit()),
            };
            let known = variant.cases().find(|known| known.name == case).ok_or_else(unfit)?;
            match (payload, known.ty) {
                (None, None) => Val::Variant(case.clone(), None),
                (Some(payload), Some(ty)) => Val::Variant(case.clone(), Some(Box::new(to_val(payload, &ty)?))),
                _ => return Err(unfit()),
            }
        }
        _ => return Err(unfit()),
    })
}

fn to_float(value: &Value) -> Option<f64> {
    match value.as_str() {
        None => value.as_f64(),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some("nan") => Some(f64::NAN),
        Some(_) => None,
    }
}

/// A component's value as JSON, given its type.
pub fn from_val(value: &Val, ty: &Type) -> Value {
    match (value, ty) {
        (Val::Bool(value), _) => json!(value),
        (Val::S8(value), _) => json!(value),
        (Val::U8(value), _) => json!(value),
        (Val::S16(value), _) => json!(value),
        (Val::U16(value), _) => json!(value),
        (Val::S32(value), _) => json!(value),
        (Val::U32(value), _) => json!(value),
        (Val::S64(value), _) => json!(value),
        (Val::U64(value), _) => json!(value),
        (Val::Float32(value), _) => float(f64::from(*value)),
        (Val::Float64(value), _) => float(*value),
        (Val::Char(value), _) => json!(value),
        (Val::String(value), _) => json!(value),
        (Val::Enum(case), _) => json!(case),
        (Val::Flags(flags), _) => json!(flags),
        (Val::List(items), Type::List(list)) => match list.ty() {
            Type::U8 => {
                let bytes: Vec<u8> =
                    items.iter().filter_map(|item| if let Val::U8(byte) = item { Some(*byte) } else { None }).collect();
                Value::String(STANDARD.encode(bytes))
            }
            ty => items.iter().map(|item| from_val(item, &ty)).collect(),
        },
        (Val::Tuple(items), Type::Tuple(tuple)) => {
            items.iter().zip(tuple.types()).map(|(item, ty)| from_val(item, &ty)).collect()
        }
        (Val::Record(fields), Type::Record(record)) => {
            let mut object = Map::new();
            for ((name, value), field) in fields.iter().zip(record.fields()) {
                object.insert(name.clone(), from_val(value, &field.ty));
            }
            Value::Object(object)
        }
        (Val::Option(None), _) => Value::Null,
        (Val::Option(Some(value)), Type::Option(option)) => from_val(value, &option.ty()),
        (Val::Variant(case, payload), Type::Variant(variant)) => {
            let ty = variant.cases().find(|given| given.name == case).and_then(|given| given.ty);
            match (payload, ty) {
                (Some(payload), Some(ty)) => json!({ case: from_val(payload, &ty) }),
                _ => json!(case),
            }
        }
        (Val::Result(result), Type::Result(ty)) => {
            let (case, payload, ty) = match result {
                Ok(payload) => ("ok", payload, ty.ok()),
                Err(payload) => ("error", payload, ty.err()),
            };
            let payload = payload.as_deref().zip(ty).map_or(Value::Null, |(value, ty)| from_val(value, &ty));
            json!({ case: payload })
        }
        (other, _) => json!(format!("{other:?}")),
    }
}

fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| json!(value.to_string().to_lowercase()), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_floats_always_valid_json() {
        assert_eq!(from_val(&Val::U64(u64::MAX), &Type::U64).to_string(), "18446744073709551615");
        assert_eq!(from_val(&Val::Float64(0.1), &Type::Float64).to_string(), "0.1");
        assert_eq!(from_val(&Val::Float64(f64::NEG_INFINITY), &Type::Float64).to_string(), "\"-inf\"");
        assert_eq!(from_val(&Val::Float64(f64::NAN), &Type::Float64).to_string(), "\"nan\"");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let back = |value: Value, ty: Type| to_val(&value, &ty).map(|back| from_val(&back, &ty) == value);
        assert!(back(json!(u64::MAX), Type::U64).unwrap());
        assert!(back(json!(i64::MIN), Type::S64).unwrap());
        assert!(back(json!("-inf"), Type::Float64).unwrap());
        assert!(back(json!("nan"), Type::Float64).unwrap());
        for (value, ty) in [
            (json!(-1), Type::U64),
            (json!(1.5), Type::S64),
            (json!(1_u64 << 32), Type::U32),
            (json!("1"), Type::U64),
            (json!("many"), Type::Float64),
            (json!(null), Type::String),
        ] {
            assert!(to_val(&value, &ty).is_err(), "{value}");
        }
        assert_eq!(to_val(&json!(-1), &Type::U64).unwrap_err().to_string(), "-1 is not a u64");
    }
}
