//! The wall clock against a simulated machine, whose clocks are known exactly.

use super::*;

const SECOND: i64 = 1_000_000_000;
const MILLI: i64 = 1_000_000;
/// When a machine starts. Its clocks count from there, as a float has no nanoseconds of this size.
const START: i64 = 1_700_000_000 * SECOND;
const HOUR: i64 = 3_600 * SECOND;

/// A machine, and a listener on it that looks when the test says so.
struct Machine {
    ticks: f64,
    ticks_per_nano: f64,
    wall: f64,
    monotonic: f64,
    /// How much faster than true time the system's clocks run.
    slewed: f64,
    /// The most that a reading of the clocks is off.
    jitter: f64,
    start: Instant,
    random: u64,
    clock: WallClock,
    /// Stamps that wait for the next look, with the wall clock at each.
    waiting: Vec<(u64, f64)>,
    newest_time: i64,
    /// The largest difference of a time handed out from the wall clock at its stamp.
    error: f64,
    steps: Vec<i64>,
}

impl Machine {
    fn new(ticks_per_nano: f64) -> Self {
        let mut machine = Machine {
            ticks: 1e12,
            ticks_per_nano,
            wall: 0.0,
            monotonic: 0.0,
            slewed: 0.0,
            jitter: 0.0,
            start: Instant::now(),
            random: 1,
            clock: WallClock::new(),
            waiting: Vec::new(),
            newest_time: 0,
            error: 0.0,
            steps: Vec::new(),
        };
        machine.clock = WallClock::begin(machine.read());
        machine
    }

    /// From 0 to 1.
    fn random(&mut self) -> f64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as f64 / (1_u64 << 31) as f64
    }

    fn read(&mut self) -> Anchor {
        let [wall, monotonic] = [self.wall, self.monotonic].map(|nanos| nanos + self.random() * self.jitter);
        let at = self.start + Duration::from_nanos(monotonic as u64);
        Anchor { ticks: self.ticks as u64, nanos: START + wall as i64, at }
    }

    /// True time passes.
    fn pass(&mut self, nanos: i64) {
        let nanos = nanos as f64;
        self.ticks += nanos * self.ticks_per_nano;
        self.wall += nanos * (1.0 + self.slewed);
        self.monotonic += nanos * (1.0 + self.slewed);
    }

    fn suspend(&mut self, nanos: i64, counter_runs: bool) {
        self.wall += nanos as f64;
        if counter_runs {
            self.ticks += nanos as f64 * self.ticks_per_nano;
        }
    }

    /// Time passes in which some records are stamped; the last one just now.
    fn work(&mut self, nanos: i64) {
        for _ in 0..10 {
            self.pass(nanos / 10);
            self.waiting.push((self.ticks as u64, self.wall));
        }
    }

    /// The listener comes by and converts what waits.
    fn look(&mut self) {
        let anchor = self.read();
        if anchor.at >= self.clock.next_anchor
            && let Some(step) = self.clock.adjust(anchor)
        {
            self.steps.push(step);
            self.newest_time = 0;
        }
        for (stamp, wall) in std::mem::take(&mut self.waiting) {
            let time = self.clock.time_of(stamp).as_nanos() as i64;
            assert!(time >= self.newest_time, "back by {} ns", self.newest_time - time);
            self.newest_time = time;
            self.error = self.error.max(((time - START) as f64 - wall).abs());
        }
    }

    fn work_and_look(&mut self, nanos: i64, times: usize) {
        for _ in 0..times {
            self.work(nanos);
            self.look();
        }
    }

    /// The largest error since the last question.
    #[track_caller]
    fn assert_error_below(&mut self, nanos: i64) {
        let error = std::mem::take(&mut self.error);
        assert!(error < nanos as f64, "{error} ns beside the wall clock");
    }

    #[track_caller]
    fn assert_one_step(&self, nanos: i64, tolerance: i64) {
        assert_eq!(self.steps.len(), 1, "{:?}", self.steps);
        assert!((self.steps[0] - nanos).abs() < tolerance, "{:?}", self.steps);
    }
}

#[test]
fn a_stamp_maps_to_the_time_at_which_it_was_taken() {
    let mut wall = WallClock::new();
    let stamp = Ticker::default().stamp();
    let now = system_nanos();
    std::thread::sleep(Duration::from_millis(20));
    wall.anchor();
    let error = wall.time_of(stamp).as_nanos() as i64 - now;
    assert!(error.abs() < 200_000, "{error} ns beside the system's clock");
}

