use treering::{info, warn, error};
use std::time::{Duration, Instant};
fn main() -> Result<(), treering::Error> {
    let _g = treering::init()?;
    let (order_id, qty, price) = (7_u64, 100_u32, 12.5_f64);
    info!("order {order_id} filled {qty} at {price:.2}");
    info!(order_id, qty, venue = "XNAS", "order filled");
    warn!(target: "risk", ?price, %qty, "limit near");
    let capture = treering::handler::Capture::new();
    let (logger, guard) = treering::builder().handler(capture.clone()).start()?;
    error!(logger: logger, code = 17, "sensor failed");
    guard.flush(Duration::from_secs(1))?;
    let report = guard.stop(Duration::from_secs(5))?;
    assert!(report.is_lossless());
    assert_eq!(capture.records()[0].message(), "sensor failed");
    println!("{report:?}");
    let r = treering::shutdown(Duration::from_secs(1))?;
    println!("{r:?}");
    r.assert_balanced();
    let g = treering::builder().handler(treering::handler::File::append("/tmp/smoke.log")?).overflow(treering::Overflow::block(Duration::from_secs(60))).init()?;
    let n = 2_000_000u64;
    let t = Instant::now();
    let hs: Vec<_> = (0..2).map(|k| std::thread::spawn(move || for i in 0..n/2 { info!("order {} filled {} at {}", i, k, 2.5) })).collect();
    for h in hs { h.join().unwrap(); }
    let r = g.stop(Duration::from_secs(20))?;
    let d = t.elapsed();
    println!("{r}\n{:?} {} M/s {}", r.reordered, n as f64/d.as_secs_f64()/1e6, r.rings);
    r.assert_balanced();
    Ok(())
}
