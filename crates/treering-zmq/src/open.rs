//! Sockets, as they are opened: contexts of their own, options, addresses.
//!
//! A socket of libzmq may be used by one thread at a time. The types of this crate own theirs and lend it to nobody, so
//! there is no wrong use to warn of.

use std::time::Duration;

use zmq::{Context, Socket, SocketType};

use crate::Error;

/// Whether a socket waits for its peers, or goes to one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Bind,
    Connect,
}

/// A socket in a context of its own, whose end waits for nobody else's sockets.
pub(crate) fn socket(kind: SocketType) -> Result<(Context, Socket), Error> {
    let context = Context::new();
    let socket = context.socket(kind).map_err(Error::doing("make a socket"))?;
    Ok((context, socket))
}

/// Where it is bound or connected: the address with its port, where the system chose that.
pub(crate) fn attach(socket: &Socket, way: Way, uri: &str) -> Result<String, Error> {
    if uri.contains('\0') {
        return Err(Error::config("an address holds a NUL"));
    }
    match way {
        Way::Bind => socket.bind(uri).map_err(Error::doing(format!("bind to {uri}")))?,
        Way::Connect => socket.connect(uri).map_err(Error::doing(format!("connect to {uri}")))?,
    }
    Ok(endpoint(socket))
}

/// The address that a socket was bound or connected to last; empty if to none.
pub(crate) fn endpoint(socket: &Socket) -> String {
    socket.get_last_endpoint().ok().and_then(Result::ok).unwrap_or_default()
}

/// What it is. One that `zmq` does not know, as of libzmq's drafts, is an error.
pub(crate) fn kind(socket: &Socket) -> Result<SocketType, Error> {
    Error::caught(|| socket.get_socket_type())?.map_err(Error::doing("ask a socket for its type"))
}

/// A number of messages, as libzmq counts them.
pub(crate) fn count(messages: u32) -> i32 {
    i32::try_from(messages).unwrap_or(i32::MAX)
}

/// A time in milliseconds, not shorter than it is.
pub(crate) fn millis(time: Duration) -> i32 {
    time.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(i32::MAX)
}

/// Lets a socket that publishes say that a subscriber's queue is full, rather than drop for that subscriber silently.
#[allow(unsafe_code, reason = "`zmq` has no name for this option")]
pub(crate) fn refuse_when_full(socket: &mut Socket) -> Result<(), Error> {
    let on: std::ffi::c_int = 1;
    let option = zmq_sys::ZMQ_XPUB_NODROP as std::ffi::c_int;
    // SAFETY: the socket is open as long as it is borrowed, and the option's value is an `int` of that size.
    let result = unsafe {
        zmq_sys::zmq_setsockopt(socket.as_mut_ptr(), option, (&raw const on).cast(), size_of_val(&on))
    };
    if result == 0 { Ok(()) } else { Err(Error::config("this libzmq knows no ZMQ_XPUB_NODROP")) }
}