#[test]
fn a_late_first_look_measures_the_rate_first() {
    for ticks_per_nano in [0.024, 1.0, 2.0, 2.5, 3.3, 4.0] {
        for wait in [50_000, SECOND, 32 * SECOND, HOUR] {
            let mut machine = Machine::new(ticks_per_nano);
            machine.work_and_look(wait, 3);
            machine.assert_error_below(2_000);
            assert!(machine.steps.is_empty(), "{:?}", machine.steps);
        }
    }
}

#[test]
fn a_first_look_that_was_early_does_not_spoil_a_late_second_one() {
    for early in [100, 1_000, 20_000, 100_000] {
        let mut machine = Machine::new(3.3);
        machine.jitter = 300.0;
        machine.work_and_look(early, 1);
        machine.work_and_look(HOUR, 1);
        machine.work_and_look(5 * SECOND, 10);
        machine.assert_error_below(10_000);
        assert!(machine.steps.is_empty(), "{:?}", machine.steps);
    }
}

#[test]
fn looks_at_any_interval_follow_clocks_that_are_slewed() {
    for seed in 1_u32..50 {
        let mut machine = Machine::new(2.0 + f64::from(seed) / 25.0);
        (machine.random, machine.jitter) = (u64::from(seed), 200.0);
        for _ in 0..500 {
            let interval = [MILLI, SECOND / 10, SECOND, 3 * SECOND, 5 * SECOND, 60 * SECOND];
            let interval = interval[(machine.random() * 6.0) as usize];
            if machine.random() < 0.1 {
                machine.slewed = (machine.random() - 0.5) / 1_000.0;
            }
            machine.work_and_look(interval, 1);
        }
        // At worst 16 s of a window are of another rate, of which 1000 ppm are 16 ms.
        machine.assert_error_below(20 * MILLI);
        machine.slewed = 0.0;
        machine.work_and_look(SECOND, 40);
        machine.error = 0.0;
        machine.work_and_look(SECOND / 10, 100);
        machine.assert_error_below(2_000);
        assert!(machine.steps.is_empty(), "{:?}", machine.steps);
    }
}

#[test]
fn a_small_difference_is_gone_after_a_second_and_time_never_goes_back() {
    for difference in [900 * MILLI, 300 * MILLI, -300 * MILLI, -900 * MILLI] {
        for interval in [MILLI, SECOND / 10, SECOND, 2 * SECOND, 5 * SECOND, 60 * SECOND] {
            let mut machine = Machine::new(3.0);
            machine.jitter = 100.0;
            machine.work_and_look(interval, 20);
            machine.assert_error_below(20_000);
            machine.wall += difference as f64;
            // The look that finds it, and the time of the bend.
            machine.work_and_look(interval, (4 * SECOND / interval) as usize + 2);
            machine.assert_error_below(difference.abs() + MILLI);
            machine.work_and_look(interval, 20);
            machine.assert_error_below(20_000);
            assert!(machine.steps.is_empty(), "{:?}", machine.steps);
        }
    }
}

#[test]
fn the_same_stamp_has_no_earlier_time_after_a_look() {
    let mut machine = Machine::new(2.7);
    machine.jitter = 300.0;
    for _ in 0..10_000 {
        machine.pass(SECOND / 10);
        let stamp = machine.ticks as u64;
        let before = machine.clock.time_of(stamp);
        machine.look();
        assert!(machine.clock.time_of(stamp) >= before);
        assert!(machine.clock.time_of(stamp + 1) >= before);
    }
}

#[test]
fn a_record_that_is_stamped_long_after_a_look_does_not_overshoot() {
    let mut machine = Machine::new(3.0);
    machine.work_and_look(SECOND, 5);
    machine.wall += 300e6;
    machine.work_and_look(SECOND, 1);
    // A handler blocks for a minute, and a loss is told of before the next look.
    machine.pass(60 * SECOND);
    let time = machine.clock.time_of(machine.ticks as u64).as_nanos() as i64;
    let error = (time - START) as f64 - machine.wall;
    assert!(error.abs() < 2_000.0, "{error} ns beside the wall clock");
    machine.newest_time = time;
    machine.error = 0.0;
    machine.work_and_look(SECOND, 5);
    machine.assert_error_below(2_000);
}

