//! Keeps what the program sends while the tests drive it, so that `make test` can look through all of it at the end
//! (`crates/cli/tests/packets.rs`). Without the variable nothing is kept.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufWriter, Read, Write},
    net::TcpStream,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket, sockopt,
};

use crate::{
    plant::eventually,
    wire::{Wire, inside, silent},
};

/// The folder for captures; each file is named after the process and has the command beside it.
const FOLDER: &str = "PORTCULLIS_TEST_PACKETS";
/// The file that a recorder on a host of the plant writes.
const HERE: &str = "PORTCULLIS_TEST_PACKETS_HERE";
/// A file of more packets than that is cut off: no test asks so many ports for their names.
const MOST: usize = 20_000;

/// Where the capture of this command goes, if any is kept; only what scans sends anything.
fn place(arguments: &[&str]) -> Option<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    if !matches!(arguments.first(), Some(&"scan" | &"verify")) {
        return None;
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = folder.join(format!("{}-{number}.pcap", std::process::id()));
    std::fs::write(file.with_extension("command"), arguments.join("\n")).unwrap();
    Some(file)
}

/// Writes what leaves the network of this thread until it is told that all is over.
fn record(file: &Path, over: impl Fn() -> bool) {
    let ear = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::EthAll,
    )
    .unwrap();
    let _ = setsockopt(&ear, sockopt::RcvBuf, &(8 << 20));
    let mut pcap = BufWriter::new(File::create(file).unwrap());
    // Little-endian, microseconds, version 2.4, whole frames of Ethernet.
    pcap.write_all(b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0")
        .unwrap();
    pcap.flush().unwrap();
    let (mut buffer, mut kept) = (vec![0; 65_536], 0);
    let mut begun = HashSet::new();
    loop {
        let last = over();
        while let Ok((length, from)) = recvfrom::<LinkAddr>(ear.as_raw_fd(), &mut buffer) {
            // 4 is what goes out; loopback tells each packet twice.
            let goes_out = from.is_some_and(|from| from.pkttype() == 4);
            let frame = buffer.get(..length).unwrap_or_default();
            if !goes_out || kept >= MOST {
                continue;
            }
            match segment(frame) {
                Some((flow, Flag::Syn)) => {
                    begun.insert(flow);
                    continue;
                }
                Some((_, Flag::Reset)) => continue,
                Some((flow, Flag::Neither)) if !begun.contains(&flow) => continue,
                Some(_) | None => {}
            }
            kept += 1;
            let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let numbers = [
                at.as_secs() as u32,
                at.subsec_micros(),
                length as u32,
                length as u32,
            ];
            numbers
                .iter()
                .for_each(|number| pcap.write_all(&number.to_le_bytes()).unwrap());
            pcap.write_all(frame).unwrap();
        }
        if last {
            return pcap.flush().unwrap();
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// What a segment of TCP is, beside its payload.
enum Flag {
    Syn,
    Reset,
    Neither,
}

/// Addresses and ports of a segment of TCP, as they stand in it, and what it is. Half a handshake and its reset are not kept:
/// they carry no payload and make no connection, and a fast scan sends very many. What belongs to a connection that began
/// before the recording is not this command's: another program of the host holds it, or a scan that was killed left it behind.
/// Nor is one that somebody else began, whose first segment from here answers another (RFC 9293, 3.5).
fn segment(frame: &[u8]) -> Option<(Vec<u8>, Flag)> {
    let at = |place: usize| frame.get(place).copied().unwrap_or_default();
    let (addresses, tcp) = match (at(12), at(13)) {
        (0x08, 0x00) if at(23) == 6 => (26..34, 14 + usize::from(at(14) & 15) * 4),
        (0x86, 0xdd) if at(20) == 6 => (22..54, 54),
        _ => return None,
    };
    let flow = [frame.get(addresses)?, frame.get(tcp..tcp + 4)?].concat();
    let flag = match at(tcp + 13) {
        flags if flags & 0b100 != 0 => Flag::Reset,
        flags if flags & 0b1_0010 == 0b0010 => Flag::Syn,
        _ => Flag::Neither,
    };
    Some((flow, flag))
}

/// Records in the network of this process until it is dropped.
pub(crate) struct Recorder {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    pub(crate) fn begin(arguments: &[&str]) -> Option<Self> {
        place(arguments).map(Self::into_file)
    }

    fn into_file(file: PathBuf) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (told, written) = (Arc::clone(&over), file.clone());
        let thread = thread::spawn(move || record(&written, || told.load(Ordering::Relaxed)));
        eventually("packets are recorded", Duration::from_secs(10), || {
            is_begun(&file)
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn is_begun(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.len() >= 24)
}

/// Records on a host of the plant: this very program once more, until its standard input ends.
pub(crate) struct Remote(Child);

impl Remote {
    /// `host` makes a command that runs a program on the host.
    pub(crate) fn begin(arguments: &[&str], host: impl FnOnce(&str, &[&str]) -> Command) -> Option<Self> {
        let file = place(arguments)?;
        let program = std::env::current_exe().unwrap();
        let test = ["--exact", "recorder::record_on_a_host", "--nocapture"];
        let child = host(program.to_str().unwrap(), &test)
            .env(HERE, &file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually("packets are recorded", Duration::from_secs(10), || {
            is_begun(&file)
        });
        Some(Self(child))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A part of other tests, which run it on a host of the plant; by itself it has nothing to record.
#[test]
fn record_on_a_host() {
    let Some(file) = std::env::var_os(HERE) else {
        return;
    };
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        told.store(true, Ordering::Relaxed);
    });
    record(Path::new(&file), || over.load(Ordering::Relaxed));
}

#[test]
fn what_another_program_says_on_an_older_connection_or_in_answer_is_not_recorded() {
    if !inside("recorder::what_another_program_says_on_an_older_connection_or_in_answer_is_not_recorded") {
        return;
    }
    let wire = Wire::new();
    wire.network(1..=1);
    wire.serve(54321, silent);
    let connect = || TcpStream::connect("10.80.0.1:54321").unwrap();
    let here = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sent.pcap");
    let mut older = connect();
    let recorder = Recorder::into_file(file.clone());
    let mut younger = connect();
    let port = here.local_addr().unwrap().port();
    let _asking = wire.far(|| TcpStream::connect(("10.77.0.1", port)).unwrap());
    let (mut answering, _) = here.accept().unwrap();
    older.write_all(b"of an older one").unwrap();
    answering.write_all(b"of an answer").unwrap();
    younger.write_all(b"of a younger one").unwrap();
    drop(recorder);
    let recorded = std::fs::read(file).unwrap();
    let holds = |said: &[u8]| recorded.windows(said.len()).any(|window| window == said);
    assert!(!holds(b"of an older one") && !holds(b"of an answer") && holds(b"of a younger one"));
}
