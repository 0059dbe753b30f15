//! What of our contracts a partner needs: as the interface of the sandbox's provider, and for the samples.

use std::collections::BTreeSet;

use anyhow::Context as _;
use prost::Message as _;
use prost_reflect::FileDescriptor;

/// A `FileDescriptorSet` whose files keep their options: decoded as messages they would lose those that prost does not know.
#[derive(Clone, PartialEq, prost::Message)]
struct RawSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

/// The contracts of these services with everything that they import, each file after what it imports.
pub(super) fn descriptors(services: &[&str]) -> anyhow::Result<Vec<u8>> {
    let mut seen = BTreeSet::new();
    let mut set = RawSet::default();
    for name in services {
        let service = egov_proto::POOL
            .get_service_by_name(name)
            .with_context(|| format!("our contracts have no service {name}"))?;
        add(&service.parent_file(), &mut seen, &mut set.files);
    }
    Ok(set.encode_to_vec())
}

fn add(file: &FileDescriptor, seen: &mut BTreeSet<String>, into: &mut Vec<Vec<u8>>) {
    if !seen.insert(file.name().to_owned()) {
        return;
    }
    for imported in file.dependencies() {
        add(&imported, seen, into);
    }
    into.push(file.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    #[test]
    fn the_contracts_are_whole_keep_their_bindings_and_hold_nothing_more() {
        let name = "egov.onestop.v1.ProcedureService";
        let set = descriptors(&[name]).unwrap();
        let pool = DescriptorPool::decode(set.as_slice()).unwrap();
        let service = pool.get_service_by_name(name).unwrap();
        let method = service
            .methods()
            .find(|method| method.name() == "GetProcedure")
            .unwrap();
        let binding = pool.get_extension_by_name("google.api.http").unwrap();
        assert!(method.options().has_extension(&binding));
        assert!(pool.get_service_by_name("egov.integration.v1.PermitService").is_none());
        assert!(descriptors(&["egov.nothing.v1.Service"]).is_err());
    }
}
