//! One client that scrapes over a connection that it keeps, and measures what that takes: the time to the last byte,
//! and the processor time of the server.
//!
//! It reads into one large buffer and looks at nothing but the lengths, so that a body of 55 MB is limited by the kernel
//! and not by the client. Nothing of the exporter's is used: the same client asks its rivals. Linux, because the
//! processor time is read from `/proc`.

use std::env;
use std::fs;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const USAGE: &str = "probe ADDRESS PATH plain|gzip SECONDS LEAST MOST PID[,PID...] [each-second]

Scrapes for SECONDS, but at least LEAST and at most MOST times, and prints one JSON object: the scrapes, the median and
the 99th percentile of the milliseconds to the last byte, the bytes of the last body, and the milliseconds of processor
time that the processes took for each scrape. With each-second, only once right after each full second, and the
processor time is the median of single scrapes.";

/// After a full second a scrape is sent so much later, so that a clock that is read in whole microseconds has ticked.
const AFTER_THE_SECOND: Duration = Duration::from_millis(1);

/// What a server does on behalf of a scrape may end a little after the last byte has arrived.
const SETTLING: Duration = Duration::from_millis(20);

struct Order {
    address: String,
    request: String,
    seconds: Duration,
    least: usize,
    most: usize,
    processes: Vec<u32>,
    each_second: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(order) = read(&arguments) else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    match measure(&order).and_then(|line| writeln!(io::stdout(), "{line}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "probe: {}: {error}", order.address);
            ExitCode::FAILURE
        }
    }
}

fn read(arguments: &[String]) -> Option<Order> {
    let (each_second, arguments) = match arguments {
        [all @ .., last] if last == "each-second" => (true, all),
        all => (false, all),
    };
    let [address, path, coding, seconds, least, most, processes] = arguments else {
        return None;
    };
    let accept = match coding.as_str() {
        "plain" => "",
        "gzip" => "Accept-Encoding: gzip\r\n",
        _ => return None,
    };
    let processes = processes.split(',').map(|process| process.parse().ok());
    Some(Order {
        address: address.clone(),
        request: format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{accept}\r\n"),
        seconds: Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?,
        least: least.parse::<usize>().ok()?.max(1),
        most: most.parse().ok()?,
        processes: processes.collect::<Option<_>>()?,
        each_second,
    })
}

fn measure(order: &Order) -> io::Result<String> {
    let mut client = Client::connect(&order.address)?;
    let (mut times, mut single, mut bytes) = (Vec::new(), Vec::new(), 0);
    let begin = Instant::now();
    let before = Processor::of(&order.processes);
    while times.len() < order.least || times.len() < order.most && begin.elapsed() < order.seconds {
        if order.each_second {
            sleep(until_the_next_second() + AFTER_THE_SECOND);
        }
        let before = order.each_second.then(|| Processor::of(&order.processes));
        let sent = Instant::now();
        bytes = client.scrape(&order.request)?;
        times.push(sent.elapsed().as_secs_f64() * 1e3);
        if let Some(before) = before {
            sleep(SETTLING);
            single.push(Processor::of(&order.processes).since(&before));
        }
    }
    let count = times.len();
    let all = Processor::of(&order.processes).since(&before);
    let each = all / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let (median, slow) = (percentile(&mut times, 50), percentile(&mut times, 99));
    let processor = if single.is_empty() {
        each
    } else {
        percentile(&mut single, 50)
    };
    Ok(format!(
        "{{\"scrapes\": {count}, \"p50\": {median:.4}, \"p99\": {slow:.4}, \"bytes\": {bytes}, \"processor\": {processor:.4}}}"
    ))
}

/// The smallest value that is not exceeded by so many of a hundred.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

fn until_the_next_second() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let gone = Duration::from_nanos(now.map_or(0, |now| u64::from(now.subsec_nanos())));
    Duration::from_secs(1).saturating_sub(gone)
}

/// Processor time of some processes so far.
struct Processor {
    /// Nanoseconds of every thread that lives, from the scheduler.
    threads: Vec<(u64, u64)>,
    /// Milliseconds of the processes in the kernel's ticks, ended threads included.
    ticks: f64,
}

