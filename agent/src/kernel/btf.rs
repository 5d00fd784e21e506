//! Asks the kernel's type information for offsets of fields, values of enum constants and arguments of
//! tracepoints. Must not know which ones the agent needs.

use std::collections::{BTreeSet, HashMap};

use btf_rs::{Btf, BtfType, Struct, Type};

/// A question that the type information does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The file is absent or no type information.
    #[error("failed to read the kernel's type information from {path}")]
    Read {
        /// Where it was looked for.
        path: String,
        /// What the parser says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no struct or typedef of the name.
    #[error("no type `{0}`")]
    NoType(String),
    /// The struct has no field of the name.
    #[error("no field `{0}`")]
    NoField(String),
    /// Something other than an array is indexed, or other than a struct is entered.
    #[error("`{0}` is of another shape")]
    Shape(String),
    /// No enum has a constant of the name.
    #[error("no constant `{0}`")]
    NoConstant(String),
    /// Several types of the name disagree.
    #[error("several types `{0}` disagree")]
    Ambiguous(String),
    /// The information contradicts itself.
    #[error("damaged type information")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ResolveError {
    fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Damaged(error.into())
    }
}

/// The type information of a kernel. Large (tens of megabytes): drop it after use.
pub(crate) struct KernelBtf {
    btf: Btf,
    constants: HashMap<String, u32>,
}

/// One step of a path: a field, then any number of indexes.
struct Step<'a> {
    field: &'a str,
    indexes: Vec<&'a str>,
}

impl KernelBtf {
    /// Parses the file at `path`.
    pub(crate) fn from_file(path: &str) -> Result<Self, ResolveError> {
        let btf = Btf::from_file(path).map_err(|source| ResolveError::Read {
            path: path.to_owned(),
            source: source.into(),
        })?;
        let constants = constants(&btf);
        Ok(Self { btf, constants })
    }

    /// Parses `bytes`.
    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, ResolveError> {
        let btf = Btf::from_bytes(bytes).map_err(|source| ResolveError::Read {
            path: "memory".to_owned(),
            source: source.into(),
        })?;
        let constants = constants(&btf);
        Ok(Self { btf, constants })
    }

    /// Returns the offset in bytes of a path such as `css_set.subsys[memory_cgrp_id]`: a struct, then its
    /// fields, those of anonymous members included; an index is a number or the name of an enum constant.
    pub(crate) fn offset(&self, path: &str) -> Result<u32, ResolveError> {
        let mut answers = BTreeSet::new();
        let (root, fields) = path.split_once('.').unwrap_or((path, ""));
        for candidate in self.structs(root)? {
            answers.insert(self.walk(candidate, fields)?.0);
        }
        one(answers, root)
    }

    /// Returns the size in bytes of the element of the array at `path`.
    pub(crate) fn element_size(&self, path: &str) -> Result<u32, ResolveError> {
        let mut answers = BTreeSet::new();
        let (root, fields) = path.split_once('.').unwrap_or((path, ""));
        for candidate in self.structs(root)? {
            let Type::Array(array) = self.walk(candidate, fields)?.1 else {
                return Err(ResolveError::Shape(path.to_owned()));
            };
            answers.insert(self.size(&self.target(&array)?)?);
        }
        one(answers, root)
    }

    /// Returns whether the tracepoint's argument `index` is a pointer; `None` when it has no such argument.
    pub(crate) fn tracepoint_argument_is_pointer(
        &self,
        tracepoint: &str,
        index: usize,
    ) -> Result<Option<bool>, ResolveError> {
        let name = format!("btf_trace_{tracepoint}");
        let types = self.btf.resolve_types_by_name(&name).unwrap_or_default();
        let typedef = types
            .iter()
            .find_map(|candidate| match candidate {
                Type::Typedef(typedef) => Some(typedef),
                _ => None,
            })
            .ok_or_else(|| ResolveError::NoType(name.clone()))?;
        let Type::Ptr(pointer) = self.target(typedef)? else {
            return Err(ResolveError::Shape(name));
        };
        let Type::FuncProto(prototype) = self.target(&pointer)? else {
            return Err(ResolveError::Shape(name));
        };
        // The first parameter is the tracepoint's private data.
        let Some(parameter) = prototype.parameters.get(index + 1) else {
            return Ok(None);
        };
        Ok(Some(matches!(self.target(parameter)?, Type::Ptr(_))))
    }

