package import Diagnostics
package import OCI
package import Profile

/// The filter of `callgatectl run`, for a process outside of any container: everything is allowed but what the profile says.
///
/// The bytes are `struct sock_filter`s, eight each, for seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER.
package func compileStandalone(_ profile: Profile) throws(Refusal) -> [UInt8] {
  let base = Seccomp.none
  let merged = try merge(profile, into: base)
  try prove(merged, over: base, for: profile)
  return try compile(merged).bytes
}

/// What a container without a seccomp section runs under: no filter.
extension Seccomp {
  package static let none = Seccomp(defaultAction: .allow)
}
