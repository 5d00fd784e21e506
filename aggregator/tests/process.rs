//! The real binary from outside: arguments, configuration, start, stop, and what a client sees. Must use
//! no fixed port and wait for no fixed time.

#[cfg(test)]
mod process {
    mod agent;
    mod analysis;
    mod api;
    mod daemon;
    mod disk;
    mod explain;
    mod ingest;
    mod rest;
    mod start_stop;
}
