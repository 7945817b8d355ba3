//! The `twotone` program: see `twotone --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
