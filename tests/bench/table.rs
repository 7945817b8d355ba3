//! Output of a benchmark: a table, or one JSON object.

use serde_json::{Value, json};

/// Prints the rows of a benchmark. A row has `name`, `value`, `unit`, `peer` (what the value is
/// compared with), `peer_value`, `ratio`, `limit` and `pass`; those that it lacks are null.
pub(crate) fn print(bench: &str, conditions: &Value, rows: &[Value], json: bool) {
    const KEYS: [&str; 8] = [
        "name",
        "value",
        "unit",
        "peer",
        "peer_value",
        "ratio",
        "limit",
        "pass",
    ];
    if json {
        let whole = |row: &Value| -> Value {
            KEYS.iter()
                .map(|key| ((*key).to_owned(), row[*key].clone()))
                .collect()
        };
        let rows: Vec<Value> = rows.iter().map(whole).collect();
        println!(
            "{}",
            json!({"bench": bench, "conditions": conditions, "rows": rows})
        );
        return;
    }
    println!(
        "{:44} {:>12} {:>12} {:>8} {:>8}  peer",
        bench, "value", "peer's", "ratio", "limit"
    );
    for row in rows {
        let number = |key: &str| match row[key].as_f64() {
            Some(number) => format!("{number:.3}"),
            None => "-".to_owned(),
        };
        let text = |key: &str| row[key].as_str().unwrap_or("");
        let verdict = match row["pass"].as_bool() {
            Some(true) => " pass",
            Some(false) => " MISSED",
            None => "",
        };
        println!(
            "{:44} {:>12} {:>12} {:>8} {:>8}  {}{verdict}",
            format!("{} ({})", text("name"), text("unit")),
            number("value"),
            number("peer_value"),
            number("ratio"),
            number("limit"),
            text("peer"),
        );
    }
    println!("{conditions}");
}
