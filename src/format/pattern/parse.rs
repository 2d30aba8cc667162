//! From a pattern's text to its parts, or to an error that points at the place.
//!
//! ```text
//! pattern   = { text | "{{" | "}}" | "{" name [ ":" spec ] "}" }
//! spec      = directives                                          for `time`, if there is a "%"
//!           | [ [ fill ] align ] [ width ] [ "." most ]
//! align     = "<" | "^" | ">"
//! ```

use std::ops::Range;

use super::{Attribute, Brush, Layout, Part};
use crate::callsite::Align;
use crate::error::Error;
use crate::format::directive::{Directive, Problem};
use crate::format::lower;
use crate::format::time::{Time, Zone};
use crate::format::timestamp::Clockface;
use crate::level::Level;

/// The widest column, and the most characters: std's own limit.
const COUNT_MAX: usize = u16::MAX as usize;

/// For whom writes a name that there is not.
const NAMES: &str = "time level level.lower level.short target module file file.name line message fields field.… spans thread \
    thread.name thread.id process.id process.name color dim reset newline";

pub(super) fn parts(text: &str) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut painted = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        rest = &rest[c.len_utf8()..];
        match c {
            '{' | '}' if rest.starts_with(c) => {
                literal.push(c);
                rest = &rest[1..];
            }
            '{' => {
                let placeholder = placeholder(rest).map_err(|problem| error(text, problem.behind(at + 1)))?;
                rest = &rest[placeholder.len() + 1..];
                let is_after_space = literal.ends_with(' ');
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                let part = part(placeholder, is_after_space).and_then(|part| {
                    pair(&part, at..at + placeholder.len(), &mut painted)?;
                    Ok(part)
                });
                parts.push(part.map_err(|problem| error(text, problem.behind(at + 1)))?);
            }
            '}' => {
                return Err(error(
                    text,
                    Problem::at(at..at + 1, "no `{` opens this: a brace itself is `}}`"),
                ));
            }
            _ => literal.push(c),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    match painted {
        Some(place) => Err(error(text, Problem::at(place, "no `{reset}` ends this").behind(1))),
        None => Ok(parts),
    }
}

