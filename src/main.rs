//! The `twotone` program: see `twotone --help`.

fn main() -> std::process::ExitCode {
    twotone::cli::main()
}
