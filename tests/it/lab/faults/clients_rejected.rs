//! Clients that speak plain text knock at a member that wants TLS.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lab::{BOTH, Family, Fault, Lab, ShownBy};
use crate::support::EtcdCluster;

pub(in crate::lab) const FAULT: Fault = Fault {
    name: "clients-rejected",
    family: Family::Security,
    about: "ten clients speak plain text to the TLS port of a member",
    shown_by: ShownBy::Real,
    versions: BOTH,
    mixin: None,
    run: |lab| Box::pin(run(lab)),
};

async fn run(lab: &mut Lab) {
    let cluster = EtcdCluster::builder(lab.version).tls().start().await;
    let mut watch = lab.watch(&cluster).await;
    watch.cycles_more(2.0).await;
    watch.broken();
    let address = cluster.endpoint(0).replace("https://", "");
    for _ in 0..10 {
        let mut connection = TcpStream::connect(&address).await.expect("etcd listens");
        connection
            .write_all(b"GET /health HTTP/1.1\r\n\r\n")
            .await
            .expect("it accepts");
        // Until it hangs up.
        let _ = connection.read_to_end(&mut Vec::new()).await;
    }
    watch
        .remarked("EtcdClientConnectionsRejected", Some(cluster.name(0)))
        .await;
}