#[test]
fn a_step_of_the_wall_clock_is_followed_at_once_and_reported_once() {
    for step in [HOUR, -HOUR, 2 * SECOND, -2 * SECOND] {
        for interval in [SECOND / 10, SECOND, 5 * SECOND, 60 * SECOND] {
            let mut machine = Machine::new(2.8);
            machine.jitter = 100.0;
            machine.work_and_look(interval, 30);
            machine.assert_error_below(20_000);
            machine.wall += step as f64;
            machine.pass(SECOND);
            machine.work_and_look(interval, 30);
            machine.assert_error_below(20_000);
            machine.assert_one_step(step, 10_000);
        }
    }
}

#[test]
fn a_step_before_the_first_look_is_reported_once() {
    for step in [HOUR, -HOUR] {
        let mut machine = Machine::new(4.0);
        machine.wall += step as f64;
        machine.work_and_look(5 * SECOND, 10);
        machine.assert_error_below(2_000);
        machine.assert_one_step(step, 2_000);
    }
}

#[test]
fn after_a_suspend_times_are_right_whatever_the_counter_did() {
    for asleep in [SECOND / 2, 20 * SECOND, 10 * HOUR] {
        for counter_runs in [false, true] {
            for (interval, before) in [(SECOND, 1), (SECOND, 100), (5 * SECOND, 3), (60 * SECOND, 3)] {
                let mut machine = Machine::new(2.8);
                machine.jitter = 100.0;
                machine.work_and_look(interval, before);
                machine.assert_error_below(20_000);
                machine.suspend(asleep, counter_runs);
                machine.pass(SECOND);
                machine.work_and_look(interval, 5);
                machine.error = 0.0;
                machine.work_and_look(interval, 30);
                machine.assert_error_below(100_000);
                if asleep < SECOND || counter_runs && before > 1 && interval <= 5 * SECOND {
                    assert!(machine.steps.is_empty(), "{:?}", machine.steps);
                } else if !counter_runs {
                    machine.assert_one_step(asleep, 10_000);
                }
                assert!(machine.steps.len() <= 1, "{:?}", machine.steps);
            }
        }
    }
}

#[test]
fn a_suspend_before_the_first_look_is_one_step() {
    for counter_runs in [false, true] {
        let mut machine = Machine::new(4.0);
        machine.suspend(HOUR, counter_runs);
        machine.work_and_look(5 * SECOND, 2);
        machine.error = 0.0;
        machine.work_and_look(5 * SECOND, 10);
        machine.assert_error_below(2_000);
        machine.assert_one_step(HOUR, 2_000);
    }
}

#[test]
fn a_counter_that_was_restarted_is_used_anew() {
    for asleep in [0, HOUR] {
        for interval in [SECOND, 5 * SECOND, 60 * SECOND] {
            let mut machine = Machine::new(2.8);
            machine.work_and_look(interval, 30);
            machine.suspend(asleep, false);
            machine.ticks = 5e9;
            machine.pass(SECOND);
            machine.look();
            machine.error = 0.0;
            machine.work_and_look(interval, 30);
            machine.assert_error_below(2_000);
            match asleep {
                0 => assert!(machine.steps.is_empty(), "{:?}", machine.steps),
                _ => machine.assert_one_step(asleep, 2_000),
            }
        }
    }
}

#[test]
fn a_counter_that_leaps_or_changes_its_rate_is_followed() {
    for leap in [0.0, 1e8, 1e14] {
        for ticks_per_nano in [2.8, 1.4, 4.0] {
            let mut machine = Machine::new(2.8);
            machine.work_and_look(5 * SECOND, 30);
            machine.ticks += leap;
            machine.ticks_per_nano = ticks_per_nano;
            machine.work_and_look(5 * SECOND, 2);
            machine.error = 0.0;
            machine.work_and_look(5 * SECOND, 30);
            machine.assert_error_below(2_000);
            assert!(machine.steps.is_empty(), "{:?}", machine.steps);
        }
    }
}

#[test]
fn stamps_older_than_the_newest_that_has_a_time_are_parallel_to_the_line() {
    let mut machine = Machine::new(2.0);
    machine.work_and_look(SECOND, 20);
    machine.wall += 500e6;
    machine.work_and_look(SECOND, 1);
    let (newest, minute) = (machine.clock.newest.get(), 120_000_000_000);
    let apart = machine.clock.nanos_at(newest - minute) - machine.clock.nanos_at(newest - 2 * minute);
    assert!((apart - 60 * SECOND).abs() < 1_000, "{apart}");
}
