//! Codecs and sans-IO server halves of the board protocols: bytes in, bytes out.
