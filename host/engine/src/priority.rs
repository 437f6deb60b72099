//! The priority of a thread: lower for work that nobody waits for.

/// Below everything that serves: with the default of 0 beside it, it gets about a tenth.
pub(crate) const LOW: libc::c_int = 10;
/// For guests that take long: the least that is not nothing, a seventieth. See docs/decisions/007.
pub(crate) const LOWEST: libc::c_int = 19;

/// Lowers this thread's priority for good. Where the system does not let it, work goes on as it is.
pub(crate) fn lower(to: libc::c_int) {
    // SAFETY: takes and returns numbers. On Linux, 0 stands for the calling thread alone.
    #[expect(unsafe_code, reason = "the standard library sets no priorities")]
    let _refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, to) };
}
