//! ICMP echo messages as bytes (RFC 792, RFC 4443 section 4).

/// What identifies one echo request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo {
    /// ICMPv6 instead of ICMP.
    pub(super) v6: bool,
    pub(super) identifier: u16,
    pub(super) sequence: u16,
    /// Random bytes that a reply repeats.
    pub(super) token: u64,
}

/// Length of a message: header of 8 bytes, and the token.
const LENGTH: usize = 16;

impl Echo {
    /// The request. Its checksum is complete for ICMP; the kernel makes that of ICMPv6, which covers the addresses.
    pub(super) fn request(self) -> [u8; LENGTH] {
        let kind = if self.v6 { 128 } else { 8 };
        let checksum = if self.v6 {
            0
        } else {
            checksum(&self.bytes(kind, 0))
        };
        self.bytes(kind, checksum)
    }

    /// Whether an ICMP message is the reply to this request. `any_identifier` is for datagram sockets: there the kernel
    /// chooses the identifier, and hands over only the replies that bear it.
    pub(super) fn is_answered_by(self, message: &[u8], any_identifier: bool) -> bool {
        let kind = if self.v6 { 129 } else { 0 };
        let expected = self.bytes(kind, 0);
        let mut heard = [0; LENGTH];
        if message.len() != LENGTH {
            return false;
        }
        // The kernel has checked the checksum. What is not compared is taken over from the expected reply.
        let identifier = if any_identifier { 4..6 } else { 4..4 };
        for (place, ((to, byte), expected)) in heard.iter_mut().zip(message).zip(expected).enumerate() {
            let compared = !(2..4).contains(&place) && !identifier.contains(&place);
            *to = if compared { *byte } else { expected };
        }
        heard == expected
    }

    fn bytes(self, kind: u8, checksum: u16) -> [u8; LENGTH] {
        let ([c, d], [i, j], [s, t]) = (
            checksum.to_be_bytes(),
            self.identifier.to_be_bytes(),
            self.sequence.to_be_bytes(),
        );
        let [a, b, e, f, g, h, k, l] = self.token.to_be_bytes();
        [kind, 0, c, d, i, j, s, t, a, b, e, f, g, h, k, l]
    }
}

/// What a raw socket of this family reads, without the IPv4 header; `None` when it is cut short.
pub(super) fn without_header(v6: bool, packet: &[u8]) -> Option<&[u8]> {
    if v6 {
        return Some(packet);
    }
    let words = packet.first()? & 0x0f;
    packet.get(usize::from(words) * 4..)
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !(folded as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Echo = Echo {
        v6: false,
        identifier: 0x1234,
        sequence: 7,
        token: 0x0102_0304_0506_0708,
    };

    fn reply(echo: Echo) -> [u8; LENGTH] {
        echo.bytes(if echo.v6 { 129 } else { 0 }, 0xabcd)
    }

    #[test]
    fn a_request_is_what_the_standards_say() {
        let request = ECHO.request();
        assert_eq!(request[..2], [8, 0]);
        assert_eq!(request[4..8], [0x12, 0x34, 0, 7]);
        // The sum over a message with its checksum is all ones.
        assert_eq!(checksum(&request), 0);
        let v6 = Echo { v6: true, ..ECHO }.request();
        assert_eq!(v6[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn only_its_own_reply_answers_a_request() {
        for v6 in [false, true] {
            let echo = Echo { v6, ..ECHO };
            assert!(echo.is_answered_by(&reply(echo), false));
            let others = [
                Echo { sequence: 6, ..echo },
                Echo { token: 1, ..echo },
                Echo { v6: !v6, ..echo },
            ];
            for other in others {
                assert!(!echo.is_answered_by(&reply(other), true), "{other:?}");
            }
            let of_another_process = reply(Echo {
                identifier: 1,
                ..echo
            });
            assert!(!echo.is_answered_by(&of_another_process, false));
            assert!(echo.is_answered_by(&of_another_process, true));
            // On a raw socket of this host its own request is heard as well.
            assert!(!echo.is_answered_by(&echo.request(), false));
            assert!(!echo.is_answered_by(&reply(echo)[..12], false));
            assert!(!echo.is_answered_by(&[], true));
        }
    }

    #[test]
    fn the_header_of_ipv4_is_taken_off() {
        let mut packet = vec![0x46; 24];
        packet.extend([1, 2, 3]);
        assert_eq!(without_header(false, &packet), Some(&[1, 2, 3][..]));
        assert_eq!(without_header(false, &[0x45, 0]), None);
        assert_eq!(without_header(false, &[]), None);
        assert_eq!(without_header(true, &[1]), Some(&[1][..]));
    }
}
