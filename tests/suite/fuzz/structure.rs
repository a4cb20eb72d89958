//! Mutations that know what an input is.

use fastrand::Rng;
use rmpv::Value;
use serde_json::Value as Json;

/// Changes fields of a record in place, in order, in type; see `targets::records` for the input.
pub fn record(input: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let key_end = 2 + usize::from(*input.get(1)?);
    let (head, value) = input.split_at_checked(key_end)?;
    let Ok(Value::Map(mut fields)) = rmpv::decode::read_value(&mut { value }) else { return None };
    match rng.u8(..6) {
        0 => rng.shuffle(&mut fields),
        1 if !fields.is_empty() => drop(fields.remove(rng.usize(..fields.len()))),
        2 if !fields.is_empty() => {
            let twice = fields[rng.usize(..fields.len())].clone();
            fields.push(twice);
        }
        3 => {
            let at = rng.usize(..=fields.len());
            fields.insert(at, (Value::from("later"), msgpack(rng, 3)));
        }
        _ if !fields.is_empty() => {
            let at = rng.usize(..fields.len());
            fields[at].1 = msgpack(rng, 2);
        }
        _ => {}
    }
    let mut out = head.to_vec();
    rmpv::encode::write_value(&mut out, &Value::Map(fields)).ok()?;
    Some(out)
}

fn msgpack(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..if depth == 0 { 9 } else { 11 }) {
        0 => Value::Nil,
        1 => Value::from(rng.bool()),
        2 => Value::from(rng.u64(..) >> rng.u32(..64)),
        3 => Value::from(rng.i64(..) >> rng.u32(..64)),
        4 => Value::from(f64::from_bits(rng.u64(..))),
        5 => Value::from(f32::from_bits(rng.u32(..))),
        6 => Value::from(rng.u8(..2)),
        7 => Value::from(text(rng)),
        8 => Value::Binary(text(rng).into_bytes()),
        9 => Value::Array((0..rng.usize(..4)).map(|_| msgpack(rng, depth - 1)).collect()),
        _ => Value::Map((0..rng.usize(..3)).map(|_| (msgpack(rng, 0), msgpack(rng, depth - 1))).collect()),
    }
}

fn text(rng: &mut Rng) -> String {
    (0..rng.usize(..40))
        .map(|_| *rng.choice(&['a', '/', '"', '\\', '\0', '\u{1}', 'é', '🦀', '[', ',']).unwrap())
        .collect()
}

/// Changes a value in a JSON document, or lines of them.
pub fn json(input: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = rng.usize(..lines.len());
    let mut document: Json = serde_json::from_slice(&lines[at]).ok()?;
    let steps = rng.usize(..4);
    change(&mut document, steps, rng);
    lines[at] = serde_json::to_vec(&document).ok()?;
    Some(lines.join(&b'\n'))
}

fn change(value: &mut Json, steps: usize, rng: &mut Rng) {
    match value {
        Json::Array(items) if steps > 0 && !items.is_empty() => {
            let at = rng.usize(..items.len());
            return change(&mut items[at], steps - 1, rng);
        }
        Json::Object(fields) if steps > 0 && !fields.is_empty() => {
            let at = rng.usize(..fields.len());
            if let Some((_, field)) = fields.iter_mut().nth(at) {
                return change(field, steps - 1, rng);
            }
        }
        _ => {}
    }
    *value = match rng.u8(..9) {
        0 => Json::Null,
        1 => Json::from(rng.bool()),
        2 => Json::from(rng.u64(..) >> rng.u32(..64)),
        3 => Json::from(rng.i64(..) >> rng.u32(..64)),
        4 => Json::from(f64::from_bits(rng.u64(..))),
        5 => Json::from(*rng.choice(&["inf", "-inf", "nan", "", "symbols", "{}", "[\"a\"]"]).unwrap()),
        6 => Json::from(text(rng)),
        7 => Json::from(vec![text(rng)]),
        _ => Json::from(u64::MAX),
    };
}

/// Adds a change to a database; see `targets::sqlite`.
pub fn edit(input: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let mut out = input[..input.len() / 5 * 5].to_vec();
    // Half of them in the first pages, which hold the header and the schema.
    let place = if rng.bool() { rng.u32(..4096) } else { rng.u32(..1 << 24) };
    out.extend_from_slice(&place.to_be_bytes()[1..]);
    out.push(if rng.u8(..40) == 0 { 255 } else { rng.u8(..2) });
    out.push(rng.u8(..));
    Some(out)
}
