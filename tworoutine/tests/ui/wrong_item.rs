use tworoutine::tworoutine;

#[tworoutine]
struct Board;

fn main() {}
