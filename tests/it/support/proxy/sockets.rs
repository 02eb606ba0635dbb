//! Which socket of the machine a connection comes from, asked of the kernel by its addresses alone. `/proc/net/tcp` says so
//! too, but takes 10 to 50 ms to be read where connections come and go by the thousand, as those do by which members measure
//! their round trips.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddrV4;

use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

/// See `linux/netlink.h`, `linux/sock_diag.h` and `linux/inet_diag.h`.
const HEADER: usize = 16;
const SOCKET_ID: usize = 48;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const IPV4: u8 = 2;
const TCP: u8 = 6;
/// After the header the family, state, timer and retransmissions, the socket's id, and four numbers.
const INODE: usize = HEADER + 4 + SOCKET_ID + 4 * 4;

/// The inode of the socket that has the first address and is connected to the second.
pub(super) fn inode(own: SocketAddrV4, peer: SocketAddrV4) -> Option<u64> {
    let flags = SocketFlags::CLOEXEC;
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        flags,
        Some(netlink::SOCK_DIAG),
    );
    let mut kernel = File::from(kernel.expect("the kernel can be asked for sockets"));
    kernel.write_all(&request(own, peer)).expect("the kernel listens");
    let mut answer = [0; 4096];
    let length = kernel.read(&mut answer).expect("the kernel answers");
    let answer = &answer[..length];
    // Anything else is an error: there is no such socket.
    if u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?) != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let inode = answer.get(INODE..INODE + 4)?.try_into().ok()?;
    Some(u64::from(u32::from_ne_bytes(inode)))
}

fn request(own: SocketAddrV4, peer: SocketAddrV4) -> Vec<u8> {
    let address = |of: SocketAddrV4| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&of.ip().octets());
        address
    };
    let all_states = u32::MAX.to_ne_bytes();
    let (any_interface, no_cookie) = ([0; 4], [u8::MAX; 8]);
    let body = [
        &[IPV4, TCP, 0, 0][..],
        &all_states,
        &own.port().to_be_bytes(),
        &peer.port().to_be_bytes(),
        &address(own),
        &address(peer),
        &any_interface,
        &no_cookie,
    ]
    .concat();
    let length = (HEADER + body.len()) as u32;
    let (number, process) = ([0; 4], [0; 4]);
    [
        &length.to_ne_bytes()[..],
        &SOCK_DIAG_BY_FAMILY.to_ne_bytes(),
        &REQUEST.to_ne_bytes(),
        &number,
        &process,
        &body,
    ]
    .concat()
}