    /// Returns the constants of the enum `name` in their order; none when there is no such enum.
    pub(crate) fn enumeration(&self, name: &str) -> Vec<(String, u32)> {
        let types = self.btf.resolve_types_by_name(name).unwrap_or_default();
        let found = types.iter().find_map(|candidate| match candidate {
            Type::Enum(found) => Some(found),
            _ => None,
        });
        let members = found.into_iter().flat_map(|found| &found.members);
        members
            .filter_map(|member| Some((self.btf.resolve_name(member).ok()?, member.val())))
            .collect()
    }

    /// Returns whether there is a struct of the name.
    pub(crate) fn has_struct(&self, name: &str) -> bool {
        self.structs(name).is_ok()
    }

    /// Returns whether an enum has a constant of the name.
    pub(crate) fn has_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    fn structs(&self, name: &str) -> Result<Vec<Type>, ResolveError> {
        let structs: Vec<Type> = self
            .btf
            .resolve_types_by_name(name)
            .unwrap_or_default()
            .into_iter()
            .filter(|candidate| matches!(candidate, Type::Struct(_) | Type::Union(_)))
            .collect();
        if structs.is_empty() {
            Err(ResolveError::NoType(name.to_owned()))
        } else {
            Ok(structs)
        }
    }

    /// Follows `fields` from `current`; returns how far it got and what is there.
    fn walk(&self, mut current: Type, fields: &str) -> Result<(u32, Type), ResolveError> {
        let mut offset = 0;
        for step in fields
            .split('.')
            .filter(|field| !field.is_empty())
            .map(Step::parse)
        {
            let (Type::Struct(parent) | Type::Union(parent)) = &current else {
                return Err(ResolveError::Shape(step.field.to_owned()));
            };
            let (field_offset, mut field) = self
                .find(parent, step.field)?
                .ok_or_else(|| ResolveError::NoField(step.field.to_owned()))?;
            offset += field_offset;
            for index in step.indexes {
                let Type::Array(array) = &field else {
                    return Err(ResolveError::Shape(step.field.to_owned()));
                };
                let element = self.target(array)?;
                offset += self.index(index)? * self.size(&element)?;
                field = element;
            }
            current = field;
        }
        Ok((offset, current))
    }

    /// Finds the field `name` of `parent` or of its anonymous members.
    fn find(&self, parent: &Struct, name: &str) -> Result<Option<(u32, Type)>, ResolveError> {
        for member in &parent.members {
            let member_name = self
                .btf
                .resolve_name(member)
                .map_err(ResolveError::damaged)?;
            let offset = member.bit_offset() / 8;
            if member_name == name {
                return Ok(Some((offset, self.target(member)?)));
            }
            if member_name.is_empty()
                && let Type::Struct(inner) | Type::Union(inner) = self.target(member)?
                && let Some((inner_offset, field)) = self.find(&inner, name)?
            {
                return Ok(Some((offset + inner_offset, field)));
            }
        }
        Ok(None)
    }

    /// Returns the type that `reference` refers to, without typedefs and qualifiers.
    fn target(&self, reference: &dyn BtfType) -> Result<Type, ResolveError> {
        let mut target = self
            .btf
            .resolve_chained_type(reference)
            .map_err(ResolveError::damaged)?;
        loop {
            let inner: &dyn BtfType = match &target {
                Type::Typedef(inner) => inner,
                Type::Const(inner) | Type::Volatile(inner) | Type::Restrict(inner) => inner,
                Type::TypeTag(inner) => inner,
                _ => return Ok(target),
            };
            target = self
                .btf
                .resolve_chained_type(inner)
                .map_err(ResolveError::damaged)?;
        }
    }

