//! Filters that the kernel runs on each frame before it copies it: classic BPF, as values.
//!
//! They only spare work. Whoever receives must check each frame as if there were no filter.

use std::{ops::RangeInclusive, os::fd::OwnedFd};

use nix::libc;

use super::socket::set;
use crate::SysError;

/// How many bytes of a frame are kept: enough for an ICMPv6 error with the IPv6 and TCP headers that it answers.
const KEPT: u32 = 256;

/// One instruction of classic BPF (`struct sock_filter` of `linux/filter.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    value: u32,
}

// Opcodes of `linux/bpf_common.h`: class, size and mode together.
const LOAD_8: u16 = 0x30;
const LOAD_16: u16 = 0x28;
const LOAD_8_BEHIND: u16 = 0x50;
const LOAD_16_BEHIND: u16 = 0x48;
/// X becomes four times the low half of a byte: the length of an IPv4 header.
const HEADER_LENGTH: u16 = 0xb1;
const EQUAL: u16 = 0x15;
const ABOVE: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const fn plain(code: u16, value: u32) -> Instruction {
    jump(code, value, 0, 0)
}

const fn jump(code: u16, value: u32, yes: u8, no: u8) -> Instruction {
    Instruction { code, yes, no, value }
}

/// Every frame, of each the first kibibyte: the headers, and as much of what is said as evidence may hold.
pub fn everything() -> Vec<Instruction> {
    vec![plain(RETURN, 1024)]
}

/// IPv4: TCP segments to one of our ports, and ICMP errors that can answer one (types 3 and 11).
pub fn tcp_answers_v4(ports: &RangeInclusive<u16>) -> Vec<Instruction> {
    vec![
        // Only the first fragment has the ports.
        plain(LOAD_16, 20),
        jump(ANY_BIT, 0x1fff, 11, 0),
        plain(HEADER_LENGTH, 14),
        plain(LOAD_8, 23),
        jump(EQUAL, 1, 4, 0),
        jump(EQUAL, 6, 0, 7),
        plain(LOAD_16_BEHIND, 16),
        jump(AT_LEAST, u32::from(*ports.start()), 0, 5),
        jump(ABOVE, u32::from(*ports.end()), 4, 3),
        plain(LOAD_8_BEHIND, 14),
        jump(EQUAL, 3, 1, 0),
        jump(EQUAL, 11, 0, 1),
        plain(RETURN, KEPT),
        plain(RETURN, 0),
    ]
}

/// IPv6: TCP segments to one of our ports, and ICMPv6 errors that can answer one (types 1 and 3). Segments behind
/// extension headers do not pass.
pub fn tcp_answers_v6(ports: &RangeInclusive<u16>) -> Vec<Instruction> {
    vec![
        plain(LOAD_8, 20),
        jump(EQUAL, 58, 4, 0),
        jump(EQUAL, 6, 0, 7),
        plain(LOAD_16, 56),
        jump(AT_LEAST, u32::from(*ports.start()), 0, 5),
        jump(ABOVE, u32::from(*ports.end()), 4, 3),
        plain(LOAD_8, 54),
        jump(EQUAL, 1, 1, 0),
        jump(EQUAL, 3, 0, 1),
        plain(RETURN, KEPT),
        plain(RETURN, 0),
    ]
}

/// IPv4: what goes to one port of a transport, given by its protocol number (6 or 17).
pub fn to_port_v4(protocol: u8, port: u16) -> Vec<Instruction> {
    vec![
        // Only the first fragment has the ports.
        plain(LOAD_16, 20),
        jump(ANY_BIT, 0x1fff, 6, 0),
        plain(HEADER_LENGTH, 14),
        plain(LOAD_8, 23),
        jump(EQUAL, u32::from(protocol), 0, 3),
        plain(LOAD_16_BEHIND, 16),
        jump(EQUAL, u32::from(port), 0, 1),
        plain(RETURN, KEPT),
        plain(RETURN, 0),
    ]
}

/// IPv6: the same. What stands behind extension headers does not pass.
pub fn to_port_v6(protocol: u8, port: u16) -> Vec<Instruction> {
    vec![
        plain(LOAD_8, 20),
        jump(EQUAL, u32::from(protocol), 0, 3),
        plain(LOAD_16, 56),
        jump(EQUAL, u32::from(port), 0, 1),
        plain(RETURN, KEPT),
        plain(RETURN, 0),
    ]
}

/// ARP replies (RFC 826).
pub fn arp_replies() -> Vec<Instruction> {
    vec![
        plain(LOAD_16, 20),
        jump(EQUAL, 2, 0, 1),
        plain(RETURN, KEPT),
        plain(RETURN, 0),
    ]
}

/// Neighbour advertisements (RFC 4861 4.4).
pub fn neighbour_advertisements() -> Vec<Instruction> {
    vec![
        plain(LOAD_8, 20),
        jump(EQUAL, 58, 0, 3),
        plain(LOAD_8, 54),
        jump(EQUAL, 136, 0, 1),
        plain(RETURN, KEPT),
        plain(RETURN, 0),
    ]
}

