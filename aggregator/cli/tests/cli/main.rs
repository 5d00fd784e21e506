//! The real `inquest` binary against small servers: what it prints, where, and how it ends.
//! Must not look inside the program.

#[cfg(test)]
mod bundles;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod help;
#[cfg(test)]
mod output;
#[cfg(test)]
mod profile;
#[cfg(test)]
mod run;
#[cfg(test)]
mod server;
#[cfg(test)]
mod why;
