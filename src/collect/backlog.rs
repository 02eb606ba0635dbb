//! Connections that wait to be accepted: the queue of a listening socket, as the kernel tells it in `/proc/PID/net/tcp`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// The state of a listening socket, as in the kernel's `tcp_states.h`.
const LISTEN: &str = "0A";

/// The longest queue of the listening sockets on one of the ports, over IPv4 and IPv6; none when there is none, or the
/// tables cannot be read.
pub(super) fn longest(net: &Path, ports: &[u16]) -> Option<u64> {
    let tables = ["tcp", "tcp6"]
        .into_iter()
        .filter_map(|table| File::open(net.join(table)).ok());
    tables
        .filter_map(|table| in_table(BufReader::new(table), ports))
        .max()
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
    fn tables_that_are_not_there_tell_nothing() {
        assert_eq!(longest(Path::new("tests/fixtures/no-such"), &[2379]), None);
    }
}
