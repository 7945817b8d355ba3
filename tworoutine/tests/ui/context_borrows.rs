fn main() {
    let mut values = vec![1];
    let context = tworoutine::context(async { values.push(2) });
    std::mem::forget(context);
    drop(values);
}
