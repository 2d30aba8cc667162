//! How much memory this process may have; for tests that run out of it in a process of their own.

/// From now on this process gets no more memory than so many bytes.
#[expect(unsafe_code, reason = "a call into the system")]
pub(crate) fn limit_memory(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the system reads the limit, during the call only.
    let refused = unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) };
    assert_eq!(refused, 0, "{}", std::io::Error::last_os_error());
}

/// Bytes of addresses that this process has mapped.
pub(crate) fn mapped_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}
