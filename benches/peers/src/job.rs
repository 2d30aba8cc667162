//! What a child is told to do. All children get it as the same arguments, in whatever language they are written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One run of one logger.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Job {
    pub kind: Kind,
    pub full: Full,
    pub shape: Shape,
    /// Threads that log.
    pub threads: u32,
    /// Calls of each thread.
    pub calls: u64,
    /// Calls that follow each other without a pause.
    pub burst: u64,
    /// Between two bursts.
    pub pause_us: u64,
    /// Of a message, or of the string among the fields.
    pub bytes: usize,
}

/// A set of names that are also arguments.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
        pub enum $name { $($(#[$what])* $variant),* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $word),* })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word { $($word => Ok($name::$variant),)* _ => Err(format!("{word} is not known")) }
            }
        }
    };
}

words! {
    Kind {
        /// Each call is timed, or each burst.
        Latency = "latency",
        /// Calls without a pause; timed until the last byte is in the file.
        FlatOut = "flat_out",
        /// Calls that nobody listens to.
        Disabled = "disabled",
    }
}

words! {
    /// What a call does that finds no room.
    Full {
        Wait = "wait",
        Drop = "drop",
    }
}

words! {
    /// The arguments of a call.
    Shape {
        /// Two integers and a float.
        Numbers = "numbers",
        /// A string.
        Text = "text",
        /// Four fields, two of them strings; in the message where a logger has no fields.
        Fields = "fields",
        /// As `Numbers`; the first one is the time of the call on the monotonic clock, in nanoseconds.
        Stamp = "stamp",
    }
}

impl Shape {
    /// What each line has, and no line that the logger adds.
    pub fn mark(self) -> &'static str {
        match self {
            Shape::Numbers | Shape::Stamp => "filled ",
            Shape::Text => "said ",
            Shape::Fields => "request",
        }
    }
}

impl Job {
    /// Records that the child offers, but for the warm-up.
    pub fn records(&self) -> u64 {
        self.calls * u64::from(self.threads)
    }

    /// Between bursts a single thread is busy, as a server is. Where threads share cores, or calls come alone, it sleeps.
    pub fn sleeps(&self) -> bool {
        self.threads > 1 || self.burst == 1
    }

    pub fn arguments(&self) -> [String; 8] {
        let Job { kind, full, shape, threads, calls, burst, pause_us, bytes } = self;
        [
            kind.to_string(),
            full.to_string(),
            shape.to_string(),
            threads.to_string(),
            calls.to_string(),
            burst.to_string(),
            pause_us.to_string(),
            bytes.to_string(),
        ]
    }

    /// From the arguments of [`Job::arguments`].
    pub fn parse(arguments: &[String]) -> Result<Job, String> {
        let [kind, full, shape, threads, calls, burst, pause_us, bytes] = arguments else {
            return Err(format!("eight arguments make a job, not {arguments:?}"));
        };
        let number = |word: &String| word.parse::<u64>().map_err(|error| format!("{word}: {error}"));
        Ok(Job {
            kind: kind.parse()?,
            full: full.parse()?,
            shape: shape.parse()?,
            threads: number(threads)? as u32,
            calls: number(calls)?,
            burst: number(burst)?,
            pause_us: number(pause_us)?,
            bytes: number(bytes)? as usize,
        })
    }
}
