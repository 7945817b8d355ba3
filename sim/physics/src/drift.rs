//! Noise that is slow: octaves of interpolated random values.
