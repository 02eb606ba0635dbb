//! Connections that wait to be accepted: the queue of a listening socket, as the kernel tells it in `/proc/PID/net/tcp`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// The state of a listening socket, as in the kernel's `tcp_states.h`.
const LISTEN: &str = "0A";

/// The longest queue of the listening sockets on one of the ports, over IPv4 and IPv6; none when there is none, or the
/// tables cannot be read.
pub(super) fn longest(net: &Path, ports: &[u16]) -> Option<u64> {
    let tables = [("tcp", "sockstat", "TCP:"), ("tcp6", "sockstat6", "TCP6:")];
    tables
        .into_iter()
        .filter(|(_, summary, protocol)| in_use(&net.join(summary), protocol))
        .filter_map(|(table, ..)| File::open(net.join(table)).ok())
        .filter_map(|table| in_table(BufReader::new(table), ports))
        .max()
}

/// Whether there is a socket of this protocol, as far as is known. To find out from its table that there is none, the
/// kernel goes through all of its hash of connections: 20 to 40 ms were measured.
fn in_use(summary: &Path, protocol: &str) -> bool {
    let text = std::fs::read_to_string(summary).unwrap_or_default();
    let none = [protocol, "inuse", "0"];
    !text
        .lines()
        .any(|line| line.split_whitespace().take(none.len()).eq(none))
}

/// Reads only the beginning of a table: the kernel lists the listening sockets before the connections, of which there may
/// be many.
fn in_table(table: impl BufRead, ports: &[u16]) -> Option<u64> {
    let lines = table.lines().skip(1).map_while(Result::ok);
    let listening = lines.map_while(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let local = columns.next()?;
        let (_, state, queues) = (columns.next()?, columns.next()?, columns.next()?);
        let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        let waiting = u64::from_str_radix(queues.split_once(':')?.1, 16).ok()?;
        (state == LISTEN).then_some((port, waiting))
    });
    listening
        .filter(|(port, _)| ports.contains(port))
        .map(|(_, waiting)| waiting)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:094B 00000000:0000 0A 00000000:0000001F 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:094C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100007F:094B 0100007F:A2B4 01 00000000:000000FF 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
";

    #[test]
    fn reads_the_queue_of_a_listening_socket_and_no_connection() {
        let of = |ports: &[u16]| in_table(TABLE.as_bytes(), ports);
        assert_eq!(
            (of(&[2379]), of(&[2380]), of(&[2379, 2380])),
            (Some(31), Some(0), Some(31))
        );
        assert_eq!(of(&[1]), None);
        assert_eq!(in_table(&b"nonsense\nmore of it\n"[..], &[2379]), None);
    }

    #[test]
    fn a_table_without_sockets_is_not_read() {
        let net = tempfile::tempdir().unwrap();
        std::fs::write(net.path().join("tcp6"), TABLE).unwrap();
        let longest_with = |summary: &str| {
            std::fs::write(net.path().join("sockstat6"), summary).unwrap();
            longest(net.path(), &[2379])
        };
        assert_eq!(longest_with("TCP6: inuse 1\nUDP6: inuse 0\n"), Some(31));
        assert_eq!(longest_with("TCP6: inuse 0\nUDP6: inuse 1\n"), None);
        assert_eq!(longest_with("something else\n"), Some(31));
    }

    #[test]
    fn tables_that_are_not_there_tell_nothing() {
        assert_eq!(longest(Path::new("tests/fixtures/no-such"), &[2379]), None);
    }
}
