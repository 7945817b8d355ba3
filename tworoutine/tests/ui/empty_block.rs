use tworoutine::tworoutine;

struct Board;

#[tworoutine]
impl Board {
    fn plain(&self) {}
}

fn main() {}
