//! Export (file 03 §10).