    fn size(&self, of: &Type) -> Result<u32, ResolveError> {
        let bytes = match of {
            Type::Int(int) => int.size(),
            Type::Enum(value) => value.size(),
            Type::Struct(inner) | Type::Union(inner) => inner.size(),
            Type::Ptr(_) => size_of::<usize>(),
            Type::Array(array) => array.len() * self.size(&self.target(array)?)? as usize,
            other => return Err(ResolveError::Shape(other.name().to_owned())),
        };
        u32::try_from(bytes).map_err(ResolveError::damaged)
    }

    fn index(&self, index: &str) -> Result<u32, ResolveError> {
        if let Ok(number) = index.parse() {
            return Ok(number);
        }
        let constant = self.constants.get(index);
        constant
            .copied()
            .ok_or_else(|| ResolveError::NoConstant(index.to_owned()))
    }
}

impl<'a> Step<'a> {
    /// Splits `field[index][index]`.
    fn parse(step: &'a str) -> Self {
        let mut parts = step.split('[');
        Self {
            field: parts.next().unwrap_or_default(),
            indexes: parts.map(|index| index.trim_end_matches(']')).collect(),
        }
    }
}

/// Returns the one answer that all candidates agree on.
fn one(answers: BTreeSet<u32>, name: &str) -> Result<u32, ResolveError> {
    let mut answers = answers.into_iter();
    match (answers.next(), answers.next()) {
        (Some(answer), None) => Ok(answer),
        _ => Err(ResolveError::Ambiguous(name.to_owned())),
    }
}

