fn spawn<T: Send>(_: T) {}

fn main() {
    spawn(tworoutine::context(async {}));
}
