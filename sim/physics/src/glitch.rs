//! Noise that is sudden: hits that break pairs.
