//! What the agent learns about the running kernel before it loads anything: release, where its structs
//! keep their fields, which cgroup hierarchies there are. Must not load programs.

mod btf;
mod drop_reasons;
mod offsets;
mod reset_reasons;
mod tracefs;

use std::fmt;

use inquest_agent_abi::KernelLayout;

use crate::{heap, probes::Family};

pub use btf::ResolveError;
pub use drop_reasons::DropReasons;
pub use reset_reasons::ResetReasons;

/// Where the kernel publishes its own type information.
const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// What kernels keep the code by that runs programs at the returns of a function, since they wait for the tasks in it before
/// they free it (5.12, and stable releases of 5.10).
const RETURN_IMAGE: &str = "bpf_tramp_image";
const UNSAFE_RETURNS: &str = "this kernel may free the code at the return of a function while a task sleeps in the function (before 5.12)";

/// The layout of the running kernel and what could not be found.
#[derive(Debug)]
pub struct Kernel {
    /// What the programs are told.
    pub layout: KernelLayout,
    /// The names of its reasons to drop a packet.
    pub drop_reasons: DropReasons,
    /// The names of its reasons to reset a connection.
    pub reset_reasons: ResetReasons,
    /// Fields that this kernel does not have.
    pub missing: Vec<MissingField>,
    /// Why there is no type information at all.
    pub without_btf: Option<String>,
    /// Why programs at the returns of functions would do harm.
    pub without_safe_returns: Option<String>,
    /// Why plain tracepoints cannot be used.
    pub without_tracefs: Option<String>,
}

/// A field that could not be resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MissingField {
    /// The path or paths that were tried.
    pub path: &'static str,
    /// Families that cannot do without.
    pub required_by: &'static [Family],
    /// What was wrong.
    pub reason: String,
}

impl fmt::Display for MissingField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl Kernel {
    /// Asks the running kernel. Never fails: what cannot be learned is recorded in the result.
    ///
    /// Needs some 60 MB for a moment; the memory is given back to the system before it returns.
    pub fn inspect(identity_hierarchy: u32) -> Self {
        let mut kernel = match heap::on_own_heap(|| btf::KernelBtf::from_file(VMLINUX_BTF)) {
            Ok(btf) => Self::from_btf(&btf),
            Err(error) => Self::without_btf(&error),
        };
        heap::give_back();
        kernel.layout.identity_hierarchy = identity_hierarchy;
        match tracefs::Tracefs::find() {
            Ok(tracefs) => tracefs.fill(&mut kernel.layout.tracepoint),
            Err(error) => kernel.without_tracefs = Some(error.to_string()),
        }
        kernel
    }

    /// Returns why `family` cannot read the kernel's structs, `None` when it can.
    pub fn obstacle(&self, family: Family) -> Option<String> {
        if let Some(reason) = &self.without_btf {
            return Some(reason.clone());
        }
        self.missing
            .iter()
            .find(|field| field.required_by.contains(&family))
            .map(|field| format!("this kernel lacks a field: {field}"))
    }

    fn from_btf(btf: &btf::KernelBtf) -> Self {
        let mut layout = KernelLayout::UNKNOWN;
        let missing = offsets::resolve(btf, &mut layout);
        let drop_reasons = DropReasons::from_btf(btf);
        layout.drop.ignored = drop_reasons.ignored();
        Self {
            layout,
            drop_reasons,
            reset_reasons: ResetReasons::from_btf(btf),
            missing,
            without_btf: None,
            without_safe_returns: (!btf.has_struct(RETURN_IMAGE))
                .then(|| UNSAFE_RETURNS.to_owned()),
            without_tracefs: None,
        }
    }

    fn without_btf(error: &ResolveError) -> Self {
        Self {
            layout: KernelLayout::UNKNOWN,
            drop_reasons: DropReasons::default(),
            reset_reasons: ResetReasons::default(),
            missing: Vec::new(),
            without_btf: Some(format!(
                "{} (needs CONFIG_DEBUG_INFO_BTF)",
                crate::telemetry::ErrorChain(error)
            )),
            without_safe_returns: None,
            without_tracefs: None,
        }
    }
}

/// Returns the release of the running kernel, as `uname -r` prints it.
pub fn release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_everything_that_the_probes_require_on_this_kernel() {
        if !std::path::Path::new(VMLINUX_BTF)
            .try_exists()
            .unwrap_or(false)
        {
            testkit::skip("this kernel publishes no type information");
            return;
        }
        let kernel = Kernel::inspect(0);
        assert_eq!(kernel.without_btf, None);
        for family in Family::ALL {
            assert_eq!(kernel.obstacle(family), None);
        }
    }

    #[test]
    fn names_the_missing_field_only_to_the_families_that_need_it() {
        let kernel = Kernel {
            layout: KernelLayout::UNKNOWN,
            drop_reasons: DropReasons::default(),
            reset_reasons: ResetReasons::default(),
            missing: vec![MissingField {
                path: "signal_struct.live",
                required_by: &[Family::Exit],
                reason: "no such field".to_owned(),
            }],
            without_btf: None,
            without_safe_returns: None,
            without_tracefs: None,
        };
        assert_eq!(kernel.obstacle(Family::Oom), None);
        let obstacle = kernel.obstacle(Family::Exit).unwrap();
        assert!(obstacle.contains("signal_struct.live"), "{obstacle}");
    }

    #[test]
    fn goes_on_without_type_information() {
        let error = btf::KernelBtf::from_file("/nonexistent").err().unwrap();
        let kernel = Kernel::without_btf(&error);
        assert_eq!(kernel.layout, KernelLayout::UNKNOWN);
        assert!(
            kernel
                .obstacle(Family::Exec)
                .unwrap()
                .contains("CONFIG_DEBUG_INFO_BTF")
        );
    }
}
