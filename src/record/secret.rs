//! A value that never reaches a ring.

use std::fmt::{self, Debug, Display};

/// What stands for it in every format.
pub(crate) const REDACTED: &str = "[redacted]";

/// A value that is logged as `[redacted]`: in messages, in fields, within other values, in every format.
///
/// Its bytes are not copied into the ring, so no handler, format or dump of memory that treering owns has them. Wrap it
/// at the call, or keep it wrapped where it lives; `.0` is the value. Fields of types that derive
/// [`Encode`](crate::Encode) can be `#[encode(redact)]` instead.
///
/// The value's own memory is not its matter: it does not erase it.
///
/// ```
/// use treering::Secret;
/// # let capture = treering::handler::Capture::new();
/// # let (logger, guard) = treering::builder().handler(capture.clone()).start().unwrap();
/// let token = String::from("hunter2");
/// treering::info!(logger: logger, token = Secret(&token), "login with {:?}", Some(Secret(&token)));
/// # drop(guard);
/// assert_eq!(capture.records()[0].message(), "login with Some([redacted])");
/// assert_eq!(capture.records()[0].field("token").unwrap().text(), "[redacted]");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "wraps and unwraps")]
pub struct Secret<T: ?Sized>(pub T);

impl<T: ?Sized> Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T: ?Sized> Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}
