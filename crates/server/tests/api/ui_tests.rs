//! UI test runs (file 03 §11).