/// A colour ends before the next one begins, and before the line does.
fn pair(part: &Part, place: Range<usize>, painted: &mut Option<Range<usize>>) -> Result<(), Problem> {
    let problem = |text| Err(Problem::at(0..place.len(), text));
    match part {
        Part::Paint(Brush::Reset) if painted.take().is_none() => {
            problem("this ends a `{color}` or a `{dim}`, and none was begun")
        }
        Part::Paint(Brush::Color | Brush::Dim) if painted.is_some() => {
            problem("another colour: the one before wants a `{reset}` first")
        }
        Part::Paint(Brush::Color | Brush::Dim) => {
            *painted = Some(place);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What stands between `{` and `}`.
fn placeholder(rest: &str) -> Result<&str, Problem> {
    match rest.find(['{', '}']) {
        Some(end) if rest[end..].starts_with('}') => Ok(&rest[..end]),
        end => {
            let end = end.unwrap_or(rest.len()).max(1);
            Err(Problem::at(0..end, "no `}` closes this: a brace itself is `{{`"))
        }
    }
}

fn part(placeholder: &str, is_after_space: bool) -> Result<Part, Problem> {
    let (name, spec) = placeholder.split_once(':').unwrap_or((placeholder, ""));
    let in_spec = |problem: Problem| problem.behind(name.len() + 1);
    if name == "newline" && spec.is_empty() {
        return Ok(Part::Literal("\n".to_owned()));
    }
    if let Some(brush) = brush(name).filter(|_| spec.is_empty()) {
        return Ok(Part::Paint(brush));
    }
    if name == "time" && spec.contains('%') {
        let directives = Directive::parse(spec).map_err(in_spec)?;
        let face = Clockface::of(&directives, Zone::Utc);
        return Ok(Part::Attribute(Attribute::Time(face), Layout { is_after_space, ..Layout::PLAIN }));
    }
    let attribute = attribute(name)
        .ok_or_else(|| Problem::at(0..name.len(), format!("no attribute `{name}`: there are {NAMES}")))?;
    let layout = layout(spec).map_err(in_spec)?;
    Ok(Part::Attribute(attribute, Layout { is_after_space, ..layout }))
}

fn brush(name: &str) -> Option<Brush> {
    match name {
        "color" => Some(Brush::Color),
        "dim" => Some(Brush::Dim),
        "reset" => Some(Brush::Reset),
        _ => None,
    }
}

fn attribute(name: &str) -> Option<Attribute> {
    Some(match name {
        "time" => Attribute::Timestamp(Clockface::new(&Time::utc())),
        "level" => Attribute::Level(Level::as_str),
        "level.lower" => Attribute::Level(lower),
        "level.short" => Attribute::Level(|level| &level.as_str()[..1]),
        "target" => Attribute::Target,
        "module" => Attribute::Module,
        "file" => Attribute::File,
        "file.name" => Attribute::FileName,
        "line" => Attribute::Line,
        "message" => Attribute::Message,
        "fields" => Attribute::Fields,
        "spans" => Attribute::Spans,
        "thread" => Attribute::Thread,
        "thread.name" => Attribute::ThreadName,
        "thread.id" => Attribute::ThreadId,
        "process.id" => Attribute::ProcessId,
        "process.name" => Attribute::Constant(process_name()),
        _ => Attribute::Field(name.strip_prefix("field.").filter(|field| !field.is_empty())?.to_owned()),
    })
}

/// The file name of the program; nothing where the system does not tell.
fn process_name() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn layout(spec: &str) -> Result<Layout, Problem> {
    let mut layout = Layout::PLAIN;
    let mut chars = spec.chars();
    let mut rest = spec;
    if let (Some(first), second) = (chars.next(), chars.next()) {
        if let Some(align) = second.and_then(align_of) {
            (layout.fill, layout.align, rest) = (first, align, chars.as_str());
        } else if let Some(align) = align_of(first) {
            (layout.align, rest) = (align, &spec[first.len_utf8()..]);
        }
    }
    let start = spec.len() - rest.len();
    let (width, most) = rest.split_once('.').map_or((rest, None), |(width, most)| (width, Some(most)));
    if !width.is_empty() {
        layout.width = count(width).map_err(|problem| problem.behind(start))?;
    }
    if let Some(most) = most {
        let chars_max = count(most).map_err(|problem| problem.behind(start + width.len() + 1))?;
        layout.chars_max = Some(chars_max);
    }
    Ok(layout)
}

fn align_of(c: char) -> Option<Align> {
    match c {
        '<' => Some(Align::Left),
        '^' => Some(Align::Center),
        '>' => Some(Align::Right),
        _ => None,
    }
}

fn count(text: &str) -> Result<usize, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_number && *number <= COUNT_MAX);
    number.ok_or_else(|| {
        let said =
            "a layout is an alignment, a width and a point with the most characters: `>5`, `-^20.20`, `.80`";
        Problem::at(0..text.len().max(1), format!("{said}; both at most {COUNT_MAX}"))
    })
}

/// The problem, and under it the line of the pattern that has it, with a mark at the place.
fn error(pattern: &str, Problem { at, text }: Problem) -> Error {
    let start = pattern[..at.start].rfind('\n').map_or(0, |end| end + 1);
    let line = pattern[start..].lines().next().unwrap_or_default();
    // One column each, so that the mark stands where it shall.
    let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let before = pattern[start..at.start].chars().count();
    let marked = pattern.get(at.clone()).map_or(1, |marked| marked.chars().count().max(1));
    Error::config(format!("pattern: {text}\n  {shown}\n  {}{}", " ".repeat(before), "^".repeat(marked)))
}
