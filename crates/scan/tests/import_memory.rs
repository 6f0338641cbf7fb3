//! A document of any size takes the same memory. In a file of its own: no other test may run in this process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{self, Read};

use portcullis_scan::import::{self, Conversations, Format, Item};

/// How large each document is, and by how much it may let the process grow.
const DOCUMENT: usize = 24 * 1024 * 1024;
const GROWTH_KIB: u64 = 12 * 1024;

/// Gives the next part of a document, by its number.
type Next = Box<dyn FnMut(usize) -> String + Send>;

/// A document that is made while it is read.
struct Made {
    next: Next,
    end: &'static str,
    piece: Vec<u8>,
    given: usize,
    made: usize,
    number: usize,
}

impl Read for Made {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.piece.len() {
            if self.made > DOCUMENT {
                self.piece = std::mem::take(&mut self.end).into();
            } else {
                self.piece = (self.next)(self.number).into_bytes();
                self.number += 1;
            }
            self.made += self.piece.len();
            self.given = 0;
        }
        let length = self.piece.get(self.given..).unwrap_or_default().read(out)?;
        self.given += length;
        Ok(length)
    }
}

/// The most memory that this process ever had, in KiB (`proc_pid_status(5)`).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_document_of_any_size_takes_the_same_memory() {
    let host = |number: usize| format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255);
    let output = "<p>".replace('<', "&lt;").repeat(400);
    let begun = |first: &'static str, rest: Box<dyn Fn(usize) -> String + Send>| {
        Box::new(move |number| {
            if number == 0 {
                first.to_owned()
            } else {
                rest(number)
            }
        })
    };
    let documents: Vec<(Format, Next, &'static str)> = vec![
        (
            Format::Nmap,
            begun(
                "<nmaprun scanner=\"nmap\" start=\"1700000000\">\n",
                Box::new(move |number| {
                    format!(
                        "<host endtime=\"1700000000\"><address addr=\"{}\" addrtype=\"ipv4\"/><ports><port protocol=\"tcp\" portid=\"502\"><state state=\"open\" reason=\"syn-ack\"/><script id=\"x\" output=\"{output}\"/></port></ports></host>\n",
                        host(number)
                    )
                }),
            ),
            "</nmaprun>\n",
        ),
        (
            Format::Masscan,
            begun(
                "[\n",
                Box::new(move |number| {
                    format!(
                        "{{ \"ip\": \"{}\", \"timestamp\": \"1700000000\", \"ports\": [ {{\"port\": 502, \"proto\": \"tcp\", \"status\": \"open\"}} ] }},\n",
                        host(number)
                    )
                }),
            ),
            "]\n",
        ),
        (
            Format::Zeek,
            begun(
                "#fields\tts\tid.orig_h\tid.resp_h\tid.resp_p\tproto\tconn_state\thistory\n",
                Box::new(move |number| {
                    format!(
                        "17000{number:05}.5\t10.7.20.5\t10.7.10.{}\t502\ttcp\tSF\tShADadFf\n",
                        number & 63
                    )
                }),
            ),
            "",
        ),
        (
            Format::Nessus,
            begun(
                "<NessusClientData_v2><Report>\n",
                Box::new(move |number| {
                    format!(
                        "<ReportHost name=\"{}\"><HostProperties></HostProperties><ReportItem port=\"502\" protocol=\"tcp\" pluginID=\"11219\"><plugin_output>{}</plugin_output></ReportItem></ReportHost>\n",
                        host(number),
                        "x".repeat(3000)
                    )
                }),
            ),
            "</Report></NessusClientData_v2>\n",
        ),
        (
            Format::Neighbours,
            Box::new(move |number| format!("{} dev eth0 lladdr 00:90:e8:12:34:56 REACHABLE\n", host(number))),
            "",
        ),
        // One element without an end, and one line without an end.
        (
            Format::Nmap,
            begun("<nmaprun><host x=\"", Box::new(|_| "x".repeat(4096))),
            "",
        ),
        (Format::Neighbours, Box::new(|_| "x".repeat(4096)), ""),
    ];
    for (format, next, end) in documents {
        let before = peak();
        let made = Made {
            next,
            end,
            piece: Vec::new(),
            given: 0,
            made: 0,
            number: 0,
        };
        let mut conversations = Conversations::default();
        let (mut records, mut unread) = (0_usize, 0_usize);
        for item in import::read(made, Some(format)).unwrap() {
            match item {
                Item::Port(seen) => {
                    records += 1;
                    conversations.add(*seen);
                }
                Item::Neighbour(_) => records += 1,
                Item::Unread(_) => unread += 1,
                Item::PassedOver(..) => {}
            }
        }
        let grown = peak() - before;
        assert!(records > 5_000 || unread > 0, "{format}: nothing was read");
        assert!(grown < GROWTH_KIB, "{format}: {grown} KiB more");
    }
}
