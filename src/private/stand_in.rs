//! STAND-IN, to be deleted with the first engine: `emit` keeps records in a list of the thread's, printed by a poor
//! copy of the decoder, so that the macros can be tested before there are rings.
#![allow(unsafe_code, reason = "a stand-in: writes an argument list into a vector")]
#![allow(missing_docs, missing_debug_implementations, clippy::exhaustive_structs, reason = "a stand-in")]

use std::cell::RefCell;
use std::fmt::{Debug, Display, LowerHex};
use std::sync::{Arc, OnceLock};

use super::{Callsite, Count, Kind, Level, Metadata, Piece, Spec, Style};
use crate::callsite::{DISABLED, Dictionary, Schema, Type, Verdicts};
use crate::record::encode::Arguments;

/// One record, as text.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    pub level: Level,
    pub target: &'static str,
    pub module_path: &'static str,
    pub line: u32,
    pub message: String,
    pub fields: Vec<(&'static str, String)>,
    pub types: Vec<Type>,
}

/// Stands for the engine's handle.
#[derive(Default)]
pub struct Logger {
    seen: RefCell<Vec<Seen>>,
}

impl Logger {
    pub fn take(&self) -> Vec<Seen> {
        self.seen.take()
    }
}

thread_local!(static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) });

/// What this thread logged without `logger:`, and forgets it.
pub fn take() -> Vec<Seen> {
    SEEN.take()
}

pub fn emit<A: Arguments>(callsite: &'static Callsite, gate: u64, args: A) {
    let seen = collect(callsite, gate, args);
    SEEN.with_borrow_mut(|all| all.extend(seen));
}

pub fn emit_to<A: Arguments>(logger: &Logger, callsite: &'static Callsite, gate: u64, args: A) {
    let seen = collect(callsite, gate, args);
    logger.seen.borrow_mut().extend(seen);
}

/// Everything is enabled but what has the target `off`.
fn dictionary() -> &'static Dictionary {
    static DICTIONARY: OnceLock<Dictionary> = OnceLock::new();
    DICTIONARY.get_or_init(|| {
        let dictionary = Dictionary::new();
        let judge = Arc::new(|metadata: &Metadata| metadata.target != "off");
        dictionary.join(0, judge, Arc::new(Verdicts::new()), true);
        dictionary
    })
}

#[inline(never)]
fn collect<A: Arguments>(callsite: &'static Callsite, gate: u64, mut args: A) -> Option<Seen> {
    if (gate >> 32) as u32 != A::HASH && dictionary().resolve(callsite, A::SCHEMA) as u32 == DISABLED {
        return None;
    }
    let mut scratch = Vec::new();
    args.format(&mut scratch);
    let mut words = vec![0_u64; args.words()];
    // SAFETY: the vector has as many words as the arguments say they need, and the scratch buffer is theirs.
    unsafe { args.write(&scratch, words.as_mut_ptr()) };
    Some(render(callsite.metadata(), A::SCHEMA, &words))
}

fn render(metadata: &'static Metadata, schema: &Schema, words: &[u64]) -> Seen {
    let mut rest = words;
    let types: Vec<Type> = schema.types().copied().collect();
    let values: Vec<Value> = types.iter().map(|of| decode(of, &mut rest)).collect();
    let mut message = String::new();
    for piece in metadata.pieces {
        match piece {
            Piece::Literal(text) => message += text,
            Piece::Argument(at, spec) => message += &values[*at].print(spec, &values),
        }
    }
    let named = metadata.fields.iter();
    let fields = named.map(|field| {
        let spec = if field.style == Style::Debug { Spec::DEBUG } else { Spec::DISPLAY };
        (field.name, values[field.argument].print(&spec, &values))
    });
    let fields = fields.collect();
    let Metadata { level, target, module_path, line, .. } = *metadata;
    Seen { level, target, module_path, line, message, fields, types }
}

enum Value {
    Number(i128),
    Float(f64),
    Text(String, bool),
    Other,
}

fn decode(of: &Type, words: &mut &[u64]) -> Value {
    let (first, rest) = words.split_first().expect("a word for each argument");
    *words = rest;
    match of {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Value::Number(i128::from(*first)),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => Value::Number(i128::from(*first as i64)),
        Type::F64 => Value::Float(f64::from_bits(*first)),
        Type::Bool => Value::Text((*first != 0).to_string(), false),
        Type::Str | Type::Text | Type::Error => {
            let len = *first as u32 as usize;
            let (text, rest) = rest.split_at(len.div_ceil(8));
            *words = rest;
            let mut bytes: Vec<u8> = text.iter().flat_map(|word| word.to_ne_bytes()).collect();
            bytes.truncate(len);
            if matches!(of, Type::Error) {
                bytes = chain(&bytes);
            }
            Value::Text(String::from_utf8(bytes).expect("text"), !matches!(of, Type::Str))
        }
        Type::List(_) | Type::Option(_) | Type::Tuple(_) => {
            *words = &[]; // must be last
            Value::Other
        }
        other => panic!("the stand-in cannot print {other:?}"),
    }
}

fn chain(mut bytes: &[u8]) -> Vec<u8> {
    let mut messages = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let (message, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages.join(&b": "[..])
}

impl Value {
    fn print(&self, spec: &Spec, values: &[Value]) -> String {
        let count = |count: Count| match count {
            Count::None => None,
            Count::Is(value) => Some(value),
            Count::Argument(at) => match values[at] {
                Value::Number(value) => Some(value as usize),
                _ => panic!("a count is a number"),
            },
        };
        let (width, precision) = (count(spec.width), count(spec.precision));
        match self {
            Value::Number(value) => pad(&leaf_hex(value, spec, precision), spec, width, true),
            Value::Float(value) => pad(&leaf(value, spec, precision), spec, width, true),
            Value::Text(text, true) => text.clone(),
            Value::Text(text, false) => pad(&leaf(&text.as_str(), spec, precision), spec, width, false),
            Value::Other => "other".to_owned(),
        }
    }
}

fn leaf_hex(value: &(impl Display + Debug + LowerHex), spec: &Spec, precision: Option<usize>) -> String {
    match (spec.kind, spec.alternate) {
        (Kind::LowerHex, true) => format!("{value:#x}"),
        (Kind::LowerHex, false) => format!("{value:x}"),
        _ => leaf(value, spec, precision),
    }
}

fn leaf(value: &(impl Display + Debug), spec: &Spec, precision: Option<usize>) -> String {
    match (spec.kind, precision, spec.plus) {
        (Kind::Display, None, false) => format!("{value}"),
        (Kind::Display, None, true) => format!("{value:+}"),
        (Kind::Display, Some(precision), false) => format!("{value:.precision$}"),
        (Kind::Display, Some(precision), true) => format!("{value:+.precision$}"),
        (Kind::Debug, None, _) => format!("{value:?}"),
        (Kind::Debug, Some(precision), _) => format!("{value:.precision$?}"),
        other => panic!("the stand-in cannot print {other:?}"),
    }
}

fn pad(text: &str, spec: &Spec, width: Option<usize>, number: bool) -> String {
    use super::Align;
    let missing = width.unwrap_or(0).saturating_sub(text.chars().count());
    let (fill, align) = if spec.zero { ('0', Align::Right) } else { (spec.fill, spec.align) };
    let left = match align {
        Align::Left => 0,
        Align::Right => missing,
        Align::Center => missing / 2,
        Align::Unset => {
            if number {
                missing
            } else {
                0
            }
        }
    };
    let fill = |count| std::iter::repeat_n(fill, count).collect::<String>();
    fill(left) + text + &fill(missing - left)
}
