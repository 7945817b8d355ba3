//! The how-to pages in `docs/how-to/`. They are included here so that documentation tests compile
//! and run their code.

#[doc = include_str!("../docs/how-to/add-a-board-kind.md")]
mod add_a_board_kind {}

#[doc = include_str!("../docs/how-to/add-a-protocol.md")]
mod add_a_protocol {}

#[doc = include_str!("../docs/how-to/add-an-algorithm.md")]
mod add_an_algorithm {}

#[doc = include_str!("../docs/how-to/test-an-algorithm.md")]
mod test_an_algorithm {}
