//! Measurements, searches, fits and tuning of microwave detectors, each written once.
