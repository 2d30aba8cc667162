//! Loom models of the protocols in `treering`; empty without `--cfg treering_loom`.