impl Processor {
    /// A process that has ended counts as nothing.
    fn of(processes: &[u32]) -> Self {
        let mut threads = Vec::new();
        let mut ticks = 0.0;
        for process in processes {
            ticks += Self::ticks(*process).unwrap_or_default();
            let folder = fs::read_dir(format!("/proc/{process}/task"));
            for thread in folder.into_iter().flatten().flatten() {
                let time = fs::read_to_string(thread.path().join("schedstat"));
                let number = thread
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse().ok());
                let ran = time
                    .ok()
                    .and_then(|time| time.split(' ').next()?.parse().ok());
                threads.extend(number.zip(ran));
            }
        }
        threads.sort_unstable();
        Self { threads, ticks }
    }

    /// User and system time, which the kernel counts in hundredths of a second.
    fn ticks(process: u32) -> Option<f64> {
        let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name of the program may hold anything, and ends with the last bracket.
        let fields: Vec<&str> = line.rsplit_once(") ")?.1.split(' ').collect();
        let field = |place: usize| fields.get(place)?.parse::<u32>().ok().map(f64::from);
        Some((field(11)? + field(12)?) * 10.0)
    }

    /// Milliseconds since `before`. The scheduler counts to the nanosecond, but forgets a thread when it ends; then the
    /// ticks tell more.
    fn since(&self, before: &Self) -> f64 {
        let spent = |(thread, now): &(u64, u64)| {
            let was = before
                .threads
                .binary_search_by_key(thread, |(thread, _)| *thread);
            let was = was.ok().and_then(|place| before.threads.get(place));
            now.saturating_sub(was.map_or(0, |(_, was)| *was))
        };
        let is_left = |(thread, _): &(u64, u64)| {
            self.threads
                .binary_search_by_key(thread, |(thread, _)| *thread)
                .is_err()
        };
        if self.threads.is_empty() || before.threads.iter().any(is_left) {
            return self.ticks - before.ticks;
        }
        let nanoseconds: u64 = self.threads.iter().map(spent).sum();
        Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3
    }
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self {
            stream,
            buffer: vec![0; 1 << 18],
        })
    }

    /// Asks and reads to the last byte; answers how many the body had.
    fn scrape(&mut self, request: &str) -> io::Result<u64> {
        self.stream.write_all(request.as_bytes())?;
        let mut filled = 0;
        let end = loop {
            filled += self.receive(filled)?;
            let received = self.buffer.get(..filled).unwrap_or_default();
            if let Some(place) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break place + 4;
            }
        };
        let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default());
        let head = head.to_ascii_lowercase();
        if head.get(9..12) != Some("200") {
            return Err(Error::new(ErrorKind::InvalidData, head));
        }
        if head.contains("transfer-encoding: chunked") {
            return self.chunks(end, filled);
        }
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse::<u64>().ok());
        let length = length.ok_or_else(|| Error::new(ErrorKind::InvalidData, "no length"))?;
        let mut received = (filled - end) as u64;
        while received < length {
            received += self.receive(0)? as u64;
        }
        Ok(length)
    }

    /// A body in chunks, of which the buffer holds the bytes from `at` to `filled`. Go sends large bodies like that.
    fn chunks(&mut self, mut at: usize, mut filled: usize) -> io::Result<u64> {
        let malformed = || Error::new(ErrorKind::InvalidData, "malformed chunk");
        let mut body = 0;
        loop {
            let mut line = String::new();
            while !line.ends_with('\n') {
                if at == filled {
                    (at, filled) = (0, self.receive(0)?);
                }
                line.push(char::from(*self.buffer.get(at).ok_or_else(malformed)?));
                at += 1;
            }
            let size = u64::from_str_radix(line.trim(), 16).map_err(|_| malformed())?;
            body += size;
            // The chunk and the end of its line.
            let mut left = size + 2;
            while left > 0 {
                if at == filled {
                    (at, filled) = (0, self.receive(0)?);
                }
                let taken = left.min((filled - at) as u64);
                left -= taken;
                at += usize::try_from(taken).map_err(|_| malformed())?;
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn receive(&mut self, from: usize) -> io::Result<usize> {
        let room = self.buffer.get_mut(from..).unwrap_or_default();
        match self.stream.read(room)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            received => Ok(received),
        }
    }
}
