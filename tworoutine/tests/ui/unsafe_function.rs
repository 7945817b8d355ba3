use tworoutine::tworoutine;

#[tworoutine]
async unsafe fn f() {}

fn main() {}
