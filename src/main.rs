//! The program: reads the command line, runs the command, gives its exit status.

use std::process::ExitCode;

use etcd_doctor::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(status) => return ExitCode::from(status),
    };
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let status = runtime.block_on(cli::run(cli));
            // The command is done: a read of a file system that does not answer must not keep the process from ending.
            runtime.shutdown_background();
            status
        }
        Err(error) => {
            eprintln!("etcd-doctor: could not start: {error}");
            ExitCode::FAILURE
        }
    }
}
