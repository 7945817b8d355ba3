use tworoutine::tworoutine;

#[tworoutine]
async extern "C" fn f() {}

fn main() {}
