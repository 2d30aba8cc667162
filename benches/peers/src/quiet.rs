//! How quiet the machine was: what else used its processors while we measured.

use std::time::Duration;

/// The machine's counters at some moment, and our own.
pub struct Quiet {
    machine: Counters,
    ours: Duration,
}

/// Shares of all processor time.
pub struct Noise {
    /// Of processes that are not ours.
    pub others: f64,
    /// Of the host, where the machine is a virtual one.
    pub stolen: f64,
}

/// Of all processors since the start of the machine, in ticks.
#[derive(Clone, Copy, Default)]
struct Counters {
    busy: u64,
    stolen: u64,
    all: u64,
}

impl Quiet {
    pub fn begin() -> Self {
        Quiet { machine: Counters::now(), ours: ours() }
    }

    pub fn end(&self) -> Noise {
        let now = Counters::now();
        let all = (now.all - self.machine.all).max(1) as f64;
        let ours = (ours() - self.ours).as_secs_f64() * ticks_per_second();
        let busy = (now.busy - self.machine.busy) as f64;
        Noise {
            others: ((busy - ours) / all).max(0.0),
            stolen: (now.stolen - self.machine.stolen) as f64 / all,
        }
    }
}

impl Counters {
    fn now() -> Self {
        Counters::parse(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// From `cpu  user nice system idle iowait irq softirq steal guest guest_nice`; guests are in the first two.
    fn parse(stat: &str) -> Self {
        let words = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let ticks: Vec<u64> = words.take(8).filter_map(|word| word.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, stolen] = ticks[..] else {
            return Counters::default();
        };
        let busy = user + nice + system + irq + softirq;
        Counters { busy, stolen, all: busy + idle + iowait + stolen }
    }
}

/// Of this process and of its children that have ended.
fn ours() -> Duration {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN].into_iter().map(used).sum()
}

fn used(who: libc::c_int) -> Duration {
    // SAFETY: all zeros is an `rusage`.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a value of our own.
    unsafe { libc::getrusage(who, &raw mut used) };
    processor_time(&used)
}

/// User's and system's.
pub fn processor_time(used: &libc::rusage) -> Duration {
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    time(used.ru_utime) + time(used.ru_stime)
}

fn ticks_per_second() -> f64 {
    // SAFETY: a number.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

#[test]
fn busy_and_stolen_ticks_are_told_apart() {
    let counters = Counters::parse("cpu  10 1 5 100 3 2 1 7 0 0\ncpu0 1 1\n");
    assert_eq!((counters.busy, counters.stolen, counters.all), (19, 7, 129));
}
