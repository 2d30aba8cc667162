//! The client: as much HTTP/1.1 as it takes to keep a server busy. One request at a time on each connection, which
//! stays open for the whole run.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use indicatif::ProgressBar;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How often a connection tells the progress bar.
const PROGRESS_STEP: u64 = 64;
/// Of so many orders, for one the stock is asked for instead, by the way that logs through `tracing` and `log`.
const STOCK_EVERY: u64 = 50;

/// The connections, at rest between two rounds.
#[derive(Debug)]
pub(crate) struct Client {
    connections: Vec<Connection>,
}

/// How many answers there were, by status.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Answers {
    pub(crate) ok: u64,
    pub(crate) not_found: u64,
    pub(crate) unavailable: u64,
    /// Of those that are `ok`, answers about stock.
    pub(crate) stock: u64,
}

impl Answers {
    pub(crate) fn total(&self) -> u64 {
        self.ok + self.not_found + self.unavailable
    }

    fn count(&mut self, order: u64, status: u16) -> io::Result<()> {
        self.stock += u64::from(is_of_stock(order));
        match status {
            200 => self.ok += 1,
            404 => self.not_found += 1,
            503 => self.unavailable += 1,
            other => return Err(io::Error::other(format!("the server answered with status {other}"))),
        }
        Ok(())
    }
}

impl std::ops::AddAssign for Answers {
    fn add_assign(&mut self, more: Answers) {
        self.ok += more.ok;
        self.not_found += more.not_found;
        self.unavailable += more.unavailable;
        self.stock += more.stock;
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, connections: u64) -> io::Result<Self> {
        let mut client = Client { connections: Vec::new() };
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            client.connections.push(Connection { stream, request: Vec::new(), answer: Vec::new() });
        }
        Ok(client)
    }

    /// Asks for each of these orders once, over all connections at the same time.
    pub(crate) async fn send(&mut self, orders: Range<u64>, bar: &ProgressBar) -> io::Result<Answers> {
        let stride = self.connections.len();
        let tasks: Vec<_> = (orders.start..)
            .zip(self.connections.drain(..))
            .map(|(first, connection)| {
                let share = (first..orders.end).step_by(stride);
                tokio::spawn(connection.send_all(share, bar.clone()))
            })
            .collect();
        let mut sum = Answers::default();
        for task in tasks {
            let (connection, answers) = task.await??;
            self.connections.push(connection);
            sum += answers;
        }
        Ok(sum)
    }
}

/// One connection and its buffers.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    /// Hands itself back with what it was answered.
    async fn send_all(
        mut self,
        orders: impl Iterator<Item = u64>,
        bar: ProgressBar,
    ) -> io::Result<(Self, Answers)> {
        let mut answers = Answers::default();
        for order in orders {
            answers.count(order, self.ask(order).await?)?;
            if answers.total() % PROGRESS_STEP == 0 {
                bar.inc(PROGRESS_STEP);
            }
        }
        bar.inc(answers.total() % PROGRESS_STEP);
        Ok((self, answers))
    }

    /// Sends one request, reads the whole answer, and returns its status.
    async fn ask(&mut self, order: u64) -> io::Result<u16> {
        use io::Write as _;
        self.request.clear();
        let what = if is_of_stock(order) { "stock" } else { "orders" };
        write!(self.request, "GET /{what}/{order} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            if let Some(status) = status_if_whole(&self.answer)? {
                return Ok(status);
            }
        }
    }
}

fn is_of_stock(order: u64) -> bool {
    order.is_multiple_of(STOCK_EVERY)
}

/// The status of an answer; `None` if there is more of it to come.
fn status_if_whole(answer: &[u8]) -> io::Result<Option<u16>> {
    let Some(head_end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let (head, body) = (&answer[..head_end], &answer[head_end + 4..]);
    parse_head(head)
        .ok_or_else(|| io::Error::other(format!("this is no answer: {:?}", String::from_utf8_lossy(head))))
        .map(|(status, length)| (body.len() >= length).then_some(status))
}

/// The status and the length of the body.
fn parse_head(head: &[u8]) -> Option<(u16, usize)> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse());
    Some((status, length?.ok()?))
}
