//! A member's page of metrics with other figures in it, for what cannot be brought about.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::http;

/// Gives the real page of a member, changed, until dropped.
pub struct FakePage {
    port: u16,
    task: JoinHandle<()>,
}

impl FakePage {
    /// Between the reader and the real page at `real`: each series without labels is `change(name, value)`.
    pub async fn of(real: String, change: impl Fn(&str, f64) -> f64 + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let task = tokio::spawn(async move {
            while let Ok((reader, _)) = listener.accept().await {
                let (real, change) = (real.clone(), change.clone());
                tokio::spawn(async move {
                    // Whoever hangs up asks again.
                    let _ = answer(reader, &real, &change).await;
                });
            }
        });
        Self { port, task }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }
}

impl Drop for FakePage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    mut reader: TcpStream,
    real: &str,
    change: &(impl Fn(&str, f64) -> f64 + Sync),
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if reader.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let answer = match http::get(real).await {
        Ok(page) => {
            let lines = page.body.lines().map(|line| changed(line, change) + "\n");
            let body: String = lines.collect();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
        }
        Err(_) => "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    reader.write_all(answer.as_bytes()).await?;
    reader.shutdown().await
}

fn changed(line: &str, change: &impl Fn(&str, f64) -> f64) -> String {
    let series = line
        .split_once(' ')
        .filter(|(name, _)| !name.contains(['#', '{']));
    match series.and_then(|(name, value)| Some((name, value.parse::<f64>().ok()?))) {
        Some((name, value)) => format!("{name} {}", change(name, value)),
        None => line.to_owned(),
    }
}
