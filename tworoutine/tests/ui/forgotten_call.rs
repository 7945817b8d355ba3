#![deny(unused_must_use)]

use tworoutine::tworoutine;

#[tworoutine]
async fn f() {}

fn main() {
    f();
}