/// Collects the constants of all enums, many of which have no name to look them up by.
fn constants(btf: &Btf) -> HashMap<String, u32> {
    let mut constants = HashMap::new();
    for id in 1.. {
        match btf.resolve_type_by_id(id) {
            Ok(Type::Enum(found)) => {
                for member in &found.members {
                    if let Ok(name) = btf.resolve_name(member) {
                        constants.entry(name).or_insert(member.val());
                    }
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    constants
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds type information: what the kernel would publish for a handful of types.
    struct Builder {
        types: Vec<u8>,
        strings: Vec<u8>,
        count: u32,
    }

    impl Builder {
        fn new() -> Self {
            Self {
                types: Vec::new(),
                strings: vec![0],
                count: 0,
            }
        }

        fn name(&mut self, name: &str) -> u32 {
            if name.is_empty() {
                return 0;
            }
            let offset = self.strings.len() as u32;
            self.strings.extend_from_slice(name.as_bytes());
            self.strings.push(0);
            offset
        }

        fn record(
            &mut self,
            name: &str,
            kind: u32,
            items: u32,
            size_or_type: u32,
            tail: &[u32],
        ) -> u32 {
            let name = self.name(name);
            for word in [name, kind << 24 | items, size_or_type].iter().chain(tail) {
                self.types.extend_from_slice(&word.to_le_bytes());
            }
            self.count += 1;
            self.count
        }

        fn int(&mut self, name: &str, size: u32) -> u32 {
            self.record(name, 1, 0, size, &[size * 8])
        }

        fn pointer(&mut self, to: u32) -> u32 {
            self.record("", 2, 0, to, &[])
        }

        fn array(&mut self, of: u32, index: u32, len: u32) -> u32 {
            self.record("", 3, 0, 0, &[of, index, len])
        }

        fn structure(&mut self, name: &str, size: u32, fields: &[(&str, u32, u32)]) -> u32 {
            let mut tail = Vec::new();
            for (field, of, offset) in fields {
                tail.extend([self.name(field), *of, offset * 8]);
            }
            self.record(name, 4, fields.len() as u32, size, &tail)
        }

        fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) -> u32 {
            let mut tail = Vec::new();
            for (value, number) in values {
                tail.extend([self.name(value), *number]);
            }
            self.record(name, 6, values.len() as u32, 4, &tail)
        }

        fn typedef(&mut self, name: &str, to: u32) -> u32 {
            self.record(name, 8, 0, to, &[])
        }

        fn prototype(&mut self, parameters: &[u32]) -> u32 {
            let tail: Vec<u32> = parameters.iter().flat_map(|of| [0, *of]).collect();
            self.record("", 13, parameters.len() as u32, 0, &tail)
        }

        fn build(&self) -> KernelBtf {
            let mut bytes = Vec::new();
            bytes.extend_from_slice(&0xeb9f_u16.to_le_bytes());
            bytes.extend_from_slice(&[1, 0]);
            let types = self.types.len() as u32;
            for word in [24, 0, types, types, self.strings.len() as u32] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            bytes.extend_from_slice(&self.types);
            bytes.extend_from_slice(&self.strings);
            KernelBtf::from_bytes(&bytes).unwrap()
        }
    }

    fn sample() -> Builder {
        let mut builder = Builder::new();
        let int = builder.int("int", 4);
        let long = builder.int("long", 8);
        let wrapped = builder.typedef("wrapped_t", long);
        let array = builder.array(wrapped, int, 3);
        builder.enumeration("", &[("FIRST", 0), ("THIRD", 2)]);
        let inner = builder.structure("", 16, &[("hidden", int, 4), ("list", array, 8)]);
        builder.structure("outer", 48, &[("plain", int, 0), ("", inner, 16)]);
        builder
    }

    #[test]
    fn follows_fields_anonymous_members_and_named_indexes() {
        let btf = sample().build();
        for (path, expected) in [
            ("outer.plain", 0),
            ("outer.hidden", 20),
            ("outer.list", 24),
            ("outer.list[1]", 32),
            ("outer.list[THIRD]", 40),
        ] {
            assert_eq!(btf.offset(path).unwrap(), expected, "{path}");
        }
        assert_eq!(btf.element_size("outer.list").unwrap(), 8);
    }

    #[test]
    fn says_what_is_missing() {
        let btf = sample().build();
        for (path, expected) in [
            ("absent.field", "no type `absent`"),
            ("outer.absent", "no field `absent`"),
            ("outer.list[ABSENT]", "no constant `ABSENT`"),
            ("outer.plain[0]", "`plain` is of another shape"),
            ("outer.plain.deeper", "`deeper` is of another shape"),
        ] {
            assert_eq!(
                btf.offset(path).unwrap_err().to_string(),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn refuses_types_of_one_name_that_disagree() {
        let mut builder = sample();
        let int = builder.int("int", 4);
        builder.structure("outer", 8, &[("plain", int, 4)]);
        let error = builder.build().offset("outer.plain").unwrap_err();
        assert_eq!(error.to_string(), "several types `outer` disagree");
    }

    #[test]
    fn tells_a_tracepoint_given_a_task_from_one_given_a_pid() {
        let mut builder = Builder::new();
        let int = builder.int("int", 4);
        let void_pointer = builder.pointer(0);
        let by_pid = builder.prototype(&[void_pointer, int]);
        let by_pid = builder.pointer(by_pid);
        builder.typedef("btf_trace_by_pid", by_pid);
        let by_task = builder.prototype(&[void_pointer, void_pointer]);
        let by_task = builder.pointer(by_task);
        builder.typedef("btf_trace_by_task", by_task);
        let btf = builder.build();
        assert_eq!(
            btf.tracepoint_argument_is_pointer("by_pid", 0).unwrap(),
            Some(false)
        );
        assert_eq!(
            btf.tracepoint_argument_is_pointer("by_task", 0).unwrap(),
            Some(true)
        );
        assert_eq!(
            btf.tracepoint_argument_is_pointer("by_task", 1).unwrap(),
            None
        );
        assert!(btf.tracepoint_argument_is_pointer("absent", 0).is_err());
    }

    #[test]
    fn refuses_bytes_that_are_no_type_information() {
        assert!(KernelBtf::from_bytes(b"").is_err());
        assert!(KernelBtf::from_bytes(&[0; 64]).is_err());
    }
}