/// Gives a socket its filter.
pub(super) fn attach(socket: &OwnedFd, filter: &[Instruction]) -> Result<(), SysError> {
    let mut program: Vec<libc::sock_filter> = filter
        .iter()
        .map(|instruction| libc::sock_filter {
            code: instruction.code,
            jt: instruction.yes,
            jf: instruction.no,
            k: instruction.value,
        })
        .collect();
    // The kernel copies the program before the call returns: the pointer need not live longer.
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or_default(),
        filter: program.as_mut_ptr(),
    };
    set(
        socket,
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        &program,
        "give a packet socket its filter",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would return; reading beyond the frame drops it.
    fn passes(filter: &[Instruction], frame: &[u8]) -> bool {
        let (mut at, mut a, mut x) = (0, 0u32, 0usize);
        loop {
            let one = filter[at];
            at += 1;
            let value = one.value as usize;
            let half = |at: usize| {
                Some(u32::from(u16::from_be_bytes([
                    *frame.get(at)?,
                    *frame.get(at + 1)?,
                ])))
            };
            let byte = |at: usize| frame.get(at).copied().map(u32::from);
            let loaded = match one.code {
                LOAD_8 => byte(value),
                LOAD_16 => half(value),
                LOAD_8_BEHIND => byte(x + value),
                LOAD_16_BEHIND => half(x + value),
                HEADER_LENGTH => match byte(value) {
                    Some(byte) => {
                        x = 4 * (byte as usize & 15);
                        Some(a)
                    }
                    None => None,
                },
                RETURN => return one.value > 0,
                _ => {
                    let holds = match one.code {
                        EQUAL => a == one.value,
                        ABOVE => a > one.value,
                        AT_LEAST => a >= one.value,
                        ANY_BIT => a & one.value != 0,
                        other => panic!("{other:#x}"),
                    };
                    at += usize::from(if holds { one.yes } else { one.no });
                    Some(a)
                }
            };
            match loaded {
                Some(value) => a = value,
                None => return false,
            }
        }
    }

    fn v4(protocol: u8, options: usize, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 34 + options];
        frame[14] = 0x45 + (options / 4) as u8;
        frame[20..22].copy_from_slice(&fragment.to_be_bytes());
        frame[23] = protocol;
        frame.extend_from_slice(payload);
        frame
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 54];
        frame[20] = next;
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn only_what_can_be_an_answer_passes() {
        let to = |port: u16| [&[1, 2][..], &port.to_be_bytes(), &[0; 16]].concat();
        let four = tcp_answers_v4(&(61000..=61999));
        let six = tcp_answers_v6(&(61000..=61999));
        for (port, expected) in [
            (60999, false),
            (61000, true),
            (61999, true),
            (62000, false),
            (22, false),
        ] {
            assert_eq!(passes(&four, &v4(6, 0, 0x4000, &to(port))), expected, "{port}");
            assert_eq!(
                passes(&four, &v4(6, 8, 0, &to(port))),
                expected,
                "{port} with options"
            );
            assert_eq!(passes(&six, &v6(6, &to(port))), expected, "{port} over IPv6");
            assert!(!passes(&four, &v4(17, 0, 0, &to(port))), "UDP");
            assert!(!passes(&four, &v4(6, 0, 0x0010, &to(port))), "a later fragment");
            assert!(!passes(&six, &v6(17, &to(port))), "UDP over IPv6");
        }
        for kind in 0..=255u8 {
            assert_eq!(passes(&four, &v4(1, 0, 0, &[kind, 0])), kind == 3 || kind == 11);
            assert_eq!(passes(&six, &v6(58, &[kind, 0])), kind == 1 || kind == 3);
            assert_eq!(
                passes(&neighbour_advertisements(), &v6(58, &[kind, 0])),
                kind == 136
            );
        }
        assert!(!passes(&four, &[]) && !passes(&six, &[0; 20]));
    }

    #[test]
    fn only_what_goes_to_the_port_passes() {
        for (protocol, port) in [(6, 54321_u16), (17, 4800)] {
            let (four, six) = (to_port_v4(protocol, port), to_port_v6(protocol, port));
            let to = |port: u16| [&[1, 2][..], &port.to_be_bytes(), &[0; 16]].concat();
            for (of, number) in [(6, 54321), (6, 4800), (17, 54321), (17, 4800), (1, port)] {
                let expected = (of, number) == (protocol, port);
                assert_eq!(passes(&four, &v4(of, 0, 0x4000, &to(number))), expected);
                assert_eq!(passes(&four, &v4(of, 12, 0, &to(number))), expected);
                assert_eq!(passes(&six, &v6(of, &to(number))), expected);
            }
            assert!(
                !passes(&four, &v4(protocol, 0, 0x0010, &to(port))),
                "a later fragment"
            );
        }
    }

    #[test]
    fn arp_requests_do_not_pass() {
        for operation in 0..5u16 {
            let mut frame = vec![0; 42];
            frame[20..22].copy_from_slice(&operation.to_be_bytes());
            assert_eq!(passes(&arp_replies(), &frame), operation == 2);
        }
    }
}
